/* SPDX-License-Identifier: MIT */
/*
 * The scheduler's mechanism: states of vCPUs, run queue locks, the switch.
 *
 * A vCPU that wants to run is in exactly one of these places: it is rq->curr of its processor; it is
 * queued there; it is parked (its domain has used up its cap); or it is being moved (migrate), and
 * context_saved() will queue it. All this changes only under the lock of the run queue of
 * v->processor. v->processor itself changes under that lock too, so whoever wants the lock takes it
 * and looks again (lock_vcpu).
 *
 * is_running is set when a CPU chooses a vCPU and cleared when its state is back in memory. Until
 * then no other CPU may choose it: it stays in its old CPU's queue, and thieves pass it by.
 */
#include <domus/arch.h>
#include <domus/event.h>
#include <domus/heap.h>
#include <domus/keyhandler.h>
#include <domus/lib.h>
#include <domus/softirq.h>
#include <domus/trace.h>
#include <domus/xmalloc.h>
#include <asm/current.h>
#include "sched_queue.h"

DEFINE_PER_CPU(struct runqueue, runqueue);
struct vcpu *idle_vcpu[NR_CPUS];

/* Records of the subclass TRC_SCHED_MIN: the event has the two states, and one word names the vCPU. */
#define TRACE_RUNSTATE(old, new) \
    (TRC_SCHED_RUNSTATE_CHANGE | (uint32_t)(old) << 8 | (uint32_t)(new) << 4)
#define TRACE_VCPU(v) ((v)->vcpu_id | (uint32_t)(v)->domain->domain_id << 16)

/* ---- Locks and states ---- */

/* Interrupts are off. */
static struct runqueue *lock_vcpu_irqs_off(struct vcpu *v)
{
    for (;;) {
        unsigned int cpu = READ_ONCE(v->processor);
        struct runqueue *rq = cpu_rq(cpu);

        spin_lock(&rq->lock);
        if (likely(v->processor == cpu))
            return rq;
        spin_unlock(&rq->lock);
    }
}

static struct runqueue *lock_vcpu(struct vcpu *v, unsigned long *flags)
{
    local_irq_save(*flags);
    return lock_vcpu_irqs_off(v);
}

static void set_runstate(struct vcpu *v, int state, s_time_t now)
{
    s_time_t passed = now - (s_time_t)v->runstate.state_entry_time;

    if (v->runstate.state == state)
        return;
    trace(TRACE_RUNSTATE(v->runstate.state, state), TRACE_VCPU(v));
    if (passed > 0) {
        v->runstate.time[v->runstate.state] += (uint64_t)passed;
        v->runstate.state_entry_time = (uint64_t)now;
    }
    v->runstate.state = state;
}

/* The state of a vCPU that runs nowhere. */
static int stopped_runstate(const struct vcpu *v)
{
    if (vcpu_runnable(v))
        return RUNSTATE_runnable;
    return READ_ONCE(v->pause_flags) & BIT(VPF_BLOCKED) ? RUNSTATE_blocked : RUNSTATE_offline;
}

/* Runnable, and in none of the places where such a vCPU belongs. */
static bool wants_queue(const struct runqueue *rq, const struct vcpu *v)
{
    const struct sched_unit *u = v->sched;

    return vcpu_runnable(v) && !u->queued && !u->parked && !u->migrate && rq->curr != v;
}

/*
 * Chooses a CPU for v, which is not queued, and queues it there if it is to run. rq is locked on
 * entry; the queue that is returned is locked on return.
 */
static struct runqueue *place_vcpu(struct runqueue *rq, struct vcpu *v, bool woken)
{
    s_time_t now;

    if (READ_ONCE(v->is_running) && !vcpu_allowed_on(v, v->processor)) {
        /* Its state is on its way to memory, and context_saved() goes on from here; unless it has
         * just passed: one of the two sees what the other has written. */
        WRITE_ONCE(v->sched->migrate, true);
        smp_mb();
        if (READ_ONCE(v->is_running))
            return rq;
        v->sched->migrate = false;
    }
    if (!READ_ONCE(v->is_running)) {
        unsigned int cpu = credit_pick_cpu(v);

        if (cpu != v->processor) {
            v->processor = cpu;
            spin_unlock(&rq->lock);
            rq = lock_vcpu_irqs_off(v);
        }
    }
    if (wants_queue(rq, v)) {
        now = NOW();
        set_runstate(v, RUNSTATE_runnable, now);
        credit_set_active(v, true);
        credit_enqueue(rq, v, woken);
        credit_check_preempt(rq, v, now);
    }
    return rq;
}

