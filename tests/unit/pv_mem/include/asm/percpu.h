/* SPDX-License-Identifier: MIT */
/* Per-CPU variables as arrays. */
#ifndef ASM_PERCPU_H
#define ASM_PERCPU_H

#include <asm/config.h>
#include <asm/current.h>

#define DEFINE_PER_CPU(type, name)  __typeof__(type) name[NR_CPUS]
#define DECLARE_PER_CPU(type, name) extern __typeof__(type) name[NR_CPUS]
#define per_cpu(name, cpu)          (name[cpu])
#define this_cpu(name)              (name[smp_processor_id()])

#endif
