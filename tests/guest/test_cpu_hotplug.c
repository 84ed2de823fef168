/* SPDX-License-Identifier: MIT */
/*
 * CPUs that go off line and come back by sysctl and platform_op: who may go, what is told of those that are gone, and
 * that nothing is lost of what ran there: vCPUs, timers, events, interrupts of devices. A core has two threads.
 */
/* SMP: 4,sockets=1,cores=2,threads=2 */
#include "control.h"

#define NR_CPUS 4
#define ALL_CPUS 0xfUL
#define MS 1000000UL
#define PATIENCE (20000 * MS)

static struct xen_sysctl sys;

static struct xen_platform_op op;

static long platform(unsigned int cmd, unsigned int cpu)
{
    op.u.cpu_ol.cpuid = cpu;
    return platform_op(&op, cmd);
}

static long pool_op(unsigned int what, unsigned int pool, unsigned int cpu)
{
    memset(&sys, 0, sizeof(sys));
    sys.u.cpupool_op = (struct xen_sysctl_cpupool_op){ .op = what, .cpupool_id = pool, .cpu = cpu,
        .sched_id = domus_or_xen(XEN_SCHEDULER_CREDIT, XEN_SCHEDULER_CREDIT2) };
    return sysctl(&sys, XEN_SYSCTL_cpupool_op);
}

/* The CPUs of pool 0, or those in none. */
static uint64_t pool_cpus(unsigned int what)
{
    static uint64_t map;

    map = 0;
    memset(&sys, 0, sizeof(sys));
    sys.u.cpupool_op.op = what;
    sys.u.cpupool_op.cpumap.nr_bits = 64;
    set_xen_guest_handle(sys.u.cpupool_op.cpumap.bitmap, (uint8_t *)&map);
    check_eq(sysctl(&sys, XEN_SYSCTL_cpupool_op), 0);
    return map;
}

static uint64_t pinned(unsigned int vcpu)
{
    return affinity(XEN_DOMCTL_getvcpuaffinity, vcpu, 0);
}

/* ---- Requests ---- */

static void refusals(void)
{
    static const unsigned int absent[] = { NR_CPUS, 77, 4095, 1u << 31, ~0u };

    check_eq(off(0), -XEN_EINVAL);
    check_eq(on(0), -XEN_EEXIST);
    check_eq(platform(XENPF_cpu_offline, 0), -XEN_EOPNOTSUPP);
    check_eq(platform(XENPF_cpu_online, 0), 0);
    for (unsigned int i = 0; i < ARRAY_SIZE(absent); i++) {
        check_eq(off(absent[i]), -XEN_EINVAL);
        check_eq(on(absent[i]), -XEN_EINVAL);
        check_eq(platform(XENPF_cpu_offline, absent[i]), -XEN_EINVAL);
        check_eq(platform(XENPF_cpu_online, absent[i]), -XEN_EINVAL);
    }
    check_eq(hotplug(1, 99), -XEN_EOPNOTSUPP);
    check_eq(pool_cpus(XEN_SYSCTL_CPUPOOL_OP_INFO), ALL_CPUS);
}

static uint32_t flags_of(unsigned int cpu)
{
    check_eq(platform(XENPF_get_cpuinfo, cpu), 0);
    check_eq(op.u.pcpu_info.apic_id, cpu);
    return op.u.pcpu_info.flags;
}

