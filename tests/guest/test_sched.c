/* SPDX-License-Identifier: MIT */
/* sched_op, timers, vcpu_op: with a second vCPU that answers interprocessor interrupts. */
#include "kernel.h"

#define NS_PER_MS 1000000UL

static long poll(unsigned int port, uint64_t timeout)
{
    struct sched_poll p = { .nr_ports = 1, .timeout = timeout };

    set_xen_guest_handle(p.ports, &port);
    return HCALL(sched_op, SCHEDOP_poll, &p, 0, 0, 0);
}

/* ---- sched_op ---- */

static void arguments(void)
{
    struct sched_poll p = { .nr_ports = 1 };
    struct sched_remote_shutdown r = { .domain_id = 0x1234 };
    struct sched_watchdog w = { .id = 1000, .timeout = 10 };
    evtchn_port_t port = 5000;

    check_eq(HCALL(sched_op, SCHEDOP_yield, 0, 0, 0, 0), 0);
    check_eq(HCALL(sched_op, 99, 0, 0, 0, 0), -XEN_ENOSYS);
    check_eq(HCALL(sched_op, SCHEDOP_shutdown, UNMAPPED, 0, 0, 0), -XEN_EFAULT);
    check_eq(HCALL(sched_op, SCHEDOP_shutdown, HV_SECRET, 0, 0, 0), -XEN_EFAULT);
    check_eq(HCALL(sched_op, SCHEDOP_poll, UNMAPPED, 0, 0, 0), -XEN_EFAULT);
    set_xen_guest_handle(p.ports, &port);
    check_eq(HCALL(sched_op, SCHEDOP_poll, &p, 0, 0, 0), -XEN_EINVAL);
    set_xen_guest_handle(p.ports, (void *)HV_SECRET);
    check_eq(HCALL(sched_op, SCHEDOP_poll, &p, 0, 0, 0), -XEN_EFAULT);
    p.nr_ports = 1000;
    check_eq(HCALL(sched_op, SCHEDOP_poll, &p, 0, 0, 0), -XEN_EINVAL);
    check_eq(HCALL(sched_op, SCHEDOP_remote_shutdown, &r, 0, 0, 0), -XEN_ESRCH);
    check_eq(HCALL(sched_op, SCHEDOP_watchdog, &w, 0, 0, 0), -XEN_EINVAL);
    w = (struct sched_watchdog){ .id = 1, .timeout = 0 };
    check_eq(HCALL(sched_op, SCHEDOP_watchdog, &w, 0, 0, 0), -XEN_EINVAL);
    check_eq(HCALL(sched_op, SCHEDOP_watchdog, UNMAPPED, 0, 0, 0), -XEN_EFAULT);
}

static void polls(void)
{
    unsigned int port = bind_event(EVTCHNOP_bind_ipi, 0, 0);
    struct evtchn_send send = { port };
    uint64_t start;

    take_event(port);
    start = system_time();
    check_eq(poll(port, start + 20 * NS_PER_MS), 0);
    check(system_time() >= start + 20 * NS_PER_MS);
    check(system_time() < start + 5000 * NS_PER_MS);
    check_eq(HCALL(event_channel_op, EVTCHNOP_send, &send, 0, 0, 0), 0);
    check_eq(poll(port, 0), 0);
    check(take_event(port));
    /* A time in the past. */
    check_eq(poll(port, 1), 0);
    check_eq(HCALL(event_channel_op, EVTCHNOP_close, &send, 0, 0, 0), 0);
}

