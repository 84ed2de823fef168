/* SPDX-License-Identifier: MIT */
/*
 * Message-signalled interrupts. dom0 owns a function's configuration space and switches the
 * capability on; the hypervisor writes address and data, and masks, because they name its vectors.
 * Specification: PCI Local Bus 3.0, section 6.8; Intel SDM 3A, 11.11.
 */
#include <asm/mm_init.h>
#include <asm/msi.h>
#include <asm/processor.h>
#include <domus/lib.h>
#include <domus/xmalloc.h>

/* MSI capability. */
#define MSI_FLAGS(cap)       ((cap) + 2)
#define MSI_FLAGS_ENABLE     0x0001
#define MSI_FLAGS_MULTIPLE   0x0070
#define MSI_FLAGS_64BIT      0x0080
#define MSI_FLAGS_MASKABLE   0x0100
#define MSI_ADDRESS_LO(cap)  ((cap) + 4)
#define MSI_ADDRESS_HI(cap)  ((cap) + 8)
#define MSI_DATA(cap, is64)  ((cap) + ((is64) ? 12 : 8))
#define MSI_MASK(cap, is64)  ((cap) + ((is64) ? 16 : 12))

/* MSI-X capability and table entry. */
#define MSIX_FLAGS(cap)      ((cap) + 2)
#define MSIX_FLAGS_SIZE      0x07ff
#define MSIX_TABLE(cap)      ((cap) + 4)
#define MSIX_TABLE_BIR       0x7
#define MSIX_ENTRY_SIZE      16
enum { MSIX_ADDRESS_LO, MSIX_ADDRESS_HI, MSIX_DATA, MSIX_CONTROL };
#define MSIX_CONTROL_MASK    0x1

#define BAR_IO               0x1
#define BAR_TYPE_MASK        0x6
#define BAR_TYPE_64          0x4
#define BAR_FLAGS            0xfu
#define NR_BARS              6

#define MSI_ADDRESS_BASE     0xfee00000u
#define MSI_ADDRESS_DEST(id) (((id) & 0xff) << 12)

struct msix_table {
    volatile u32 *entries;
    unsigned int nr;
};

static bool memory_decoded(pci_sbdf_t sbdf)
{
    return pci_conf_read(sbdf, PCI_COMMAND, 2) & PCI_COMMAND_MEMORY;
}

/* Machine address of a memory BAR, 0 if it is none or not set. */
static paddr_t bar_address(pci_sbdf_t sbdf, unsigned int bir)
{
    unsigned int reg = PCI_BASE_ADDRESS_0 + 4 * bir;
    u32 low;

    if (bir >= NR_BARS)
        return 0;
    low = pci_conf_read(sbdf, reg, 4);
    if (low & BAR_IO)
        return 0;
    if ((low & BAR_TYPE_MASK) != BAR_TYPE_64)
        return low & ~BAR_FLAGS;
    if (bir == NR_BARS - 1)
        return 0;
    return (paddr_t)pci_conf_read(sbdf, reg + 4, 4) << 32 | (low & ~BAR_FLAGS);
}

static int map_msix_table(struct pci_dev *dev, unsigned int cap)
{
    u32 location = pci_conf_read(dev->sbdf, MSIX_TABLE(cap), 4);
    paddr_t base = bar_address(dev->sbdf, location & MSIX_TABLE_BIR);
    struct msix_table *table;

    if (!base)
        return -EINVAL;
    table = xzalloc(struct msix_table);
    if (!table)
        return -ENOMEM;
    table->nr = (pci_conf_read(dev->sbdf, MSIX_FLAGS(cap), 2) & MSIX_FLAGS_SIZE) + 1;
    table->entries = ioremap(base + (location & ~MSIX_TABLE_BIR), table->nr * MSIX_ENTRY_SIZE);
    if (!table->entries) {
        xfree(table);
        return -ENOMEM;
    }
    dev->msix = table;
    return 0;
}

void msix_release_table(struct pci_dev *dev)
{
    if (!dev->msix)
        return;
    iounmap((void *)dev->msix->entries, dev->msix->nr * MSIX_ENTRY_SIZE);
    XFREE(dev->msix);
}

static struct msi_desc *find_desc(const struct pci_dev *dev, bool is_msix, unsigned int entry)
{
    struct msi_desc *desc;

    list_for_each_entry(desc, &dev->msi_list, node)
        if (desc->is_msix == is_msix && desc->entry == entry)
            return desc;
    return NULL;
}

static int init_msi(struct msi_desc *desc)
{
    pci_sbdf_t sbdf = desc->dev->sbdf;
    unsigned int flags;

    desc->cap = pci_find_capability(sbdf, PCI_CAP_ID_MSI);
    if (!desc->cap)
        return -ENODEV;
    if (desc->entry)
        return -EINVAL;
    flags = pci_conf_read(sbdf, MSI_FLAGS(desc->cap), 2);
    desc->is_64bit = flags & MSI_FLAGS_64BIT;
    desc->maskable = flags & MSI_FLAGS_MASKABLE;
    /* One vector alone: a block of several would have to be contiguous on one CPU. */
    if (flags & MSI_FLAGS_MULTIPLE)
        pci_conf_write(sbdf, MSI_FLAGS(desc->cap), 2, flags & ~MSI_FLAGS_MULTIPLE);
    return 0;
}