/* ---- Wake and sleep ---- */

void vcpu_wake(struct vcpu *v)
{
    unsigned long flags;
    struct runqueue *rq = lock_vcpu(v, &flags);

    trace(TRC_SCHED_WAKE, v->domain->domain_id, v->vcpu_id);
    if (wants_queue(rq, v))
        rq = place_vcpu(rq, v, true);
    else if (!vcpu_runnable(v) && v->runstate.state == RUNSTATE_blocked)
        set_runstate(v, stopped_runstate(v), NOW());
    spin_unlock_irqrestore(&rq->lock, flags);
}

/* v is not runnable any more: take it out of where it waits. Lock held. */
static void stop_waiting(struct runqueue *rq, struct vcpu *v)
{
    if (v->sched->queued)
        credit_dequeue(rq, v);
    v->sched->parked = false;
    credit_set_active(v, false);
    set_runstate(v, stopped_runstate(v), NOW());
}

void vcpu_sleep_nosync(struct vcpu *v)
{
    unsigned long flags;
    struct runqueue *rq = lock_vcpu(v, &flags);

    trace(TRC_SCHED_SLEEP, v->domain->domain_id, v->vcpu_id);
    if (!vcpu_runnable(v)) {
        if (rq->curr == v)
            cpu_raise_softirq(v->processor, SCHEDULE_SOFTIRQ);
        else
            stop_waiting(rq, v);
    }
    spin_unlock_irqrestore(&rq->lock, flags);
}

void vcpu_sleep_sync(struct vcpu *v)
{
    ASSERT(v != current && local_irq_is_enabled());
    vcpu_sleep_nosync(v);
    while (!vcpu_runnable(v) && READ_ONCE(v->is_running))
        cpu_relax();
    smp_rmb();
}

void sched_unpark(struct vcpu *v)
{
    unsigned long flags;
    struct runqueue *rq = lock_vcpu(v, &flags);

    if (v->sched->parked) {
        v->sched->parked = false;
        if (wants_queue(rq, v))
            rq = place_vcpu(rq, v, false);
    }
    spin_unlock_irqrestore(&rq->lock, flags);
}

void sched_recheck_cpu(struct vcpu *v)
{
    unsigned long flags;
    struct runqueue *rq = lock_vcpu(v, &flags);
    struct sched_unit *u = v->sched;

    if (vcpu_allowed_on(v, v->processor)) {
        if (u->queued)
            credit_tell_idler(rq, v);
    } else if (rq->curr == v)
        cpu_raise_softirq(v->processor, SCHEDULE_SOFTIRQ);
    else if (!u->parked && !u->migrate) {
        if (u->queued)
            credit_dequeue(rq, v);
        rq = place_vcpu(rq, v, false);
    }
    spin_unlock_irqrestore(&rq->lock, flags);
}

/* ---- The switch ---- */

void context_saved(struct vcpu *prev)
{
    struct sched_unit *u = prev->sched;
    struct runqueue *rq;
    unsigned long flags;

    smp_store_release(&prev->is_running, false);
    if (is_idle_vcpu(prev))
        return;
    smp_mb();
    if (!READ_ONCE(u->migrate) &&
        (!READ_ONCE(u->queued) || cpumask_empty(&prev->domain->cpupool->idlers)))
        return;

    rq = lock_vcpu(prev, &flags);
    if (u->migrate) {
        u->migrate = false;
        rq = place_vcpu(rq, prev, false);
    } else if (u->queued)
        credit_tell_idler(rq, prev);
    spin_unlock_irqrestore(&rq->lock, flags);
}

/* prev stops here or goes back to the queue. Lock held. */
static void put_prev(struct runqueue *rq, struct vcpu *prev, s_time_t now)
{
    struct sched_unit *u = prev->sched;

    credit_charge(rq, prev, now);
    u->stopped = now;
    if (!vcpu_runnable(prev))
        credit_set_active(prev, false);
    else if (vcpu_allowed_on(prev, rq->cpu))
        credit_enqueue(rq, prev, false);
    else
        u->migrate = true;
}

