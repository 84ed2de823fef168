/* SPDX-License-Identifier: MIT */
/*
 * IO-APICs: each pin has a redirection entry that says on which vector of which CPU its global
 * system interrupt (GSI) arrives. Specification: 82093AA data sheet; ACPI 5.2.12 (MADT).
 *
 * A copy of every entry is kept, so that masking costs one write and nothing is ever read back but
 * the remote-IRR bit.
 */
#include <asm/acpi.h>
#include <asm/io_apic.h>
#include <asm/mm_init.h>
#include <asm/processor.h>
#include <domus/lib.h>
#include <domus/spinlock.h>
#include <domus/xmalloc.h>

#define MAX_PINS         240

#define REG_ID           0x00
#define REG_VERSION      0x01
#define REG_RTE(pin)     (0x10 + 2 * (pin))

#define NR_ISA_IRQS      16

struct io_apic {
    volatile u32 *regs;         /* [0] selects a register, [4] is its window */
    uint64_t phys;
    unsigned int gsi_base;
    unsigned int nr_pins;
    union ioapic_rte *rte;      /* [nr_pins] */
};

static struct io_apic io_apics[ACPI_MAX_IOAPICS];
static unsigned int nr_io_apics;
static unsigned int nr_gsis = NR_ISA_IRQS;
static unsigned int isa_gsi[NR_ISA_IRQS];      /* the GSI that each ISA interrupt is wired to */

/* Guards register windows and entry copies. */
static DEFINE_SPINLOCK(ioapic_lock, RANK_APIC);

static u32 ioapic_read(const struct io_apic *ioapic, unsigned int reg)
{
    ioapic->regs[0] = reg;
    return ioapic->regs[4];
}

static void ioapic_write(const struct io_apic *ioapic, unsigned int reg, u32 value)
{
    ioapic->regs[0] = reg;
    ioapic->regs[4] = value;
}

/* The low half holds the mask bit: it is written last when unmasking, first when masking. */
static void write_rte(const struct io_apic *ioapic, unsigned int pin)
{
    union ioapic_rte rte = ioapic->rte[pin];

    if (rte.masked)
        ioapic_write(ioapic, REG_RTE(pin), (u32)rte.raw);
    ioapic_write(ioapic, REG_RTE(pin) + 1, (u32)(rte.raw >> 32));
    if (!rte.masked)
        ioapic_write(ioapic, REG_RTE(pin), (u32)rte.raw);
}

static struct io_apic *gsi_to_ioapic(unsigned int gsi, unsigned int *pin)
{
    *pin = 0;
    for (unsigned int i = 0; i < nr_io_apics; i++) {
        struct io_apic *ioapic = &io_apics[i];

        if (gsi >= ioapic->gsi_base && gsi - ioapic->gsi_base < ioapic->nr_pins) {
            *pin = gsi - ioapic->gsi_base;
            return ioapic;
        }
    }
    return NULL;
}

unsigned int ioapic_nr_gsis(void)
{
    return nr_gsis;
}

bool ioapic_has_gsi(unsigned int gsi)
{
    unsigned int pin;

    return gsi_to_ioapic(gsi, &pin) != NULL;
}

unsigned int ioapic_isa_to_gsi(unsigned int isa_irq)
{
    return isa_gsi[isa_irq];
}

