/* SPDX-License-Identifier: MIT */
/*
 * HYPERVISOR_vcpu_op: what a guest does with its own vCPUs, and the timers of a vCPU.
 * Interface: <xen/vcpu.h>.
 */
#include <domus/arch.h>
#include <domus/event.h>
#include <domus/guest_access.h>
#include <domus/hypercall.h>
#include <domus/lib.h>
#include <domus/sched.h>
#include <domus/softirq.h>
#include <domus/xmalloc.h>
#include <asm/current.h>

#define MIN_PERIOD MILLISECS(1)
#define MAX_PERIOD (STIME_MAX / 2)

/* ---- Timers ---- */

static void singleshot_fired(void *data)
{
    send_guest_vcpu_virq(data, VIRQ_TIMER);
}

static void poll_timed_out(void *data)
{
    struct vcpu *v = data;

    if (test_bit(VPF_POLLING, &v->pause_flags))
        vcpu_unblock(v);
}

/* Runs on the CPU of its vCPU, as the scheduler does: the two never meet. */
static void periodic_fired(void *data)
{
    struct vcpu *v = data;

    if (v == current && v->periodic_period)
        vcpu_periodic_tick(v);
}

void vcpu_periodic_tick(struct vcpu *v)
{
    s_time_t period = (s_time_t)READ_ONCE(v->periodic_period), now = NOW();

    if (!period)
        return;
    if (now - (s_time_t)v->periodic_last_event >= period) {
        send_guest_vcpu_virq(v, VIRQ_TIMER);
        v->periodic_last_event = (uint64_t)now;
    }
    set_timer(&v->periodic_timer, (s_time_t)v->periodic_last_event + period);
}

void vcpu_timers_init(struct vcpu *v)
{
    init_timer(&v->singleshot_timer, singleshot_fired, v, v->processor);
    init_timer(&v->poll_timer, poll_timed_out, v, v->processor);
    init_timer(&v->periodic_timer, periodic_fired, v, v->processor);
}

/* The scheduler takes the new period up where v runs. */
static long set_periodic_timer(struct vcpu *v, uint64_t period)
{
    if (period && (period < (uint64_t)MIN_PERIOD || period > (uint64_t)MAX_PERIOD))
        return -EINVAL;
    WRITE_ONCE(v->periodic_period, period);
    cpu_raise_softirq(READ_ONCE(v->processor), SCHEDULE_SOFTIRQ);
    return 0;
}

static long set_singleshot_timer(struct vcpu *v, const struct vcpu_set_singleshot_timer *set)
{
    s_time_t at = (s_time_t)min_t(uint64_t, set->timeout_abs_ns, (uint64_t)STIME_MAX);

    if ((set->flags & VCPU_SSHOTTMR_future) && at < NOW())
        return -ETIME;
    set_timer(&v->singleshot_timer, at);
    return 0;
}

/*
 * HYPERVISOR_set_timer_op: a VIRQ_TIMER at `timeout` ns since boot; 0: none. Times out of all
 * reason, which old kernels ask for by mistake, tick in 100 ms.
 */
long do_set_timer_op(s_time_t timeout)
{
    struct vcpu *v = current;
    s_time_t now = NOW();

    if (timeout == 0)
        stop_timer(&v->singleshot_timer);
    else if (timeout < 0 || timeout - now > (s_time_t)1 << 50)
        set_timer(&v->singleshot_timer, now + MILLISECS(100));
    else
        set_timer(&v->singleshot_timer, timeout);
    return 0;
}

/* ---- Runstate ---- */

void update_runstate_area(struct vcpu *v)
{
    struct vcpu_runstate_info info;
    struct vcpu_runstate_info *guest = (struct vcpu_runstate_info *)v->runstate_guest;

    if (!guest)
        return;
    info = v->runstate;
    if (!test_bit(VMASST_TYPE_runstate_update_flag, &v->domain->vm_assist)) {
        (void)!copy_to_guest(guest, &info, sizeof(info));
        return;
    }
    /* The flag tells the guest that what it reads is being changed. */
    info.state_entry_time |= XEN_RUNSTATE_UPDATE;
    if (copy_to_guest(&guest->state_entry_time, &info.state_entry_time,
                      sizeof(info.state_entry_time)))
        return;
    smp_wmb();
    (void)!copy_to_guest(guest, &info, sizeof(info));
    smp_wmb();
    info.state_entry_time &= ~XEN_RUNSTATE_UPDATE;
    (void)!copy_to_guest(&guest->state_entry_time, &info.state_entry_time,
                         sizeof(info.state_entry_time));
}

static long register_runstate(struct vcpu *v, guest_ptr_t arg)
{
    struct vcpu_register_runstate_memory_area area;
    struct vcpu_runstate_info info;

    if (copy_from_guest(&area, (void *)arg, sizeof(area)))
        return -EFAULT;
    vcpu_runstate_get(v, &info);
    if (area.addr.p && copy_to_guest((void *)(unsigned long)area.addr.p, &info, sizeof(info)))
        return -EFAULT;
    WRITE_ONCE(v->runstate_guest, area.addr.p);
    return 0;
}