/* What follows next when it comes to a CPU: its timers and interrupts. No lock held. */
static void follow_to_cpu(struct vcpu *v, unsigned int cpu)
{
    if (v->sched->home_cpu == cpu)
        return;
    v->sched->home_cpu = cpu;
    migrate_timer(&v->periodic_timer, cpu);
    migrate_timer(&v->singleshot_timer, cpu);
    migrate_timer(&v->poll_timer, cpu);
    evtchn_move_pirqs(v);
}

/* How long prev has run, and how long next has waited to. */
static void trace_switch(struct vcpu *prev, struct vcpu *next, s_time_t now, s_time_t slice)
{
    uint64_t since = (uint64_t)now;

    if (next->runstate.state == RUNSTATE_runnable)
        since = next->runstate.state_entry_time;
    trace(TRC_SCHED_SWITCH_INFPREV, prev->domain->domain_id, prev->vcpu_id,
          (uint32_t)((uint64_t)now - prev->runstate.state_entry_time));
    trace(TRC_SCHED_SWITCH_INFNEXT, next->domain->domain_id, next->vcpu_id,
          (uint32_t)((uint64_t)now - since), (uint32_t)slice);
    trace(TRC_SCHED_SWITCH, prev->domain->domain_id, prev->vcpu_id, next->domain->domain_id,
          next->vcpu_id);
}

/* SCHEDULE_SOFTIRQ. On a real machine it does not return if it switches to a guest. */
static void schedule(void)
{
    unsigned int cpu = smp_processor_id();
    struct runqueue *rq = cpu_rq(cpu);
    struct vcpu *prev = current, *next;
    s_time_t now, slice;

    spin_lock_irq(&rq->lock);
    now = NOW();
    if (!is_idle_vcpu(prev))
        put_prev(rq, prev, now);
    /* Before the search for work elsewhere: who queues some after it will see the bit. */
    if (!rq->nr_queued)
        cpumask_set_cpu(cpu, &rq->pool->idlers);

    next = credit_pick_next(rq, prev, now, &slice);
    if (!next) {
        next = idle_vcpu[cpu];
        slice = 0;
        cpumask_set_cpu(cpu, &rq->pool->idlers);
        stop_timer(&rq->slice_timer);
    } else {
        if (cpumask_test_cpu(cpu, &rq->pool->idlers))
            cpumask_clear_cpu(cpu, &rq->pool->idlers);
        next->sched->charged_until = now;
        set_timer(&rq->slice_timer, now + slice);
    }
    if (next == prev) {
        trace(TRC_SCHED_SWITCH_INFCONT, next->domain->domain_id, next->vcpu_id,
              (uint32_t)((uint64_t)now - next->runstate.state_entry_time), (uint32_t)slice);
        trace(TRC_SCHED_CONTINUE_RUNNING, TRACE_VCPU(next));
        spin_unlock_irq(&rq->lock);
        if (next->periodic_period)
            vcpu_periodic_tick(next);
        return;
    }

    if (trace_wanted(TRC_SCHED_SWITCH))
        trace_switch(prev, next, now, slice);
    set_runstate(prev, is_idle_vcpu(prev) ? RUNSTATE_runnable : stopped_runstate(prev), now);
    set_runstate(next, RUNSTATE_running, now);
    next->is_running = true;
    rq->curr = next;
    rq->curr_start = now;
    spin_unlock_irq(&rq->lock);

    if (prev->periodic_period)
        stop_timer(&prev->periodic_timer);
    if (!is_idle_vcpu(next)) {
        follow_to_cpu(next, cpu);
        if (next->periodic_period)
            vcpu_periodic_tick(next);
    }
    local_irq_disable();
    context_switch(prev, next);
    local_irq_enable();
}

static void slice_end(void *unused __unused)
{
    raise_softirq(SCHEDULE_SOFTIRQ);
}

void idle_loop(void)
{
    for (;;) {
        unsigned int cpu = smp_processor_id();

        if (softirq_pending(cpu)) {
            do_softirq();
            continue;
        }
        if (heap_scrub_some())
            continue;
        local_irq_disable();
        if (softirq_pending(cpu) || !cpu_may_wait())
            local_irq_enable();
        else
            arch_cpu_idle();
    }
}

