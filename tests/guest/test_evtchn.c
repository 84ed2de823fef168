/* SPDX-License-Identifier: MIT */
/* Event channels: every operation on ports of all kinds, the 2-level bitmaps, and setting up FIFO queues badly. */
#include "kernel.h"

#define NOBODY 0x1234

static long op(unsigned int cmd, void *arg)
{
    return HCALL(event_channel_op, cmd, arg, 0, 0, 0);
}

static bool pending(unsigned int port)
{
    return shared_info->evtchn_pending[port / 64] >> port % 64 & 1;
}

static void clear(unsigned int port)
{
    __atomic_fetch_and(&shared_info->evtchn_pending[port / 64], ~(1UL << port % 64), __ATOMIC_SEQ_CST);
}

static void set_mask(unsigned int port, bool on)
{
    if (on)
        __atomic_fetch_or(&shared_info->evtchn_mask[port / 64], 1UL << port % 64, __ATOMIC_SEQ_CST);
    else
        __atomic_fetch_and(&shared_info->evtchn_mask[port / 64], ~(1UL << port % 64), __ATOMIC_SEQ_CST);
}

static long send(unsigned int port)
{
    struct evtchn_send arg = { port };

    return op(EVTCHNOP_send, &arg);
}

static long close(unsigned int port)
{
    struct evtchn_close arg = { port };

    return op(EVTCHNOP_close, &arg);
}

static long unmask(unsigned int port)
{
    struct evtchn_unmask arg = { port };

    return op(EVTCHNOP_unmask, &arg);
}

static long status(unsigned int port, struct evtchn_status *arg)
{
    *arg = (struct evtchn_status){ .dom = DOMID_SELF, .port = port };
    return op(EVTCHNOP_status, arg);
}

static unsigned int alloc_unbound(void)
{
    struct evtchn_alloc_unbound arg = { .dom = DOMID_SELF, .remote_dom = DOMID_SELF };

    check_eq(op(EVTCHNOP_alloc_unbound, &arg), 0);
    return arg.port;
}

static unsigned int bind_ipi(unsigned int vcpu)
{
    struct evtchn_bind_ipi arg = { .vcpu = vcpu };

    check_eq(op(EVTCHNOP_bind_ipi, &arg), 0);
    return arg.port;
}

static void loop(void)
{
    struct evtchn_bind_interdomain bind = { .remote_dom = DOMID_SELF, .remote_port = alloc_unbound() };
    struct evtchn_status s;
    unsigned int port;

    check_eq(status(bind.remote_port, &s), 0);
    check_eq(s.status, EVTCHNSTAT_unbound);
    check_eq(op(EVTCHNOP_bind_interdomain, &bind), 0);
    port = bind.local_port;
    check_eq(status(port, &s), 0);
    check_eq(s.status, EVTCHNSTAT_interdomain);
    check_eq(s.u.interdomain.port, bind.remote_port);
    check_eq(s.u.interdomain.dom, 0);
    clear(port);
    clear(bind.remote_port);
    check_eq(send(port), 0);
    check(pending(bind.remote_port) && !pending(port));
    check_eq(send(bind.remote_port), 0);
    check(pending(port));
    /* A bound channel is not free for another. */
    check_eq(op(EVTCHNOP_bind_interdomain, &bind), -XEN_EINVAL);
    check_eq(close(port), 0);
    check_eq(status(bind.remote_port, &s), 0);
    check_eq(s.status, EVTCHNSTAT_unbound);
    check_eq(close(bind.remote_port), 0);
    check_eq(status(port, &s), 0);
    check_eq(s.status, EVTCHNSTAT_closed);
}

static void bad_ports(void)
{
    static const unsigned int bad[] = { 0, 4000, 4096, 0x20000, 0x7fffffff, 0x80000000, 0xffffffff };
    struct evtchn_status s;

    for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
        struct evtchn_bind_vcpu bind = { .port = bad[i], .vcpu = 0 };
        struct evtchn_bind_interdomain inter = { .remote_dom = DOMID_SELF, .remote_port = bad[i] };
        struct evtchn_set_priority priority = { .port = bad[i], .priority = 1 };

        check_eq(send(bad[i]), -XEN_EINVAL);
        check_eq(close(bad[i]), -XEN_EINVAL);
        check(op(EVTCHNOP_bind_vcpu, &bind) < 0);
        check_eq(op(EVTCHNOP_bind_interdomain, &inter), -XEN_EINVAL);
        check(op(EVTCHNOP_set_priority, &priority) < 0);
        if (bad[i] > 4096) {
            check_eq(unmask(bad[i]), -XEN_EINVAL);
            check_eq(status(bad[i], &s), -XEN_EINVAL);
        }
    }
}

