/* SPDX-License-Identifier: MIT */
/* HYPERVISOR_event_channel_op: binding, closing and asking after event channels. xen/event_channel.h. */
#include "evtchn.h"

#include <domus/guest_access.h>
#include <domus/hypercall.h>
#include <domus/irq.h>
#include <domus/xmalloc.h>
#include <asm/current.h>

union evtchn_arg {
    evtchn_alloc_unbound_t alloc_unbound;
    evtchn_bind_interdomain_t bind_interdomain;
    evtchn_bind_virq_t bind_virq;
    evtchn_bind_pirq_t bind_pirq;
    evtchn_bind_ipi_t bind_ipi;
    evtchn_close_t close;
    evtchn_send_t send;
    evtchn_status_t status;
    evtchn_bind_vcpu_t bind_vcpu;
    evtchn_unmask_t unmask;
    evtchn_reset_t reset;
    evtchn_init_control_t init_control;
    evtchn_expand_array_t expand_array;
    evtchn_set_priority_t set_priority;
};

/* Allocate a port in a state that needs no other step; fills *port. The same errors as get_free. */
static int alloc_port(struct domain *d, enum evtchn_state state, unsigned int vcpu_id,
                      domid_t remote, unsigned int *port)
{
    struct evtchn *chn;
    unsigned long flags;
    int rc = 0;

    spin_lock(&d->evtchn.lock);
    chn = evtchn_get_free(d);
    if (IS_ERR(chn)) {
        rc = (int)PTR_ERR(chn);
    } else {
        spin_lock_irqsave(&chn->lock, flags);
        chn->notify_vcpu_id = (u16)vcpu_id;
        chn->u.remote_domid = remote;
        evtchn_set_state(d, chn, state);
        spin_unlock_irqrestore(&chn->lock, flags);
        *port = chn->port;
    }
    spin_unlock(&d->evtchn.lock);
    return rc;
}

int evtchn_alloc_unbound(struct domain *d, domid_t remote, unsigned int *port)
{
    return alloc_port(d, ECS_UNBOUND, 0, remote, port);
}

static int op_alloc_unbound(evtchn_alloc_unbound_t *arg)
{
    domid_t remote = arg->remote_dom == DOMID_SELF ? current->domain->domain_id : arg->remote_dom;
    int rc = 0;
    struct domain *d = get_remote_domain(arg->dom, &rc);

    if (!d)
        return rc;
    rc = evtchn_alloc_unbound(d, remote, &arg->port);
    put_domain(d);
    return rc;
}

/* The caller's table lock is held, rd is referenced. */
static int bind_pair(struct domain *d, struct domain *rd, struct evtchn *rchn, unsigned int *port)
{
    struct evtchn *chn = evtchn_get_free(d);
    unsigned long flags;
    int rc = -EINVAL;

    if (IS_ERR(chn))
        return (int)PTR_ERR(chn);

    local_irq_save(flags);
    evtchn_lock_pair(chn, rchn);
    if (rchn != chn && rchn->state == ECS_UNBOUND && rchn->u.remote_domid == d->domain_id) {
        chn->u.remote.dom = rd;
        chn->u.remote.port = rchn->port;
        evtchn_set_state(d, chn, ECS_INTERDOMAIN);
        rchn->u.remote.dom = d;
        rchn->u.remote.port = chn->port;
        WRITE_ONCE(rchn->state, ECS_INTERDOMAIN);
        *port = chn->port;
        /* The other side may have sent before anyone listened. */
        evtchn_raise(d, chn);
        rc = 0;
    }
    evtchn_unlock_pair(chn, rchn);
    local_irq_restore(flags);
    return rc;
}

static int op_bind_interdomain(evtchn_bind_interdomain_t *arg)
{
    struct domain *d = current->domain, *rd = get_domain_any(arg->remote_dom);
    struct evtchn *rchn;
    int rc = -EINVAL;

    if (!rd)
        return -ESRCH;
    spin_lock(&d->evtchn.lock);
    rchn = evtchn_from_port(rd, arg->remote_port);
    if (rchn)
        rc = bind_pair(d, rd, rchn, &arg->local_port);
    spin_unlock(&d->evtchn.lock);
    put_domain(rd);
    return rc;
}

