/* SPDX-License-Identifier: MIT */
/* Timers on simulated CPUs: they fire at their time, in order, where they should, and against a plain model. */
#include "unit.h"

#include <asm/current.h>
#include <domus/keyhandler.h>
#include <domus/lheap.h>
#include <domus/softirq.h>
#include <domus/timer.h>
#include <sim.h>

#define CPUS   3
#define TIMERS 50

void register_keyhandler(char key, keyhandler_fn *fn, const char *desc)
{
    (void)key;
    (void)fn;
    (void)desc;
}

static struct timer timer[TIMERS];
static s_time_t fired_at[TIMERS];
static unsigned int fired_on[TIMERS], fires;

static void fired(void *data)
{
    size_t i = (size_t)data;

    fired_at[i] = NOW();
    fired_on[i] = smp_processor_id();
    fires++;
}

static int setup(void **state)
{
    (void)state;
    sim_start(CPUS);
    timer_init();
    for (size_t i = 0; i < TIMERS; i++) {
        init_timer(&timer[i], fired, (void *)i, (unsigned int)(i % CPUS));
        fired_at[i] = 0;
    }
    fires = 0;
    return 0;
}

static void each_fires_once_at_its_time(void **state)
{
    s_time_t start = NOW();

    (void)state;
    for (size_t i = 0; i < TIMERS; i++)
        set_timer(&timer[i], start + MILLISECS((i * 37) % TIMERS + 1));
    sim_run_until(start + SECONDS(1));
    assert_int_equal(fires, TIMERS);
    for (size_t i = 0; i < TIMERS; i++) {
        assert_int_equal(fired_at[i], start + MILLISECS((i * 37) % TIMERS + 1));
        assert_int_equal(fired_on[i], i % CPUS);
        assert_false(timer_pending(&timer[i]));
    }
}

static void past_fires_at_once(void **state)
{
    (void)state;
    set_timer(&timer[1], NOW() - SECONDS(10));
    set_timer(&timer[2], -5);
    sim_settle();
    assert_int_equal(fires, 2);
}

static void killed_stays_dead(void **state)
{
    (void)state;
    set_timer(&timer[0], NOW() + 10);
    kill_timer(&timer[0]);
    set_timer(&timer[0], NOW() + 10);
    stop_timer(&timer[0]);
    assert_false(timer_pending(&timer[0]));
    sim_run_until(NOW() + SECONDS(1));
    assert_int_equal(fires, 0);
}

static void zeroed_is_harmless(void **state)
{
    struct timer t;

    (void)state;
    memset(&t, 0, sizeof(t));
    stop_timer(&t);
    set_timer(&t, NOW());
    kill_timer(&t);
    assert_false(timer_pending(&t));
}

static void rearm_from_function(void *data)
{
    unsigned int *left = data;

    fires++;
    if (--*left)
        set_timer(&timer[0], NOW() + 100);
}

static void function_may_rearm(void **state)
{
    unsigned int left = 1000;
    s_time_t start = NOW();

    (void)state;
    init_timer(&timer[0], rearm_from_function, &left, 2);
    set_timer(&timer[0], start + 100);
    sim_run_until(start + SECONDS(1));
    assert_int_equal(fires, 1000);
}

/* CPU `cpu` goes off line, and passes on what is there. */
static void leave(unsigned int cpu)
{
    sim_on_cpu(cpu);
    softirqs_hand_over(0);
    timers_hand_over(0);
}

