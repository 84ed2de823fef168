/* SPDX-License-Identifier: MIT */
/* Copies of bitmaps; the guest's are arrays of bytes, of any length. */
#include <domus/guest_access.h>
#include <domus/lib.h>
#include <domus/string.h>
#include "bitmap_guest.h"

#define MAX_BITS        NR_CPUS
#define MAX_GUEST_BITS  (1u << 20)      /* bounds the work of one call */

int bitmap_to_guest(const struct xenctl_bitmap *map, const unsigned long *bits, unsigned int nr)
{
    unsigned long copy[BITS_TO_LONGS(MAX_BITS)] = { 0 };
    unsigned int guest_bytes = DIV_ROUND_UP(map->nr_bits, 8), bytes;
    char *p = (char *)copy;

    if (map->nr_bits > MAX_GUEST_BITS)
        return -E2BIG;
    nr = min(min(nr, (unsigned int)MAX_BITS), map->nr_bits);
    bitmap_copy(copy, bits, nr);
    if (nr % BITS_PER_LONG)
        copy[BIT_WORD(nr)] &= BIT_MASK(nr) - 1;
    bytes = min(DIV_ROUND_UP(nr, 8), guest_bytes);
    if (copy_to_guest(map->bitmap.p, p, bytes))
        return -EFAULT;
    return clear_guest((char *)map->bitmap.p + bytes, guest_bytes - bytes);
}

int bitmap_from_guest(unsigned long *bits, const struct xenctl_bitmap *map, unsigned int nr)
{
    unsigned int bytes, guest_bits = min(map->nr_bits, nr);

    bitmap_zero(bits, nr);
    bytes = DIV_ROUND_UP(guest_bits, 8);
    if (copy_from_guest(bits, map->bitmap.p, bytes))
        return -EFAULT;
    if (guest_bits % BITS_PER_LONG)
        bits[BIT_WORD(guest_bits)] &= BIT_MASK(guest_bits) - 1;
    return 0;
}
