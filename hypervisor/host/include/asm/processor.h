/* SPDX-License-Identifier: MIT */
/* A CPU of the fake architecture is a thread, its interrupt flag a variable. */
#ifndef ASM_PROCESSOR_H
#define ASM_PROCESSOR_H

#include <sched.h>
#include <stdbool.h>
#include <stdint.h>

extern _Thread_local bool host_irqs_on;

static inline bool local_irq_is_enabled(void) { return host_irqs_on; }
static inline void local_irq_disable(void) { host_irqs_on = false; }
static inline void local_irq_enable(void) { host_irqs_on = true; }
#define local_irq_save(flags)       ((flags) = host_irqs_on, host_irqs_on = false)
#define local_irq_restore(flags)    (host_irqs_on = (flags) != 0)

/* Counts the questions. */
static inline uint64_t get_cycles(void)
{
    static _Thread_local uint64_t cycles;

    return ++cycles;
}

/* Fewer cores than threads: the one that is waited for must get to run. */
static inline void cpu_relax(void) { sched_yield(); }

#endif