static void bad_domains(void)
{
    struct evtchn_alloc_unbound a = { .dom = NOBODY, .remote_dom = DOMID_SELF };
    struct evtchn_bind_interdomain b = { .remote_dom = NOBODY, .remote_port = 1 };
    struct evtchn_status s = { .dom = NOBODY, .port = 1 };
    struct evtchn_reset r = { .dom = NOBODY };

    check_eq(op(EVTCHNOP_alloc_unbound, &a), -XEN_ESRCH);
    check_eq(op(EVTCHNOP_bind_interdomain, &b), -XEN_ESRCH);
    check_eq(op(EVTCHNOP_status, &s), -XEN_ESRCH);
    check_eq(op(EVTCHNOP_reset, &r), -XEN_ESRCH);
    b.remote_dom = DOMID_XEN;
    check_eq(op(EVTCHNOP_bind_interdomain, &b), -XEN_ESRCH);
    b.remote_dom = DOMID_INVALID;
    check_eq(op(EVTCHNOP_bind_interdomain, &b), -XEN_ESRCH);
}

static void bad_pointers(void)
{
    static const unsigned long bad[] = { UNMAPPED, HV_SECRET, NON_CANONICAL, -4UL };

    for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
        for (unsigned int cmd = EVTCHNOP_bind_interdomain; cmd <= EVTCHNOP_set_priority; cmd++)
            check_eq(op(cmd, (void *)bad[i]), -XEN_EFAULT);
    }
    check_eq(op(99, (void *)UNMAPPED), -XEN_ENOSYS);
}

static void virqs(void)
{
    struct evtchn_bind_virq v = { .virq = VIRQ_DEBUG, .vcpu = 0 };
    struct evtchn_status s;
    unsigned int port;

    check_eq(op(EVTCHNOP_bind_virq, &v), 0);
    port = v.port;
    check_eq(status(port, &s), 0);
    check_eq(s.status, EVTCHNSTAT_virq);
    check_eq(s.u.virq, VIRQ_DEBUG);
    check_eq(op(EVTCHNOP_bind_virq, &v), -XEN_EEXIST);
    check_eq(send(port), -XEN_EINVAL);
    check_eq(close(port), 0);
    v.virq = NR_VIRQS;
    check_eq(op(EVTCHNOP_bind_virq, &v), -XEN_EINVAL);
    v.virq = ~0u;
    check_eq(op(EVTCHNOP_bind_virq, &v), -XEN_EINVAL);
    v = (struct evtchn_bind_virq){ .virq = VIRQ_DEBUG, .vcpu = 1000 };
    check_eq(op(EVTCHNOP_bind_virq, &v), -XEN_ENOENT);
    /* One of the whole machine binds to the first vCPU only. */
    v = (struct evtchn_bind_virq){ .virq = VIRQ_DOM_EXC, .vcpu = 1 };
    check(op(EVTCHNOP_bind_virq, &v) < 0);
}

static void ipis(void)
{
    struct evtchn_bind_ipi bad = { .vcpu = 1000 };
    struct evtchn_bind_vcpu bind;
    unsigned int port = bind_ipi(0);
    struct evtchn_status s;

    check_eq(op(EVTCHNOP_bind_ipi, &bad), -XEN_ENOENT);
    bad.vcpu = ~0u;
    check_eq(op(EVTCHNOP_bind_ipi, &bad), -XEN_ENOENT);
    check_eq(status(port, &s), 0);
    check_eq(s.status, EVTCHNSTAT_ipi);
    clear(port);
    check_eq(send(port), 0);
    check(pending(port));
    bind = (struct evtchn_bind_vcpu){ .port = port, .vcpu = 0 };
    check_eq(op(EVTCHNOP_bind_vcpu, &bind), -XEN_EINVAL);
    check_eq(close(port), 0);
}

static void vcpu_binding(void)
{
    struct evtchn_bind_vcpu bind = { .port = alloc_unbound(), .vcpu = 1 };
    struct evtchn_status s;

    check_eq(op(EVTCHNOP_bind_vcpu, &bind), 0);
    check_eq(status(bind.port, &s), 0);
    check_eq(s.vcpu, 1);
    bind.vcpu = 1000;
    check_eq(op(EVTCHNOP_bind_vcpu, &bind), -XEN_ENOENT);
    check_eq(close(bind.port), 0);
}

static void upcalls(void)
{
    struct vcpu_info *info = &shared_info->vcpu_info[0];
    unsigned int port = bind_ipi(0), before = event_count;

    clear(port);
    info->evtchn_pending_sel = 0;
    set_mask(port, false);
    check_eq(send(port), 0);
    check_eq(event_count, before + 1);
    clear(port);
    /* Masked for the vCPU: pending, and delivered at the first chance after. */
    info->evtchn_upcall_mask = 1;
    info->evtchn_pending_sel = 0;
    check_eq(send(port), 0);
    check_eq(event_count, before + 1);
    check(info->evtchn_upcall_pending && info->evtchn_pending_sel);
    info->evtchn_upcall_mask = 0;
    HCALL(xen_version, XENVER_version, 0, 0, 0, 0);
    check_eq(event_count, before + 2);
    clear(port);
    info->evtchn_pending_sel = 0;
    /* Masked port: set, not signalled; unmask signals. */
    set_mask(port, true);
    check_eq(send(port), 0);
    check(pending(port));
    check_eq(event_count, before + 2);
    check_eq(unmask(port), 0);
    check_eq(event_count, before + 3);
    clear(port);
    check_eq(close(port), 0);
}

