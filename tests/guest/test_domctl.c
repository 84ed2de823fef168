/* SPDX-License-Identifier: MIT */
/* domctl and sysctl, as dom0: making, changing and destroying a domain, hostile contexts, and that no page is lost. */
#include "control.h"

#define NOBODY 0x1234
#define ANY (~0UL)

static struct xen_domctl ctl;

/*
 * Free pages once all domains that were destroyed are quite gone. The last pages of a domain go after destroydomain has
 * returned, when every CPU is known to have let go of it; nothing tells when. So this is the most that is seen for a
 * while, which may be too few on a slow machine, or what is wanted, however long that takes.
 */
static uint64_t settled_free_pages(uint64_t wanted)
{
    const unsigned int tries = wanted == ANY ? 2000 : 2000000;
    uint64_t most = 0;

    for (unsigned int i = 0; i < tries && most < wanted; i++) {
        uint64_t now = free_pages();

        most = now > most ? now : most;
        HCALL(sched_op, SCHEDOP_yield, 0, 0, 0, 0);
    }
    return most;
}

/* Xen's pools of small blocks keep some pages for the next domain. */
static void expect_free_pages(uint64_t exact)
{
    uint64_t wanted = exact - (uint64_t)domus_or_xen(0, 16), settled = settled_free_pages(wanted);

    if (settled < wanted)
        fail(__FILE__, __LINE__, "%lu pages are lost", wanted - settled);
}

static void default_domain(void)
{
    ctl = (struct xen_domctl){ .u.createdomain = { .max_vcpus = 2, .max_evtchn_port = 1023,
                                                       .max_grant_frames = 8, .max_maptrack_frames = 8,
                                                       .grant_opts = 1 } };
}

/* A new domain's number, or a negative error. */
static long create(void)
{
    long rc;

    default_domain();
    rc = domctl(&ctl, XEN_DOMCTL_createdomain, 0);
    return rc ? rc : ctl.domain;
}

static void destroy(domid_t domain)
{
    long rc;

    /* Work that is left is asked for again. */
    do {
        rc = domctl(&ctl, XEN_DOMCTL_destroydomain, domain);
    } while (rc == -XEN_EAGAIN || rc == -XEN_EBUSY);
    check_eq(rc, 0);
}

static long set_max_memory(domid_t domain, uint64_t kib)
{
    ctl.u.max_mem.max_memkb = kib;
    return domctl(&ctl, XEN_DOMCTL_max_mem, domain);
}

static long set_max_vcpus(domid_t domain, unsigned int nr)
{
    ctl.u.max_vcpus.max = nr;
    return domctl(&ctl, XEN_DOMCTL_max_vcpus, domain);
}

static unsigned long frames[256];

static long populate(domid_t domain, unsigned int nr)
{
    struct xen_memory_reservation r = { .nr_extents = nr, .domid = domain };

    for (unsigned int i = 0; i < nr; i++)
        frames[i] = i;
    set_xen_guest_handle(r.extent_start, frames);
    return HCALL(memory_op, XENMEM_populate_physmap, &r, 0, 0, 0);
}

static void versions_and_pointers(void)
{
    static struct xen_sysctl s;

    ctl = (struct xen_domctl){ .cmd = XEN_DOMCTL_getdomaininfo, .interface_version = 1 };
    check_eq(HCALL(domctl, &ctl, 0, 0, 0, 0), -XEN_EACCES);
    check_eq(HCALL(domctl, UNMAPPED, 0, 0, 0, 0), -XEN_EFAULT);
    check_eq(HCALL(domctl, HV_SECRET, 0, 0, 0, 0), -XEN_EFAULT);
    check(domctl(&ctl, 9999, DOMID_SELF) < 0);
    s = (struct xen_sysctl){ .cmd = XEN_SYSCTL_physinfo, .interface_version = 1 };
    check_eq(HCALL(sysctl, &s, 0, 0, 0, 0), -XEN_EACCES);
    check_eq(HCALL(sysctl, UNMAPPED, 0, 0, 0, 0), -XEN_EFAULT);
    check_eq(HCALL(sysctl, HV_SECRET, 0, 0, 0, 0), -XEN_EFAULT);
    s = (struct xen_sysctl){ .cmd = 9999, .interface_version = XEN_SYSCTL_INTERFACE_VERSION };
    check(HCALL(sysctl, &s, 0, 0, 0, 0) < 0);
}

