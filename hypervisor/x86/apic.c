/* SPDX-License-Identifier: MIT */
/*
 * Local APIC: one a CPU, reached by memory (xAPIC) or by MSRs (x2APIC). Sends inter-processor
 * interrupts in physical destination mode. Specification: Intel SDM volume 3A, chapter 11.
 */
#include <asm/apic.h>
#include <asm/cpufeature.h>
#include <asm/irq.h>
#include <asm/mm_init.h>
#include <asm/processor.h>
#include <asm/smp.h>
#include <domus/lib.h>
#include <domus/param.h>

#define APIC_BASE_ADDRESS  GENMASK(51, 12)

#define ICR_BUSY           BIT(12)
#define ICR_ASSERT         BIT(14)
#define ICR_LEVEL          BIT(15)

#define LVT_MASKED         BIT(16)
#define LVT_TSC_DEADLINE   BIT(18)
#define SPIV_ENABLE        BIT(8)
#define TDCR_DIVIDE_BY_1   0x0b

#define X2APIC_MSR(reg)    (0x800 + ((reg) >> 4))

static bool x2apic __ro_after_init;
static volatile u8 *regs __ro_after_init;
static bool tsc_deadline __ro_after_init;

/* x2apic=on|off; unset: as the firmware left it, and on where a hypervisor below offers it. */
static s8 opt_x2apic = -1;

static int __init parse_x2apic(const char *value)
{
    int on = *value ? parse_bool(value, NULL) : 1;

    if (on < 0)
        return -EINVAL;
    opt_x2apic = (s8)on;
    return 0;
}
PARAM_CUSTOM("x2apic", parse_x2apic);

uint32_t apic_read(unsigned int reg)
{
    if (x2apic)
        return (uint32_t)rdmsr(X2APIC_MSR(reg));
    return *(volatile uint32_t *)(regs + reg);
}

void apic_write(unsigned int reg, uint32_t value)
{
    if (x2apic)
        wrmsr(X2APIC_MSR(reg), value);
    else
        *(volatile uint32_t *)(regs + reg) = value;
}

void apic_eoi(void)
{
    apic_write(APIC_EOI, 0);
}

uint32_t apic_hw_id(void)
{
    return x2apic ? apic_read(APIC_ID) : apic_read(APIC_ID) >> 24;
}

bool apic_has_tsc_deadline(void)
{
    return tsc_deadline;
}

/*
 * Without interrupt remapping, devices reach CPUs of 8-bit APIC ids only, in either mode; so the
 * firmware's choice is kept on real hardware.
 */
static bool __init want_x2apic(uint64_t base)
{
    if (!cpu_has_x2apic)
        return false;
    if (base & APIC_BASE_X2APIC)
        return true;
    if (opt_x2apic >= 0)
        return opt_x2apic;
    return cpu_has_hypervisor;
}

void __init apic_init_boot(void)
{
    uint64_t base = rdmsr(MSR_APIC_BASE);

    if (!cpu_has(APIC))
        panic("This machine has no local APIC");

    x2apic = want_x2apic(base);
    if (!x2apic) {
        regs = ioremap(base & APIC_BASE_ADDRESS, PAGE_SIZE);
        if (!regs)
            panic("Local APIC cannot be mapped");
    }
    tsc_deadline = cpu_has_tsc_deadline;
    apic_init_cpu();
    printk(LOG_INFO "Local APIC: %s, id %u, version %#x%s\n", x2apic ? "x2APIC" : "xAPIC",
           apic_hw_id(), apic_read(APIC_LVR) & 0xff, tsc_deadline ? ", TSC deadline timer" : "");
}

/* Interrupts that firmware left in service would hold back all of lower priority. */
static void drop_stale_interrupts(void)
{
    for (unsigned int i = 0; i < 8; i++) {
        uint32_t in_service = apic_read(APIC_ISR + i * 0x10);

        for (; in_service; in_service &= in_service - 1)
            apic_eoi();
    }
}

