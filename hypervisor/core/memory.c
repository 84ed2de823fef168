/* SPDX-License-Identifier: MIT */
/*
 * HYPERVISOR_memory_op: how much memory a domain has, and which frames. Interface: <xen/memory.h>.
 *
 * Operations on lists of extents stop when there is other work and go on where they were: the
 * number of extents done stands above the operation's number in the first argument.
 */
#include <domus/arch.h>
#include <domus/dirty_log.h>
#include <domus/guest_access.h>
#include <domus/heap.h>
#include <domus/hypercall.h>
#include <domus/lib.h>
#include <domus/trace.h>
#include <domus/vnuma.h>
#include <asm/current.h>
#include "grant.h"
#include "memory.h"

#define MEMOP_CMD_MASK      ((1UL << MEMOP_EXTENT_SHIFT) - 1)

#define MAX_ORDER_PRIVILEGED 18
#define MAX_ORDER_GUEST      9

unsigned int memory_max_order(const struct domain *caller)
{
    return caller->is_privileged ? MAX_ORDER_PRIVILEGED : MAX_ORDER_GUEST;
}

/*
 * Flags of a reservation as the allocator's. -EINVAL: asks for addresses below a page, or for
 * something that only translated guests have.
 */
int memory_flags(unsigned int mem_flags, unsigned int *memflags)
{
    unsigned int bits = XENMEMF_get_address_bits(mem_flags);

    *memflags = 0;
    if (mem_flags & XENMEMF_populate_on_demand)
        return -EINVAL;
    if (bits && bits < BITS_PER_LONG) {
        if (bits <= PAGE_SHIFT)
            return -EINVAL;
        *memflags |= MEMF_bits(bits);
    }
    /* There is one node; virtual ones are all on it. */
    if ((mem_flags & XENMEMF_exact_node_request) && !(mem_flags & XENMEMF_vnode) &&
        XENMEMF_get_node(mem_flags) != 0)
        return -EINVAL;
    return 0;
}

/* ---- Reservations ---- */

struct reservation {
    struct domain *d;
    xen_pfn_t *list;            /* the guest's, of extents; NULL: none wanted */
    unsigned long nr, done;
    unsigned int order, memflags;
    bool preempted;
};

static int remove_page(struct domain *d, unsigned long gmfn)
{
    struct page_info *pg = get_page_from_mfn(_mfn(gmfn), d);

    if (!pg)
        return -EINVAL;
    if (pg->count_info & PGC_hypervisor) {
        put_page(pg);
        return -EINVAL;
    }
    set_gpfn_from_mfn(_mfn(gmfn), INVALID_M2P_ENTRY);
    drop_allocated_ref(pg);
    put_page(pg);
    return 0;
}

/* Tells the guest where the extent's pages are; those that it cannot be told of it does not get. */
static int tell_extent(struct reservation *r, struct page_info *pg)
{
    xen_pfn_t mfn = mfn_x(page_to_mfn(pg));

    if (!r->list || !copy_to_guest_offset(r->list, r->done, &mfn, 1))
        return 0;
    for (unsigned long i = 0; i < 1UL << r->order; i++)
        (void)remove_page(r->d, mfn + i);
    return -EFAULT;
}

static int increase_one(struct reservation *r)
{
    struct page_info *pg = alloc_domain_pages(r->d, r->order, r->memflags, INVALID_M2P_ENTRY);

    return pg ? tell_extent(r, pg) : -ENOMEM;
}

static int populate_one(struct reservation *r)
{
    struct page_info *pg;
    xen_pfn_t gpfn, mfn;

    if (copy_from_guest_offset(&gpfn, r->list, r->done, 1))
        return -EFAULT;
    pg = alloc_domain_pages(r->d, r->order, r->memflags, gpfn);
    if (!pg)
        return -ENOMEM;
    mfn = mfn_x(page_to_mfn(pg));
    for (unsigned long i = 0; i < 1UL << r->order; i++)
        mark_dirty(r->d, _mfn(mfn + i));
    return tell_extent(r, pg);
}

