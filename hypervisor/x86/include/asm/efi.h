/* SPDX-License-Identifier: MIT */
/*
 * What UEFI firmware leaves behind for whoever boots from it: its configuration tables, and the memory that stays its
 * own. UEFI specification 2.8, chapters 4 and 7.2.
 */
#ifndef ASM_EFI_H
#define ASM_EFI_H

#include <domus/types.h>

union xenpf_efi_info;
struct xenpf_efi_runtime_call;

/* Of the memory map: EFI_MEMORY_DESCRIPTOR. */
struct efi_region {
    u64 start, pages, attributes;
    u32 type;
};

/*
 * As the boot loader tells, before efi_init(): the machine address of the 64-bit system table, and one region of the
 * memory map (type, attributes: EFI_MEMORY_DESCRIPTOR's; pages of 4 KiB). Adjacent regions that are alike become one.
 */
void efi_set_system_table(u64 maddr);
void efi_add_memory(u32 type, u64 start, u64 pages, u64 attributes);

/* Whether UEFI started the machine; known once the loader's information has been read. */
bool efi_booted(void);

/* Reads the system table; needs ioremap(). */
void efi_init(void);

/* Machine address of ACPI's root pointer; 0 if there is none. */
paddr_t efi_rsdp(void);

/*
 * XENPF_firmware_info, type XEN_FW_EFI_INFO, for dom0. Source: <xen/platform.h>.
 * -ENOSYS: not booted by UEFI. -ESRCH: the firmware has none of it. -EINVAL: no such index, or no room for the vendor's
 * name, which is cut where it is too long. -EFAULT.
 */
long efi_firmware_info(u32 index, union xenpf_efi_info *info);

/*
 * Makes the address space in which the firmware's runtime services can be called, from its memory map; table: machine
 * address of EFI_RUNTIME_SERVICES. Where it cannot be made, or `efi=no-rs` forbids it, none is.
 */
void efi_runtime_init(u64 table, const struct efi_region *region, unsigned int nr_regions);

/*
 * XENPF_efi_runtime_call, by the running vCPU of dom0; takes efi_lock. What the firmware answers is in call->status, also
 * if it is an error. -ENOSYS: no runtime services, or not this one. -EINVAL: bad flags, or a name or value longer than any.
 * -EOPNOTSUPP: what was at boot. -ENOMEM, -EFAULT. Source: <xen/platform.h>, UEFI specification 2.8, chapter 8.
 */
long efi_runtime_call(struct xenpf_efi_runtime_call *call);

#endif
