/* SPDX-License-Identifier: MIT */
/* Sets of physical CPUs, and the sets that the platform keeps. */
#ifndef DOMUS_CPUMASK_H
#define DOMUS_CPUMASK_H

#include <domus/bitmap.h>
#include <asm/config.h>

typedef struct cpumask { DECLARE_BITMAP(bits, NR_CPUS); } cpumask_t;

/*
 * CPUs found (by number below nr_cpu_ids); present: came up at boot, and answer interrupts and cross-CPU calls ever since;
 * online: of these, the ones that run vCPUs, timers and tasklets. Changed by CPU bring-up and hotplug alone.
 */
extern unsigned int nr_cpu_ids;
extern cpumask_t cpu_possible_map, cpu_present_map, cpu_online_map;

#define CPU_MASK_NONE   ((cpumask_t){ { 0 } })

/* Atomic. */
static inline void cpumask_set_cpu(unsigned int cpu, cpumask_t *m) { set_bit(cpu, m->bits); }
static inline void cpumask_clear_cpu(unsigned int cpu, cpumask_t *m) { clear_bit(cpu, m->bits); }
static inline bool cpumask_test_and_set_cpu(unsigned int cpu, cpumask_t *m)
{
    return test_and_set_bit(cpu, m->bits);
}
static inline bool cpumask_test_and_clear_cpu(unsigned int cpu, cpumask_t *m)
{
    return test_and_clear_bit(cpu, m->bits);
}

/* Not atomic. */
static inline void __cpumask_set_cpu(unsigned int cpu, cpumask_t *m) { __set_bit(cpu, m->bits); }
static inline void __cpumask_clear_cpu(unsigned int cpu, cpumask_t *m)
{
    __clear_bit(cpu, m->bits);
}

static inline bool cpumask_test_cpu(unsigned int cpu, const cpumask_t *m)
{
    return cpu < NR_CPUS && test_bit(cpu, m->bits);
}

static inline void cpumask_clear(cpumask_t *m) { bitmap_zero(m->bits, NR_CPUS); }
static inline void cpumask_setall(cpumask_t *m) { bitmap_fill(m->bits, NR_CPUS); }
static inline void cpumask_copy(cpumask_t *dst, const cpumask_t *src) { *dst = *src; }
static inline bool cpumask_full(const cpumask_t *m) { return bitmap_full(m->bits, NR_CPUS); }

static inline cpumask_t cpumask_of(unsigned int cpu)
{
    cpumask_t m = CPU_MASK_NONE;

    __set_bit(cpu, m.bits);
    return m;
}

static inline void cpumask_and(cpumask_t *dst, const cpumask_t *a, const cpumask_t *b)
{
    bitmap_and(dst->bits, a->bits, b->bits, NR_CPUS);
}

static inline void cpumask_or(cpumask_t *dst, const cpumask_t *a, const cpumask_t *b)
{
    bitmap_or(dst->bits, a->bits, b->bits, NR_CPUS);
}

static inline void cpumask_andnot(cpumask_t *dst, const cpumask_t *a, const cpumask_t *b)
{
    bitmap_andnot(dst->bits, a->bits, b->bits, NR_CPUS);
}

static inline bool cpumask_equal(const cpumask_t *a, const cpumask_t *b)
{
    return bitmap_equal(a->bits, b->bits, NR_CPUS);
}

static inline bool cpumask_intersects(const cpumask_t *a, const cpumask_t *b)
{
    return bitmap_intersects(a->bits, b->bits, NR_CPUS);
}

static inline bool cpumask_subset(const cpumask_t *sub, const cpumask_t *of)
{
    return bitmap_subset(sub->bits, of->bits, NR_CPUS);
}

static inline unsigned int cpumask_weight(const cpumask_t *m)
{
    return bitmap_weight(m->bits, NR_CPUS);
}

/* NR_CPUS if there is none. cpumask_next looks after cpu; pass -1U to begin at 0. */
static inline unsigned int cpumask_next(unsigned int cpu, const cpumask_t *m)
{
    unsigned int next = cpu + 1U, word = next / BITS_PER_LONG;
    unsigned long bits;

    if (next >= NR_CPUS)
        return NR_CPUS;
    bits = READ_ONCE(m->bits[word]) & (~0UL << next % BITS_PER_LONG);
    while (!bits) {
        if (++word == BITS_TO_LONGS(NR_CPUS))
            return NR_CPUS;
        bits = READ_ONCE(m->bits[word]);
    }
    return word * BITS_PER_LONG + (unsigned int)__builtin_ctzl(bits);
}

static inline unsigned int cpumask_first(const cpumask_t *m)
{
    return cpumask_next(-1U, m);
}

static inline bool cpumask_empty(const cpumask_t *m) { return cpumask_first(m) >= NR_CPUS; }

/* The next after cpu, from the start again at the end; NR_CPUS if the set is empty. */
static inline unsigned int cpumask_cycle(unsigned int cpu, const cpumask_t *m)
{
    unsigned int next = cpumask_next(cpu, m);

    return next < NR_CPUS ? next : cpumask_first(m);
}

#define for_each_cpu(cpu, m) \
    for ((cpu) = cpumask_first(m); (cpu) < NR_CPUS; (cpu) = cpumask_next(cpu, m))
#define for_each_online_cpu(cpu)    for_each_cpu(cpu, &cpu_online_map)
#define for_each_present_cpu(cpu)   for_each_cpu(cpu, &cpu_present_map)
#define for_each_possible_cpu(cpu)  for_each_cpu(cpu, &cpu_possible_map)

#define num_online_cpus()           cpumask_weight(&cpu_online_map)
#define cpu_online(cpu)             cpumask_test_cpu(cpu, &cpu_online_map)

#endif
