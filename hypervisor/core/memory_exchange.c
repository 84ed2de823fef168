/* SPDX-License-Identifier: MIT */
/*
 * XENMEM_exchange: a domain gives frames and gets as many others, in extents of another size or
 * below an address: memory for DMA. Interface: <xen/memory.h>.
 *
 * Work is done in chunks of the larger of the two sizes. A chunk is taken whole, the new frames are
 * allocated, and only then is anything given back, so that a failure leaves the domain what it had.
 */
#include <domus/arch.h>
#include <domus/dirty_log.h>
#include <domus/guest_access.h>
#include <domus/heap.h>
#include <domus/lib.h>
#include <asm/current.h>
#include "memory.h"

struct exchange {
    struct domain *d;
    struct xen_memory_exchange u;
    unsigned int in_chunk, out_chunk;   /* log2 of the extents in a chunk */
    unsigned int memflags;
    struct list_head taken;             /* frames that the domain has given, one by one */
    struct list_head fresh;             /* first frames of the new extents */
};

static int check_exchange(struct exchange *x)
{
    const struct xen_memory_reservation *in = &x->u.in, *out = &x->u.out;

    if (in->domid != out->domid || x->u.nr_exchanged > in->nr_extents ||
        in->extent_order >= BITS_PER_LONG || out->extent_order >= BITS_PER_LONG)
        return -EINVAL;
    if (max(in->extent_order, out->extent_order) > memory_max_order(current->domain))
        return -EPERM;
    if (in->nr_extents > ~0UL >> in->extent_order ||
        out->nr_extents > ~0UL >> out->extent_order ||
        in->nr_extents << in->extent_order != out->nr_extents << out->extent_order)
        return -EINVAL;
    if (in->extent_order <= out->extent_order) {
        x->in_chunk = out->extent_order - in->extent_order;
        x->out_chunk = 0;
    } else {
        x->in_chunk = 0;
        x->out_chunk = in->extent_order - out->extent_order;
    }
    if (x->u.nr_exchanged & ((1UL << x->in_chunk) - 1) ||
        in->nr_extents & ((1UL << x->in_chunk) - 1))
        return -EINVAL;
    return memory_flags(out->mem_flags, &x->memflags);
}

static int take_chunk(struct exchange *x, unsigned long chunk)
{
    for (unsigned long i = 0; i < 1UL << x->in_chunk; i++) {
        xen_pfn_t gmfn;

        if (copy_from_guest_offset(&gmfn, x->u.in.extent_start.p, (chunk << x->in_chunk) + i, 1))
            return -EFAULT;
        for (unsigned long k = 0; k < 1UL << x->u.in.extent_order; k++) {
            struct page_info *pg = get_page_from_mfn(_mfn(gmfn + k), x->d);

            if (!pg)
                return -EINVAL;
            if (!take_page(x->d, pg)) {
                put_page(pg);
                return -EINVAL;
            }
            list_add_tail(&pg->list, &x->taken);
        }
    }
    return 0;
}

static int allocate_chunk(struct exchange *x)
{
    for (unsigned long i = 0; i < 1UL << x->out_chunk; i++) {
        struct page_info *pg = alloc_pages(x->u.out.extent_order, x->memflags);

        if (!pg)
            return -ENOMEM;
        list_add_tail(&pg->list, &x->fresh);
    }
    return 0;
}

/* The domain keeps its frames; if it is dying, they are free. */
static void undo_chunk(struct exchange *x)
{
    struct page_info *pg, *next;

    list_for_each_entry_safe(pg, next, &x->fresh, list) {
        list_del(&pg->list);
        free_pages(pg, x->u.out.extent_order);
    }
    list_for_each_entry_safe(pg, next, &x->taken, list) {
        list_del(&pg->list);
        if (!give_pages(x->d, pg, 1))
            free_guest_pages(pg, 0);
    }
}

static int commit_chunk(struct exchange *x, unsigned long chunk)
{
    unsigned int order = x->u.out.extent_order;
    unsigned long i = chunk << x->out_chunk;
    struct page_info *pg, *next;
    int rc = 0;

    list_for_each_entry_safe(pg, next, &x->taken, list) {
        list_del(&pg->list);
        set_gpfn_from_mfn(page_to_mfn(pg), INVALID_M2P_ENTRY);
        free_guest_pages(pg, 0);
    }
    list_for_each_entry_safe(pg, next, &x->fresh, list) {
        xen_pfn_t gpfn, mfn = mfn_x(page_to_mfn(pg));

        list_del(&pg->list);
        if (copy_from_guest_offset(&gpfn, x->u.out.extent_start.p, i, 1)) {
            gpfn = INVALID_M2P_ENTRY;
            rc = -EFAULT;
        }
        number_pages(pg, 1u << order, gpfn);
        if (!give_pages(x->d, pg, 1u << order)) {
            number_pages(pg, 1u << order, INVALID_M2P_ENTRY);
            free_pages(pg, order);
            rc = -EINVAL;
        } else {
            for (unsigned long k = 0; k < 1UL << order; k++)
                mark_dirty(x->d, _mfn(mfn + k));
            if (copy_to_guest_offset(x->u.out.extent_start.p, i, &mfn, 1))
                rc = -EFAULT;
        }
        i++;
    }
    return rc;
}

static long exchange_chunks(struct exchange *x, struct xen_memory_exchange *guest)
{
    unsigned long first = x->u.nr_exchanged >> x->in_chunk;
    unsigned long nr = x->u.in.nr_extents >> x->in_chunk;

    for (unsigned long chunk = first; chunk < nr; chunk++) {
        int rc;

        x->u.nr_exchanged = chunk << x->in_chunk;
        if (chunk != first && hypercall_preempt_check())
            return copy_field_to_guest(guest, &x->u, nr_exchanged)
                   ? -EFAULT : hypercall_create_continuation(__HYPERVISOR_memory_op, 2,
                                                             (unsigned long)XENMEM_exchange,
                                                             (unsigned long)guest);
        rc = take_chunk(x, chunk);
        if (!rc)
            rc = allocate_chunk(x);
        if (rc)
            undo_chunk(x);
        else
            rc = commit_chunk(x, chunk);
        if (rc)
            return copy_field_to_guest(guest, &x->u, nr_exchanged) ? -EFAULT : rc;
    }
    x->u.nr_exchanged = x->u.in.nr_extents;
    return copy_field_to_guest(guest, &x->u, nr_exchanged);
}

long memory_exchange(guest_ptr_t arg)
{
    struct xen_memory_exchange *guest = (struct xen_memory_exchange *)arg;
    struct exchange x;
    long rc;
    int err;

    if (copy_from_guest(&x.u, guest, sizeof(x.u)))
        return -EFAULT;
    rc = check_exchange(&x);
    if (rc)
        return rc;
    x.d = get_remote_domain(x.u.in.domid, &err);
    if (!x.d)
        return err;
    INIT_LIST_HEAD(&x.taken);
    INIT_LIST_HEAD(&x.fresh);
    rc = exchange_chunks(&x, guest);
    put_domain(x.d);
    return rc;
}
