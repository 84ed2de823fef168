/* SPDX-License-Identifier: MIT */
/*
 * Trace buffers: sysctl's tbuf_op, who may map what, what the records say, and a consumer that writes nonsense into
 * what it shares. In order: buffers that are once made stay.
 */
/* SMP: 2 */
#include "kernel.h"

#include <xen/sysctl.h>
#include <xen/trace.h>

#define TRACE_PAGES 4U
#define TRACE_CPUS  2U
#define RING_BYTES  (TRACE_PAGES * (uint32_t)PAGE_SIZE - (uint32_t)sizeof(struct t_buf))

static struct xen_sysctl sys;

static long repeat(void)
{
    return HCALL(sysctl, &sys, 0, 0, 0, 0);
}

static long tbuf(unsigned int cmd, uint32_t value)
{
    sys = (struct xen_sysctl){
        .cmd = XEN_SYSCTL_tbuf_op,
        .interface_version = XEN_SYSCTL_INTERFACE_VERSION,
        .u.tbuf_op = { .cmd = cmd, .evt_mask = value, .size = value },
    };
    return repeat();
}

static long set_cpus(const void *bitmap, uint32_t bits)
{
    tbuf(~0u, 0);
    sys.u.tbuf_op.cmd = XEN_SYSCTL_TBUFOP_set_cpu_mask;
    sys.u.tbuf_op.cpu_mask.nr_bits = bits;
    sys.u.tbuf_op.cpu_mask.bitmap.p = (uint8_t *)bitmap;
    return repeat();
}

/* ---- What tools map: the table, then each CPU's buffer ---- */

static char window[(1 + TRACE_CPUS * TRACE_PAGES) * PAGE_SIZE] __attribute__((aligned(4096)));
static const struct t_info *const info = (const struct t_info *)window;

static volatile struct t_buf *buffer(unsigned int cpu)
{
    return (volatile struct t_buf *)(window + (1 + cpu * TRACE_PAGES) * PAGE_SIZE);
}

static long map(unsigned int page, unsigned long mfn, uint64_t flags, unsigned int domid)
{
    struct mmu_update u = { .val = mfn << PAGE_SHIFT | flags };
    unsigned int done;
    uint64_t old;

    u.ptr = pte_maddr((unsigned long)window + page * PAGE_SIZE, &old);
    return HCALL(mmu_update, &u, 1, &done, domid, 0);
}

/* ---- Records ---- */

struct record {
    uint32_t event, nr, words[TRACE_EXTRA_MAX];
    uint64_t time;
};

static uint32_t take_word(volatile struct t_buf *b)
{
    uint32_t word = *(const volatile uint32_t *)((const volatile char *)(b + 1) + b->cons % RING_BYTES);

    b->cons = (b->cons + 4) % (2 * RING_BYTES);
    return word;
}

static bool take_record(volatile struct t_buf *b, struct record *r)
{
    uint32_t header;

    if (b->cons == b->prod)
        return false;
    header = take_word(b);
    *r = (struct record){ .event = TRC_HD_TO_EVENT(header), .nr = TRC_HD_EXTRA(header) };
    if (TRC_HD_INCLUDES_CYCLE_COUNT(header)) {
        r->time = take_word(b);
        r->time |= (uint64_t)take_word(b) << 32;
    }
    for (unsigned int i = 0; i < r->nr; i++)
        r->words[i] = take_word(b);
    return true;
}

/* Takes records of all CPUs until one of this event with this first word (ANY: whatever it is). */
#define ANY (~0u)
static bool find(uint32_t event, uint32_t first, struct record *r)
{
    for (unsigned int cpu = 0; cpu < TRACE_CPUS; cpu++)
        while (take_record(buffer(cpu), r))
            if (r->event == event && (first == ANY || r->words[0] == first))
                return true;
    return false;
}

static void drain(void)
{
    for (unsigned int cpu = 0; cpu < TRACE_CPUS; cpu++)
        buffer(cpu)->cons = buffer(cpu)->prod;
}

