/* SPDX-License-Identifier: MIT */
/* What runs on this thread. */
#ifndef ASM_CURRENT_H
#define ASM_CURRENT_H

#include <domus/types.h>

struct vcpu;

/* What x86 keeps at the top of each CPU's stack. */
struct cpu_info {
    u32 softirq_pending;
};

extern struct cpu_info host_cpu_info[];         /* [NR_CPUS] */
extern _Thread_local struct vcpu *host_current;
extern _Thread_local unsigned int host_cpu;

#define current             host_current
#define set_current(v)      (host_current = (v))
#define cpu_info_of(cpu)    (&host_cpu_info[cpu])
#define get_cpu_info()      cpu_info_of(host_cpu)
#define smp_processor_id()  host_cpu

#endif