static void domains_that_are_not(void)
{
    static const unsigned int cmds[] = {
        XEN_DOMCTL_destroydomain, XEN_DOMCTL_pausedomain, XEN_DOMCTL_unpausedomain, XEN_DOMCTL_max_mem,
        XEN_DOMCTL_setvcpucontext, XEN_DOMCTL_getvcpucontext, XEN_DOMCTL_max_vcpus, XEN_DOMCTL_setdomainhandle,
        XEN_DOMCTL_getvcpuinfo, XEN_DOMCTL_settimeoffset, XEN_DOMCTL_resumedomain, XEN_DOMCTL_gethvmcontext,
    };

    for (unsigned int i = 0; i < ARRAY_SIZE(cmds); i++) {
        ctl = (struct xen_domctl){ 0 };
        check_eq(domctl(&ctl, cmds[i], NOBODY), -XEN_ESRCH);
        check(domctl(&ctl, cmds[i], DOMID_XEN) < 0);
        check(domctl(&ctl, cmds[i], DOMID_INVALID) < 0);
    }
    /* Not oneself. */
    check(domctl(&ctl, XEN_DOMCTL_destroydomain, 0) < 0);
    check(domctl(&ctl, XEN_DOMCTL_pausedomain, 0) < 0);
}

static void info(void)
{
    ctl = (struct xen_domctl){ 0 };
    check_eq(domctl(&ctl, XEN_DOMCTL_getdomaininfo, 0), 0);
    check_eq(ctl.domain, 0);
    check_eq(ctl.u.getdomaininfo.tot_pages, start_info->nr_pages);
    check_eq(ctl.u.getdomaininfo.max_vcpu_id, 1);
    check_eq(ctl.u.getdomaininfo.nr_online_vcpus, 1);
}

static void bad_creations(void)
{
    uint64_t before;

    /* The first creation leaves what is made once. */
    destroy((domid_t)create());
    before = settled_free_pages(ANY);
    default_domain();
    ctl.u.createdomain.flags = 1u << 31;
    check_eq(domctl(&ctl, XEN_DOMCTL_createdomain, 0), -XEN_EINVAL);
    default_domain();
    ctl.u.createdomain.iommu_opts = ~0u;
    check(domctl(&ctl, XEN_DOMCTL_createdomain, 0) < 0);
    default_domain();
    ctl.u.createdomain.max_vcpus = 0;
    check_eq(domctl(&ctl, XEN_DOMCTL_createdomain, 0), -XEN_EINVAL);
    default_domain();
    ctl.u.createdomain.max_vcpus = 1000000;
    check(domctl(&ctl, XEN_DOMCTL_createdomain, 0) < 0);
    default_domain();
    ctl.u.createdomain.arch.emulation_flags = ~0u;
    check(domctl(&ctl, XEN_DOMCTL_createdomain, 0) < 0);
    default_domain();
    ctl.u.createdomain.grant_opts = 0xff;
    check(domctl(&ctl, XEN_DOMCTL_createdomain, 0) < 0);
    default_domain();
    ctl.u.createdomain.cpupool_id = 77;
    check(domctl(&ctl, XEN_DOMCTL_createdomain, 0) < 0);
    default_domain();
    check(domctl(&ctl, XEN_DOMCTL_createdomain, DOMID_FIRST_RESERVED + 100) >= 0);
    destroy(ctl.domain);
    expect_free_pages(before);
}