static long register_time(struct vcpu *v, guest_ptr_t arg)
{
    struct vcpu_register_time_memory_area area;

    if (copy_from_guest(&area, (void *)arg, sizeof(area)))
        return -EFAULT;
    if (!guest_range_ok((const void *)area.addr.p, sizeof(struct vcpu_time_info)))
        return -EFAULT;
    WRITE_ONCE(v->time_info_guest, area.addr.p);
    if (v == current)
        update_vcpu_system_time(v);
    return 0;
}

/* ---- Up and down ---- */

static long initialise(struct vcpu *v, guest_ptr_t arg)
{
    struct vcpu_guest_context *c;
    long rc;

    if (v->vcpu_info == &dummy_vcpu_info)
        return -EINVAL;
    c = xmalloc(struct vcpu_guest_context);
    if (!c)
        return -ENOMEM;
    rc = copy_from_guest(c, (void *)arg, sizeof(*c));
    if (!rc) {
        spin_lock(&v->domain->lock);
        rc = v->is_initialised ? -EEXIST : vcpu_set_context(v, c);
        spin_unlock(&v->domain->lock);
    }
    if (!rc && (c->flags & VGCF_online))
        vcpu_wake(v);
    xfree(c);
    return rc;
}

static long bring_up(struct vcpu *v)
{
    bool ready, was_down = false;

    spin_lock(&v->domain->lock);
    ready = v->vcpu_info != &dummy_vcpu_info && v->is_initialised;
    if (ready)
        was_down = test_and_clear_bit(VPF_DOWN, &v->pause_flags);
    spin_unlock(&v->domain->lock);
    if (was_down)
        vcpu_wake(v);
    return ready ? 0 : -EINVAL;
}

/* A domain with no vCPU up has powered itself off: of those that go at the same time one is the last. */
static long take_down(struct vcpu *v)
{
    struct domain *d = v->domain;
    bool last = true, was_up = false;
    struct vcpu *other;

    spin_lock(&d->lock);
    for_each_vcpu(d, other)
        if (other != v && !test_bit(VPF_DOWN, &other->pause_flags))
            last = false;
    if (!last)
        was_up = !test_and_set_bit(VPF_DOWN, &v->pause_flags);
    spin_unlock(&d->lock);
    if (last)
        domain_shutdown(d, SHUTDOWN_poweroff);
    else if (was_up)
        vcpu_sleep_nosync(v);
    return 0;
}

static long register_info(struct vcpu *v, guest_ptr_t arg)
{
    struct vcpu_register_vcpu_info info;
    int rc;

    if (copy_from_guest(&info, (void *)arg, sizeof(info)))
        return -EFAULT;
    spin_lock(&v->domain->lock);
    rc = map_vcpu_info(v, info.mfn, info.offset);
    spin_unlock(&v->domain->lock);
    return rc;
}

/* ---- The hypercall ---- */

static long timer_op(int cmd, struct vcpu *v, guest_ptr_t arg)
{
    struct vcpu_set_periodic_timer periodic;
    struct vcpu_set_singleshot_timer singleshot;

    switch (cmd) {
    case VCPUOP_set_periodic_timer:
        if (copy_from_guest(&periodic, (void *)arg, sizeof(periodic)))
            return -EFAULT;
        return periodic.period_ns ? set_periodic_timer(v, periodic.period_ns) : -EINVAL;

    case VCPUOP_stop_periodic_timer:
        return set_periodic_timer(v, 0);

    case VCPUOP_set_singleshot_timer:
        if (v != current)
            return -EINVAL;
        if (copy_from_guest(&singleshot, (void *)arg, sizeof(singleshot)))
            return -EFAULT;
        return set_singleshot_timer(v, &singleshot);

    default:
        if (v != current)
            return -EINVAL;
        stop_timer(&v->singleshot_timer);
        return 0;
    }
}

long do_vcpu_op(int cmd, unsigned int vcpuid, guest_ptr_t arg)
{
    struct vcpu *v = domain_vcpu(current->domain, vcpuid);
    struct vcpu_runstate_info runstate;
    long rc;

    if (!v)
        return -ENOENT;
    switch (cmd) {
    case VCPUOP_initialise:
        rc = initialise(v, arg);
        return rc == -ERESTART ? hypercall_create_continuation(__HYPERVISOR_vcpu_op, 3,
                                                               (unsigned long)cmd,
                                                               (unsigned long)vcpuid, arg) : rc;
    case VCPUOP_up:
        return bring_up(v);
    case VCPUOP_down:
        return take_down(v);
    case VCPUOP_is_up:
        return !test_bit(VPF_DOWN, &v->pause_flags);
    case VCPUOP_get_runstate_info:
        vcpu_runstate_get(v, &runstate);
        return copy_to_guest((void *)arg, &runstate, sizeof(runstate));
    case VCPUOP_register_runstate_memory_area:
        return register_runstate(v, arg);
    case VCPUOP_set_periodic_timer:
    case VCPUOP_stop_periodic_timer:
    case VCPUOP_set_singleshot_timer:
    case VCPUOP_stop_singleshot_timer:
        return timer_op(cmd, v, arg);
    case VCPUOP_register_vcpu_time_memory_area:
        return register_time(v, arg);
    case VCPUOP_register_vcpu_info:
        return register_info(v, arg);
    default:
        return arch_do_vcpu_op(cmd, v, arg);
    }
}
