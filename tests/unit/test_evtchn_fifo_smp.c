/* SPDX-License-Identifier: MIT */
/*
 * FIFO event channels while all move at once: threads send to ports of two vCPUs, and a thread for each vCPU takes what
 * its queues have, as the ABI's consumer does, masks ports and moves them to the other. No event may get lost.
 */
#include "unit.h"

#include <pthread.h>

#include <asm/current.h>
#include <domus/heap.h>

#define VCPUS       2
#define SENDERS     2
#define SENDS       1000000
#define PORTS       8
#define PENDING     (1u << EVTCHN_FIFO_PENDING)
#define MASKED      (1u << EVTCHN_FIFO_MASKED)
#define LINKED      (1u << EVTCHN_FIFO_LINKED)

/* The first is raised only on its vCPU; the others are masked while they are served, the last also moved then. */
enum kind { STAYS, IS_MASKED, MOVES };

static struct domain *d;
static struct evtchn_fifo_control_block *control[VCPUS];
static event_word_t *words;
static struct {
    enum kind kind;
    unsigned int port, send_port;       /* raised; named by the sender */
    unsigned int sent, seen;
} channels[PORTS];
static bool all_sent;

/* ---- The guest ---- */

/* Takes the word out of its queue; the port that follows, or 0. */
static unsigned int clear_linked(event_word_t *word)
{
    event_word_t old = __atomic_load_n(word, __ATOMIC_SEQ_CST);

    while (!__atomic_compare_exchange_n(word, &old, old & ~(LINKED | EVTCHN_FIFO_LINK_MASK), false, __ATOMIC_SEQ_CST,
                                        __ATOMIC_SEQ_CST))
        ;
    return old & EVTCHN_FIFO_LINK_MASK;
}

/* False: it is pending, and the hypervisor has to unmask it. */
static bool clear_masked(event_word_t *word)
{
    event_word_t old = __atomic_load_n(word, __ATOMIC_SEQ_CST);

    do {
        if (!(old & MASKED))
            return true;
        if (old & PENDING)
            return false;
    } while (!__atomic_compare_exchange_n(word, &old, old & ~MASKED, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST));
    return true;
}

static void serve(unsigned int i, unsigned int vcpu)
{
    struct evtchn_bind_vcpu move = { .port = channels[i].port, .vcpu = !vcpu };
    struct evtchn_unmask unmask = { .port = channels[i].port };
    event_word_t *word = &words[channels[i].port];
    unsigned int sent, seen;

    if (channels[i].kind != STAYS)
        (void)fetch_or(word, MASKED);
    (void)fetch_and(word, ~PENDING);
    sent = __atomic_load_n(&channels[i].sent, __ATOMIC_SEQ_CST);
    seen = __atomic_load_n(&channels[i].seen, __ATOMIC_SEQ_CST);
    /* One that has just been moved may be served on both. */
    while (seen < sent && !__atomic_compare_exchange_n(&channels[i].seen, &seen, sent, false, __ATOMIC_SEQ_CST,
                                                       __ATOMIC_SEQ_CST))
        ;
    if (channels[i].kind == MOVES && sent % 8 == 0)
        assert_int_equal(EVENT_OP(EVTCHNOP_bind_vcpu, move), 0);
    if (channels[i].kind != STAYS && !clear_masked(word))
        assert_int_equal(EVENT_OP(EVTCHNOP_unmask, unmask), 0);
}

/* The first event of a queue; false if it is empty then. */
static bool consume(unsigned int vcpu, unsigned int priority)
{
    static unsigned int heads[VCPUS][EVTCHN_FIFO_MAX_QUEUES];
    unsigned int port = heads[vcpu][priority], next;
    event_word_t word;

    if (!port)
        port = __atomic_load_n(&control[vcpu]->head[priority], __ATOMIC_SEQ_CST);
    next = clear_linked(&words[port]);
    word = __atomic_load_n(&words[port], __ATOMIC_SEQ_CST);
    if ((word & (PENDING | MASKED)) == PENDING)
        for (unsigned int i = 0; i < PORTS; i++)
            if (channels[i].port == port)
                serve(i, vcpu);
    heads[vcpu][priority] = next;
    return next != 0;
}

/* The upcall. False: there is none. */
static bool take_events(unsigned int vcpu)
{
    uint32_t ready;

    if (!__atomic_exchange_n(&d->vcpu[vcpu]->vcpu_info->evtchn_upcall_pending, 0, __ATOMIC_SEQ_CST))
        return false;
    ready = __atomic_exchange_n(&control[vcpu]->ready, 0, __ATOMIC_SEQ_CST);
    while (ready) {
        unsigned int priority = (unsigned int)__builtin_ctz(ready);

        if (!consume(vcpu, priority))
            ready &= ~(1u << priority);
        ready |= __atomic_exchange_n(&control[vcpu]->ready, 0, __ATOMIC_SEQ_CST);
    }
    return true;
}