/* All that tools ask about CPUs, while CPU 2 is off line or not. */
static void check_told(bool online)
{
    static struct xen_sysctl_cputopo topology[NR_CPUS];
    static struct xen_sysctl_cpuinfo idle[NR_CPUS];

    memset(&sys, 0, sizeof(sys));
    check_eq(sysctl(&sys, XEN_SYSCTL_physinfo), 0);
    check_eq(sys.u.physinfo.nr_cpus, online ? NR_CPUS : NR_CPUS - 1);
    check_eq(sys.u.physinfo.max_cpu_id, NR_CPUS - 1);
    memset(&sys, 0, sizeof(sys));
    sys.u.cputopoinfo.num_cpus = NR_CPUS;
    set_xen_guest_handle(sys.u.cputopoinfo.cputopo, topology);
    check_eq(sysctl(&sys, XEN_SYSCTL_cputopoinfo), 0);
    check_eq(sys.u.cputopoinfo.num_cpus, NR_CPUS);
    check_eq(topology[2].core != XEN_INVALID_CORE_ID, online);
    check_eq(topology[2].socket != XEN_INVALID_SOCKET_ID, online);
    check_eq(topology[2].node, 0);
    check_eq(topology[3].socket, 0);
    memset(&sys, 0, sizeof(sys));
    sys.u.getcpuinfo.max_cpus = NR_CPUS;
    set_xen_guest_handle(sys.u.getcpuinfo.info, idle);
    check_eq(sysctl(&sys, XEN_SYSCTL_getcpuinfo), 0);
    check_eq(sys.u.getcpuinfo.nr_cpus, NR_CPUS);
    check_eq(idle[2].idletime != 0, online);
    check(idle[3].idletime != 0);
    check_eq(flags_of(2), online ? XEN_PCPU_FLAGS_ONLINE : 0);
    check_eq(flags_of(3), XEN_PCPU_FLAGS_ONLINE);
    check_eq(op.u.pcpu_info.max_present, NR_CPUS - 1);
    check_eq(platform(XENPF_get_cpu_version, 2), 0);
    check_eq(op.u.pcpu_version.family != 0, online);
    sys.u.get_pmstat.type = PMSTAT_get_max_cx;
    sys.u.get_pmstat.cpuid = 2;
    check_eq(sysctl(&sys, XEN_SYSCTL_get_pmstat), online ? 0 : -XEN_EINVAL);
    check_eq(pool_cpus(XEN_SYSCTL_CPUPOOL_OP_INFO), online ? ALL_CPUS : ALL_CPUS & ~4UL);
    check_eq(pool_cpus(XEN_SYSCTL_CPUPOOL_OP_FREEINFO), 0);
}

static void what_is_told(void)
{
    long port = bind_event(EVTCHNOP_bind_virq, VIRQ_PCPU_STATE, 0);
    struct evtchn_close close = { .port = (evtchn_port_t)port };

    check_told(true);
    check_eq(off(2), 0);
    check(event_comes(port));
    check_told(false);
    check_eq(off(2), -XEN_EEXIST);
    check_eq(platform(XENPF_cpu_offline, 2), 0);
    check(!take_event(port));
    check_eq(pool_op(XEN_SYSCTL_CPUPOOL_OP_ADDCPU, 0, 2), -XEN_ENODEV);
    check_eq(pool_op(XEN_SYSCTL_CPUPOOL_OP_RMCPU, 0, 2), -XEN_EINVAL);
    check_eq(on(2), 0);
    check(event_comes(port));
    check_told(true);
    check_eq(on(2), -XEN_EEXIST);
    check_eq(platform(XENPF_cpu_online, 2), 0);
    check_eq(platform(XENPF_cpu_offline, 2), 0);
    check(event_comes(port));
    check_told(false);
    check_eq(platform(XENPF_cpu_online, 2), 0);
    check(event_comes(port));
    check_told(true);
    check_eq(HCALL(event_channel_op, EVTCHNOP_close, &close, 0, 0, 0), 0);
}

/* CPUs of no pool may go, those of others than pool 0 may not; all come back into pool 0. The last of it stays. */
static void pools(void)
{
    check_eq(pool_op(XEN_SYSCTL_CPUPOOL_OP_RMCPU, 0, 2), 0);
    check_eq(off(2), 0);
    check_eq(pool_cpus(XEN_SYSCTL_CPUPOOL_OP_FREEINFO), 0);
    check_eq(on(2), 0);
    check_eq(pool_cpus(XEN_SYSCTL_CPUPOOL_OP_INFO), ALL_CPUS);
    if (!on_domus())            /* Xen forgets a CPU whose request it has refused so, and keeps CPU 0 in pool 0 */
        return;
    check_eq(pool_op(XEN_SYSCTL_CPUPOOL_OP_RMCPU, 0, 2), 0);
    check_eq(pool_op(XEN_SYSCTL_CPUPOOL_OP_CREATE, 1, 0), 0);
    check_eq(pool_op(XEN_SYSCTL_CPUPOOL_OP_ADDCPU, 1, 2), 0);
    check_eq(off(2), -XEN_ENODEV);
    check_eq(pool_op(XEN_SYSCTL_CPUPOOL_OP_DESTROY, 1, 0), 0);
    check_eq(pool_op(XEN_SYSCTL_CPUPOOL_OP_ADDCPU, 0, 2), 0);
    check_eq(pool_op(XEN_SYSCTL_CPUPOOL_OP_RMCPU, 0, 0), 0);
    check_eq(off(1), 0);
    check_eq(off(2), 0);
    check_eq(off(3), -XEN_EBUSY);
    check_eq(pool_cpus(XEN_SYSCTL_CPUPOOL_OP_INFO), 8);
    check_eq(on(1), 0);
    check_eq(on(2), 0);
    check_eq(pool_op(XEN_SYSCTL_CPUPOOL_OP_ADDCPU, 0, 0), 0);
    check_eq(pool_cpus(XEN_SYSCTL_CPUPOOL_OP_INFO), ALL_CPUS);
}

