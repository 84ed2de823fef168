/* SPDX-License-Identifier: MIT */
/*
 * Trace points: each CPU's ring, and who may write to it. A ring is written by its own CPU with interrupts off, under a
 * lock that only tracing being switched off takes besides.
 */
#include <domus/trace.h>

#include <domus/arch.h>
#include <domus/domain.h>
#include <domus/percpu.h>
#include <domus/softirq.h>
#include <domus/spinlock.h>
#include <asm/current.h>
#include "trace_ring.h"

struct cpu_ring {
    spinlock_t lock;
    struct trace_ring ring;
};

uint32_t trace_events;
static cpumask_t traced_cpus;
static DEFINE_PER_CPU(struct cpu_ring, cpu_ring);

void trace_write(uint32_t event, const uint32_t *words, unsigned int nr)
{
    const struct vcpu *v = current;
    struct trace_context context = { .domain = v->domain->domain_id, .vcpu = (uint16_t)v->vcpu_id };
    struct cpu_ring *c = &this_cpu(cpu_ring);
    unsigned long flags;

    if (!cpumask_test_cpu(smp_processor_id(), &traced_cpus))
        return;
    spin_lock_irqsave(&c->lock, flags);
    if (READ_ONCE(trace_events)) {
        context.time = get_cycles();
        if (trace_ring_write(&c->ring, &context, event, words, nr))
            raise_softirq(TRACE_SOFTIRQ);
    }
    spin_unlock_irqrestore(&c->lock, flags);
}

void trace_set_events(uint32_t events)
{
    WRITE_ONCE(trace_events, events);
    arch_trace_changed();
}

void trace_set_cpus(const cpumask_t *cpus)
{
    traced_cpus = *cpus;
}

void trace_init_cpu(unsigned int cpu, void *const *page, uint32_t nr_pages)
{
    struct cpu_ring *c = &per_cpu(cpu_ring, cpu);

    spin_lock_init(&c->lock, RANK_TRACE);
    trace_ring_init(&c->ring, page, nr_pages);
}

void trace_stop_cpu(unsigned int cpu)
{
    struct cpu_ring *c = &per_cpu(cpu_ring, cpu);

    spin_lock_irq(&c->lock);
    trace_ring_forget_lost(&c->ring);
    spin_unlock_irq(&c->lock);
}