/* A pool without CPUs runs nobody. */
static void a_pool_without_cpus(void)
{
    static struct xen_sysctl s;
    uint32_t scheduler, pool;

    check_eq(sysctl(&s, XEN_SYSCTL_sched_id), 0);
    scheduler = s.u.sched_id.sched_id;
    s.u.cpupool_op = (struct xen_sysctl_cpupool_op){ .op = XEN_SYSCTL_CPUPOOL_OP_CREATE, .sched_id = scheduler,
                                                     .cpupool_id = XEN_SYSCTL_CPUPOOL_PAR_ANY };
    check_eq(sysctl(&s, XEN_SYSCTL_cpupool_op), 0);
    pool = s.u.cpupool_op.cpupool_id;
    default_domain();
    ctl.u.createdomain.cpupool_id = pool;
    check_eq(domctl(&ctl, XEN_DOMCTL_createdomain, 0), -XEN_ENODEV);
    s.u.cpupool_op = (struct xen_sysctl_cpupool_op){ .op = XEN_SYSCTL_CPUPOOL_OP_DESTROY, .cpupool_id = pool };
    check_eq(sysctl(&s, XEN_SYSCTL_cpupool_op), 0);
}

static void limits_of_vcpus(void)
{
    long d = create();

    check(d > 0);
    check_eq(set_max_vcpus((domid_t)d, 1), -XEN_EINVAL);
    check_eq(set_max_vcpus((domid_t)d, 3), -XEN_EINVAL);
    check_eq(set_max_vcpus((domid_t)d, 0xffffffff), -XEN_EINVAL);
    check_eq(set_max_vcpus((domid_t)d, 2), 0);
    check_eq(domctl(&ctl, XEN_DOMCTL_unpausedomain, (domid_t)d), 0);
    /* It has no context: it does not run, and others do not either. */
    check_eq(domctl(&ctl, XEN_DOMCTL_pausedomain, (domid_t)d), 0);
    destroy((domid_t)d);
}

static struct vcpu_guest_context context;

static long set_context(long d, unsigned int vcpu)
{
    ctl = (struct xen_domctl){ .u.vcpucontext.vcpu = vcpu };
    set_xen_guest_handle(ctl.u.vcpucontext.ctxt, (vcpu_guest_context_t *)&context);
    return domctl(&ctl, XEN_DOMCTL_setvcpucontext, (domid_t)d);
}

static void plain_context(void)
{
    memset(&context, 0, sizeof(context));
    context.flags = VGCF_IN_KERNEL | VGCF_online;
    context.user_regs.cs = FLAT_KERNEL_CS;
    context.user_regs.ss = FLAT_KERNEL_SS;
    context.user_regs.rip = 0x1000;
    context.kernel_ss = FLAT_KERNEL_SS;
}

static void hostile_contexts(void)
{
    long d = create();

    check(d > 0);
    check_eq(set_max_memory((domid_t)d, 4096), 0);
    check_eq(set_max_vcpus((domid_t)d, 2), 0);
    check_eq(populate((domid_t)d, 16), 16);
    plain_context();
    check(set_context(d, 0) < 0);
    context.ctrlreg[3] = 0xfffffffffUL << PAGE_SHIFT;
    check(set_context(d, 0) < 0);
    context.ctrlreg[3] = ~0UL;
    check(set_context(d, 0) < 0);
    /* The caller's own page tables are not that domain's. */
    context.ctrlreg[3] = mfn_of((void *)start_info->pt_base) << PAGE_SHIFT;
    check(set_context(d, 0) < 0);
    context.ctrlreg[3] = 0x200UL << PAGE_SHIFT;
    check(set_context(d, 0) < 0);
    /* A clean page of its own is a root with nothing mapped. */
    context.ctrlreg[3] = frames[3] << PAGE_SHIFT;
    context.event_callback_eip = NON_CANONICAL;
    check_eq(set_context(d, 0), -XEN_EINVAL);
    context.event_callback_eip = 0;
    context.gdt_ents = 8192;
    check_eq(set_context(d, 0), -XEN_EINVAL);
    context.gdt_ents = 512;
    context.gdt_frames[0] = mfn_of((void *)start_info->pt_base);
    check(set_context(d, 0) < 0);
    context.gdt_ents = 0;
    context.user_regs.rip = NON_CANONICAL;
    check_eq(set_context(d, 0), -XEN_EINVAL);
    context.user_regs.rip = 0x1000;
    check_eq(set_context(d, 2), -XEN_EINVAL);
    check(set_context(d, 0xffffffff) < 0);
    check_eq(domctl(&ctl, XEN_DOMCTL_unpausedomain, (domid_t)d), 0);
    destroy((domid_t)d);
}

