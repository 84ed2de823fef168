/* SPDX-License-Identifier: MIT */
/* The little kernel around each test: see kernel.h. */
#include "kernel.h"

struct start_info *start_info;
struct shared_info *shared_info;
unsigned long *p2m;
struct trap_record last_trap;
volatile unsigned int event_count, nmi_count;
void (*on_nmi)(void);

extern uint64_t guarded_sp;
extern char hypercall_page[], event_entry[], failsafe_entry[], syscall_entry[], nmi_entry[], guarded_return[];
long guarded_call(void (*fn)(unsigned long, unsigned long), unsigned long a, unsigned long b);
void trap_handler(struct trap_frame *frame);
void test_main(struct start_info *si);

static bool test_failed;

/* ---- Text ---- */

void *memset(void *p, int c, size_t n)
{
    for (size_t i = 0; i < n; i++)
        ((volatile char *)p)[i] = (char)c;
    return p;
}

void *memcpy(void *to, const void *from, size_t n)
{
    for (size_t i = 0; i < n; i++)
        ((volatile char *)to)[i] = ((const char *)from)[i];
    return to;
}

int memcmp(const void *a, const void *b, size_t n)
{
    const unsigned char *x = a, *y = b;

    for (size_t i = 0; i < n; i++) {
        if (x[i] != y[i])
            return x[i] - y[i];
    }
    return 0;
}

static size_t put_number(char *to, unsigned long value, unsigned int base)
{
    char digits[24];
    size_t n = 0, i = 0;

    do {
        digits[n++] = "0123456789abcdef"[value % base];
        value /= base;
    } while (value);
    while (n > 0)
        to[i++] = digits[--n];
    return i;
}

/* %s %d %u %x with l and # only. */
static size_t format(char *to, size_t size, const char *fmt, va_list args)
{
    size_t n = 0;

    for (; *fmt && n + 32 < size; fmt++) {
        bool is_long = false;
        unsigned long value;

        if (*fmt != '%') {
            to[n++] = *fmt;
            continue;
        }
        fmt++;
        if (*fmt == '#') {
            to[n++] = '0';
            to[n++] = 'x';
            fmt++;
        }
        if (*fmt == 'l') {
            is_long = true;
            fmt++;
        }
        if (*fmt == 's') {
            for (const char *s = va_arg(args, const char *); *s && n + 32 < size; s++)
                to[n++] = *s;
            continue;
        }
        if (*fmt == 'd') {
            long v = is_long ? va_arg(args, long) : va_arg(args, int);

            if (v < 0)
                to[n++] = '-';
            n += put_number(to + n, v < 0 ? -(unsigned long)v : (unsigned long)v, 10);
            continue;
        }
        value = is_long ? va_arg(args, unsigned long) : va_arg(args, unsigned int);
        n += put_number(to + n, value, *fmt == 'x' ? 16 : 10);
    }
    return n;
}

static void vprint(const char *fmt, va_list args)
{
    char line[512];
    size_t n = format(line, sizeof(line), fmt, args);

    HCALL(console_io, CONSOLEIO_write, n, line, 0, 0);
}

void print(const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    vprint(fmt, args);
    va_end(args);
}

void fail(const char *file, int line, const char *fmt, ...)
{
    va_list args;

    test_failed = true;
    print("  %s:%d: ", file, line);
    va_start(args, fmt);
    vprint(fmt, args);
    va_end(args);
    print("\n");
}

/* ---- Hypercalls ---- */

long hypercall(unsigned int nr, unsigned long a, unsigned long b, unsigned long c, unsigned long d, unsigned long e)
{
    register unsigned long r10 asm("r10") = d;
    register unsigned long r8 asm("r8") = e;
    long result;

    asm volatile("call *%[stub]"
                 : "=a"(result), "+D"(a), "+S"(b), "+d"(c), "+r"(r10), "+r"(r8)
                 : [stub] "r"(hypercall_page + nr * 32)
                 : "memory", "rcx", "r11", "cc");
    return result;
}

bool on_domus(void)
{
    static xen_changeset_info_t changeset;      /* Domus's begins with its name */

    HCALL(xen_version, XENVER_changeset, changeset, 0, 0, 0);
    return memcmp(changeset, "domus", 5) == 0;
}

