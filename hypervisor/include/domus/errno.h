/* SPDX-License-Identifier: MIT */
/* Error numbers of the public ABI (<xen/errno.h>) under their plain names. */
#ifndef DOMUS_ERRNO_H
#define DOMUS_ERRNO_H

/* A host build may have the C library's macros, which have the same values. */
#ifndef EPERM
enum domus_errno {
#define XEN_ERRNO(name, value) name = (value),
#include <xen/errno.h>
};
#endif

/* Errors inside of pointers: the top page of the address space is never an object. */
#define MAX_ERRNO       4095
#define IS_ERR_VALUE(x) ((unsigned long)(x) >= (unsigned long)-MAX_ERRNO)

static inline void *ERR_PTR(long error)
{
    return (void *)error;
}

static inline long PTR_ERR(const void *ptr)
{
    return (long)ptr;
}

static inline _Bool IS_ERR(const void *ptr)
{
    return IS_ERR_VALUE(ptr);
}

#endif
