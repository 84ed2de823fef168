/* SPDX-License-Identifier: MIT */
/*
 * Event channels: ports, their allocation and end, delivery of events, virtual and physical
 * interrupts. The hypercall's operations are in evtchn_op.c.
 * Specification: xen/event_channel.h.
 */
#include "evtchn.h"

#include <domus/arch.h>
#include <domus/hypercall.h>
#include <domus/irq.h>
#include <domus/sched.h>
#include <domus/xmalloc.h>
#include <asm/current.h>

#define PREEMPT_EVERY 64        /* ports closed between two looks for other work */

/* ---- Ports ---- */

struct evtchn *evtchn_from_port(const struct domain *d, unsigned int port)
{
    unsigned int valid = smp_load_acquire(&d->evtchn.valid_ports);
    unsigned long p = port;

    if (p >= valid)
        return NULL;
    p = array_index_nospec(p, valid);
    return &d->evtchn.bucket[p / EVTCHN_BUCKET_PORTS][p % EVTCHN_BUCKET_PORTS];
}

static int add_bucket(struct domain *d)
{
    struct evtchn_domain *e = &d->evtchn;
    unsigned int first = e->valid_ports;
    struct evtchn *chn = xzalloc_array(struct evtchn, EVTCHN_BUCKET_PORTS);

    if (!chn)
        return -ENOMEM;
    for (unsigned int i = 0; i < EVTCHN_BUCKET_PORTS; i++) {
        spin_lock_init(&chn[i].lock, RANK_EVENT_CHANNEL);
        chn[i].port = first + i;
    }
    e->bucket[first / EVTCHN_BUCKET_PORTS] = chn;
    smp_store_release(&e->valid_ports, first + EVTCHN_BUCKET_PORTS);
    return 0;
}

struct evtchn *evtchn_get_free(struct domain *d)
{
    struct evtchn_domain *e = &d->evtchn;
    unsigned int limit = min(e->max_port, e->ops->max_ports - 1);
    bool passed_busy = false;
    int rc;

    if (d->is_dying)
        return ERR_PTR(-EINVAL);

    for (unsigned int port = e->free_hint; port <= limit; port++) {
        struct evtchn *chn;

        if (port >= e->valid_ports) {
            rc = add_bucket(d);
            if (rc)
                return ERR_PTR(rc);
        }
        chn = evtchn_from_port(d, port);
        if (READ_ONCE(chn->state) != ECS_FREE)
            continue;
        if (e->ops->is_busy(d, chn)) {
            passed_busy = true;
            continue;
        }
        if (!passed_busy)
            e->free_hint = port;
        return chn;
    }
    return ERR_PTR(-ENOSPC);
}

void evtchn_set_state(struct domain *d, struct evtchn *chn, enum evtchn_state state)
{
    ASSERT(chn->state == ECS_FREE);
    chn->priority = EVTCHN_FIFO_PRIORITY_DEFAULT;
    chn->raised_early = false;
    WRITE_ONCE(chn->state, state);
    WRITE_ONCE(d->evtchn.active, d->evtchn.active + 1);
}

/* The channel is closed, its other relations are gone; d->evtchn.lock and the channel's are held. */
static void free_channel(struct domain *d, struct evtchn *chn)
{
    d->evtchn.ops->clear_pending(d, chn);
    chn->raised_early = false;
    chn->notify_vcpu_id = 0;
    WRITE_ONCE(chn->state, ECS_FREE);
    WRITE_ONCE(d->evtchn.active, d->evtchn.active - 1);
    if (chn->port < d->evtchn.free_hint)
        d->evtchn.free_hint = chn->port;
}

void evtchn_lock_pair(struct evtchn *a, struct evtchn *b)
{
    struct evtchn *first = a < b ? a : b, *second = a < b ? b : a;

    spin_lock(&first->lock);
    if (first != second)
        spin_lock_same_rank(&second->lock);
}

void evtchn_unlock_pair(struct evtchn *a, struct evtchn *b)
{
    spin_unlock(&a->lock);
    if (a != b)
        spin_unlock(&b->lock);
}

/*
 * Cut a pair: the other end waits again to be bound, this one is freed. Nothing is done, and false
 * returned, if the other end is not what it was when the locks were not held.
 */
