/* SPDX-License-Identifier: MIT */
/*
 * HYPERVISOR_sched_op: a vCPU blocks, yields, polls; a domain shuts down. Interface: <xen/sched.h>.
 *
 * Blocking cannot lose an event: the vCPU sets its flag and then looks for events, the sender sets
 * the event and then looks at the flag, both with full barriers between.
 */
#include <domus/arch.h>
#include <domus/event.h>
#include <domus/guest_access.h>
#include <domus/hypercall.h>
#include <domus/lib.h>
#include <domus/sched.h>
#include <domus/softirq.h>
#include <domus/trace.h>
#include <asm/current.h>
#include "sched_queue.h"

#define MAX_POLL_PORTS 128
#define POLL_SEVERAL   (-1)

/* ---- Block, wake, yield ---- */

void vcpu_unblock(struct vcpu *v)
{
    if (test_bit(VPF_BLOCKED, &v->pause_flags) && vcpu_end_sleep(v))
        vcpu_wake(v);
}

/* To be asked after VPF_BLOCKED is set. */
static bool must_stay_awake(const struct vcpu *v)
{
    return vcpu_events_pending(v) || arch_vcpu_interrupted(v);
}

void vcpu_block(void)
{
    struct vcpu *v = current;

    set_bit(VPF_BLOCKED, &v->pause_flags);
    if (must_stay_awake(v))
        clear_bit(VPF_BLOCKED, &v->pause_flags);
    else {
        trace(TRC_SCHED_BLOCK, v->domain->domain_id, v->vcpu_id);
        raise_softirq(SCHEDULE_SOFTIRQ);
    }
}

void vcpu_yield(void)
{
    trace(TRC_SCHED_YIELD, current->domain->domain_id, current->vcpu_id);
    current->sched->yielding = true;
    raise_softirq(SCHEDULE_SOFTIRQ);
}

/* ---- Poll ---- */

/* The caller has set the port's pending bit by an atomic operation, which is the barrier. */
void sched_poll_notify(struct domain *d, unsigned int port)
{
    struct vcpu *v;

    if (likely(!atomic_read(&d->nr_polling)))
        return;
    for_each_vcpu(d, v) {
        int polled = READ_ONCE(v->poll_evtchn);

        if (test_bit(VPF_POLLING, &v->pause_flags) &&
            (polled == POLL_SEVERAL || (unsigned int)polled == port))
            vcpu_unblock(v);
    }
}

/* 0: none of the ports is pending; 1: one is; -EINVAL, -EFAULT. *port is the last. */
static int look_at_ports(struct domain *d, const struct sched_poll *poll, evtchn_port_t *port)
{
    for (unsigned int i = 0; i < poll->nr_ports; i++) {
        if (copy_from_guest_offset(port, poll->ports.p, i, 1))
            return -EFAULT;
        if (!evtchn_port_valid(d, *port))
            return -EINVAL;
        if (evtchn_port_pending(d, *port))
            return 1;
    }
    return 0;
}

static long do_poll(const struct sched_poll *poll)
{
    struct vcpu *v = current;
    struct domain *d = v->domain;
    evtchn_port_t port = 0;
    int rc;

    if (poll->nr_ports > MAX_POLL_PORTS)
        return -EINVAL;
    if (timer_pending(&v->poll_timer))
        stop_timer(&v->poll_timer);     /* an earlier poll's, which ended by an event */

    /* All is in place before the ports are looked at. Several is right until it is known better. */
    WRITE_ONCE(v->poll_evtchn, POLL_SEVERAL);
    atomic_inc(&d->nr_polling);
    (void)fetch_or(&v->pause_flags, BIT(VPF_BLOCKED) | BIT(VPF_POLLING));

    rc = must_stay_awake(v) ? 1 : look_at_ports(d, poll, &port);
    if (rc) {
        (void)vcpu_end_sleep(v);
        return min(rc, 0);
    }
    if (poll->nr_ports == 1)
        (void)cmpxchg(&v->poll_evtchn, POLL_SEVERAL, (int)port);
    if (poll->timeout)
        set_timer(&v->poll_timer,
                  (s_time_t)min_t(uint64_t, poll->timeout, (uint64_t)STIME_MAX));
    trace(TRC_SCHED_BLOCK, d->domain_id, v->vcpu_id);
    raise_softirq(SCHEDULE_SOFTIRQ);
    return 0;
}

/* ---- Watchdog ---- */

static void watchdog_fired(void *data)
{
    struct domain *d = data;

    printk(LOG_WARN "d%u: its watchdog has fired\n", d->domain_id);
    domain_shutdown(d, SHUTDOWN_watchdog);
}