static void one_shot_timer(void)
{
    unsigned int port = bind_event(EVTCHNOP_bind_virq, VIRQ_TIMER, 0);
    struct vcpu_set_singleshot_timer t = { 0 };
    struct vcpu_set_periodic_timer periodic = { .period_ns = 0 };
    uint64_t start;

    check_eq(HCALL(vcpu_op, VCPUOP_stop_periodic_timer, 0, 0, 0, 0), 0);
    take_event(port);
    start = system_time();
    check_eq(HCALL(set_timer_op, start + 10 * NS_PER_MS, 0, 0, 0, 0), 0);
    check_eq(poll(port, start + 5000 * NS_PER_MS), 0);
    check(take_event(port));
    check(system_time() >= start + 10 * NS_PER_MS);
    start = system_time();
    t.timeout_abs_ns = start + 10 * NS_PER_MS;
    check_eq(HCALL(vcpu_op, VCPUOP_set_singleshot_timer, 0, &t, 0, 0), 0);
    check_eq(poll(port, start + 5000 * NS_PER_MS), 0);
    check(take_event(port));
    check(system_time() >= start + 10 * NS_PER_MS);
    /* Stopped again, unless the machine is so slow that it fires before that. */
    do {
        take_event(port);
        t.timeout_abs_ns = system_time() + 10 * NS_PER_MS;
        check_eq(HCALL(vcpu_op, VCPUOP_set_singleshot_timer, 0, &t, 0, 0), 0);
        check_eq(HCALL(vcpu_op, VCPUOP_stop_singleshot_timer, 0, 0, 0, 0), 0);
    } while (system_time() >= t.timeout_abs_ns);
    check_eq(poll(port, t.timeout_abs_ns + 20 * NS_PER_MS), 0);
    check(!take_event(port));
    check_eq(HCALL(set_timer_op, 0, 0, 0, 0, 0), 0);
    check_eq(HCALL(set_timer_op, ~0UL, 0, 0, 0, 0), 0);
    check_eq(HCALL(set_timer_op, 0, 0, 0, 0, 0), 0);
    /* Periodic. */
    periodic.period_ns = 5 * NS_PER_MS;
    take_event(port);
    check_eq(HCALL(vcpu_op, VCPUOP_set_periodic_timer, 0, &periodic, 0, 0), 0);
    for (unsigned int i = 0; i < 3; i++) {
        check_eq(poll(port, system_time() + 5000 * NS_PER_MS), 0);
        check(take_event(port));
    }
    periodic.period_ns = 1;
    check_eq(HCALL(vcpu_op, VCPUOP_set_periodic_timer, 0, &periodic, 0, 0), -XEN_EINVAL);
    periodic.period_ns = ~0UL;
    check_eq(HCALL(vcpu_op, VCPUOP_set_periodic_timer, 0, &periodic, 0, 0), -XEN_EINVAL);
    check_eq(HCALL(vcpu_op, VCPUOP_stop_periodic_timer, 0, 0, 0, 0), 0);
}

/* ---- vcpu_op ---- */

static void vcpu_arguments(void)
{
    static const unsigned int bad[] = { 2, 32, 1000, 0x7fffffff, 0xffffffff };

    for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
        check_eq(HCALL(vcpu_op, VCPUOP_up, bad[i], 0, 0, 0), -XEN_ENOENT);
        check_eq(HCALL(vcpu_op, VCPUOP_down, bad[i], 0, 0, 0), -XEN_ENOENT);
        check_eq(HCALL(vcpu_op, VCPUOP_is_up, bad[i], 0, 0, 0), -XEN_ENOENT);
        check_eq(HCALL(vcpu_op, VCPUOP_initialise, bad[i], UNMAPPED, 0, 0), -XEN_ENOENT);
    }
    check_eq(HCALL(vcpu_op, VCPUOP_is_up, 0, 0, 0, 0), 1);
    check_eq(HCALL(vcpu_op, VCPUOP_is_up, 1, 0, 0, 0), 0);
    /* Not initialised yet. */
    check_eq(HCALL(vcpu_op, VCPUOP_up, 1, 0, 0, 0), -XEN_EINVAL);
    check_eq(HCALL(vcpu_op, 99, 0, 0, 0, 0), -XEN_ENOSYS);
}

static void runstates(void)
{
    static struct vcpu_runstate_info area;
    struct vcpu_runstate_info info;
    struct vcpu_register_runstate_memory_area reg;

    check_eq(HCALL(vcpu_op, VCPUOP_get_runstate_info, 0, &info, 0, 0), 0);
    check_eq(info.state, RUNSTATE_running);
    check(info.time[RUNSTATE_running] > 0);
    check_eq(HCALL(vcpu_op, VCPUOP_get_runstate_info, 0, UNMAPPED, 0, 0), -XEN_EFAULT);
    check_eq(HCALL(vcpu_op, VCPUOP_get_runstate_info, 0, HV_SECRET, 0, 0), -XEN_EFAULT);
    reg.addr.v = &area;
    check_eq(HCALL(vcpu_op, VCPUOP_register_runstate_memory_area, 0, &reg, 0, 0), 0);
    check_eq(area.state, RUNSTATE_running);
    reg.addr.v = (void *)HV_SECRET;
    check_eq(HCALL(vcpu_op, VCPUOP_register_runstate_memory_area, 0, &reg, 0, 0), -XEN_EFAULT);
    /* Areas that cannot be written later harm nobody. */
    reg.addr.v = (void *)UNMAPPED;
    (void)HCALL(vcpu_op, VCPUOP_register_runstate_memory_area, 0, &reg, 0, 0);
    check_eq(poll(1, system_time() + 5 * NS_PER_MS) <= 0, 1);
    reg.addr.v = (void *)start_info->pt_base;
    (void)HCALL(vcpu_op, VCPUOP_register_runstate_memory_area, 0, &reg, 0, 0);
    check_eq(poll(1, system_time() + 5 * NS_PER_MS) <= 0, 1);
    reg.addr.v = &area;
    check_eq(HCALL(vcpu_op, VCPUOP_register_runstate_memory_area, 0, &reg, 0, 0), 0);
}

