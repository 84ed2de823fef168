/* SPDX-License-Identifier: MIT */
/*
 * CPU pools: disjoint sets of CPUs, each with a scheduler of its own parameters. Every domain is in
 * one pool; CPUs that are in none run nothing. Pool 0 is there from boot and takes all CPUs.
 * Interface: XEN_SYSCTL_cpupool_op in <xen/sysctl.h>, whose comment defines the errors.
 */
#include <domus/lib.h>
#include <domus/param.h>
#include <domus/softirq.h>
#include <domus/xmalloc.h>
#include "sched_queue.h"
#include "bitmap_guest.h"

#define POOL_NONE (~0u)

DEFINE_SPINLOCK(cpupool_lock, RANK_CPUPOOL);
struct cpupool *pool0;
struct cpupool free_pool = { .id = POOL_NONE, .tslice_ms = 10 };
static struct cpupool offline_pool = { .id = POOL_NONE, .tslice_ms = 10 };     /* off line, or about to be */
static LIST_HEAD(pools);        /* by id; under cpupool_lock */

static unsigned int opt_tslice_ms __initdata = 10;
static unsigned int opt_ratelimit_us __initdata = 1000;
PARAM_INT("sched_credit_tslice_ms", opt_tslice_ms);
PARAM_INT("sched_ratelimit_us", opt_ratelimit_us);

static int __init parse_sched(const char *value)
{
    return strcmp(value, "credit") ? -EINVAL : 0;
}
PARAM_CUSTOM("sched", parse_sched);

/* Lock held. */
static struct cpupool *find_pool(unsigned int id)
{
    struct cpupool *pool;

    list_for_each_entry(pool, &pools, list)
        if (pool->id == id)
            return pool;
    return NULL;
}

/* The pool with this id or, if there is none, the next: for tools that list them. Lock held. */
static struct cpupool *find_pool_from(unsigned int id)
{
    struct cpupool *pool;

    list_for_each_entry(pool, &pools, list)
        if (pool->id >= id)
            return pool;
    return NULL;
}

int cpupool_next_id(unsigned int id)
{
    struct cpupool *pool;
    int next;

    spin_lock(&cpupool_lock);
    pool = find_pool_from(id);
    next = pool ? (int)pool->id : -1;
    spin_unlock(&cpupool_lock);
    return next;
}

struct cpupool *cpupool_get(unsigned int id)
{
    struct cpupool *pool;

    spin_lock(&cpupool_lock);
    pool = find_pool(id);
    if (pool)
        pool->nr_domains++;
    spin_unlock(&cpupool_lock);
    return pool;
}

void cpupool_put(struct cpupool *pool)
{
    spin_lock(&cpupool_lock);
    pool->nr_domains--;
    spin_unlock(&cpupool_lock);
}

unsigned int cpupool_domain_id(const struct domain *d)
{
    return d->cpupool ? d->cpupool->id : POOL_NONE;
}

const cpumask_t *cpupool_domain_cpus(const struct domain *d)
{
    return d->cpupool ? &d->cpupool->cpus : &cpu_online_map;
}

/* Moves an unused CPU from one pool to another. */
static void give_cpu(unsigned int cpu, struct cpupool *from, struct cpupool *to)
{
    struct runqueue *rq = cpu_rq(cpu);
    unsigned long flags;

    spin_lock_irqsave(&rq->lock, flags);
    cpumask_clear_cpu(cpu, &from->cpus);
    cpumask_clear_cpu(cpu, &from->idlers);
    cpumask_clear_cpu(cpu, &from->overloaded);
    rq->pool = to;
    cpumask_set_cpu(cpu, &to->cpus);
    spin_unlock_irqrestore(&rq->lock, flags);
    cpu_raise_softirq(cpu, SCHEDULE_SOFTIRQ);
}

/* Every vCPU that may not stay where it is moves. The CPU's pool or the domain's has changed. */
static void recheck_domain(struct domain *d)
{
    struct vcpu *v;

    for_each_vcpu(d, v) {
        if (!cpumask_intersects(&v->hard_affinity, &d->cpupool->cpus)) {
            cpumask_t all;

            cpumask_setall(&all);
            (void)vcpu_set_hard_affinity(v, &all);
        }
        sched_recheck_cpu(v);
    }
}

