/* SPDX-License-Identifier: MIT */
/*
 * Simulated CPUs and time, for tests of timers and the scheduler: one thread plays all CPUs in turn,
 * and time goes on only from one event to the next.
 */
#ifndef HOST_SIM_H
#define HOST_SIM_H

#include <domus/cpumask.h>
#include <domus/time.h>

struct vcpu;

/* CPUs 0 to nr - 1 are online, time begins; the per-CPU timer queues are there. */
void sim_start(unsigned int nr_cpus);
/* Be this CPU: `current` is what it runs. */
void sim_on_cpu(unsigned int cpu);
/* What a CPU runs. */
struct vcpu *sim_curr(unsigned int cpu);
/* Called when a CPU changes from one vCPU to another; may be NULL. */
extern void (*sim_switched)(unsigned int cpu, struct vcpu *prev, struct vcpu *next);
/* Let time pass until `until` ns: CPUs get their timer interrupts and serve their softirqs. */
void sim_run_until(s_time_t until);
/* Serve what is pending now on all CPUs, until nothing is. */
void sim_settle(void);

#endif
