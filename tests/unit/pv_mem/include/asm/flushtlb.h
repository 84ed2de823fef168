/* SPDX-License-Identifier: MIT */
/* TLB flushes: which CPUs were flushed is written down. */
#ifndef ASM_FLUSHTLB_H
#define ASM_FLUSHTLB_H

#include <domus/cpumask.h>

#define FLUSH_TLB   (1u << 0)
#define FLUSH_CACHE (1u << 2)
#define FLUSH_VA    (1u << 3)

extern u32 test_flush_clock;
extern cpumask_t test_flushed;          /* CPUs that were told to flush all */

static inline u32 tlbflush_current_time(void) { return __atomic_load_n(&test_flush_clock, __ATOMIC_SEQ_CST); }
static inline u32 tlbflush_pre_cr3(void) { return __atomic_add_fetch(&test_flush_clock, 1, __ATOMIC_SEQ_CST); }
static inline void tlbflush_post_cr3(u32 stamp) { (void)stamp; }
static inline void tlbflush_filter(cpumask_t *mask, u32 stamp) { (void)mask, (void)stamp; }
static inline void flush_tlb_local(void) { }
static inline void flush_tlb_one_local(unsigned long va) { (void)va; }
static inline void flush_area_local(unsigned long va, unsigned int flags) { (void)va, (void)flags; }
void flush_mask(const cpumask_t *mask, unsigned long va, unsigned int flags);
static inline void flush_tlb_mask(const cpumask_t *mask) { flush_mask(mask, 0, FLUSH_TLB); }
static inline void flush_tlb_one_mask(const cpumask_t *mask, unsigned long va)
{
    flush_mask(mask, va, FLUSH_TLB | FLUSH_VA);
}
static inline void flush_all(unsigned int flags) { (void)flags; }

#endif