static void recheck_pool(const struct cpupool *pool)
{
    struct domain *d;

    read_lock(&domlist_lock);
    for_each_domain(d)
        if (d->cpupool == pool)
            recheck_domain(d);
    read_unlock(&domlist_lock);
}

/* Whether a vCPU has asked for this very CPU. No other can as long as the CPU is in no pool with domains. */
static bool pinned_in_pool(const struct cpupool *pool, unsigned int cpu)
{
    struct domain *d;
    struct vcpu *v;
    bool pinned = false;

    read_lock(&domlist_lock);
    for_each_domain(d) {
        if (d->cpupool != pool)
            continue;
        for_each_vcpu(d, v)
            pinned |= vcpu_pinned_to(v, cpu);
    }
    read_unlock(&domlist_lock);
    return pinned;
}

static int create_pool(struct xen_sysctl_cpupool_op *op)
{
    struct cpupool *pool, *p;
    unsigned int id = op->cpupool_id;

    if (op->sched_id != sched_id())
        return -ENOENT;
    pool = xzalloc(struct cpupool);
    if (!pool)
        return -ENOMEM;
    spin_lock(&cpupool_lock);
    if (id == XEN_SYSCTL_CPUPOOL_PAR_ANY) {
        for (id = 0; find_pool(id); id++)
            ;
    } else if (find_pool(id)) {
        spin_unlock(&cpupool_lock);
        xfree(pool);
        return -EEXIST;
    }
    pool->id = id;
    pool->tslice_ms = pool0->tslice_ms;
    pool->ratelimit_us = pool0->ratelimit_us;
    pool->migr_delay_us = pool0->migr_delay_us;
    p = find_pool_from(id);
    list_add_tail(&pool->list, p ? &p->list : &pools);
    op->cpupool_id = id;
    spin_unlock(&cpupool_lock);
    return 0;
}

/* The operations below are called with cpupool_lock held. */

static int destroy_pool(struct cpupool *pool)
{
    unsigned int cpu;

    if (pool == pool0 || pool->nr_domains)
        return -EBUSY;
    for_each_cpu(cpu, &pool->cpus)
        give_cpu(cpu, pool, &free_pool);
    list_del(&pool->list);
    xfree(pool);
    return 0;
}

static int add_cpu(struct cpupool *pool, unsigned int cpu)
{
    if (cpu == XEN_SYSCTL_CPUPOOL_PAR_ANY)
        cpu = cpumask_first(&free_pool.cpus);
    if (cpu >= NR_CPUS)
        return -EINVAL;
    if (!cpumask_test_cpu(cpu, &free_pool.cpus))
        return -ENODEV;
    give_cpu(cpu, &free_pool, pool);
    return 0;
}

/* The CPU goes from a pool to one that has no domains; vCPUs that are on it move. */
static int take_cpu(struct cpupool *pool, unsigned int cpu, struct cpupool *to)
{
    if (cpumask_weight(&pool->cpus) == 1 && pool->nr_domains)
        return -EBUSY;
    give_cpu(cpu, pool, to);
    if (pinned_in_pool(pool, cpu)) {
        give_cpu(cpu, to, pool);
        return -EADDRINUSE;
    }
    recheck_pool(pool);
    return 0;
}

static int remove_cpu(struct cpupool *pool, unsigned int cpu)
{
    if (cpu == XEN_SYSCTL_CPUPOOL_PAR_ANY) {
        unsigned int c;

        for_each_cpu(c, &pool->cpus)
            cpu = c;
    }
    if (cpu >= NR_CPUS || !cpu_online(cpu))
        return -EINVAL;
    if (!cpumask_test_cpu(cpu, &pool->cpus))
        return -EADDRNOTAVAIL;
    return take_cpu(pool, cpu, &free_pool);
}

/* d is paused: nobody runs while the pool changes under them. */
static int move_domain(struct cpupool *pool, struct domain *d)
{
    if (!d->cpupool)
        return -EINVAL;
    if (cpumask_empty(&pool->cpus))
        return -EBUSY;
    d->cpupool->nr_domains--;
    pool->nr_domains++;
    d->cpupool = pool;
    recheck_domain(d);
    return 0;
}

static int pool_info(struct xen_sysctl_cpupool_op *op, const struct cpupool *pool)
{
    op->cpupool_id = pool->id;
    op->sched_id = sched_id();
    op->n_dom = pool->nr_domains;
    return cpumask_to_guest(&op->cpumap, &pool->cpus);
}