/* ---- Traps ---- */

static void stop(int status)
{
    struct sched_shutdown request = { .reason = SHUTDOWN_poweroff };

    print("TEST-EXIT %d\n", status);
    HCALL(sched_op, SCHEDOP_shutdown, &request, 0, 0, 0);
    for (;;)
        ;
}

void trap_handler(struct trap_frame *frame)
{
    if (frame->vector == TRAP_NMI) {
        nmi_count++;
        if (on_nmi)
            on_nmi();
        return;
    }
    /* Entry masked events; going on elsewhere than by iret must open them again. */
    shared_info->vcpu_info[0].evtchn_upcall_mask = 0;
    if (frame->vector == TRAP_EVENT) {
        event_count++;
        shared_info->vcpu_info[0].evtchn_upcall_pending = 0;
        return;
    }
    if (guarded_sp == 0) {
        print("unexpected trap %lu, error code %#lx, rip %#lx, cr2 %#lx\n", frame->vector, frame->error_code,
              frame->rip, shared_info->vcpu_info[0].arch.cr2);
        stop(1);
    }
    last_trap = (struct trap_record){
        .vector = (int)frame->vector,
        .error_code = frame->error_code,
        .cr2 = shared_info->vcpu_info[0].arch.cr2,
        .rip = frame->rip,
        .rsp = frame->rsp,
        .rflags = frame->rflags,
        .cs = frame->cs & 0xffff,
        .saved_upcall_mask = (uint32_t)(frame->cs >> 32),
        .frame = *frame,
    };
    asm volatile("jmp guarded_return");
    __builtin_unreachable();
}

int guarded(void (*fn)(unsigned long, unsigned long), unsigned long a, unsigned long b)
{
    last_trap.vector = TRAP_NONE;
    guarded_call(fn, a, b);
    return last_trap.vector;
}

void read_at(unsigned long address, unsigned long unused)
{
    (void)unused;
    (void)*(volatile uint64_t *)address;
}

void write_at(unsigned long address, unsigned long value)
{
    *(volatile uint64_t *)address = value;
}

void call_at(unsigned long address, unsigned long unused)
{
    (void)unused;
    ((void (*)(void))address)();
}

int run_user(unsigned long rip)
{
    return run_user_with_flags(rip, 0x202);
}

int run_user_with_flags(unsigned long rip, uint64_t rflags)
{
    static bool have_user_tables;
    struct mmuext_op op = { .cmd = MMUEXT_NEW_USER_BASEPTR, .arg1.mfn = mfn_of((void *)start_info->pt_base) };
    struct iret_frame frame = { .rip = rip, .cs = FLAT_USER_CS, .rflags = rflags, .rsp = (unsigned long)user_stack_end,
                                .ss = FLAT_USER_SS };

    if (!have_user_tables && HCALL(mmuext_op, &op, 1, 0, DOMID_SELF, 0) != 0)
        return TRAP_NONE;
    have_user_tables = true;
    return guarded(iret_to, (unsigned long)&frame, 0);
}

long count_nmis(void)
{
    struct callback_register nmi = { .type = CALLBACKTYPE_nmi, .address = (unsigned long)nmi_entry };

    return HCALL(callback_op, CALLBACKOP_register, &nmi, 0, 0, 0);
}

void init_traps(void)
{
    static struct trap_info table[33];
    struct callback_register event = { .type = CALLBACKTYPE_event, .address = (unsigned long)event_entry };
    struct callback_register failsafe = { .type = CALLBACKTYPE_failsafe, .address = (unsigned long)failsafe_entry,
                                          .flags = CALLBACKF_mask_events };
    struct callback_register syscall = { .type = CALLBACKTYPE_syscall, .address = (unsigned long)syscall_entry,
                                         .flags = CALLBACKF_mask_events };

    for (unsigned int i = 0; i < 32; i++) {
        table[i].vector = i;
        /* As kernels do: user space may use INT3 and INTO, page faults mask events. */
        table[i].flags = i == 3 || i == 4 ? 3 : i == 14 ? 4 : 0;
        table[i].cs = FLAT_KERNEL_CS;
        table[i].address = trap_stubs[i];
    }
    HCALL(set_trap_table, table, 0, 0, 0, 0);
    HCALL(callback_op, CALLBACKOP_register, &event, 0, 0, 0);
    HCALL(callback_op, CALLBACKOP_register, &failsafe, 0, 0, 0);
    HCALL(callback_op, CALLBACKOP_register, &syscall, 0, 0, 0);
    HCALL(stack_switch, FLAT_KERNEL_SS, kernel_stack_end, 0, 0, 0);
}

