/* SPDX-License-Identifier: MIT */
/* What runs on this thread. */
#ifndef ASM_CURRENT_H
#define ASM_CURRENT_H

struct vcpu;

extern _Thread_local struct vcpu *host_current;
extern _Thread_local unsigned int host_cpu;

#define current             host_current
#define smp_processor_id()  host_cpu

#endif
