/* SPDX-License-Identifier: MIT */
/*
 * The scheduler: which vCPU runs on which physical CPU. Each CPU has a run queue with a lock of its
 * own; v->processor names the queue that v belongs to and whose lock guards v's scheduling state.
 *
 * A vCPU is runnable if nothing holds it back: see vcpu_runnable(). Whoever takes the last obstacle
 * away calls vcpu_wake(); whoever puts one up calls vcpu_sleep_nosync() or vcpu_sleep_sync(). Both
 * look at the state anew under the lock, so calls that cross on different CPUs settle correctly.
 */
#ifndef DOMUS_SCHED_H
#define DOMUS_SCHED_H

#include <domus/cpumask.h>
#include <domus/domain.h>
#include <domus/types.h>
#include <xen/sched.h>
#include <xen/sysctl.h>

/* The idle vCPU of each CPU: number n of idle_domain. */
extern struct vcpu *idle_vcpu[NR_CPUS];

/*
 * Boot. scheduler_init(): idle domain, pool 0, the boot CPU's run queue and idle vCPU; sets
 * `current`. After the heap and the timers, before any domain. sched_cpu_prepare(cpu): run queue
 * and idle vCPU of another CPU, on the boot CPU before it starts that one: 0 or -ENOMEM.
 * sched_cpu_online(): by each CPU itself once it is in cpu_online_map; pool 0 takes it.
 */
void scheduler_init(void);
int sched_cpu_prepare(unsigned int cpu);
void sched_cpu_online(void);

static inline bool domain_runnable(const struct domain *d)
{
    return atomic_read(&d->pause_count) == 0;
}

static inline bool vcpu_runnable(const struct vcpu *v)
{
    return !(READ_ONCE(v->pause_flags) | (unsigned long)atomic_read(&v->pause_count)) &&
           domain_runnable(v->domain);
}

/* An obstacle has gone: queue v if it is runnable now. Any context. */
void vcpu_wake(struct vcpu *v);
/* An obstacle is there: v stops soon; _sync returns only after it has left its CPU and its state is
 * in v->arch. _sync is not for the running vCPU, and not with interrupts off or a spinlock held. */
void vcpu_sleep_nosync(struct vcpu *v);
void vcpu_sleep_sync(struct vcpu *v);
/*
 * v no longer blocks or polls; false: it did not. All at once, and nothing of v is changed after: it
 * may run and sleep again before the caller goes on, and that sleep is not the caller's to end.
 */
static inline bool vcpu_end_sleep(struct vcpu *v)
{
    unsigned long old = fetch_and(&v->pause_flags, ~(BIT(VPF_BLOCKED) | BIT(VPF_POLLING)));

    if (old & BIT(VPF_POLLING))
        atomic_dec(&v->domain->nr_polling);
    return old & BIT(VPF_BLOCKED);
}
/* v is woken if it blocks or polls; harmless otherwise. Any context. */
void vcpu_unblock(struct vcpu *v);

/* The running vCPU: SCHEDOP_block without the change of its event mask; SCHEDOP_yield. */
void vcpu_block(void);
void vcpu_yield(void);
/* Port of d has become pending: wakes vCPUs that poll it (SCHEDOP_poll). Any context. */
void sched_poll_notify(struct domain *d, unsigned int port);

/* prev's state is completely in memory: another CPU may run it. Called by context_switch(). */
void context_saved(struct vcpu *prev);

/* Time spent running, runnable, blocked, offline, up to now. */
void vcpu_runstate_get(struct vcpu *v, struct vcpu_runstate_info *info);
/* Nanoseconds of CPU time used. */
uint64_t vcpu_cpu_time(struct vcpu *v);
/* Write v's runstate into the guest's copy (VCPUOP_register_runstate_memory_area), if there is one;
 * v's address space is loaded. Called when v is switched in; core/vcpu_op.c. */
void update_runstate_area(struct vcpu *v);

/* Objects. domain: after d->vcpu exists; pool_id as XEN_DOMCTL_createdomain gives it: -EINVAL
 * no such pool, -ENODEV it has no CPUs, -ENOMEM. */
int sched_init_domain(struct domain *d, unsigned int pool_id);
void sched_destroy_domain(struct domain *d);
int sched_init_vcpu(struct vcpu *v);
void sched_destroy_vcpu(struct vcpu *v);

/* Hard: v runs nowhere else; -EINVAL if it meets no CPU of the pool. Soft: where it likes to run. */
int vcpu_set_hard_affinity(struct vcpu *v, const cpumask_t *affinity);
void vcpu_set_soft_affinity(struct vcpu *v, const cpumask_t *affinity);
/* SCHEDOP_pin_override for the running vCPU: cpu < 0 gives up the pin. */
int vcpu_pin_override(struct vcpu *v, int cpu);

/* Weight, cap and so on: the tools' view, as the scheduler "credit". */
int sched_adjust_domain(struct domain *d, struct xen_domctl_scheduler_op *op);
int sched_adjust_global(struct xen_sysctl_scheduler_op *op);
unsigned int sched_id(void);

/* CPU pools; core/cpupool.c. */
int cpupool_do_sysctl(struct xen_sysctl_cpupool_op *op);
unsigned int cpupool_domain_id(const struct domain *d);
/* The id of the first pool with this one or a higher; -1: there is none. Takes the pools' lock. */
int cpupool_next_id(unsigned int id);
/* CPUs that a domain may use at all. */
const cpumask_t *cpupool_domain_cpus(const struct domain *d);

/*
 * A CPU is to go off line: its pool lets go of it, and its vCPUs move to others, those that run there on their way out of
 * the hypervisor; who might run nowhere else may then run everywhere. Errors: -ENODEV: it is of another pool than pool 0;
 * -EBUSY: the last one of a pool with domains; -EADDRINUSE: a vCPU has asked for this very CPU (SCHEDOP_pin_override).
 * Called once more when the CPU is idle, it gives another to vCPUs that went to sleep where they ran.
 */
int cpupool_cpu_leave(unsigned int cpu);
/* The CPU, off line till now, is in cpu_online_map again: pool 0 takes it. */
void cpupool_cpu_return(unsigned int cpu);

/* Idle time of a CPU since boot, nanoseconds; 0 while it is off line. */
uint64_t cpu_idle_time(unsigned int cpu);
/* Whether this CPU, which has nothing to do, may wait for an interrupt; counts that it does. core/power.c. */
bool cpu_may_wait(void);

/* The guest's timers (VCPUOP_*, set_timer_op, poll). */
void vcpu_timers_init(struct vcpu *v);
/* v, which runs here, has a periodic timer: sends the tick that is due, and arms for the next. */
void vcpu_periodic_tick(struct vcpu *v);
/* SCHEDOP_watchdog's timers. */
void watchdog_domain_init(struct domain *d);
void watchdog_domain_destroy(struct domain *d);

#endif
