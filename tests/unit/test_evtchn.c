/* SPDX-License-Identifier: MIT */
/* Event channels by the hypercall, 2-level ABI: what each operation does and refuses, and a random walk. */
#include "unit.h"

#include <pthread.h>

#include <asm/current.h>
#include <domus/heap.h>

static struct domain *a, *b;

static int setup(void **state)
{
    (void)state;
    host_machine_create(0x1000);
    heap_init_range(_mfn(HOST_FIRST_MFN), _mfn(0x1000), true);
    return 0;
}

static int make_domains(void **state)
{
    (void)state;
    a = host_domain_create(0, 4, true);
    b = host_domain_create(1, 2, false);
    host_domains_freed = 0;
    host_preempt_every = 0;
    return 0;
}

static int end_domains(void **state)
{
    (void)state;
    host_run(a->vcpu[0]);
    host_domain_destroy(b);
    host_domain_destroy(a);
    return host_domains_freed == 2 ? 0 : -1;
}

static long send(unsigned int port)
{
    struct evtchn_send arg = { port };

    return EVENT_OP(EVTCHNOP_send, arg);
}

static long close_port(unsigned int port)
{
    struct evtchn_close arg = { port };

    return EVENT_OP(EVTCHNOP_close, arg);
}

static struct evtchn_status status_of(domid_t dom, unsigned int port)
{
    struct evtchn_status arg = { .dom = dom, .port = port };

    assert_int_equal(EVENT_OP(EVTCHNOP_status, arg), 0);
    return arg;
}

static bool pending(struct domain *d, unsigned int port)
{
    return d->shared_info->evtchn_pending[port / 64] >> (port % 64) & 1;
}

/* As a guest does when it serves an event. */
static void serve(struct domain *d, unsigned int port, struct vcpu *v)
{
    d->shared_info->evtchn_pending[port / 64] &= ~(1ul << (port % 64));
    v->vcpu_info->evtchn_pending_sel = 0;
    v->vcpu_info->evtchn_upcall_pending = 0;
}

/* A pair: *pa of a, *pb of b. */
static void connect(unsigned int *pa, unsigned int *pb)
{
    struct evtchn_alloc_unbound alloc = { .dom = DOMID_SELF, .remote_dom = 1 };
    struct evtchn_bind_interdomain bind = { .remote_dom = 0 };

    host_run(a->vcpu[0]);
    assert_int_equal(EVENT_OP(EVTCHNOP_alloc_unbound, alloc), 0);
    bind.remote_port = alloc.port;
    host_run(b->vcpu[0]);
    assert_int_equal(EVENT_OP(EVTCHNOP_bind_interdomain, bind), 0);
    *pa = alloc.port;
    *pb = bind.local_port;
}

static void interdomain(void **state)
{
    unsigned int pa, pb;
    struct evtchn_status s;

    (void)state;
    connect(&pa, &pb);
    assert_true(pending(b, pb));        /* the other side may have sent before */
    serve(b, pb, b->vcpu[0]);

    host_run(b->vcpu[1]);
    assert_int_equal(send(pb), 0);
    assert_true(pending(a, pa));
    assert_int_equal(a->vcpu[0]->vcpu_info->evtchn_upcall_pending, 1);
    assert_int_equal(a->vcpu[0]->vcpu_info->evtchn_pending_sel, 1ul << (pa / 64));
    assert_int_equal(a->vcpu[0]->arch.kicks, 1);
    assert_int_equal(send(pb), 0);      /* pending already */
    assert_int_equal(a->vcpu[0]->arch.kicks, 1);
    assert_true(evtchn_port_pending(a, pa));

    host_run(a->vcpu[0]);
    s = status_of(DOMID_SELF, pa);
    assert_int_equal(s.status, EVTCHNSTAT_interdomain);
    assert_int_equal(s.u.interdomain.dom, 1);
    assert_int_equal(s.u.interdomain.port, pb);

    assert_int_equal(close_port(pa), 0);
    assert_int_equal(close_port(pa), -EINVAL);
    assert_int_equal(send(pa), -EINVAL);
    assert_false(pending(a, pa));
    s = status_of(1, pb);
    assert_int_equal(s.status, EVTCHNSTAT_unbound);
    assert_int_equal(s.u.unbound.dom, 0);
    host_run(b->vcpu[0]);
    assert_int_equal(send(pb), 0);      /* into the void */
    assert_int_equal(close_port(pb), 0);
}

