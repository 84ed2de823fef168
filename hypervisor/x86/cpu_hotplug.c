/* SPDX-License-Identifier: MIT */
/*
 * CPUs that go off line and come back while the machine runs. One that is off line stays in the hypervisor: it is halted
 * in park(), with interrupts on. So it answers whoever still counts on it (flushes, cross-CPU calls, machine checks, an
 * interrupt that was under way), and what there is to do for it later is passed on to CPU 0, which never goes.
 */
#include <domus/arch.h>
#include <domus/event.h>
#include <domus/hypercall.h>
#include <domus/lib.h>
#include <domus/sched.h>
#include <domus/softirq.h>
#include <domus/spinlock.h>
#include <domus/tasklet.h>
#include <domus/timer.h>
#include <asm/current.h>
#include <asm/flushtlb.h>
#include <asm/irq.h>
#include <asm/processor.h>
#include <asm/smp.h>

#define HEIR 0u

/* Held by who waits for a CPU to go or to come; nobody waits for the lock, so two never wait for each other's CPU. */
static DEFINE_SPINLOCK(hotplug_lock, RANK_CPU_HOTPLUG);

/* Those that are to be off line. Under hotplug_lock; they themselves read it. */
static cpumask_t to_park;

/* Those of them that dom0 left to core_parking_set(). Under hotplug_lock, but for counting. */
static cpumask_t idled;

/* ---- On the CPU itself ---- */

/* Work may come at any time: who sends it may have looked at cpu_online_map, or at a timer's CPU, before. */
static void hand_over(void)
{
    softirqs_hand_over(HEIR);
    timers_hand_over(HEIR);
    tasklets_hand_over(HEIR);
}

/*
 * PARK_SOFTIRQ. The pool has let go of this CPU and the scheduler has been told, so it is idle, or about to be. It runs on
 * the hypervisor's own page tables: with the TLB empty it can forgo flushes for guests' memory from then on.
 */
static void park(void)
{
    unsigned int cpu = smp_processor_id();

    if (!cpumask_test_cpu(cpu, &to_park) || !is_idle_vcpu(current))
        return;
    flush_tlb_all_local();
    cpumask_clear_cpu(cpu, &cpu_online_map);
    irqs_leave_cpu(cpu);
    hand_over();
    for (;;) {
        local_irq_disable();
        if (!cpumask_test_cpu(cpu, &to_park))
            break;
        if (softirq_pending(cpu)) {
            local_irq_enable();
            hand_over();
        } else {
            safe_halt();
        }
    }
    local_irq_enable();
    flush_tlb_all_local();
    cpumask_set_cpu(cpu, &cpu_online_map);
}

/* ---- On the one that asks ---- */

static bool is_present(unsigned int cpu)
{
    return cpu < NR_CPUS && cpumask_test_cpu(cpu, &cpu_present_map);
}

/* hotplug_lock held. */
static long take_down(unsigned int cpu)
{
    int rc;

    if (!cpu_online(cpu))
        return -EEXIST;
    rc = cpupool_cpu_leave(cpu);
    if (rc)
        return rc;
    /* The caller's own vCPU leaves this CPU on its way out, and comes back here on another. */
    if (cpu == smp_processor_id())
        return -ERESTART;
    cpumask_set_cpu(cpu, &to_park);
    while (cpu_online(cpu)) {
        cpu_raise_softirq(cpu, PARK_SOFTIRQ);
        cpu_relax();
    }
    return cpupool_cpu_leave(cpu);
}

/* hotplug_lock held. */
static long bring_up(unsigned int cpu)
{
    if (cpu_online(cpu))
        return -EEXIST;
    cpumask_clear_cpu(cpu, &to_park);
    smp_send_event_check(cpu);
    while (!cpu_online(cpu))
        cpu_relax();
    cpumask_clear_cpu(cpu, &idled);
    cpupool_cpu_return(cpu);
    return 0;
}

enum change { BRING_UP, TAKE_DOWN, IDLE };

/* dom0 is told of a change; it asks for more. */
static long change(unsigned int cpu, enum change what)
{
    long rc;

    if (!spin_trylock(&hotplug_lock))
        return -ERESTART;
    rc = what == BRING_UP ? bring_up(cpu) : take_down(cpu);
    if (rc == 0 && what == IDLE)
        cpumask_set_cpu(cpu, &idled);
    spin_unlock(&hotplug_lock);
    if (rc == 0) {
        printk(LOG_INFO "CPU %u is %s line\n", cpu, what == BRING_UP ? "on" : "off");
        send_global_virq(VIRQ_PCPU_STATE);
    }
    return rc;
}

long cpu_down(unsigned int cpu)
{
    return cpu == 0 || !is_present(cpu) ? -EINVAL : change(cpu, TAKE_DOWN);
}

long cpu_up(unsigned int cpu)
{
    return is_present(cpu) ? change(cpu, BRING_UP) : -EINVAL;
}

unsigned int core_parking_get(void)
{
    return cpumask_weight(&idled);
}

/* The highest go first, so those idled stay together. */
static unsigned int highest_online(void)
{
    unsigned int cpu, highest = 0;

    for_each_cpu(cpu, &cpu_online_map)
        highest = cpu;
    return highest;
}

long core_parking_set(unsigned int idle)
{
    unsigned int now;

    while ((now = core_parking_get()) != idle) {
        enum change what = now < idle ? IDLE : BRING_UP;
        unsigned int cpu = what == IDLE ? highest_online() : cpumask_first(&idled);
        long rc;

        if (cpu == 0 || cpu >= NR_CPUS)
            break;      /* none is left to go, or to come */
        rc = change(cpu, what);
        if (rc && rc != -EEXIST)
            return rc;
        if (hypercall_preempt_check())
            return -ERESTART;
    }
    return 0;
}

/* What is done is passed over when it is called again. */
long smt_switch(bool on)
{
    unsigned int cpu;

    if (!cpus_have_threads())
        return -EOPNOTSUPP;
    for_each_present_cpu(cpu) {
        long rc;

        if (cpu_to_thread(cpu) == 0)
            continue;
        rc = on ? cpu_up(cpu) : cpu_down(cpu);
        if (rc && rc != -EEXIST)
            return rc;
        if (!rc && hypercall_preempt_check())
            return -ERESTART;
    }
    return 0;
}

void __init cpu_hotplug_init(void)
{
    open_softirq(PARK_SOFTIRQ, park);
}
