/* SPDX-License-Identifier: MIT */
/*
 * Timers: a function called once at a time, from TIMER_SOFTIRQ of the CPU that the timer is on, with
 * interrupts on and no lock held. Each CPU has a queue of its own above one-shot hardware.
 */
#ifndef DOMUS_TIMER_H
#define DOMUS_TIMER_H

#include <domus/lheap.h>
#include <domus/time.h>
#include <domus/types.h>

typedef void timer_fn(void *data);

enum timer_state { TIMER_KILLED, TIMER_INACTIVE, TIMER_QUEUED, TIMER_MOVING };

/* All fields but fn and data are guarded by the lock of the queue of ->cpu. */
struct timer {
    struct lheap_node node;     /* key: expires */
    timer_fn *fn;
    void *data;
    unsigned int cpu;
    enum timer_state state;
};

/* When it is to fire (ns since boot); meaningful while it is pending. */
static inline s_time_t timer_expires(const struct timer *t) { return t->node.key; }

/* A zeroed timer is a killed one: stop_timer and kill_timer on it are harmless. */
void init_timer(struct timer *t, timer_fn *fn, void *data, unsigned int cpu);
/* (Re)arm for `expires`, ns since boot; the past means at once. Nothing if the timer was killed. */
void set_timer(struct timer *t, s_time_t expires);
/* Disarm. The function may be running on another CPU still. */
void stop_timer(struct timer *t);
/* Move to another CPU's queue, armed or not. */
void migrate_timer(struct timer *t, unsigned int new_cpu);
/* Disarm for good and wait until the function, if it runs elsewhere, has returned. */
void kill_timer(struct timer *t);
bool timer_pending(const struct timer *t);
/* This CPU is off line: heir, a CPU of a lower number, gets all timers that are armed here. */
void timers_hand_over(unsigned int heir);

/* Set up the queue of a CPU; boot CPU: before the first timer, others: before they come up. */
void timer_cpu_init(unsigned int cpu);
/* Register TIMER_SOFTIRQ and the boot CPU's queue. */
void timer_init(void);

#endif