static void start(uint32_t events)
{
    check_eq(tbuf(XEN_SYSCTL_TBUFOP_set_evt_mask, 0), 0);
    drain();
    check_eq(tbuf(XEN_SYSCTL_TBUFOP_enable, 0), 0);
    check_eq(tbuf(XEN_SYSCTL_TBUFOP_set_evt_mask, events), 0);
}

/* What is written stays in the buffers. */
static void stop(void)
{
    check_eq(tbuf(XEN_SYSCTL_TBUFOP_set_evt_mask, 0), 0);
}

/* ---- Tests ---- */

static void without_buffers(void)
{
    check_eq(tbuf(XEN_SYSCTL_TBUFOP_get_info, 1), 0);
    check_eq(sys.u.tbuf_op.evt_mask, TRC_ALL);
    check_eq(sys.u.tbuf_op.buffer_mfn, 0);
    check_eq(sys.u.tbuf_op.size, 0);
    check_eq(tbuf(XEN_SYSCTL_TBUFOP_enable, 0), -XEN_EINVAL);
    check_eq(tbuf(XEN_SYSCTL_TBUFOP_disable, 0), 0);
    check_eq(tbuf(77, 0), -XEN_EINVAL);
    check_eq(tbuf(~0u, 0), -XEN_EINVAL);
}

static void masks(void)
{
    static const uint64_t all = ~0UL;

    check_eq(tbuf(XEN_SYSCTL_TBUFOP_set_evt_mask, ~0u), 0);
    check_eq(tbuf(XEN_SYSCTL_TBUFOP_get_info, 0), 0);
    check_eq(sys.u.tbuf_op.evt_mask, ~0u);
    check_eq(set_cpus((const void *)UNMAPPED, 8), -XEN_EFAULT);
    check_eq(set_cpus((const void *)HV_SECRET, 8), -XEN_EFAULT);
    check_eq(set_cpus((const void *)NON_CANONICAL, 64), -XEN_EFAULT);
    check_eq(set_cpus(NULL, 0), 0);
    check_eq(set_cpus(&all, 64), 0);
}

static void sizes(void)
{
    check_eq(tbuf(XEN_SYSCTL_TBUFOP_set_size, 0), -XEN_EINVAL);
    check_eq(tbuf(XEN_SYSCTL_TBUFOP_set_size, ~0u), -XEN_ENOMEM);
    check_eq(tbuf(XEN_SYSCTL_TBUFOP_set_size, TRACE_PAGES), 0);
    check_eq(tbuf(XEN_SYSCTL_TBUFOP_set_size, TRACE_PAGES), -XEN_EBUSY);
    check_eq(tbuf(XEN_SYSCTL_TBUFOP_set_size, TRACE_PAGES + 1), -XEN_EINVAL);
    check_eq(tbuf(XEN_SYSCTL_TBUFOP_set_size, 0), -XEN_EINVAL);
}

static void mappings(void)
{
    unsigned long mfn;

    check_eq(tbuf(XEN_SYSCTL_TBUFOP_get_info, 0), 0);
    mfn = sys.u.tbuf_op.buffer_mfn;
    check_eq(sys.u.tbuf_op.size, PAGE_SIZE);
    check(map(0, mfn, PTE_RO, DOMID_SELF) < 0);
    check(map(0, mfn, PTE_DATA, DOMID_XEN) < 0);
    check_eq(map(0, mfn, PTE_RO, DOMID_XEN), 0);
    check_eq(info->tbuf_size, TRACE_PAGES);
    for (unsigned int i = 0; i < TRACE_CPUS * TRACE_PAGES; i++) {
        unsigned int at = info->mfn_offset[i / TRACE_PAGES] + i % TRACE_PAGES;

        mfn = ((const uint32_t *)info)[at];
        check(map(1 + i, mfn, PTE_DATA, DOMID_SELF) < 0);
        check_eq(map(1 + i, mfn, PTE_DATA, DOMID_XEN), 0);
    }
    /* Xen traces from the moment that there are buffers, here only who enables it does. */
    for (unsigned int cpu = 0; cpu < TRACE_CPUS && on_domus(); cpu++) {
        check_eq(buffer(cpu)->cons, 0);
        check_eq(buffer(cpu)->prod, 0);
    }
}