/* ---- Questions ---- */

void vcpu_runstate_get(struct vcpu *v, struct vcpu_runstate_info *info)
{
    unsigned long flags;
    struct runqueue *rq = lock_vcpu(v, &flags);
    s_time_t passed;

    *info = v->runstate;
    passed = NOW() - (s_time_t)info->state_entry_time;
    if (passed > 0)
        info->time[info->state] += (uint64_t)passed;
    spin_unlock_irqrestore(&rq->lock, flags);
}

uint64_t vcpu_cpu_time(struct vcpu *v)
{
    struct vcpu_runstate_info info;

    vcpu_runstate_get(v, &info);
    return info.time[RUNSTATE_running];
}

uint64_t cpu_idle_time(unsigned int cpu)
{
    return cpu_online(cpu) ? vcpu_cpu_time(idle_vcpu[cpu]) : 0;
}

static void dump_vcpu_line(const char *what, struct vcpu *v)
{
    printk(LOG_INFO "    %s d%uv%u vtime %ld flags %lx pauses %d%s\n", what,
           v->domain->domain_id, v->vcpu_id, v->sched->node.key / 1000, v->pause_flags,
           atomic_read(&v->pause_count), v->is_running ? " on cpu" : "");
}

static void dump_run_queues(char key __unused)
{
    unsigned int cpu;

    for_each_online_cpu(cpu) {
        struct runqueue *rq = cpu_rq(cpu);
        struct lheap_node *node;
        unsigned long flags;

        spin_lock_irqsave(&rq->lock, flags);
        printk(LOG_INFO "CPU%u: pool %d, %u waiting, vtime %ld us, idle %lu ms\n", cpu,
               (int)rq->pool->id, rq->nr_queued, rq->min_vtime / 1000,
               idle_vcpu[cpu]->runstate.time[RUNSTATE_running] / 1000000);
        if (!is_idle_vcpu(rq->curr))
            dump_vcpu_line("runs", rq->curr);
        for (node = lheap_first(&rq->queue); node; node = lheap_next(node))
            dump_vcpu_line("waits", container_of(node, struct sched_unit, node)->vcpu);
        spin_unlock_irqrestore(&rq->lock, flags);
    }
}

/* ---- Affinity ---- */

int vcpu_set_hard_affinity(struct vcpu *v, const cpumask_t *affinity)
{
    unsigned long flags;
    struct runqueue *rq = lock_vcpu(v, &flags);
    int rc = 0;

    /* Under the lock, so that who takes a CPU out of the pool and then goes through the vCPUs meets one or the other. */
    if (!cpumask_intersects(affinity, &v->domain->cpupool->cpus))
        rc = -EINVAL;
    else if (v->sched->pinned)
        v->sched->saved_affinity = *affinity;
    else
        v->hard_affinity = *affinity;
    spin_unlock_irqrestore(&rq->lock, flags);
    if (!rc)
        sched_recheck_cpu(v);
    return rc;
}

void vcpu_set_soft_affinity(struct vcpu *v, const cpumask_t *affinity)
{
    unsigned long flags;
    struct runqueue *rq = lock_vcpu(v, &flags);

    v->soft_affinity = *affinity;
    spin_unlock_irqrestore(&rq->lock, flags);
}

int vcpu_pin_override(struct vcpu *v, int cpu)
{
    struct sched_unit *u = v->sched;
    unsigned long flags;
    struct runqueue *rq;
    int rc = 0;

    if (cpu >= NR_CPUS)
        return -EINVAL;
    rq = lock_vcpu(v, &flags);
    if (cpu < 0) {
        if (u->pinned)
            v->hard_affinity = u->saved_affinity;
        else
            rc = -EINVAL;
        u->pinned = false;
    } else if (u->pinned)
        rc = -EBUSY;
    else if (!cpumask_test_cpu((unsigned int)cpu, &v->domain->cpupool->cpus))
        rc = -EINVAL;
    else {
        u->pinned = true;
        u->saved_affinity = v->hard_affinity;
        v->hard_affinity = cpumask_of((unsigned int)cpu);
    }
    spin_unlock_irqrestore(&rq->lock, flags);
    if (!rc)
        sched_recheck_cpu(v);
    return rc;
}