static void binding_is_checked(void **state)
{
    struct evtchn_alloc_unbound alloc = { .dom = 1, .remote_dom = 1 };
    struct evtchn_bind_interdomain bind;

    (void)state;
    assert_int_equal(EVENT_OP(EVTCHNOP_alloc_unbound, alloc), 0);     /* dom0 for b, b alone may bind */
    bind = (struct evtchn_bind_interdomain){ .remote_dom = 1, .remote_port = alloc.port };
    assert_int_equal(EVENT_OP(EVTCHNOP_bind_interdomain, bind), -EINVAL);
    bind.remote_dom = 9;
    assert_int_equal(EVENT_OP(EVTCHNOP_bind_interdomain, bind), -ESRCH);
    bind = (struct evtchn_bind_interdomain){ .remote_dom = 1, .remote_port = 0 };
    assert_int_equal(EVENT_OP(EVTCHNOP_bind_interdomain, bind), -EINVAL);
    bind.remote_port = ~0u;
    assert_int_equal(EVENT_OP(EVTCHNOP_bind_interdomain, bind), -EINVAL);

    host_run(b->vcpu[0]);
    bind = (struct evtchn_bind_interdomain){ .remote_dom = DOMID_SELF, .remote_port = alloc.port };
    assert_int_equal(EVENT_OP(EVTCHNOP_bind_interdomain, bind), 0);   /* a loop */
    assert_int_equal(send(alloc.port), 0);
    assert_true(pending(b, bind.local_port));
    alloc = (struct evtchn_alloc_unbound){ .dom = 0, .remote_dom = 1 };
    assert_int_equal(EVENT_OP(EVTCHNOP_alloc_unbound, alloc), -EPERM);
    alloc.dom = 33;
    assert_int_equal(EVENT_OP(EVTCHNOP_alloc_unbound, alloc), -ESRCH);
    alloc = (struct evtchn_alloc_unbound){ .dom = DOMID_SELF, .remote_dom = DOMID_SELF };
    assert_int_equal(EVENT_OP(EVTCHNOP_alloc_unbound, alloc), 0);
    /* A port cannot be bound to itself, whichever port the operation would have allocated. */
    bind.remote_port = alloc.port + 1;
    assert_int_equal(EVENT_OP(EVTCHNOP_bind_interdomain, bind), -EINVAL);
}

static void masks(void **state)
{
    unsigned int pa, pb;
    struct evtchn_unmask unmask;

    (void)state;
    connect(&pa, &pb);
    a->shared_info->evtchn_mask[pa / 64] |= 1ul << (pa % 64);
    assert_int_equal(send(pb), 0);
    assert_true(pending(a, pa));
    assert_int_equal(a->vcpu[0]->vcpu_info->evtchn_upcall_pending, 0);

    host_run(a->vcpu[1]);
    unmask.port = pa;
    assert_int_equal(EVENT_OP(EVTCHNOP_unmask, unmask), 0);
    assert_int_equal(a->vcpu[0]->vcpu_info->evtchn_upcall_pending, 1);
    unmask.port = 0;
    assert_int_equal(EVENT_OP(EVTCHNOP_unmask, unmask), -EINVAL);
    unmask.port = 4096;
    assert_int_equal(EVENT_OP(EVTCHNOP_unmask, unmask), -EINVAL);
    assert_false(vcpu_events_pending(a->vcpu[1]));
    assert_true(vcpu_events_pending(a->vcpu[0]));
    a->vcpu[0]->vcpu_info->evtchn_upcall_mask = 1;
    assert_false(vcpu_events_pending(a->vcpu[0]));
}