static void hypercalls(void)
{
    struct multicall_entry calls[] = { { .op = __HYPERVISOR_xen_version, .args = { XENVER_version } } };
    struct record r;
    uint64_t time;

    start(TRC_PV);
    HCALL(xen_version, XENVER_version, 0, 0, 0, 0);
    HCALL(multicall, calls, 1, 0, 0, 0);
    HCALL(vcpu_op, VCPUOP_is_up, 1, 0, 0, 0);
    check_eq(HCALL(tmem_op, 0, 0, 0, 0, 0), -XEN_ENOSYS);
    stop();
    check(find(TRC_PV_HYPERCALL_V2, __HYPERVISOR_xen_version, &r));
    check_eq(r.nr, 1);
    time = r.time;
    check(find(TRC_PV_HYPERCALL_V2, __HYPERVISOR_multicall | TRC_PV_HYPERCALL_V2_ARG_32(1), &r));
    check_eq(r.words[1], 1);
    check(r.time > time);
    check(find(TRC_PV_HYPERCALL_SUBCALL, __HYPERVISOR_xen_version, &r));
    check(find(TRC_PV_HYPERCALL_V2,
               __HYPERVISOR_vcpu_op | TRC_PV_HYPERCALL_V2_ARG_32(0) | TRC_PV_HYPERCALL_V2_ARG_32(1), &r));
    check_eq(r.words[1], VCPUOP_is_up);
    check_eq(r.words[2], 1);
}

extern const char after_cr0[];

static void read_cr0(unsigned long unused, unsigned long unused2)
{
    unsigned long value;

    (void)unused, (void)unused2;
    asm volatile("mov %%cr0, %0\n after_cr0:" : "=r"(value));
}

static void traps(void)
{
    struct record r;

    start(TRC_PV);
    check_eq(guarded(read_at, UNMAPPED, 0), 14);
    check_eq(guarded(read_cr0, 0, 0), TRAP_NONE);
    check_eq(guarded(read_at, NON_CANONICAL, 0), 13);
    stop();
    check(find(TRC_PV_PAGE_FAULT | TRC_64_FLAG, ANY, &r));
    check_eq(r.nr, 5);
    check_eq(r.words[2], UNMAPPED);
    check_eq(r.words[3], 0);
    check(find(TRC_PV_EMULATE_PRIVOP | TRC_64_FLAG, ANY, &r));
    check_eq(r.words[0] | (uint64_t)r.words[1] << 32, (unsigned long)after_cr0);
    check(find(TRC_PV_TRAP | TRC_64_FLAG, ANY, &r));
    check_eq(r.words[2], 13 | 1 << 15);
}

static void scheduling(void)
{
    struct sched_poll p = { 0 };
    struct record r;

    start(TRC_SCHED);
    check_eq(HCALL(sched_op, SCHEDOP_yield, 0, 0, 0, 0), 0);
    stop();
    check(find(TRC_SCHED_YIELD, 0, &r));
    check_eq(r.nr, 2);
    /* On a busy machine the time may be over before the vCPU sleeps. */
    do {
        start(TRC_SCHED);
        p.timeout = system_time() + 5000000;
        check_eq(HCALL(sched_op, SCHEDOP_poll, &p, 0, 0, 0), 0);
        stop();
        check(find(TRC_SCHED_BLOCK, 0, &r));
    } while (!find(TRC_SCHED_SWITCH_INFPREV, 0, &r));
    check(find(TRC_SCHED_SWITCH, 0, &r));
    check_eq(r.nr, 4);
    check_eq(r.words[2], DOMID_IDLE);
    check(find(TRC_SCHED_RUNSTATE_CHANGE | RUNSTATE_running << 8 | RUNSTATE_blocked << 4, 0, &r));
}

