/* SPDX-License-Identifier: MIT */
/* memory_op on extents of several frames: population, exchange both ways, claims, a domain's grant frames. */
#include "kernel.h"

#include <xen/domctl.h>

#define EXTENTS 64

static xen_pfn_t list[EXTENTS], list2[EXTENTS];

static struct xen_memory_reservation reservation(xen_pfn_t *extents, unsigned long nr, unsigned int order)
{
    struct xen_memory_reservation r = { .nr_extents = nr, .extent_order = order, .domid = DOMID_SELF };

    set_xen_guest_handle(r.extent_start, extents);
    return r;
}

static long memory_op(unsigned int op, void *arg)
{
    return HCALL(memory_op, op, arg, 0, 0, 0);
}

static long pages_now(void)
{
    domid_t self = DOMID_SELF;

    return memory_op(XENMEM_current_reservation, &self);
}

static void populate_tells_frames_and_m2p(void)
{
    struct xen_memory_reservation r = reservation(list, 4, 2);
    const unsigned long *m2p = (const unsigned long *)HV_START;

    for (int i = 0; i < 4; i++)
        list[i] = 0x70000 + 4 * i;
    check_eq(memory_op(XENMEM_populate_physmap, &r), 4);
    for (int i = 0; i < 4; i++) {
        check_eq(list[i] % 4, 0);
        check_eq(m2p[list[i] + 3], 0x70000 + 4 * i + 3);
    }
    check_eq(memory_op(XENMEM_decrease_reservation, &r), 4);
}

static void frames_of_others_are_not_given_back(void)
{
    struct xen_memory_reservation r = reservation(list, 3, 0);
    long before = pages_now();

    list[0] = 0;                        /* the hypervisor's or nobody's */
    list[1] = ~0UL;
    list[2] = 1UL << 40;
    check_eq(memory_op(XENMEM_decrease_reservation, &r), 0);
    /* The shared page is the hypervisor's to free; Xen takes it, and forgets that it was the domain's. */
    list[0] = start_info->shared_info >> PAGE_SHIFT;
    if (on_domus())
        check_eq(memory_op(XENMEM_decrease_reservation, &r), 0);
    check_eq(pages_now(), before);
}

#define RACES 200
#define LARGE_ORDER 9
#define LARGE_FRAMES (1UL << LARGE_ORDER)
#define MAX_LARGE 1024
#define FREE_LARGE 4            /* the hypervisor may take a page of one for itself */

/* The frame that the second vCPU is to give back as soon as it is the domain's; 0: none. It answers with its own copy. */
static volatile unsigned long target, seen_target, given_back;
static volatile bool racer_ends, racer_is_done;
static char racer_stack[PAGE_SIZE];

/* Memory that was freed is cleared by idle CPUs, and what is half cleared is not one extent. */
static void sleep_a_little(void)
{
    struct sched_poll p = { .timeout = system_time() + 1000000 };

    HCALL(sched_op, SCHEDOP_poll, &p, 0, 0, 0);
}

static void racer_main(void)
{
    while (!racer_ends) {
        xen_pfn_t frame = target;
        struct xen_memory_reservation r = reservation(&frame, 1, 0);

        if (frame && frame != given_back && memory_op(XENMEM_decrease_reservation, &r) == 1)
            given_back = frame;
        seen_target = frame;
        if (frame)
            HCALL(sched_op, SCHEDOP_yield, 0, 0, 0, 0);
        else
            sleep_a_little();
    }
    racer_is_done = true;
    HCALL(vcpu_op, VCPUOP_down, 1, 0, 0, 0);
    for (;;)
        continue;
}

static void aim_at(unsigned long frame)
{
    target = frame;
    while (seen_target != frame)
        HCALL(sched_op, SCHEDOP_yield, 0, 0, 0, 0);
}

/*
 * Populates a large extent, most likely the one at *base, as the machine has few, and gives it back; *base is where it was.
 * False: a frame that was gone has a number.
 */
