/* SPDX-License-Identifier: MIT */
/*
 * The scheduler on simulated CPUs: shares by weight, caps, affinity, wake-ups, pools, and a random
 * walk over all that changes a vCPU's state.
 */
#include "unit.h"

#include <asm/current.h>
#include <domus/sched.h>
#include <domus/softirq.h>
#include <domus/tasklet.h>
#include <sim.h>
#include "../../hypervisor/core/sched_queue.h"

/* ---- A machine ---- */

static void start(unsigned int cpus)
{
    sim_start(cpus);
    sim_sched_start(cpus);
    for (unsigned int cpu = 0; cpu < cpus; cpu++) {
        sim_on_cpu(cpu);
        set_current(idle_vcpu[cpu]);
        sched_cpu_online();
    }
    sim_settle();
}

static int finish(void **state)
{
    (void)state;
    for (unsigned int i = 0; i < sim_nr_domains; i++)
        domain_pause(sim_domain[i]);
    sim_settle();
    sim_sched_end();
    return 0;
}

static double used_ms(const struct domain *d)
{
    struct vcpu *v;
    uint64_t ns = 0;

    for_each_vcpu(d, v)
        ns += vcpu_cpu_time(v);
    return (double)ns / 1e6;
}

static void run_ms(unsigned int ms)
{
    sim_run_until(NOW() + MILLISECS(ms));
}

/* Within so many percent. */
static void assert_near(double value, double wanted, double percent)
{
    if (value < wanted * (1 - percent / 100) || value > wanted * (1 + percent / 100))
        fail_msg("%.1f instead of %.1f (+-%.1f %%)", value, wanted, percent);
}

/* ---- Shares ---- */

static void equal_vcpus_share_equally(void **state)
{
    struct domain *d[16];

    (void)state;
    start(2);
    for (int i = 0; i < 16; i++)
        d[i] = sim_hogs(1, 256, 0);
    run_ms(16000);
    for (int i = 0; i < 16; i++)
        assert_near(used_ms(d[i]), 2000, 3);
}

static void shares_follow_weights(void **state)
{
    static const unsigned int weight[16] = { 64, 64, 128, 128, 256, 256, 256, 256,
                                             256, 256, 512, 512, 512, 512, 512, 1024 };
    struct domain *d[16];
    double sum = 0;

    (void)state;
    start(2);
    for (int i = 0; i < 16; i++) {
        d[i] = sim_hogs(1, weight[i], 0);
        sum += weight[i];
    }
    run_ms(30000);
    for (int i = 0; i < 16; i++)
        assert_near(used_ms(d[i]), 60000 * weight[i] / sum, 4);
}

static void odd_number_shares_equally(void **state)
{
    struct domain *d[3];

    (void)state;
    start(2);
    for (int i = 0; i < 3; i++)
        d[i] = sim_hogs(1, 256, 0);
    run_ms(9000);
    for (int i = 0; i < 3; i++)
        assert_near(used_ms(d[i]), 6000, 3);
}

/* A domain's share does not grow with its number of vCPUs. */
static void weight_is_the_domains(void **state)
{
    struct domain *one, *four;

    (void)state;
    start(1);
    one = sim_hogs(1, 256, 0);
    four = sim_hogs(4, 256, 0);
    run_ms(10000);
    assert_near(used_ms(one), 5000, 3);
    assert_near(used_ms(four), 5000, 3);
}

/* One vCPU cannot use more than one CPU, whatever its weight: the others share the rest. */
static void too_much_weight_starves_nobody(void **state)
{
    struct domain *big, *a, *b;

    (void)state;
    start(2);
    big = sim_hogs(1, 65535, 0);
    a = sim_hogs(1, 256, 0);
    b = sim_hogs(1, 256, 0);
    run_ms(10000);
    assert_near(used_ms(big), 10000, 2);
    assert_near(used_ms(a), 5000, 4);
    assert_near(used_ms(b), 5000, 4);
}

