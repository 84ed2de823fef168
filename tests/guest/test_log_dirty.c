/* SPDX-License-Identifier: MIT */
/*
 * The log of written pages (XEN_DOMCTL_shadow_op), as dom0: on a small domain that writes, calls hypercalls and changes its
 * page tables as it is told by a page that it shares with the test.
 */
/* SMP: 2 */
#include "control.h"

#define NOBODY 0x1234
#define NR_PAGES 32
#define NR_VCPUS 3

/* Pages of the domain, by their numbers for the domain; each is mapped at VA() of its number. */
enum { L4, L3, L2, L1, CODE, COMMAND, DATA, DATA_RO = DATA + 4, UNUSED, KERNEL_L4, USER_L4 };
#define VA(page) (0x400000UL + (unsigned long)(page) * PAGE_SIZE)

static struct xen_domctl ctl;
static unsigned long frames[NR_PAGES];
static long dom;

/* What the domain does next. It counts turns; the rest it does when wanted and done differ, and then makes them equal. */
static volatile struct command {
    uint64_t turns, wanted, done;
    uint64_t write;             /* add one to the word there; 0: none */
    uint64_t nr, arg[4];        /* a hypercall; nr 0: none */
    uint64_t result;
} *command;

/* A racer does the same hypercall over and over; its result is the bits of all results. */
extern const char agent[], racer[], user_code[], agent_end[];
asm(".pushsection .rodata\n"
    "agent:\n"
    "1:  incq (%rbx)\n"
    "    mov  8(%rbx), %r12\n"
    "    cmp  16(%rbx), %r12\n"
    "    je   4f\n"
    "    mov  24(%rbx), %rax\n"
    "    test %rax, %rax\n"
    "    jz   2f\n"
    "    incq (%rax)\n"
    "2:  mov  32(%rbx), %rax\n"
    "    test %rax, %rax\n"
    "    jz   3f\n"
    "    mov  40(%rbx), %rdi\n"
    "    mov  48(%rbx), %rsi\n"
    "    mov  56(%rbx), %rdx\n"
    "    mov  64(%rbx), %r10\n"
    "    syscall\n"
    "    mov  %rax, 72(%rbx)\n"
    "3:  mov  %r12, 16(%rbx)\n"
    "4:  mov  $29, %eax\n"                  /* sched_op */
    "    xor  %edi, %edi\n"                 /* SCHEDOP_yield */
    "    syscall\n"
    "    jmp  1b\n"
    "racer:\n"
    "    incq (%rbx)\n"
    "    mov  32(%rbx), %rax\n"
    "    mov  40(%rbx), %rdi\n"
    "    mov  48(%rbx), %rsi\n"
    "    mov  56(%rbx), %rdx\n"
    "    syscall\n"
    "    or   %rax, 72(%rbx)\n"
    "    jmp  racer\n"
    "user_code:\n"
    "    incq (%rbx)\n"
    "    jmp  user_code\n"
    "agent_end:\n"
    ".popsection\n");

/* ---- The domain ---- */

static long simple(unsigned int cmd)
{
    ctl = (struct xen_domctl){ 0 };
    return domctl(&ctl, cmd, dom);
}

static void create_domain(void)
{
    struct xen_memory_reservation r = { .nr_extents = NR_PAGES };

    ctl = (struct xen_domctl){ .u.createdomain = { .max_vcpus = NR_VCPUS, .max_evtchn_port = 1023, .max_grant_frames = 8,
                                                       .max_maptrack_frames = 8, .grant_opts = 1 } };
    check_eq(domctl(&ctl, XEN_DOMCTL_createdomain, 0), 0);
    dom = ctl.domain;
    ctl = (struct xen_domctl){ .u.max_mem.max_memkb = 4096 };
    check_eq(domctl(&ctl, XEN_DOMCTL_max_mem, dom), 0);
    ctl = (struct xen_domctl){ .u.max_vcpus.max = NR_VCPUS };
    check_eq(domctl(&ctl, XEN_DOMCTL_max_vcpus, dom), 0);
    r.domid = (domid_t)dom;
    for (unsigned int i = 0; i < NR_PAGES; i++)
        frames[i] = i;
    set_xen_guest_handle(r.extent_start, frames);
    check_eq(HCALL(memory_op, XENMEM_populate_physmap, &r, 0, 0, 0), NR_PAGES);
}

