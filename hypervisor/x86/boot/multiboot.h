/* SPDX-License-Identifier: MIT */
/*
 * The multiboot protocols: Multiboot Specification 0.6.96 and Multiboot2 Specification 2.0 (GNU). Only what is used.
 */
#ifndef BOOT_MULTIBOOT_H
#define BOOT_MULTIBOOT_H

#define MB1_HEADER_MAGIC 0x1badb002
#define MB1_BOOT_MAGIC   0x2badb002
#define MB1_PAGE_ALIGN   (1 << 0)
#define MB1_MEMORY_INFO  (1 << 1)
#define MB1_ADDRESSES    (1 << 16)

#define MB2_HEADER_MAGIC 0xe85250d6
#define MB2_BOOT_MAGIC   0x36d76289
#define MB2_HEADER_TAG_END           0
#define MB2_HEADER_TAG_INFORMATION   1
#define MB2_HEADER_TAG_ENTRY_ADDRESS 3
#define MB2_HEADER_TAG_MODULE_ALIGN  6

#define MB2_TAG_END      0
#define MB2_TAG_CMDLINE  1
#define MB2_TAG_LOADER   2
#define MB2_TAG_MODULE   3
#define MB2_TAG_MEMINFO  4
#define MB2_TAG_MMAP     6
#define MB2_TAG_EFI64    12
#define MB2_TAG_ACPI_OLD 14
#define MB2_TAG_ACPI_NEW 15
#define MB2_TAG_EFI_MMAP 17

/* Not of any protocol: what head.S passes on for PVH. */
#define PVH_BOOT_MAGIC   0x336ec578

#ifndef __ASSEMBLY__

#include <domus/types.h>

#define MB1_INFO_MEMORY  (1u << 0)
#define MB1_INFO_CMDLINE (1u << 2)
#define MB1_INFO_MODULES (1u << 3)
#define MB1_INFO_MMAP    (1u << 6)
#define MB1_INFO_LOADER  (1u << 9)

struct mb1_info {
    u32 flags;
    u32 mem_lower, mem_upper;       /* KiB, from 0 and from 1 MiB */
    u32 boot_device;
    u32 cmdline;
    u32 mods_count, mods_addr;
    u32 syms[4];
    u32 mmap_length, mmap_addr;
    u32 drives_length, drives_addr;
    u32 config_table;
    u32 boot_loader_name;
};

struct mb1_module {
    u32 start, end, string, reserved;
};

struct __attribute__((packed)) mb1_mmap {
    u32 size;                       /* of what follows */
    u64 addr, len;
    u32 type;
};

struct mb2_info {
    u32 total_size, reserved;
};

struct mb2_tag {
    u32 type, size;                 /* size with this header; the next tag is 8-byte aligned */
};

struct mb2_tag_module {
    u32 type, size;
    u32 start, end;
    char cmdline[];
};

struct mb2_tag_mmap {
    u32 type, size;
    u32 entry_size, entry_version;
};

struct mb2_mmap {
    u64 addr, len;
    u32 type, zero;
};

struct mb2_tag_efi64 {
    u32 type, size;
    u64 system_table;
};

struct mb2_tag_efi_mmap {
    u32 type, size;
    u32 entry_size, entry_version;
};

/* EFI_MEMORY_DESCRIPTOR of the UEFI specification 2.8, section 7.2. */
struct mb2_efi_mmap {
    u32 type;
    u64 start, virtual_start, pages, attributes;
};

#endif
#endif