static int init_msix(struct msi_desc *desc)
{
    struct pci_dev *dev = desc->dev;
    int ret;

    desc->cap = pci_find_capability(dev->sbdf, PCI_CAP_ID_MSIX);
    if (!desc->cap)
        return -ENODEV;
    if (!memory_decoded(dev->sbdf))
        return -ENXIO;
    if (!dev->msix) {
        ret = map_msix_table(dev, desc->cap);
        if (ret)
            return ret;
    }
    if (desc->entry >= dev->msix->nr)
        return -EINVAL;
    desc->maskable = true;
    desc->table = dev->msix->entries + desc->entry * (MSIX_ENTRY_SIZE / sizeof(u32));
    return 0;
}

int msi_create(const struct msi_request *req, struct msi_desc **out)
{
    bool is_msix = req->table_base != 0;
    struct msi_desc *desc;
    struct pci_dev *dev;
    int ret = pci_add_dev(req->sbdf, &dev);

    if (ret)
        return ret;
    if (find_desc(dev, is_msix, req->entry))
        return -EEXIST;
    desc = xzalloc(struct msi_desc);
    if (!desc)
        return -ENOMEM;
    desc->dev = dev;
    desc->is_msix = is_msix;
    desc->entry = req->entry;
    ret = is_msix ? init_msix(desc) : init_msi(desc);
    if (ret) {
        xfree(desc);
        return ret;
    }
    list_add_tail(&desc->node, &dev->msi_list);
    msi_mask(desc);
    *out = desc;
    return 0;
}

void msi_destroy(struct msi_desc *desc)
{
    msi_mask(desc);
    list_del(&desc->node);
    xfree(desc);
}

static void write_mask(const struct msi_desc *desc)
{
    pci_sbdf_t sbdf = desc->dev->sbdf;

    if (!desc->maskable)
        return;
    if (desc->is_msix) {
        u32 control = mmio_read32(&desc->table[MSIX_CONTROL]) & ~MSIX_CONTROL_MASK;

        mmio_write32(&desc->table[MSIX_CONTROL], control | (desc->masked ? MSIX_CONTROL_MASK : 0));
        /* Reading back makes sure that a masked device sends no more when this returns. */
        mmio_read32(&desc->table[MSIX_CONTROL]);
    } else {
        pci_conf_write(sbdf, MSI_MASK(desc->cap, desc->is_64bit), 4, desc->masked);
    }
}

void msi_mask(struct msi_desc *desc)
{
    desc->masked = true;
    write_mask(desc);
}

void msi_unmask(struct msi_desc *desc)
{
    desc->masked = false;
    write_mask(desc);
}

/* Address and data do not change at once: the entry is masked meanwhile, where that is possible. */
static void write_msg(struct msi_desc *desc)
{
    pci_sbdf_t sbdf = desc->dev->sbdf;
    bool was_masked = desc->masked;

    if (!was_masked)
        msi_mask(desc);
    if (desc->is_msix) {
        mmio_write32(&desc->table[MSIX_ADDRESS_LO], (u32)desc->msg.address);
        mmio_write32(&desc->table[MSIX_ADDRESS_HI], (u32)(desc->msg.address >> 32));
        mmio_write32(&desc->table[MSIX_DATA], desc->msg.data);
    } else {
        pci_conf_write(sbdf, MSI_ADDRESS_LO(desc->cap), 4, (u32)desc->msg.address);
        if (desc->is_64bit)
            pci_conf_write(sbdf, MSI_ADDRESS_HI(desc->cap), 4, (u32)(desc->msg.address >> 32));
        pci_conf_write(sbdf, MSI_DATA(desc->cap, desc->is_64bit), 2, desc->msg.data);
    }
    if (!was_masked)
        msi_unmask(desc);
}

void msi_set_target(struct msi_desc *desc, unsigned int vector, uint32_t dest_apicid)
{
    /* Physical destination, fixed delivery, edge: all other bits are zero. */
    desc->msg.address = MSI_ADDRESS_BASE | MSI_ADDRESS_DEST(dest_apicid);
    desc->msg.data = vector;
    write_msg(desc);
}

int msi_restore(struct pci_dev *dev)
{
    struct msi_desc *desc;

    list_for_each_entry(desc, &dev->msi_list, node) {
        if (desc->is_msix && !memory_decoded(dev->sbdf))
            return -ENXIO;
        write_msg(desc);
        write_mask(desc);
    }
    return 0;
}

int msix_prepare(struct pci_dev *dev, bool off)
{
    unsigned int cap = pci_find_capability(dev->sbdf, PCI_CAP_ID_MSIX);

    if (!cap)
        return -ENODEV;
    if (!list_empty(&dev->msi_list))
        return -EBUSY;
    if (off) {
        msix_release_table(dev);
        return 0;
    }
    if (!memory_decoded(dev->sbdf))
        return -ENXIO;
    return dev->msix ? 0 : map_msix_table(dev, cap);
}