static void time_areas(void)
{
    struct vcpu_register_time_memory_area reg;

    /* An area that cannot be written harms nobody. */
    reg.addr.v = (void *)UNMAPPED;
    check_eq(HCALL(vcpu_op, VCPUOP_register_vcpu_time_memory_area, 0, &reg, 0, 0), 0);
    check_eq(poll(1, system_time() + 5 * NS_PER_MS) <= 0, 1);
    reg.addr.v = (void *)HV_SECRET;
    check_eq(HCALL(vcpu_op, VCPUOP_register_vcpu_time_memory_area, 0, &reg, 0, 0), -XEN_EFAULT);
    reg.addr.v = (void *)(HV_START - 8);
    check_eq(HCALL(vcpu_op, VCPUOP_register_vcpu_time_memory_area, 0, &reg, 0, 0), -XEN_EFAULT);
    reg.addr.v = NULL;
    check_eq(HCALL(vcpu_op, VCPUOP_register_vcpu_time_memory_area, 0, &reg, 0, 0), 0);
    check_eq(poll(1, system_time() + 5 * NS_PER_MS) <= 0, 1);
    check_eq(HCALL(vcpu_op, VCPUOP_register_vcpu_time_memory_area, 0, UNMAPPED, 0, 0), -XEN_EFAULT);
}

/* ---- NMIs ---- */

/* An NMI that comes before its vCPU sleeps keeps it awake: both calls are served before the way out, where it is delivered. */
static void nmi_before_sleep(void)
{
    unsigned int port = bind_event(EVTCHNOP_bind_ipi, 0, 0);
    struct sched_poll p = { .nr_ports = 1 };
    struct multicall_entry calls[2][2] = {
        { { .op = __HYPERVISOR_vcpu_op, .args = { VCPUOP_send_nmi, 0, 0 } },
          { .op = __HYPERVISOR_sched_op, .args = { SCHEDOP_block, 0 } } },
        { { .op = __HYPERVISOR_vcpu_op, .args = { VCPUOP_send_nmi, 0, 0 } },
          { .op = __HYPERVISOR_sched_op, .args = { SCHEDOP_poll, (unsigned long)&p } } },
    };

    check_eq(count_nmis(), 0);
    nmi_count = 0;
    check_eq(HCALL(vcpu_op, VCPUOP_send_nmi, 0, 0, 0, 0), 0);
    check_eq(nmi_count, 1);
    check_eq(HCALL(vcpu_op, VCPUOP_send_nmi, 0, 0, 0, 0), 0);
    check_eq(nmi_count, 2);
    take_event(port);
    set_xen_guest_handle(p.ports, &port);
    /* Xen sleeps on. */
    for (unsigned int i = 0; i < ARRAY_SIZE(calls) && on_domus(); i++) {
        nmi_count = 0;
        check_eq(HCALL(multicall, calls[i], 2, 0, 0, 0), 0);
        check_eq(nmi_count, 1);
    }
}

static void send_another_nmi(void)
{
    if (nmi_count == 1)
        HCALL(vcpu_op, VCPUOP_send_nmi, 0, 0, 0, 0);
}

/* An NMI that comes while one is handled waits for the end of that one, and for nothing else. */
static void nmi_within_nmi(void)
{
    check_eq(count_nmis(), 0);
    nmi_count = 0;
    on_nmi = send_another_nmi;
    HCALL(vcpu_op, VCPUOP_send_nmi, 0, 0, 0, 0);
    check_eq(nmi_count, 2);
    on_nmi = NULL;
}

/* The entry of the trap table serves as well as a callback: it is all that Linux gives. */
static void nmi_by_the_trap_table(void)
{
    extern char nmi_entry[];
    struct callback_unregister nmi = { .type = CALLBACKTYPE_nmi };
    struct trap_info table[2] = {
        { .vector = 2, .flags = 4, .cs = FLAT_KERNEL_CS, .address = (unsigned long)nmi_entry },
    };

    check_eq(HCALL(callback_op, CALLBACKOP_unregister, &nmi, 0, 0, 0), 0);
    nmi_count = 0;
    check_eq(HCALL(vcpu_op, VCPUOP_send_nmi, 0, 0, 0, 0), 0);
    check_eq(nmi_count, 0);
    check_eq(HCALL(set_trap_table, table, 0, 0, 0, 0), 0);
    check_eq(HCALL(vcpu_op, VCPUOP_send_nmi, 0, 0, 0, 0), 0);
    check_eq(nmi_count, 1);
}

