/* SPDX-License-Identifier: MIT */
/*
 * Reads what the boot loader left, by whichever protocol, into boot_info and the raw memory map. The loader's structures
 * lie anywhere below 4 GiB and are not trusted to be sane: strings are cut, counts bounded, what is odd is left out.
 */
#include <domus/lib.h>
#include <domus/string.h>
#include <asm/boot.h>
#include <asm/efi.h>
#include <asm/page.h>
#include <xen/arch-x86/hvm/start_info.h>
#include "multiboot.h"

struct boot_info boot_info;

/* A copy of the ACPI root pointer, where the loader gives its content and not its address. */
static u8 rsdp_copy[64] __aligned(16);

/* The loader's memory, while the boot page tables are in use. */
static const void *__init loader_memory(u64 maddr)
{
    return maddr && maddr < GB(4) ? maddr_to_virt(maddr) : NULL;
}

static void __init copy_string(char *to, size_t size, u64 maddr)
{
    const char *from = loader_memory(maddr);

    if (from) {
        size_t len = strnlen(from, size - 1);

        memcpy(to, from, len);
        to[len] = '\0';
    }
}

/* Loaders older than GRUB 2, and QEMU, put the name of the image before its arguments. */
static void __init strip_image_name(char *cmdline)
{
    size_t name = strcspn(cmdline, " \t");
    size_t args = name + strspn(cmdline + name, " \t");

    memmove(cmdline, cmdline + args, strlen(cmdline + args) + 1);
}

static struct boot_module *__init add_module(u64 start, u64 end)
{
    struct boot_module *module;

    if (start >= end || boot_info.nr_modules == BOOT_MAX_MODULES)
        return NULL;
    module = &boot_info.module[boot_info.nr_modules++];
    module->start = start;
    module->size = end - start;
    module->cmdline[0] = '\0';
    return module;
}

static void __init parse_multiboot1(const struct mb1_info *info)
{
    bool names = true;
    const char *loader = info->flags & MB1_INFO_LOADER ? loader_memory(info->boot_loader_name) : NULL;

    boot_info.loader = "multiboot";
    if (loader && strncmp(loader, "GRUB ", 5) == 0 && loader[5] >= '1')
        names = false;
    if (info->flags & MB1_INFO_CMDLINE) {
        copy_string(boot_info.cmdline, BOOT_CMDLINE_SIZE, info->cmdline);
        if (names)
            strip_image_name(boot_info.cmdline);
    }
    if (info->flags & MB1_INFO_MODULES) {
        const struct mb1_module *mod = loader_memory(info->mods_addr);

        for (u32 i = 0; mod && i < info->mods_count; i++) {
            struct boot_module *module = add_module(mod[i].start, mod[i].end);

            if (!module)
                continue;
            copy_string(module->cmdline, BOOT_MODULE_CMDLINE_SIZE, mod[i].string);
            if (names)
                strip_image_name(module->cmdline);
        }
    }
    if (info->flags & MB1_INFO_MMAP) {
        const char *p = loader_memory(info->mmap_addr), *end = p + info->mmap_length;

        while (p && p + sizeof(struct mb1_mmap) <= end) {
            const struct mb1_mmap *entry = (const struct mb1_mmap *)p;

            e820_add(entry->addr, entry->len, entry->type);
            p += entry->size + sizeof(entry->size);
        }
    } else if (info->flags & MB1_INFO_MEMORY) {
        e820_add(0, KB(info->mem_lower), E820_RAM);
        e820_add(MB(1), KB(info->mem_upper), E820_RAM);
    }
}

static void __init copy_rsdp(const void *rsdp, size_t len)
{
    len = min(len, sizeof(rsdp_copy));
    memcpy(rsdp_copy, rsdp, len);
    boot_info.rsdp = virt_to_maddr(rsdp_copy);
}

static void __init parse_multiboot2_mmap(const struct mb2_tag_mmap *mmap)
{
    const char *p = (const char *)(mmap + 1), *end = (const char *)mmap + mmap->size;

    if (mmap->entry_size < sizeof(struct mb2_mmap))
        return;
    for (; p + sizeof(struct mb2_mmap) <= end; p += mmap->entry_size) {
        const struct mb2_mmap *entry = (const struct mb2_mmap *)p;

        e820_add(entry->addr, entry->len, entry->type);
    }
}