static void virqs(void **state)
{
    struct evtchn_bind_virq bind = { .virq = VIRQ_TIMER, .vcpu = 2 };
    struct evtchn_bind_vcpu move;
    unsigned int timer;

    (void)state;
    assert_int_equal(EVENT_OP(EVTCHNOP_bind_virq, bind), 0);
    timer = bind.port;
    assert_int_equal(EVENT_OP(EVTCHNOP_bind_virq, bind), -EEXIST);
    send_guest_vcpu_virq(a->vcpu[1], VIRQ_TIMER);       /* not bound there */
    assert_false(pending(a, timer));
    send_guest_vcpu_virq(a->vcpu[2], VIRQ_TIMER);
    assert_true(pending(a, timer));
    assert_int_equal(a->vcpu[2]->vcpu_info->evtchn_upcall_pending, 1);
    assert_int_equal(send(timer), -EINVAL);
    move = (struct evtchn_bind_vcpu){ .port = timer, .vcpu = 0 };
    assert_int_equal(EVENT_OP(EVTCHNOP_bind_vcpu, move), -EINVAL);
    assert_int_equal(close_port(timer), 0);
    assert_int_equal(a->vcpu[2]->virq_to_evtchn[VIRQ_TIMER], 0);
    send_guest_vcpu_virq(a->vcpu[2], VIRQ_TIMER);

    bind = (struct evtchn_bind_virq){ .virq = VIRQ_DOM_EXC, .vcpu = 1 };
    assert_int_equal(EVENT_OP(EVTCHNOP_bind_virq, bind), -EINVAL);
    bind.vcpu = 0;
    assert_int_equal(EVENT_OP(EVTCHNOP_bind_virq, bind), 0);
    move = (struct evtchn_bind_vcpu){ .port = bind.port, .vcpu = 3 };
    assert_int_equal(EVENT_OP(EVTCHNOP_bind_vcpu, move), 0);
    send_global_virq(VIRQ_DOM_EXC);
    assert_int_equal(a->vcpu[3]->vcpu_info->evtchn_upcall_pending, 1);
    assert_int_equal(close_port(bind.port), 0);

    bind = (struct evtchn_bind_virq){ .virq = NR_VIRQS, .vcpu = 0 };
    assert_int_equal(EVENT_OP(EVTCHNOP_bind_virq, bind), -EINVAL);
    bind.virq = ~0u;
    assert_int_equal(EVENT_OP(EVTCHNOP_bind_virq, bind), -EINVAL);
    bind = (struct evtchn_bind_virq){ .virq = VIRQ_TIMER, .vcpu = 4 };
    assert_int_equal(EVENT_OP(EVTCHNOP_bind_virq, bind), -ENOENT);
}

static void virq_handler(void **state)
{
    struct evtchn_bind_virq bind = { .virq = VIRQ_CONSOLE, .vcpu = 0 };

    (void)state;
    host_run(b->vcpu[0]);
    assert_int_equal(EVENT_OP(EVTCHNOP_bind_virq, bind), 0);
    assert_int_equal(set_global_virq_handler(b, VIRQ_TIMER), -EINVAL);
    assert_int_equal(set_global_virq_handler(b, NR_VIRQS), -EINVAL);
    send_global_virq(VIRQ_CONSOLE);
    assert_false(pending(b, bind.port));
    assert_int_equal(set_global_virq_handler(b, VIRQ_CONSOLE), 0);
    assert_int_equal(set_global_virq_handler(b, VIRQ_CONSOLE), 0);
    send_global_virq(VIRQ_CONSOLE);
    assert_true(pending(b, bind.port));     /* the end of b gives the reference back */
}

static void ipis(void **state)
{
    struct evtchn_bind_ipi bind = { .vcpu = 1 };
    struct evtchn_bind_vcpu move;

    (void)state;
    assert_int_equal(EVENT_OP(EVTCHNOP_bind_ipi, bind), 0);
    assert_int_equal(send(bind.port), 0);
    assert_int_equal(a->vcpu[1]->vcpu_info->evtchn_upcall_pending, 1);
    move = (struct evtchn_bind_vcpu){ .port = bind.port, .vcpu = 0 };
    assert_int_equal(EVENT_OP(EVTCHNOP_bind_vcpu, move), -EINVAL);
    move.vcpu = 77;
    assert_int_equal(EVENT_OP(EVTCHNOP_bind_vcpu, move), -ENOENT);
    bind.vcpu = ~0u;
    assert_int_equal(EVENT_OP(EVTCHNOP_bind_ipi, bind), -ENOENT);
}

