/* SPDX-License-Identifier: MIT */
/*
 * PCI configuration space, and the list of functions that dom0 has told of or that raise MSIs.
 * Ports CF8/CFC serve the first 256 bytes of segment 0, ECAM windows all else; each bus of a window
 * is mapped when it is first used. Specification: PCI Local Bus 3.0, 3.2.2.3; PCI Express 7.2.2.
 */
#include <asm/acpi.h>
#include <asm/mm_init.h>
#include <asm/msi.h>
#include <asm/pci.h>
#include <asm/processor.h>
#include <domus/lib.h>
#include <domus/spinlock.h>
#include <domus/xmalloc.h>

#define CONFIG_ADDRESS  0xcf8
#define CONFIG_DATA     0xcfc
#define CONFIG_ENABLE   0x80000000u

#define CONF_SPACE_SIZE     256
#define EXT_CONF_SPACE_SIZE 4096
#define ECAM_BUS_SIZE       MB(1)

#define PCI_CAPS_MAX    48      /* as many as fit: a longer chain is a loop */

static volatile u8 *ecam_bus[ACPI_MAX_MCFG][256];   /* by entry of acpi.mcfg and bus */

static DEFINE_SPINLOCK(conf_lock, RANK_APIC);       /* the CF8/CFC pair */

static LIST_HEAD(pci_devs);
static DEFINE_SPINLOCK(pci_devs_lock, RANK_PIRQ);

void pcidevs_lock(void)
{
    spin_lock(&pci_devs_lock);
}

void pcidevs_unlock(void)
{
    spin_unlock(&pci_devs_lock);
}

/* Address of a register in an ECAM window; NULL if there is none. Maps the bus if need be. */
static volatile u8 *ecam_address(pci_sbdf_t sbdf, unsigned int reg)
{
    for (unsigned int i = 0; i < acpi.nr_mcfg; i++) {
        const struct acpi_mcfg *m = &acpi.mcfg[i];
        volatile u8 *bus, *other;

        if (m->segment != sbdf.seg || sbdf.bus < m->start_bus || sbdf.bus > m->end_bus)
            continue;
        bus = READ_ONCE(ecam_bus[i][sbdf.bus]);
        if (!bus) {
            /* The window's base is that of bus 0, whatever its first bus is. */
            bus = ioremap(m->base + sbdf.bus * ECAM_BUS_SIZE, ECAM_BUS_SIZE);
            if (!bus)
                return NULL;
            other = cmpxchg(&ecam_bus[i][sbdf.bus], NULL, bus);
            if (other) {
                iounmap((void *)bus, ECAM_BUS_SIZE);
                bus = other;
            }
        }
        return bus + (sbdf.devfn << 12) + reg;
    }
    return NULL;
}

static bool valid_access(unsigned int reg, unsigned int bytes)
{
    return (bytes == 1 || bytes == 2 || bytes == 4) && IS_ALIGNED(reg, bytes) &&
           reg < EXT_CONF_SPACE_SIZE;
}

static uint32_t config_address(pci_sbdf_t sbdf, unsigned int reg)
{
    return CONFIG_ENABLE | sbdf.bus << 16 | sbdf.devfn << 8 | (reg & ~3u);
}

uint32_t pci_conf_read(pci_sbdf_t sbdf, unsigned int reg, unsigned int bytes)
{
    unsigned long flags;
    uint32_t value;

    if (!valid_access(reg, bytes))
        return ~0u;
    if (sbdf.seg || reg >= CONF_SPACE_SIZE) {
        volatile u8 *p = ecam_address(sbdf, reg);

        if (!p)
            return ~0u;
        return bytes == 1 ? mmio_read8(p) : bytes == 2 ? mmio_read16(p) : mmio_read32(p);
    }

    spin_lock_irqsave(&conf_lock, flags);
    outl(config_address(sbdf, reg), CONFIG_ADDRESS);
    if (bytes == 1)
        value = inb(CONFIG_DATA + (reg & 3));
    else if (bytes == 2)
        value = inw(CONFIG_DATA + (reg & 2));
    else
        value = inl(CONFIG_DATA);
    spin_unlock_irqrestore(&conf_lock, flags);
    return value;
}