static void no_cpu_idles_while_someone_waits(void **state)
{
    double sum = 0;

    (void)state;
    start(4);
    for (int i = 0; i < 7; i++)
        (void)sim_hogs(1, 256, 0);
    run_ms(5000);
    for (unsigned int i = 0; i < sim_nr_domains; i++)
        sum += used_ms(sim_domain[i]);
    assert_near(sum, 20000, 0.1);
}

/* ---- Caps ---- */

static void cap_limits_an_idle_machine(void **state)
{
    struct domain *d, *two;

    (void)state;
    start(2);
    d = sim_hogs(1, 256, 25);
    run_ms(6000);
    assert_near(used_ms(d), 1500, 3);
    two = sim_hogs(2, 256, 120);
    run_ms(6000);
    assert_near(used_ms(two), 7200, 3);
    assert_near(used_ms(d), 3000, 3);
}

static void cap_taken_away_frees(void **state)
{
    struct xen_domctl_scheduler_op op = {
        .sched_id = XEN_SCHEDULER_CREDIT, .cmd = XEN_DOMCTL_SCHEDOP_putinfo,
    };
    struct domain *d;

    (void)state;
    start(1);
    d = sim_hogs(1, 256, 10);
    run_ms(1000);
    assert_near(used_ms(d), 100, 10);
    assert_int_equal(sched_adjust_domain(d, &op), 0);
    run_ms(1000);
    assert_near(used_ms(d), 1100, 3);
}

static void parameters_are_checked(void **state)
{
    struct xen_domctl_scheduler_op op = { .sched_id = XEN_SCHEDULER_CREDIT };
    struct domain *d;

    (void)state;
    start(1);
    d = sim_hogs(1, 300, 50);
    op.cmd = XEN_DOMCTL_SCHEDOP_getinfo;
    assert_int_equal(sched_adjust_domain(d, &op), 0);
    assert_int_equal(op.u.credit.weight, 300);
    assert_int_equal(op.u.credit.cap, 50);
    op.cmd = XEN_DOMCTL_SCHEDOP_putinfo;
    op.u.credit.cap = 101;
    assert_int_equal(sched_adjust_domain(d, &op), -EINVAL);
    op.sched_id = XEN_SCHEDULER_CREDIT2;
    assert_int_equal(sched_adjust_domain(d, &op), -EINVAL);
}

/* ---- Waking ---- */

static struct vcpu *sleeper;
static struct timer alarm_timer;
static s_time_t woken_at, worst_delay;

static void wake_sleeper(void *data)
{
    (void)data;
    woken_at = NOW();
    vcpu_unblock(sleeper);
}

static void sleep_again(void *data)
{
    (void)data;
    set_bit(VPF_BLOCKED, &sleeper->pause_flags);
    vcpu_sleep_nosync(sleeper);
    set_timer(&alarm_timer, NOW() + MILLISECS(20));
}

static struct timer work_timer;

static void note_switch(unsigned int cpu, struct vcpu *prev, struct vcpu *next)
{
    (void)cpu;
    (void)prev;
    if (next == sleeper && woken_at) {
        worst_delay = max(worst_delay, NOW() - woken_at);
        woken_at = 0;
        set_timer(&work_timer, NOW() + MILLISECS(1));
    }
}

/* How long v, which works for a millisecond and sleeps for twenty, waits for a CPU at most, after its first half second. */
static s_time_t worst_delay_of(struct vcpu *v)
{
    sleeper = v;
    woken_at = 0;
    init_timer(&alarm_timer, wake_sleeper, NULL, 0);
    init_timer(&work_timer, sleep_again, NULL, 1);
    sim_switched = note_switch;
    sleep_again(NULL);
    run_ms(500);        /* until all have had their first turns */
    worst_delay = 0;
    run_ms(5000);
    sim_switched = NULL;
    kill_timer(&alarm_timer);
    kill_timer(&work_timer);
    return woken_at ? max(worst_delay, NOW() - woken_at) : worst_delay;
}