static int decrease_one(struct reservation *r)
{
    xen_pfn_t gmfn;

    if (copy_from_guest_offset(&gmfn, r->list, r->done, 1))
        return -EFAULT;
    for (unsigned long i = 0; i < 1UL << r->order; i++)
        if (remove_page(r->d, gmfn + i))
            return -EINVAL;
    trace(TRC_MEM_DECREASE_RESERVATION, TRACE_64(gmfn), r->d->domain_id, r->order);
    return 0;
}

/* Returns the number of extents done in all, or asks to be called again. */
static long reservation_op(unsigned int op, unsigned long start, guest_ptr_t arg)
{
    int (*const one)(struct reservation *) =
        op == XENMEM_increase_reservation ? increase_one :
        op == XENMEM_decrease_reservation ? decrease_one : populate_one;
    struct xen_memory_reservation u;
    struct reservation r;
    unsigned int memflags = 0;
    int rc;

    if (copy_from_guest(&u, (void *)arg, sizeof(u)))
        return (long)start;
    if (start >= u.nr_extents || u.nr_extents > ~0UL >> MEMOP_EXTENT_SHIFT ||
        u.extent_order > memory_max_order(current->domain) ||
        (op != XENMEM_decrease_reservation && memory_flags(u.mem_flags, &memflags)))
        return (long)start;
    r = (struct reservation){ .list = u.extent_start.p, .nr = u.nr_extents, .done = start,
                              .order = u.extent_order, .memflags = memflags };
    if (!r.list && op != XENMEM_increase_reservation)
        return (long)start;
    r.d = get_remote_domain(u.domid, &rc);
    if (!r.d)
        return rc == -ESRCH ? (long)start : rc;

    for (; r.done < r.nr; r.done++) {
        if (r.done != start && hypercall_preempt_check()) {
            r.preempted = true;
            break;
        }
        if (one(&r))
            break;
    }
    put_domain(r.d);
    return r.preempted
           ? hypercall_create_continuation(__HYPERVISOR_memory_op, 2,
                                           op | r.done << MEMOP_EXTENT_SHIFT, arg)
           : (long)r.done;
}

/* ---- Questions about a domain ---- */

static long domain_size_op(unsigned int op, guest_ptr_t arg)
{
    struct xen_memory_domain u;
    struct domain *d;
    unsigned long pfns;
    long result;
    int rc;

    if (copy_from_guest(&u, (void *)arg, sizeof(u)))
        return -EFAULT;
    d = get_remote_domain(u.domid, &rc);
    if (!d)
        return rc;
    switch (op) {
    case XENMEM_current_reservation:
        result = d->tot_pages;
        break;
    case XENMEM_maximum_reservation:
        result = d->max_pages;
        break;
    default:
        pfns = READ_ONCE(d->shared_info->arch.max_pfn);
        result = pfns ? (long)((pfns - 1) & ~0UL >> 1) : 0;
    }
    put_domain(d);
    return result;
}

static long claim_op(guest_ptr_t arg)
{
    struct xen_memory_reservation u;
    struct domain *d;
    int rc;

    if (!current->domain->is_privileged)
        return -EPERM;
    if (copy_from_guest(&u, (void *)arg, sizeof(u)))
        return -EFAULT;
    if (u.extent_start.p || u.extent_order || u.mem_flags)
        return -EINVAL;
    d = get_domain_by_id(u.domid);
    if (!d)
        return -ESRCH;
    rc = domain_claim_pages(d, u.nr_extents);
    put_domain(d);
    return rc;
}

/* ---- Resources: frames of the hypervisor's that belong to a guest ---- */

static int resource_frame(struct domain *d, const struct xen_mem_acquire_resource *u,
                          unsigned long frame, mfn_t *mfn)
{
    return u->id == XENMEM_resource_grant_table_id_shared ? gnttab_shared_frame(d, frame, mfn)
                                                          : gnttab_status_frame(d, frame, mfn);
}

