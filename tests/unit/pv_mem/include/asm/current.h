/* SPDX-License-Identifier: MIT */
/* What runs on this thread, which plays a CPU. */
#ifndef ASM_CURRENT_H
#define ASM_CURRENT_H

#include <domus/types.h>
#include <xen/xen.h>

struct vcpu;

extern _Thread_local struct vcpu *test_current;
extern _Thread_local unsigned int test_cpu;

#define current            test_current
#define smp_processor_id() test_cpu

#endif