bool vcpu_pinned_to(struct vcpu *v, unsigned int cpu)
{
    unsigned long flags;
    struct runqueue *rq = lock_vcpu(v, &flags);
    bool pinned = v->sched->pinned && cpumask_test_cpu(cpu, &v->hard_affinity);

    spin_unlock_irqrestore(&rq->lock, flags);
    return pinned;
}

/* ---- Objects ---- */

int sched_init_vcpu(struct vcpu *v)
{
    struct sched_unit *u = xzalloc(struct sched_unit);
    bool idle = is_idle_vcpu(v);
    unsigned int cpu;

    if (!u)
        return -ENOMEM;
    trace(TRC_SCHED_DOM_ADD, v->domain->domain_id, v->vcpu_id);
    u->vcpu = v;
    v->sched = u;
    cpumask_setall(&v->soft_affinity);
    if (idle)
        v->hard_affinity = cpumask_of(v->vcpu_id);
    else
        cpumask_setall(&v->hard_affinity);

    /* Neighbours start on neighbouring CPUs. */
    v->processor = v->vcpu_id;
    if (!idle) {
        const cpumask_t *cpus = &v->domain->cpupool->cpus;

        cpu = v->vcpu_id && v->domain->vcpu[v->vcpu_id - 1]
              ? v->domain->vcpu[v->vcpu_id - 1]->processor : smp_processor_id();
        cpu = cpumask_cycle(cpu, cpus);
        v->processor = cpu < NR_CPUS ? cpu : 0;
    }
    u->home_cpu = v->processor;
    v->runstate.state = idle ? RUNSTATE_runnable : RUNSTATE_offline;
    v->runstate.state_entry_time = (uint64_t)NOW();
    credit_init_unit(u);
    return 0;
}

void sched_destroy_vcpu(struct vcpu *v)
{
    kill_timer(&v->periodic_timer);
    kill_timer(&v->singleshot_timer);
    kill_timer(&v->poll_timer);
    trace(TRC_SCHED_DOM_REM, v->domain->domain_id, v->vcpu_id);
    XFREE(v->sched);
}

int sched_init_domain(struct domain *d, unsigned int pool_id)
{
    int rc;

    d->cpupool = cpupool_get(pool_id);
    if (!d->cpupool)
        return -EINVAL;
    /* While the pool has a domain its last CPU stays. */
    rc = cpumask_empty(&d->cpupool->cpus) ? -ENODEV : credit_init_domain(d);
    if (rc) {
        cpupool_put(d->cpupool);
        d->cpupool = NULL;
    }
    return rc;
}

void sched_destroy_domain(struct domain *d)
{
    if (d->sched_priv)
        credit_destroy_domain(d);
    if (d->cpupool)
        cpupool_put(d->cpupool);
    d->cpupool = NULL;
}

/* ---- CPUs ---- */

static int prepare_cpu(unsigned int cpu)
{
    struct runqueue *rq = cpu_rq(cpu);

    spin_lock_init(&rq->lock, RANK_SCHED);
    rq->cpu = cpu;
    rq->pool = &free_pool;
    init_timer(&rq->slice_timer, slice_end, NULL, cpu);
    if (!idle_vcpu[cpu])
        idle_vcpu[cpu] = vcpu_create(idle_domain, cpu);
    if (!idle_vcpu[cpu])
        return -ENOMEM;
    idle_vcpu[cpu]->is_running = true;
    rq->curr = idle_vcpu[cpu];
    set_runstate(idle_vcpu[cpu], RUNSTATE_running, NOW());
    return 0;
}

int sched_cpu_prepare(unsigned int cpu)
{
    timer_cpu_init(cpu);
    tasklet_cpu_init(cpu);
    return prepare_cpu(cpu);
}

void sched_cpu_online(void)
{
    cpupool_cpu_online(smp_processor_id());
}

void __init scheduler_init(void)
{
    cpupool_init();
    domain_init_special();
    if (prepare_cpu(0))
        panic("No memory for the scheduler");
    set_current(idle_vcpu[0]);
    open_softirq(SCHEDULE_SOFTIRQ, schedule);
    register_keyhandler('r', dump_run_queues, "run queues");
    domain_keys_init();
}