static long get_context(long d, unsigned int vcpu)
{
    memset(&context, 0xff, sizeof(context));
    ctl = (struct xen_domctl){ .u.vcpucontext.vcpu = vcpu };
    set_xen_guest_handle(ctl.u.vcpucontext.ctxt, &context);
    return domctl(&ctl, XEN_DOMCTL_getvcpucontext, (domid_t)d);
}

static long reset_vcpu(long d, unsigned int vcpu)
{
    ctl = (struct xen_domctl){ .u.vcpucontext.vcpu = vcpu };
    return domctl(&ctl, XEN_DOMCTL_setvcpucontext, (domid_t)d);
}

/* ---- Domains that run code of ours ---- */

/*
 * caller makes a hypercall all the time. goer waits until a second vCPU is there, and then both go down. nmi_taker sends
 * itself an NMI, whose handler counts and does not return. rsi: the vCPU.
 */
extern const char caller[], caller_end[], goer[], goer_end[], nmi_taker[], nmi_handler[], nmi_taker_end[];

asm(".pushsection .rodata\n"
    "caller:\n"
    "    mov  $24, %eax\n"         /* vcpu_op */
    "    mov  $1, %edi\n"          /* VCPUOP_up */
    "    xor  %edx, %edx\n"
    "    syscall\n"
    "    jmp  caller\n"
    "caller_end:\n"
    "goer:\n"
    "    lock incl 0x1000\n"
    "0:  cmpl $2, 0x1000\n"
    "    jne  0b\n"
    "    mov  $24, %eax\n"
    "    mov  $2, %edi\n"          /* VCPUOP_down */
    "    xor  %edx, %edx\n"
    "    syscall\n"
    "goer_end:\n"
    "nmi_taker:\n"
    "    mov  $24, %eax\n"
    "    mov  $11, %edi\n"         /* VCPUOP_send_nmi */
    "    xor  %edx, %edx\n"
    "    syscall\n"
    "    jmp  .\n"
    "nmi_handler:\n"
    "    lock incl 0x1000\n"
    "    jmp  .\n"
    "nmi_taker_end:\n"
    ".popsection\n");

/* A domain with the code at address 0, and a page that it can write behind it. Its tables are its pages 1 to 4. */
static long domain_with_code(const char *code, const char *end)
{
    uint64_t *at = alloc_page();
    long d = create();

    check(d > 0);
    check_eq(set_max_memory((domid_t)d, 4096), 0);
    check_eq(set_max_vcpus((domid_t)d, 2), 0);
    check_eq(populate((domid_t)d, 8), 8);
    for (unsigned int i = 5; i--; ) {
        check_eq(HCALL(update_va_mapping_otherdomain, at, frames[i] << PAGE_SHIFT | PTE_DATA, UVMF_INVLPG, d, 0), 0);
        if (i == 0)
            memcpy(at, code, (size_t)(end - code));
        else
            at[0] = frames[i - 1] << PAGE_SHIFT | (i == 1 ? PTE_RO : PTE_DATA);
        if (i == 1)
            at[1] = frames[5] << PAGE_SHIFT | PTE_DATA;
    }
    check_eq(set_pte((unsigned long)at, 0), 0);
    return d;
}

static void start_code(long d, unsigned int vcpu)
{
    plain_context();
    context.user_regs.rip = 0;
    context.user_regs.rsp = 2 * PAGE_SIZE;
    context.user_regs.rsi = vcpu;
    context.ctrlreg[3] = frames[4] << PAGE_SHIFT;
    check_eq(set_context(d, vcpu), 0);
}

static uint64_t cpu_time(long d)
{
    ctl = (struct xen_domctl){ .u.getvcpuinfo.vcpu = 0 };
    check_eq(domctl(&ctl, XEN_DOMCTL_getvcpuinfo, (domid_t)d), 0);
    return ctl.u.getvcpuinfo.cpu_time;
}

/* A vCPU is reset while it takes the same lock by a hypercall of its own, on another CPU if there is one. */
static void reset_of_a_busy_vcpu(void)
{
    long d = domain_with_code(caller, caller_end);

    start_code(d, 0);
    check_eq(domctl(&ctl, XEN_DOMCTL_unpausedomain, (domid_t)d), 0);
    for (unsigned int i = 0; i < 200; i++) {
        uint64_t before = cpu_time(d);

        while (cpu_time(d) == before)
            HCALL(sched_op, SCHEDOP_yield, 0, 0, 0, 0);
        check_eq(reset_vcpu(d, 0), 0);
        start_code(d, 0);
    }
    destroy((domid_t)d);
}