static bool race_for_number(xen_pfn_t *base)
{
    const unsigned long *m2p = (const unsigned long *)HV_START;
    xen_pfn_t extent = 0x80000;
    struct xen_memory_reservation large = reservation(&extent, 1, LARGE_ORDER);
    bool right;

    given_back = 0;
    aim_at(*base + LARGE_FRAMES - 1);
    while (memory_op(XENMEM_populate_physmap, &large) != 1) {
        aim_at(0);
        sleep_a_little();
        aim_at(*base + LARGE_FRAMES - 1);
    }
    *base = extent;
    aim_at(0);
    right = !given_back || m2p[given_back] == ~0UL;
    for (; extent < *base + LARGE_FRAMES; extent++) {
        struct xen_memory_reservation small = reservation(&extent, 1, 0);

        if (extent != given_back)
            check_eq(memory_op(XENMEM_decrease_reservation, &small), 1);
    }
    return right;
}

/* A frame may be given back, and be somebody else's, while the hypercall that populates it goes on: it leaves its number. */
static void frames_given_back_lose_their_number(void)
{
    static xen_pfn_t held[MAX_LARGE];
    struct xen_memory_reservation all = reservation(held, MAX_LARGE, LARGE_ORDER);
    unsigned int wrong = 0;
    xen_pfn_t base;
    long nr;

    nr = memory_op(XENMEM_increase_reservation, &all);
    check(nr > FREE_LARGE && nr < MAX_LARGE);
    base = held[0];
    all = reservation(held, FREE_LARGE, LARGE_ORDER);
    check_eq(memory_op(XENMEM_decrease_reservation, &all), FREE_LARGE);
    start_vcpu(1, racer_main, racer_stack + sizeof(racer_stack));
    for (unsigned int i = 0; i < RACES; i++)
        wrong += !race_for_number(&base);
    racer_ends = true;
    while (!racer_is_done || HCALL(vcpu_op, VCPUOP_is_up, 1, 0, 0, 0))
        HCALL(sched_op, SCHEDOP_yield, 0, 0, 0, 0);
    all = reservation(held + FREE_LARGE, nr - FREE_LARGE, LARGE_ORDER);
    check_eq(memory_op(XENMEM_decrease_reservation, &all), nr - FREE_LARGE);
    /* Xen numbers frames when the domain has them already. */
    if (on_domus())
        check_eq(wrong, 0);
}

/* Sixteen frames for one of sixteen times the size below 4 GiB, and back. */
static void exchange_makes_memory_contiguous(void)
{
    struct xen_memory_exchange x = { .in = reservation(list, 16, 0), .out = reservation(list2, 1, 4) };
    struct xen_memory_reservation r = x.in;
    const unsigned long *m2p = (const unsigned long *)HV_START;
    long before;

    check_eq(memory_op(XENMEM_increase_reservation, &r), 16);
    before = pages_now();
    list2[0] = 0x71000;
    x.out.mem_flags = XENMEMF_address_bits(32);
    check_eq(memory_op(XENMEM_exchange, &x), 0);
    check_eq(x.nr_exchanged, 16);
    check_eq(list2[0] % 16, 0);
    check(list2[0] < 1UL << 20);
    check_eq(m2p[list2[0] + 15], 0x7100f);
    check_eq(pages_now(), before);

    x = (struct xen_memory_exchange){ .in = reservation(list2, 1, 4), .out = reservation(list, 16, 0) };
    for (int i = 0; i < 16; i++)
        list[i] = 0x72000 + i;
    check_eq(memory_op(XENMEM_exchange, &x), 0);
    check_eq(x.nr_exchanged, 1);
    check_eq(m2p[list[7]], 0x72007);
    check_eq(pages_now(), before);
    check_eq(memory_op(XENMEM_decrease_reservation, &r), 16);
}

