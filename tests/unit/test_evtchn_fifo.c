/* SPDX-License-Identifier: MIT */
/* FIFO event channels: a guest that consumes its queues as the ABI says sees each event once and in
 * order; one that scribbles over its words harms nobody. */
#include "unit.h"

#include <pthread.h>

#include <asm/current.h>
#include <domus/heap.h>

#define WORD_PENDING    (1u << EVTCHN_FIFO_PENDING)
#define WORD_MASKED     (1u << EVTCHN_FIFO_MASKED)
#define WORD_LINKED     (1u << EVTCHN_FIFO_LINKED)
#define WORDS_PER_PAGE  (PAGE_SIZE / 4)

static struct domain *a, *b;
static struct evtchn_fifo_control_block *control[2];
static event_word_t *words[4];
static struct page_info *pages[8];
static unsigned int nr_pages;

static int setup(void **state)
{
    (void)state;
    host_machine_create(0x1000);
    heap_init_range(_mfn(HOST_FIRST_MFN), _mfn(0x1000), true);
    return 0;
}

static struct page_info *add_page(struct domain *d)
{
    return pages[nr_pages++] = host_domain_add_page(d);
}

static long init_control(struct page_info *pg, unsigned int vcpu, unsigned int offset)
{
    struct evtchn_init_control arg = { .control_gfn = mfn_x(page_to_mfn(pg)), .offset = offset,
                                       .vcpu = vcpu };
    long rc = EVENT_OP(EVTCHNOP_init_control, arg);

    if (!rc) {
        assert_int_equal(arg.link_bits, EVTCHN_FIFO_LINK_BITS);
        control[vcpu] = (void *)((char *)page_to_virt(pg) + offset);
    }
    return rc;
}

static long expand(struct page_info *pg)
{
    struct evtchn_expand_array arg = { .array_gfn = mfn_x(page_to_mfn(pg)) };

    return EVENT_OP(EVTCHNOP_expand_array, arg);
}

static int make_domains(void **state)
{
    (void)state;
    nr_pages = 0;
    host_domains_freed = 0;
    host_preempt_every = 0;
    a = host_domain_create(0, 2, true);
    b = host_domain_create(1, 1, false);
    return 0;
}

static int make_fifo(void **state)
{
    struct page_info *pg;

    make_domains(state);
    assert_int_equal(init_control(add_page(a), 0, 0), 0);
    assert_int_equal(init_control(add_page(a), 1, 64), 0);
    pg = add_page(a);
    assert_int_equal(expand(pg), 0);
    words[0] = page_to_virt(pg);
    return 0;
}

/* All pages that the guest gave are its own again, and so the heap's when it ends. */
static int end_domains(void **state)
{
    unsigned long before;

    (void)state;
    if (!host_current)
        host_run(a->vcpu[0]);
    host_domain_destroy(b);
    before = heap_free_pages_count();
    host_domain_destroy(a);
    assert_int_equal(host_domains_freed, 2);
    assert_true(heap_free_pages_count() >= before + nr_pages);
    return 0;
}

static event_word_t *word_of(unsigned int port)
{
    return &words[port / WORDS_PER_PAGE][port % WORDS_PER_PAGE];
}

static unsigned int bind_ipi(unsigned int vcpu)
{
    struct evtchn_bind_ipi arg = { .vcpu = vcpu };

    assert_int_equal(EVENT_OP(EVTCHNOP_bind_ipi, arg), 0);
    return arg.port;
}

static void send(unsigned int port)
{
    struct evtchn_send arg = { port };

    assert_int_equal(EVENT_OP(EVTCHNOP_send, arg), 0);
}

/* The next event of a queue, as the ABI's consumer takes it; 0: it is empty. */
static unsigned int consume(unsigned int vcpu, unsigned int priority)
{
    static unsigned int head[2][EVTCHN_FIFO_MAX_QUEUES];
    struct evtchn_fifo_control_block *c = control[vcpu];
    unsigned int port = head[vcpu][priority];
    event_word_t *word, old;

    if (!port) {
        c->ready &= ~(1u << priority);
        port = c->head[priority];
    }
    if (!port)
        return 0;
    word = word_of(port);
    old = *word;
    *word &= ~(WORD_LINKED | EVTCHN_FIFO_LINK_MASK);
    head[vcpu][priority] = old & EVTCHN_FIFO_LINK_MASK;
    if (!head[vcpu][priority])
        c->head[priority] = 0;
    if (!(old & WORD_PENDING) || (old & WORD_MASKED))
        return consume(vcpu, priority);
    *word &= ~WORD_PENDING;
    return port;
}