/* What takes an NMI gets no other one before its handler returns; after a reset it does. */
static void reset_where_an_nmi_is_handled(void)
{
    volatile uint32_t *count = alloc_page();
    long d = domain_with_code(nmi_taker, nmi_taker_end);

    check_eq(HCALL(update_va_mapping_otherdomain, count, frames[5] << PAGE_SHIFT | PTE_DATA, UVMF_INVLPG, d, 0), 0);
    for (unsigned int round = 1; round <= 2; round++) {
        start_code(d, 0);
        context.trap_ctxt[2] = (struct trap_info){ 0, 0, FLAT_KERNEL_CS, (unsigned long)(nmi_handler - nmi_taker) };
        check_eq(set_context(d, 0), 0);
        check_eq(domctl(&ctl, XEN_DOMCTL_unpausedomain, (domid_t)d), 0);
        while (*count < round && cpu_time(d) < 2000000000)
            HCALL(sched_op, SCHEDOP_yield, 0, 0, 0, 0);
        check_eq(*count, round);
        check_eq(domctl(&ctl, XEN_DOMCTL_pausedomain, (domid_t)d), 0);
        check_eq(reset_vcpu(d, 0), 0);
    }
    check_eq(set_pte((unsigned long)count, 0), 0);
    destroy((domid_t)d);
}

/* A domain that has ended but for a page that is mapped here: its tables are not taken again. */
static void contexts_of_the_dead(void)
{
    void *page = alloc_page();
    long d = domain_with_code(caller, caller_end);

    check_eq(HCALL(update_va_mapping_otherdomain, page, frames[5] << PAGE_SHIFT | PTE_DATA, UVMF_INVLPG, d, 0), 0);
    start_code(d, 0);
    destroy((domid_t)d);
    check(set_context(d, 0) < 0);
    if (on_domus()) {
        check_eq(set_context(d, 1), -XEN_EINVAL);
        check_eq(reset_vcpu(d, 0), -XEN_EINVAL);
    }
    check_eq(set_pte((unsigned long)page, 0), 0);
    check_eq(domctl(&ctl, XEN_DOMCTL_getdomaininfo, (domid_t)d), -XEN_ESRCH);
}

/* Both vCPUs of a domain go down at the same time, if there are CPUs for them: the domain powers off. Xen may miss it. */
static void all_vcpus_go_at_once(void)
{
    for (unsigned int round = 0; round < (unsigned int)domus_or_xen(100, 1); round++) {
        struct xen_domctl_getdomaininfo *now = &ctl.u.getdomaininfo;
        long d = domain_with_code(goer, goer_end);

        start_code(d, 0);
        start_code(d, 1);
        check_eq(domctl(&ctl, XEN_DOMCTL_unpausedomain, (domid_t)d), 0);
        do {
            HCALL(sched_op, SCHEDOP_yield, 0, 0, 0, 0);
            check_eq(domctl(&ctl, XEN_DOMCTL_getdomaininfo, (domid_t)d), 0);
        } while (!(now->flags & XEN_DOMINF_shutdown) && now->nr_online_vcpus);
        check_eq(now->nr_online_vcpus, 1);
        check_eq(now->flags >> XEN_DOMINF_shutdownshift & XEN_DOMINF_shutdownmask, SHUTDOWN_poweroff);
        destroy((domid_t)d);
    }
}