/* Who sleeps most of the time runs soon after it is woken, against any number that compute. */
static void woken_runs_soon(void **state)
{
    struct domain *d;
    s_time_t delay;

    (void)state;
    start(2);
    for (int i = 0; i < 8; i++)
        (void)sim_hogs(1, 256, 0);
    d = sim_hogs(1, 256, 0);
    delay = worst_delay_of(d->vcpu[0]);
    if (delay > MILLISECS(2))
        fail_msg("worst delay %ld ns", delay);
    assert_true(used_ms(d) > 150);
}

/* Nor does one wait long whose many siblings have CPUs of their own, while it shares its own. */
static void siblings_elsewhere_starve_nobody(void **state)
{
    struct domain *d, *other;
    s_time_t delay;

    (void)state;
    start(32);
    d = sim_hogs(32, 256, 0);
    other = sim_hogs(1, 256, 0);
    for (unsigned int i = 0; i < 32; i++) {
        cpumask_t one = cpumask_of(i);

        assert_int_equal(vcpu_set_hard_affinity(d->vcpu[i], &one), 0);
        if (i == 0)
            assert_int_equal(vcpu_set_hard_affinity(other->vcpu[0], &one), 0);
    }
    delay = worst_delay_of(d->vcpu[0]);
    if (delay > MILLISECS(100))
        fail_msg("worst delay %ld ns", delay);
}

/* ---- Broadcasts ---- */

#define ANSWERERS 63

static struct domain *caller;
static struct timer call_timer, answer_timer[ANSWERERS];
static unsigned int answers;

static void fall_asleep(struct vcpu *v)
{
    set_bit(VPF_BLOCKED, &v->pause_flags);
    vcpu_sleep_nosync(v);
}

static void answered(void *data)
{
    fall_asleep(data);
    if (++answers == ANSWERERS)
        set_timer(&call_timer, NOW() + MILLISECS(1));
}

static void call_all(void *data)
{
    (void)data;
    if (!caller->vcpu[0]->is_running) {
        set_timer(&call_timer, NOW() + MICROSECS(100));
        return;
    }
    answers = 0;
    for (unsigned int i = 1; i <= ANSWERERS; i++)
        vcpu_unblock(caller->vcpu[i]);
}

static void note_answerer(unsigned int cpu, struct vcpu *prev, struct vcpu *next)
{
    (void)prev;
    if (next->domain != caller || next->vcpu_id == 0 || timer_pending(&answer_timer[next->vcpu_id - 1]))
        return;
    migrate_timer(&answer_timer[next->vcpu_id - 1], cpu);
    set_timer(&answer_timer[next->vcpu_id - 1], NOW() + MICROSECS(50));
}

/* One vCPU that has the others of its domain do something short again and again, and waits for them, gets its share. */
static void broadcasts_cost_what_they_take(void **state)
{
    struct domain *other;

    (void)state;
    start(2);
    other = sim_hogs(2, 256, 0);
    caller = sim_hogs(1 + ANSWERERS, 256, 0);
    init_timer(&call_timer, call_all, NULL, 0);
    for (unsigned int i = 1; i <= ANSWERERS; i++) {
        init_timer(&answer_timer[i - 1], answered, caller->vcpu[i], 0);
        fall_asleep(caller->vcpu[i]);
    }
    run_ms(100);
    sim_switched = note_answerer;
    set_timer(&call_timer, NOW() + MILLISECS(1));
    run_ms(10000);
    sim_switched = NULL;
    kill_timer(&call_timer);
    for (unsigned int i = 0; i < ANSWERERS; i++)
        kill_timer(&answer_timer[i]);
    assert_near(used_ms(caller), 10000, 15);
    assert_near(used_ms(other), 10000, 15);
}

static void yield_lets_another_go(void **state)
{
    struct vcpu *first;

    (void)state;
    start(1);
    (void)sim_hogs(1, 256, 0);
    (void)sim_hogs(1, 256, 0);
    run_ms(3);
    first = sim_curr(0);
    sim_on_cpu(0);
    vcpu_yield();
    sim_settle();
    assert_ptr_not_equal(sim_curr(0), first);
}

/* ---- Polling ---- */

