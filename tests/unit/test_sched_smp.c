/* SPDX-License-Identifier: MIT */
/*
 * The scheduler under real concurrency: threads play the CPUs, others wake, stop and move vCPUs, and
 * take a CPU away, all the time. No vCPU may ever run on two CPUs, none on a CPU that is away, one
 * that was stopped must stay off until it is woken, and at the end all run again.
 */
#include "unit.h"

#include <pthread.h>
#include <time.h>

#include <asm/current.h>
#include <domus/arch.h>
#include <domus/sched.h>
#include <domus/softirq.h>
#include <sim.h>
#include "../../hypervisor/core/sched_queue.h"

#define CPUS        3
#define DISTURBERS  2
#define LEAVING_CPU (CPUS - 1)
#define RUN_MS      1500
#define SWITCHES    2000        /* or so many milliseconds, whichever comes first */

struct cpu_info host_cpu_info[NR_CPUS];
static _Thread_local s_time_t deadline;
static atomic_t on_cpu[SIM_MAX_DOMAINS][4];
static bool stop_cpus, stop_disturbers;
static unsigned int switches;

s_time_t now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * SECONDS(1) + t.tv_nsec;
}

bool reprogram_timer(s_time_t at)
{
    if (at && at <= now_ns())
        return false;
    deadline = at;
    return true;
}

void smp_send_event_check(unsigned int cpu)
{
    (void)cpu;      /* every CPU looks at its softirqs all the time */
}

void sync_vcpu_execstate(struct vcpu *v)
{
    (void)v;
}

void arch_cpu_idle(void) { }

static atomic_t *place_of(const struct vcpu *v)
{
    return &on_cpu[v->domain->domain_id - 1][v->vcpu_id];
}

/* A guest's state takes a while to save, during which nobody else may run it. */
static void dawdle(void)
{
    static _Thread_local uint64_t seed = 1;

    if (random_below(&seed, 4) == 0)
        cpu_relax();
}

void context_switch(struct vcpu *prev, struct vcpu *next)
{
    BUG_ON(current != prev || !next->is_running);
    dawdle();
    set_current(next);
    if (!is_idle_vcpu(next))
        BUG_ON(atomic_xchg(place_of(next), 1) != 0);
    dawdle();
    if (!is_idle_vcpu(prev))
        BUG_ON(atomic_xchg(place_of(prev), 0) != 1);
    context_saved(prev);
    (void)fetch_add(&switches, 1);
}

static void *play_cpu(void *arg)
{
    host_cpu = (unsigned int)(size_t)arg;
    set_current(idle_vcpu[host_cpu]);
    sched_cpu_online();
    while (!READ_ONCE(stop_cpus)) {
        if (deadline && deadline <= now_ns()) {
            deadline = 0;
            raise_softirq(TIMER_SOFTIRQ);
        }
        if (softirq_pending(host_cpu))
            do_softirq();
        else
            cpu_relax();
        /* Guests block and yield by themselves as well. */
        if (!is_idle_vcpu(current) && (now_ns() & 0x700) == 0)
            vcpu_block();
        else if (!is_idle_vcpu(current) && (now_ns() & 0xf00) == 0x100)
            vcpu_yield();
    }
    return NULL;
}

static void disturb(struct vcpu *v, uint64_t *seed)
{
    cpumask_t mask = CPU_MASK_NONE;

    switch (random_below(seed, 6)) {
    case 0:
        vcpu_unblock(v);
        break;
    case 1:
        atomic_inc(&v->pause_count);
        vcpu_sleep_nosync(v);
        if (atomic_dec_and_test(&v->pause_count))
            vcpu_wake(v);
        break;
    case 2:
    case 3:
        atomic_inc(&v->pause_count);
        vcpu_sleep_sync(v);
        for (int i = 0; i < 20; i++) {
            BUG_ON(v->is_running || atomic_read(place_of(v)));
            dawdle();
        }
        if (atomic_dec_and_test(&v->pause_count))
            vcpu_wake(v);
        break;
    case 4:
        mask.bits[0] = 1 + random_below(seed, (1u << CPUS) - 1);
        BUG_ON(vcpu_set_hard_affinity(v, &mask) != 0 && mask.bits[0] != 1u << LEAVING_CPU);
        break;
    default:
        domain_pause(v->domain);
        domain_unpause(v->domain);
    }
}

