/* SPDX-License-Identifier: MIT */
/*
 * Between the two halves of the scheduler: core/sched.c knows states, locks and CPUs,
 * core/sched_credit.c decides who comes next. Nobody else includes this.
 */
#ifndef CORE_SCHED_QUEUE_H
#define CORE_SCHED_QUEUE_H

#include <domus/lheap.h>
#include <domus/percpu.h>
#include <domus/sched.h>
#include <domus/time.h>

#define NO_HOME NR_CPUS

/* A vCPU's part. Under the lock of the run queue of vcpu->processor. */
struct sched_unit {
    struct lheap_node node;     /* key: virtual time, ns of CPU at the default weight */
    struct vcpu *vcpu;
    bool queued;                /* in the run queue */
    bool parked;                /* runnable, but its domain has used up its cap */
    bool active;                /* runnable or running: counts in sched_dom.active */
    bool yielding;              /* let another go first, once */
    bool migrate;               /* may not stay on this CPU: context_saved() places it anew */
    s_time_t charged_until;     /* running: CPU time is charged up to here */
    int64_t charged_vtime;      /* active: its domain's virtual time, as far as it is charged to this one */
    s_time_t stopped;           /* when it last left a CPU */
    unsigned int home_cpu;      /* where its timers and interrupts are, or NO_HOME; its own CPU writes it */
    bool pinned;                /* SCHEDOP_pin_override; saved_affinity is the real one */
    cpumask_t saved_affinity;
};

/* A domain's part. */
struct sched_dom {
    unsigned int weight;        /* 1 to 65535, default 256 */
    unsigned int cap;           /* percent of one CPU; 0: none */
    int64_t vtime;              /* CPU time of all its vCPUs, by its weight; atomic */
    atomic_t active;            /* its vCPUs that are runnable or running */
    spinlock_t lock;            /* the three below; a leaf inside of run queue locks */
    s_time_t budget;            /* cap: CPU time left in this period, ns; may be negative */
    s_time_t period_start;
    struct timer unpark_timer;  /* start of the next period, while a vCPU is parked */
    struct domain *domain;
};

/* A CPU's part, under its lock. */
struct runqueue {
    spinlock_t lock;
    struct lheap queue;         /* of sched_unit, by virtual time */
    unsigned int nr_queued;
    int64_t first_key;          /* key of the first in the queue: others look without the lock */
    int64_t min_vtime;          /* where this queue stands: smallest of those that want to run */
    struct vcpu *curr;          /* chosen last: running, or being switched to */
    s_time_t curr_start;        /* when it was chosen */
    struct timer slice_timer;
    struct cpupool *pool;       /* free_pool if it belongs to none */
    unsigned int cpu;
};

DECLARE_PER_CPU(struct runqueue, runqueue);

/* A set of CPUs and the domains that share them. */
struct cpupool {
    struct list_head list;
    unsigned int id;
    unsigned int nr_domains;    /* under cpupool_lock */
    cpumask_t cpus;
    cpumask_t idlers;           /* run nothing, and nobody has sent them work yet */
    cpumask_t overloaded;       /* have someone waiting */
    unsigned int tslice_ms, ratelimit_us, migr_delay_us;
};

extern struct cpupool *pool0;
extern struct cpupool free_pool;
extern spinlock_t cpupool_lock;

static inline struct sched_dom *sched_dom(const struct domain *d) { return d->sched_priv; }
static inline struct runqueue *cpu_rq(unsigned int cpu) { return &per_cpu(runqueue, cpu); }

/* Whether v may run on cpu: its hard affinity within its pool. */
static inline bool vcpu_allowed_on(const struct vcpu *v, unsigned int cpu)
{
    return cpumask_test_cpu(cpu, &v->domain->cpupool->cpus) &&
           cpumask_test_cpu(cpu, &v->hard_affinity);
}

/* core/sched_credit.c; all under the run queue's lock. */
void credit_init_unit(struct sched_unit *u);
int credit_init_domain(struct domain *d);
void credit_destroy_domain(struct domain *d);
/* The CPU that v, which runs nowhere, should wait on. */
unsigned int credit_pick_cpu(struct vcpu *v);
/* v has become runnable, or goes on waiting (woken false); credit_check_preempt follows. */
void credit_enqueue(struct runqueue *rq, struct vcpu *v, bool woken);
void credit_dequeue(struct runqueue *rq, struct vcpu *v);
/* v waits on rq: interrupt who runs there, or tell an idle CPU to fetch it. */
void credit_check_preempt(struct runqueue *rq, struct vcpu *v, s_time_t now);
void credit_tell_idler(struct runqueue *rq, const struct vcpu *v);
/* v has run until now: bring its virtual time up to date. */
void credit_charge(struct runqueue *rq, struct vcpu *v, s_time_t now);
/* v is runnable or not any more. */
void credit_set_active(struct vcpu *v, bool active);
/*
 * Takes the next to run off the queue, or off another CPU's; NULL: none. prev is what ran until
 * now and is in the queue if it may go on; *slice is how long the choice stands, ns.
 */
struct vcpu *credit_pick_next(struct runqueue *rq, struct vcpu *prev, s_time_t now,
                              s_time_t *slice);
/* core/sched.c: a parked vCPU may run again. */
void sched_unpark(struct vcpu *v);
/* core/sched.c: whether v has asked for this very CPU (vcpu_pin_override). */
bool vcpu_pinned_to(struct vcpu *v, unsigned int cpu);
/* core/sched.c: v's affinity or pool has changed. */
void sched_recheck_cpu(struct vcpu *v);
/* core/cpupool.c */
void cpupool_init(void);
void cpupool_cpu_online(unsigned int cpu);
struct cpupool *cpupool_get(unsigned int id);
void cpupool_put(struct cpupool *pool);

#endif
