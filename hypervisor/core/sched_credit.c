/* SPDX-License-Identifier: MIT */
/*
 * The scheduler's policy: proportional shares by virtual time.
 *
 * A domain has a virtual time that runs as its vCPUs run, all of them together, the slower the more
 * weight it has: 256 / w for each nanosecond. That of a vCPU goes on with its domain's, from when it
 * wants to run until it sleeps, so that a domain's share follows its weight however many vCPUs it
 * spreads over. (Not if they run in turn, each waking the next and sleeping: a sleeper pays nothing
 * for what the others use meanwhile, and such a domain gets more.) It is brought up to date when the
 * vCPU has run. A queue runs the vCPU that is furthest behind. One that wakes is put at most
 * WAKE_CREDIT behind the queue: enough to interrupt those who compute, too little to starve them.
 *
 * Virtual time means the same on all CPUs. A CPU at the end of a slice whose best candidate is well
 * ahead of someone who waits on another CPU fetches that one; an idle CPU fetches anyone. Three
 * equal vCPUs on two CPUs thus get two thirds each. Where pinning lets CPUs drift apart, a vCPU that
 * moves is brought within bounds of its new queue.
 *
 * A cap is a budget of CPU time for each period, all of the domain's vCPUs together; once it is
 * used up they are parked until the next period.
 */
#include <domus/domain.h>
#include <domus/lib.h>
#include <domus/param.h>
#include <domus/softirq.h>
#include <domus/xmalloc.h>
#include "sched_queue.h"

#define DEFAULT_WEIGHT  256u
#define MAX_WEIGHT      65535u
#define CAP_PERIOD      MILLISECS(30)
#define MIN_SLICE       ((s_time_t)MICROSECS(100))

#define WAKE_CREDIT     MILLISECS(5)    /* how far behind a woken vCPU may start */
#define MOVE_CREDIT     MILLISECS(30)   /* how far behind one that comes from another CPU */
#define PREEMPT_MARGIN  MICROSECS(500)  /* behind by more than this: interrupt who runs */
#define FETCH_MARGIN    MILLISECS(5)    /* behind by more than this: fetch it from another CPU */
#define FETCH_DEPTH     32              /* waiting vCPUs looked at on another CPU */

/* ---- Virtual time; it may wrap around ---- */

static int64_t vt_add(int64_t t, int64_t delta)
{
    return (int64_t)((uint64_t)t + (uint64_t)delta);
}

static int64_t vt_sub(int64_t a, int64_t b)
{
    return (int64_t)((uint64_t)a - (uint64_t)b);
}

static int64_t vt_later(int64_t a, int64_t b)
{
    return lheap_before(a, b) ? b : a;
}

static int64_t vt_earlier(int64_t a, int64_t b)
{
    return lheap_before(a, b) ? a : b;
}

/* Nanoseconds of CPU as virtual time of the domain. */
static int64_t vt_scale(const struct sched_dom *sd, s_time_t ns)
{
    return ns * (int64_t)DEFAULT_WEIGHT / (int64_t)READ_ONCE(sd->weight);
}

static s_time_t tslice(const struct runqueue *rq)
{
    return MILLISECS(rq->pool->tslice_ms);
}

/* ---- The queue ---- */

static struct sched_unit *first_unit(const struct runqueue *rq)
{
    struct lheap_node *node = lheap_first(&rq->queue);

    return node ? container_of(node, struct sched_unit, node) : NULL;
}

static void queue_changed(struct runqueue *rq)
{
    if (rq->nr_queued)
        WRITE_ONCE(rq->first_key, lheap_first(&rq->queue)->key);
    if ((rq->nr_queued != 0) != cpumask_test_cpu(rq->cpu, &rq->pool->overloaded)) {
        if (rq->nr_queued)
            cpumask_set_cpu(rq->cpu, &rq->pool->overloaded);
        else
            cpumask_clear_cpu(rq->cpu, &rq->pool->overloaded);
    }
}

static void insert(struct runqueue *rq, struct sched_unit *u)
{
    lheap_insert(&rq->queue, &u->node);
    u->queued = true;
    rq->nr_queued++;
    queue_changed(rq);
}

void credit_dequeue(struct runqueue *rq, struct vcpu *v)
{
    struct sched_unit *u = v->sched;

    lheap_remove(&rq->queue, &u->node);
    u->queued = false;
    rq->nr_queued--;
    queue_changed(rq);
}

/*
 * No vCPU is queued further ahead than two turns of all of its domain that want to run: siblings that have CPUs for
 * themselves do not starve it.
 */