static void exchange_refuses_frames_in_use(void)
{
    void *page = alloc_page();
    struct xen_memory_exchange x = { .in = reservation(list, 2, 0), .out = reservation(list2, 2, 0) };
    struct xen_memory_reservation r = reservation(list, 1, 0);
    long before = pages_now();

    check_eq(memory_op(XENMEM_increase_reservation, &r), 1);
    list[1] = mfn_of(page);             /* mapped: a reference and a type more */
    list2[0] = 0x73000;
    list2[1] = 0x73001;
    check_eq(memory_op(XENMEM_exchange, &x), -XEN_EINVAL);
    check_eq(x.nr_exchanged, 1);        /* the first was done */
    check_eq(pages_now(), before + 1);
    r = reservation(list2, 1, 0);
    check_eq(memory_op(XENMEM_decrease_reservation, &r), 1);
    *(volatile int *)page = 5;
    check_eq(*(volatile int *)page, 5);
}

static void claims(void)
{
    struct xen_memory_reservation r = { .nr_extents = pages_now() + 100, .domid = 0 };

    check_eq(memory_op(XENMEM_claim_pages, &r), 0);
    check_eq(memory_op(XENMEM_claim_pages, &r), -XEN_EINVAL);   /* one at a time */
    r.nr_extents = 0;
    check_eq(memory_op(XENMEM_claim_pages, &r), 0);
    r.nr_extents = 1UL << 30;
    check(memory_op(XENMEM_claim_pages, &r) < 0);
    r.nr_extents = 1;
    r.extent_order = 1;
    check_eq(memory_op(XENMEM_claim_pages, &r), -XEN_EINVAL);
}

static domid_t make_domain(void)
{
    static struct xen_domctl ctl = {
        .cmd = XEN_DOMCTL_createdomain,
        .interface_version = XEN_DOMCTL_INTERFACE_VERSION,
        .u.createdomain = { .max_vcpus = 1, .max_evtchn_port = 100, .max_grant_frames = 4,
                            .max_maptrack_frames = 4, .grant_opts = 1 },
    };

    check_eq(HCALL(domctl, &ctl, 0, 0, 0, 0), 0);
    return ctl.domain;
}

static void resource_frames(void)
{
    struct xen_mem_acquire_resource q = { .domid = DOMID_SELF, .type = XENMEM_resource_grant_table };

    check_eq(memory_op(XENMEM_acquire_resource, &q), -XEN_ESRCH);
    q.domid = 0;
    check_eq(memory_op(XENMEM_acquire_resource, &q), -XEN_EPERM);
    q.domid = make_domain();
    check_eq(memory_op(XENMEM_acquire_resource, &q), 0);
    check_eq(q.nr_frames, 4);
    set_xen_guest_handle(q.frame_list, list);
    q.nr_frames = 2;
    check_eq(memory_op(XENMEM_acquire_resource, &q), 0);
    check(list[0] != 0 && list[1] != 0 && list[0] != list[1]);
    q.nr_frames = 5;
    check_eq(memory_op(XENMEM_acquire_resource, &q), -XEN_EINVAL);
    q.nr_frames = 1;
    q.frame = 1UL << 40;
    check_eq(memory_op(XENMEM_acquire_resource, &q), -XEN_EINVAL);
    q.frame = 0;
    q.pad = 1;
    check_eq(memory_op(XENMEM_acquire_resource, &q), -XEN_EINVAL);
    q.pad = 0;
    q.type = XENMEM_resource_ioreq_server;
    check_eq(memory_op(XENMEM_acquire_resource, &q), -XEN_EINVAL);
    q.type = XENMEM_resource_vmtrace_buf;
    check_eq(memory_op(XENMEM_acquire_resource, &q), -XEN_EINVAL);
    q.type = 77;
    check_eq(memory_op(XENMEM_acquire_resource, &q), -XEN_EOPNOTSUPP);
}

TESTS({ "populate tells frames and M2P", populate_tells_frames_and_m2p },
      { "frames given back lose their number", frames_given_back_lose_their_number },
      { "frames of others are not given back", frames_of_others_are_not_given_back },
      { "exchange makes memory contiguous", exchange_makes_memory_contiguous },
      { "exchange refuses frames in use", exchange_refuses_frames_in_use }, { "claims", claims },
      { "resource frames", resource_frames });
