/* SPDX-License-Identifier: MIT */
/* Memory and string functions, with the C library's meaning (strlcpy as in BSD). */
#ifndef DOMUS_STRING_H
#define DOMUS_STRING_H

#include <domus/types.h>

void *memcpy(void *dst, const void *src, size_t n);
void *memmove(void *dst, const void *src, size_t n);
void *memset(void *dst, int c, size_t n);
int memcmp(const void *a, const void *b, size_t n);
void *memchr(const void *s, int c, size_t n);

size_t strlen(const char *s);
size_t strnlen(const char *s, size_t max);
int strcmp(const char *a, const char *b);
int strncmp(const char *a, const char *b, size_t n);
int strncasecmp(const char *a, const char *b, size_t n);
char *strchr(const char *s, int c);
char *strstr(const char *haystack, const char *needle);
size_t strspn(const char *s, const char *accept);
size_t strcspn(const char *s, const char *reject);

/* Copy or append at most size - 1 bytes, always terminate; return the length wanted. */
size_t strlcpy(char *dst, const char *src, size_t size);

/* True if all n bytes are zero: for the reserved fields of requests. */
bool mem_is_zero(const void *p, size_t n);

#endif
