/* SPDX-License-Identifier: MIT */
/* TLB flushes of the fake architecture: counted, and ordered by a clock. */
#ifndef ASM_FLUSHTLB_H
#define ASM_FLUSHTLB_H

#include <domus/cpumask.h>

extern u32 host_tlb_clock, host_tlb_flushed_at;
extern unsigned int host_tlb_flushes;

static inline u32 tlbflush_current_time(void) { return host_tlb_clock; }
void tlbflush_filter(cpumask_t *mask, u32 stamp);
void flush_tlb_mask(const cpumask_t *mask);

#endif