static void limit_lead(struct runqueue *rq, struct sched_unit *u)
{
    const struct sched_dom *sd = sched_dom(u->vcpu->domain);
    int64_t turns = 2 * max(atomic_read(&sd->active), 1);

    u->node.key = vt_earlier(u->node.key, vt_add(rq->min_vtime, turns * vt_scale(sd, tslice(rq)) + WAKE_CREDIT));
}

/* Brings u's virtual time within bounds of the queue that it comes to. */
static void adjust_vtime(struct runqueue *rq, struct sched_unit *u, int64_t credit)
{
    u->node.key = vt_later(u->node.key, vt_add(rq->min_vtime, -credit));
    if (!rq->nr_queued && is_idle_vcpu(rq->curr))
        rq->min_vtime = u->node.key;
    else
        limit_lead(rq, u);
}

void credit_enqueue(struct runqueue *rq, struct vcpu *v, bool woken)
{
    struct sched_unit *u = v->sched;

    if (woken)
        adjust_vtime(rq, u, WAKE_CREDIT);
    else if (rq->curr != v)
        adjust_vtime(rq, u, MOVE_CREDIT);
    else
        limit_lead(rq, u);
    insert(rq, u);
}

void credit_set_active(struct vcpu *v, bool active)
{
    if (v->sched->active == active)
        return;
    v->sched->active = active;
    if (active) {
        v->sched->charged_vtime = READ_ONCE(sched_dom(v->domain)->vtime);
        atomic_inc(&sched_dom(v->domain)->active);
    } else {
        atomic_dec(&sched_dom(v->domain)->active);
    }
}

/* ---- Caps ---- */

static s_time_t cap_budget(const struct sched_dom *sd)
{
    return CAP_PERIOD * (s_time_t)sd->cap / 100;
}

/* Begins a new period if one is due. What was used beyond the budget is paid back. Lock held. */
static void cap_refill(struct sched_dom *sd, s_time_t now)
{
    s_time_t periods = (now - sd->period_start) / CAP_PERIOD;

    if (periods <= 0)
        return;
    sd->period_start += periods * CAP_PERIOD;
    sd->budget = periods > 100 ? cap_budget(sd)
                 : min(sd->budget + periods * cap_budget(sd), cap_budget(sd));
}

static void cap_charge(struct sched_dom *sd, s_time_t ns, s_time_t now)
{
    unsigned long flags;

    spin_lock_irqsave(&sd->lock, flags);
    cap_refill(sd, now);
    sd->budget -= ns;
    spin_unlock_irqrestore(&sd->lock, flags);
}

/* What v may use of its domain's budget now; at most `slice`, 0: nothing. */
static s_time_t cap_limit_slice(struct vcpu *v, s_time_t now, s_time_t slice)
{
    struct sched_dom *sd = sched_dom(v->domain);
    unsigned long flags;
    s_time_t left;

    if (!READ_ONCE(sd->cap))
        return slice;
    spin_lock_irqsave(&sd->lock, flags);
    cap_refill(sd, now);
    left = sd->budget;
    spin_unlock_irqrestore(&sd->lock, flags);
    if (left <= 0)
        return 0;
    left = max(left / max(atomic_read(&sd->active), 1), MIN_SLICE);
    return min(left, slice);
}

/* v has been taken off its queue and waits for the next period. */
static void cap_park(struct vcpu *v)
{
    struct sched_dom *sd = sched_dom(v->domain);

    v->sched->parked = true;
    set_timer(&sd->unpark_timer, READ_ONCE(sd->period_start) + CAP_PERIOD);
}

static void cap_unpark_all(void *data)
{
    struct sched_dom *sd = data;
    struct vcpu *v;

    for_each_vcpu(sd->domain, v)
        sched_unpark(v);
}

/* ---- Running ---- */

/*
 * How far the virtual time of a vCPU goes on that has run for `own` while its domain's went on by `all`: as far, but no
 * further than twice its own time for each that wants to run, as siblings on other CPUs may have run long while it
 * waited. Of its siblings it goes behind those that ran less, by up to half of what it ran beyond its part.
 */
static int64_t vt_charge(const struct sched_dom *sd, int64_t own, int64_t all)
{
    int64_t parts = max(atomic_read(&sd->active), 1) * own;

    all = min(all, 2 * parts);
    return all + min(parts - all, own) / 2;
}

