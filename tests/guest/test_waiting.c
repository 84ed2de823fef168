/* SPDX-License-Identifier: MIT */
/* Waiting for time: timers, blocks, polls, watchdogs; and pinning. */
#include "kernel.h"

#define MS 1000000UL

/* System time, by the record that the hypervisor keeps (<xen/xen.h>, struct vcpu_time_info). */
static unsigned long now(void)
{
    const volatile struct vcpu_time_info *t = &shared_info->vcpu_info[0].time;
    uint32_t low, high;
    uint64_t ticks;

    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    ticks = ((uint64_t)high << 32 | low) - t->tsc_timestamp;
    ticks = t->tsc_shift < 0 ? ticks >> -t->tsc_shift : ticks << t->tsc_shift;
    return t->system_time + (unsigned long)((unsigned __int128)ticks * t->tsc_to_system_mul >> 32);
}

static unsigned int bind_timer(void)
{
    static evtchn_bind_virq_t bind = { .virq = VIRQ_TIMER, .vcpu = 0 };

    if (!bind.port)
        check_eq(HCALL(event_channel_op, EVTCHNOP_bind_virq, &bind, 0, 0, 0), 0);
    return bind.port;
}

/* A timer ends a block, which lets events in: one that comes between arming and blocking is not lost. */
static void block_until_timer(void)
{
    struct vcpu_set_singleshot_timer t = { 0 };
    unsigned int port = bind_timer();
    long rc;

    take_event(port);
    shared_info->evtchn_mask[port / 64] &= ~(1UL << port % 64);
    t.timeout_abs_ns = now() - MS;
    t.flags = VCPU_SSHOTTMR_future;
    /* Xen took to ignoring the flag. */
    rc = HCALL(vcpu_op, VCPUOP_set_singleshot_timer, 0, &t, 0, 0);
    check(rc == -XEN_ETIME || rc == 0);
    take_event(port);
    shared_info->vcpu_info[0].evtchn_pending_sel = 0;
    /* Masked until the block opens it: an upcall before would take the event, and the block would never end. */
    shared_info->vcpu_info[0].evtchn_upcall_mask = 1;
    t.timeout_abs_ns = now() + 5 * MS;
    check_eq(HCALL(vcpu_op, VCPUOP_set_singleshot_timer, 0, &t, 0, 0), 0);
    check_eq(HCALL(sched_op, SCHEDOP_block, 0, 0, 0, 0), 0);
    check(take_event(port));
    check(now() >= t.timeout_abs_ns);
    check_eq(HCALL(vcpu_op, VCPUOP_stop_singleshot_timer, 0, 0, 0, 0), 0);
    shared_info->evtchn_mask[port / 64] |= 1UL << port % 64;
}

static void periodic_timer_ticks(void)
{
    struct vcpu_set_periodic_timer period = { .period_ns = 2 * MS };
    unsigned int port = bind_timer();

    check_eq(HCALL(vcpu_op, VCPUOP_set_periodic_timer, 0, &period, 0, 0), 0);
    for (int ticks = 0; ticks < 3; ticks++) {
        take_event(port);
        while (!(shared_info->evtchn_pending[port / 64] & 1UL << port % 64))
            HCALL(sched_op, SCHEDOP_yield, 0, 0, 0, 0);
    }
    check_eq(HCALL(vcpu_op, VCPUOP_stop_periodic_timer, 0, 0, 0, 0), 0);
}

/* On a slow machine the time may have passed before the vCPU could block: then a longer one is tried. */
static void poll_ends_by_time(void)
{
    unsigned int port = bind_timer();
    struct vcpu_runstate_info before, after;
    struct sched_poll poll = { .nr_ports = 1 };
    unsigned long length = 3 * MS;

    take_event(port);
    set_xen_guest_handle(poll.ports, &port);
    do {
        HCALL(vcpu_op, VCPUOP_get_runstate_info, 0, &before, 0, 0);
        poll.timeout = now() + length;
        check_eq(HCALL(sched_op, SCHEDOP_poll, &poll, 0, 0, 0), 0);
        check(now() >= poll.timeout);
        HCALL(vcpu_op, VCPUOP_get_runstate_info, 0, &after, 0, 0);
        length *= 2;
    } while (after.time[RUNSTATE_blocked] <= before.time[RUNSTATE_blocked] && length < 10000 * MS);
    check(after.time[RUNSTATE_blocked] > before.time[RUNSTATE_blocked]);
}

static void watchdogs(void)
{
    struct sched_watchdog dog = { .timeout = 3600 };

    check_eq(HCALL(sched_op, SCHEDOP_watchdog, &dog, 0, 0, 0), 1);
    check_eq(HCALL(sched_op, SCHEDOP_watchdog, &dog, 0, 0, 0), 2);
    check_eq((int)HCALL(sched_op, SCHEDOP_watchdog, &dog, 0, 0, 0), -XEN_ENOSPC);     /* Xen's answer is of 32 bits */
    dog = (struct sched_watchdog){ .id = 1 };
    check_eq(HCALL(sched_op, SCHEDOP_watchdog, &dog, 0, 0, 0), 0);
    check_eq(HCALL(sched_op, SCHEDOP_watchdog, &dog, 0, 0, 0), -XEN_EINVAL);
    dog.id = 2;
    check_eq(HCALL(sched_op, SCHEDOP_watchdog, &dog, 0, 0, 0), 0);
}

static void pinning(void)
{
    struct sched_pin_override pin = { .pcpu = 0 };

    check_eq(HCALL(sched_op, SCHEDOP_pin_override, &pin, 0, 0, 0), 0);
    check_eq(HCALL(sched_op, SCHEDOP_pin_override, &pin, 0, 0, 0), -XEN_EBUSY);
    pin.pcpu = -1;
    check_eq(HCALL(sched_op, SCHEDOP_pin_override, &pin, 0, 0, 0), 0);
    check_eq(HCALL(sched_op, SCHEDOP_pin_override, &pin, 0, 0, 0), -XEN_EINVAL);
}

TESTS({ "block until timer", block_until_timer }, { "periodic timer ticks", periodic_timer_ticks },
      { "poll ends by time", poll_ends_by_time }, { "watchdogs", watchdogs }, { "pinning", pinning });