/* ---- A second vCPU ---- */

static char second_stack[8192] __attribute__((aligned(16)));
static volatile unsigned int second_state, answers;
static unsigned int ipi_port, answer_port;

static void second_main(void)
{
    struct evtchn_send send = { answer_port };

    count_nmis();
    second_state = 1;
    for (;;) {
        if (poll(ipi_port, 0) != 0)
            second_state = 99;
        if (!take_event(ipi_port))
            continue;
        answers++;
        HCALL(event_channel_op, EVTCHNOP_send, &send, 0, 0, 0);
    }
}

static struct vcpu_guest_context *second_context(void)
{
    static struct vcpu_guest_context c;

    vcpu_context(&c, second_main, second_stack + sizeof(second_stack));
    return &c;
}

static long initialise(const struct vcpu_guest_context *c)
{
    return HCALL(vcpu_op, VCPUOP_initialise, 1, c, 0, 0);
}

static void hostile_contexts(void)
{
    struct vcpu_guest_context *c = second_context();

    check_eq(initialise((void *)UNMAPPED), -XEN_EFAULT);
    check_eq(initialise((void *)HV_SECRET), -XEN_EFAULT);
    c->ctrlreg[3] = 0xfffffffffUL << PAGE_SHIFT;
    check(initialise(c) < 0);
    c = second_context();
    c->ctrlreg[3] = mfn_of(second_stack) << PAGE_SHIFT;
    check(initialise(c) < 0);
    c = second_context();
    c->event_callback_eip = NON_CANONICAL;
    check_eq(initialise(c), -XEN_EINVAL);
    c = second_context();
    c->failsafe_callback_eip = HV_SECRET << 1;
    check_eq(initialise(c), -XEN_EINVAL);
    c = second_context();
    c->syscall_callback_eip = NON_CANONICAL;
    check_eq(initialise(c), -XEN_EINVAL);
    c = second_context();
    c->fs_base = NON_CANONICAL;
    check_eq(initialise(c), -XEN_EINVAL);
    c = second_context();
    c->gdt_ents = 100000;
    check_eq(initialise(c), -XEN_EINVAL);
    c = second_context();
    c->gdt_ents = 512;
    c->gdt_frames[0] = mfn_of((void *)start_info->pt_base);
    check(initialise(c) < 0);
    c = second_context();
    c->ldt_ents = 8193;
    check_eq(initialise(c), -XEN_EINVAL);
    c = second_context();
    c->trap_ctxt[14] = (struct trap_info){ .vector = 14, .cs = FLAT_KERNEL_CS, .address = NON_CANONICAL };
    check_eq(initialise(c), -XEN_EINVAL);
    c = second_context();
    c->flags &= ~(unsigned long)VGCF_IN_KERNEL;
    check(initialise(c) < 0);
    c->ctrlreg[1] = 1;                                  /* not zero, but names frame 0, which is none */
    check(initialise(c) < 0);
    c = second_context();
    c->user_regs.rip = NON_CANONICAL;
    check_eq(initialise(c), -XEN_EINVAL);
    check_eq(HCALL(vcpu_op, VCPUOP_is_up, 1, 0, 0, 0), 0);
}

