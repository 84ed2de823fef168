/* SPDX-License-Identifier: MIT */
/* What the fake architecture adds to a domain and a vCPU. */
#ifndef ASM_DOMAIN_H
#define ASM_DOMAIN_H

#include <asm/mm.h>
#include <domus/cpumask.h>

struct arch_vcpu {
    unsigned int kicks;             /* vcpu_kick calls */
    unsigned int unblocks;          /* vcpu_unblock calls */
};

struct arch_domain {
    cpumask_t dirty_cpumask;
    unsigned int poll_notifies;     /* sched_poll_notify calls */
};

#endif