/* A context is taken whole or not at all, and tables are taken once. */
static void contexts_of_one_vcpu(void)
{
    long d = create();
    unsigned long cr3;

    check(d > 0);
    check_eq(set_max_memory((domid_t)d, 4096), 0);
    check_eq(set_max_vcpus((domid_t)d, 2), 0);
    check_eq(populate((domid_t)d, 16), 16);
    check_eq(get_context(d, 0), -XEN_ENODATA);
    plain_context();
    context.ctrlreg[3] = cr3 = frames[3] << PAGE_SHIFT;
    context.debugreg[0] = 0x123456789;
    context.debugreg[7] = 0x401;
    check_eq(set_context(d, 0), 0);
    check_eq(get_context(d, 0), 0);
    check_eq(context.debugreg[0], 0x123456789);
    check_eq(context.debugreg[7], 0x401);
    context.user_regs.rip = 0x2000;
    context.debugreg[7] = 0x20002;              /* stops at ports: Xen leaves it out, Domus refuses all of it */
    check_eq(set_context(d, 0), domus_or_xen(-XEN_EINVAL, 0));
    check_eq(get_context(d, 0), 0);
    check_eq(context.user_regs.rip, domus_or_xen(0x1000, 0x2000));
    check_eq(context.debugreg[7], domus_or_xen(0x401, 0x400));

    /* Other tables, good, bad and somebody else's: all as before. */
    plain_context();
    context.ctrlreg[3] = frames[4] << PAGE_SHIFT;
    check_eq(set_context(d, 0), -XEN_EOPNOTSUPP);
    context.ctrlreg[3] = ~0UL;
    check_eq(set_context(d, 0), -XEN_EOPNOTSUPP);
    context.ctrlreg[3] = cr3;
    context.ctrlreg[1] = mfn_of((void *)start_info->pt_base) << PAGE_SHIFT;
    check_eq(set_context(d, 0), -XEN_EOPNOTSUPP);
    context.ctrlreg[1] = 0;
    context.gdt_frames[0] = frames[5];
    context.gdt_ents = 512;
    check_eq(set_context(d, 0), -XEN_EOPNOTSUPP);
    check_eq(get_context(d, 0), 0);
    check_eq(context.ctrlreg[3], cr3);
    check_eq(context.gdt_ents, 0);

    /* The first context of another, whose user tables are bad: it has none. */
    plain_context();
    context.ctrlreg[3] = cr3;
    context.ctrlreg[1] = mfn_of((void *)start_info->pt_base) << PAGE_SHIFT;
    check_eq(set_context(d, 1), -XEN_EINVAL);
    check_eq(get_context(d, 1), -XEN_ENODATA);

    check_eq(reset_vcpu(d, 0), 0);
    check_eq(get_context(d, 0), -XEN_ENODATA);
    plain_context();
    context.ctrlreg[3] = frames[4] << PAGE_SHIFT;
    check_eq(set_context(d, 0), 0);
    check_eq(reset_vcpu(d, 0), 0);
    check_eq(domctl(&ctl, XEN_DOMCTL_unpausedomain, (domid_t)d), 0);
    destroy((domid_t)d);
}

/* A builder has cleared the shared page, or a saved one has been put in its place: the time of day is of today. */
static void time_of_day_with_a_context(void)
{
    struct shared_info *info = alloc_page();
    long d = create();

    check(d > 0);
    check_eq(set_max_memory((domid_t)d, 4096), 0);
    check_eq(set_max_vcpus((domid_t)d, 2), 0);
    check_eq(populate((domid_t)d, 16), 16);
    check_eq(domctl(&ctl, XEN_DOMCTL_getdomaininfo, (domid_t)d), 0);
    check_eq(HCALL(update_va_mapping_otherdomain, info, ctl.u.getdomaininfo.shared_info_frame << PAGE_SHIFT | PTE_DATA,
                   UVMF_INVLPG, d, 0), 0);
    memset(info, 0, PAGE_SIZE);
    plain_context();
    context.ctrlreg[3] = frames[3] << PAGE_SHIFT;
    check_eq(set_context(d, 0), 0);
    check(info->wc_sec > 1600000000);
    check(info->wc_nsec < 1000000000);
    check_eq(info->wc_version & 1, 0);
    check_eq(info->wc_sec_hi, 0);
    check_eq(set_pte((unsigned long)info, 0), 0);
    destroy((domid_t)d);
}

#define XCR0_FP_SSE_YMM 7u

