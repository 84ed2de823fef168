/* SPDX-License-Identifier: MIT */
/*
 * GNTTABOP_copy: the hypervisor copies between pages that the caller owns or was granted. Back ends
 * copy many pieces from one page in a row, so each side's page is kept until another is named.
 */
#include "grant.h"

#include <domus/dirty_log.h>
#include <domus/guest_access.h>
#include <domus/hypercall.h>
#include <domus/string.h>
#include <asm/current.h>

/* One side of a copy: what it names, and the page held for it. */
struct copy_side {
    struct gnttab_copy_ptr ptr;
    bool is_ref, write;
    struct page_info *page;         /* NULL: nothing is held */
    struct domain *granter;         /* referenced, of a grant */
};

static void side_release(struct copy_side *s)
{
    if (!s->page)
        return;
    if (s->write)
        mark_dirty(s->is_ref ? s->granter : current->domain, page_to_mfn(s->page));
    gnttab_put_page(s->page, s->write);
    s->page = NULL;
    if (s->is_ref) {
        gnttab_unpin(s->granter, s->ptr.u.ref, s->write);
        put_domain(s->granter);
    }
}

static bool side_matches(const struct copy_side *s, const struct gnttab_copy_ptr *ptr, bool is_ref)
{
    return s->page && s->is_ref == is_ref && s->ptr.domid == ptr->domid &&
           (is_ref ? s->ptr.u.ref == ptr->u.ref : s->ptr.u.gmfn == ptr->u.gmfn);
}

static int take_granted(struct copy_side *s, struct domain *d)
{
    struct domain *granter = get_domain_any(s->ptr.domid);
    int rc = GNTST_bad_domain;

    if (!granter)
        return rc;
    if (granter->grant_table && !granter->is_dying)
        rc = gnttab_pin(granter, s->ptr.u.ref, d->domain_id, s->write, &s->page);
    if (rc == GNTST_okay) {
        s->granter = granter;
    } else {
        s->page = NULL;
        put_domain(granter);
    }
    return rc;
}

static int take_own(struct copy_side *s, struct domain *d)
{
    struct page_info *pg;

    if (s->ptr.domid != DOMID_SELF)
        return GNTST_permission_denied;
    pg = get_page_from_mfn(_mfn(s->ptr.u.gmfn), d);
    if (pg && s->write && !get_page_type(pg, PGT_writable_page)) {
        put_page(pg);
        pg = NULL;
    }
    s->page = pg;
    return pg ? GNTST_okay : GNTST_bad_page;
}

/* Hold the page that ptr names, unless it is held already. */
static int side_take(struct copy_side *s, struct domain *d, const struct gnttab_copy_ptr *ptr,
                     bool is_ref)
{
    if (side_matches(s, ptr, is_ref))
        return GNTST_okay;
    side_release(s);
    s->ptr = *ptr;
    s->is_ref = is_ref;
    return is_ref ? take_granted(s, d) : take_own(s, d);
}

static int copy_one(struct domain *d, const struct gnttab_copy *op, struct copy_side *src,
                    struct copy_side *dst)
{
    int rc;

    if (op->source.offset + op->len > PAGE_SIZE || op->dest.offset + op->len > PAGE_SIZE)
        return GNTST_bad_copy_arg;
    rc = side_take(src, d, &op->source, op->flags & GNTCOPY_source_gref);
    if (rc == GNTST_okay)
        rc = side_take(dst, d, &op->dest, op->flags & GNTCOPY_dest_gref);
    if (rc == GNTST_okay)
        memmove((char *)page_to_virt(dst->page) + op->dest.offset,
                (const char *)page_to_virt(src->page) + op->source.offset, op->len);
    return rc;
}

/* Does elements from *done on; counts them there. 0, -EFAULT or -ERESTART. */
long gnttab_copy_batch(struct gnttab_copy *uop, unsigned int count, unsigned int *done)
{
    struct copy_side src = { .write = false }, dst = { .write = true };
    struct gnttab_copy op;
    long rc = 0;

    while (!rc && *done < count) {
        if (*done && hypercall_preempt_check()) {
            rc = -ERESTART;
        } else if (copy_from_guest_offset(&op, uop, *done, 1)) {
            rc = -EFAULT;
        } else {
            op.status = (s16)copy_one(current->domain, &op, &src, &dst);
            if (copy_field_to_guest(uop + *done, &op, status))
                rc = -EFAULT;
            else
                (*done)++;
        }
    }
    side_release(&src);
    side_release(&dst);
    return rc;
}