/* Every pin starts masked, edge-triggered and active high, as ISA interrupts are. */
static void __init add_ioapic(uint64_t phys, unsigned int gsi_base)
{
    struct io_apic *ioapic = &io_apics[nr_io_apics];

    if (nr_io_apics == ACPI_MAX_IOAPICS) {
        printk(LOG_WARN "IO-APIC at %#lx ignored: more than %u\n", phys, ACPI_MAX_IOAPICS);
        return;
    }
    ioapic->regs = ioremap(phys, PAGE_SIZE);
    if (!ioapic->regs)
        panic("IO-APIC at %#lx cannot be mapped", phys);
    ioapic->phys = phys;
    ioapic->gsi_base = gsi_base;
    ioapic->nr_pins = (ioapic_read(ioapic, REG_VERSION) >> 16 & 0xff) + 1;
    if (ioapic->nr_pins > MAX_PINS) {
        printk(LOG_WARN "IO-APIC at %#lx does not answer\n", phys);
        return;
    }
    ioapic->rte = xzalloc_array(union ioapic_rte, ioapic->nr_pins);
    if (!ioapic->rte)
        panic("Out of memory for IO-APIC at %#lx", phys);
    for (unsigned int pin = 0; pin < ioapic->nr_pins; pin++) {
        ioapic->rte[pin].masked = 1;
        write_rte(ioapic, pin);
    }
    nr_io_apics++;
    nr_gsis = max(nr_gsis, gsi_base + ioapic->nr_pins);
    printk(LOG_INFO "IO-APIC at %#lx: GSI %u-%u\n", phys, gsi_base, gsi_base + ioapic->nr_pins - 1);
}

static void set_trigger(unsigned int gsi, bool level, bool active_low)
{
    unsigned int pin;
    struct io_apic *ioapic = gsi_to_ioapic(gsi, &pin);

    ioapic->rte[pin].level = level;
    ioapic->rte[pin].active_low = active_low;
    write_rte(ioapic, pin);
}

void __init ioapic_init(void)
{
    for (unsigned int i = 0; i < acpi.nr_ioapics; i++)
        add_ioapic(acpi.ioapic[i].maddr, acpi.ioapic[i].gsi_base);
    if (!nr_io_apics)
        panic("No IO-APIC: the ACPI MADT lists none that works");

    for (unsigned int irq = 0; irq < NR_ISA_IRQS; irq++)
        isa_gsi[irq] = irq;
    for (unsigned int i = 0; i < acpi.nr_overrides; i++) {
        const struct acpi_override *o = &acpi.override[i];

        if (o->isa_irq >= NR_ISA_IRQS || !ioapic_has_gsi(o->gsi))
            continue;
        isa_gsi[o->isa_irq] = o->gsi;
        set_trigger(o->gsi, (o->flags & ACPI_TRIGGER_MASK) == ACPI_TRIGGER_LEVEL,
                    (o->flags & ACPI_POLARITY_MASK) == ACPI_POLARITY_LOW);
    }
}

bool ioapic_is_level(unsigned int gsi)
{
    unsigned int pin;
    const struct io_apic *ioapic = gsi_to_ioapic(gsi, &pin);

    return ioapic && ioapic->rte[pin].level;
}

int ioapic_set_trigger(unsigned int gsi, bool level, bool active_low)
{
    unsigned int pin;
    struct io_apic *ioapic = gsi_to_ioapic(gsi, &pin);
    unsigned long flags;
    int ret = 0;

    if (!ioapic)
        return -EINVAL;
    spin_lock_irqsave(&ioapic_lock, flags);
    if (ioapic->rte[pin].level == level && ioapic->rte[pin].active_low == active_low)
        ret = 0;
    else if (!ioapic->rte[pin].masked || ioapic->rte[pin].vector)
        ret = -EBUSY;
    else
        set_trigger(gsi, level, active_low);
    spin_unlock_irqrestore(&ioapic_lock, flags);
    return ret;
}

void ioapic_route(unsigned int gsi, unsigned int vector, uint32_t dest_apicid)
{
    unsigned int pin;
    struct io_apic *ioapic = gsi_to_ioapic(gsi, &pin);
    unsigned long flags;

    spin_lock_irqsave(&ioapic_lock, flags);
    ioapic->rte[pin].vector = vector;
    ioapic->rte[pin].dest = dest_apicid;
    write_rte(ioapic, pin);
    spin_unlock_irqrestore(&ioapic_lock, flags);
}

