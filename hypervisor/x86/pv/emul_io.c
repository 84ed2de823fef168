/* SPDX-License-Identifier: MIT */
/*
 * Ports of a PV guest. Two questions are asked of an access: may the code do it by its own kernel's rules (else #GP, as
 * on the metal), and is the device the domain's (else the access goes nowhere, as with no device there).
 *
 * A few ports are shared with the hypervisor and take their own way: PCI configuration (one lock for index and data), the
 * CMOS (likewise), and the speaker's part of the timer.
 */
#include <domus/domain.h>
#include <domus/guest_access.h>
#include <domus/lib.h>
#include <domus/lock_order.h>
#include <domus/rangeset.h>
#include <domus/spinlock.h>
#include <asm/pci.h>
#include <asm/processor.h>
#include <asm/pv_emul.h>
#include <asm/traps.h>

#define PORT_PIT_CHANNEL2 0x42
#define PORT_PIT_MODE     0x43
#define PORT_SPEAKER      0x61
#define  SPEAKER_CONTROL  0x03      /* gate of channel 2, speaker on */
#define PORT_CMOS_INDEX   0x70
#define  CMOS_REGISTER    0x7f      /* the other bit holds back NMIs: remembered for the domain, not done */
#define PORT_CMOS_DATA    0x71
#define PORT_PCI_ADDRESS  0xcf8
#define  PCI_ENABLE       0x80000000u
#define PORT_PCI_DATA     0xcfc

static DEFINE_SPINLOCK(cmos_lock, RANK_PLATFORM);

static u32 ones(unsigned int bytes)
{
    return ~0u >> (32 - 8 * bytes);
}

/* ---- The guest's own rules ---- */

/* The kernel's memory, which user space's page tables need not have. */
static bool read_bitmap(struct vcpu *v, u8 map[2], unsigned int port, unsigned int bytes)
{
    const u8 *p = (const u8 *)v->arch.iobmp + port / 8;
    bool kernel = v->arch.flags & VF_KERNEL_MODE, ok;

    if (!kernel) {
        local_irq_disable();
        pv_toggle_guest_mode(v);
    }
    ok = copy_from_guest(map, p, port % 8 + bytes > 8 ? 2 : 1) == 0;
    if (!kernel) {
        pv_toggle_guest_mode(v);
        local_irq_enable();
    }
    return ok;
}

bool pv_io_allowed(struct vcpu *v, unsigned int port, unsigned int bytes)
{
    bool kernel = v->arch.flags & VF_KERNEL_MODE;
    unsigned int level = 3;
    u8 map[2] = { 0xff, 0xff };

    /* A kernel counts as ring 1 for its IOPL, or as ring 0 if it has asked for that. */
    if (kernel)
        level = v->domain->vm_assist & BIT(VMASST_TYPE_architectural_iopl) ? 0 : 1;
    if (v->arch.iopl >= level)
        return true;
    if (port + bytes > v->arch.iobmp_limit || !read_bitmap(v, map, port, bytes))
        return false;
    return ((map[0] | map[1] << 8) >> (port % 8) & ((1u << bytes) - 1)) == 0;
}

/* ---- Real ports ---- */

static u32 port_read(unsigned int port, unsigned int bytes)
{
    switch (bytes) {
    case 1:
        return inb((u16)port);
    case 2:
        return inw((u16)port);
    default:
        return inl((u16)port);
    }
}

static void port_write(unsigned int port, unsigned int bytes, u32 value)
{
    switch (bytes) {
    case 1:
        outb((u8)value, (u16)port);
        break;
    case 2:
        outw((u16)value, (u16)port);
        break;
    default:
        outl(value, (u16)port);
        break;
    }
}

static bool owns_ports(struct domain *d, unsigned int port, unsigned int bytes)
{
    return rangeset_contains_range(d->arch.ioport_caps, port, port + bytes - 1);
}

/* Ports that the access can go to as it is: all the domain's own, none of them shared. */
static bool plain_ports(struct domain *d, unsigned int port, unsigned int bytes)
{
    bool cmos = port <= PORT_CMOS_DATA && port + bytes > PORT_CMOS_INDEX;

    return !cmos && owns_ports(d, port, bytes);
}

/* ---- Shared devices ---- */

static bool is_pci_data(unsigned int port)
{
    return (port & ~3u) == PORT_PCI_DATA;
}

