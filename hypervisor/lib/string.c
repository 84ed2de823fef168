/* SPDX-License-Identifier: MIT */
/* String functions with the C library's meaning. The memcpy family is the architecture's. */
#include <domus/lib.h>
#include <domus/string.h>

size_t strlen(const char *s)
{
    return strnlen(s, SIZE_MAX);
}

size_t strnlen(const char *s, size_t max)
{
    size_t n = 0;

    while (n < max && s[n]) {
        barrier();              /* or the compiler makes it a call of strlen, which this serves */
        n++;
    }
    return n;
}

int strcmp(const char *a, const char *b)
{
    return strncmp(a, b, SIZE_MAX);
}

int strncmp(const char *a, const char *b, size_t n)
{
    for (; n; a++, b++, n--) {
        if (*a != *b)
            return (unsigned char)*a < (unsigned char)*b ? -1 : 1;
        if (!*a)
            break;
    }
    return 0;
}

int strncasecmp(const char *a, const char *b, size_t n)
{
    for (; n; a++, b++, n--) {
        unsigned char x = (unsigned char)tolower_c(*a), y = (unsigned char)tolower_c(*b);

        if (x != y)
            return x < y ? -1 : 1;
        if (!x)
            break;
    }
    return 0;
}

char *strchr(const char *s, int c)
{
    for (;; s++) {
        if (*s == (char)c)
            return (char *)s;
        if (!*s)
            return NULL;
    }
}

char *strstr(const char *haystack, const char *needle)
{
    size_t n = strlen(needle);

    for (;; haystack++) {
        if (!strncmp(haystack, needle, n))
            return (char *)haystack;
        if (!*haystack)
            return NULL;
    }
}

size_t strspn(const char *s, const char *accept)
{
    size_t n = 0;

    while (s[n] && strchr(accept, s[n]))
        n++;
    return n;
}

size_t strcspn(const char *s, const char *reject)
{
    size_t n = 0;

    while (s[n] && !strchr(reject, s[n]))
        n++;
    return n;
}

size_t strlcpy(char *dst, const char *src, size_t size)
{
    size_t len = strlen(src);

    if (size) {
        size_t n = min(len, size - 1);

        memcpy(dst, src, n);
        dst[n] = '\0';
    }
    return len;
}

void *memchr(const void *s, int c, size_t n)
{
    for (const unsigned char *p = s; n; p++, n--)
        if (*p == (unsigned char)c)
            return (void *)p;
    return NULL;
}

int memcmp(const void *a, const void *b, size_t n)
{
    const unsigned char *x = a, *y = b;

    for (; n; x++, y++, n--)
        if (*x != *y)
            return *x < *y ? -1 : 1;
    return 0;
}

bool mem_is_zero(const void *p, size_t n)
{
    const unsigned char *b = p;
    unsigned char any = 0;

    while (n--)
        any |= *b++;
    return !any;
}