/* Who has asked for this very CPU keeps it. Xen is left in no good state by the refusal. */
static void pin_override(void)
{
    struct sched_pin_override p = { .pcpu = 2 };

    if (!on_domus())
        return;
    check_eq(HCALL(sched_op, SCHEDOP_pin_override, &p, 0, 0, 0), 0);
    check_eq(off(2), -XEN_EADDRINUSE);
    check_eq(pool_op(XEN_SYSCTL_CPUPOOL_OP_RMCPU, 0, 2), -XEN_EADDRINUSE);
    check_eq(pool_cpus(XEN_SYSCTL_CPUPOOL_OP_INFO), ALL_CPUS);
    p.pcpu = -1;
    check_eq(HCALL(sched_op, SCHEDOP_pin_override, &p, 0, 0, 0), 0);
    check_eq(off(2), 0);
    p.pcpu = 2;
    check_eq(HCALL(sched_op, SCHEDOP_pin_override, &p, 0, 0, 0), -XEN_EINVAL);
    check_eq(on(2), 0);
}

/* Second threads only, all at once. Xen does not see the threads of QEMU's CPU. */
static void threads(void)
{
    if (!on_domus()) {
        check_eq(hotplug(0, XEN_SYSCTL_CPU_HOTPLUG_SMT_DISABLE), -XEN_EOPNOTSUPP);
        return;
    }
    check_eq(hotplug(0, XEN_SYSCTL_CPU_HOTPLUG_SMT_DISABLE), 0);
    check_eq(pool_cpus(XEN_SYSCTL_CPUPOOL_OP_INFO), 5);
    check_eq(hotplug(0, XEN_SYSCTL_CPU_HOTPLUG_SMT_DISABLE), 0);
    memset(&sys, 0, sizeof(sys));
    check_eq(sysctl(&sys, XEN_SYSCTL_physinfo), 0);
    check_eq(sys.u.physinfo.threads_per_core, 1);
    check_eq(on(3), 0);
    check_eq(hotplug(0, XEN_SYSCTL_CPU_HOTPLUG_SMT_ENABLE), 0);
    check_eq(pool_cpus(XEN_SYSCTL_CPUPOOL_OP_INFO), ALL_CPUS);
    check_eq(hotplug(0, XEN_SYSCTL_CPU_HOTPLUG_SMT_ENABLE), 0);
}

/* ---- What runs there ---- */

static char second_stack[8192] __attribute__((aligned(16)));
static volatile unsigned long work, ticks, answers;
static long second_timer, ipi, answer;

static void arm(unsigned int vcpu)
{
    struct vcpu_set_singleshot_timer t = { .timeout_abs_ns = system_time() + 2 * MS };

    HCALL(vcpu_op, VCPUOP_set_singleshot_timer, vcpu, &t, 0, 0);
}

/* Computes, sleeps now and then, and answers its timer and interprocessor interrupts. */
static void second_main(void)
{
    struct evtchn_send send = { (evtchn_port_t)answer };
    evtchn_port_t ports[2] = { (evtchn_port_t)second_timer, (evtchn_port_t)ipi };
    struct sched_poll p = { .nr_ports = 2 };

    set_xen_guest_handle(p.ports, ports);
    HCALL(vcpu_op, VCPUOP_stop_periodic_timer, 1, 0, 0, 0);
    arm(1);
    for (;;) {
        if (++work % 1000 == 0)
            HCALL(sched_op, SCHEDOP_poll, &p, 0, 0, 0);
        if (take_event(second_timer)) {
            ticks++;
            arm(1);
        }
        if (take_event(ipi)) {
            answers++;
            HCALL(event_channel_op, EVTCHNOP_send, &send, 0, 0, 0);
        }
    }
}