static bool close_pair(struct domain *d, struct evtchn *chn, struct domain *rd, struct evtchn *rchn)
{
    unsigned long flags;
    bool same;

    local_irq_save(flags);
    evtchn_lock_pair(chn, rchn);
    same = chn->state == ECS_INTERDOMAIN && chn->u.remote.dom == rd &&
           chn->u.remote.port == rchn->port;
    if (same) {
        if (rchn != chn) {
            WRITE_ONCE(rchn->state, ECS_UNBOUND);
            rchn->u.remote_domid = d->domain_id;
        }
        free_channel(d, chn);
    }
    evtchn_unlock_pair(chn, rchn);
    local_irq_restore(flags);
    return same;
}

/*
 * While the channel's lock is held the remote domain cannot go away; the reference, *rd, keeps it
 * while both locks are taken in their order, until the caller drops it with no lock held.
 * -EAGAIN if the other end changed meanwhile.
 */
static int close_interdomain(struct domain *d, struct evtchn *chn, struct domain **rd)
{
    unsigned int rport = 0;
    unsigned long flags;

    spin_lock_irqsave(&chn->lock, flags);
    if (chn->state == ECS_INTERDOMAIN) {
        *rd = chn->u.remote.dom;
        rport = chn->u.remote.port;
        get_knownalive_domain(*rd);
    }
    spin_unlock_irqrestore(&chn->lock, flags);

    return *rd && close_pair(d, chn, *rd, evtchn_from_port(*rd, rport)) ? 0 : -EAGAIN;
}

static void unbind_pirq(struct domain *d, unsigned int pirq)
{
    struct evtchn_domain *e = &d->evtchn;

    arch_pirq_unbind(d, pirq);
    WRITE_ONCE(e->pirq_port[pirq], 0);
    while (e->pirq_limit && !e->pirq_port[e->pirq_limit - 1])
        e->pirq_limit--;
}

int evtchn_close_locked(struct domain *d, struct evtchn *chn, struct domain **rd)
{
    unsigned long flags;
    int rc = 0;

    switch (READ_ONCE(chn->state)) {
    case ECS_FREE:
    case ECS_RESERVED:
        return -EINVAL;

    case ECS_INTERDOMAIN:
        return close_interdomain(d, chn, rd);

    case ECS_PIRQ:
        unbind_pirq(d, chn->u.pirq);
        break;

    case ECS_VIRQ: {
        struct vcpu *v = d->vcpu[virq_is_global(chn->u.virq) ? 0 : chn->notify_vcpu_id];

        WRITE_ONCE(v->virq_to_evtchn[chn->u.virq], 0);
        break;
    }
    }

    spin_lock_irqsave(&chn->lock, flags);
    if (chn->state == ECS_INTERDOMAIN)      /* somebody has just bound to it */
        rc = -EAGAIN;
    else
        free_channel(d, chn);
    spin_unlock_irqrestore(&chn->lock, flags);
    return rc;
}

int evtchn_close_port(struct domain *d, unsigned int port)
{
    struct evtchn *chn = evtchn_from_port(d, port);
    int rc;

    if (!chn)
        return -EINVAL;
    do {
        struct domain *rd = NULL;

        spin_lock(&d->evtchn.lock);
        rc = evtchn_close_locked(d, chn, &rd);
        spin_unlock(&d->evtchn.lock);
        if (rd)
            put_domain(rd);
    } while (rc == -EAGAIN);
    return rc;
}

/* ---- Delivery ---- */

void vcpu_mark_events_pending(struct vcpu *v)
{
    if (xchg(&v->vcpu_info->evtchn_upcall_pending, 1))
        return;
    vcpu_unblock(v);
    vcpu_kick(v);
}

bool vcpu_events_pending(const struct vcpu *v)
{
    const struct vcpu_info *info = v->vcpu_info;

    return READ_ONCE(info->evtchn_upcall_pending) && !READ_ONCE(info->evtchn_upcall_mask);
}

void evtchn_raise(struct domain *d, struct evtchn *chn)
{
    struct vcpu *v = d->vcpu ? d->vcpu[READ_ONCE(chn->notify_vcpu_id)] : NULL;
    const struct evtchn_ops *ops = smp_load_acquire(&d->evtchn.ops), *now;

    if (!v)
        return;
    ops->set_pending(v, chn);
    /* A domain that goes over to the FIFO ABI may have looked for pending events already. */
    now = smp_load_acquire(&d->evtchn.ops);
    if (unlikely(now != ops))
        now->set_pending(v, chn);
    sched_poll_notify(d, chn->port);
}