void credit_charge(struct runqueue *rq, struct vcpu *v, s_time_t now)
{
    struct sched_dom *sd = sched_dom(v->domain);
    struct sched_unit *u = v->sched;
    s_time_t ns = now - u->charged_until;
    int64_t own, vtime;

    (void)rq;
    if (ns <= 0)
        return;
    u->charged_until = now;
    own = vt_scale(sd, ns);
    vtime = __atomic_add_fetch(&sd->vtime, own, __ATOMIC_RELAXED);
    u->node.key = vt_add(u->node.key, vt_charge(sd, own, vt_sub(vtime, u->charged_vtime)));
    u->charged_vtime = vtime;
    if (READ_ONCE(sd->cap))
        cap_charge(sd, ns, now);
}

void credit_tell_idler(struct runqueue *rq, const struct vcpu *v)
{
    cpumask_t idle;
    unsigned int cpu;

    cpumask_and(&idle, &rq->pool->idlers, &v->hard_affinity);
    cpu = cpumask_cycle(rq->cpu, &idle);
    /* Who clears the bit has found it idle; another that wakes someone looks further. */
    if (cpu < NR_CPUS && cpumask_test_and_clear_cpu(cpu, &rq->pool->idlers))
        cpu_raise_softirq(cpu, SCHEDULE_SOFTIRQ);
}

void credit_check_preempt(struct runqueue *rq, struct vcpu *v, s_time_t now)
{
    struct vcpu *curr = rq->curr;
    const struct sched_dom *sd;
    int64_t own, curr_key;
    s_time_t limit;

    if (is_idle_vcpu(curr)) {
        cpumask_clear_cpu(rq->cpu, &rq->pool->idlers);
        cpu_raise_softirq(rq->cpu, SCHEDULE_SOFTIRQ);
        return;
    }
    sd = sched_dom(curr->domain);
    own = vt_scale(sd, max(now - curr->sched->charged_until, (s_time_t)0));
    curr_key = vt_add(curr->sched->node.key,
                      vt_charge(sd, own, vt_sub(READ_ONCE(sd->vtime), curr->sched->charged_vtime) + own));
    if (lheap_before(vt_add(v->sched->node.key, PREEMPT_MARGIN), curr_key)) {
        /* Who runs keeps the CPU for the rate limit's time. */
        limit = rq->curr_start + MICROSECS(rq->pool->ratelimit_us);
        if (now >= limit)
            cpu_raise_softirq(rq->cpu, SCHEDULE_SOFTIRQ);
        else if (timer_expires(&rq->slice_timer) > limit)
            set_timer(&rq->slice_timer, limit);
    }
    if (!cpumask_empty(&rq->pool->idlers))
        credit_tell_idler(rq, v);
}

/*
 * The best vCPU that waits on peer and may run on cpu, or NULL. If `before` is not NULL it must be
 * behind that time by FETCH_MARGIN, and be happy on cpu. Peer's lock is held.
 */
static struct sched_unit *best_on_peer(struct runqueue *peer, unsigned int cpu,
                                       const int64_t *before, s_time_t now)
{
    s_time_t hot = MICROSECS(peer->pool->migr_delay_us);
    struct sched_unit *best = NULL;
    struct lheap_node *node;
    unsigned int n = 0;
    bool best_soft = false;

    for (node = lheap_first(&peer->queue); node && n < FETCH_DEPTH; node = lheap_next(node), n++) {
        struct sched_unit *u = container_of(node, struct sched_unit, node);
        bool soft = cpumask_test_cpu(cpu, &u->vcpu->soft_affinity);

        if (READ_ONCE(u->vcpu->is_running) || !vcpu_allowed_on(u->vcpu, cpu))
            continue;
        if (before && (!soft || now - u->stopped < hot ||
                       !lheap_before(vt_add(node->key, FETCH_MARGIN), *before)))
            continue;
        if (!best || (soft && !best_soft) ||
            (soft == best_soft && lheap_before(node->key, best->node.key))) {
            best = u;
            best_soft = soft;
        }
    }
    return best;
}

/*
 * Fetches a vCPU that waits on another CPU. `before` as above. Both queues are locked for the
 * move; the other's lock is only tried, so that two CPUs that look at each other do not wait.
 */
static struct vcpu *fetch(struct runqueue *rq, const int64_t *before, s_time_t now)
{
    const cpumask_t *overloaded = &rq->pool->overloaded;
    unsigned int n = cpumask_weight(overloaded), cpu = rq->cpu;

