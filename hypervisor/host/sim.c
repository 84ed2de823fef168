/* SPDX-License-Identifier: MIT */
/* Simulated CPUs and time: see sim.h. */
#include <asm/current.h>
#include <domus/arch.h>
#include <domus/lib.h>
#include <domus/softirq.h>
#include <domus/timer.h>
#include <sim.h>

#define MAX_ROUNDS 100000       /* of softirqs without time passing: more is a livelock */

struct cpu_info host_cpu_info[NR_CPUS];

static s_time_t sim_now;
static s_time_t deadline[NR_CPUS];      /* of the timer hardware; 0: off */
static struct vcpu *curr[NR_CPUS];
static unsigned int nr_cpus;

s_time_t now_ns(void)
{
    return sim_now;
}

bool reprogram_timer(s_time_t at)
{
    if (at && at <= sim_now)
        return false;
    deadline[smp_processor_id()] = at;
    return true;
}

void smp_send_event_check(unsigned int cpu __unused)
{
    /* sim_settle() looks at every CPU's pending softirqs. */
}

void sim_on_cpu(unsigned int cpu)
{
    curr[host_cpu] = host_current;
    host_cpu = cpu;
    host_current = curr[cpu];
}

struct vcpu *sim_curr(unsigned int cpu)
{
    return cpu == host_cpu ? host_current : curr[cpu];
}

void sim_settle(void)
{
    bool any = true;

    for (unsigned int round = 0; any; round++) {
        BUG_ON(round == MAX_ROUNDS);
        any = false;
        for (unsigned int cpu = 0; cpu < nr_cpus; cpu++) {
            if (!softirq_pending(cpu))
                continue;
            any = true;
            sim_on_cpu(cpu);
            do_softirq();
        }
    }
}

void sim_run_until(s_time_t until)
{
    for (;;) {
        s_time_t next = until;

        sim_settle();
        for (unsigned int cpu = 0; cpu < nr_cpus; cpu++)
            if (deadline[cpu])
                next = min(next, deadline[cpu]);
        sim_now = max(sim_now, next);
        if (next >= until)
            break;
        for (unsigned int cpu = 0; cpu < nr_cpus; cpu++)
            if (deadline[cpu] && deadline[cpu] <= sim_now) {
                deadline[cpu] = 0;
                sim_on_cpu(cpu);
                raise_softirq(TIMER_SOFTIRQ);
            }
    }
}

void sim_start(unsigned int nr)
{
    nr_cpus = nr;
    sim_now = SECONDS(1);
    nr_cpu_ids = nr;
    cpumask_clear(&cpu_online_map);
    for (unsigned int cpu = 0; cpu < nr; cpu++) {
        __cpumask_set_cpu(cpu, &cpu_online_map);
        host_cpu_info[cpu].softirq_pending = 0;
        deadline[cpu] = 0;
        curr[cpu] = NULL;
        timer_cpu_init(cpu);
    }
    host_cpu = 0;
    host_current = NULL;
}