int cpupool_do_sysctl(struct xen_sysctl_cpupool_op *op)
{
    struct cpupool *pool;
    struct domain *d = NULL;
    int rc;

    if (op->op == XEN_SYSCTL_CPUPOOL_OP_CREATE)
        return create_pool(op);
    if (op->op == XEN_SYSCTL_CPUPOOL_OP_MOVEDOMAIN) {
        if (op->domid == current->domain->domain_id || op->domid >= DOMID_FIRST_RESERVED)
            return -EINVAL;
        d = get_domain_by_id((domid_t)op->domid);
        if (!d)
            return -EINVAL;
        domain_pause(d);
    }

    spin_lock(&cpupool_lock);
    pool = op->op == XEN_SYSCTL_CPUPOOL_OP_INFO ? find_pool_from(op->cpupool_id)
                                                : find_pool(op->cpupool_id);
    if (op->op == XEN_SYSCTL_CPUPOOL_OP_FREEINFO)
        rc = cpumask_to_guest(&op->cpumap, &free_pool.cpus);
    else if (!pool)
        rc = -ENOENT;
    else
        switch (op->op) {
        case XEN_SYSCTL_CPUPOOL_OP_DESTROY:
            rc = destroy_pool(pool);
            break;
        case XEN_SYSCTL_CPUPOOL_OP_INFO:
            rc = pool_info(op, pool);
            break;
        case XEN_SYSCTL_CPUPOOL_OP_ADDCPU:
            rc = add_cpu(pool, op->cpu);
            break;
        case XEN_SYSCTL_CPUPOOL_OP_RMCPU:
            rc = remove_cpu(pool, op->cpu);
            break;
        case XEN_SYSCTL_CPUPOOL_OP_MOVEDOMAIN:
            rc = move_domain(pool, d);
            break;
        default:
            rc = -ENOSYS;
        }
    spin_unlock(&cpupool_lock);
    if (d) {
        domain_unpause(d);
        put_domain(d);
    }
    return rc;
}

void cpupool_cpu_online(unsigned int cpu)
{
    give_cpu(cpu, &free_pool, pool0);
}

int cpupool_cpu_leave(unsigned int cpu)
{
    int rc = -ENODEV;

    spin_lock(&cpupool_lock);
    if (cpumask_test_cpu(cpu, &offline_pool.cpus)) {
        recheck_pool(pool0);
        rc = 0;
    } else if (cpumask_test_cpu(cpu, &pool0->cpus))
        rc = take_cpu(pool0, cpu, &offline_pool);
    else if (cpumask_test_cpu(cpu, &free_pool.cpus))
        rc = take_cpu(&free_pool, cpu, &offline_pool);
    spin_unlock(&cpupool_lock);
    return rc;
}

/*
 * Timers and interrupts of vCPUs that ran on cpu last have been handed over: they are to follow when such a one comes back.
 * It does not run there yet; if another CPU takes it just now, that is only told twice.
 */
static void forget_home(unsigned int cpu)
{
    struct domain *d;
    struct vcpu *v;

    read_lock(&domlist_lock);
    for_each_domain(d)
        for_each_vcpu(d, v)
            if (READ_ONCE(v->sched->home_cpu) == cpu)
                WRITE_ONCE(v->sched->home_cpu, NO_HOME);
    read_unlock(&domlist_lock);
}

void cpupool_cpu_return(unsigned int cpu)
{
    forget_home(cpu);
    spin_lock(&cpupool_lock);
    give_cpu(cpu, &offline_pool, pool0);
    spin_unlock(&cpupool_lock);
}

void __init cpupool_init(void)
{
    INIT_LIST_HEAD(&pools);
    free_pool.cpus = offline_pool.cpus = CPU_MASK_NONE;
    pool0 = xzalloc(struct cpupool);
    if (!pool0)
        panic("No memory for CPU pool 0");
    pool0->tslice_ms = clamp(opt_tslice_ms, (unsigned int)XEN_SYSCTL_CSCHED_TSLICE_MIN,
                             (unsigned int)XEN_SYSCTL_CSCHED_TSLICE_MAX);
    pool0->ratelimit_us = min(opt_ratelimit_us, pool0->tslice_ms * 1000);
    list_add(&pool0->list, &pools);
}