static long poll(struct vcpu *v, evtchn_port_t *ports, unsigned int nr, uint64_t timeout)
{
    struct sched_poll p = { .nr_ports = nr, .timeout = timeout };
    long rc;

    set_xen_guest_handle_raw(p.ports, ports);
    sim_on_cpu(v->processor);
    assert_ptr_equal(current, v);
    rc = do_sched_op(SCHEDOP_poll, (guest_ptr_t)&p);
    sim_settle();
    return rc;
}

static void poll_waits_for_its_ports(void **state)
{
    evtchn_port_t ports[2] = { 3, 4 }, bad = 99;
    struct domain *d;
    struct vcpu *v;

    (void)state;
    start(1);
    d = sim_hogs(1, 256, 0);
    v = d->vcpu[0];
    sim_settle();

    sim_port_pending = true;
    assert_int_equal(poll(v, ports, 2, 0), 0);
    assert_true(v->is_running);
    assert_int_equal(poll(v, &bad, 1, 0), -EINVAL);
    assert_int_equal(poll(v, ports, 129, 0), -EINVAL);
    assert_true(v->is_running);
    assert_int_equal(atomic_read(&d->nr_polling), 0);

    sim_port_pending = false;
    sim_interrupted = true;
    assert_int_equal(poll(v, ports, 1, 0), 0);
    assert_true(v->is_running);
    assert_int_equal(atomic_read(&d->nr_polling), 0);

    sim_interrupted = false;
    assert_int_equal(poll(v, ports, 1, 0), 0);
    assert_false(v->is_running);
    sched_poll_notify(d, 4);
    sim_settle();
    assert_false(v->is_running);
    sched_poll_notify(d, 3);
    sim_settle();
    assert_true(v->is_running);

    assert_int_equal(poll(v, ports, 2, 0), 0);
    sched_poll_notify(d, 4);
    sim_settle();
    assert_true(v->is_running);
    assert_int_equal(atomic_read(&d->nr_polling), 0);

    /* A poll and its sleep end together: nothing is left to do to a vCPU that may poll again already. */
    assert_int_equal(poll(v, ports, 1, 0), 0);
    assert_int_equal(atomic_read(&d->nr_polling), 1);
    assert_true(vcpu_end_sleep(v));
    assert_false(vcpu_end_sleep(v));
    assert_int_equal(v->pause_flags, 0);
    assert_int_equal(atomic_read(&d->nr_polling), 0);
}

/* ---- Affinity and pools ---- */

static void pinned_stays(void **state)
{
    cpumask_t one = cpumask_of(1), none = CPU_MASK_NONE;
    struct domain *d;

    (void)state;
    start(4);
    d = sim_hogs(3, 256, 0);
    run_ms(50);
    for (int i = 0; i < 3; i++)
        assert_int_equal(vcpu_set_hard_affinity(d->vcpu[i], &one), 0);
    assert_int_equal(vcpu_set_hard_affinity(d->vcpu[0], &none), -EINVAL);
    run_ms(3000);
    assert_near(used_ms(d), 3 * 50 + 3000, 2);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(d->vcpu[i]->processor, 1);
        assert_near((double)vcpu_cpu_time(d->vcpu[i]) / 1e6, 1050, 4);
    }
    assert_true(is_idle_vcpu(sim_curr(0)));
}

static void pin_override_is_undone(void **state)
{
    struct domain *d;

    (void)state;
    start(2);
    d = sim_hogs(1, 256, 0);
    assert_int_equal(vcpu_pin_override(d->vcpu[0], -1), -EINVAL);
    assert_int_equal(vcpu_pin_override(d->vcpu[0], 7), -EINVAL);
    assert_int_equal(vcpu_pin_override(d->vcpu[0], 1), 0);
    assert_int_equal(vcpu_pin_override(d->vcpu[0], 0), -EBUSY);
    run_ms(100);
    assert_ptr_equal(sim_curr(1), d->vcpu[0]);
    assert_int_equal(vcpu_pin_override(d->vcpu[0], -1), 0);
    assert_int_equal(cpumask_weight(&d->vcpu[0]->hard_affinity), NR_CPUS);
}