static int op_bind_virq(evtchn_bind_virq_t *arg)
{
    struct domain *d = current->domain;
    u32 virq = arg->virq;
    struct evtchn *chn;
    unsigned long flags;
    struct vcpu *v;
    int rc = 0;

    if (virq >= NR_VIRQS || (virq_is_global(virq) && arg->vcpu != 0))
        return -EINVAL;
    virq = (u32)array_index_nospec(virq, NR_VIRQS);
    v = domain_vcpu(d, arg->vcpu);
    if (!v)
        return -ENOENT;

    spin_lock(&d->evtchn.lock);
    chn = v->virq_to_evtchn[virq] ? ERR_PTR(-EEXIST) : evtchn_get_free(d);
    if (IS_ERR(chn)) {
        rc = (int)PTR_ERR(chn);
    } else {
        spin_lock_irqsave(&chn->lock, flags);
        chn->notify_vcpu_id = (u16)v->vcpu_id;
        chn->u.virq = virq;
        evtchn_set_state(d, chn, ECS_VIRQ);
        spin_unlock_irqrestore(&chn->lock, flags);
        WRITE_ONCE(v->virq_to_evtchn[virq], chn->port);
        arg->port = chn->port;
    }
    spin_unlock(&d->evtchn.lock);
    return rc;
}

static int op_bind_ipi(evtchn_bind_ipi_t *arg)
{
    struct domain *d = current->domain;
    struct vcpu *v = domain_vcpu(d, arg->vcpu);

    return v ? alloc_port(d, ECS_IPI, v->vcpu_id, 0, &arg->port) : -ENOENT;
}

/* d->evtchn.lock is held. The channel is ready before the interrupt is let in. */
static int bind_pirq(struct domain *d, unsigned int pirq, bool share, unsigned int *port)
{
    struct evtchn_domain *e = &d->evtchn;
    struct domain *none = NULL;
    struct evtchn *chn;
    unsigned long flags;
    int rc;

    if (!e->pirq_port) {
        u32 *table = xzalloc_array(u32, d->nr_pirqs);

        if (!table)
            return -ENOMEM;
        smp_store_release(&e->pirq_port, table);
    }
    if (e->pirq_port[pirq])
        return -EEXIST;
    chn = evtchn_get_free(d);
    if (IS_ERR(chn))
        return (int)PTR_ERR(chn);

    spin_lock_irqsave(&chn->lock, flags);
    chn->notify_vcpu_id = 0;
    chn->u.pirq = pirq;
    evtchn_set_state(d, chn, ECS_PIRQ);
    spin_unlock_irqrestore(&chn->lock, flags);
    WRITE_ONCE(e->pirq_port[pirq], chn->port);
    WRITE_ONCE(e->pirq_limit, max(e->pirq_limit, pirq + 1));

    rc = arch_pirq_bind(d->vcpu[0], pirq, share);
    if (rc)
        evtchn_close_locked(d, chn, &none);
    else
        *port = chn->port;
    return rc;
}

static int op_bind_pirq(evtchn_bind_pirq_t *arg)
{
    struct domain *d = current->domain;
    int rc;

    if (arg->pirq >= d->nr_pirqs || arg->flags & ~(u32)BIND_PIRQ__WILL_SHARE)
        return -EINVAL;
    spin_lock(&d->evtchn.lock);
    rc = bind_pirq(d, (unsigned int)array_index_nospec(arg->pirq, d->nr_pirqs),
                   arg->flags & BIND_PIRQ__WILL_SHARE, &arg->port);
    spin_unlock(&d->evtchn.lock);
    return rc;
}

static void fill_status(const struct evtchn *chn, evtchn_status_t *arg)
{
    arg->vcpu = chn->notify_vcpu_id;
    switch (chn->state) {
    case ECS_UNBOUND:
        arg->status = EVTCHNSTAT_unbound;
        arg->u.unbound.dom = chn->u.remote_domid;
        break;
    case ECS_INTERDOMAIN:
        arg->status = EVTCHNSTAT_interdomain;
        arg->u.interdomain.dom = chn->u.remote.dom->domain_id;
        arg->u.interdomain.port = chn->u.remote.port;
        break;
    case ECS_PIRQ:
        arg->status = EVTCHNSTAT_pirq;
        arg->u.pirq = chn->u.pirq;
        break;
    case ECS_VIRQ:
        arg->status = EVTCHNSTAT_virq;
        arg->u.virq = chn->u.virq;
        break;
    case ECS_IPI:
        arg->status = EVTCHNSTAT_ipi;
        break;
    default:
        arg->status = EVTCHNSTAT_closed;
    }
}

