/* SPDX-License-Identifier: MIT */
/*
 * HYPERVISOR_grant_table_op: each operation takes an array, is done element by element, and can be
 * stopped between two of them. Specification: xen/grant_table.h.
 */
#include "grant.h"

#include <domus/guest_access.h>
#include <domus/hypercall.h>
#include <domus/lib.h>
#include <asm/current.h>

#define UNMAP_BATCH 32              /* unmapped with one TLB flush */

/* Progress through an array: elements done, and the answer that ends the operation if not 0. */

static long op_map(struct gnttab_map_grant_ref *uop, unsigned int count, unsigned int *done)
{
    struct gnttab_map_grant_ref op;

    for (; *done < count; (*done)++) {
        if (*done && hypercall_preempt_check())
            return -ERESTART;
        if (copy_from_guest_offset(&op, uop, *done, 1))
            return -EFAULT;
        gnttab_map_one(current->domain, &op);
        if (copy_to_guest_offset(uop, *done, &op, 1))
            return -EFAULT;
    }
    return 0;
}

/* Both kinds of unmapping: read an element, take the mapping away, write its status. */
static long unmap_element(unsigned int cmd, guest_ptr_t uop, unsigned int i, struct unmap_rest *rest)
{
    struct domain *d = current->domain;

    if (cmd == GNTTABOP_unmap_grant_ref) {
        struct gnttab_unmap_grant_ref *p = (void *)uop, op;

        if (copy_from_guest_offset(&op, p, i, 1))
            return -EFAULT;
        op.status = (s16)gnttab_unmap_one(d, op.handle, op.host_addr, op.dev_bus_addr, 0, rest);
        return copy_field_to_guest(p + i, &op, status);
    } else {
        struct gnttab_unmap_and_replace *p = (void *)uop, op;

        if (copy_from_guest_offset(&op, p, i, 1))
            return -EFAULT;
        op.status = op.new_addr ? (s16)gnttab_unmap_one(d, op.handle, op.host_addr, 0, op.new_addr,
                                                        rest)
                                : GNTST_bad_virt_addr;
        return copy_field_to_guest(p + i, &op, status);
    }
}

static long op_unmap(unsigned int cmd, guest_ptr_t uop, unsigned int count, unsigned int *done)
{
    while (*done < count) {
        unsigned int nr = min(count - *done, (unsigned int)UNMAP_BATCH), i = 0;
        struct unmap_rest rest[UNMAP_BATCH];
        long rc = 0;

        if (*done && hypercall_preempt_check())
            return -ERESTART;
        while (!rc && i < nr) {
            rest[i].entry = NULL;
            rc = unmap_element(cmd, uop, *done + i, &rest[i]);
            i++;
        }
        gnttab_unmap_finish(current->domain, rest, i);
        if (rc)
            return rc;
        *done += nr;
    }
    return 0;
}

/* The domain that a table operation names, referenced, or NULL with *status. */
static struct domain *table_owner(domid_t domid, s16 *status)
{
    int rc = 0;
    struct domain *d = get_remote_domain(domid, &rc);

    if (d && d->grant_table)
        return d;
    if (d)
        put_domain(d);
    *status = rc == -EPERM ? GNTST_permission_denied : GNTST_bad_domain;
    return NULL;
}

static long fill_frame_list(struct domain *d, const struct gnttab_setup_table *op)
{
    for (unsigned int i = 0; i < op->nr_frames; i++) {
        xen_pfn_t pfn = mfn_x(virt_to_mfn(d->grant_table->shared[i]));

        if (copy_to_guest_offset(op->frame_list.p, i, &pfn, 1))
            return -EFAULT;
    }
    return 0;
}

static long op_setup_table(struct gnttab_setup_table *uop, unsigned int count)
{
    struct gnttab_setup_table op;
    struct domain *d;
    long rc = 0;

    if (count != 1)
        return -EINVAL;
    if (copy_from_guest(&op, uop, sizeof(op)))
        return -EFAULT;

    d = table_owner(op.dom, &op.status);
    if (d) {
        op.status = gnttab_grow(d, op.nr_frames) ? GNTST_general_error : GNTST_okay;
        if (op.status == GNTST_okay)
            rc = fill_frame_list(d, &op);
        put_domain(d);
    }
    if (!rc)
        rc = copy_field_to_guest(uop, &op, status);
    return rc;
}

static long op_query_size(struct gnttab_query_size *uop, unsigned int count)
{
    struct gnttab_query_size op;
    struct domain *d;

    if (count != 1)
        return -EINVAL;
    if (copy_from_guest(&op, uop, sizeof(op)))
        return -EFAULT;
    d = table_owner(op.dom, &op.status);
    if (d) {
        op.nr_frames = READ_ONCE(d->grant_table->nr_frames);
        op.max_nr_frames = d->grant_table->max_frames;
        op.status = GNTST_okay;
        put_domain(d);
    }
    return copy_to_guest(uop, &op, sizeof(op));
}

