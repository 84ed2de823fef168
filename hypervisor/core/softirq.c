/* SPDX-License-Identifier: MIT */
/* Soft interrupts: raising and serving; see domus/softirq.h. */
#include <domus/arch.h>
#include <domus/atomic.h>
#include <domus/lib.h>
#include <domus/softirq.h>
#include <asm/current.h>

static softirq_fn *softirq_handler[NR_SOFTIRQS] __read_mostly;

void open_softirq(unsigned int nr, softirq_fn *fn)
{
    BUG_ON(nr >= NR_SOFTIRQS);
    softirq_handler[nr] = fn;
}

void raise_softirq(unsigned int nr)
{
    (void)fetch_or(&get_cpu_info()->softirq_pending, 1u << nr);
}

void cpu_raise_softirq(unsigned int cpu, unsigned int nr)
{
    u32 bit = 1u << nr;

    if (cpu == smp_processor_id())
        raise_softirq(nr);
    else if (!(fetch_or(&cpu_info_of(cpu)->softirq_pending, bit) & bit))
        smp_send_event_check(cpu);
}

void softirqs_hand_over(unsigned int heir)
{
    u32 pending = xchg(&get_cpu_info()->softirq_pending, 0) & ~(1u << SCHEDULE_SOFTIRQ | 1u << PARK_SOFTIRQ);

    for (; pending; pending &= pending - 1)
        cpu_raise_softirq(heir, ffs(pending) - 1);
}

uint32_t softirq_pending(unsigned int cpu)
{
    return READ_ONCE(cpu_info_of(cpu)->softirq_pending);
}

void do_softirq(void)
{
    /* A handler may leave this stack for good (the scheduler), but never moves to another CPU. */
    u32 *word = &get_cpu_info()->softirq_pending;
    u32 pending;

    while ((pending = READ_ONCE(*word)) != 0) {
        unsigned int nr = ffs(pending) - 1;

        (void)fetch_and(word, ~(1u << nr));
        if (softirq_handler[nr])
            softirq_handler[nr]();
    }
}