static void __init parse_multiboot2_efi_mmap(const struct mb2_tag_efi_mmap *mmap)
{
    const char *p = (const char *)(mmap + 1), *end = (const char *)mmap + mmap->size;

    if (mmap->entry_size < sizeof(struct mb2_efi_mmap))
        return;
    for (; p + sizeof(struct mb2_efi_mmap) <= end; p += mmap->entry_size) {
        const struct mb2_efi_mmap *entry = (const struct mb2_efi_mmap *)p;

        efi_add_memory(entry->type, entry->start, entry->pages, entry->attributes);
    }
}

static void __init parse_multiboot2(const struct mb2_info *info)
{
    const char *p = (const char *)(info + 1), *end = (const char *)info + info->total_size;

    boot_info.loader = "multiboot2";
    while (p + sizeof(struct mb2_tag) <= end) {
        const struct mb2_tag *tag = (const struct mb2_tag *)p;
        u64 text = virt_to_maddr(tag + 1);
        struct boot_module *module;

        if (tag->type == MB2_TAG_END || tag->size < sizeof(*tag))
            break;
        switch (tag->type) {
        case MB2_TAG_CMDLINE:
            copy_string(boot_info.cmdline, BOOT_CMDLINE_SIZE, text);
            break;
        case MB2_TAG_MODULE: {
            const struct mb2_tag_module *mod = (const struct mb2_tag_module *)tag;

            module = add_module(mod->start, mod->end);
            if (module)
                copy_string(module->cmdline, BOOT_MODULE_CMDLINE_SIZE, virt_to_maddr(mod->cmdline));
            break;
        }
        case MB2_TAG_MMAP:
            parse_multiboot2_mmap((const struct mb2_tag_mmap *)tag);
            break;
        case MB2_TAG_EFI64:
            efi_set_system_table(((const struct mb2_tag_efi64 *)tag)->system_table);
            break;
        case MB2_TAG_EFI_MMAP:
            parse_multiboot2_efi_mmap((const struct mb2_tag_efi_mmap *)tag);
            break;
        case MB2_TAG_ACPI_OLD:
            if (!boot_info.rsdp)
                copy_rsdp(tag + 1, tag->size - sizeof(*tag));
            break;
        case MB2_TAG_ACPI_NEW:
            copy_rsdp(tag + 1, tag->size - sizeof(*tag));
            break;
        }
        p += ROUNDUP((size_t)tag->size, 8);
    }
}

static void __init parse_pvh(const struct hvm_start_info *info)
{
    const struct hvm_modlist_entry *mod = loader_memory(info->modlist_paddr);

    boot_info.loader = "PVH";
    if (info->magic != XEN_HVM_START_MAGIC_VALUE)
        return;
    copy_string(boot_info.cmdline, BOOT_CMDLINE_SIZE, info->cmdline_paddr);
    boot_info.rsdp = info->rsdp_paddr;
    for (u32 i = 0; mod && i < info->nr_modules; i++) {
        struct boot_module *module = add_module(mod[i].paddr, mod[i].paddr + mod[i].size);

        if (module)
            copy_string(module->cmdline, BOOT_MODULE_CMDLINE_SIZE, mod[i].cmdline_paddr);
    }
    if (info->version >= 1) {
        const struct hvm_memmap_table_entry *entry = loader_memory(info->memmap_paddr);

        for (u32 i = 0; entry && i < info->memmap_entries; i++)
            e820_add(entry[i].addr, entry[i].size, entry[i].type);
    }
}

void __init boot_info_parse(u32 magic, u32 info)
{
    const void *p = loader_memory(info);

    if (!p)
        return;
    switch (magic) {
    case MB1_BOOT_MAGIC:
        parse_multiboot1(p);
        break;
    case MB2_BOOT_MAGIC:
        parse_multiboot2(p);
        break;
    case PVH_BOOT_MAGIC:
        parse_pvh(p);
        break;
    }
}
