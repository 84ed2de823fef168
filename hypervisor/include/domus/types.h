/* SPDX-License-Identifier: MIT */
/* Integer types and the distinct address types: a machine frame cannot be passed for a guest frame. */
#ifndef DOMUS_TYPES_H
#define DOMUS_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint8_t  u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef int8_t   s8;
typedef int16_t  s16;
typedef int32_t  s32;
typedef int64_t  s64;
typedef long     ssize_t;

typedef u64 paddr_t;            /* machine (host physical) address, bytes */
typedef s64 s_time_t;           /* system time, nanoseconds since boot */
#define PRIpaddr "016lx"

/*
 * DEFINE_TYPED(name): struct type name_t around an unsigned long, with _name(x) to make one and
 * name_x(v) to take the number out, name_add, name_eq, name_max, name_min.
 */
#define DEFINE_TYPED(name)                                                                      \
    typedef struct { unsigned long name; } name##_t;                                            \
    static inline name##_t _##name(unsigned long x) { return (name##_t){ x }; }                 \
    static inline unsigned long name##_x(name##_t v) { return v.name; }                         \
    static inline name##_t name##_add(name##_t v, unsigned long n)                              \
    {                                                                                           \
        return (name##_t){ v.name + n };                                                        \
    }                                                                                           \
    static inline bool name##_eq(name##_t a, name##_t b) { return a.name == b.name; }           \
    static inline name##_t name##_max(name##_t a, name##_t b) { return a.name > b.name ? a : b; } \
    static inline name##_t name##_min(name##_t a, name##_t b) { return a.name < b.name ? a : b; }

DEFINE_TYPED(mfn)               /* machine frame number */
DEFINE_TYPED(gfn)               /* guest frame number; for PV guests equal to the mfn in value */
DEFINE_TYPED(gpa)               /* guest physical address, bytes */
DEFINE_TYPED(gva)               /* guest virtual address */

#define INVALID_MFN         _mfn(~0UL)
#define INVALID_MFN_INIT    { ~0UL }
#define INVALID_GFN         _gfn(~0UL)
#define INVALID_GFN_INIT    { ~0UL }
#define INVALID_GPA         _gpa(~0UL)
#define PRI_mfn             "05lx"
#define PRI_gfn             "05lx"

#define BITS_PER_LONG       64
#define BITS_PER_BYTE       8

#endif
