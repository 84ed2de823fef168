/* SPDX-License-Identifier: MIT */
/*
 * Copies between the hypervisor and the current guest's memory, through the guest's own mappings: what is not mapped, or
 * not writable, or in the hypervisor's slots, is not copied. Each returns the number of bytes left out, 0 for success.
 */
#include <domus/arch.h>
#include <domus/guest_access.h>
#include <domus/lib.h>
#include <asm/guest_read.h>
#include <asm/processor.h>
#include <asm/traps.h>

bool guest_range_ok(const void *guest, size_t n)
{
    unsigned long start = (unsigned long)guest;

    return guest_address_ok(start) && n < HYPERVISOR_SPACE_START >> 1 &&
           (start >= HYPERVISOR_SPACE_END ? start + n >= start : start + n <= 0x0000800000000000UL);
}

/* Eight bytes a turn, then the rest; the same code serves both directions. A fault leaves the count of what remains. */
static unsigned long copy_faultable(void *to, const void *from, size_t n)
{
    unsigned long left = n / 8, rest = n % 8;

    stac();
    asm volatile("1: rep movsq\n"
                 "   mov %3, %0\n"
                 "2: rep movsb\n"
                 "3:\n"
                 "   .pushsection .text.fixup, \"ax\"\n"
                 "4: lea (%3, %0, 8), %0\n"
                 "   jmp 3b\n"
                 "   .popsection\n" _ASM_EXTABLE(1b, 4b) _ASM_EXTABLE(2b, 3b)
                 : "+c"(left), "+D"(to), "+S"(from)
                 : "r"(rest)
                 : "memory");
    clac();
    return left;
}

unsigned long arch_copy_from_guest(void *to, const void *guest_from, size_t n)
{
    return guest_range_ok(guest_from, n) ? copy_faultable(to, guest_from, n) : n;
}

bool read_guest_pair(u64 pair[2], guest_ptr_t guest)
{
    bool ok = false;

    if (unlikely(!guest_range_ok((const void *)guest, 16)))
        return false;
    stac();
    asm volatile("1: mov (%[from]), %[low]\n"
                 "2: mov 8(%[from]), %[high]\n"
                 "   inc %[ok]\n"
                 "3:\n" _ASM_EXTABLE(1b, 3b) _ASM_EXTABLE(2b, 3b)
                 : [low] "=&r"(pair[0]), [high] "=&r"(pair[1]), [ok] "+r"(ok)
                 : [from] "r"(guest)
                 : "memory");
    clac();
    return ok;
}

unsigned long arch_copy_to_guest(void *guest_to, const void *from, size_t n)
{
    return guest_range_ok(guest_to, n) ? copy_faultable(guest_to, from, n) : n;
}

unsigned long arch_clear_guest(void *guest_to, size_t n)
{
    unsigned long left = n;

    if (!guest_range_ok(guest_to, n))
        return n;
    stac();
    asm volatile("1: rep stosb\n2:\n" _ASM_EXTABLE(1b, 2b) : "+c"(left), "+D"(guest_to) : "a"(0) : "memory");
    clac();
    return left;
}