int evtchn_send(struct domain *d, unsigned int port)
{
    struct evtchn *chn = evtchn_from_port(d, port);
    unsigned long flags;
    int rc = 0;

    if (!chn)
        return -EINVAL;

    spin_lock_irqsave(&chn->lock, flags);
    switch (chn->state) {
    case ECS_INTERDOMAIN:
        evtchn_raise(chn->u.remote.dom, evtchn_from_port(chn->u.remote.dom, chn->u.remote.port));
        break;
    case ECS_IPI:
        evtchn_raise(d, chn);
        break;
    case ECS_UNBOUND:           /* nobody listens yet; the binder looks for itself */
        break;
    default:
        rc = -EINVAL;
    }
    spin_unlock_irqrestore(&chn->lock, flags);
    return rc;
}

bool evtchn_port_valid(const struct domain *d, unsigned int port)
{
    return port && evtchn_from_port(d, port);
}

bool evtchn_port_pending(const struct domain *d, unsigned int port)
{
    struct evtchn *chn = evtchn_from_port(d, port);
    unsigned long flags;
    bool pending;

    if (!chn)
        return false;
    spin_lock_irqsave(&chn->lock, flags);
    pending = evtchn_in_use(chn) && d->evtchn.ops->is_pending(d, chn);
    spin_unlock_irqrestore(&chn->lock, flags);
    return pending;
}

/* ---- Virtual and physical interrupts ---- */

bool virq_is_global(unsigned int virq)
{
    switch (virq) {
    case VIRQ_TIMER:
    case VIRQ_DEBUG:
    case VIRQ_XENOPROF:
    case VIRQ_XENPMU:
        return false;
    default:
        return true;
    }
}

/* Raise port if it still is what the caller's table said; a table entry may be just out of date. */
static bool raise_if(struct domain *d, unsigned int port, enum evtchn_state state, u32 number)
{
    struct evtchn *chn = port ? evtchn_from_port(d, port) : NULL;
    unsigned long flags;
    bool match;

    if (!chn)
        return false;
    spin_lock_irqsave(&chn->lock, flags);
    match = chn->state == state && (state == ECS_PIRQ ? chn->u.pirq : chn->u.virq) == number;
    if (match)
        evtchn_raise(d, chn);
    spin_unlock_irqrestore(&chn->lock, flags);
    return match;
}

void send_guest_vcpu_virq(struct vcpu *v, uint32_t virq)
{
    ASSERT(!virq_is_global(virq));
    raise_if(v->domain, READ_ONCE(v->virq_to_evtchn[virq]), ECS_VIRQ, virq);
}

void send_guest_global_virq(struct domain *d, uint32_t virq)
{
    struct vcpu *v = d && d->vcpu && d->max_vcpus ? d->vcpu[0] : NULL;

    ASSERT(virq_is_global(virq));
    if (v)
        raise_if(d, READ_ONCE(v->virq_to_evtchn[virq]), ECS_VIRQ, virq);
}

bool send_guest_pirq(struct domain *d, unsigned int pirq)
{
    const u32 *table = smp_load_acquire(&d->evtchn.pirq_port);

    return table && pirq < d->nr_pirqs && raise_if(d, READ_ONCE(table[pirq]), ECS_PIRQ, pirq);
}

void evtchn_move_pirqs(struct vcpu *v)
{
    struct domain *d = v->domain;
    const u32 *table = smp_load_acquire(&d->evtchn.pirq_port);
    unsigned int limit = table ? READ_ONCE(d->evtchn.pirq_limit) : 0;

    for (unsigned int pirq = 0; pirq < limit; pirq++) {
        u32 port = READ_ONCE(table[pirq]);
        struct evtchn *chn = port ? evtchn_from_port(d, port) : NULL;

        if (chn && READ_ONCE(chn->notify_vcpu_id) == v->vcpu_id)
            pirq_set_affinity(d, pirq, v->processor);
    }
}

/* Who gets a host-wide virtual interrupt instead of dom0; referenced. */
static DEFINE_SPINLOCK(global_virq_lock, RANK_GLOBAL_VIRQ);
static struct domain *global_virq_handler[NR_VIRQS];

void send_global_virq(uint32_t virq)
{
    struct domain *d;
    unsigned long flags;

    spin_lock_irqsave(&global_virq_lock, flags);
    d = global_virq_handler[virq] ? global_virq_handler[virq] : dom0;
    send_guest_global_virq(d, virq);
    spin_unlock_irqrestore(&global_virq_lock, flags);
}

