/* SPDX-License-Identifier: MIT */
/* Bitmaps of the management interface (struct xenctl_bitmap) to and from the hypervisor's own. */
#ifndef CORE_BITMAP_GUEST_H
#define CORE_BITMAP_GUEST_H

#include <domus/cpumask.h>
#include <xen/domctl.h>

/* nr bits to the guest's bitmap; what that has beyond is cleared. 0, -EFAULT, -E2BIG. */
int bitmap_to_guest(const struct xenctl_bitmap *map, const unsigned long *bits, unsigned int nr);
/* The first nr bits from the guest's; missing ones are zero. 0 or -EFAULT. */
int bitmap_from_guest(unsigned long *bits, const struct xenctl_bitmap *map, unsigned int nr);

static inline int cpumask_to_guest(const struct xenctl_bitmap *map, const cpumask_t *mask)
{
    return bitmap_to_guest(map, mask->bits, nr_cpu_ids);
}

static inline int cpumask_from_guest(cpumask_t *mask, const struct xenctl_bitmap *map)
{
    return bitmap_from_guest(mask->bits, map, NR_CPUS);
}

#endif
