/* SPDX-License-Identifier: MIT */
/* Console keys that act on the machine: registers of every CPU, NMI, restart, crash. */
#include <asm/apic.h>
#include <asm/current.h>
#include <asm/machine.h>
#include <asm/smp.h>
#include <asm/symbols.h>
#include <domus/arch.h>
#include <domus/domain.h>
#include <domus/keyhandler.h>
#include <domus/lib.h>

/* On the CPU itself, in interrupt context. */
static void dump_this_cpu(void *arg __unused)
{
    const struct vcpu *v = current;

    if (is_idle_vcpu(v)) {
        printk(LOG_ERR "CPU %u: idle\n", smp_processor_id());
    } else {
        printk(LOG_ERR "CPU %u: runs d%uv%u\n", smp_processor_id(), v->domain->domain_id,
               v->vcpu_id);
        show_registers(guest_cpu_user_regs());
    }
    dump_stack();
}

static void dump_registers(char key __unused)
{
    unsigned int cpu;

    for_each_online_cpu(cpu) {
        cpumask_t mask = cpumask_of(cpu);

        on_selected_cpus(&mask, dump_this_cpu, NULL, true);
    }
}

static void send_nmi(char key __unused)
{
    apic_send_nmi(smp_processor_id());
}

static void restart(char key __unused)
{
    machine_restart();
}

static void crash(char key __unused)
{
    panic("Crash asked for by a console key\n");
}

void __init debug_keys_init(void)
{
    register_keyhandler('d', dump_registers, "registers of every CPU");
    register_keyhandler('n', send_nmi, "send an NMI to this CPU");
    register_keyhandler('R', restart, "restart the machine");
    register_keyhandler('C', crash, "panic, to get a dump");
}