static void set_mask(unsigned int gsi, bool masked)
{
    unsigned int pin;
    struct io_apic *ioapic = gsi_to_ioapic(gsi, &pin);
    unsigned long flags;

    spin_lock_irqsave(&ioapic_lock, flags);
    if (ioapic->rte[pin].masked != masked) {
        ioapic->rte[pin].masked = masked;
        ioapic_write(ioapic, REG_RTE(pin), (u32)ioapic->rte[pin].raw);
    }
    spin_unlock_irqrestore(&ioapic_lock, flags);
}

void ioapic_mask(unsigned int gsi)
{
    set_mask(gsi, true);
}

void ioapic_unmask(unsigned int gsi)
{
    set_mask(gsi, false);
}

bool ioapic_remote_irr(unsigned int gsi)
{
    unsigned int pin;
    struct io_apic *ioapic = gsi_to_ioapic(gsi, &pin);
    union ioapic_rte rte = { 0 };
    unsigned long flags;

    spin_lock_irqsave(&ioapic_lock, flags);
    rte.raw = ioapic_read(ioapic, REG_RTE(pin));
    spin_unlock_irqrestore(&ioapic_lock, flags);
    return rte.remote_irr;
}

static struct io_apic *find_ioapic(uint64_t physbase)
{
    for (unsigned int i = 0; i < nr_io_apics; i++)
        if (io_apics[i].phys == physbase)
            return &io_apics[i];
    return NULL;
}

static bool guest_reg_exists(const struct io_apic *ioapic, unsigned int reg)
{
    return reg <= 2 || (reg >= REG_RTE(0) && reg < REG_RTE(ioapic->nr_pins));
}

int ioapic_guest_read(uint64_t physbase, unsigned int reg, uint32_t *value)
{
    const struct io_apic *ioapic = find_ioapic(physbase);
    unsigned long flags;

    if (!ioapic || !guest_reg_exists(ioapic, reg))
        return -EINVAL;
    spin_lock_irqsave(&ioapic_lock, flags);
    *value = ioapic_read(ioapic, reg);
    spin_unlock_irqrestore(&ioapic_lock, flags);
    return 0;
}

/*
 * An older dom0 programs entries itself: trigger mode and polarity are taken from what it writes
 * while the line is idle, all else is the hypervisor's business and dropped.
 */
int ioapic_guest_write(uint64_t physbase, unsigned int reg, uint32_t value)
{
    const struct io_apic *ioapic = find_ioapic(physbase);
    union ioapic_rte rte = { .raw = value };

    if (!ioapic || !guest_reg_exists(ioapic, reg))
        return -EINVAL;
    if (reg >= REG_RTE(0) && !(reg & 1) && !rte.masked)
        ioapic_set_trigger(ioapic->gsi_base + (reg - REG_RTE(0)) / 2, rte.level, rte.active_low);
    return 0;
}

void ioapic_mask_all(void)
{
    for (unsigned int i = 0; i < nr_io_apics; i++)
        for (unsigned int pin = 0; pin < io_apics[i].nr_pins; pin++)
            ioapic_write(&io_apics[i], REG_RTE(pin), (u32)(union ioapic_rte){ .masked = 1 }.raw);
}

void ioapic_dump(void)
{
    for (unsigned int i = 0; i < nr_io_apics; i++) {
        const struct io_apic *ioapic = &io_apics[i];

        printk("IO-APIC %u at %#lx:\n", i, ioapic->phys);
        for (unsigned int pin = 0; pin < ioapic->nr_pins; pin++) {
            union ioapic_rte rte = ioapic->rte[pin];

            if (rte.vector)
                printk("  GSI %u: vector %02x to APIC %u, %s, active %s%s\n",
                       ioapic->gsi_base + pin, rte.vector, rte.dest, rte.level ? "level" : "edge",
                       rte.active_low ? "low" : "high", rte.masked ? ", masked" : "");
        }
    }
}
