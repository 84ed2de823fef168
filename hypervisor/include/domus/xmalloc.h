/* SPDX-License-Identifier: MIT */
/* Small objects for the hypervisor itself. Aligned to 16 bytes, or to the size if that is a power of
 * two up to a page. Not for NMI context. NULL when there is no memory. */
#ifndef DOMUS_XMALLOC_H
#define DOMUS_XMALLOC_H

#include <domus/lib.h>

void *xmalloc_bytes(size_t size);
void *xzalloc_bytes(size_t size);
void xfree(void *p);

/* nr * size bytes with a check of overflow. */
void *xmalloc_array_bytes(size_t size, size_t nr, bool zero);

#define xmalloc(type)               ((type *)xmalloc_bytes(sizeof(type)))
#define xzalloc(type)               ((type *)xzalloc_bytes(sizeof(type)))
#define xmalloc_array(type, nr)     ((type *)xmalloc_array_bytes(sizeof(type), nr, false))
#define xzalloc_array(type, nr)     ((type *)xmalloc_array_bytes(sizeof(type), nr, true))

/* Free and forget. */
#define XFREE(p)                    do { xfree(p); (p) = NULL; } while (0)

#endif
