/* SPDX-License-Identifier: MIT */
/*
 * Timer queues, one a CPU. The queue is a heap by expiry; the hardware is armed for its first.
 *
 * Changes raise TIMER_SOFTIRQ of the queue's CPU rather than touch the hardware, so that several
 * changes on one way through the hypervisor reprogram it once. Removing the first timer does not:
 * the interrupt then comes early, once, and finds nothing.
 */
#include <domus/arch.h>
#include <domus/keyhandler.h>
#include <domus/lib.h>
#include <domus/percpu.h>
#include <domus/softirq.h>
#include <domus/spinlock.h>
#include <domus/timer.h>

struct timer_queue {
    spinlock_t lock;
    struct lheap heap;
    struct timer *running;      /* whose function runs now; written by this CPU, under the lock */
};

static DEFINE_PER_CPU(struct timer_queue, timer_queue);

static struct timer *first_timer(const struct timer_queue *q)
{
    struct lheap_node *node = lheap_first(&q->heap);

    return node ? container_of(node, struct timer, node) : NULL;
}

/* Locks the queue that t is on. */
static struct timer_queue *lock_timer(struct timer *t, unsigned long *flags)
{
    for (;;) {
        unsigned int cpu = READ_ONCE(t->cpu);
        struct timer_queue *q = &per_cpu(timer_queue, cpu);

        spin_lock_irqsave(&q->lock, *flags);
        if (likely(t->cpu == cpu))
            return q;
        spin_unlock_irqrestore(&q->lock, *flags);
    }
}

static void queue_timer(struct timer_queue *q, struct timer *t)
{
    lheap_insert(&q->heap, &t->node);
    t->state = TIMER_QUEUED;
    if (lheap_first(&q->heap) == &t->node)
        cpu_raise_softirq(t->cpu, TIMER_SOFTIRQ);
}

/* Leaves it inactive, or killed if it was. */
static void unqueue_timer(struct timer_queue *q, struct timer *t)
{
    if (t->state == TIMER_QUEUED)
        lheap_remove(&q->heap, &t->node);
    if (t->state != TIMER_KILLED)
        t->state = TIMER_INACTIVE;
}

void init_timer(struct timer *t, timer_fn *fn, void *data, unsigned int cpu)
{
    *t = (struct timer){ .fn = fn, .data = data, .cpu = cpu, .state = TIMER_INACTIVE };
}

void set_timer(struct timer *t, s_time_t expires)
{
    unsigned long flags;
    struct timer_queue *q = lock_timer(t, &flags);

    unqueue_timer(q, t);
    if (t->state != TIMER_KILLED) {
        t->node.key = max(expires, (s_time_t)0);
        queue_timer(q, t);
    }
    spin_unlock_irqrestore(&q->lock, flags);
}

void stop_timer(struct timer *t)
{
    unsigned long flags;
    struct timer_queue *q = lock_timer(t, &flags);

    unqueue_timer(q, t);
    spin_unlock_irqrestore(&q->lock, flags);
}

void migrate_timer(struct timer *t, unsigned int new_cpu)
{
    unsigned long flags;
    struct timer_queue *q;

    if (READ_ONCE(t->cpu) == new_cpu)
        return;

    /* Between the two locks set, stop and kill see a timer in motion, and what they say prevails. */
    q = lock_timer(t, &flags);
    if (t->state == TIMER_QUEUED) {
        lheap_remove(&q->heap, &t->node);
        t->state = TIMER_MOVING;
    }
    t->cpu = new_cpu;
    spin_unlock_irqrestore(&q->lock, flags);

    q = lock_timer(t, &flags);
    if (t->state == TIMER_MOVING)
        queue_timer(q, t);
    spin_unlock_irqrestore(&q->lock, flags);
}

/* Both locks are held for one timer at a time. */
void timers_hand_over(unsigned int heir)
{
    struct timer_queue *from = &this_cpu(timer_queue), *to = &per_cpu(timer_queue, heir);
    struct timer *t;

    do {
        spin_lock_irq(&to->lock);
        spin_lock_same_rank(&from->lock);
        t = first_timer(from);
        if (t) {
            lheap_remove(&from->heap, &t->node);
            t->cpu = heir;
            queue_timer(to, t);
        }
        spin_unlock(&from->lock);
        spin_unlock_irq(&to->lock);
    } while (t);
    (void)reprogram_timer(0);
}

void kill_timer(struct timer *t)
{
    unsigned long flags;
    struct timer_queue *q = lock_timer(t, &flags);
    unsigned int cpu;

    unqueue_timer(q, t);
    t->state = TIMER_KILLED;
    spin_unlock_irqrestore(&q->lock, flags);

    for_each_online_cpu(cpu)
        while (cpu != smp_processor_id() && READ_ONCE(per_cpu(timer_queue, cpu).running) == t)
            cpu_relax();
}

bool timer_pending(const struct timer *t)
{
    enum timer_state state = READ_ONCE(t->state);

    return state == TIMER_QUEUED || state == TIMER_MOVING;
}

/* TIMER_SOFTIRQ: calls what has expired, then arms the hardware for what comes next. */
static void serve_timers(void)
{
    struct timer_queue *q = &this_cpu(timer_queue);
    struct timer *t;
    s_time_t next;

    spin_lock_irq(&q->lock);
    while ((t = first_timer(q)) != NULL && timer_expires(t) <= NOW()) {
        timer_fn *fn = t->fn;
        void *data = t->data;

        unqueue_timer(q, t);
        WRITE_ONCE(q->running, t);
        spin_unlock_irq(&q->lock);
        fn(data);
        spin_lock_irq(&q->lock);
        WRITE_ONCE(q->running, NULL);
    }
    next = t ? timer_expires(t) : 0;
    spin_unlock_irq(&q->lock);

    if (!reprogram_timer(next))
        raise_softirq(TIMER_SOFTIRQ);
}

static void dump_timers(char key __unused)
{
    unsigned int cpu;
    s_time_t now = NOW();

    printk(LOG_INFO "Timers, us from now; %ld us since boot:\n", now / 1000);
    for_each_online_cpu(cpu) {
        struct timer_queue *q = &per_cpu(timer_queue, cpu);
        struct lheap_node *node;
        unsigned long flags;

        spin_lock_irqsave(&q->lock, flags);
        for (node = lheap_first(&q->heap); node; node = lheap_next(node)) {
            struct timer *t = container_of(node, struct timer, node);

            printk(LOG_INFO "  CPU%u %12ld function %p data %p\n", cpu,
                   (timer_expires(t) - now) / 1000, (void *)t->fn, t->data);
        }
        spin_unlock_irqrestore(&q->lock, flags);
    }
}

void timer_cpu_init(unsigned int cpu)
{
    struct timer_queue *q = &per_cpu(timer_queue, cpu);

    spin_lock_init(&q->lock, RANK_TIMER);
    q->heap.root = NULL;
    q->running = NULL;
}

void timer_init(void)
{
    timer_cpu_init(0);
    open_softirq(TIMER_SOFTIRQ, serve_timers);
    register_keyhandler('a', dump_timers, "timers of every CPU");
}
