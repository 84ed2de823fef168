/* SPDX-License-Identifier: MIT */
/*
 * What dom0 learns of UEFI firmware, and what it can ask it to do (platform_op). A machine that a BIOS started has
 * none; on one that UEFI started, by GRUB, the tests of whole machines run this kernel.
 */
#include "control.h"

static struct xen_platform_op op;
static union xenpf_efi_info *const info = &op.u.firmware_info.u.efi_info;

/* UEFI specification, section 7.2: memory that stays the firmware's while an operating system runs. */
#define RUNTIME_SERVICES_DATA 6
#define ACPI_RECLAIM          9

static long firmware(unsigned int index)
{
    op.u.firmware_info.type = XEN_FW_EFI_INFO;
    op.u.firmware_info.index = index;
    return platform_op(&op, XENPF_firmware_info);
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

/* ---- Runtime services ---- */

static struct xenpf_efi_runtime_call *const call = &op.u.efi_runtime_call;
static const struct xenpf_efi_guid global = { 0x8be4df61, 0x93ca, 0x11d2,
                                              { 0xaa, 0x0d, 0, 0xe0, 0x98, 0x03, 0x2b, 0x8c } };
static const struct xenpf_efi_guid own = { 0x1f2e3d4c, 0x0102, 0x0304, { 1, 2, 3, 4, 5, 6, 7, 8 } };
static uint16_t own_name[] = { 'D', 'o', 'm', 'u', 's', 'T', 'e', 's', 't', 0 };
static uint16_t a_name[512];
static char value[4096];

#define EFI_ERROR(n)         (0x8000000000000000UL | (n))
#define EFI_BUFFER_TOO_SMALL EFI_ERROR(5)
#define EFI_NOT_FOUND        EFI_ERROR(14)

static long runtime(unsigned int function, unsigned int misc)
{
    call->function = function;
    call->misc = misc;
    call->status = 0x55;
    return platform_op(&op, XENPF_efi_runtime_call);
}

static void a_bios_has_no_services(void)
{
    if (by_uefi())
        return;
    for (unsigned int function = 0; function < 13; function++)
        check_eq(runtime(function, 0), -XEN_ENOSYS);
}

static void clock(void)
{
    const struct xenpf_efi_time *time = &call->u.get_time.time;

    if (!by_uefi())
        return;
    check_eq(runtime(XEN_EFI_get_time, 0), 0);
    check_eq(call->status, 0);
    check(time->year >= 2020 && time->year < 2200 && time->month >= 1 && time->month <= 12);
    check(time->day >= 1 && time->hour < 24);
    check_eq(runtime(XEN_EFI_get_time, 8), -XEN_EINVAL);
    check_eq(runtime(XEN_EFI_get_wakeup_time, 0), 0);
    check_eq(runtime(XEN_EFI_set_wakeup_time, 8), -XEN_EINVAL);
    check_eq(runtime(XEN_EFI_set_time, 1), -XEN_EINVAL);
    call->u.set_time = (struct xenpf_efi_time){ .year = 1, .month = 77 };
    check_eq(runtime(XEN_EFI_set_time, 0), 0);
    check(call->status != 0);
    check_eq(runtime(XEN_EFI_get_next_high_monotonic_count, 0), 0);
    check_eq(runtime(XEN_EFI_query_capsule_capabilities, 0), -XEN_ENOSYS);
    check_eq(runtime(99, 0), -XEN_ENOSYS);
}

static long variable(unsigned int function, unsigned int misc, void *name, void *data, unsigned long size)
{
    call->u.get_variable.vendor_guid = own;
    call->u.get_variable.size = size;
    set_xen_guest_handle(call->u.get_variable.name, name);
    set_xen_guest_handle(call->u.get_variable.data, data);
    return runtime(function, misc);
}

#define VOLATILE (XEN_EFI_VARIABLE_BOOTSERVICE_ACCESS | XEN_EFI_VARIABLE_RUNTIME_ACCESS)

static void a_variable(void)
{
    char text[] = "what was written";

    if (!by_uefi())
        return;
    check_eq(variable(XEN_EFI_get_variable, 0, own_name, value, sizeof(value)), 0);
    check_eq(call->status, EFI_NOT_FOUND);
    check_eq(variable(XEN_EFI_set_variable, VOLATILE | XEN_EFI_VARIABLE_NON_VOLATILE, own_name, text, sizeof(text)), 0);
    check_eq(call->status, 0);
    check_eq(variable(XEN_EFI_get_variable, 0, own_name, value, 3), 0);
    check_eq(call->status, EFI_BUFFER_TOO_SMALL);
    check_eq(call->u.get_variable.size, sizeof(text));
    check_eq(variable(XEN_EFI_get_variable, 0, own_name, value, sizeof(value)), 0);
    check_eq(call->status, 0);
    check_eq(call->u.get_variable.size, sizeof(text));
    check_eq(call->misc, VOLATILE | XEN_EFI_VARIABLE_NON_VOLATILE);
    check_eq(memcmp(value, text, sizeof(text)), 0);
    check_eq(variable(XEN_EFI_get_variable, 0, own_name, value, 1UL << 60), 0);
    check_eq(call->u.get_variable.size, sizeof(text));
    /* Nothing left of it: it is gone. */
    check_eq(variable(XEN_EFI_set_variable, VOLATILE | XEN_EFI_VARIABLE_NON_VOLATILE, own_name, text, 0), 0);
    check_eq(call->status, 0);
    check_eq(variable(XEN_EFI_get_variable, 0, own_name, value, sizeof(value)), 0);
    check_eq(call->status, EFI_NOT_FOUND);
}

static void bad_variables(void)
{
    static uint16_t endless[600];

    if (!by_uefi())
        return;
    for (unsigned int i = 0; i < ARRAY_SIZE(endless); i++)
        endless[i] = 'a';
    for (unsigned int f = XEN_EFI_get_variable; f <= XEN_EFI_set_variable; f++) {
        check_eq(variable(f, f == XEN_EFI_get_variable ? 0 : VOLATILE, endless, value, 16), -XEN_EINVAL);
        check_eq(variable(f, f == XEN_EFI_get_variable ? 0 : VOLATILE, (void *)UNMAPPED, value, 16), -XEN_EFAULT);
        check_eq(variable(f, f == XEN_EFI_get_variable ? 0 : VOLATILE, (void *)HV_SECRET, value, 16), -XEN_EFAULT);
    }
    check_eq(variable(XEN_EFI_get_variable, 1, own_name, value, 16), -XEN_EINVAL);
    check_eq(variable(XEN_EFI_set_variable, VOLATILE, own_name, (void *)UNMAPPED, 16), -XEN_EFAULT);
    check_eq(variable(XEN_EFI_set_variable, VOLATILE, own_name, (void *)HV_SECRET, 16), -XEN_EFAULT);
    check_eq(variable(XEN_EFI_set_variable, VOLATILE, own_name, value, 1UL << 20), -XEN_EINVAL);
    check_eq(variable(XEN_EFI_set_variable, VOLATILE, own_name, value, ~0UL), -XEN_EINVAL);
}

static long next_name(unsigned long size)
{
    call->u.get_next_variable_name.size = size;
    set_xen_guest_handle(call->u.get_next_variable_name.name, a_name);
    return runtime(XEN_EFI_get_next_variable_name, 0);
}

static void all_variables(void)
{
    unsigned int nr = 0, globals = 0;

    if (!by_uefi())
        return;
    memset(a_name, 0, sizeof(a_name));
    call->u.get_next_variable_name.vendor_guid = (struct xenpf_efi_guid){ 0 };
    while (next_name(sizeof(a_name)) == 0 && call->status == 0 && nr < 1000) {
        nr++;
        globals += memcmp(&call->u.get_next_variable_name.vendor_guid, &global, sizeof(global)) == 0;
    }
    check_eq(call->status, EFI_NOT_FOUND);
    check(nr > 5 && globals > 2);
    a_name[0] = 0;
    check_eq(next_name(2), 0);
    check_eq(call->status, EFI_BUFFER_TOO_SMALL);
    call->u.query_variable_info.attr = VOLATILE | XEN_EFI_VARIABLE_NON_VOLATILE;
    check_eq(runtime(XEN_EFI_query_variable_info, 0), 0);
    check(call->status != 0 || call->u.query_variable_info.max_store_size > 0);
    check_eq(runtime(XEN_EFI_query_variable_info, 8), -XEN_EINVAL);
}

TESTS({ "a BIOS has none of it", a_bios_has_none }, { "versions", versions },
      { "tables and memory", tables_and_memory }, { "name of the vendor", name_of_the_vendor },
      { "a BIOS has no services", a_bios_has_no_services }, { "clock", clock }, { "a variable", a_variable },
      { "bad variables", bad_variables }, { "all variables", all_variables });