static void destroy_domain(void)
{
    long rc;

    do {
        rc = simple(XEN_DOMCTL_destroydomain);
    } while (rc == -XEN_EAGAIN || rc == -XEN_EBUSY);
    check_eq(rc, 0);
}

/* Maps a page of the domain at `at`, or nothing (NR_PAGES). */
static void map_at(void *at, unsigned int page)
{
    if (page == NR_PAGES)
        check_eq(set_pte((unsigned long)at, 0), 0);
    else
        check_eq(HCALL(update_va_mapping_otherdomain, at, frames[page] << PAGE_SHIFT | PTE_DATA, UVMF_INVLPG, dom, 0), 0);
}

static uint64_t *window;

/* Writes words of a page of the domain before it runs. */
static void fill_page(unsigned int page, unsigned int index, uint64_t value)
{
    map_at(window, page);
    window[index] = value;
    map_at(window, NR_PAGES);
}

static uint64_t peek(unsigned int page)
{
    uint64_t value;

    map_at(window, page);
    value = *(volatile uint64_t *)window;
    map_at(window, NR_PAGES);
    return value;
}

static uint64_t entry(unsigned int page, uint64_t flags)
{
    return frames[page] << PAGE_SHIFT | flags;
}

/* Has a vCPU run code of the agent's page, by the commands of a page; in user mode, if there is a table for that. */
static void run_vcpu_on(unsigned int vcpu, const char *code, unsigned int command_page, unsigned int kernel_table,
                        unsigned int user_table)
{
    static struct vcpu_guest_context context;

    memset(&context, 0, sizeof(context));
    context.flags = (user_table ? 0 : VGCF_IN_KERNEL) | VGCF_online;
    context.user_regs.cs = FLAT_KERNEL_CS;
    context.user_regs.ss = FLAT_KERNEL_SS;
    context.user_regs.rip = VA(CODE) + (unsigned long)(code - agent);
    context.user_regs.rbx = VA(command_page);
    context.kernel_ss = FLAT_KERNEL_SS;
    context.ctrlreg[3] = frames[kernel_table] << PAGE_SHIFT;
    context.ctrlreg[1] = user_table ? frames[user_table] << PAGE_SHIFT : 0;
    ctl = (struct xen_domctl){ .u.vcpucontext.vcpu = vcpu };
    set_xen_guest_handle(ctl.u.vcpucontext.ctxt, (vcpu_guest_context_t *)&context);
    check_eq(domctl(&ctl, XEN_DOMCTL_setvcpucontext, dom), 0);
}

static void run_vcpu(unsigned int vcpu, const char *code, unsigned int command_page)
{
    run_vcpu_on(vcpu, code, command_page, L4, 0);
}

static void start_domain(void)
{
    if (!window)
        window = alloc_page();
    if (!command)
        command = alloc_page();
    create_domain();
    fill_page(L4, VA(0) >> 39, entry(L3, PTE_PRESENT | PTE_RW));
    fill_page(L3, VA(0) >> 30, entry(L2, PTE_PRESENT | PTE_RW));
    fill_page(L2, VA(0) >> 21 & 511, entry(L1, PTE_PRESENT | PTE_RW));
    for (unsigned int i = CODE; i < UNUSED; i++)
        fill_page(L1, (VA(i) >> 12) & 511, entry(i, PTE_PRESENT | (i == CODE || i == DATA_RO ? 0 : PTE_RW)));
    map_at(window, CODE);
    memcpy(window, agent, (size_t)(agent_end - agent));
    map_at(window, NR_PAGES);
    map_at((void *)command, COMMAND);
    run_vcpu(0, agent, COMMAND);
    check_eq(simple(XEN_DOMCTL_unpausedomain), 0);
}

static void end_domain(void)
{
    map_at((void *)command, NR_PAGES);
    destroy_domain();
}

