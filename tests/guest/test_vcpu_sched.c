/* SPDX-License-Identifier: MIT */
/* vcpu_op, sched_op, timers, multicall, vm_assist: what they do, and arguments that are wrong. */
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

static unsigned long total_time(struct vcpu_runstate_info *info)
{
    check_eq(HCALL(vcpu_op, VCPUOP_get_runstate_info, 0, info, 0, 0), 0);
    return info->time[0] + info->time[1] + info->time[2] + info->time[3];
}

static unsigned int bind_timer(void)
{
    static evtchn_bind_virq_t bind = { .virq = VIRQ_TIMER, .vcpu = 0 };

    if (!bind.port)
        check_eq(HCALL(event_channel_op, EVTCHNOP_bind_virq, &bind, 0, 0, 0), 0);
    return bind.port;
}

static bool take_pending(unsigned int port)
{
    return __atomic_fetch_and(&shared_info->evtchn_pending[port / 64], ~(1UL << port % 64), __ATOMIC_SEQ_CST) &
           1UL << port % 64;
}

static void runstate_adds_up(void)
{
    struct vcpu_runstate_info info, later;
    unsigned long first, second;

    first = total_time(&info);

    check_eq(info.state, RUNSTATE_running);
    for (volatile int i = 0; i < 100000; i++)
        ;
    second = total_time(&later);
    check(second > first);
    check(later.time[RUNSTATE_running] > info.time[RUNSTATE_running]);
    check(now() >= later.state_entry_time);
}

static void runstate_area(void)
{
    static struct vcpu_runstate_info copy;
    struct vcpu_register_runstate_memory_area area = { .addr.v = &copy };

    check_eq(HCALL(vcpu_op, VCPUOP_register_runstate_memory_area, 0, &area, 0, 0), 0);
    check_eq(copy.state, RUNSTATE_running);
    check(copy.state_entry_time > 0);
    area.addr.v = (void *)HV_SECRET;
    check_eq(HCALL(vcpu_op, VCPUOP_register_runstate_memory_area, 0, &area, 0, 0), -XEN_EFAULT);
}

static void wrong_vcpu_ops(void)
{
    struct vcpu_runstate_info info;
    struct vcpu_set_periodic_timer period = { .period_ns = 1000 };

    check_eq(HCALL(vcpu_op, VCPUOP_is_up, 0, 0, 0, 0), 1);
    check_eq(HCALL(vcpu_op, VCPUOP_is_up, 5000, 0, 0, 0), -XEN_ENOENT);
    check_eq(HCALL(vcpu_op, VCPUOP_is_up, ~0U, 0, 0, 0), -XEN_ENOENT);
    check_eq(HCALL(vcpu_op, VCPUOP_get_runstate_info, 0, HV_SECRET, 0, 0), -XEN_EFAULT);
    check_eq(HCALL(vcpu_op, VCPUOP_get_runstate_info, 0, (char *)&info + (1UL << 63), 0, 0), -XEN_EFAULT);
    check_eq(HCALL(vcpu_op, VCPUOP_set_periodic_timer, 0, &period, 0, 0), -XEN_EINVAL);
    period.period_ns = ~0UL;
    check_eq(HCALL(vcpu_op, VCPUOP_set_periodic_timer, 0, &period, 0, 0), -XEN_EINVAL);
    check_eq(HCALL(vcpu_op, VCPUOP_initialise, 0, HV_SECRET, 0, 0), -XEN_EFAULT);
    check_eq(HCALL(vcpu_op, 99, 0, 0, 0, 0), -XEN_ENOSYS);
}

static void initialised_only_once(void)
{
    static struct vcpu_guest_context c;

    check_eq(HCALL(vcpu_op, VCPUOP_initialise, 0, &c, 0, 0), -XEN_EEXIST);
}

static void vcpu_info_stays_inside_a_page(void)
{
    struct vcpu_register_vcpu_info info = { .mfn = mfn_of(alloc_page()), .offset = PAGE_SIZE - 8 };

    check_eq(HCALL(vcpu_op, VCPUOP_register_vcpu_info, 0, &info, 0, 0), -XEN_ENXIO);
    info.offset = 4;
    check_eq(HCALL(vcpu_op, VCPUOP_register_vcpu_info, 0, &info, 0, 0), -XEN_ENXIO);
    info.offset = 0;
    info.mfn = 1UL << 40;
    check_eq(HCALL(vcpu_op, VCPUOP_register_vcpu_info, 0, &info, 0, 0), -XEN_EINVAL);
    table_of((unsigned long)&info, 1, &info.mfn);       /* a page table is never writable */
    check_eq(HCALL(vcpu_op, VCPUOP_register_vcpu_info, 0, &info, 0, 0), -XEN_EINVAL);
}

/* A timer ends a block: the event is pending when the block returns. */
static void block_until_timer(void)
{
    struct vcpu_set_singleshot_timer t = { 0 };
    unsigned int port = bind_timer();

    take_pending(port);
    shared_info->evtchn_mask[port / 64] &= ~(1UL << port % 64);
    t.timeout_abs_ns = now() - MS;
    t.flags = VCPU_SSHOTTMR_future;
    check_eq(HCALL(vcpu_op, VCPUOP_set_singleshot_timer, 0, &t, 0, 0), -XEN_ETIME);
    t.timeout_abs_ns = now() + 5 * MS;
    check_eq(HCALL(vcpu_op, VCPUOP_set_singleshot_timer, 0, &t, 0, 0), 0);
    check_eq(HCALL(sched_op, SCHEDOP_block, 0, 0, 0, 0), 0);
    check(take_pending(port));
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
        take_pending(port);
        while (!(shared_info->evtchn_pending[port / 64] & 1UL << port % 64))
            HCALL(sched_op, SCHEDOP_yield, 0, 0, 0, 0);
    }
    check_eq(HCALL(vcpu_op, VCPUOP_stop_periodic_timer, 0, 0, 0, 0), 0);
}