static int op_status(evtchn_status_t *arg)
{
    int rc = 0;
    struct domain *d = get_remote_domain(arg->dom, &rc);
    struct evtchn *chn;
    unsigned long flags;

    if (!d)
        return rc;
    chn = evtchn_from_port(d, arg->port);
    if (chn) {
        spin_lock_irqsave(&chn->lock, flags);
        fill_status(chn, arg);
        spin_unlock_irqrestore(&chn->lock, flags);
    } else {
        rc = -EINVAL;
    }
    put_domain(d);
    return rc;
}

static int op_bind_vcpu(const evtchn_bind_vcpu_t *arg)
{
    struct domain *d = current->domain;
    struct vcpu *v = domain_vcpu(d, arg->vcpu);
    struct evtchn *chn = evtchn_from_port(d, arg->port);
    unsigned long flags;
    int pirq = -1, rc = 0;

    if (!v)
        return -ENOENT;
    if (!chn)
        return -EINVAL;

    spin_lock_irqsave(&chn->lock, flags);
    switch (chn->state) {
    case ECS_PIRQ:
        pirq = (int)chn->u.pirq;
        break;
    case ECS_VIRQ:
        rc = virq_is_global(chn->u.virq) ? 0 : -EINVAL;
        break;
    case ECS_UNBOUND:
    case ECS_INTERDOMAIN:
        break;
    default:
        rc = -EINVAL;
    }
    if (!rc)
        WRITE_ONCE(chn->notify_vcpu_id, (u16)v->vcpu_id);
    spin_unlock_irqrestore(&chn->lock, flags);

    if (pirq >= 0)
        pirq_set_affinity(d, (unsigned int)pirq, v->processor);
    return rc;
}

/* The domain's channel of that port, locked; NULL if there is none in use. */
static struct evtchn *lock_port(struct domain *d, evtchn_port_t port, unsigned long *flags)
{
    struct evtchn *chn = evtchn_from_port(d, port);

    if (!chn)
        return NULL;
    spin_lock_irqsave(&chn->lock, *flags);
    if (evtchn_in_use(chn))
        return chn;
    spin_unlock_irqrestore(&chn->lock, *flags);
    return NULL;
}

static int op_unmask(const evtchn_unmask_t *arg)
{
    struct domain *d = current->domain;
    unsigned long flags;
    struct evtchn *chn = lock_port(d, arg->port, &flags);

    if (!chn)
        return -EINVAL;
    d->evtchn.ops->unmask(d->vcpu[chn->notify_vcpu_id], chn);
    spin_unlock_irqrestore(&chn->lock, flags);
    return 0;
}

static int op_set_priority(const evtchn_set_priority_t *arg)
{
    struct domain *d = current->domain;
    unsigned long flags;
    struct evtchn *chn = lock_port(d, arg->port, &flags);
    int rc;

    if (!chn)
        return -EINVAL;
    rc = d->evtchn.ops->set_priority(chn, arg->priority);
    spin_unlock_irqrestore(&chn->lock, flags);
    return rc;
}

static int op_reset(const evtchn_reset_t *arg, bool resuming)
{
    int rc = 0;
    struct domain *d = get_remote_domain(arg->dom, &rc);

    if (!d)
        return rc;
    rc = evtchn_reset(d, resuming);
    put_domain(d);
    return rc;
}