static void second_vcpu(void)
{
    struct evtchn_send send;
    struct vcpu_runstate_info info;

    ipi_port = bind_event(EVTCHNOP_bind_ipi, 0, 1);
    answer_port = bind_event(EVTCHNOP_bind_ipi, 0, 0);
    check_eq(initialise(second_context()), 0);
    check_eq(initialise(second_context()), -XEN_EEXIST);
    check_eq(HCALL(vcpu_op, VCPUOP_up, 1, 0, 0, 0), 0);
    check_eq(HCALL(vcpu_op, VCPUOP_is_up, 1, 0, 0, 0), 1);
    for (uint64_t end = system_time() + 5000 * NS_PER_MS; !second_state && system_time() < end;)
        HCALL(sched_op, SCHEDOP_yield, 0, 0, 0, 0);
    check_eq(second_state, 1);
    send.port = ipi_port;
    for (unsigned int i = 0; i < 50; i++) {
        take_event(answer_port);
        check_eq(HCALL(event_channel_op, EVTCHNOP_send, &send, 0, 0, 0), 0);
        check_eq(poll(answer_port, system_time() + 5000 * NS_PER_MS), 0);
        if (answers != i + 1) {
            fail(__FILE__, __LINE__, "interrupt %u was not answered", i);
            return;
        }
    }
    check_eq(second_state, 1);
    check_eq(HCALL(vcpu_op, VCPUOP_get_runstate_info, 1, &info, 0, 0), 0);
    check(info.time[RUNSTATE_blocked] > 0);
    check_eq(HCALL(vcpu_op, VCPUOP_send_nmi, 1000, 0, 0, 0), -XEN_ENOENT);

    /* An NMI wakes it, wherever it is between two polls. */
    for (unsigned int i = 1; i <= 50; i++) {
        nmi_count = 0;
        check_eq(HCALL(vcpu_op, VCPUOP_send_nmi, 1, 0, 0, 0), 0);
        for (uint64_t end = system_time() + 5000 * NS_PER_MS; !nmi_count && system_time() < end;)
            HCALL(sched_op, SCHEDOP_yield, 0, 0, 0, 0);
        check_eq(nmi_count, 1);
    }
    check_eq(HCALL(vcpu_op, VCPUOP_down, 1, 0, 0, 0), 0);
    check_eq(HCALL(vcpu_op, VCPUOP_is_up, 1, 0, 0, 0), 0);
    /* Down: events stay where they are. */
    check_eq(HCALL(event_channel_op, EVTCHNOP_send, &send, 0, 0, 0), 0);
    check_eq(poll(answer_port, system_time() + 5 * NS_PER_MS), 0);
    check_eq(HCALL(vcpu_op, VCPUOP_up, 1, 0, 0, 0), 0);
    take_event(answer_port);
    check_eq(poll(answer_port, system_time() + 5000 * NS_PER_MS), 0);
    check_eq(answers, 51);
    check_eq(HCALL(vcpu_op, VCPUOP_down, 1, 0, 0, 0), 0);
}

static void vcpu_info_areas(void)
{
    char *page = alloc_page();
    struct vcpu_register_vcpu_info reg = { .mfn = mfn_of(page), .offset = 64 }, good = reg;
    struct mmuext_op pin = { .cmd = MMUEXT_PIN_L1_TABLE, .arg1.mfn = mfn_of(page) };

    reg.offset = PAGE_SIZE - 8;
    check(HCALL(vcpu_op, VCPUOP_register_vcpu_info, 1, &reg, 0, 0) < 0);
    reg.offset = 0xffffffff;
    check(HCALL(vcpu_op, VCPUOP_register_vcpu_info, 1, &reg, 0, 0) < 0);
    reg.offset = 3;
    check(HCALL(vcpu_op, VCPUOP_register_vcpu_info, 1, &reg, 0, 0) < 0);
    reg = good;
    reg.mfn = 0xfffffffffUL;
    check(HCALL(vcpu_op, VCPUOP_register_vcpu_info, 1, &reg, 0, 0) < 0);
    reg.mfn = mfn_of((void *)start_info->pt_base);
    check(HCALL(vcpu_op, VCPUOP_register_vcpu_info, 1, &reg, 0, 0) < 0);
    check_eq(HCALL(vcpu_op, VCPUOP_register_vcpu_info, 1, UNMAPPED, 0, 0), -XEN_EFAULT);
    check_eq(HCALL(vcpu_op, VCPUOP_register_vcpu_info, 1, &good, 0, 0), 0);
    check(HCALL(vcpu_op, VCPUOP_register_vcpu_info, 1, &good, 0, 0) < 0);
    /* It is written by the hypervisor: no page table any more. */
    check_eq(set_pte((unsigned long)page, mfn_of(page) << PAGE_SHIFT | PTE_RO), 0);
    check(HCALL(mmuext_op, &pin, 1, 0, DOMID_SELF, 0) != 0);
}

TESTS({ "arguments", arguments }, { "polls", polls }, { "timers", one_shot_timer },
      { "arguments of vcpu_op", vcpu_arguments }, { "run states", runstates }, { "time areas", time_areas },
      { "NMI before sleep", nmi_before_sleep }, { "NMI within an NMI", nmi_within_nmi },
      { "NMI by the trap table", nmi_by_the_trap_table },
      { "hostile contexts", hostile_contexts }, { "second vCPU", second_vcpu },
      { "vcpu_info areas", vcpu_info_areas });