/* Only version 1. Guests that ask for 2 go on with 1 when this fails. */
static long op_set_version(struct gnttab_set_version *uop)
{
    struct gnttab_set_version op;
    long rc;

    if (copy_from_guest(&op, uop, sizeof(op)))
        return -EFAULT;
    rc = op.version == 1 ? 0 : op.version == 2 ? -ENOSYS : -EINVAL;
    op.version = 1;
    return copy_to_guest(uop, &op, sizeof(op)) ? -EFAULT : rc;
}

static long op_get_version(struct gnttab_get_version *uop)
{
    struct gnttab_get_version op;
    struct domain *d;
    int rc = 0;

    if (copy_from_guest(&op, uop, sizeof(op)))
        return -EFAULT;
    d = get_remote_domain(op.dom, &rc);
    if (!d)
        return rc;
    put_domain(d);
    op.version = 1;
    return copy_field_to_guest(uop, &op, version);
}

/* Version 1 of the table has no status frames. */
static long op_get_status_frames(struct gnttab_get_status_frames *uop, unsigned int count)
{
    struct gnttab_get_status_frames op;
    struct domain *d;

    if (count != 1)
        return -EINVAL;
    if (copy_from_guest(&op, uop, sizeof(op)))
        return -EFAULT;
    d = table_owner(op.dom, &op.status);
    if (d) {
        op.status = GNTST_general_error;
        put_domain(d);
    }
    return copy_field_to_guest(uop, &op, status);
}

static long op_swap(struct gnttab_swap_grant_ref *uop, unsigned int count, unsigned int *done)
{
    struct gnttab_swap_grant_ref op;

    for (; *done < count; (*done)++) {
        if (*done && hypercall_preempt_check())
            return -ERESTART;
        if (copy_from_guest_offset(&op, uop, *done, 1))
            return -EFAULT;
        op.status = (s16)gnttab_swap(current->domain, op.ref_a, op.ref_b);
        if (copy_field_to_guest(uop + *done, &op, status))
            return -EFAULT;
    }
    return 0;
}

/* Devices see what is in the caches on every machine served, so a valid request needs no work. */
static long op_cache_flush(struct gnttab_cache_flush *uop, unsigned int count, unsigned int *done)
{
    struct gnttab_cache_flush op;

    for (; *done < count; (*done)++) {
        if (*done && hypercall_preempt_check())
            return -ERESTART;
        if (copy_from_guest_offset(&op, uop, *done, 1))
            return -EFAULT;
        if (op.op & GNTTAB_CACHE_SOURCE_GREF)
            return -EOPNOTSUPP;
        if (op.op & ~(GNTTAB_CACHE_CLEAN | GNTTAB_CACHE_INVAL) ||
            op.offset + op.length > PAGE_SIZE)
            return -EINVAL;
        if (op.op == GNTTAB_CACHE_INVAL)    /* would throw away what was written */
            return -EOPNOTSUPP;
    }
    return 0;
}

/* Size of an element of the operations that can be stopped; 0 for the others. */
static const u8 element_size[] = {
    [GNTTABOP_map_grant_ref]     = sizeof(struct gnttab_map_grant_ref),
    [GNTTABOP_unmap_grant_ref]   = sizeof(struct gnttab_unmap_grant_ref),
    [GNTTABOP_unmap_and_replace] = sizeof(struct gnttab_unmap_and_replace),
    [GNTTABOP_copy]              = sizeof(struct gnttab_copy),
    [GNTTABOP_swap_grant_ref]    = sizeof(struct gnttab_swap_grant_ref),
    [GNTTABOP_cache_flush]       = sizeof(struct gnttab_cache_flush),
};

static long run_op(unsigned int cmd, guest_ptr_t uop, unsigned int count, unsigned int *done)
{
    switch (cmd) {
    case GNTTABOP_map_grant_ref:
        return op_map((void *)uop, count, done);
    case GNTTABOP_unmap_grant_ref:
    case GNTTABOP_unmap_and_replace:
        return op_unmap(cmd, uop, count, done);
    case GNTTABOP_copy:
        return gnttab_copy_batch((void *)uop, count, done);
    case GNTTABOP_swap_grant_ref:
        return op_swap((void *)uop, count, done);
    case GNTTABOP_cache_flush:
        return op_cache_flush((void *)uop, count, done);
    case GNTTABOP_setup_table:
        return op_setup_table((void *)uop, count);
    case GNTTABOP_query_size:
        return op_query_size((void *)uop, count);
    case GNTTABOP_set_version:
        return op_set_version((void *)uop);
    case GNTTABOP_get_version:
        return op_get_version((void *)uop);
    case GNTTABOP_get_status_frames:
        return op_get_status_frames((void *)uop, count);
    case GNTTABOP_transfer:     /* given up by guests long ago */
        return -EOPNOTSUPP;
    default:
        return -ENOSYS;
    }
}

long do_grant_table_op(unsigned int cmd, guest_ptr_t uop, unsigned int count)
{
    unsigned int done = 0;
    long rc;

    if ((int)count < 0)
        return -EINVAL;
    rc = run_op(cmd, uop, count, &done);
    if (rc == -ERESTART)
        rc = hypercall_create_continuation(__HYPERVISOR_grant_table_op, 3, (unsigned long)cmd,
                                           uop + (unsigned long)done * element_size[cmd],
                                           (unsigned long)(count - done));
    return rc;
}