/* ---- Events ---- */

#define PATIENCE 20000000000UL          /* ns */

long bind_event(unsigned int cmd, unsigned int virq, unsigned int vcpu)
{
    struct evtchn_bind_virq v = { .virq = virq, .vcpu = vcpu };
    struct evtchn_bind_ipi ipi = { .vcpu = vcpu };
    void *arg = cmd == EVTCHNOP_bind_virq ? (void *)&v : (void *)&ipi;

    check_eq(HCALL(event_channel_op, cmd, arg, 0, 0, 0), 0);
    return cmd == EVTCHNOP_bind_virq ? v.port : ipi.port;
}

bool take_event(long port)
{
    return __atomic_fetch_and(&shared_info->evtchn_pending[port / 64], ~(1UL << port % 64), __ATOMIC_SEQ_CST)
           >> port % 64 & 1;
}

/* Events of other ports may end a sleep as well. */
bool event_comes(long port)
{
    evtchn_port_t one = (evtchn_port_t)port;
    struct sched_poll p = { .nr_ports = 1, .timeout = system_time() + PATIENCE };
    bool came = false;

    set_xen_guest_handle(p.ports, &one);
    while (!came && system_time() < p.timeout && HCALL(sched_op, SCHEDOP_poll, &p, 0, 0, 0) == 0)
        came = take_event(port);
    return came;
}

/* ---- Other vCPUs ---- */

void vcpu_context(struct vcpu_guest_context *c, void (*main)(void), void *stack_end)
{
    memset(c, 0, sizeof(*c));
    c->flags = VGCF_IN_KERNEL;
    c->user_regs.rip = (unsigned long)main;
    c->user_regs.rsp = (unsigned long)stack_end - 8;
    c->user_regs.cs = FLAT_KERNEL_CS;
    c->user_regs.ss = FLAT_KERNEL_SS;
    c->user_regs.rflags = 0x202;
    c->kernel_sp = (unsigned long)stack_end;
    c->kernel_ss = FLAT_KERNEL_SS;
    c->ctrlreg[3] = mfn_of((void *)start_info->pt_base) << PAGE_SHIFT;
}

void start_vcpu(unsigned int id, void (*main)(void), void *stack_end)
{
    static struct vcpu_guest_context c;

    vcpu_context(&c, main, stack_end);
    check_eq(HCALL(vcpu_op, VCPUOP_initialise, id, &c, 0, 0), 0);
    check_eq(HCALL(vcpu_op, VCPUOP_up, id, 0, 0, 0), 0);
}

/* ---- Memory ---- */

#define POOL_PAGES 256
static char pool[POOL_PAGES][PAGE_SIZE] __attribute__((aligned(4096)));
static unsigned int pool_used;
static char shared_info_window[PAGE_SIZE] __attribute__((aligned(4096)));

/* The kernel's pages are mapped from VIRT_BASE on in the order of the pseudo-physical list. */
#define VIRT_BASE 0xffffffff80000000UL

unsigned long mfn_of(const void *page)
{
    return p2m[((unsigned long)page - VIRT_BASE) >> PAGE_SHIFT];
}

void *alloc_page(void)
{
    if (pool_used == POOL_PAGES) {
        print("out of pages\n");
        stop(1);
    }
    return pool[pool_used++];
}

static unsigned int index_at(unsigned long va, unsigned int level)
{
    return va >> (PAGE_SHIFT + 9 * (level - 1)) & 511;
}

/* Page tables are mapped read-only somewhere in the bootstrap range: found by the machine-to-physical table. */
static const uint64_t *table_va(unsigned long mfn)
{
    return (const uint64_t *)(VIRT_BASE + (machine_to_phys_mapping[mfn] << PAGE_SHIFT));
}