static void many(void)
{
    unsigned int first = alloc_unbound(), last = first, n = 1;

    for (; n < 500; n++)
        last = alloc_unbound();
    check(last >= first + 499);
    for (unsigned int port = first; port <= last; port++)
        check_eq(close(port), 0);
    check_eq(close(last), -XEN_EINVAL);
}

static void reset(void)
{
    struct evtchn_reset r = { .dom = DOMID_SELF };
    unsigned int port = alloc_unbound();
    struct evtchn_status s;

    check_eq(op(EVTCHNOP_reset, &r), 0);
    check_eq(status(port, &s), 0);
    check_eq(s.status, EVTCHNSTAT_closed);
    check_eq(alloc_unbound(), port);
}

static void bad_fifo_set_up(void)
{
    void *page = alloc_page();
    struct evtchn_init_control good = { .control_gfn = mfn_of(page), .offset = 0, .vcpu = 0 }, c = good;
    struct evtchn_expand_array expand = { .array_gfn = mfn_of(page) };

    check(op(EVTCHNOP_expand_array, &expand) < 0);
    c.offset = PAGE_SIZE;
    check_eq(op(EVTCHNOP_init_control, &c), -XEN_EINVAL);
    c.offset = 3;
    check_eq(op(EVTCHNOP_init_control, &c), -XEN_EINVAL);
    c.offset = PAGE_SIZE - 8;
    check_eq(op(EVTCHNOP_init_control, &c), -XEN_EINVAL);
    c = good;
    c.vcpu = 1000;
    check_eq(op(EVTCHNOP_init_control, &c), -XEN_ENOENT);
    c = good;
    c.control_gfn = ~0UL;
    check(op(EVTCHNOP_init_control, &c) < 0);
    c.control_gfn = 0xfffffffffUL;
    check(op(EVTCHNOP_init_control, &c) < 0);
    c.control_gfn = mfn_of((void *)start_info->pt_base);
    check(op(EVTCHNOP_init_control, &c) < 0);
}

/* The last test: there is no way back but a reset. */
static void fifo(void)
{
    struct evtchn_fifo_control_block *control = alloc_page();
    event_word_t *words = alloc_page();
    struct evtchn_init_control c = { .control_gfn = mfn_of(control), .vcpu = 0 };
    struct evtchn_expand_array expand = { .array_gfn = mfn_of(words) };
    struct evtchn_set_priority priority = { .priority = 3 };
    struct evtchn_reset r = { .dom = DOMID_SELF };
    unsigned int port;

    check_eq(op(EVTCHNOP_init_control, &c), 0);
    check_eq(c.link_bits, EVTCHN_FIFO_LINK_BITS);
    check(set_pte((unsigned long)control, mfn_of(control) << PAGE_SHIFT | PTE_DATA) == 0);
    expand.array_gfn = ~0UL;
    check(op(EVTCHNOP_expand_array, &expand) < 0);
    expand.array_gfn = mfn_of((void *)start_info->pt_base);
    check(op(EVTCHNOP_expand_array, &expand) < 0);
    expand.array_gfn = mfn_of(words);
    check_eq(op(EVTCHNOP_expand_array, &expand), 0);
    port = bind_ipi(0);
    priority.port = port;
    check_eq(op(EVTCHNOP_set_priority, &priority), 0);
    priority.priority = EVTCHN_FIFO_MAX_QUEUES;
    check_eq(op(EVTCHNOP_set_priority, &priority), -XEN_EINVAL);
    words[port] = 0;
    check_eq(send(port), 0);
    check(words[port] & 1u << EVTCHN_FIFO_PENDING);
    check(words[port] & 1u << EVTCHN_FIFO_LINKED);
    check_eq(control->head[3], port);
    check(control->ready & 1u << 3);
    /* Garbage in shared memory harms nobody else. */
    for (unsigned int i = 0; i < 1024; i++)
        words[i] = 0x9e3779b9u * (i + 1);
    for (unsigned int i = 0; i < EVTCHN_FIFO_MAX_QUEUES; i++)
        control->head[i] = 0xffffffff - i;
    for (unsigned int i = 0; i < 64; i++) {
        words[port] = 0x9e3779b9u * i & ~(1u << EVTCHN_FIFO_BUSY);
        (void)send(port);
        (void)unmask(port);
    }
    check_eq(close(port), 0);
    check_eq(op(EVTCHNOP_reset, &r), 0);
    check_eq(HCALL(xen_version, XENVER_version, 0, 0, 0, 0), 4 << 16 | 17);
}

TESTS({ "channel to itself", loop }, { "bad ports", bad_ports }, { "bad domains", bad_domains },
      { "bad pointers", bad_pointers }, { "virtual interrupts", virqs }, { "interprocessor interrupts", ipis },
      { "binding to a vCPU", vcpu_binding }, { "upcalls", upcalls }, { "many", many }, { "reset", reset },
      { "bad FIFO set-up", bad_fifo_set_up }, { "FIFO", fifo });