    for (; n; n--) {
        struct runqueue *peer;
        struct sched_unit *u;

        cpu = cpumask_cycle(cpu, overloaded);
        if (cpu >= NR_CPUS)
            break;
        peer = cpu_rq(cpu);
        if (peer == rq || (before && !lheap_before(vt_add(READ_ONCE(peer->first_key), FETCH_MARGIN),
                                                   *before)))
            continue;
        if (!spin_trylock(&peer->lock)) {
            /* The holder may have looked for idle CPUs before this one became one. */
            if (!before)
                raise_softirq(SCHEDULE_SOFTIRQ);
            continue;
        }
        u = best_on_peer(peer, rq->cpu, before, now);
        if (u) {
            credit_dequeue(peer, u->vcpu);
            u->vcpu->processor = rq->cpu;
        }
        spin_unlock(&peer->lock);
        if (u) {
            adjust_vtime(rq, u, MOVE_CREDIT);
            return u->vcpu;
        }
    }
    return NULL;
}

/* Takes the first of the queue that its cap lets run; *slice is limited by the cap. */
static struct sched_unit *take_first(struct runqueue *rq, s_time_t now, s_time_t *slice)
{
    struct sched_unit *u;

    while ((u = first_unit(rq)) != NULL) {
        s_time_t limit = cap_limit_slice(u->vcpu, now, *slice);

        credit_dequeue(rq, u->vcpu);
        if (limit) {
            *slice = limit;
            return u;
        }
        cap_park(u->vcpu);
    }
    return NULL;
}

/* Fetches one that its cap lets run; those that it does not are parked. */
static struct sched_unit *fetch_runnable(struct runqueue *rq, const int64_t *before, s_time_t now,
                                         s_time_t *slice)
{
    struct vcpu *v;

    while ((v = fetch(rq, before, now)) != NULL) {
        s_time_t limit = cap_limit_slice(v, now, tslice(rq));

        if (limit) {
            *slice = limit;
            return v->sched;
        }
        cap_park(v);
    }
    return NULL;
}

struct vcpu *credit_pick_next(struct runqueue *rq, struct vcpu *prev, s_time_t now,
                              s_time_t *slice)
{
    struct sched_unit *p = prev->sched, *u;
    s_time_t limit = rq->curr_start + MICROSECS(rq->pool->ratelimit_us), cap_slice;
    bool yielding = p->yielding;
    struct sched_unit *fetched;
    int64_t key;

    *slice = tslice(rq);
    p->yielding = false;

    /* Who has just begun goes on for a while. */
    if (p->queued && !yielding && now < limit &&
        (cap_slice = cap_limit_slice(prev, now, max(limit - now, MIN_SLICE))) != 0) {
        credit_dequeue(rq, prev);
        *slice = rq->nr_queued ? cap_slice : cap_limit_slice(prev, now, *slice);
        return prev;
    }

    u = take_first(rq, now, slice);
    if (u == p && u && yielding && rq->nr_queued) {
        *slice = tslice(rq);
        u = take_first(rq, now, slice);
        if (u)
            insert(rq, p);
        else
            u = p;
    }
    if (!u || !cpumask_empty(&rq->pool->overloaded)) {
        if (u)
            key = u->node.key;
        fetched = fetch_runnable(rq, u ? &key : NULL, now, slice);
        if (fetched && u)
            insert(rq, u);
        if (fetched)
            u = fetched;
    }
    if (!u)
        return NULL;

    /* The queue's time is that of the one furthest behind; it does not go back. */
    key = rq->nr_queued ? vt_earlier(u->node.key, rq->first_key) : u->node.key;
    rq->min_vtime = vt_later(rq->min_vtime, key);
    if (rq->nr_queued && first_unit(rq) != p && !cpumask_empty(&rq->pool->idlers))
        credit_tell_idler(rq, first_unit(rq)->vcpu);
    return u->vcpu;
}

unsigned int credit_pick_cpu(struct vcpu *v)
{
    const struct cpupool *pool = v->domain->cpupool;
    cpumask_t allowed, liked, idle;
    unsigned int cpu, best = NR_CPUS;

    cpumask_and(&allowed, &v->hard_affinity, &pool->cpus);
    if (cpumask_empty(&allowed))
        allowed = pool->cpus;
    cpumask_and(&liked, &allowed, &v->soft_affinity);

    /* An idle CPU: where it was, else one that it likes, else any. */
    cpumask_and(&idle, cpumask_empty(&liked) ? &allowed : &liked, &pool->idlers);
    if (cpumask_test_cpu(v->processor, &idle))
        return v->processor;
    if (cpumask_empty(&idle))
        cpumask_and(&idle, &allowed, &pool->idlers);
    cpu = cpumask_cycle(v->processor, &idle);
    if (cpu < NR_CPUS)
        return cpu;

    /* All are busy: where it was, else the shortest queue. */
    if (cpumask_empty(&liked))
        liked = allowed;
    if (cpumask_test_cpu(v->processor, &liked))
        return v->processor;
    for_each_cpu(cpu, &liked)
        if (best == NR_CPUS || READ_ONCE(cpu_rq(cpu)->nr_queued) < cpu_rq(best)->nr_queued)
            best = cpu;
    return best < NR_CPUS ? best : v->processor;
}