/* Once its vCPUs have left it, a CPU stays idle until it is given back. */
static void take_cpu_away(void)
{
    BUG_ON(cpupool_cpu_leave(LEAVING_CPU));
    while (READ_ONCE(cpu_rq(LEAVING_CPU)->curr) != idle_vcpu[LEAVING_CPU])
        cpu_relax();
    for (int i = 0; i < 1000; i++) {
        BUG_ON(READ_ONCE(cpu_rq(LEAVING_CPU)->curr) != idle_vcpu[LEAVING_CPU] ||
               READ_ONCE(cpu_rq(LEAVING_CPU)->nr_queued));
        dawdle();
    }
    cpupool_cpu_return(LEAVING_CPU);
}

static void *play_disturber(void *arg)
{
    uint64_t seed = (size_t)arg;

    host_cpu = (unsigned int)(size_t)arg;
    set_current(idle_vcpu[host_cpu]);
    while (!READ_ONCE(stop_disturbers)) {
        struct domain *d = sim_domain[random_below(&seed, sim_nr_domains)];

        disturb(d->vcpu[random_below(&seed, d->max_vcpus)], &seed);
        if (host_cpu == CPUS && random_below(&seed, 50) == 0)
            take_cpu_away();
    }
    return NULL;
}

static void sleep_ms(unsigned int ms)
{
    struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };

    nanosleep(&t, NULL);
}

static void never_on_two_cpus(void **state)
{
    pthread_t thread[CPUS + DISTURBERS];
    cpumask_t all;
    struct vcpu *v;

    (void)state;
    cpumask_setall(&all);
    cpumask_clear(&cpu_online_map);
    for (unsigned int cpu = 0; cpu < CPUS; cpu++)
        __cpumask_set_cpu(cpu, &cpu_online_map);
    nr_cpu_ids = CPUS;
    sim_sched_start(CPUS + DISTURBERS);
    for (size_t cpu = 1; cpu < CPUS; cpu++)
        pthread_create(&thread[cpu], NULL, play_cpu, (void *)cpu);
    pthread_create(&thread[0], NULL, play_cpu, (void *)0);
    sleep_ms(50);
    host_cpu = NR_CPUS - 1;
    for (unsigned int i = 0; i < 6; i++)
        (void)sim_hogs(1 + i % 3, 128u << (i % 3), i == 4 ? 70 : 0);
    for (size_t i = CPUS; i < CPUS + DISTURBERS; i++)
        pthread_create(&thread[i], NULL, play_disturber, (void *)i);
    for (unsigned int ms = 0; ms < RUN_MS && READ_ONCE(switches) < SWITCHES; ms += 10)
        sleep_ms(10);

    WRITE_ONCE(stop_disturbers, true);
    for (unsigned int i = CPUS; i < CPUS + DISTURBERS; i++)
        pthread_join(thread[i], NULL);

    /* Each gets to run again once it is let. */
    for (unsigned int n = 0; n < sim_nr_domains; n++)
        for_each_vcpu(sim_domain[n], v) {
            uint64_t before = vcpu_cpu_time(v);
            s_time_t give_up = now_ns() + SECONDS(20);

            assert_int_equal(vcpu_set_hard_affinity(v, &all), 0);
            while (vcpu_cpu_time(v) == before && now_ns() < give_up) {
                vcpu_unblock(v);
                cpu_relax();
            }
            assert_true(vcpu_cpu_time(v) > before);
        }

    for (unsigned int n = 0; n < sim_nr_domains; n++) {
        domain_pause(sim_domain[n]);
        for_each_vcpu(sim_domain[n], v)
            vcpu_sleep_sync(v);
    }
    WRITE_ONCE(stop_cpus, true);
    for (unsigned int i = 0; i < CPUS; i++)
        pthread_join(thread[i], NULL);
    assert_true(switches > 0);
    sim_sched_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(never_on_two_cpus),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