static void refusals(void **state)
{
    struct page_info *pg = add_page(a), *foreign = host_domain_add_page(b);
    struct evtchn_set_priority prio = { .port = 1, .priority = 0 };

    (void)state;
    assert_int_equal(expand(pg), -EOPNOTSUPP);          /* no control block yet */
    assert_int_equal(EVENT_OP(EVTCHNOP_set_priority, prio), -EINVAL);
    assert_int_equal(init_control(pg, 2, 0), -ENOENT);
    assert_int_equal(init_control(pg, 0, PAGE_SIZE - 64), -EINVAL);
    assert_int_equal(init_control(pg, 0, 4), -EINVAL);
    assert_int_equal(init_control(pg, 0, ~7u), -EINVAL);
    assert_int_equal(init_control(foreign, 0, 0), -EINVAL);
    assert_true(get_page_type(pg, PGT_l1_page_table));
    assert_int_equal(init_control(pg, 0, 0), -EINVAL);
    put_page_type(pg);
    assert_int_equal(init_control(pg, 0, 8), 0);
    assert_int_equal(init_control(pg, 0, 8), -EINVAL);
    assert_int_equal(expand(foreign), -EINVAL);
    assert_int_equal(init_control(host_frame_table + 5, 1, 0), -EINVAL);
}

static void order(void **state)
{
    unsigned int port[5];

    (void)state;
    for (unsigned int i = 0; i < 5; i++)
        port[i] = bind_ipi(0);
    a->vcpu[0]->arch.kicks = 0;
    for (unsigned int i = 0; i < 5; i++)
        send(port[4 - i]);
    send(port[2]);                                      /* once more: it is pending already */
    assert_int_equal(a->vcpu[0]->arch.kicks, 1);
    assert_int_equal(control[0]->ready, 1u << EVTCHN_FIFO_PRIORITY_DEFAULT);
    for (unsigned int i = 0; i < 5; i++)
        assert_int_equal(consume(0, EVTCHN_FIFO_PRIORITY_DEFAULT), port[4 - i]);
    assert_int_equal(consume(0, EVTCHN_FIFO_PRIORITY_DEFAULT), 0);
    send(port[4]);                                      /* the old tail starts a new queue */
    send(port[0]);
    assert_int_equal(consume(0, EVTCHN_FIFO_PRIORITY_DEFAULT), port[4]);
    assert_int_equal(consume(0, EVTCHN_FIFO_PRIORITY_DEFAULT), port[0]);
}

static void priorities_and_masks(void **state)
{
    unsigned int p = bind_ipi(0), q = bind_ipi(0);
    struct evtchn_set_priority prio = { .port = p, .priority = 3 };
    struct evtchn_unmask unmask = { .port = q };

    (void)state;
    assert_int_equal(EVENT_OP(EVTCHNOP_set_priority, prio), 0);
    prio.priority = 16;
    assert_int_equal(EVENT_OP(EVTCHNOP_set_priority, prio), -EINVAL);
    prio = (struct evtchn_set_priority){ .port = 500, .priority = 3 };
    assert_int_equal(EVENT_OP(EVTCHNOP_set_priority, prio), -EINVAL);

    *word_of(q) |= WORD_MASKED;
    send(p);
    send(q);
    assert_int_equal(control[0]->ready, 1u << 3);
    assert_int_equal(consume(0, 3), p);
    assert_true(evtchn_port_pending(a, q));
    assert_int_equal(EVENT_OP(EVTCHNOP_unmask, unmask), 0);
    assert_int_equal(consume(0, 7), q);
    assert_int_equal(consume(0, 7), 0);
    assert_int_equal(EVENT_OP(EVTCHNOP_unmask, unmask), 0);   /* not pending: nothing */
    assert_int_equal(consume(0, 7), 0);
}