static int run_op(unsigned int cmd, union evtchn_arg *arg)
{
    struct domain *d = current->domain;

    switch (cmd) {
    case EVTCHNOP_alloc_unbound:
        return op_alloc_unbound(&arg->alloc_unbound);
    case EVTCHNOP_bind_interdomain:
        return op_bind_interdomain(&arg->bind_interdomain);
    case EVTCHNOP_bind_virq:
        return op_bind_virq(&arg->bind_virq);
    case EVTCHNOP_bind_ipi:
        return op_bind_ipi(&arg->bind_ipi);
    case EVTCHNOP_bind_pirq:
        return op_bind_pirq(&arg->bind_pirq);
    case EVTCHNOP_close:
        return evtchn_close_port(d, arg->close.port);
    case EVTCHNOP_send:
        return evtchn_send(d, arg->send.port);
    case EVTCHNOP_status:
        return op_status(&arg->status);
    case EVTCHNOP_bind_vcpu:
        return op_bind_vcpu(&arg->bind_vcpu);
    case EVTCHNOP_unmask:
        return op_unmask(&arg->unmask);
    case EVTCHNOP_reset:
    case EVTCHNOP_reset_cont:
        return op_reset(&arg->reset, cmd == EVTCHNOP_reset_cont);
    case EVTCHNOP_init_control:
        return evtchn_fifo_init_control(d, &arg->init_control);
    case EVTCHNOP_expand_array:
        return evtchn_fifo_expand_array(d, &arg->expand_array);
    case EVTCHNOP_set_priority:
        return op_set_priority(&arg->set_priority);
    default:
        return -ENOSYS;
    }
}

/* Size of each operation's argument, and whether it has something for the caller. */
static const struct {
    u8 size;
    bool out;
} op_arg[] = {
    [EVTCHNOP_bind_interdomain] = { sizeof(evtchn_bind_interdomain_t), true },
    [EVTCHNOP_bind_virq]        = { sizeof(evtchn_bind_virq_t), true },
    [EVTCHNOP_bind_pirq]        = { sizeof(evtchn_bind_pirq_t), true },
    [EVTCHNOP_close]            = { sizeof(evtchn_close_t), false },
    [EVTCHNOP_send]             = { sizeof(evtchn_send_t), false },
    [EVTCHNOP_status]           = { sizeof(evtchn_status_t), true },
    [EVTCHNOP_alloc_unbound]    = { sizeof(evtchn_alloc_unbound_t), true },
    [EVTCHNOP_bind_ipi]         = { sizeof(evtchn_bind_ipi_t), true },
    [EVTCHNOP_bind_vcpu]        = { sizeof(evtchn_bind_vcpu_t), false },
    [EVTCHNOP_unmask]           = { sizeof(evtchn_unmask_t), false },
    [EVTCHNOP_reset]            = { sizeof(evtchn_reset_t), false },
    [EVTCHNOP_init_control]     = { sizeof(evtchn_init_control_t), true },
    [EVTCHNOP_expand_array]     = { sizeof(evtchn_expand_array_t), false },
    [EVTCHNOP_set_priority]     = { sizeof(evtchn_set_priority_t), false },
    [EVTCHNOP_reset_cont]       = { sizeof(evtchn_reset_t), false },
};

long do_event_channel_op(int cmd, guest_ptr_t uarg)
{
    unsigned int op = (unsigned int)cmd;
    union evtchn_arg arg;
    int rc;

    if (op == EVTCHNOP_send) {  /* most calls by far */
        if (copy_from_guest(&arg.send, (void *)uarg, sizeof(arg.send)))
            return -EFAULT;
        return evtchn_send(current->domain, arg.send.port);
    }

    if (op >= ARRAY_SIZE(op_arg) || !op_arg[op].size)
        return -ENOSYS;
    memset(&arg, 0, sizeof(arg));
    if (copy_from_guest(&arg, (void *)uarg, op_arg[op].size))
        return -EFAULT;
    rc = run_op(op, &arg);
    if (rc == -ERESTART)
        return hypercall_create_continuation(__HYPERVISOR_event_channel_op, 2,
                                             (unsigned long)EVTCHNOP_reset_cont, uarg);
    if (!rc && op_arg[op].out && copy_to_guest((void *)uarg, &arg, op_arg[op].size))
        rc = -EFAULT;
    return rc;
}

/* The form of old guests: the operation's number and its argument in one structure. */
long do_event_channel_op_compat(guest_ptr_t uop)
{
    evtchn_op_t op;

    if (copy_from_guest(&op.cmd, (void *)uop, sizeof(op.cmd)))
        return -EFAULT;
    if (op.cmd > EVTCHNOP_unmask)
        return -ENOSYS;
    return do_event_channel_op((int)op.cmd, uop + offsetof(evtchn_op_t, u));
}
