/* SPDX-License-Identifier: MIT */
/* xmalloc by the C library, whose blocks the address sanitizer watches one by one. */
#include <stdlib.h>

#include <domus/xmalloc.h>

void *xmalloc_bytes(size_t size)
{
    return malloc(size);
}

void *xzalloc_bytes(size_t size)
{
    return calloc(1, size);
}

void *xmalloc_array_bytes(size_t size, size_t nr, bool zero)
{
    size_t bytes;

    if (__builtin_mul_overflow(size, nr, &bytes))
        return NULL;
    return zero ? calloc(1, bytes) : malloc(bytes);
}

void xfree(void *p)
{
    free(p);
}