/* An event that is moved while it stands at the end of its old queue. */
static void moves(void **state)
{
    struct evtchn_alloc_unbound alloc = { .dom = DOMID_SELF, .remote_dom = DOMID_SELF };
    struct evtchn_bind_interdomain bind = { .remote_dom = DOMID_SELF };
    struct evtchn_bind_vcpu move = { .vcpu = 1 };
    unsigned int other = bind_ipi(0);

    (void)state;
    assert_int_equal(EVENT_OP(EVTCHNOP_alloc_unbound, alloc), 0);
    bind.remote_port = move.port = alloc.port;
    assert_int_equal(EVENT_OP(EVTCHNOP_bind_interdomain, bind), 0);
    assert_int_equal(consume(0, 7), bind.local_port);   /* raised by binding */

    send(other);
    send(bind.local_port);
    assert_int_equal(EVENT_OP(EVTCHNOP_bind_vcpu, move), 0);
    assert_int_equal(consume(0, 7), other);
    assert_int_equal(consume(0, 7), alloc.port);
    send(bind.local_port);
    assert_int_equal(consume(0, 7), 0);
    assert_int_equal(consume(1, 7), alloc.port);
    send(other);
    assert_int_equal(consume(0, 7), other);
}

static void early_events(void **state)
{
    unsigned int high = 0, before;
    struct page_info *pg;

    (void)state;
    /* Raised in the 2-level bitmap, then the guest changes to FIFO. */
    before = bind_ipi(0);
    send(before);
    assert_int_equal(init_control(add_page(a), 0, 0), 0);
    assert_true(evtchn_port_pending(a, before));
    while (high < WORDS_PER_PAGE + 5)
        high = bind_ipi(0);
    pg = add_page(a);
    assert_int_equal(expand(pg), 0);
    words[0] = page_to_virt(pg);
    assert_int_equal(consume(0, 7), before);

    send(high);                 /* no word yet */
    assert_true(evtchn_port_pending(a, high));
    assert_int_equal(consume(0, 7), 0);
    pg = add_page(a);
    words[1] = page_to_virt(pg);
    assert_int_equal(expand(pg), 0);
    assert_int_equal(consume(0, 7), high);
}

static void busy_ports_are_not_reused(void **state)
{
    unsigned int port = bind_ipi(0), next;
    struct evtchn_close arg = { .port = port };

    (void)state;
    send(port);
    assert_int_equal(EVENT_OP(EVTCHNOP_close, arg), 0);
    next = bind_ipi(0);
    assert_int_not_equal(next, port);
    assert_int_equal(consume(0, 7), 0);         /* not pending any more, but taken out */
    assert_int_equal(bind_ipi(0), port);
}

static void reset_to_2l(void **state)
{
    struct evtchn_reset arg = { .dom = DOMID_SELF };
    unsigned int port = bind_ipi(0);

    (void)state;
    send(port);
    host_preempt_every = 1;
    assert_int_equal(EVENT_OP(EVTCHNOP_reset, arg), 0);
    host_preempt_every = 0;
    assert_null(a->evtchn.fifo);
    assert_null(a->vcpu[0]->evtchn_fifo);
    for (unsigned int i = 0; i < nr_pages; i++)
        assert_int_equal(pages[i]->count_info & PGC_count_mask, 1);
    a->shared_info->evtchn_pending[0] = 0;
    port = bind_ipi(1);
    send(port);
    assert_int_equal(a->shared_info->evtchn_pending[0], 1ul << port);
    assert_int_equal(init_control(pages[0], 0, 0), 0);  /* and on again */
    assert_int_equal(expand(pages[2]), 0);
}

/* ---- Events while the ABI is set up ---- */

#define ROUNDS 3000

static unsigned int begun, sent, sender_port;

static void *send_each_round(void *arg)
{
    uint64_t seed = 5;

    (void)arg;
    host_cpu = 1;
    host_run(b->vcpu[0]);
    for (unsigned int round = 1; round <= ROUNDS; round++) {
        while (__atomic_load_n(&begun, __ATOMIC_ACQUIRE) != round)
            cpu_relax();
        for (unsigned int n = random_below(&seed, 8192); n--; )
            barrier();
        (void)evtchn_send(b, sender_port);
        __atomic_store_n(&sent, round, __ATOMIC_RELEASE);
    }
    return NULL;
}

