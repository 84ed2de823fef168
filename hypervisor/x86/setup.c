/* SPDX-License-Identifier: MIT */
/* From the boot loader to a running dom0: start_hypervisor() brings up one part after the other. */
#include <domus/arch.h>
#include <domus/console.h>
#include <domus/domain.h>
#include <domus/heap.h>
#include <domus/keyhandler.h>
#include <domus/lib.h>
#include <domus/param.h>
#include <domus/sched.h>
#include <domus/spinlock.h>
#include <domus/tasklet.h>
#include <domus/timer.h>
#include <domus/trace.h>
#include <asm/acpi.h>
#include <asm/apic.h>
#include <asm/boot.h>
#include <asm/cpufeature.h>
#include <asm/current.h>
#include <asm/desc.h>
#include <asm/dom0.h>
#include <asm/efi.h>
#include <asm/extable.h>
#include <asm/fpu.h>
#include <asm/irq.h>
#include <asm/machine.h>
#include <asm/mce.h>
#include <asm/mm_init.h>
#include <asm/smp.h>
#include <asm/time.h>
#include <asm/traps.h>
#include <generated/version.h>

extern char cpu0_stack[], _start[], _end[];

void start_hypervisor(u32 magic, u32 info) __noreturn;

void boot_modules_free(void)
{
    for (unsigned int i = 0; i < boot_info.nr_modules; i++) {
        const struct boot_module *m = &boot_info.module[i];

        /* Loaders put modules into pages of their own; the ends of those are free too. */
        mm_free_boot_range(m->start & PAGE_MASK, PFN_UP(m->start + m->size) << PAGE_SHIFT);
    }
    boot_info.nr_modules = 0;
}

static void __init print_banner(void)
{
    printk(LOG_ERR "Domus %s (%s, %s, debug=%s) %s\n", DOMUS_VERSION, DOMUS_COMMIT, DOMUS_COMPILER, DOMUS_DEBUG,
           DOMUS_COMPILE_DATE);
    printk(LOG_INFO "Boot loader: %s; command line: %s\n", boot_info.loader ? boot_info.loader : "unknown",
           boot_info.cmdline);
    printk(LOG_INFO "CPU: %s, %s%s%s%s\n", boot_cpu.model_name[0] ? boot_cpu.model_name : boot_cpu.vendor_id,
           "NX", cpu_has_smep ? " SMEP" : "", cpu_has_smap ? " SMAP" : "", cpu_has_fsgsbase ? " FSGSBASE" : "");
    e820_print("Memory map:", &machine_e820);
}

/* What needs nothing but the loader's information: messages. */
static void __init init_console(u32 magic, u32 info)
{
    boot_info_parse(magic, info);
    cmdline_parse(boot_info.cmdline);
    e820_sanitise();
    serial_init();
    cpu_identify_boot();
    print_banner();
    if (!e820.nr)
        panic("The boot loader (magic %#x) gave no memory map; boot by multiboot, multiboot2 or PVH\n", magic);
}

/* Own page tables, heap, descriptors: from here on traps are caught. */
static void __init init_memory(void)
{
    cpu_init();
    mm_init();
    vga_init();
    if (desc_prepare_cpu(0) || hv_unmap_page(cpu0_stack + STACK_GUARD_PAGE * PAGE_SIZE))
        panic("Not enough memory for the descriptors of the boot CPU\n");
    idt_init();
    desc_init_cpu(0);
    patch_smap_sites();
    printk(LOG_INFO "Memory: %lu MiB free; hypervisor at %#lx-%#lx\n", heap_free_pages_count() >> 8,
           virt_to_maddr(_start), virt_to_maddr(_end));
}

static void __init init_interrupts_and_time(void)
{
    efi_init();
    acpi_init();
    apic_init_boot();
    smp_prepare_cpus();
    topology_init();
    timer_init();
    tasklet_subsys_init();
    irq_init();
    apic_init_cpu();
    fpu_init_boot();
    fpu_init_cpu();
    cpu_init_lfence();
    syscall_init_cpu(0);
    mce_init_cpu();
    time_init();
    scheduler_init();
    share_m2p();
    time_init_cpu();
}

/* The end of booting: what ran so far is freed. */
static void __noreturn finish_boot(void)
{
    boot_modules_free();
    mm_seal();
    console_give_to_dom0();
    vga_end_boot();
    (void)domain_unpause_by_controller(dom0);
    reset_stack_and_jump(idle_loop);
}

void __init start_hypervisor(u32 magic, u32 info)
{
    percpu_init_boot();
    sort_exception_table();
    cpu_stack[0] = cpu0_stack;
    cpumask_set_cpu(0, &cpu_present_map);
    cpumask_set_cpu(0, &cpu_online_map);
    init_console(magic, info);
    init_memory();
    init_interrupts_and_time();
    sched_cpu_online();
    local_irq_enable();

    console_init_ring();
    serial_init_irq();
    keyhandler_init();
    debug_keys_init();
    nmi_init();
    mca_init();
    trace_init();
    cpu_hotplug_init();
    smp_boot_cpus();
    mce_start_polling();
    lock_checks_enable(true);

    construct_dom0(&boot_info);
    reset_stack_and_jump(finish_boot);
}
