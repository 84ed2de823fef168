/* SPDX-License-Identifier: MIT */
/*
 * Soft interrupts: work that a CPU does on its way out to the guest or in its idle loop, never in
 * the middle of something else. The set of those pending is a word on each CPU's stack
 * (struct cpu_info.softirq_pending), so that the assembly of the exit path tests it at no cost.
 */
#ifndef DOMUS_SOFTIRQ_H
#define DOMUS_SOFTIRQ_H

#include <domus/cpumask.h>
#include <domus/types.h>

/* Served in this order. The scheduler comes after all others' work: it may leave for a guest and not return. */
enum {
    TIMER_SOFTIRQ,
    TASKLET_SOFTIRQ,
    TRACE_SOFTIRQ,          /* a trace ring is half full: core/trace_op.c */
    ARCH_SOFTIRQ_0,         /* four for the architecture: domus/arch.h of each says what for */
    ARCH_SOFTIRQ_1,
    ARCH_SOFTIRQ_2,
    ARCH_SOFTIRQ_3,
    SCHEDULE_SOFTIRQ,
    PARK_SOFTIRQ,           /* this CPU goes off line, once the scheduler has nothing left for it */
    NR_SOFTIRQS
};

typedef void softirq_fn(void);

/* Name the handler of a soft interrupt; boot CPU, once each. */
void open_softirq(unsigned int nr, softirq_fn *fn);

/* Raise on the running CPU, or on any. Any context, NMI included for the first. */
void raise_softirq(unsigned int nr);
void cpu_raise_softirq(unsigned int cpu, unsigned int nr);

/*
 * On a CPU that is off line: what is pending here becomes pending on heir, but for what concerns this CPU alone (scheduling,
 * going off line). Timers and tasklets are to be handed over after it.
 */
void softirqs_hand_over(unsigned int heir);

/* The pending word of a CPU: bit nr for soft interrupt nr. */
uint32_t softirq_pending(unsigned int cpu);

/*
 * Serve all that are pending, including those raised meanwhile. No locks held, interrupts on; may
 * not return (the scheduler). For the way out to a guest and the idle loop.
 */
void do_softirq(void);

#endif
