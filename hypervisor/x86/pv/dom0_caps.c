/* SPDX-License-Identifier: MIT */
/*
 * What hardware dom0 may touch: everything, but what the hypervisor drives itself. Ports that are taken away read as all
 * ones and swallow writes (x86/pv/emul_io.c), since kernels probe them; frames that are taken away cannot be mapped.
 */
#include <domus/domain.h>
#include <domus/lib.h>
#include <domus/rangeset.h>
#include <asm/acpi.h>
#include <asm/boot.h>
#include <asm/cpufeature.h>
#include <asm/dom0.h>
#include <asm/io_apic.h>
#include <asm/machine.h>
#include <asm/page.h>

#define MSI_WINDOW_START 0xfee00000UL
#define MSI_WINDOW_END   0xfeefffffUL
/* HyperTransport's interrupt and configuration space, AMD family 10h and later. */
#define HT_RANGE_START   0xfd00000000UL
#define HT_RANGE_END     0xffffffffffUL
#define MAX_PORT         0xffff

static const struct {
    u16 first, last;
} hypervisor_ports[] = {
    { 0x20, 0x21 }, { 0xa0, 0xa1 }, { 0x4d0, 0x4d1 },   /* 8259 interrupt controllers */
    { 0x40, 0x43 }, { 0x61, 0x61 },                     /* 8254 timer; its speaker part is passed on piecemeal */
    { 0x92, 0x92 },                                     /* fast A20 and INIT */
    { 0xcfc, 0xcff },                                   /* PCI configuration, which takes its own way */
};

static int permit_ports(struct domain *d)
{
    int rc = rangeset_add_range(d->arch.ioport_caps, 0, MAX_PORT);

    for (unsigned int i = 0; i < ARRAY_SIZE(hypervisor_ports); i++)
        rc = rc ?: rangeset_remove_range(d->arch.ioport_caps, hypervisor_ports[i].first, hypervisor_ports[i].last);
    if (acpi.pm_timer.space == ACPI_SPACE_IO && acpi.pm_timer.address && acpi.pm_timer.address <= MAX_PORT - 3)
        rc = rc ?: rangeset_remove_range(d->arch.ioport_caps, acpi.pm_timer.address, acpi.pm_timer.address + 3);
    return rc;
}

/* The lines on which the console is. */
static int deny_serial(struct domain *d)
{
    unsigned int irq;
    u16 port;
    int rc = 0;

    for (unsigned int i = 0; i < SERIAL_LINES; i++) {
        if (!serial_in_use(i, &port, &irq))
            continue;
        rc = rc ?: rangeset_remove_range(d->arch.ioport_caps, port, port + SERIAL_PORTS - 1);
        if (irq)
            rc = rc ?: rangeset_remove_singleton(d->irq_caps, ioapic_isa_to_gsi(irq));
    }
    return rc;
}

static int deny_frames(struct domain *d, paddr_t first, paddr_t last)
{
    return rangeset_remove_range(d->iomem_caps, PFN_DOWN(first), PFN_DOWN(last));
}

static int permit_memory(struct domain *d)
{
    int rc = rangeset_add_range(d->iomem_caps, 0, (1UL << (boot_cpu.paddr_bits - PAGE_SHIFT)) - 1);

    rc = rc ?: deny_frames(d, MSI_WINDOW_START, MSI_WINDOW_END);
    if (acpi.lapic)
        rc = rc ?: deny_frames(d, acpi.lapic, acpi.lapic);
    for (unsigned int i = 0; i < acpi.nr_ioapics; i++)
        rc = rc ?: deny_frames(d, acpi.ioapic[i].maddr, acpi.ioapic[i].maddr);
    if (boot_cpu.vendor == VENDOR_AMD && boot_cpu.paddr_bits >= 40)
        rc = rc ?: deny_frames(d, HT_RANGE_START, HT_RANGE_END);
    for (unsigned int i = 0; i < machine_e820.nr; i++) {
        const struct e820_range *r = &machine_e820.range[i];

        if (r->type == E820_UNUSABLE && r->start >= MB(1))
            rc = rc ?: deny_frames(d, r->start, r->end - 1);
    }
    return rc;
}

void dom0_permit_devices(struct domain *d)
{
    int rc = permit_ports(d);

    rc = rc ?: permit_memory(d);
    rc = rc ?: rangeset_add_range(d->irq_caps, 1, ioapic_nr_gsis() - 1);    /* 0 is the hypervisor's timer */
    rc = rc ?: deny_serial(d);
    if (rc)
        panic("dom0's devices cannot be listed: error %d", rc);
}