/* None is lost, none fires where nobody is; one that is set on such a CPU later is passed on as well. */
static void those_of_a_cpu_that_leaves_move(void **state)
{
    s_time_t start = NOW();

    (void)state;
    for (size_t i = 0; i < TIMERS - 1; i++)
        set_timer(&timer[i], start + MILLISECS((i * 37) % TIMERS + 1));
    kill_timer(&timer[2]);
    sim_on_cpu(2);
    raise_softirq(TRACE_SOFTIRQ);
    raise_softirq(SCHEDULE_SOFTIRQ);
    leave(2);
    assert_int_equal(softirq_pending(2), 0);
    assert_true(softirq_pending(0) & 1u << TRACE_SOFTIRQ);
    assert_false(softirq_pending(0) & 1u << SCHEDULE_SOFTIRQ);
    sim_run_until(start + SECONDS(1));
    assert_int_equal(fires, TIMERS - 2);
    for (size_t i = 0; i < TIMERS - 1; i++) {
        assert_int_equal(fired_at[i], i == 2 ? 0 : start + MILLISECS((i * 37) % TIMERS + 1));
        assert_true(i == 2 || fired_on[i] != 2);
    }
    init_timer(&timer[2], fired, (void *)2, 2);
    set_timer(&timer[2], NOW() + 100);
    leave(2);
    sim_run_until(NOW() + SECONDS(1));
    assert_int_equal(fires, TIMERS - 1);
    assert_int_equal(fired_on[2], 0);
}

/* Random settings, stops and moves, while time goes on. */
static void random_walk(void **state)
{
    s_time_t due[TIMERS] = { 0 };
    uint64_t seed = 11;

    (void)state;
    for (int step = 0; step < 20000; step++) {
        uint32_t i = random_below(&seed, TIMERS);

        switch (random_below(&seed, 5)) {
        case 0:
        case 1:
            due[i] = NOW() + 1 + random_below(&seed, 5000);
            set_timer(&timer[i], due[i]);
            break;
        case 2:
            due[i] = 0;
            stop_timer(&timer[i]);
            break;
        case 3:
            leave(1 + random_below(&seed, CPUS - 1));
            break;
        default:
            migrate_timer(&timer[i], random_below(&seed, CPUS));
        }
        assert_int_equal(timer_pending(&timer[i]), due[i] != 0);
        sim_run_until(NOW() + random_below(&seed, 200));
        for (size_t n = 0; n < TIMERS; n++) {
            if (!due[n] || due[n] >= NOW())
                continue;
            assert_int_equal(fired_at[n], due[n]);
            assert_int_equal(fired_on[n], timer[n].cpu);
            due[n] = 0;
        }
    }
}

/* The heap alone: every node comes out in the order of its key, whatever is removed in between. */
static void heap_keeps_order(void **state)
{
    struct lheap_node node[200];
    bool in[200] = { false };
    struct lheap h = { NULL };
    uint64_t seed = 3;

    (void)state;
    for (int step = 0; step < 50000; step++) {
        uint32_t i = random_below(&seed, 200);
        int64_t least = INT64_MAX;
        unsigned int count = 0;

        if (in[i])
            lheap_remove(&h, &node[i]);
        else {
            /* Keys around the point where they wrap. */
            node[i].key = (int64_t)(0x7ffffffffffffff0u + random_below(&seed, 100));
            lheap_insert(&h, &node[i]);
        }
        in[i] = !in[i];
        for (int n = 0; n < 200; n++)
            if (in[n] && (least == INT64_MAX || lheap_before(node[n].key, least)))
                least = node[n].key;
        if (lheap_first(&h))
            assert_int_equal(lheap_first(&h)->key, least);
        for (struct lheap_node *n = lheap_first(&h); n; n = lheap_next(n))
            count++;
        for (int n = 0; n < 200; n++)
            count -= in[n];
        assert_int_equal(count, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(each_fires_once_at_its_time, setup),
        cmocka_unit_test_setup(past_fires_at_once, setup),
        cmocka_unit_test_setup(killed_stays_dead, setup),
        cmocka_unit_test_setup(zeroed_is_harmless, setup),
        cmocka_unit_test_setup(function_may_rearm, setup),
        cmocka_unit_test_setup(those_of_a_cpu_that_leaves_move, setup),
        cmocka_unit_test_setup(random_walk, setup),
        cmocka_unit_test(heap_keeps_order),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
