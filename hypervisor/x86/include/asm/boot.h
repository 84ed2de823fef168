/* SPDX-License-Identifier: MIT */
/*
 * What the boot loader gave us, whichever it was (multiboot1, multiboot2, PVH), copied early into the hypervisor's own
 * memory: nothing here points into memory of the loader, but for the modules themselves.
 */
#ifndef ASM_BOOT_H
#define ASM_BOOT_H

#include <domus/types.h>

#define BOOT_MAX_MODULES 16
#define BOOT_CMDLINE_SIZE 2048
#define BOOT_MODULE_CMDLINE_SIZE 2048

struct boot_module {
    paddr_t start;                  /* machine address; in the direct map: maddr_to_virt() */
    size_t size;                    /* bytes */
    char cmdline[BOOT_MODULE_CMDLINE_SIZE];     /* as the loader gave it; may begin with a file name */
};

struct boot_info {
    const char *loader;             /* its name */
    char cmdline[BOOT_CMDLINE_SIZE];
    unsigned int nr_modules;
    struct boot_module module[BOOT_MAX_MODULES];
    paddr_t rsdp;                   /* ACPI root pointer; 0: not given */
};

extern struct boot_info boot_info;

/* Memory map as the firmware reports it: sorted, without overlaps. Types are those of E820. */
#define E820_RAM      1
#define E820_RESERVED 2
#define E820_ACPI     3
#define E820_NVS      4
#define E820_UNUSABLE 5
#define E820_MAX      128

struct e820_range {
    paddr_t start, end;             /* end is exclusive */
    u32 type;
};
struct e820_map {
    unsigned int nr;
    struct e820_range range[E820_MAX];
};

/* e820 is what the hypervisor uses (after mem=), machine_e820 what the firmware gave. */
extern struct e820_map e820, machine_e820;

/* Adds a range as it comes from the loader; later sanitised as a whole. */
void e820_add(paddr_t start, u64 size, u32 type);
/* Sorts, resolves overlaps (the higher type wins), merges; copies machine_e820 to e820 and applies mem=. */
void e820_sanitise(void);
/* Whether [start, end) lies within ranges of this type. */
bool e820_all_of_type(paddr_t start, paddr_t end, u32 type);
void e820_print(const char *title, const struct e820_map *map);

/* Fills boot_info and the raw map; called with the boot page tables, all below 4 GiB mapped. */
void boot_info_parse(u32 magic, u32 info);

/* Memory of modules back to the heap, once dom0 has been built from them. */
void boot_modules_free(void);

#endif
