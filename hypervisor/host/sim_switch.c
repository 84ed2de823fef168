/* SPDX-License-Identifier: MIT */
/* The switch of vCPUs on simulated CPUs: see sim.h. */
#include <asm/current.h>
#include <asm/processor.h>
#include <domus/arch.h>
#include <domus/lib.h>
#include <domus/sched.h>
#include <sim.h>

void (*sim_switched)(unsigned int cpu, struct vcpu *prev, struct vcpu *next);

void context_switch(struct vcpu *prev, struct vcpu *next)
{
    unsigned int cpu = smp_processor_id(), other;

    BUG_ON(local_irq_is_enabled() || current != prev || !next->is_running);
    for_each_online_cpu(other)
        BUG_ON(other != cpu && sim_curr(other) == next);
    set_current(next);
    if (sim_switched)
        sim_switched(cpu, prev, next);
    context_saved(prev);
}

void arch_cpu_idle(void)
{
}