/* A port of a's that b sends to; a is at the 2-level ABI, and nothing is pending. */
static unsigned int connect_anew(void)
{
    struct evtchn_reset reset = { .dom = DOMID_SELF };
    struct evtchn_alloc_unbound alloc = { .dom = DOMID_SELF, .remote_dom = 1 };
    struct evtchn_bind_interdomain bind = { .remote_dom = 0 };

    assert_int_equal(EVENT_OP(EVTCHNOP_reset, reset), 0);
    assert_int_equal(EVENT_OP(EVTCHNOP_alloc_unbound, alloc), 0);
    bind.remote_port = alloc.port;
    host_run(b->vcpu[0]);
    reset.dom = DOMID_SELF;
    assert_int_equal(EVENT_OP(EVTCHNOP_reset, reset), 0);
    assert_int_equal(EVENT_OP(EVTCHNOP_bind_interdomain, bind), 0);
    sender_port = bind.local_port;
    host_run(a->vcpu[0]);
    memset(a->shared_info->evtchn_pending, 0, sizeof(a->shared_info->evtchn_pending));
    return alloc.port;
}

/* One event is sent each time while the guest goes over to the FIFO ABI: it must be there at the end. */
static void event_meets_setting_up(void **state)
{
    struct page_info *pg = add_page(a);
    pthread_t sender;
    unsigned int lost = 0;

    (void)state;
    add_page(a);
    words[0] = page_to_virt(pg);
    assert_int_equal(pthread_create(&sender, NULL, send_each_round, NULL), 0);
    for (unsigned int round = 1; round <= ROUNDS; round++) {
        unsigned int port = connect_anew();

        memset(words[0], 0, PAGE_SIZE);
        __atomic_store_n(&begun, round, __ATOMIC_RELEASE);
        assert_int_equal(init_control(pages[1], 0, 0), 0);
        assert_int_equal(expand(pg), 0);
        while (__atomic_load_n(&sent, __ATOMIC_ACQUIRE) != round)
            cpu_relax();
        lost += !(*word_of(port) & WORD_PENDING);
    }
    pthread_join(sender, NULL);
    assert_int_equal(lost, 0);
}

/* Words and control blocks filled at random between operations at random. */
static void hostile(void **state)
{
    uint64_t seed = 77;

    (void)state;
    for (int i = 0; i < 60000; i++) {
        struct domain *d = random_below(&seed, 8) ? a : b;
        uint32_t word[8];

        for (unsigned int n = random_below(&seed, 3); n--; )
            *word_of(random_below(&seed, 40)) = random_next(&seed) << 1 | random_below(&seed, 2);
        if (random_below(&seed, 10) == 0)
            control[0]->head[random_below(&seed, 16)] = random_next(&seed);
        if (random_below(&seed, 10) == 0)
            control[1]->ready = random_next(&seed);

        host_run(d->vcpu[random_below(&seed, d->max_vcpus)]);
        for (unsigned int w = 0; w < 8; w++)
            word[w] = random_below(&seed, 30);
        if (random_below(&seed, 2))
            word[0] = (random_below(&seed, 3) ? random_below(&seed, 3) : DOMID_SELF) |
                      random_below(&seed, 2) << 16;
        memcpy(host_guest, word, sizeof(word));
        host_event_op((int)random_below(&seed, 10), host_guest);
        if (random_below(&seed, 3) == 0) {
            struct evtchn_set_priority prio = { random_below(&seed, 40), random_below(&seed, 17) };

            EVENT_OP(EVTCHNOP_set_priority, prio);
        }
    }
}

#define TEST(name, before) cmocka_unit_test_setup_teardown(name, before, end_domains)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(refusals, make_domains),
        TEST(order, make_fifo),
        TEST(priorities_and_masks, make_fifo),
        TEST(moves, make_fifo),
        TEST(early_events, make_domains),
        TEST(busy_ports_are_not_reused, make_fifo),
        TEST(reset_to_2l, make_fifo),
        TEST(event_meets_setting_up, make_domains),
        TEST(hostile, make_fifo),
    };

    return cmocka_run_group_tests_name("evtchn_fifo", tests, setup, NULL);
}
