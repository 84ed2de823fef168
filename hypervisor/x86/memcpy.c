/* SPDX-License-Identifier: MIT */
/*
 * memcpy, memmove and memset: words for small blocks, string instructions for large ones, which
 * processors run at full width. barrier() keeps the compiler from turning the loops into calls of
 * the very functions that they implement.
 */
#include <domus/lib.h>
#include <domus/string.h>

#define STRING_INSN_MIN 128     /* bytes; below, starting a rep costs more than it saves */

struct __packed word { u64 v; } __attribute__((may_alias));

void *memcpy(void *dst, const void *src, size_t n)
{
    char *d = dst;
    const char *s = src;

    if (n >= STRING_INSN_MIN) {
        size_t words = n / 8;

        n %= 8;
        __asm__ volatile ("rep movsq" : "+D" (d), "+S" (s), "+c" (words) :: "memory");
    }
    for (; n >= 8; n -= 8, d += 8, s += 8) {
        ((struct word *)d)->v = ((const struct word *)s)->v;
        barrier();
    }
    for (; n; n--) {
        *d++ = *s++;
        barrier();
    }
    return dst;
}

void *memmove(void *dst, const void *src, size_t n)
{
    char *d = (char *)dst + n;
    const char *s = (const char *)src + n;

    if ((size_t)((char *)dst - (const char *)src) >= n)
        return memcpy(dst, src, n);     /* the destination begins before, or behind the end */

    for (; n >= 8; n -= 8) {
        d -= 8;
        s -= 8;
        ((struct word *)d)->v = ((const struct word *)s)->v;
        barrier();
    }
    for (; n; n--) {
        *--d = *--s;
        barrier();
    }
    return dst;
}

void *memset(void *dst, int c, size_t n)
{
    u64 pattern = (u64)(unsigned char)c * 0x0101010101010101UL;
    char *d = dst;

    if (n >= STRING_INSN_MIN) {
        size_t words = n / 8;

        n %= 8;
        __asm__ volatile ("rep stosq" : "+D" (d), "+c" (words) : "a" (pattern) : "memory");
    }
    for (; n >= 8; n -= 8, d += 8) {
        ((struct word *)d)->v = pattern;
        barrier();
    }
    for (; n; n--) {
        *d++ = (char)c;
        barrier();
    }
    return dst;
}