static void *run_vcpu(void *id)
{
    unsigned int vcpu = (unsigned int)(uintptr_t)id;

    host_cpu = vcpu;
    host_run(d->vcpu[vcpu]);
    while (!__atomic_load_n(&all_sent, __ATOMIC_ACQUIRE))
        if (!take_events(vcpu))
            cpu_relax();
    return NULL;
}

static void *run_sender(void *id)
{
    uint64_t seed = (uintptr_t)id;

    host_cpu = (unsigned int)(uintptr_t)id;
    host_run(d->vcpu[0]);
    for (unsigned int n = 0; n < SENDS; n++) {
        unsigned int i = random_below(&seed, PORTS);

        (void)fetch_add(&channels[i].sent, 1);
        assert_int_equal(evtchn_send(d, channels[i].send_port), 0);
    }
    return NULL;
}

/* ---- Setting up ---- */

static void share_pages(void)
{
    struct page_info *pg;

    for (unsigned int vcpu = 0; vcpu < VCPUS; vcpu++) {
        struct evtchn_init_control init = { .vcpu = vcpu };

        pg = host_domain_add_page(d);
        init.control_gfn = mfn_x(page_to_mfn(pg));
        assert_int_equal(EVENT_OP(EVTCHNOP_init_control, init), 0);
        control[vcpu] = page_to_virt(pg);
    }
    pg = host_domain_add_page(d);
    struct evtchn_expand_array expand = { .array_gfn = mfn_x(page_to_mfn(pg)) };

    assert_int_equal(EVENT_OP(EVTCHNOP_expand_array, expand), 0);
    words = page_to_virt(pg);
}

static void make_channel(unsigned int i)
{
    struct evtchn_bind_ipi ipi = { .vcpu = i % VCPUS };
    struct evtchn_alloc_unbound alloc = { .dom = DOMID_SELF, .remote_dom = DOMID_SELF };
    struct evtchn_bind_interdomain bind = { .remote_dom = DOMID_SELF };
    struct evtchn_set_priority priority = { 0 };

    channels[i].kind = i < 4 ? STAYS : i < 6 ? IS_MASKED : MOVES;
    if (channels[i].kind == MOVES) {
        assert_int_equal(EVENT_OP(EVTCHNOP_alloc_unbound, alloc), 0);
        bind.remote_port = alloc.port;
        assert_int_equal(EVENT_OP(EVTCHNOP_bind_interdomain, bind), 0);
        channels[i].port = alloc.port;
        channels[i].send_port = bind.local_port;
    } else {
        assert_int_equal(EVENT_OP(EVTCHNOP_bind_ipi, ipi), 0);
        channels[i].port = channels[i].send_port = ipi.port;
    }
    if (i < 2) {
        priority.port = channels[i].port;
        assert_int_equal(EVENT_OP(EVTCHNOP_set_priority, priority), 0);
    }
}

static void no_event_gets_lost(void **state)
{
    pthread_t vcpu[VCPUS], sender[SENDERS];

    (void)state;
    d = host_domain_create(0, VCPUS, true);
    share_pages();
    for (unsigned int i = 0; i < PORTS; i++)
        make_channel(i);
    for (uintptr_t i = 0; i < VCPUS; i++)
        assert_int_equal(pthread_create(&vcpu[i], NULL, run_vcpu, (void *)i), 0);
    for (uintptr_t i = 0; i < SENDERS; i++)
        assert_int_equal(pthread_create(&sender[i], NULL, run_sender, (void *)(VCPUS + i)), 0);
    for (unsigned int i = 0; i < SENDERS; i++)
        pthread_join(sender[i], NULL);
    __atomic_store_n(&all_sent, true, __ATOMIC_RELEASE);
    for (unsigned int i = 0; i < VCPUS; i++)
        pthread_join(vcpu[i], NULL);
    while (take_events(0) || take_events(1))
        ;
    for (unsigned int i = 0; i < PORTS; i++)
        assert_int_equal(channels[i].seen, channels[i].sent);
    host_domain_destroy(d);
}

static int setup(void **state)
{
    (void)state;
    host_machine_create(0x1000);
    heap_init_range(_mfn(HOST_FIRST_MFN), _mfn(0x1000), true);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(no_event_gets_lost) };

    return cmocka_run_group_tests_name("evtchn_fifo_smp", tests, setup, NULL);
}