/* Waits until the domain has made two turns, or died. */
static void wait_for_turns(void)
{
    uint64_t start = command->turns;

    while (command->turns < start + 2) {
        HCALL(sched_op, SCHEDOP_yield, 0, 0, 0, 0);
        check_eq(simple(XEN_DOMCTL_getdomaininfo), 0);
        if (ctl.u.getdomaininfo.flags & XEN_DOMINF_shutdown) {
            check(!"the domain has died");
            return;
        }
    }
}

static uint64_t carry_out(void)
{
    command->wanted++;
    wait_for_turns();
    check_eq(command->done, command->wanted);
    return command->result;
}

static void let_write(unsigned long va)
{
    command->write = va;
    command->nr = 0;
    (void)carry_out();
}

static uint64_t let_call(unsigned int nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d)
{
    command->write = 0;
    command->nr = nr;
    command->arg[0] = a;
    command->arg[1] = b;
    command->arg[2] = c;
    command->arg[3] = d;
    return carry_out();
}

/* ---- The log ---- */

static uint8_t bitmap[PAGE_SIZE];

static long shadow_op(unsigned int op, unsigned int mode, void *bits, uint64_t pages)
{
    ctl = (struct xen_domctl){ .u.shadow_op = { .op = op, .mode = mode, .pages = pages } };
    set_xen_guest_handle(ctl.u.shadow_op.dirty_bitmap, (uint8_t *)bits);
    return domctl(&ctl, XEN_DOMCTL_shadow_op, dom);
}

/* Debian's Xen is built without shadow page tables, so it logs nothing. */
static bool can_log(void) { return on_domus(); }

static long log_on(void) { return shadow_op(XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY, 0, NULL, 0); }
static long log_off(void) { return shadow_op(XEN_DOMCTL_SHADOW_OP_OFF, 0, NULL, 0); }

/* Reads the log into bitmap. */
static void read_log(unsigned int op)
{
    memset(bitmap, 0x55, sizeof(bitmap));
    check_eq(shadow_op(op, 0, bitmap, NR_PAGES), 0);
    check_eq(ctl.u.shadow_op.pages, NR_PAGES);
    check_eq(bitmap[NR_PAGES / 8], 0x55);
}

static bool is_dirty(unsigned int page) { return bitmap[page / 8] >> page % 8 & 1; }

static void writes_are_logged(void)
{
    if (!can_log())
        return;
    start_domain();
    let_write(VA(DATA));
    check_eq(log_on(), 0);
    check_eq(log_on(), -XEN_EINVAL);
    wait_for_turns();
    read_log(XEN_DOMCTL_SHADOW_OP_CLEAN);
    check(is_dirty(COMMAND));
    check(!is_dirty(CODE));
    check(!is_dirty(DATA));
    check(!is_dirty(UNUSED));
    for (unsigned int i = 0; i < 3; i++) {
        let_write(VA(DATA + 1));
        read_log(XEN_DOMCTL_SHADOW_OP_PEEK);
        check(ctl.u.shadow_op.stats.dirty_count > 0);
        check(ctl.u.shadow_op.stats.fault_count > 0);
        check(is_dirty(DATA + 1));
        read_log(XEN_DOMCTL_SHADOW_OP_CLEAN);
        check(is_dirty(DATA + 1));
        check(!is_dirty(DATA));
        read_log(XEN_DOMCTL_SHADOW_OP_PEEK);
        check(!is_dirty(DATA + 1));
    }
    check_eq(peek(DATA + 1), 3);
    check_eq(log_off(), 0);
    check_eq(log_off(), 0);
    let_write(VA(DATA + 1));
    check_eq(peek(DATA + 1), 4);
    end_domain();
}

