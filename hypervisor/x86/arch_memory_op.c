/* SPDX-License-Identifier: MIT */
/* The x86 part of HYPERVISOR_memory_op: memory maps and the machine-to-physical table. <xen/memory.h>. */
#include <domus/domain.h>
#include <domus/guest_access.h>
#include <domus/hypercall.h>
#include <domus/lib.h>
#include <domus/rangeset.h>
#include <domus/xmalloc.h>
#include <asm/boot.h>
#include <asm/current.h>
#include <asm/mm_init.h>
#include <xen/memory.h>

/* An entry of the BIOS's call 15h, E820h, which is the maps' format. */
struct __packed xen_e820_entry {
    u64 addr, size;                     /* bytes */
    u32 type;                           /* E820_* */
};

/* ---- A domain's own memory map ---- */

static long set_memory_map(guest_ptr_t arg)
{
    struct xen_foreign_memory_map fmap;
    struct xen_e820_entry *entries, *old;
    struct domain *d;
    int rc = 0;

    if (copy_from_guest(&fmap, (const void *)arg, sizeof(fmap)))
        return -EFAULT;
    if (fmap.map.nr_entries > E820_MAX)
        return -EINVAL;
    entries = xmalloc_array(struct xen_e820_entry, max(fmap.map.nr_entries, 1u));
    if (!entries)
        return -ENOMEM;
    if (copy_from_guest_offset(entries, (struct xen_e820_entry *)fmap.map.buffer.p, 0, fmap.map.nr_entries)) {
        xfree(entries);
        return -EFAULT;
    }
    d = get_remote_domain(fmap.domid, &rc);
    if (!d) {
        xfree(entries);
        return rc;
    }
    spin_lock(&d->arch.e820_lock);
    old = d->arch.e820;
    d->arch.e820 = entries;
    d->arch.e820_nr = fmap.map.nr_entries;
    spin_unlock(&d->arch.e820_lock);
    xfree(old);
    put_domain(d);
    return 0;
}

static long memory_map(guest_ptr_t arg)
{
    struct xen_e820_entry *copy;
    struct domain *d = current->domain;
    struct xen_memory_map map;
    unsigned int nr = 0;
    long rc = 0;

    if (copy_from_guest(&map, (const void *)arg, sizeof(map)))
        return -EFAULT;
    copy = xmalloc_array(struct xen_e820_entry, E820_MAX);
    if (!copy)
        return -ENOMEM;
    spin_lock(&d->arch.e820_lock);
    if (d->arch.e820) {
        nr = min(map.nr_entries, d->arch.e820_nr);
        for (unsigned int i = 0; i < nr; i++)
            copy[i] = d->arch.e820[i];
    }
    if (!d->arch.e820 || d->arch.e820_nr == 0)
        rc = -ENOSYS;                   /* the kernel makes one from its number of pages */
    spin_unlock(&d->arch.e820_lock);
    map.nr_entries = nr;
    if (!rc && (copy_to_guest_offset((struct xen_e820_entry *)map.buffer.p, 0, copy, nr) ||
                copy_to_guest((void *)arg, &map, sizeof(map))))
        rc = -EFAULT;
    xfree(copy);
    return rc;
}

/* ---- The machine's memory map, for dom0 ---- */

struct map_writer {
    struct xen_e820_entry *buffer;      /* guest's; NULL: only count */
    unsigned int room, nr;
    unsigned long next;                 /* frames below this have been looked at */
};

static int put_entry(struct map_writer *w, u64 start, u64 end, u32 type)
{
    struct xen_e820_entry entry = { .addr = start, .size = end - start, .type = type };

    if (w->buffer) {
        if (w->nr == w->room)
            return -ENOBUFS;
        if (copy_to_guest_offset(w->buffer, w->nr, &entry, 1))
            return -EFAULT;
    }
    w->nr++;
    return 0;
}

/* Frames between the ranges that dom0 may touch are the hypervisor's: reserved, so that nothing is placed there. */
static int put_gap(struct map_writer *w, unsigned long first, unsigned long last)
{
    u64 start = (u64)w->next << PAGE_SHIFT, end = (u64)first << PAGE_SHIFT;

    w->next = last + 1;
    if (start >= end || e820_all_of_type(start, end, E820_RESERVED))
        return 0;
    return put_entry(w, start, end, E820_RESERVED);
}

