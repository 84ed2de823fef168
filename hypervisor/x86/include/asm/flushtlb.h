/* SPDX-License-Identifier: MIT */
/*
 * TLB flushes, here and on other CPUs. A clock counts full flushes, so that a frame whose last mapping went away at
 * stamp t needs no further flush on a CPU that has flushed at or after t.
 */
#ifndef ASM_FLUSHTLB_H
#define ASM_FLUSHTLB_H

#include <domus/cpumask.h>
#include <domus/percpu.h>

#define FLUSH_TLB        (1u << 0)   /* entries that are not global; one page only with FLUSH_VA */
#define FLUSH_TLB_GLOBAL (1u << 1)   /* global ones as well */
#define FLUSH_CACHE      (1u << 2)   /* write back and drop caches */
#define FLUSH_VA         (1u << 3)   /* of address va alone, global or not */

/* On this CPU. */
void flush_tlb_local(void);                     /* not global */
void flush_tlb_all_local(void);                 /* global as well */
static inline void flush_tlb_one_local(unsigned long va)
{
    asm volatile("invlpg (%0)" : : "r"(va) : "memory");
}
void flush_area_local(unsigned long va, unsigned int flags);

/*
 * On all CPUs of mask that are up, this one included if it is in mask; returns when all have done it. Interrupts on, or
 * no other CPU in mask; no lock held that is also taken with interrupts off.
 */
void flush_mask(const cpumask_t *mask, unsigned long va, unsigned int flags);
static inline void flush_tlb_mask(const cpumask_t *mask) { flush_mask(mask, 0, FLUSH_TLB); }
static inline void flush_tlb_one_mask(const cpumask_t *mask, unsigned long va)
{
    flush_mask(mask, va, FLUSH_TLB | FLUSH_VA);
}
static inline void flush_all(unsigned int flags) { flush_mask(&cpu_present_map, 0, flags); }

/*
 * The flush clock ticks when a flush begins that others may rely on. Frames keep its low 32 bits; an older stamp than
 * that looks recent, which costs a flush too many and never one too few.
 */
extern u64 tlbflush_clock;
DECLARE_PER_CPU(u64, tlbflush_time);            /* clock at this CPU's last full flush */
static inline u32 tlbflush_current_time(void) { return (u32)__atomic_load_n(&tlbflush_clock, __ATOMIC_SEQ_CST); }
/* Keeps in mask only CPUs that may hold stale entries made before stamp. */
void tlbflush_filter(cpumask_t *mask, u32 stamp);
/* Around a write of CR3 for another reason (a switch of address spaces), which is as good as flush_tlb_local. */
u64 tlbflush_pre_cr3(void);
static inline void tlbflush_post_cr3(u64 stamp) { this_cpu(tlbflush_time) = stamp; }

#endif