static int pool_op(uint32_t op, uint32_t pool, uint32_t value)
{
    struct xen_sysctl_cpupool_op u = {
        .op = op, .cpupool_id = pool, .sched_id = XEN_SCHEDULER_CREDIT, .cpu = value, .domid = value,
    };
    struct vcpu *saved = current;
    int rc;

    set_current(idle_vcpu[smp_processor_id()]);     /* as if by another domain */
    rc = cpupool_do_sysctl(&u);
    set_current(saved);
    return rc;
}

static void pools_divide_the_cpus(void **state)
{
    struct domain *a, *b;

    (void)state;
    start(3);
    a = sim_hogs(2, 256, 0);
    b = sim_hogs(2, 256, 0);
    assert_int_equal(pool_op(XEN_SYSCTL_CPUPOOL_OP_CREATE, 5, 0), 0);
    assert_int_equal(pool_op(XEN_SYSCTL_CPUPOOL_OP_CREATE, 5, 0), -EEXIST);
    assert_int_equal(pool_op(XEN_SYSCTL_CPUPOOL_OP_ADDCPU, 5, 2), -ENODEV);
    assert_int_equal(pool_op(XEN_SYSCTL_CPUPOOL_OP_RMCPU, 0, 2), 0);
    assert_int_equal(pool_op(XEN_SYSCTL_CPUPOOL_OP_MOVEDOMAIN, 5, b->domain_id), -EBUSY);
    assert_int_equal(pool_op(XEN_SYSCTL_CPUPOOL_OP_ADDCPU, 5, 2), 0);
    assert_int_equal(pool_op(XEN_SYSCTL_CPUPOOL_OP_MOVEDOMAIN, 5, b->domain_id), 0);
    run_ms(1000);
    assert_near(used_ms(a), 2000, 1);
    assert_near(used_ms(b), 1000, 1);
    assert_int_equal(pool_op(XEN_SYSCTL_CPUPOOL_OP_RMCPU, 5, 2), -EBUSY);
    assert_int_equal(pool_op(XEN_SYSCTL_CPUPOOL_OP_DESTROY, 5, 0), -EBUSY);
    assert_int_equal(pool_op(XEN_SYSCTL_CPUPOOL_OP_DESTROY, 9, 0), -ENOENT);
    assert_int_equal(pool_op(XEN_SYSCTL_CPUPOOL_OP_MOVEDOMAIN, 0, b->domain_id), 0);
    assert_int_equal(pool_op(XEN_SYSCTL_CPUPOOL_OP_DESTROY, 5, 0), 0);
    assert_int_equal(pool_op(XEN_SYSCTL_CPUPOOL_OP_ADDCPU, 0, 2), 0);
    run_ms(1000);
    assert_near(used_ms(a) + used_ms(b), 6000, 1);
}

/* ---- CPUs that leave and return ---- */

static void leave(unsigned int cpu)
{
    struct vcpu *v;

    assert_int_equal(cpupool_cpu_leave(cpu), 0);
    sim_settle();
    assert_true(is_idle_vcpu(sim_curr(cpu)));
    assert_int_equal(cpupool_cpu_leave(cpu), 0);
    for (unsigned int n = 0; n < sim_nr_domains; n++)
        for_each_vcpu(sim_domain[n], v)
            assert_true(v->processor != cpu || v->sched->parked);
    __cpumask_clear_cpu(cpu, &cpu_online_map);
    sim_on_cpu(cpu);
    softirqs_hand_over(0);
    timers_hand_over(0);
    tasklets_hand_over(0);
    assert_int_equal(cpu_rq(cpu)->slice_timer.cpu, cpu);
}

static void come_back(unsigned int cpu)
{
    __cpumask_set_cpu(cpu, &cpu_online_map);
    cpupool_cpu_return(cpu);
}

static unsigned int watched_cpu;

static void nobody_runs_there(unsigned int cpu, struct vcpu *prev, struct vcpu *next)
{
    (void)prev;
    assert_true(cpu != watched_cpu || is_idle_vcpu(next));
}

