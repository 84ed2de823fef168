/* SPDX-License-Identifier: MIT */
/*
 * Per-CPU variables: each CPU has a copy of section .data.percpu, as it was at boot. The boot CPU uses the section
 * itself. The offset of a CPU that never came up leads to no valid address, so that using it faults at once.
 */
#ifndef ASM_PERCPU_H
#define ASM_PERCPU_H

#include <asm/current.h>

extern unsigned long per_cpu_offset[NR_CPUS];

#define DEFINE_PER_CPU(type, name)  __attribute__((section(".data.percpu"))) __typeof__(type) name
#define DECLARE_PER_CPU(type, name) extern __typeof__(type) name

#define PER_CPU_AT(name, offset)                                                                                      \
    (*({                                                                                                              \
        __typeof__(&name) p_;                                                                              \
        asm("add %2, %0" : "=r"(p_) : "0"(&name), "rm"(offset) : "cc");                                     \
        p_;                                                                                                           \
    }))
#define per_cpu(name, cpu) PER_CPU_AT(name, per_cpu_offset[cpu])
#define this_cpu(name)     PER_CPU_AT(name, get_cpu_info()->per_cpu_offset)

/* Sets up the copies: the boot CPU's before any use, another CPU's before it starts (-ENOMEM). */
void percpu_init_boot(void);
int percpu_init_cpu(unsigned int cpu);

#endif
