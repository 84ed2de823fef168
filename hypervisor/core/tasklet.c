/* SPDX-License-Identifier: MIT */
/* Tasklets: see domus/tasklet.h. One lock for all queues: tasklets are rare. */
#include <domus/lib.h>
#include <domus/percpu.h>
#include <domus/softirq.h>
#include <domus/spinlock.h>
#include <domus/tasklet.h>

static DEFINE_SPINLOCK(tasklet_lock, RANK_TASKLET);
static DEFINE_PER_CPU(struct list_head, tasklet_list);

/* The lock is held. */
static void tasklet_enqueue(struct tasklet *t)
{
    list_add_tail(&t->list, &per_cpu(tasklet_list, t->scheduled_on));
    cpu_raise_softirq((unsigned int)t->scheduled_on, TASKLET_SOFTIRQ);
}

void tasklet_schedule_on_cpu(struct tasklet *t, unsigned int cpu)
{
    unsigned long flags;

    spin_lock_irqsave(&tasklet_lock, flags);
    if (!t->is_dead) {
        if (!list_empty(&t->list))
            list_del_init(&t->list);
        t->scheduled_on = (int)cpu;
        if (!t->is_running)
            tasklet_enqueue(t);
    }
    spin_unlock_irqrestore(&tasklet_lock, flags);
}

void tasklet_schedule(struct tasklet *t)
{
    tasklet_schedule_on_cpu(t, smp_processor_id());
}

void tasklets_hand_over(unsigned int heir)
{
    struct list_head *list = &this_cpu(tasklet_list);
    struct tasklet *t;

    spin_lock_irq(&tasklet_lock);
    while ((t = list_first_entry_or_null(list, struct tasklet, list)) != NULL) {
        list_del_init(&t->list);
        t->scheduled_on = (int)heir;
        tasklet_enqueue(t);
    }
    spin_unlock_irq(&tasklet_lock);
}

/* TASKLET_SOFTIRQ: runs one, so that other soft interrupts get their turn between two. */
static void run_tasklet(void)
{
    struct list_head *list = &this_cpu(tasklet_list);
    struct tasklet *t;

    spin_lock_irq(&tasklet_lock);
    t = list_first_entry_or_null(list, struct tasklet, list);
    if (!t) {
        spin_unlock_irq(&tasklet_lock);
        return;
    }
    list_del_init(&t->list);
    t->scheduled_on = -1;
    t->is_running = true;
    spin_unlock_irq(&tasklet_lock);

    t->fn(t->data);

    spin_lock_irq(&tasklet_lock);
    t->is_running = false;
    if (t->scheduled_on >= 0)
        tasklet_enqueue(t);
    if (!list_empty(list))
        raise_softirq(TASKLET_SOFTIRQ);
    spin_unlock_irq(&tasklet_lock);
}

void tasklet_kill(struct tasklet *t)
{
    unsigned long flags;

    spin_lock_irqsave(&tasklet_lock, flags);
    if (!list_empty(&t->list))
        list_del_init(&t->list);
    t->scheduled_on = -1;
    t->is_dead = true;
    while (t->is_running) {
        spin_unlock_irqrestore(&tasklet_lock, flags);
        cpu_relax();
        spin_lock_irqsave(&tasklet_lock, flags);
    }
    spin_unlock_irqrestore(&tasklet_lock, flags);
}

void tasklet_init(struct tasklet *t, tasklet_fn *fn, void *data)
{
    *t = (struct tasklet){ .fn = fn, .data = data, .scheduled_on = -1 };
    INIT_LIST_HEAD(&t->list);
}

void tasklet_cpu_init(unsigned int cpu)
{
    INIT_LIST_HEAD(&per_cpu(tasklet_list, cpu));
}

void tasklet_subsys_init(void)
{
    tasklet_cpu_init(0);
    open_softirq(TASKLET_SOFTIRQ, run_tasklet);
}