/* Function and register that the domain's last write of CF8 chose, for this data port; false: none, or not its. */
static bool pci_target(const struct domain *d, unsigned int port, pci_sbdf_t *sbdf, unsigned int *reg)
{
    u32 cf8 = d->arch.pci_cf8;

    if (!d->is_privileged || !(cf8 & PCI_ENABLE))
        return false;
    *sbdf = PCI_SBDF(0, (u8)(cf8 >> 16), (u8)(cf8 >> 8));
    *reg = (cf8 & 0xfc) | (port & 3);
    return true;
}

/* True if the byte port is one that is shared; *value is what it reads. */
static bool shared_read(struct domain *d, unsigned int port, u32 *value)
{
    switch (port) {
    case PORT_PIT_CHANNEL2:
        if (!d->is_privileged)
            return false;
        *value = inb(PORT_PIT_CHANNEL2);
        return true;
    case PORT_SPEAKER:
        if (!d->is_privileged)
            return false;
        *value = inb(PORT_SPEAKER);
        return true;
    case PORT_CMOS_INDEX:
        *value = d->arch.cmos_idx;
        return owns_ports(d, PORT_CMOS_INDEX, 2);
    case PORT_CMOS_DATA:
        if (!owns_ports(d, PORT_CMOS_INDEX, 2))
            return false;
        spin_lock(&cmos_lock);
        outb(d->arch.cmos_idx & CMOS_REGISTER, PORT_CMOS_INDEX);
        *value = inb(PORT_CMOS_DATA);
        spin_unlock(&cmos_lock);
        return true;
    default:
        return false;
    }
}

static bool shared_write(struct domain *d, unsigned int port, u8 value)
{
    switch (port) {
    case PORT_PIT_CHANNEL2:
        if (!d->is_privileged)
            return false;
        outb(value, PORT_PIT_CHANNEL2);
        return true;
    case PORT_PIT_MODE:
        if (!d->is_privileged || value >> 6 != 2)
            return false;
        outb(value, PORT_PIT_MODE);
        return true;
    case PORT_SPEAKER:
        if (!d->is_privileged)
            return false;
        outb((u8)((inb(PORT_SPEAKER) & ~SPEAKER_CONTROL) | (value & SPEAKER_CONTROL)), PORT_SPEAKER);
        return true;
    case PORT_CMOS_INDEX:
        if (!owns_ports(d, PORT_CMOS_INDEX, 2))
            return false;
        d->arch.cmos_idx = value;
        return true;
    case PORT_CMOS_DATA:
        if (!owns_ports(d, PORT_CMOS_INDEX, 2))
            return false;
        spin_lock(&cmos_lock);
        outb(d->arch.cmos_idx & CMOS_REGISTER, PORT_CMOS_INDEX);
        outb(value, PORT_CMOS_DATA);
        spin_unlock(&cmos_lock);
        return true;
    default:
        return false;
    }
}

/* ---- An access ---- */

static bool whole_pci_data(unsigned int port, unsigned int bytes)
{
    return is_pci_data(port) && port % bytes == 0;
}

u32 pv_io_read(struct domain *d, unsigned int port, unsigned int bytes)
{
    u32 value = ones(bytes);
    pci_sbdf_t sbdf;
    unsigned int reg;

    if (port == PORT_PCI_ADDRESS && bytes == 4)
        return d->arch.pci_cf8;
    if (whole_pci_data(port, bytes))
        return pci_target(d, port, &sbdf, &reg) ? pci_conf_read(sbdf, reg, bytes) : value;
    if (plain_ports(d, port, bytes))
        return port_read(port, bytes);
    if (bytes == 1) {
        u32 shared;

        return shared_read(d, port, &shared) ? shared : value;
    }
    value = 0;
    for (unsigned int i = 0; i < bytes; i++)
        value |= pv_io_read(d, port + i, 1) << (8 * i);
    return value;
}

void pv_io_write(struct domain *d, unsigned int port, unsigned int bytes, u32 value)
{
    pci_sbdf_t sbdf;
    unsigned int reg;

    if (port == PORT_PCI_ADDRESS && bytes == 4) {
        d->arch.pci_cf8 = value;
    } else if (whole_pci_data(port, bytes)) {
        if (pci_target(d, port, &sbdf, &reg))
            pci_conf_write(sbdf, reg, bytes, value);
    } else if (plain_ports(d, port, bytes)) {
        port_write(port, bytes, value);
    } else if (bytes == 1) {
        shared_write(d, port, (u8)value);
    } else {
        for (unsigned int i = 0; i < bytes; i++)
            pv_io_write(d, port + i, 1, value >> (8 * i) & 0xff);
    }
}