static void pirqs(void **state)
{
    struct evtchn_bind_pirq bind = { .pirq = 9 };
    unsigned int port;

    (void)state;
    assert_false(send_guest_pirq(a, 9));
    assert_int_equal(EVENT_OP(EVTCHNOP_bind_pirq, bind), 0);
    port = bind.port;
    assert_int_equal(EVENT_OP(EVTCHNOP_bind_pirq, bind), -EEXIST);
    assert_int_equal(host_pirqs_bound, 1);
    assert_true(send_guest_pirq(a, 9));
    assert_true(pending(a, port));
    assert_false(send_guest_pirq(a, 10));
    assert_false(send_guest_pirq(a, ~0u));
    assert_int_equal(status_of(DOMID_SELF, port).u.pirq, 9);
    evtchn_move_pirqs(a->vcpu[0]);

    host_pirq_bind_error = -EBUSY;
    bind.pirq = 63;
    assert_int_equal(EVENT_OP(EVTCHNOP_bind_pirq, bind), -EBUSY);
    host_pirq_bind_error = 0;
    assert_int_equal(a->evtchn.pirq_limit, 10);
    bind.pirq = 64;
    assert_int_equal(EVENT_OP(EVTCHNOP_bind_pirq, bind), -EINVAL);
    bind = (struct evtchn_bind_pirq){ .pirq = 1, .flags = 2 };
    assert_int_equal(EVENT_OP(EVTCHNOP_bind_pirq, bind), -EINVAL);

    assert_int_equal(close_port(port), 0);
    assert_int_equal(host_pirqs_bound, 0);
    assert_int_equal(a->evtchn.pirq_limit, 0);
    assert_false(send_guest_pirq(a, 9));
}

static void all_ports(void **state)
{
    struct evtchn_bind_ipi bind = { .vcpu = 0 };
    unsigned int n = 0;

    (void)state;
    while (EVENT_OP(EVTCHNOP_bind_ipi, bind) == 0)
        assert_int_equal(bind.port, ++n);
    assert_int_equal(n, 4095);
    assert_int_equal(EVENT_OP(EVTCHNOP_bind_ipi, bind), -ENOSPC);
    assert_int_equal(close_port(100), 0);
    assert_int_equal(close_port(70), 0);
    assert_int_equal(EVENT_OP(EVTCHNOP_bind_ipi, bind), 0);
    assert_int_equal(bind.port, 70);
    host_preempt_every = 3;             /* and the end of it comes in slices */
    host_continuations = 0;
}

static void reset(void **state)
{
    struct evtchn_reset arg = { .dom = DOMID_SELF };
    unsigned int pa, pb;

    (void)state;
    connect(&pa, &pb);
    for (int i = 0; i < 300; i++) {
        struct evtchn_bind_ipi bind = { .vcpu = 0 };

        assert_int_equal(EVENT_OP(EVTCHNOP_bind_ipi, bind), 0);
    }
    assert_int_equal(EVENT_OP(EVTCHNOP_reset_cont, arg), -EINVAL);
    host_preempt_every = 2;
    host_continuations = 0;
    assert_int_equal(EVENT_OP(EVTCHNOP_reset, arg), 0);
    assert_true(host_continuations > 0);
    assert_int_equal(b->evtchn.active, 0);
    assert_int_equal(status_of(DOMID_SELF, pb).status, EVTCHNSTAT_closed);

    host_run(a->vcpu[0]);
    assert_int_equal(status_of(DOMID_SELF, pa).status, EVTCHNSTAT_unbound);
    arg.dom = 1;
    assert_int_equal(EVENT_OP(EVTCHNOP_reset, arg), -EINVAL);     /* b is not paused */
    b->controller_pause_count = 1;
    assert_int_equal(EVENT_OP(EVTCHNOP_reset, arg), 0);
}

/* A domain is killed while it resets its channels, and another of its vCPUs has bound one that was closed already. */
static void death_amid_reset(void **state)
{
    struct evtchn_bind_pirq pirq = { .pirq = 9 };
    unsigned int pa, pb;

    (void)state;
    host_run(b->vcpu[0]);
    for (int i = 0; i < 200; i++) {
        struct evtchn_bind_ipi bind = { .vcpu = 0 };

        assert_int_equal(EVENT_OP(EVTCHNOP_bind_ipi, bind), 0);
    }
    host_preempt_every = 1;
    assert_int_equal(evtchn_reset(b, false), -ERESTART);
    connect(&pa, &pb);
    assert_int_equal(EVENT_OP(EVTCHNOP_bind_pirq, pirq), 0);

    b->is_dying = DOMDYING_DYING;
    while (evtchn_destroy(b) == -ERESTART)
        continue;
    assert_int_equal(b->evtchn.active, 0);
    assert_int_equal(host_pirqs_bound, 0);
    host_run(a->vcpu[0]);
    assert_int_equal(status_of(DOMID_SELF, pa).status, EVTCHNSTAT_unbound);
}