/* Waits until the second vCPU's counter has gone on, and says whether it has. */
static bool goes_on(volatile unsigned long *counter)
{
    unsigned long before = *counter;

    for (uint64_t end = system_time() + PATIENCE; *counter == before && system_time() < end;)
        HCALL(sched_op, SCHEDOP_yield, 0, 0, 0, 0);
    return *counter != before;
}

static void start_second(void)
{
    HCALL(vcpu_op, VCPUOP_stop_periodic_timer, 0, 0, 0, 0);
    second_timer = bind_event(EVTCHNOP_bind_virq, VIRQ_TIMER, 1);
    ipi = bind_event(EVTCHNOP_bind_ipi, 0, 1);
    answer = bind_event(EVTCHNOP_bind_ipi, 0, 0);
    start_vcpu(1, second_main, second_stack + sizeof(second_stack));
    check(goes_on(&work));
}

/* The vCPU that may run on this CPU alone, and the one that asks: both go on elsewhere, and may run anywhere then. */
static void pinned_vcpus(void)
{
    for (unsigned int cpu = 1; cpu < NR_CPUS; cpu++) {
        pin(0, 1UL << cpu);
        pin(1, 1UL << cpu);
        check(goes_on(&ticks));
        check_eq(cpu & 1 ? off(cpu) : platform(XENPF_cpu_offline, cpu), 0);
        check_eq(pinned(0), ALL_CPUS);
        check_eq(pinned(1), ALL_CPUS);
        check(goes_on(&work));
        check(goes_on(&ticks));
        check_eq(on(cpu), 0);
        pin(1, 1UL << cpu);
        check(goes_on(&work));
        check(goes_on(&ticks));
        pin(1, ALL_CPUS);
    }
}

static long trace_op(unsigned int what)
{
    memset(&sys, 0, sizeof(sys));
    sys.u.tbuf_op.cmd = what;
    sys.u.tbuf_op.size = 1;
    return sysctl(&sys, XEN_SYSCTL_tbuf_op);
}

/* What is asked of all CPUs while one is off line holds for it when it is back. */
static void all_but_one(void)
{
    struct mmuext_op flush = { .cmd = MMUEXT_FLUSH_CACHE_GLOBAL };
    xenpf_resource_entry_t entry = { .u.cmd = XEN_RESOURCE_OP_MSR_READ, .idx = 0x10 };
    uint32_t reg;

    check_eq(off(2), 0);
    op.u.add_memtype = (struct xenpf_add_memtype){ .mfn = 0x200000, .nr_mfns = 0x1000, .type = 1 };
    check_eq(platform_op(&op, XENPF_add_memtype), 0);
    reg = op.u.add_memtype.reg;
    check_eq(HCALL(mmuext_op, &flush, 1, 0, DOMID_SELF, 0), 0);
    op.u.resource_op = (struct xenpf_resource_op){ .nr_entries = 1, .cpu = 2 };
    set_xen_guest_handle(op.u.resource_op.entries, &entry);
    check_eq(platform_op(&op, XENPF_resource_op), -XEN_ENODEV);
    check_eq(trace_op(XEN_SYSCTL_TBUFOP_set_size), 0);
    check_eq(trace_op(XEN_SYSCTL_TBUFOP_enable), 0);
    check_eq(on(2), 0);
    pin(1, 4);
    check(goes_on(&ticks));
    check_eq(off(2), 0);
    check_eq(trace_op(XEN_SYSCTL_TBUFOP_disable), 0);
    op.u.del_memtype = (struct xenpf_del_memtype){ .reg = reg };
    check_eq(platform_op(&op, XENPF_del_memtype), 0);
    check_eq(on(2), 0);
    pin(1, 4);
    check(goes_on(&work));
    check(goes_on(&ticks));
    pin(1, ALL_CPUS);
}

