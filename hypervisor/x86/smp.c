/* SPDX-License-Identifier: MIT */
/*
 * All CPUs of the machine: numbering, start-up one after the other (INIT and STARTUP, Intel SDM vol. 3A, section 9.4),
 * calls of functions on other CPUs, and stopping them.
 */
#include <domus/arch.h>
#include <domus/heap.h>
#include <domus/lib.h>
#include <domus/param.h>
#include <domus/sched.h>
#include <domus/spinlock.h>
#include <domus/string.h>
#include <domus/time.h>
#include <asm/acpi.h>
#include <asm/apic.h>
#include <asm/boot.h>
#include <asm/cpufeature.h>
#include <asm/current.h>
#include <asm/desc.h>
#include <asm/flushtlb.h>
#include <asm/fpu.h>
#include <asm/irq.h>
#include <asm/machine.h>
#include <asm/mce.h>
#include <asm/mm_init.h>
#include <asm/processor.h>
#include <asm/smp.h>
#include <asm/time.h>
#include <asm/traps.h>

u32 cpu_to_apicid[NR_CPUS] = { [0 ... NR_CPUS - 1] = BAD_APICID };
u32 cpu_to_acpiid[NR_CPUS];
void *cpu_stack[NR_CPUS];

static unsigned int opt_maxcpus = NR_CPUS;
static bool opt_nosmp;
PARAM_INT("maxcpus", opt_maxcpus);
PARAM_BOOL("nosmp", opt_nosmp);

/* Halts this CPU for good. */
static void __noreturn halt_this_cpu(void)
{
    local_irq_disable();
    for (;;)
        halt();
}

/* ---- Start-up ---- */

/* Read by head.S on the CPU that starts. */
unsigned long ap_boot_stack;

extern const char trampoline_start[], trampoline_end[];

/* How far the CPU that starts has come. It and the boot CPU wait for each other. */
static enum { AP_STARTING, AP_ALIVE, AP_SYNC, AP_ONLINE, AP_GIVEN_UP } ap_state;

static void ap_advance(unsigned int state)
{
    __atomic_store_n(&ap_state, state, __ATOMIC_RELEASE);
}

static unsigned int ap_progress(void)
{
    return __atomic_load_n(&ap_state, __ATOMIC_ACQUIRE);
}

void __init smp_prepare_cpus(void)
{
    u32 boot_apicid = apic_hw_id();

    cpu_to_apicid[0] = boot_apicid;
    nr_cpu_ids = 1;
    for (unsigned int i = 0; i < acpi.nr_cpus; i++) {
        unsigned int cpu = nr_cpu_ids;

        if (!acpi.cpu[i].enabled)
            continue;
        if (acpi.cpu[i].apicid == boot_apicid) {
            cpu_to_acpiid[0] = acpi.cpu[i].acpiid;
            continue;
        }
        if (opt_nosmp || cpu >= max(opt_maxcpus, 1u) || cpu >= NR_CPUS)
            continue;
        cpu_to_apicid[cpu] = acpi.cpu[i].apicid;
        cpu_to_acpiid[cpu] = acpi.cpu[i].acpiid;
        nr_cpu_ids++;
    }
    for (unsigned int cpu = 0; cpu < nr_cpu_ids; cpu++)
        __cpumask_set_cpu(cpu, &cpu_possible_map);
}

/* The highest page of RAM below 640 KiB, where a start-up IPI can lead; 0: none. */
static paddr_t __init trampoline_page(void)
{
    for (paddr_t page = 0xa0000 - PAGE_SIZE; page >= PAGE_SIZE; page -= PAGE_SIZE) {
        if (e820_all_of_type(page, page + PAGE_SIZE, E820_RAM))
            return page;
    }
    return 0;
}

/* All that CPU cpu needs before it runs its first instruction. */
static int __init prepare_cpu(unsigned int cpu)
{
    struct cpu_info *info;
    char *stack;

    if (percpu_init_cpu(cpu) || desc_prepare_cpu(cpu))
        return -ENOMEM;
    stack = alloc_heap_pages(STACK_ORDER, MEMF_zero);
    if (!stack)
        return -ENOMEM;
    cpu_stack[cpu] = stack;
    if (hv_unmap_page(stack + STACK_GUARD_PAGE * PAGE_SIZE))
        return -ENOMEM;
    info = stack_cpu_info((unsigned long)stack);
    info->processor_id = cpu;
    info->per_cpu_offset = per_cpu_offset[cpu];
    if (sched_cpu_prepare(cpu))
        return -ENOMEM;
    info->current_vcpu = idle_vcpu[cpu];
    return 0;
}

/* Waits until the starting CPU has reached state; false after ms milliseconds. */
static bool __init wait_for_ap(unsigned int state, unsigned int ms)
{
    s_time_t deadline = now_ns() + MILLISECS(ms);

    while (ap_progress() != state) {
        if (now_ns() > deadline)
            return false;
        cpu_relax();
    }
    return true;
}

static bool __init start_cpu(unsigned int cpu, paddr_t trampoline)
{
    bool late = false;

    ap_advance(AP_STARTING);
    ap_boot_stack = (unsigned long)cpu_stack[cpu] + STACK_SIZE - CPU_INFO_RESERVE;
    apic_send_init(cpu_to_apicid[cpu]);
    /* A second STARTUP only if the first was not heard: a CPU that runs would take it for nothing. */
    for (unsigned int attempt = 0; attempt < 2 && ap_progress() == AP_STARTING; attempt++) {
        udelay(attempt ? 10000 : 10);
        apic_send_startup(cpu_to_apicid[cpu], (unsigned int)(trampoline >> PAGE_SHIFT));
        late = !wait_for_ap(AP_ALIVE, attempt ? 1000 : 100);
    }
    if (late) {
        /* If it does come up now, it must not go on, as its stack is not its own any more. */
        unsigned int expected = AP_STARTING;

        if (__atomic_compare_exchange_n((unsigned int *)&ap_state, &expected, AP_GIVEN_UP, false, __ATOMIC_SEQ_CST,
                                        __ATOMIC_SEQ_CST))
            return false;
    }
    local_irq_disable();
    ap_advance(AP_SYNC);
    time_sync_source(cpu);
    local_irq_enable();
    return wait_for_ap(AP_ONLINE, 1000);
}