/* ---- Objects and parameters ---- */

void credit_init_unit(struct sched_unit *u)
{
    u->node.key = cpu_rq(u->vcpu->processor)->min_vtime;
}

int credit_init_domain(struct domain *d)
{
    struct sched_dom *sd = xzalloc(struct sched_dom);

    if (!sd)
        return -ENOMEM;
    sd->domain = d;
    sd->weight = DEFAULT_WEIGHT;
    spin_lock_init(&sd->lock, RANK_LEAF);
    init_timer(&sd->unpark_timer, cap_unpark_all, sd, cpumask_first(&d->cpupool->cpus));
    d->sched_priv = sd;
    return 0;
}

void credit_destroy_domain(struct domain *d)
{
    kill_timer(&sched_dom(d)->unpark_timer);
    XFREE(d->sched_priv);
}

unsigned int sched_id(void)
{
    return XEN_SCHEDULER_CREDIT;
}

int sched_adjust_domain(struct domain *d, struct xen_domctl_scheduler_op *op)
{
    struct sched_dom *sd = sched_dom(d);
    struct xen_domctl_sched_credit *p = &op->u.credit;
    unsigned long flags;

    if (op->sched_id != XEN_SCHEDULER_CREDIT)
        return -EINVAL;
    switch (op->cmd) {
    case XEN_DOMCTL_SCHEDOP_getinfo:
        p->weight = (uint16_t)sd->weight;
        p->cap = (uint16_t)sd->cap;
        return 0;

    case XEN_DOMCTL_SCHEDOP_putinfo:
        /* Weight 0 and cap ~0 leave things as they are. */
        if (p->cap != (uint16_t)~0U && p->cap > 100 * d->max_vcpus)
            return -EINVAL;
        if (p->weight)
            WRITE_ONCE(sd->weight, p->weight);
        if (p->cap != (uint16_t)~0U) {
            spin_lock_irqsave(&sd->lock, flags);
            WRITE_ONCE(sd->cap, p->cap);
            sd->period_start = NOW();
            sd->budget = cap_budget(sd);
            spin_unlock_irqrestore(&sd->lock, flags);
            cap_unpark_all(sd);
        }
        return 0;
    }
    return -EINVAL;
}

int sched_adjust_global(struct xen_sysctl_scheduler_op *op)
{
    struct xen_sysctl_credit_schedule *p = &op->u.sched_credit;
    struct cpupool *pool;
    int rc = 0;

    if (op->sched_id != XEN_SCHEDULER_CREDIT)
        return -EINVAL;
    pool = cpupool_get(op->cpupool_id);
    if (!pool)
        return -ESRCH;
    switch (op->cmd) {
    case XEN_SYSCTL_SCHEDOP_putinfo:
        if (p->tslice_ms > XEN_SYSCTL_CSCHED_TSLICE_MAX ||
            p->tslice_ms < XEN_SYSCTL_CSCHED_TSLICE_MIN ||
            (p->ratelimit_us && (p->ratelimit_us > XEN_SYSCTL_SCHED_RATELIMIT_MAX ||
                                 p->ratelimit_us < XEN_SYSCTL_SCHED_RATELIMIT_MIN)) ||
            p->ratelimit_us > p->tslice_ms * 1000 ||
            p->vcpu_migr_delay_us > XEN_SYSCTL_CSCHED_MGR_DLY_MAX_US) {
            rc = -EINVAL;
            break;
        }
        pool->tslice_ms = p->tslice_ms;
        pool->ratelimit_us = p->ratelimit_us;
        pool->migr_delay_us = p->vcpu_migr_delay_us;
        fallthrough;
    case XEN_SYSCTL_SCHEDOP_getinfo:
        p->tslice_ms = pool->tslice_ms;
        p->ratelimit_us = pool->ratelimit_us;
        p->vcpu_migr_delay_us = pool->migr_delay_us;
        break;
    default:
        rc = -EINVAL;
    }
    cpupool_put(pool);
    return rc;
}