/* XCR0 and what it stands for are set apart from the context, and outlive another one. */
static void extended_state_and_contexts(void)
{
    static uint64_t state[512];
    long d = create();

    check(d > 0);
    check_eq(set_max_memory((domid_t)d, 4096), 0);
    check_eq(set_max_vcpus((domid_t)d, 2), 0);
    check_eq(populate((domid_t)d, 16), 16);
    plain_context();
    context.flags |= VGCF_I387_VALID;
    context.ctrlreg[3] = frames[3] << PAGE_SHIFT;
    check_eq(set_context(d, 0), 0);

    memset(state, 0, sizeof(state));
    state[0] = state[1] = XCR0_FP_SSE_YMM;
    ctl = (struct xen_domctl){ .u.vcpuextstate = { .size = 2 * 8 + 512 + 64 + 256 } };
    set_xen_guest_handle(ctl.u.vcpuextstate.buffer, state);
    if (domctl(&ctl, XEN_DOMCTL_setvcpuextstate, (domid_t)d) == 0) {  /* else this CPU has no AVX */
        check_eq(set_context(d, 0), 0);
        ctl = (struct xen_domctl){ 0 };
        check_eq(domctl(&ctl, XEN_DOMCTL_getvcpuextstate, (domid_t)d), 0);
        ctl.u.vcpuextstate.size = sizeof(state);
        set_xen_guest_handle(ctl.u.vcpuextstate.buffer, state);
        memset(state, 0, sizeof(state));
        check_eq(domctl(&ctl, XEN_DOMCTL_getvcpuextstate, (domid_t)d), 0);
        check_eq(state[0], XCR0_FP_SSE_YMM);
    }
    destroy((domid_t)d);
}

/* A domain that has no code: it must die alone at its first instruction. */
static void a_domain_that_crashes(void)
{
    long d = create();
    bool stopped = false;

    check(d > 0);
    check_eq(set_max_memory((domid_t)d, 4096), 0);
    check_eq(set_max_vcpus((domid_t)d, 2), 0);
    check_eq(populate((domid_t)d, 16), 16);
    plain_context();
    context.ctrlreg[3] = frames[3] << PAGE_SHIFT;
    check_eq(set_context(d, 0), 0);
    check_eq(domctl(&ctl, XEN_DOMCTL_unpausedomain, (domid_t)d), 0);
    for (unsigned int i = 0; i < 100000 && !stopped; i++) {
        HCALL(sched_op, SCHEDOP_yield, 0, 0, 0, 0);
        check_eq(domctl(&ctl, XEN_DOMCTL_getdomaininfo, (domid_t)d), 0);
        stopped = ctl.u.getdomaininfo.flags & XEN_DOMINF_shutdown;
    }
    check(stopped);
    check_eq(ctl.u.getdomaininfo.flags >> XEN_DOMINF_shutdownshift & XEN_DOMINF_shutdownmask, SHUTDOWN_crash);
    destroy((domid_t)d);
}

static void limits_of_memory(void)
{
    long d = create();

    check(d > 0);
    check_eq(set_max_memory((domid_t)d, 64), 0);
    check_eq(populate((domid_t)d, 32), 16);
    check_eq(populate((domid_t)d, 1), 0);
    destroy((domid_t)d);
}

/* Pages of another domain may be mapped, by who built it, and only by naming that domain. */
static void foreign_mappings(void)
{
    unsigned long *at = alloc_page();
    long d = create();
    uint64_t pte;

    check(d > 0);
    check_eq(set_max_memory((domid_t)d, 4096), 0);
    check_eq(populate((domid_t)d, 4), 4);
    pte = frames[0] << PAGE_SHIFT | PTE_DATA;
    check(set_pte((unsigned long)at, pte) != 0);
    check_eq(HCALL(update_va_mapping_otherdomain, at, pte, UVMF_INVLPG, d, 0), 0);
    check_eq(guarded(write_at, (unsigned long)at, 1), TRAP_NONE);
    pte = mfn_of(start_info) << PAGE_SHIFT | PTE_DATA;
    check(HCALL(update_va_mapping_otherdomain, at, pte, UVMF_INVLPG, d, 0) != 0);
    check_eq(set_pte((unsigned long)at, 0), 0);
    destroy((domid_t)d);
}

/*
 * Memory that is cached here and not there holds two values at once: a domain without devices may not ask for it. As a
 * page table of that domain's is checked like its own change of one, nothing of it has to run.
 */