static long acquire_frames(struct domain *d, const struct xen_mem_acquire_resource *u,
                           unsigned long start, guest_ptr_t arg)
{
    for (unsigned long i = start; i < u->nr_frames; i++) {
        xen_pfn_t pfn;
        mfn_t mfn;
        int rc;

        if (i != start && hypercall_preempt_check())
            return hypercall_create_continuation(__HYPERVISOR_memory_op, 2,
                                                 XENMEM_acquire_resource | i << MEMOP_EXTENT_SHIFT,
                                                 arg);
        if (u->frame > UINT32_MAX)
            return -EINVAL;
        rc = resource_frame(d, u, u->frame + i, &mfn);
        if (rc)
            return rc;
        pfn = mfn_x(mfn);
        if (copy_to_guest_offset(u->frame_list.p, i, &pfn, 1))
            return -EFAULT;
    }
    return 0;
}

static long acquire_resource(unsigned long start, guest_ptr_t arg)
{
    struct xen_mem_acquire_resource u, *guest = (struct xen_mem_acquire_resource *)arg;
    struct domain *d;
    long rc;

    if (copy_from_guest(&u, guest, sizeof(u)))
        return -EFAULT;
    if (u.pad)
        return -EINVAL;
    /* Another domain's, as its tools or its stub domain; not one's own. */
    d = get_domain_by_id(u.domid);
    if (!d)
        return -ESRCH;
    if (d == current->domain || !is_priv_for(current->domain, d))
        rc = -EPERM;
    else if (!u.frame_list.p && u.nr_frames)
        rc = -EINVAL;
    else if (u.type == XENMEM_resource_ioreq_server || u.type == XENMEM_resource_vmtrace_buf)
        rc = -EINVAL;                   /* only guests that the processor virtualizes have them */
    else if (u.type != XENMEM_resource_grant_table)
        rc = -EOPNOTSUPP;
    else if (u.id > XENMEM_resource_grant_table_id_status)
        rc = -EINVAL;
    else if (u.frame_list.p)
        rc = acquire_frames(d, &u, start, arg);
    else {
        u.nr_frames = d->grant_table->max_frames;
        rc = copy_field_to_guest(guest, &u, nr_frames);
    }
    put_domain(d);
    return rc;
}

/* No device has memory of its own that must be mapped one to one: there is no IOMMU in use. */
static long reserved_device_memory(guest_ptr_t arg)
{
    struct xen_reserved_device_memory_map u;

    if (copy_from_guest(&u, (void *)arg, sizeof(u)))
        return -EFAULT;
    if (u.flags & ~(uint32_t)XENMEM_RDM_ALL)
        return -EINVAL;
    u.nr_entries = 0;
    return copy_field_to_guest((struct xen_reserved_device_memory_map *)arg, &u, nr_entries);
}

/* Only guests whose frames are translated have a map to change, or pages that come on demand. */
long refuse_translated(guest_ptr_t arg, int error)
{
    struct domain *d;
    domid_t domid;
    int rc;

    if (copy_from_guest(&domid, (const void *)arg, sizeof(domid)))
        return -EFAULT;
    d = get_remote_domain(domid, &rc);
    if (!d)
        return rc;
    put_domain(d);
    return error;
}

long do_memory_op(unsigned long cmd, guest_ptr_t arg)
{
    unsigned int op = cmd & MEMOP_CMD_MASK;
    unsigned long start = cmd >> MEMOP_EXTENT_SHIFT;

    switch (op) {
    case XENMEM_increase_reservation:
    case XENMEM_decrease_reservation:
    case XENMEM_populate_physmap:
        return reservation_op(op, start, arg);
    case XENMEM_acquire_resource:
        return acquire_resource(start, arg);
    }
    if (start)
        return -EINVAL;

    switch (op) {
    case XENMEM_exchange:
        return memory_exchange(arg);
    case XENMEM_maximum_ram_page:
        return (long)max_page;
    case XENMEM_current_reservation:
    case XENMEM_maximum_reservation:
    case XENMEM_maximum_gpfn:
        return domain_size_op(op, arg);
    case XENMEM_claim_pages:
        return claim_op(arg);
    case XENMEM_get_vnumainfo:
        return vnuma_get(arg);
    case XENMEM_reserved_device_memory_map:
        return current->domain->is_privileged ? reserved_device_memory(arg) : -EPERM;
    case XENMEM_add_to_physmap:
    case XENMEM_add_to_physmap_batch:
    case XENMEM_remove_from_physmap:
        return refuse_translated(arg, -EACCES);
    default:
        return arch_memory_op(cmd, arg);
    }
}
