/* SPDX-License-Identifier: MIT */
/*
 * XEN_DOMCTL_shadow_op for paravirtualized domains: the log of written pages is switched on and off, read
 * and cleaned. What takes long, making and freeing the log and the pool of shadow pages, is done in slices
 * before the mode begins and after it has ended. <xen/domctl.h>.
 */
#include <asm/pv_shadow.h>

#include <domus/arch.h>
#include <domus/dirty_log.h>
#include <domus/event.h>
#include <domus/lib.h>
#include <asm/current.h>
#include <asm/smp.h>

#define PAGES_A_MB (1UL << (20 - PAGE_SHIFT))
/* The longest bitmap that is served: 4 TiB of a guest's memory. */
#define MAX_LOG_PAGES (1UL << 30)

/* ---- On and off ---- */

/* Pages that the guest says it may have, within what one of its size can need: memory to come, holes for devices. */
static unsigned long log_pages(const struct domain *d)
{
    unsigned long most = d->tot_pages * 8UL + (1UL << (32 - PAGE_SHIFT));
    unsigned long wanted = max(READ_ONCE(d->shared_info->arch.max_pfn), (unsigned long)d->tot_pages);

    return min(min(wanted, most), MAX_LOG_PAGES);
}

/* All memory for the mode: 0, -ENOMEM or -ERESTART. */
static int prepare(struct domain *d)
{
    struct shadow *s = &d->arch.shadow;
    int rc;

    if (!s->spare)
        s->spare = dirty_log_new(log_pages(d));
    if (!s->spare)
        return -ENOMEM;
    rc = dirty_log_populate(s->spare);
    return rc ? rc : shadow_set_pool(d, max(s->total, shadow_wanted_pool(d)));
}

/* Frees it: 0 or -ERESTART. */
static int discard(struct domain *d)
{
    struct shadow *s = &d->arch.shadow;
    int rc = s->spare ? dirty_log_free(s->spare) : 0;

    if (rc)
        return rc;
    s->spare = NULL;
    rc = shadow_set_pool(d, 0);
    if (!rc)
        s->ending = 0;
    return rc;
}

static long enable(struct domain *d)
{
    struct shadow *s = &d->arch.shadow;
    int rc;

    if (d->dirty_log)
        return -EINVAL;
    if (!s->ending) {
        rc = prepare(d);
        if (rc == -ERESTART)
            return rc;
        s->ending = rc;
    }
    /* There was not enough memory, or the mode is still being left. */
    if (s->ending) {
        int why = s->ending;

        rc = discard(d);
        return rc ? rc : why;
    }
    domain_pause(d);
    shadow_start(d, s->spare);
    s->spare = NULL;
    domain_unpause(d);
    return 0;
}

static void take_interrupt(void *unused)
{
    (void)unused;
}

/* 0 or -ERESTART; the domain does not run until it is done. */
static int leave_mode(struct domain *d)
{
    struct shadow *s = &d->arch.shadow;
    int rc;

    if (!s->leaving)
        domain_pause(d);
    s->leaving = true;
    rc = shadow_clear(d);
    if (rc)
        return rc;
    s->spare = shadow_stop(d);
    s->leaving = false;
    domain_unpause(d);
    /* Whoever found the log is done with it: dirty_log_mark. */
    on_selected_cpus(&cpu_present_map, take_interrupt, NULL, true);
    s->ending = -EBUSY;
    return 0;
}

static long disable(struct domain *d)
{
    int rc = d->dirty_log ? leave_mode(d) : 0;

    return !rc && d->arch.shadow.ending ? discard(d) : rc;
}

int pv_log_dirty_relinquish(struct domain *d)
{
    int rc = d->dirty_log ? leave_mode(d) : 0;

    return rc ? rc : discard(d);
}

/* ---- Reading ---- */

/* Pages that the hypervisor writes at any moment, without a word to the log. */
static void mark_records(struct domain *d)
{
    struct vcpu *v;

    for_each_vcpu(d, v) {
        if (!mfn_eq(v->vcpu_info_mfn, INVALID_MFN))
            dirty_log_mark(d, v->vcpu_info_mfn);
    }
    evtchn_mark_dirty(d);
}

static long read_log(struct domain *d, struct xen_domctl_shadow_op *op, guest_ptr_t u_domctl)
{
    bool clean = op->op == XEN_DOMCTL_SHADOW_OP_CLEAN;
    const struct dirty_reader reader = { mfn_x(current->arch.guest_table), u_domctl, op->op };
    struct shadow *s = &d->arch.shadow;
    u64 written;
    int rc;

    if (op->mode & ~(u32)XEN_DOMCTL_SHADOW_LOGDIRTY_FINAL)
        return -EINVAL;
    if (!d->dirty_log)
        return -EINVAL;
    mark_records(d);
    op->pages = min(op->pages, (u64)MAX_LOG_PAGES);
    written = dirty_log_count(d->dirty_log);
    rc = dirty_log_read(d->dirty_log, &reader, clean, op->dirty_bitmap.p, op->pages);
    if (rc == -ERESTART || rc == -EBUSY)
        return rc;
    op->stats.fault_count = (u32)min(s->fault_count, (u64)~0u);
    op->stats.dirty_count = (u32)min(written, (u64)~0u);
    /* After the bits are gone: a page can be written only with its bit set. */
    if (clean) {
        shadow_revoke(d);
        s->fault_count = 0;
    }
    return rc;
}

/* ---- Dispatch ---- */

long pv_shadow_op(struct domain *d, struct xen_domctl_shadow_op *op, guest_ptr_t u_domctl)
{
    if (d == current->domain)
        return -EINVAL;
    if (d->is_dying != DOMDYING_ALIVE)
        return 0;
    if (!domain_vcpu(d, 0))
        return -EINVAL;
    switch (op->op) {
    case XEN_DOMCTL_SHADOW_OP_OFF:
        return disable(d);
    case XEN_DOMCTL_SHADOW_OP_ENABLE:
        if (op->mode != XEN_DOMCTL_SHADOW_ENABLE_LOG_DIRTY)
            return -EINVAL;
        fallthrough;
    case XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY:
        return enable(d);
    case XEN_DOMCTL_SHADOW_OP_CLEAN:
    case XEN_DOMCTL_SHADOW_OP_PEEK:
        return read_log(d, op, u_domctl);
    case XEN_DOMCTL_SHADOW_OP_GET_ALLOCATION:
        op->mb = (u32)DIV_ROUND_UP(d->arch.shadow.total, PAGES_A_MB);
        return 0;
    case XEN_DOMCTL_SHADOW_OP_SET_ALLOCATION:
        if (op->mb == 0 && d->dirty_log)
            return -EINVAL;
        return d->arch.shadow.ending ? -EBUSY : shadow_set_pool(d, op->mb * PAGES_A_MB);
    default:
        return -EINVAL;
    }
}