static void cache_attributes(void)
{
    static const unsigned long attributes[] = { 1UL << 3, 1UL << 4, 1UL << 3 | 1UL << 4, 1UL << 7 };    /* PWT, PCD, PAT */
    unsigned long *at = alloc_page();
    unsigned long own = mfn_of(at) << PAGE_SHIFT | PTE_DATA;
    struct mmuext_op op = { .cmd = MMUEXT_PIN_L1_TABLE };
    struct mmu_update update = { .ptr = 0 };
    long d = create();

    check(d > 0);
    check_eq(set_max_memory((domid_t)d, 4096), 0);
    check_eq(populate((domid_t)d, 4), 4);
    op.arg1.mfn = frames[0];
    for (unsigned int i = 0; i <= ARRAY_SIZE(attributes); i++) {
        unsigned long attribute = i < ARRAY_SIZE(attributes) ? attributes[i] : 0;

        check_eq(HCALL(update_va_mapping_otherdomain, at, frames[0] << PAGE_SHIFT | PTE_DATA, UVMF_INVLPG, d, 0), 0);
        at[5] = frames[1] << PAGE_SHIFT | PTE_RO | attribute;
        check_eq(set_pte((unsigned long)at, 0), 0);
        check_eq(HCALL(mmuext_op, &op, 1, 0, d, 0), attribute ? -XEN_EINVAL : 0);
    }
    for (unsigned int i = 0; i < ARRAY_SIZE(attributes); i++) {
        update = (struct mmu_update){ .ptr = (frames[0] << PAGE_SHIFT) + 48,
                                      .val = frames[1] << PAGE_SHIFT | PTE_RO | attributes[i] };
        check(HCALL(mmu_update, &update, 1, 0, d | (d + 1) << 16, 0) < 0);
    }
    op.cmd = MMUEXT_UNPIN_TABLE;
    check_eq(HCALL(mmuext_op, &op, 1, 0, d, 0), 0);
    destroy((domid_t)d);

    /* Drivers do. */
    for (unsigned int i = 0; i < ARRAY_SIZE(attributes); i++) {
        check_eq(set_pte((unsigned long)at, own | attributes[i]), 0);
        check_eq(guarded(write_at, (unsigned long)at, 1), TRAP_NONE);
    }
    check_eq(set_pte((unsigned long)at, own), 0);
}

static void no_page_is_lost(void)
{
    uint64_t before = 0;

    /* The first round may leave what is made once. */
    for (unsigned int round = 0; round < 21; round++) {
        long d = create();

        if (d <= 0) {
            fail(__FILE__, __LINE__, "round %u: %ld", round, d);
            return;
        }
        check_eq(set_max_memory((domid_t)d, 4096), 0);
        check_eq(set_max_vcpus((domid_t)d, 2), 0);
        check_eq(populate((domid_t)d, 200), 200);
        plain_context();
        context.ctrlreg[3] = frames[3] << PAGE_SHIFT;
        check_eq(set_context(d, 0), 0);
        destroy((domid_t)d);
        if (round == 0)
            before = settled_free_pages(ANY);
    }
    expect_free_pages(before);
}

TESTS({ "versions and pointers", versions_and_pointers }, { "domains that are not", domains_that_are_not },
      { "information", info }, { "bad creations", bad_creations }, { "a pool without CPUs", a_pool_without_cpus },
      { "limits of vCPUs", limits_of_vcpus },
      { "hostile contexts", hostile_contexts },
      { "contexts of one vCPU", contexts_of_one_vcpu }, { "time of day with a context", time_of_day_with_a_context },
      { "reset of a busy vCPU", reset_of_a_busy_vcpu },
      { "reset of a vCPU in its NMI handler", reset_where_an_nmi_is_handled },
      { "contexts of the dead", contexts_of_the_dead }, { "all vCPUs go at once", all_vcpus_go_at_once },
      { "extended state and contexts", extended_state_and_contexts }, { "a domain that crashes", a_domain_that_crashes },
      { "limits of memory", limits_of_memory }, { "foreign mappings", foreign_mappings },
      { "cache attributes", cache_attributes }, { "no page is lost", no_page_is_lost });