static void poll_ends_by_time(void)
{
    unsigned int port = bind_timer();
    struct vcpu_runstate_info before, after;
    struct sched_poll poll = { .nr_ports = 1 };

    take_pending(port);
    HCALL(vcpu_op, VCPUOP_get_runstate_info, 0, &before, 0, 0);
    poll.timeout = now() + 3 * MS;
    set_xen_guest_handle(poll.ports, &port);
    check_eq(HCALL(sched_op, SCHEDOP_poll, &poll, 0, 0, 0), 0);
    check(now() >= poll.timeout);
    HCALL(vcpu_op, VCPUOP_get_runstate_info, 0, &after, 0, 0);
    check(after.time[RUNSTATE_blocked] > before.time[RUNSTATE_blocked]);
}

static void wrong_sched_ops(void)
{
    struct sched_poll poll = { .nr_ports = 129 };
    evtchn_port_t port = 4000000;
    struct sched_watchdog dog = { .id = 3, .timeout = 1 };
    struct sched_remote_shutdown remote = { .domain_id = 777 };
    struct sched_pin_override pin = { .pcpu = 4000 };

    set_xen_guest_handle(poll.ports, &port);
    check_eq(HCALL(sched_op, SCHEDOP_poll, &poll, 0, 0, 0), -XEN_EINVAL);
    poll.nr_ports = 1;
    check_eq(HCALL(sched_op, SCHEDOP_poll, &poll, 0, 0, 0), -XEN_EINVAL);
    set_xen_guest_handle(poll.ports, (evtchn_port_t *)HV_SECRET);
    check_eq(HCALL(sched_op, SCHEDOP_poll, &poll, 0, 0, 0), -XEN_EFAULT);
    check_eq(HCALL(sched_op, SCHEDOP_shutdown, HV_SECRET, 0, 0, 0), -XEN_EFAULT);
    check_eq(HCALL(sched_op, SCHEDOP_watchdog, &dog, 0, 0, 0), -XEN_EINVAL);
    dog.id = 1;
    check_eq(HCALL(sched_op, SCHEDOP_watchdog, &dog, 0, 0, 0), -XEN_EINVAL);
    check_eq(HCALL(sched_op, SCHEDOP_remote_shutdown, &remote, 0, 0, 0), -XEN_ESRCH);
    check_eq(HCALL(sched_op, SCHEDOP_pin_override, &pin, 0, 0, 0), -XEN_EINVAL);
    check_eq(HCALL(sched_op, 55, 0, 0, 0, 0), -XEN_ENOSYS);
    check_eq(HCALL(sched_op_compat, 55, 0, 0, 0, 0), -XEN_ENOSYS);
}

static void watchdogs(void)
{
    struct sched_watchdog dog = { .timeout = 3600 };

    check_eq(HCALL(sched_op, SCHEDOP_watchdog, &dog, 0, 0, 0), 1);
    check_eq(HCALL(sched_op, SCHEDOP_watchdog, &dog, 0, 0, 0), 2);
    check_eq(HCALL(sched_op, SCHEDOP_watchdog, &dog, 0, 0, 0), -XEN_ENOSPC);
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

static void multicall(void)
{
    struct multicall_entry call[4] = {
        { .op = __HYPERVISOR_xen_version, .args = { XENVER_version } },
        { .op = __HYPERVISOR_multicall, .args = { (unsigned long)call, 1 } },
        { .op = 12345 },
        { .op = __HYPERVISOR_vcpu_op, .args = { VCPUOP_is_up, 0 } },
    };

    check_eq(HCALL(multicall, call, 4, 0, 0, 0), 0);
    check_eq(call[0].result, 4 << 16 | 17);
    check_eq(call[1].result, -XEN_EINVAL);
    check_eq(call[2].result, -XEN_ENOSYS);
    check_eq(call[3].result, 1);
    check_eq(HCALL(multicall, HV_SECRET, 1, 0, 0, 0), -XEN_EFAULT);
    check_eq(HCALL(multicall, ~0UL, 2, 0, 0, 0), -XEN_EFAULT);
    check_eq(HCALL(multicall, call, 0, 0, 0, 0), 0);
}

static void vm_assist(void)
{
    check_eq(HCALL(vm_assist, VMASST_CMD_enable, VMASST_TYPE_writable_pagetables, 0, 0, 0), 0);
    check_eq(HCALL(vm_assist, VMASST_CMD_enable, 17, 0, 0, 0), -XEN_ENOSYS);
    check_eq(HCALL(vm_assist, VMASST_CMD_enable, 64, 0, 0, 0), -XEN_ENOSYS);
    check_eq(HCALL(vm_assist, VMASST_CMD_enable, ~0U, 0, 0, 0), -XEN_ENOSYS);
    check_eq(HCALL(vm_assist, 9, VMASST_TYPE_writable_pagetables, 0, 0, 0), -XEN_ENOSYS);
}

TESTS({ "runstate adds up", runstate_adds_up }, { "runstate area", runstate_area }, { "wrong vcpu_ops", wrong_vcpu_ops },
      { "initialised only once", initialised_only_once },
      { "vcpu_info stays inside a page", vcpu_info_stays_inside_a_page }, { "block until timer", block_until_timer },
      { "periodic timer ticks", periodic_timer_ticks }, { "poll ends by time", poll_ends_by_time },
      { "wrong sched_ops", wrong_sched_ops }, { "watchdogs", watchdogs }, { "pinning", pinning },
      { "multicall", multicall }, { "vm_assist", vm_assist });
