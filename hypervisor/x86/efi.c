/* SPDX-License-Identifier: MIT */
/*
 * UEFI firmware's system table and memory map. Under UEFI nothing lies where a BIOS has it: ACPI's root pointer is found
 * by the configuration tables alone, here and in dom0, which asks for them. What is read is checked and copied; the
 * configuration tables themselves stay where they are, in memory that the firmware keeps.
 */
#include <domus/guest_access.h>
#include <domus/lib.h>
#include <domus/string.h>
#include <asm/efi.h>
#include <asm/mm_init.h>
#include <xen/platform.h>

#define EFI_SYSTEM_TABLE_SIGNATURE 0x5453595320494249ULL    /* "IBI SYST" */
#define EFI_MAX_TABLES  256
#define EFI_MAX_REGIONS 256
#define EFI_PAGE_SHIFT  12

struct efi_header {
    u64 signature;
    u32 revision;
    u32 size;
    u32 crc32;
    u32 reserved;
};

struct efi_system_table {
    struct efi_header header;
    u64 vendor;                     /* UCS-2, ended by zero */
    u32 firmware_revision;
    u64 console[6];
    u64 runtime_services, boot_services;
    u64 nr_tables;
    u64 tables;
};

struct efi_guid {
    u32 a;
    u16 b, c;
    u8 d[8];
};

struct efi_config_table {
    struct efi_guid guid;
    u64 address;
};

static const struct efi_guid acpi_2_0 = { 0x8868e871, 0xe4f1, 0x11d3, { 0xbc, 0x22, 0, 0x80, 0xc7, 0x3c, 0x88, 0x81 } };
static const struct efi_guid acpi_1_0 = { 0xeb9d2d30, 0x2d88, 0x11d3, { 0x9a, 0x16, 0, 0x90, 0x27, 0x3f, 0xc1, 0x4d } };

static u64 system_table;            /* machine address; 0: none */
static u64 tables;                  /* machine address */
static u32 nr_tables, version, runtime_version, firmware_revision;
static u16 vendor[64];
static struct efi_region region[EFI_MAX_REGIONS];
static unsigned int nr_regions;

void __init efi_set_system_table(u64 maddr)
{
    system_table = maddr;
}

void __init efi_add_memory(u32 type, u64 start, u64 pages, u64 attributes)
{
    struct efi_region *last = nr_regions ? &region[nr_regions - 1] : NULL;

    if (!pages || start + (pages << EFI_PAGE_SHIFT) <= start)
        return;
    if (last && last->type == type && last->attributes == attributes &&
        last->start + (last->pages << EFI_PAGE_SHIFT) == start)
        last->pages += pages;
    else if (nr_regions < EFI_MAX_REGIONS)
        region[nr_regions++] = (struct efi_region){ start, pages, attributes, type };
}

bool efi_booted(void)
{
    return system_table != 0;
}

static bool __init read_at(u64 maddr, void *to, size_t len)
{
    const void *from = maddr ? ioremap_flags(maddr, len, PAGE_HV_RO) : NULL;

    if (!from)
        return false;
    memcpy(to, from, len);
    iounmap((void *)(unsigned long)from, len);
    return true;
}

void __init efi_init(void)
{
    struct efi_system_table table;
    struct efi_header runtime;

    if (!efi_booted())
        return;
    if (!read_at(system_table, &table, sizeof(table)) || table.header.signature != EFI_SYSTEM_TABLE_SIGNATURE) {
        printk(LOG_WARN "UEFI: no system table at %#lx: ignored\n", system_table);
        return;
    }
    version = table.header.revision;
    firmware_revision = table.firmware_revision;
    if (read_at(table.vendor, vendor, sizeof(vendor)))
        vendor[ARRAY_SIZE(vendor) - 1] = 0;
    if (read_at(table.runtime_services, &runtime, sizeof(runtime))) {
        runtime_version = runtime.revision;
        efi_runtime_init(table.runtime_services, region, nr_regions);
    }
    if (table.nr_tables <= EFI_MAX_TABLES) {
        tables = table.tables;
        nr_tables = (u32)table.nr_tables;
    }
    printk(LOG_INFO "UEFI: version %u.%u, %lu tables\n", version >> 16, (version & 0xffff) / 10, table.nr_tables);
}

static u64 __init find_table(const struct efi_guid *guid)
{
    struct efi_config_table entry;

    for (u32 i = 0; i < nr_tables; i++) {
        if (read_at(tables + i * sizeof(entry), &entry, sizeof(entry)) && !memcmp(&entry.guid, guid, sizeof(*guid)))
            return entry.address;
    }
    return 0;
}

paddr_t __init efi_rsdp(void)
{
    u64 rsdp = find_table(&acpi_2_0);

    return rsdp ? rsdp : find_table(&acpi_1_0);
}

/* ---- For dom0 ---- */

static long vendor_info(union xenpf_efi_info *info)
{
    u32 room = info->vendor.bufsz / sizeof(vendor[0]), len = 0;
    const u16 end = 0;

    if (!room)
        return -EINVAL;
    while (len < room - 1 && vendor[len])
        len++;
    if (copy_to_guest(info->vendor.name.p, vendor, len * sizeof(vendor[0])) ||
        copy_to_guest((u16 *)info->vendor.name.p + len, &end, sizeof(end)))
        return -EFAULT;
    info->vendor.revision = firmware_revision;
    return 0;
}

/* The region that the address lies in, from there on. */
static long memory_info(union xenpf_efi_info *info)
{
    for (unsigned int i = 0; i < nr_regions; i++) {
        const struct efi_region *r = &region[i];
        u64 offset = info->mem.addr - r->start, size = r->pages << EFI_PAGE_SHIFT;

        if (info->mem.addr < r->start || offset >= size)
            continue;
        info->mem.size = min(info->mem.size, size - offset);
        info->mem.attr = r->attributes;
        info->mem.type = r->type;
        return 0;
    }
    return -ESRCH;
}

long efi_firmware_info(u32 index, union xenpf_efi_info *info)
{
    if (!version)
        return -ENOSYS;
    switch (index) {
    case XEN_FW_EFI_VERSION:
        info->version = version;
        return 0;
    case XEN_FW_EFI_RT_VERSION:
        info->version = runtime_version;
        return 0;
    case XEN_FW_EFI_CONFIG_TABLE:
        info->cfg.addr = tables;
        info->cfg.nent = nr_tables;
        return 0;
    case XEN_FW_EFI_VENDOR:
        return vendor_info(info);
    case XEN_FW_EFI_MEM_INFO:
        return memory_info(info);
    case XEN_FW_EFI_PCI_ROM:
    case XEN_FW_EFI_APPLE_PROPERTIES:
        return -ESRCH;
    default:
        return -EINVAL;
    }
}