static void bad_pointers(void **state)
{
    struct evtchn_op compat = { .cmd = EVTCHNOP_alloc_unbound };

    (void)state;
    for (int cmd = -1; cmd < 20; cmd++) {
        long rc = host_event_op(cmd, NULL);

        assert_true(rc == -EFAULT || rc == -ENOSYS);
        rc = host_event_op(cmd, host_guest + HOST_GUEST_BYTES - 1);
        assert_true(rc == -EFAULT || rc == -ENOSYS);
        assert_true(host_event_op(cmd, (void *)~0ul) < 0);
    }
    assert_int_equal(host_event_op(15, host_guest), -ENOSYS);
    assert_int_equal(host_event_op(0x7fffffff, host_guest), -ENOSYS);

    compat.u.alloc_unbound.dom = compat.u.alloc_unbound.remote_dom = DOMID_SELF;
    memcpy(host_guest, &compat, sizeof(compat));
    assert_int_equal(do_event_channel_op_compat((guest_ptr_t)host_guest), 0);
    memcpy(&compat, host_guest, sizeof(compat));
    assert_int_equal(compat.u.alloc_unbound.port, 1);
    compat.cmd = EVTCHNOP_reset;
    memcpy(host_guest, &compat, sizeof(compat));
    assert_int_equal(do_event_channel_op_compat((guest_ptr_t)host_guest), -ENOSYS);
}

static void status_of_others(void **state)
{
    struct evtchn_status arg = { .dom = 0, .port = 1 };

    (void)state;
    host_run(b->vcpu[0]);
    assert_int_equal(EVENT_OP(EVTCHNOP_status, arg), -EPERM);
    arg.dom = 7;
    assert_int_equal(EVENT_OP(EVTCHNOP_status, arg), -ESRCH);
    arg = (struct evtchn_status){ .dom = DOMID_SELF, .port = 1000000 };
    assert_int_equal(EVENT_OP(EVTCHNOP_status, arg), -EINVAL);
    arg.port = 0;
    assert_int_equal(EVENT_OP(EVTCHNOP_status, arg), 0);
    assert_int_equal(arg.status, EVTCHNSTAT_closed);
}

/* Every operation with arguments at random, most of them small: nothing may break or leak. */
static void random_ops(unsigned int steps, uint64_t seed)
{
    for (unsigned int i = 0; i < steps; i++) {
        struct domain *d = random_below(&seed, 2) ? a : b;
        uint32_t word[8];

        host_run(d->vcpu[random_below(&seed, 2)]);
        for (unsigned int w = 0; w < 8; w++)
            word[w] = random_below(&seed, 40) == 0 ? random_next(&seed) : random_below(&seed, 30);
        /* Domains are two to a word; DOMID_SELF often. */
        if (random_below(&seed, 2))
            word[0] = (random_below(&seed, 3) ? random_below(&seed, 3) : DOMID_SELF) |
                      random_below(&seed, 2) << 16;
        memcpy(host_guest, word, sizeof(word));
        host_event_op((int)random_below(&seed, random_below(&seed, 200) ? 10 : 15), host_guest);
    }
}

static void random_walk(void **state)
{
    (void)state;
    b->controller_pause_count = 1;
    host_preempt_every = 5;
    random_ops(60000, 11);
}

static void *fuzz_thread(void *arg)
{
    host_cpu = (unsigned int)(unsigned long)arg;
    random_ops(15000, 1000 + (unsigned long)arg);
    return NULL;
}

static void random_walk_in_threads(void **state)
{
    pthread_t thread[3];

    (void)state;
    for (unsigned long i = 0; i < ARRAY_SIZE(thread); i++)
        assert_int_equal(pthread_create(&thread[i], NULL, fuzz_thread, (void *)(i + 1)), 0);
    for (unsigned int i = 0; i < ARRAY_SIZE(thread); i++)
        pthread_join(thread[i], NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, make_domains, end_domains)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(interdomain),
        TEST(binding_is_checked),
        TEST(masks),
        TEST(virqs),
        TEST(virq_handler),
        TEST(ipis),
        TEST(pirqs),
        TEST(all_ports),
        TEST(reset),
        TEST(death_amid_reset),
        TEST(bad_pointers),
        TEST(status_of_others),
        TEST(random_walk),
        TEST(random_walk_in_threads),
    };

    return cmocka_run_group_tests_name("evtchn", tests, setup, NULL);
}