/* The hypervisor writes to the guest's memory as well: by its addresses, which may not be filled or writable yet. */
static void hypercalls_are_logged(void)
{
    if (!can_log())
        return;
    start_domain();
    check_eq(log_on(), 0);
    wait_for_turns();
    for (unsigned int i = 0; i < 2; i++) {
        read_log(XEN_DOMCTL_SHADOW_OP_CLEAN);
        check_eq(let_call(__HYPERVISOR_xen_version, XENVER_get_features, VA(DATA + 2), 0, 0), 0);
        read_log(XEN_DOMCTL_SHADOW_OP_PEEK);
        check(is_dirty(DATA + 2));
    }
    /* Where the guest may not write, the hypervisor must not either. */
    check_eq(let_call(__HYPERVISOR_xen_version, XENVER_get_features, VA(DATA_RO), 0, 0), -XEN_EFAULT);
    check_eq(let_call(__HYPERVISOR_xen_version, XENVER_get_features, VA(UNUSED), 0, 0), -XEN_EFAULT);
    read_log(XEN_DOMCTL_SHADOW_OP_PEEK);
    check(!is_dirty(DATA_RO));
    end_domain();
}

/* Queues of events are written at any moment: their pages always count as written. */
static void event_queues_are_logged(void)
{
    struct evtchn_init_control control = { .offset = 64 };
    struct evtchn_expand_array array;

    if (!can_log())
        return;
    start_domain();
    control.control_gfn = frames[DATA];
    array.array_gfn = frames[DATA + 1];
    map_at(window, DATA + 2);
    memcpy(window, &control, sizeof(control));
    memcpy(window + 8, &array, sizeof(array));
    map_at(window, NR_PAGES);
    check_eq(let_call(__HYPERVISOR_event_channel_op, EVTCHNOP_init_control, VA(DATA + 2), 0, 0), 0);
    check_eq(let_call(__HYPERVISOR_event_channel_op, EVTCHNOP_expand_array, VA(DATA + 2) + 64, 0, 0), 0);
    check_eq(log_on(), 0);
    for (unsigned int i = 0; i < 2; i++) {
        read_log(XEN_DOMCTL_SHADOW_OP_CLEAN);
        check(is_dirty(DATA));
        check(is_dirty(DATA + 1));
        check(!is_dirty(DATA + 3));
    }
    end_domain();
}

/* Changed entries count at once, and the tables keep what the guest wrote. */
static void page_tables_change(void)
{
    uint64_t l1_of_data;

    if (!can_log())
        return;
    start_domain();
    check_eq(log_on(), 0);
    let_write(VA(DATA));
    read_log(XEN_DOMCTL_SHADOW_OP_CLEAN);
    for (unsigned int i = 0; i < 4; i++) {
        unsigned int page = i % 2 ? UNUSED : UNUSED + 1;
        uint64_t before = peek(page);

        check_eq(let_call(__HYPERVISOR_update_va_mapping, VA(DATA), entry(page, PTE_PRESENT | PTE_RW), UVMF_INVLPG, 0), 0);
        let_write(VA(DATA));
        check_eq(peek(page), before + 1);
        read_log(XEN_DOMCTL_SHADOW_OP_CLEAN);
        check(is_dirty(page));
        check(is_dirty(L1));
        check(!is_dirty(DATA));
    }
    /* The entry shows what a CPU would have set. */
    check_eq(HCALL(update_va_mapping_otherdomain, window, entry(L1, PTE_RO), UVMF_INVLPG, dom, 0), 0);
    l1_of_data = window[VA(DATA) >> 12 & 511];
    check_eq(l1_of_data & (PTE_A | PTE_D | PTE_RW), PTE_A | PTE_D | PTE_RW);
    check_eq(l1_of_data & PTE_ADDR, frames[UNUSED] << PAGE_SHIFT);
    check_eq(window[VA(DATA + 3) >> 12 & 511] & (PTE_A | PTE_D), 0);
    map_at(window, NR_PAGES);
    /* Its kernel asks for the mode to end in the middle of all this. */
    check_eq(log_off(), 0);
    let_write(VA(DATA));
    end_domain();
}

/*
 * One vCPU has the hypervisor write to a page all the time, another maps that page anew all the time, the test cleans the
 * log: the page is there at any moment, so no write fails.
 */