int set_global_virq_handler(struct domain *d, uint32_t virq)
{
    struct domain *old;
    unsigned long flags;

    if (virq >= NR_VIRQS || !virq_is_global(virq))
        return -EINVAL;
    if (d->is_dying || !get_domain(d))
        return -EINVAL;

    spin_lock_irqsave(&global_virq_lock, flags);
    old = global_virq_handler[virq];
    global_virq_handler[virq] = d;
    spin_unlock_irqrestore(&global_virq_lock, flags);
    if (old)
        put_domain(old);
    return 0;
}

static void drop_global_virqs(struct domain *d)
{
    for (unsigned int virq = 0; virq < NR_VIRQS; virq++) {
        unsigned long flags;
        bool was;

        spin_lock_irqsave(&global_virq_lock, flags);
        was = global_virq_handler[virq] == d;
        if (was)
            global_virq_handler[virq] = NULL;
        spin_unlock_irqrestore(&global_virq_lock, flags);
        if (was)
            put_domain(d);
    }
}

/* ---- Life ---- */

int evtchn_init(struct domain *d, unsigned int max_port)
{
    struct evtchn_domain *e = &d->evtchn;
    int rc;

    spin_lock_init(&e->lock, RANK_EVENT_TABLE);
    e->ops = &evtchn_2l_ops;
    e->max_port = min_t(unsigned int, max_port, EVTCHN_FIFO_NR_CHANNELS - 1);
    e->bucket = xzalloc_array(struct evtchn *, EVTCHN_BUCKETS(e->max_port));
    if (!e->bucket)
        return -ENOMEM;

    rc = add_bucket(d);
    if (rc) {
        XFREE(e->bucket);
        return rc;
    }
    evtchn_from_port(d, 0)->state = ECS_RESERVED;
    e->free_hint = 1;
    return 0;
}

void evtchn_vcpu_init(struct vcpu *v)
{
    memset(v->virq_to_evtchn, 0, sizeof(v->virq_to_evtchn));
    v->evtchn_fifo = NULL;
}

void evtchn_vcpu_destroy(struct vcpu *v)
{
    XFREE(v->evtchn_fifo);
}

/*
 * Close ports from teardown_next on, then return to the 2-level ABI. The first port is 1, so 0 means that none of this is
 * under way. -ERESTART: preempted, or, to begin anew, a port that was passed by is in use: another vCPU has bound it
 * meanwhile, or is just closing it.
 */
static int close_all(struct domain *d)
{
    struct evtchn_domain *e = &d->evtchn;
    int rc = 0;

    if (!e->teardown_next)
        e->teardown_next = 1;
    while (e->teardown_next < READ_ONCE(e->valid_ports)) {
        evtchn_close_port(d, e->teardown_next++);
        if (e->teardown_next % PREEMPT_EVERY == 0 && hypercall_preempt_check())
            return -ERESTART;
    }

    spin_lock(&e->lock);
    if (e->active) {
        e->teardown_next = 1;
        rc = -ERESTART;
    } else {
        e->teardown_next = 0;
        evtchn_fifo_destroy(d);
    }
    spin_unlock(&e->lock);
    return rc;
}

int evtchn_destroy(struct domain *d)
{
    if (!d->evtchn.bucket)
        return 0;

    /* Whoever was allocating a port when the domain began to die has finished after this. */
    spin_barrier(&d->evtchn.lock);
    drop_global_virqs(d);
    return close_all(d);
}

void evtchn_destroy_final(struct domain *d)
{
    struct evtchn_domain *e = &d->evtchn;

    for (unsigned int i = 0; i < e->valid_ports / EVTCHN_BUCKET_PORTS; i++)
        xfree(e->bucket[i]);
    e->valid_ports = 0;
    XFREE(e->bucket);
    XFREE(e->pirq_port);
}

int evtchn_reset(struct domain *d, bool resuming)
{
    struct evtchn_domain *e = &d->evtchn;
    int rc;

    if (d != current->domain && !d->controller_pause_count)
        return -EINVAL;

    spin_lock(&e->lock);
    rc = d->is_dying ? -EINVAL
       : resuming ? (e->teardown_next ? 0 : -EINVAL)
       : (e->teardown_next ? -EBUSY : 0);
    if (!rc && !resuming)
        e->teardown_next = 1;
    spin_unlock(&e->lock);
    return rc ? rc : close_all(d);
}