void pci_conf_write(pci_sbdf_t sbdf, unsigned int reg, unsigned int bytes, uint32_t value)
{
    unsigned long flags;

    if (!valid_access(reg, bytes))
        return;
    if (sbdf.seg || reg >= CONF_SPACE_SIZE) {
        volatile u8 *p = ecam_address(sbdf, reg);

        if (!p)
            return;
        if (bytes == 1)
            mmio_write8(p, (u8)value);
        else if (bytes == 2)
            mmio_write16(p, (u16)value);
        else
            mmio_write32(p, value);
        return;
    }

    spin_lock_irqsave(&conf_lock, flags);
    outl(config_address(sbdf, reg), CONFIG_ADDRESS);
    if (bytes == 1)
        outb((u8)value, CONFIG_DATA + (reg & 3));
    else if (bytes == 2)
        outw((u16)value, CONFIG_DATA + (reg & 2));
    else
        outl(value, CONFIG_DATA);
    spin_unlock_irqrestore(&conf_lock, flags);
}

bool pci_present(pci_sbdf_t sbdf)
{
    return pci_conf_read(sbdf, PCI_VENDOR_ID, 2) != 0xffff;
}

unsigned int pci_find_capability(pci_sbdf_t sbdf, unsigned int id)
{
    unsigned int pos;

    if (!(pci_conf_read(sbdf, PCI_STATUS, 2) & PCI_STATUS_CAP_LIST))
        return 0;
    pos = pci_conf_read(sbdf, PCI_CAPABILITIES, 1) & ~3u;
    for (unsigned int n = 0; pos >= 0x40 && n < PCI_CAPS_MAX; n++) {
        unsigned int header = pci_conf_read(sbdf, pos, 2);

        if ((header & 0xff) == id)
            return pos;
        pos = header >> 8 & ~3u;
    }
    return 0;
}

int pci_mmcfg_reserved(uint64_t address, uint16_t seg, uint8_t start_bus, uint8_t end_bus)
{
    for (unsigned int i = 0; i < acpi.nr_mcfg; i++) {
        const struct acpi_mcfg *m = &acpi.mcfg[i];

        if (m->base == address && m->segment == seg && m->start_bus == start_bus &&
            m->end_bus == end_bus)
            return 0;
    }
    return -ENODEV;
}

static bool same_sbdf(pci_sbdf_t a, pci_sbdf_t b)
{
    return a.seg == b.seg && a.bus == b.bus && a.devfn == b.devfn;
}

struct pci_dev *pci_get_dev(pci_sbdf_t sbdf)
{
    struct pci_dev *dev;

    list_for_each_entry(dev, &pci_devs, node)
        if (same_sbdf(dev->sbdf, sbdf))
            return dev;
    return NULL;
}

int pci_add_dev(pci_sbdf_t sbdf, struct pci_dev **out)
{
    struct pci_dev *dev = pci_get_dev(sbdf);

    if (!dev) {
        if (!pci_present(sbdf))
            return -ENODEV;
        dev = xzalloc(struct pci_dev);
        if (!dev)
            return -ENOMEM;
        dev->sbdf = sbdf;
        INIT_LIST_HEAD(&dev->msi_list);
        list_add_tail(&dev->node, &pci_devs);
    }
    *out = dev;
    return 0;
}

int pci_remove_dev(pci_sbdf_t sbdf)
{
    struct pci_dev *dev = pci_get_dev(sbdf);

    if (!dev)
        return -ENODEV;
    if (!list_empty(&dev->msi_list))
        return -EBUSY;
    msix_release_table(dev);
    list_del(&dev->node);
    xfree(dev);
    return 0;
}
