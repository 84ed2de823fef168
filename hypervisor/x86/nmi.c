/* SPDX-License-Identifier: MIT */
/*
 * Non-maskable interrupts: stopping CPUs, and errors that the chipset reports, by nmi=: "dom0"
 * (tell it, the default), "ignore", or "fatal". NMIs of unknown origin are counted.
 */
#include <asm/machine.h>
#include <asm/processor.h>
#include <asm/smp.h>
#include <asm/symbols.h>
#include <asm/traps.h>
#include <domus/arch.h>
#include <domus/bitmap.h>
#include <domus/domain.h>
#include <domus/lib.h>
#include <domus/param.h>
#include <domus/percpu.h>
#include <domus/sched.h>
#include <domus/softirq.h>
#include <domus/string.h>
#include <xen/nmi.h>

#define NMI_SOFTIRQ         ARCH_SOFTIRQ_0

/* System control port B: the chipset's reasons, and the bits that acknowledge them. */
#define PORT_B              0x61
#define PORT_B_SERR         0x80
#define PORT_B_IOCHK        0x40
#define PORT_B_CLEAR_SERR   0x04
#define PORT_B_CLEAR_IOCHK  0x08
#define PORT_B_WRITABLE     0x0f

static char opt_nmi[8] = "dom0";
PARAM_STRING("nmi", opt_nmi);

static DEFINE_PER_CPU(unsigned int, unknown_nmis);
/* Reasons that wait for the softirq: an NMI comes anywhere, so it takes no lock and wakes nobody. */
static unsigned long reasons;

/* Errors can be reported to the kernel that has the drivers: its first vCPU gets an NMI. */
static void tell_dom0(void)
{
    unsigned long pending = xchg(&reasons, 0);
    struct vcpu *v = dom0 && dom0->max_vcpus ? dom0->vcpu[0] : NULL;

    if (pending & BIT(_XEN_NMIREASON_pci_serr))
        printk(LOG_ERR "NMI: PCI system error\n");
    if (pending & BIT(_XEN_NMIREASON_io_error))
        printk(LOG_ERR "NMI: I/O check error\n");
    if (!v || strcmp(opt_nmi, "dom0"))
        return;
    fetch_or(&dom0->shared_info->arch.nmi_reason, pending);
    pv_send_nmi(v);
}

void do_nmi(struct cpu_user_regs *regs)
{
    u8 port_b, clear = 0;

    if (smp_stop_nmi())
        return;

    port_b = inb(PORT_B);
    if (port_b & PORT_B_SERR) {
        fetch_or(&reasons, BIT(_XEN_NMIREASON_pci_serr));
        clear |= PORT_B_CLEAR_SERR;
    }
    if (port_b & PORT_B_IOCHK) {
        fetch_or(&reasons, BIT(_XEN_NMIREASON_io_error));
        clear |= PORT_B_CLEAR_IOCHK;
    }
    if (!strcmp(opt_nmi, "fatal"))
        fatal_trap(regs);
    if (clear) {
        /* Disabling the source acknowledges it; then it is enabled again. */
        outb((port_b & PORT_B_WRITABLE) | clear, PORT_B);
        outb(port_b & PORT_B_WRITABLE & ~clear, PORT_B);
        raise_softirq(NMI_SOFTIRQ);
    } else {
        this_cpu(unknown_nmis)++;
    }
}

unsigned int nmi_unknown_count(void)
{
    unsigned int cpu, sum = 0;

    for_each_present_cpu(cpu)
        sum += per_cpu(unknown_nmis, cpu);
    return sum;
}

void __init nmi_init(void)
{
    open_softirq(NMI_SOFTIRQ, tell_dom0);
}
