/* SPDX-License-Identifier: MIT */
/*
 * Copies between the hypervisor and the running guest's address space. Guest pointers are the .p of
 * the ABI's handles: plain pointers that nothing but these functions may follow.
 * All return 0 or -EFAULT; a failed copy may have been done in part. A copy may fault, and the fault
 * is served on the spot: no lock that this takes (x86: arch_vcpu.ldt_lock) may be held.
 */
#ifndef DOMUS_GUEST_ACCESS_H
#define DOMUS_GUEST_ACCESS_H

#include <domus/lib.h>

/* Given by the architecture (x86: guest_copy): number of bytes not copied. They check that the guest
 * may name the addresses (inside of its part, no wrap), survive faults, read each byte once. */
unsigned long arch_copy_from_guest(void *dst, const void *guest, size_t bytes);
unsigned long arch_copy_to_guest(void *guest, const void *src, size_t bytes);
unsigned long arch_clear_guest(void *guest, size_t bytes);
/* Whether the guest may name these addresses; there may be nothing. For those that are kept to be used later. */
bool guest_range_ok(const void *guest, size_t bytes);

static inline __must_check int copy_from_guest(void *dst, const void *guest, unsigned long bytes)
{
    return arch_copy_from_guest(dst, guest, bytes) ? -EFAULT : 0;
}

static inline __must_check int copy_to_guest(void *guest, const void *src, unsigned long bytes)
{
    return arch_copy_to_guest(guest, src, bytes) ? -EFAULT : 0;
}

static inline __must_check int clear_guest(void *guest, unsigned long bytes)
{
    return arch_clear_guest(guest, bytes) ? -EFAULT : 0;
}

/* Address of element idx of a guest array; false if it wraps around the address space. */
static inline bool guest_array_addr(const void *base, unsigned long idx, unsigned long nr,
                                    unsigned long size, unsigned long *addr, unsigned long *bytes)
{
    unsigned long offset;

    return !__builtin_mul_overflow(idx, size, &offset) &&
           !__builtin_mul_overflow(nr, size, bytes) &&
           !__builtin_add_overflow((unsigned long)base, offset, addr);
}

/* Elements idx .. idx + nr - 1 of the guest's array at p, which has dst's (src's) element type. */
#define copy_from_guest_offset(dst, p, idx, nr)                                                 \
    ({                                                                                          \
        const __typeof__(*(p)) *cg_p_ = (p);                                                    \
        __typeof__(*(dst)) *cg_dst_ = (dst);                                                    \
        unsigned long cg_addr_, cg_bytes_;                                                      \
        BUILD_BUG_ON(sizeof(*(dst)) != sizeof(*(p)));                                           \
        guest_array_addr(cg_p_, idx, nr, sizeof(*cg_p_), &cg_addr_, &cg_bytes_)                 \
            ? copy_from_guest(cg_dst_, (const void *)cg_addr_, cg_bytes_) : -EFAULT;            \
    })

#define copy_to_guest_offset(p, idx, src, nr)                                                   \
    ({                                                                                          \
        __typeof__(*(p)) *cg_p_ = (p);                                                          \
        const __typeof__(*(src)) *cg_src_ = (src);                                              \
        unsigned long cg_addr_, cg_bytes_;                                                      \
        BUILD_BUG_ON(sizeof(*(src)) != sizeof(*(p)));                                           \
        guest_array_addr(cg_p_, idx, nr, sizeof(*cg_p_), &cg_addr_, &cg_bytes_)                 \
            ? copy_to_guest((void *)cg_addr_, cg_src_, cg_bytes_) : -EFAULT;                    \
    })

/* Write back one field of a structure that was read from p: copy_field_to_guest(p, &arg, status). p
 * may be misaligned, so no member of it is named. */
#define copy_field_to_guest(p, ptr, field)                                                      \
    copy_to_guest((void *)((unsigned long)(p) + offsetof(__typeof__(*(p)), field)),             \
                  &(ptr)->field, sizeof((ptr)->field))

#endif