static long machine_memory_map(guest_ptr_t arg)
{
    struct domain *d = current->domain;
    struct xen_memory_map map;
    unsigned long first, last;
    struct map_writer w;
    int rc = 0;

    if (!d->is_privileged)
        return -EPERM;
    if (copy_from_guest(&map, (const void *)arg, sizeof(map)))
        return -EFAULT;
    w = (struct map_writer){ .buffer = (struct xen_e820_entry *)map.buffer.p, .room = map.nr_entries };
    for (unsigned int i = 0; i < machine_e820.nr && !rc; i++) {
        const struct e820_range *r = &machine_e820.range[i];

        rc = put_entry(&w, r->start, r->end, r->type);
    }
    /* The range that ends with the last number of all is the last one. */
    for (first = 0, last = 0; !rc && last != ~0UL && rangeset_next(d->iomem_caps, &first, &last); first = last + 1)
        rc = put_gap(&w, first, last);
    /* A map that does not fit is cut: the kernel sees the start of it. */
    if (rc && rc != -ENOBUFS)
        return rc;
    map.nr_entries = w.nr;
    return copy_to_guest((void *)arg, &map, sizeof(map));
}

/* ---- The machine-to-physical table ---- */

static long machphys_mapping(guest_ptr_t arg)
{
    const struct xen_machphys_mapping mapping = {
        .v_start = MACH2PHYS_VIRT_START,
        .v_end = MACH2PHYS_VIRT_END,
        .max_mfn = MACH2PHYS_NR_ENTRIES - 1,
    };

    return copy_to_guest((void *)arg, &mapping, sizeof(mapping));
}

/* The frame that the hypervisor maps at va; frame 0 if there is none. */
static mfn_t mapped_frame(unsigned long va)
{
    const pte_t *table = idle_l4;

    for (unsigned int level = 4;; level--) {
        pte_t pte = table[pt_index(va, level)];
        unsigned long span = 1UL << (PAGE_SHIFT + 9 * (level - 1));

        if (!pte_present(pte))
            return _mfn(0);
        if (level == 1 || (level < 4 && pte_large(pte)))
            return _mfn(PFN_DOWN((pte_maddr(pte) & ~(span - 1)) + (va & (span - 1))));
        table = mfn_to_virt(pte_mfn(pte));
    }
}

/* One frame number for each 2 MiB of the table; where there is no RAM, that of the part before. */
static long machphys_mfn_list(guest_ptr_t arg)
{
    struct xen_machphys_mfn_list list;
    unsigned long parts = DIV_ROUND_UP(max_page * sizeof(unsigned long), MB(2));
    xen_pfn_t last = 0;
    unsigned long i;

    if (copy_from_guest(&list, (const void *)arg, sizeof(list)))
        return -EFAULT;
    for (i = 0; i < parts && i < list.max_extents; i++) {
        mfn_t mfn = mapped_frame(MACH2PHYS_VIRT_START + i * MB(2));

        if (mfn_x(mfn))
            last = mfn_x(mfn);
        if (copy_to_guest_offset(list.extent_start.p, i, &last, 1))
            return -EFAULT;
    }
    list.nr_extents = (unsigned int)i;
    return copy_to_guest((void *)arg, &list, sizeof(list));
}

long arch_memory_op(unsigned long cmd, guest_ptr_t arg)
{
    switch (cmd) {
    case XENMEM_set_memory_map:
        return set_memory_map(arg);
    case XENMEM_memory_map:
        return memory_map(arg);
    case XENMEM_machine_memory_map:
        return machine_memory_map(arg);
    case XENMEM_machphys_mapping:
        return machphys_mapping(arg);
    case XENMEM_machphys_mfn_list:
        return machphys_mfn_list(arg);
    case XENMEM_get_pod_target:
    case XENMEM_set_pod_target:
        return refuse_translated(arg, -EINVAL);
    case XENMEM_machphys_compat_mfn_list:
        return -EOPNOTSUPP;             /* of 32-bit guests */
    case XENMEM_get_sharing_freed_pages:
    case XENMEM_get_sharing_shared_pages:
        return 0;                       /* no pages are shared */
    default:
        return -ENOSYS;
    }
}