void watchdog_domain_init(struct domain *d)
{
    for (unsigned int i = 0; i < ARRAY_SIZE(d->watchdog_timer); i++)
        init_timer(&d->watchdog_timer[i], watchdog_fired, d, smp_processor_id());
}

void watchdog_domain_destroy(struct domain *d)
{
    for (unsigned int i = 0; i < ARRAY_SIZE(d->watchdog_timer); i++)
        kill_timer(&d->watchdog_timer[i]);
}

static long do_watchdog(struct domain *d, uint32_t id, uint32_t timeout)
{
    unsigned int i = id - 1;

    if (id > ARRAY_SIZE(d->watchdog_timer) || (id == 0 && timeout == 0))
        return -EINVAL;
    if (id == 0) {
        for (i = 0; i < ARRAY_SIZE(d->watchdog_timer); i++)
            if (!test_and_set_bit(i, &d->watchdog_inuse_map)) {
                set_timer(&d->watchdog_timer[i], NOW() + SECONDS(timeout));
                return i + 1;
            }
        return -ENOSPC;
    }
    if (!test_bit(i, &d->watchdog_inuse_map))
        return -EINVAL;
    if (timeout)
        set_timer(&d->watchdog_timer[i], NOW() + SECONDS(timeout));
    else {
        stop_timer(&d->watchdog_timer[i]);
        clear_bit(i, &d->watchdog_inuse_map);
    }
    return 0;
}

/* ---- The hypercalls ---- */

static void block_with_events_on(void)
{
    current->vcpu_info->evtchn_upcall_mask = 0;
    vcpu_block();
}

static long latch_shutdown_code(struct domain *d, unsigned int reason)
{
    unsigned long flags;

    trace(TRC_SCHED_SHUTDOWN_CODE, d->domain_id, current->vcpu_id, reason);
    spin_lock_irqsave(&d->shutdown_lock, flags);
    if (d->shutdown_code == -1)
        d->shutdown_code = (uint8_t)reason;
    spin_unlock_irqrestore(&d->shutdown_lock, flags);
    return 0;
}

static long remote_shutdown(const struct sched_remote_shutdown *r)
{
    int rc;
    struct domain *d = get_remote_domain(r->domain_id, &rc);

    if (!d)
        return rc;
    domain_shutdown(d, (uint8_t)r->reason);
    put_domain(d);
    return 0;
}

long do_sched_op(int cmd, guest_ptr_t arg)
{
    struct domain *d = current->domain;
    const void *p = (const void *)arg;
    union {
        struct sched_shutdown shutdown;
        struct sched_poll poll;
        struct sched_remote_shutdown remote;
        struct sched_watchdog watchdog;
        struct sched_pin_override pin;
    } u;

    switch (cmd) {
    case SCHEDOP_yield:
        vcpu_yield();
        return 0;
    case SCHEDOP_block:
        block_with_events_on();
        return 0;
    case SCHEDOP_shutdown:
        if (copy_from_guest(&u.shutdown, p, sizeof(u.shutdown)))
            return -EFAULT;
        trace(TRC_SCHED_SHUTDOWN, d->domain_id, current->vcpu_id, u.shutdown.reason);
        domain_shutdown(d, (uint8_t)u.shutdown.reason);
        return 0;
    case SCHEDOP_shutdown_code:
        if (copy_from_guest(&u.shutdown, p, sizeof(u.shutdown)))
            return -EFAULT;
        return latch_shutdown_code(d, u.shutdown.reason);
    case SCHEDOP_poll:
        return copy_from_guest(&u.poll, p, sizeof(u.poll)) ? -EFAULT : do_poll(&u.poll);
    case SCHEDOP_remote_shutdown:
        return copy_from_guest(&u.remote, p, sizeof(u.remote)) ? -EFAULT
                                                                : remote_shutdown(&u.remote);
    case SCHEDOP_watchdog:
        return copy_from_guest(&u.watchdog, p, sizeof(u.watchdog))
               ? -EFAULT : do_watchdog(d, u.watchdog.id, u.watchdog.timeout);
    case SCHEDOP_pin_override:
        if (d != dom0)
            return -EPERM;
        return copy_from_guest(&u.pin, p, sizeof(u.pin)) ? -EFAULT
                                                          : vcpu_pin_override(current, u.pin.pcpu);
    default:
        return -ENOSYS;
    }
}

/* The form before Xen 3.0.2, with the reason in arg. */
long do_sched_op_compat(int cmd, unsigned long arg)
{
    switch (cmd) {
    case SCHEDOP_yield:
        vcpu_yield();
        return 0;
    case SCHEDOP_block:
        block_with_events_on();
        return 0;
    case SCHEDOP_shutdown:
        domain_shutdown(current->domain, (uint8_t)arg);
        return 0;
    default:
        return -ENOSYS;
    }
}
