/* SPDX-License-Identifier: MIT */
/*
 * Simulated CPUs and time, for tests of timers and the scheduler: one thread plays all CPUs in turn,
 * and time goes on only from one event to the next.
 */
#ifndef HOST_SIM_H
#define HOST_SIM_H

#include <domus/cpumask.h>
#include <domus/time.h>

struct domain;
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

/*
 * Scheduler: run queues and idle vCPUs of CPUs 0 to nr - 1; each CPU then calls sched_cpu_online().
 * sim_sched_end() frees all, once no domain's vCPU runs.
 */
void sim_sched_start(unsigned int nr_cpus);
void sim_sched_end(void);

/* A domain whose vCPUs compute without end, with this weight and cap. */
#define SIM_MAX_DOMAINS 40
struct domain *sim_hogs(unsigned int vcpus, unsigned int weight, unsigned int cap);
extern struct domain *sim_domain[SIM_MAX_DOMAINS];
extern unsigned int sim_nr_domains;

/* Event ports of every domain; SIM_PORT is pending while sim_port_pending is set. */
#define SIM_PORTS 10
#define SIM_PORT  3
extern bool sim_port_pending;
/* What arch_vcpu_interrupted() says of every vCPU. */
extern bool sim_interrupted;

#endif
