/* SPDX-License-Identifier: MIT */
/*
 * Message-signalled interrupts: what a device writes where to raise a vector, by MSI capability
 * or MSI-X table entry.
 */
#ifndef ASM_MSI_H
#define ASM_MSI_H

#include <asm/pci.h>
#include <domus/list.h>
#include <domus/types.h>

struct msi_msg {
    uint64_t address;
    uint32_t data;
};

/* What dom0 asks for in PHYSDEVOP_map_pirq. */
struct msi_request {
    pci_sbdf_t sbdf;
    unsigned int entry;        /* MSI-X table index; 0 for MSI */
    uint64_t table_base;       /* guest's idea of the table's address; 0 means MSI */
};

struct msi_desc {
    struct list_head node;     /* pci_dev.msi_list, under the pcidevs lock */
    struct pci_dev *dev;
    unsigned int cap;          /* offset of the capability */
    unsigned int entry;        /* MSI-X table index; 0 for MSI */
    bool is_msix;
    bool is_64bit;
    bool maskable;
    bool masked;
    volatile uint32_t *table;  /* MSI-X entry */
    struct msi_msg msg;
};

/* Prepare the function's capability for `req`; the pcidevs lock is held. The desc is not bound. */
int msi_create(const struct msi_request *req, struct msi_desc **out);
/* Quiesce and free; the pcidevs lock is held, and no irq refers to it any more. */
void msi_destroy(struct msi_desc *desc);
/* Send this message to physical APIC id `dest`. */
void msi_set_target(struct msi_desc *desc, unsigned int vector, uint32_t dest_apicid);
void msi_mask(struct msi_desc *desc);
void msi_unmask(struct msi_desc *desc);
/* Write all messages of the function again after it lost power. */
int msi_restore(struct pci_dev *dev);
/* PHYSDEVOP_prepare_msix / _release_msix: -EBUSY while MSIs are mapped. pcidevs lock held. */
int msix_prepare(struct pci_dev *dev, bool off);
/* Unmap the table; no MSI of the function is left. The pcidevs lock is held. */
void msix_release_table(struct pci_dev *dev);

#endif
