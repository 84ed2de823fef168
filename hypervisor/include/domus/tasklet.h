/* SPDX-License-Identifier: MIT */
/*
 * Tasklets: work put off from interrupt or lock context to TASKLET_SOFTIRQ of a CPU. A tasklet runs
 * on one CPU at a time; scheduled while it runs, it runs once more.
 */
#ifndef DOMUS_TASKLET_H
#define DOMUS_TASKLET_H

#include <domus/list.h>
#include <domus/types.h>

typedef void tasklet_fn(void *data);

/* Guarded by the tasklet lock (core/tasklet.c). */
struct tasklet {
    struct list_head list;
    tasklet_fn *fn;
    void *data;
    int scheduled_on;           /* CPU, or -1 */
    bool is_running;
    bool is_dead;
};

#define TASKLET_INIT(name, func, arg) \
    { .list = LIST_HEAD_INIT((name).list), .fn = (func), .data = (arg), .scheduled_on = -1 }

void tasklet_init(struct tasklet *t, tasklet_fn *fn, void *data);
/* Run soon on this CPU, or on `cpu`. Any context but NMI. */
void tasklet_schedule(struct tasklet *t);
void tasklet_schedule_on_cpu(struct tasklet *t, unsigned int cpu);
/* This CPU is off line: heir gets the tasklets that are scheduled here. */
void tasklets_hand_over(unsigned int heir);
/* Never to run again; waits for it to finish if it runs on another CPU. */
void tasklet_kill(struct tasklet *t);
/* Register TASKLET_SOFTIRQ, and a CPU's queue before that CPU comes up. */
void tasklet_subsys_init(void);
void tasklet_cpu_init(unsigned int cpu);

#endif