static void those_of_a_cpu_that_leaves_run_elsewhere(void **state)
{
    cpumask_t one = cpumask_of(2), two = cpumask_of(2);
    struct domain *free, *pinned, *capped;

    (void)state;
    __cpumask_set_cpu(1, &two);
    start(3);
    free = sim_hogs(3, 256, 0);
    pinned = sim_hogs(2, 256, 0);
    capped = sim_hogs(1, 1024, 50);
    assert_int_equal(vcpu_set_hard_affinity(pinned->vcpu[0], &one), 0);
    assert_int_equal(vcpu_set_hard_affinity(pinned->vcpu[1], &two), 0);
    assert_int_equal(vcpu_set_hard_affinity(capped->vcpu[0], &one), 0);
    run_ms(1000);
    leave(2);
    assert_int_equal(cpu_idle_time(2), 0);
    assert_true(cpumask_full(&pinned->vcpu[0]->hard_affinity));
    assert_true(cpumask_equal(&pinned->vcpu[1]->hard_affinity, &two));
    assert_int_equal(vcpu_set_hard_affinity(capped->vcpu[0], &one), -EINVAL);
    watched_cpu = 2;
    sim_switched = nobody_runs_there;
    run_ms(3000);
    sim_switched = NULL;
    assert_near(used_ms(free) + used_ms(pinned) + used_ms(capped), 3000 + 6000, 1);
    assert_near(used_ms(capped), 2000, 5);
    come_back(2);
    run_ms(1000);
    assert_near(used_ms(free) + used_ms(pinned) + used_ms(capped), 3000 + 6000 + 3000, 1);
    assert_false(is_idle_vcpu(sim_curr(2)));
}

static void who_may_not_leave(void **state)
{
    struct domain *d;

    (void)state;
    start(3);
    d = sim_hogs(1, 256, 0);
    assert_int_equal(vcpu_pin_override(d->vcpu[0], 1), 0);
    assert_int_equal(cpupool_cpu_leave(1), -EADDRINUSE);
    assert_int_equal(pool_op(XEN_SYSCTL_CPUPOOL_OP_RMCPU, 0, 1), -EADDRINUSE);
    run_ms(10);
    assert_ptr_equal(sim_curr(1), d->vcpu[0]);
    assert_int_equal(vcpu_pin_override(d->vcpu[0], -1), 0);
    assert_int_equal(pool_op(XEN_SYSCTL_CPUPOOL_OP_CREATE, 5, 0), 0);
    assert_int_equal(pool_op(XEN_SYSCTL_CPUPOOL_OP_RMCPU, 0, 1), 0);
    assert_int_equal(pool_op(XEN_SYSCTL_CPUPOOL_OP_ADDCPU, 5, 1), 0);
    assert_int_equal(cpupool_cpu_leave(1), -ENODEV);
    assert_int_equal(pool_op(XEN_SYSCTL_CPUPOOL_OP_DESTROY, 5, 0), 0);
    leave(1);
    assert_int_equal(pool_op(XEN_SYSCTL_CPUPOOL_OP_ADDCPU, 0, 1), -ENODEV);
    assert_int_equal(pool_op(XEN_SYSCTL_CPUPOOL_OP_RMCPU, 0, 1), -EINVAL);
    assert_int_equal(vcpu_pin_override(d->vcpu[0], 1), -EINVAL);
    leave(2);
    assert_int_equal(cpupool_cpu_leave(0), -EBUSY);
    come_back(1);
    come_back(2);
    assert_int_equal(cpumask_weight(&pool0->cpus), 3);
}

/* ---- Everything at once ---- */