static void races(void)
{
    enum { PAGE = DATA, MAPPER = DATA + 1, WRITER = DATA + 2 };
    static volatile struct command *racers[2];

    if (!can_log())
        return;
    for (unsigned int i = 0; i < 2; i++)
        racers[i] = racers[i] ? racers[i] : alloc_page();
    start_domain();
    map_at((void *)racers[0], MAPPER);
    map_at((void *)racers[1], WRITER);
    racers[0]->nr = __HYPERVISOR_update_va_mapping;
    racers[0]->arg[0] = VA(PAGE);
    racers[0]->arg[1] = entry(PAGE, PTE_PRESENT | PTE_RW);
    racers[0]->arg[2] = UVMF_INVLPG | UVMF_ALL;
    racers[1]->nr = __HYPERVISOR_xen_version;
    racers[1]->arg[0] = XENVER_get_features;
    racers[1]->arg[1] = VA(PAGE);
    check_eq(log_on(), 0);
    check_eq(simple(XEN_DOMCTL_pausedomain), 0);
    run_vcpu(1, racer, MAPPER);
    run_vcpu(2, racer, WRITER);
    check_eq(simple(XEN_DOMCTL_unpausedomain), 0);
    for (unsigned int round = 0; round < 40; round++) {
        uint64_t mapped = racers[0]->turns, written = racers[1]->turns;

        do {
            read_log(XEN_DOMCTL_SHADOW_OP_CLEAN);
            HCALL(sched_op, SCHEDOP_yield, 0, 0, 0, 0);
            wait_for_turns();
        } while (racers[0]->turns == mapped || racers[1]->turns == written);
    }
    check_eq(racers[0]->result, 0);
    check_eq(racers[1]->result, 0);
    map_at((void *)racers[0], NR_PAGES);
    map_at((void *)racers[1], NR_PAGES);
    end_domain();
}

/* A vCPU that is in user mode when it leaves its CPU has its record written through its kernel's tables. */
static void user_mode_is_left(void)
{
    if (!can_log())
        return;
    start_domain();
    for (unsigned int table = KERNEL_L4; table <= USER_L4; table++)
        fill_page(table, VA(0) >> 39, entry(L3, PTE_PRESENT | PTE_RW));
    fill_page(DATA, 0, VA(DATA + 1));
    check_eq(let_call(__HYPERVISOR_vcpu_op, VCPUOP_register_runstate_memory_area, 1, VA(DATA), 0), 0);
    run_vcpu_on(1, user_code, DATA + 2, KERNEL_L4, USER_L4);
    check_eq(log_on(), 0);
    for (unsigned int i = 0; i < 10; i++) {
        uint64_t count;

        read_log(XEN_DOMCTL_SHADOW_OP_CLEAN);
        count = peek(DATA + 2);
        while (peek(DATA + 2) == count)
            HCALL(sched_op, SCHEDOP_yield, 0, 0, 0, 0);
        check_eq(simple(XEN_DOMCTL_pausedomain), 0);
        read_log(XEN_DOMCTL_SHADOW_OP_PEEK);
        check(is_dirty(DATA + 1));
        check_eq(simple(XEN_DOMCTL_unpausedomain), 0);
    }
    end_domain();
}

static void on_and_off_again(void)
{
    if (!can_log())
        return;
    start_domain();
    for (unsigned int i = 0; i < 20; i++) {
        check_eq(shadow_op(XEN_DOMCTL_SHADOW_OP_ENABLE, XEN_DOMCTL_SHADOW_ENABLE_LOG_DIRTY, NULL, 0), 0);
        let_write(VA(DATA + i % 4));
        check_eq(log_off(), 0);
        let_write(VA(DATA + i % 4));
    }
    check_eq(peek(DATA), 10);
    end_domain();
}

