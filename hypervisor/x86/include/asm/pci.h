/* SPDX-License-Identifier: MIT */
/*
 * PCI: configuration space access and the little that is known of each device.
 */
#ifndef ASM_PCI_H
#define ASM_PCI_H

#include <domus/list.h>
#include <domus/types.h>

/* Segment, bus, device and function of a PCI function. */
typedef struct {
    uint16_t seg;
    uint8_t bus;
    uint8_t devfn;
} pci_sbdf_t;

#define PCI_SBDF(s, b, df) ((pci_sbdf_t){ .seg = (s), .bus = (b), .devfn = (df) })
#define PCI_SLOT(devfn)    ((devfn) >> 3)
#define PCI_FUNC(devfn)    ((devfn) & 7)

#define PCI_VENDOR_ID      0x00
#define PCI_COMMAND        0x04
#define PCI_COMMAND_MEMORY 0x0002
#define PCI_COMMAND_INTX_DISABLE 0x0400
#define PCI_STATUS         0x06
#define PCI_STATUS_CAP_LIST 0x0010
#define PCI_HEADER_TYPE    0x0e
#define PCI_BASE_ADDRESS_0 0x10
#define PCI_CAPABILITIES   0x34
#define PCI_CAP_ID_MSI     0x05
#define PCI_CAP_ID_MSIX    0x11

struct msix_table;

/* What the hypervisor keeps of a function: its message-signalled interrupts. Under pcidevs_lock. */
struct pci_dev {
    struct list_head node;
    pci_sbdf_t sbdf;
    struct msix_table *msix;     /* mapped MSI-X table, NULL until first used */
    struct list_head msi_list;   /* struct msi_desc.node */
};

/*
 * dom0 says that an ECAM window is, or is not, reserved in its view of memory. The hypervisor goes
 * by the MCFG: 0 if the window is one of that table, else -ENODEV.
 */
int pci_mmcfg_reserved(uint64_t address, uint16_t seg, uint8_t start_bus, uint8_t end_bus);

/*
 * Configuration space: `reg` 0-4095 aligned to `bytes`, `bytes` 1, 2 or 4. Reads of what does not
 * exist give all ones; such writes are dropped. One lock covers the CF8/CFC pair.
 */
uint32_t pci_conf_read(pci_sbdf_t sbdf, unsigned int reg, unsigned int bytes);
void pci_conf_write(pci_sbdf_t sbdf, unsigned int reg, unsigned int bytes, uint32_t value);
bool pci_present(pci_sbdf_t sbdf);
/* Offset of capability `id`, 0 if there is none. */
unsigned int pci_find_capability(pci_sbdf_t sbdf, unsigned int id);

/* Device list. pcidevs_lock() is held around use of a struct pci_dev. */
void pcidevs_lock(void);
void pcidevs_unlock(void);
struct pci_dev *pci_get_dev(pci_sbdf_t sbdf);      /* NULL if not known */
/* Known or made known now; -ENODEV if there is no such function, -ENOMEM. Lock held. */
int pci_add_dev(pci_sbdf_t sbdf, struct pci_dev **out);
/* -ENODEV if not known, -EBUSY while MSIs of it are mapped. Lock held. */
int pci_remove_dev(pci_sbdf_t sbdf);

#endif