/* Each runnable vCPU is in one place, and no CPU idles while it could run one that waits. */
static void check_invariants(unsigned int cpus)
{
    for (unsigned int n = 0; n < sim_nr_domains; n++) {
        struct vcpu *v;

        for_each_vcpu(sim_domain[n], v) {
            struct runqueue *rq = cpu_rq(v->processor);
            bool runs = rq->curr == v;

            assert_int_equal(runs, sim_curr(v->processor) == v);
            assert_int_equal(runs + v->sched->queued + v->sched->parked, vcpu_runnable(v));
            assert_int_equal(v->is_running, runs);
            if (v->sched->queued)
                for (unsigned int cpu = 0; cpu < cpus; cpu++)
                    assert_false(is_idle_vcpu(sim_curr(cpu)) && vcpu_allowed_on(v, cpu));
            if (vcpu_runnable(v) && !v->sched->parked)
                assert_true(vcpu_allowed_on(v, v->processor));
        }
    }
}

static void random_walk(void **state)
{
    enum { CPUS = 4 };
    uint64_t seed = 17;

    (void)state;
    start(CPUS);
    for (unsigned int i = 0; i < 6; i++)
        (void)sim_hogs(1 + i % 3, 100 + 100 * i, i == 5 ? 60 : 0);
    for (int step = 0; step < 30000; step++) {
        struct domain *d = sim_domain[random_below(&seed, sim_nr_domains)];
        struct vcpu *v = d->vcpu[random_below(&seed, d->max_vcpus)];
        cpumask_t mask = CPU_MASK_NONE;
        unsigned int cpu = random_below(&seed, CPUS);

        sim_on_cpu(cpu);
        switch (random_below(&seed, 8)) {
        case 0:
        case 1:
            set_bit(VPF_BLOCKED, &v->pause_flags);
            vcpu_sleep_nosync(v);
            break;
        case 2:
        case 3:
            vcpu_unblock(v);
            break;
        case 4:
            atomic_inc(&v->pause_count);
            vcpu_sleep_nosync(v);
            if (random_below(&seed, 2))
                sim_settle();
            if (atomic_dec_and_test(&v->pause_count))
                vcpu_wake(v);
            break;
        case 5:
            mask.bits[0] = 1 + random_below(&seed, (1u << CPUS) - 1);
            assert_int_equal(vcpu_set_hard_affinity(v, &mask),
                             cpumask_intersects(&mask, &pool0->cpus) ? 0 : -EINVAL);
            break;
        case 6:
            if (!cpu_online(cpu))
                come_back(cpu);
            else if (cpu)
                leave(cpu);
            break;
        default:
            if (!is_idle_vcpu(current))
                vcpu_yield();
        }
        if (random_below(&seed, 3)) {
            sim_run_until(NOW() + random_below(&seed, 3000000));
            sim_settle();
            check_invariants(CPUS);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(equal_vcpus_share_equally, finish),
        cmocka_unit_test_teardown(shares_follow_weights, finish),
        cmocka_unit_test_teardown(odd_number_shares_equally, finish),
        cmocka_unit_test_teardown(weight_is_the_domains, finish),
        cmocka_unit_test_teardown(too_much_weight_starves_nobody, finish),
        cmocka_unit_test_teardown(no_cpu_idles_while_someone_waits, finish),
        cmocka_unit_test_teardown(cap_limits_an_idle_machine, finish),
        cmocka_unit_test_teardown(cap_taken_away_frees, finish),
        cmocka_unit_test_teardown(parameters_are_checked, finish),
        cmocka_unit_test_teardown(woken_runs_soon, finish),
        cmocka_unit_test_teardown(siblings_elsewhere_starve_nobody, finish),
        cmocka_unit_test_teardown(broadcasts_cost_what_they_take, finish),
        cmocka_unit_test_teardown(yield_lets_another_go, finish),
        cmocka_unit_test_teardown(poll_waits_for_its_ports, finish),
        cmocka_unit_test_teardown(pinned_stays, finish),
        cmocka_unit_test_teardown(pin_override_is_undone, finish),
        cmocka_unit_test_teardown(pools_divide_the_cpus, finish),
        cmocka_unit_test_teardown(those_of_a_cpu_that_leaves_run_elsewhere, finish),
        cmocka_unit_test_teardown(who_may_not_leave, finish),
        cmocka_unit_test_teardown(random_walk, finish),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