static void bad_arguments(void)
{
    dom = NOBODY;
    check_eq(log_on(), -XEN_ESRCH);
    dom = 0;        /* oneself */
    check_eq(log_on(), -XEN_EINVAL);
    if (!can_log())
        return;
    start_domain();
    check(shadow_op(XEN_DOMCTL_SHADOW_OP_CLEAN, 0, bitmap, NR_PAGES) < 0);
    check(shadow_op(9999, 0, NULL, 0) < 0);
    check(shadow_op(XEN_DOMCTL_SHADOW_OP_ENABLE, ~0u, NULL, 0) < 0);
    check(shadow_op(XEN_DOMCTL_SHADOW_OP_ENABLE, 0, NULL, 0) < 0);
    check_eq(log_on(), 0);
    wait_for_turns();
    check_eq(shadow_op(XEN_DOMCTL_SHADOW_OP_CLEAN, ~0u, bitmap, NR_PAGES), -XEN_EINVAL);
    check_eq(shadow_op(XEN_DOMCTL_SHADOW_OP_CLEAN, 0, (void *)UNMAPPED, NR_PAGES), -XEN_EFAULT);
    check_eq(shadow_op(XEN_DOMCTL_SHADOW_OP_CLEAN, 0, (void *)HV_SECRET, NR_PAGES), -XEN_EFAULT);
    check_eq(shadow_op(XEN_DOMCTL_SHADOW_OP_PEEK, 0, (void *)NON_CANONICAL, NR_PAGES), -XEN_EFAULT);
    check_eq(shadow_op(XEN_DOMCTL_SHADOW_OP_PEEK, 0, (void *)~0UL, ~0UL), -XEN_EFAULT);
    check_eq(shadow_op(XEN_DOMCTL_SHADOW_OP_PEEK, 0, (void *)UNMAPPED, ~0UL), -XEN_EFAULT);
    /* It has lost nothing by all that. */
    wait_for_turns();
    read_log(XEN_DOMCTL_SHADOW_OP_CLEAN);
    check(is_dirty(COMMAND));
    memset(bitmap, 0x55, sizeof(bitmap));
    check_eq(shadow_op(XEN_DOMCTL_SHADOW_OP_PEEK, 0, bitmap, 13), 0);
    check_eq(bitmap[1] & 0xe0, 0);
    check_eq(bitmap[2], 0x55);
    check_eq(shadow_op(XEN_DOMCTL_SHADOW_OP_CLEAN, 0, NULL, 0), 0);
    /* Memory for shadows cannot go while they are used. */
    check(shadow_op(XEN_DOMCTL_SHADOW_OP_SET_ALLOCATION, 0, NULL, 0) < 0);
    wait_for_turns();

    /* Dying, as somebody still maps a page of it: whatever is asked, nothing is done. */
    map_at((void *)command, NR_PAGES);
    map_at(window, DATA);
    destroy_domain();
    check_eq(log_on(), 0);
    check_eq(shadow_op(XEN_DOMCTL_SHADOW_OP_CLEAN, 0, (void *)UNMAPPED, NR_PAGES), 0);
    check_eq(shadow_op(XEN_DOMCTL_SHADOW_OP_SET_ALLOCATION, 0, NULL, 0), 0);
    check_eq(log_off(), 0);
    map_at(window, NR_PAGES);
}

/* Waits until so many pages are free: what takes time is the end of the last domain. */
static void expect_free_pages(uint64_t wanted)
{
    uint64_t now = 0;

    for (unsigned int i = 0; i < 2000000 && (now = free_pages()) < wanted; i++)
        HCALL(sched_op, SCHEDOP_yield, 0, 0, 0, 0);
    if (now < wanted)
        fail(__FILE__, __LINE__, "%lu pages are lost", wanted - now);
}

static void no_page_is_lost(void)
{
    uint64_t before = 0, running;

    if (!can_log())
        return;
    for (unsigned int round = 0; round < 6; round++) {
        start_domain();
        running = free_pages();
        check_eq(log_on(), 0);
        let_write(VA(DATA));
        if (round % 2 == 0) {
            check_eq(log_off(), 0);
            expect_free_pages(running);
        }
        /* The mode is on or off when the domain ends. */
        end_domain();
        if (round == 1) {
            for (unsigned int i = 0; i < 2000; i++) {
                uint64_t now = free_pages();

                before = now > before ? now : before;
                HCALL(sched_op, SCHEDOP_yield, 0, 0, 0, 0);
            }
        }
    }
    expect_free_pages(before);
}

TESTS({ "writes are logged", writes_are_logged }, { "hypercalls are logged", hypercalls_are_logged },
      { "event queues are logged", event_queues_are_logged }, { "page tables change", page_tables_change },
      { "races", races }, { "user mode is left", user_mode_is_left }, { "on and off again", on_and_off_again }, { "bad arguments", bad_arguments }, { "no page is lost", no_page_is_lost });
