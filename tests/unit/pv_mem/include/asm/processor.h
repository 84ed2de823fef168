/* SPDX-License-Identifier: MIT */
/* A CPU is a thread; interrupts never come. */
#ifndef ASM_PROCESSOR_H
#define ASM_PROCESSOR_H

#include <sched.h>
#include <stdbool.h>

#define X86_EFLAGS_TF 0x00000100
#define X86_EFLAGS_RF 0x00010000
#define X86_EXC_DB    1

static inline bool local_irq_is_enabled(void) { return true; }
static inline void local_irq_disable(void) { }
static inline void local_irq_enable(void) { }
#define local_irq_save(flags)    ((flags) = 0)
#define local_irq_restore(flags) ((void)(flags))

/* Fewer cores than threads: the one that is waited for must get to run. */
static inline void cpu_relax(void) { sched_yield(); }

static inline void write_cr3(unsigned long value) { (void)value; }

#endif