void apic_init_cpu(void)
{
    uint64_t base = rdmsr(MSR_APIC_BASE);
    uint64_t want = base | APIC_BASE_ENABLE;

    /* x2APIC can only be entered from xAPIC mode. */
    if (!(base & APIC_BASE_ENABLE))
        wrmsr(MSR_APIC_BASE, want);
    if (x2apic && !(base & APIC_BASE_X2APIC))
        wrmsr(MSR_APIC_BASE, want | APIC_BASE_X2APIC);

    apic_write(APIC_TPR, 0);
    drop_stale_interrupts();
    apic_write(APIC_SPIV, SPIV_ENABLE | SPURIOUS_APIC_VECTOR);

    apic_write(APIC_LVT_TIMER, LVT_MASKED | LOCAL_TIMER_VECTOR);
    apic_write(APIC_LVT_LINT0, LVT_MASKED);
    apic_write(APIC_LVT_LINT1, APIC_DM_NMI);
    apic_write(APIC_ESR, 0);
    apic_write(APIC_LVT_ERROR, ERROR_APIC_VECTOR);
}

void apic_disable_cpu(void)
{
    if (!x2apic && !regs)
        return;
    apic_write(APIC_LVT_TIMER, LVT_MASKED);
    apic_write(APIC_LVT_LINT1, LVT_MASKED);
    apic_write(APIC_SPIV, SPURIOUS_APIC_VECTOR);
}

/*
 * Write the interrupt command register. The xAPIC's two halves must not be torn by an interrupt
 * handler that sends one too; an NMI handler that does so waits for the idle state itself, and
 * restores the high half.
 */
static void write_icr(uint32_t apicid, uint32_t command)
{
    unsigned long flags;
    uint32_t saved;

    if (x2apic) {
        smp_mb();   /* the MSR write is not serializing: order earlier stores before the IPI */
        wrmsr(X2APIC_MSR(APIC_ICR), (uint64_t)apicid << 32 | command);
        return;
    }
    local_irq_save(flags);
    while (apic_read(APIC_ICR) & ICR_BUSY)
        cpu_relax();
    saved = apic_read(APIC_ICR_HIGH);
    apic_write(APIC_ICR_HIGH, apicid << 24);
    apic_write(APIC_ICR, command);
    apic_write(APIC_ICR_HIGH, saved);
    local_irq_restore(flags);
}

void apic_send_ipi(unsigned int cpu, unsigned int vector)
{
    write_icr(cpu_to_apicid[cpu], APIC_DM_FIXED | vector);
}

void apic_send_ipi_mask(const cpumask_t *mask, unsigned int vector)
{
    unsigned int cpu;

    for_each_cpu(cpu, mask)
        apic_send_ipi(cpu, vector);
}

void apic_send_nmi(unsigned int cpu)
{
    write_icr(cpu_to_apicid[cpu], APIC_DM_NMI);
}

void apic_send_nmi_mask(const cpumask_t *mask)
{
    unsigned int cpu;

    for_each_cpu(cpu, mask)
        apic_send_nmi(cpu);
}

void apic_send_init(uint32_t apicid)
{
    write_icr(apicid, APIC_DM_INIT | ICR_LEVEL | ICR_ASSERT);
    if (!x2apic)
        write_icr(apicid, APIC_DM_INIT | ICR_LEVEL);
}

void apic_send_startup(uint32_t apicid, unsigned int page)
{
    write_icr(apicid, APIC_DM_STARTUP | page);
}

void apic_timer_init_cpu(void)
{
    apic_write(APIC_TDCR, TDCR_DIVIDE_BY_1);
    apic_write(APIC_LVT_TIMER, LOCAL_TIMER_VECTOR | (tsc_deadline ? LVT_TSC_DEADLINE : 0));
    /* In xAPIC mode the write above must reach the APIC before the deadline MSR is written. */
    smp_mb();
}

void apic_timer_set_count(uint32_t count)
{
    apic_write(APIC_TMICT, count);
}

void apic_timer_set_tsc_deadline(uint64_t tsc)
{
    wrmsr(MSR_TSC_DEADLINE, tsc);
}

void smp_send_event_check(unsigned int cpu)
{
    apic_send_ipi(cpu, EVENT_CHECK_VECTOR);
}
