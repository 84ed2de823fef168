/* SPDX-License-Identifier: MIT */
/*
 * What dom0 learns of UEFI firmware (platform_op). A machine that a BIOS started has none; on one that UEFI started, by
 * GRUB, the tests of whole machines run this kernel.
 */
#include "kernel.h"

#include <xen/platform.h>

static struct xen_platform_op op;
static union xenpf_efi_info *const info = &op.u.firmware_info.u.efi_info;

/* UEFI specification, section 7.2: memory that stays the firmware's while an operating system runs. */
#define RUNTIME_SERVICES_DATA 6
#define ACPI_RECLAIM          9

static long firmware(unsigned int index)
{
    op.cmd = XENPF_firmware_info;
    op.interface_version = XENPF_INTERFACE_VERSION;
    op.u.firmware_info.type = XEN_FW_EFI_INFO;
    op.u.firmware_info.index = index;
    return HCALL(platform_op, &op, 0, 0, 0, 0);
}

static bool by_uefi(void)
{
    return firmware(XEN_FW_EFI_VERSION) == 0;
}

static void a_bios_has_none(void)
{
    if (by_uefi())
        return;
    for (unsigned int index = 0; index < 10; index++)
        check_eq(firmware(index), -XEN_ENOSYS);
}

static void versions(void)
{
    if (!by_uefi())
        return;
    print("# UEFI %u.%u\n", info->version >> 16, (info->version & 0xffff) / 10);
    check(info->version >= 2 << 16);
    check_eq(firmware(XEN_FW_EFI_RT_VERSION), 0);
    check(info->version >= 2 << 16);
    check_eq(firmware(99), -XEN_EINVAL);
}

static long memory_at(uint64_t addr)
{
    info->mem.addr = addr;
    info->mem.size = ~0UL - addr;
    return firmware(XEN_FW_EFI_MEM_INFO);
}

static void tables_and_memory(void)
{
    uint64_t tables;

    if (!by_uefi())
        return;
    check_eq(firmware(XEN_FW_EFI_CONFIG_TABLE), 0);
    check(info->cfg.nent > 0 && info->cfg.nent < 100);
    tables = info->cfg.addr;
    check_eq(memory_at(tables), 0);
    check_eq(info->mem.addr, tables);
    check(info->mem.size >= 24 && info->mem.size < 1UL << 32);
    check(info->mem.type == RUNTIME_SERVICES_DATA || info->mem.type == ACPI_RECLAIM);
    info->mem.addr = tables;
    info->mem.size = 8;
    check_eq(firmware(XEN_FW_EFI_MEM_INFO), 0);
    check_eq(info->mem.size, 8);
    check_eq(memory_at(~0UL), -XEN_ESRCH);
    check_eq(memory_at(1UL << 51), -XEN_ESRCH);
}

static long vendor(void *name, uint32_t bytes)
{
    info->vendor.bufsz = bytes;
    set_xen_guest_handle(info->vendor.name, name);
    return firmware(XEN_FW_EFI_VENDOR);
}

static void name_of_the_vendor(void)
{
    static uint16_t name[100], cut[100];
    unsigned int len = 0;

    if (!by_uefi())
        return;
    check_eq(vendor(name, sizeof(name)), 0);
    while (name[len])
        len++;
    check(len > 1 && len < ARRAY_SIZE(name));
    memset(cut, 0xff, sizeof(cut));
    check_eq(vendor(cut, 5), 0);
    check_eq(cut[0], name[0]);
    check_eq(cut[1], domus_or_xen(0, name[1]));         /* Xen does not end what it cuts */
    check_eq(cut[2], 0xffff);
    check_eq(vendor(cut, ~0u), 0);
    check_eq(memcmp(cut, name, (len + 1) * sizeof(name[0])), 0);
    check_eq(vendor(cut, 1), domus_or_xen(-XEN_EINVAL, 0));
    check_eq(vendor(cut, 0), domus_or_xen(-XEN_EINVAL, 0));
    check_eq(vendor((void *)UNMAPPED, 100), -XEN_EFAULT);
    check_eq(vendor((void *)HV_SECRET, 100), -XEN_EFAULT);
    check_eq(vendor((void *)~0UL, 100), -XEN_EFAULT);
}

TESTS({ "a BIOS has none of it", a_bios_has_none }, { "versions", versions },
      { "tables and memory", tables_and_memory }, { "name of the vendor", name_of_the_vendor });