/* The first C of another CPU, on its own stack and the boot page tables. */
void __noreturn start_secondary(void);

void __noreturn start_secondary(void)
{
    unsigned int cpu = smp_processor_id(), expected = AP_STARTING;

    write_cr3(virt_to_maddr(idle_l4));
    cpu_init();
    desc_init_cpu(cpu);
    if (!__atomic_compare_exchange_n((unsigned int *)&ap_state, &expected, AP_ALIVE, false, __ATOMIC_SEQ_CST,
                                     __ATOMIC_SEQ_CST))
        halt_this_cpu();
    apic_init_cpu();
    fpu_init_cpu();
    cpu_init_lfence();
    syscall_init_cpu(cpu);
    mce_init_cpu();
    while (ap_progress() != AP_SYNC)
        cpu_relax();
    time_sync_target();
    time_init_cpu();
    cpumask_set_cpu(cpu, &cpu_present_map);
    cpumask_set_cpu(cpu, &cpu_online_map);
    sched_cpu_online();
    ap_advance(AP_ONLINE);
    reset_stack_and_jump(idle_loop);
}

void __init smp_boot_cpus(void)
{
    paddr_t trampoline = trampoline_page();
    unsigned int cpu;

    if (nr_cpu_ids > 1 && !trampoline) {
        printk(LOG_WARN "SMP: no memory below 640 KiB to start other CPUs from\n");
        return;
    }
    if (trampoline)
        memcpy(maddr_to_virt(trampoline), trampoline_start, (size_t)(trampoline_end - trampoline_start));
    for (cpu = 1; cpu < nr_cpu_ids; cpu++) {
        if (prepare_cpu(cpu)) {
            printk(LOG_ERR "SMP: no memory for CPU %u\n", cpu);
            break;
        }
        if (!start_cpu(cpu, trampoline))
            printk(LOG_ERR "SMP: CPU %u (APIC %u) did not start\n", cpu, cpu_to_apicid[cpu]);
    }
    printk(LOG_INFO "SMP: %u CPUs online\n", num_online_cpus());
}

/* ---- Calling functions ---- */

static DEFINE_SPINLOCK(call_lock, RANK_CALL_FUNCTION);

/* The call under way; under call_lock, but for the set of those that have yet to serve it. */
static struct {
    void (*fn)(void *arg);
    void *arg;
    bool wait;
    cpumask_t pending;
} call;

void on_selected_cpus(const cpumask_t *mask, void (*fn)(void *arg), void *arg, bool wait)
{
    unsigned int cpu = smp_processor_id();
    bool here = cpumask_test_cpu(cpu, mask);
    cpumask_t others;

    cpumask_and(&others, mask, &cpu_present_map);
    __cpumask_clear_cpu(cpu, &others);
    if (!cpumask_empty(&others)) {
        ASSERT(local_irq_is_enabled());
        spin_lock(&call_lock);
        call.fn = fn;
        call.arg = arg;
        call.wait = wait;
        smp_mb();
        cpumask_copy(&call.pending, &others);
        smp_mb();
        apic_send_ipi_mask(&others, CALL_FUNCTION_VECTOR);
        /* Without wait the others have at least read what to call. */
        while (!cpumask_empty((const cpumask_t *)&call.pending)) {
            barrier();
            cpu_relax();
        }
        spin_unlock(&call_lock);
    }
    if (here) {
        unsigned long flags = local_irq_save_flags();

        fn(arg);
        local_irq_restore(flags);
    }
}

void smp_call_function_interrupt(void)
{
    unsigned int cpu = smp_processor_id();
    void (*fn)(void *arg) = call.fn;
    void *arg = call.arg;
    bool wait = call.wait;

    if (!cpumask_test_cpu(cpu, &call.pending))
        return;
    smp_mb();
    if (!wait)
        cpumask_clear_cpu(cpu, &call.pending);
    fn(arg);
    smp_mb();
    if (wait)
        cpumask_clear_cpu(cpu, &call.pending);
}

/* ---- Stopping ---- */

static bool stopping;
static cpumask_t running_on;

static void __noreturn stop_this_cpu(void)
{
    cpumask_clear_cpu(smp_processor_id(), &running_on);
    apic_disable_cpu();
    halt_this_cpu();
}

bool smp_stop_nmi(void)
{
    if (!__atomic_load_n(&stopping, __ATOMIC_ACQUIRE))
        return false;
    stop_this_cpu();
}

void smp_send_stop(void)
{
    cpumask_t others = cpu_present_map;

    if (__atomic_exchange_n(&stopping, true, __ATOMIC_SEQ_CST))
        return;
    __cpumask_clear_cpu(smp_processor_id(), &others);
    if (cpumask_empty(&others))
        return;
    running_on = others;
    /* NMIs reach a CPU whatever it does; the wait is bounded, as it may be too broken even for that. */
    apic_send_nmi_mask(&others);
    for (unsigned int i = 0; i < 1000 && !cpumask_empty((const cpumask_t *)&running_on); i++)
        udelay(100);
}