static void only_what_is_wanted(void)
{
    static const uint64_t none, all = ~0UL;
    struct record r;

    start(TRC_SCHED);
    HCALL(xen_version, XENVER_version, 0, 0, 0, 0);
    stop();
    check(!find(TRC_PV_HYPERCALL_V2, ANY, &r));
    check_eq(set_cpus(&none, 64), 0);
    start(TRC_ALL);
    HCALL(xen_version, XENVER_version, 0, 0, 0, 0);
    stop();
    check(!find(TRC_PV_HYPERCALL_V2, ANY, &r));
    check_eq(set_cpus(&all, 64), 0);
}

static void fill(unsigned int rings)
{
    for (uint32_t i = 0; i < rings * RING_BYTES / 16; i++)
        HCALL(xen_version, XENVER_version, 0, 0, 0, 0);
}

/* What does not fit is counted, and nothing of what is there is touched. */
static void full_buffers(void)
{
    struct evtchn_bind_virq virq = { .virq = VIRQ_TBUF };
    struct record r;
    uint32_t used;

    check_eq(HCALL(event_channel_op, EVTCHNOP_bind_virq, &virq, 0, 0, 0), 0);
    start(TRC_PV);
    fill(4);
    for (unsigned int cpu = 0; cpu < TRACE_CPUS; cpu++) {
        used = (buffer(cpu)->prod + 2 * RING_BYTES - buffer(cpu)->cons) % (2 * RING_BYTES);
        check(used <= RING_BYTES);
    }
    check(shared_info->evtchn_pending[virq.port / 64] & 1UL << virq.port % 64);
    drain();
    HCALL(xen_version, XENVER_version, 0, 0, 0, 0);
    stop();
    check(find(TRC_LOST_RECORDS, ANY, &r));
    check_eq(r.nr, 4);
    check(r.words[0] > 100);
    check_eq(r.words[1], 0);
}

/* Indices that make no sense, both of them, while the hypervisor writes. */
static void hostile_consumer(void)
{
    static const uint32_t nonsense[] = {
        ~0u, 0x80000000, 2 * RING_BYTES, 2 * RING_BYTES + 1, RING_BYTES + 3, 1, 0xfffffffc,
    };

    start(TRC_ALL);
    for (unsigned int i = 0; i < 2 * ARRAY_SIZE(nonsense); i++) {
        for (unsigned int cpu = 0; cpu < TRACE_CPUS; cpu++) {
            buffer(cpu)->cons = nonsense[i % ARRAY_SIZE(nonsense)];
            if (on_domus())         /* Xen reads its own index back */
                buffer(cpu)->prod = nonsense[(i + i / ARRAY_SIZE(nonsense)) % ARRAY_SIZE(nonsense)];
        }
        fill(1);
    }
    check_eq(tbuf(XEN_SYSCTL_TBUFOP_disable, 0), 0);
}

/* What was written before tracing was switched off can still be read, and nothing follows. */
static void switched_off(void)
{
    struct record r;

    start(TRC_PV);
    HCALL(xen_version, XENVER_version, 0, 0, 0, 0);
    check_eq(tbuf(XEN_SYSCTL_TBUFOP_disable, 0), 0);
    HCALL(vcpu_op, VCPUOP_is_up, 0, 0, 0, 0);
    check(find(TRC_PV_HYPERCALL_V2, __HYPERVISOR_xen_version, &r));
    check(find(TRC_PV_HYPERCALL_V2, __HYPERVISOR_sysctl, &r));
    check(!find(TRC_PV_HYPERCALL_V2, ANY, &r));
}

TESTS({ "without_buffers", without_buffers }, { "masks", masks }, { "sizes", sizes }, { "mappings", mappings },
      { "hypercalls", hypercalls }, { "traps", traps }, { "scheduling", scheduling },
      { "only_what_is_wanted", only_what_is_wanted }, { "full_buffers", full_buffers },
      { "hostile_consumer", hostile_consumer }, { "switched_off", switched_off });