/* Timers, events and the vCPUs themselves, wherever the moment meets them. Xen panics of it, in its scheduler credit2. */
static void under_load(void)
{
    long timer = bind_event(EVTCHNOP_bind_virq, VIRQ_TIMER, 0);
    struct evtchn_send send = { (evtchn_port_t)ipi };
    uint64_t seed = 1;

    if (!on_domus())
        return;
    for (unsigned int round = 0; round < 150; round++) {
        unsigned int cpu;

        seed = seed * 6364136223846793005UL + 1442695040888963407UL;
        cpu = 1 + (seed >> 40) % (NR_CPUS - 1);
        if (seed >> 33 & 1)
            pin(1, 1UL << cpu);
        if (seed >> 34 & 1)
            pin(0, 1UL << cpu);
        arm(0);
        check_eq(HCALL(event_channel_op, EVTCHNOP_send, &send, 0, 0, 0), 0);
        check_eq(off(cpu), 0);
        if (!event_comes(answer) || !event_comes(timer)) {
            fail(__FILE__, __LINE__, "an event was lost in round %u", round);
            return;
        }
        if (seed >> 35 & 1)
            check(goes_on(&ticks));
        check_eq(on(cpu), 0);
    }
    check_eq(pinned(0), ALL_CPUS);
    check(goes_on(&work));
}

/* Only CPU 0 is left, and all come back. */
static void alone(void)
{
    for (unsigned int cpu = 1; cpu < NR_CPUS; cpu++)
        check_eq(off(cpu), 0);
    memset(&sys, 0, sizeof(sys));
    check_eq(sysctl(&sys, XEN_SYSCTL_physinfo), 0);
    check_eq(sys.u.physinfo.nr_cpus, 1);
    check(goes_on(&work));
    check(goes_on(&ticks));
    for (unsigned int cpu = NR_CPUS - 1; cpu > 0; cpu--)
        check_eq(on(cpu), 0);
    check(goes_on(&work));
    check(goes_on(&ticks));
}

static void check_idle(uint32_t idle, unsigned int online)
{
    op.u.core_parking = (struct xenpf_core_parking){ .type = XEN_CORE_PARKING_GET, .idle_nums = 77 };
    check_eq(platform_op(&op, XENPF_core_parking), 0);
    check_eq(op.u.core_parking.idle_nums, idle);
    memset(&sys, 0, sizeof(sys));
    check_eq(sysctl(&sys, XEN_SYSCTL_physinfo), 0);
    check_eq(sys.u.physinfo.nr_cpus, online);
}

static long park(uint32_t idle)
{
    op.u.core_parking = (struct xenpf_core_parking){ .type = XEN_CORE_PARKING_SET, .idle_nums = idle };
    return platform_op(&op, XENPF_core_parking);
}

/* dom0 says how many CPUs are to be idle, not which. */
static void parking(void)
{
    static const uint32_t idle[] = { 0, 1, 3, 2, 0, NR_CPUS, 1, ~0u, 0 };

    for (unsigned int i = 0; i < ARRAY_SIZE(idle); i++) {
        uint32_t off_line = idle[i] < NR_CPUS ? idle[i] : NR_CPUS - 1;

        check_eq(park(idle[i]), 0);
        check_idle(off_line, NR_CPUS - off_line);
        check(goes_on(&work));
        check(goes_on(&ticks));
    }
    /* One that is off line by another request does not count, nor does one that was brought back (on Xen this one does). */
    check_eq(off(1), 0);
    check_idle(0, NR_CPUS - 1);
    check_eq(park(1), 0);
    check_idle(1, NR_CPUS - 2);
    for (unsigned int cpu = 1; cpu < NR_CPUS; cpu++)
        on(cpu);
    check_idle(domus_or_xen(0, 1), NR_CPUS);
    check_eq(park(0), domus_or_xen(0, -XEN_EEXIST));
}

TESTS({ "refusals", refusals }, { "what is told", what_is_told }, { "pools", pools }, { "pin override", pin_override },
      { "threads", threads }, { "second vCPU", start_second }, { "pinned vCPUs", pinned_vcpus },
      { "all but one", all_but_one }, { "under load", under_load }, { "alone", alone },
      { "parking", parking });