const uint64_t *table_of(unsigned long va, unsigned int level, unsigned long *mfn)
{
    const uint64_t *table = (const uint64_t *)start_info->pt_base;
    unsigned long frame = mfn_of(table);

    for (unsigned int l = 4; l > level; l--) {
        uint64_t entry = table[index_at(va, l)];

        if (!(entry & PTE_PRESENT))
            return NULL;
        frame = (entry & PTE_ADDR) >> PAGE_SHIFT;
        table = table_va(frame);
    }
    *mfn = frame;
    return table;
}

uint64_t pte_maddr(unsigned long va, uint64_t *value)
{
    unsigned long mfn;
    const uint64_t *l1 = table_of(va, 1, &mfn);

    if (!l1)
        return 0;
    *value = l1[index_at(va, 1)];
    return (mfn << PAGE_SHIFT) + index_at(va, 1) * 8;
}

long set_pte(unsigned long va, uint64_t pte)
{
    return HCALL(update_va_mapping, va, pte, UVMF_INVLPG | UVMF_LOCAL, 0, 0);
}

/* Makes a page a page table of a level, and enters it in the table above. */
static long add_table(unsigned long va, unsigned int level)
{
    void *page = alloc_page();
    unsigned long above;

    if (set_pte((unsigned long)page, mfn_of(page) << PAGE_SHIFT | PTE_RO) != 0 || !table_of(va, level + 1, &above))
        return -XEN_EINVAL;
    return mmu_update1((above << PAGE_SHIFT) + index_at(va, level + 1) * 8, mfn_of(page) << PAGE_SHIFT | PTE_DATA);
}

long map_page(unsigned long va, uint64_t pte)
{
    unsigned long mfn;

    for (unsigned int level = 3; level >= 1; level--) {
        if (!table_of(va, level, &mfn) && add_table(va, level) != 0)
            return -XEN_EINVAL;
    }
    return set_pte(va, pte);
}

long mmu_update1(uint64_t ptr, uint64_t val)
{
    struct mmu_update request = { .ptr = ptr, .val = val };

    return HCALL(mmu_update, &request, 1, 0, DOMID_SELF, 0);
}

void *map_shared_info(void)
{
    return set_pte((unsigned long)shared_info_window, start_info->shared_info | PTE_PRESENT | PTE_RW | PTE_USER | PTE_A |
                   PTE_D) == 0 ? shared_info_window : NULL;
}

/* ---- Main ---- */

unsigned long option(const char *word, unsigned long usual)
{
    const char *at = (const char *)start_info->cmd_line;
    unsigned long value = 0;

    for (; *at; at++) {
        const char *w = word, *p = at;

        while (*w && *w == *p)
            w++, p++;
        if (*w)
            continue;
        for (; *p >= '0' && *p <= '9'; p++)
            value = value * 10 + (unsigned long)(*p - '0');
        return value;
    }
    return usual;
}

void test_main(struct start_info *si)
{
    unsigned int failures = 0;

    start_info = si;
    p2m = (unsigned long *)si->mfn_list;
    shared_info = map_shared_info();
    if (!shared_info) {
        print("shared_info cannot be mapped\n");
        stop(1);
    }
    init_traps();
    shared_info->vcpu_info[0].evtchn_upcall_mask = 0;
    for (unsigned int i = 0; i < nr_tests; i++) {
        test_failed = false;
        tests[i].run();
        print("%s %s\n", test_failed ? "FAILED" : "ok", tests[i].name);
        failures += test_failed;
    }
    print("TEST-SUMMARY %u passed, %u failed\n", nr_tests - failures, failures);
    stop(failures ? 1 : 0);
}

/* ---- Time ---- */

uint64_t system_time(void)
{
    const volatile struct vcpu_time_info *t = &shared_info->vcpu_info[0].time;
    uint64_t now, delta;
    uint32_t version, low, high;

    do {
        version = t->version;
        asm volatile("lfence; rdtsc" : "=a"(low), "=d"(high) : : "memory");
        delta = ((uint64_t)high << 32 | low) - t->tsc_timestamp;
        delta = t->tsc_shift < 0 ? delta >> -t->tsc_shift : delta << t->tsc_shift;
        now = t->system_time + (uint64_t)((unsigned __int128)delta * t->tsc_to_system_mul >> 32);
    } while ((version & 1) || version != t->version);
    return now;
}
