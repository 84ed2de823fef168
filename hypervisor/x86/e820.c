/* SPDX-License-Identifier: MIT */
/*
 * The memory map. Firmware reports ranges in any order, overlapping and with odd types; what the rest of the hypervisor
 * sees is sorted, merged and without overlaps: where two ranges meet, the more restrictive type wins.
 */
#include <domus/lib.h>
#include <domus/param.h>
#include <domus/string.h>
#include <asm/boot.h>
#include <asm/page.h>

struct e820_map e820, machine_e820;

static struct e820_map raw __initdata;

/* mem=: use no RAM above this address, but for what the boot loader has put there; 0: all. */
static u64 opt_mem;
PARAM_SIZE("mem", opt_mem);

void __init e820_add(paddr_t start, u64 size, u32 type)
{
    paddr_t end = start + size;

    if (size == 0 || end < start || raw.nr == E820_MAX)
        return;
    if (type < E820_RAM || type > E820_UNUSABLE)
        type = E820_RESERVED;
    raw.range[raw.nr++] = (struct e820_range){ start, end, type };
}

/* The most restrictive type that any raw range gives to address addr; 0: none does. */
static u32 __init raw_type_at(paddr_t addr)
{
    u32 type = 0;

    for (unsigned int i = 0; i < raw.nr; i++) {
        if (addr >= raw.range[i].start && addr < raw.range[i].end)
            type = max(type, raw.range[i].type);
    }
    return type;
}

/* The next address above addr where any raw range begins or ends; 0: none. */
static paddr_t __init raw_next_boundary(paddr_t addr)
{
    paddr_t next = 0;

    for (unsigned int i = 0; i < raw.nr; i++) {
        paddr_t edges[2] = { raw.range[i].start, raw.range[i].end };

        for (unsigned int j = 0; j < 2; j++) {
            if (edges[j] > addr && (next == 0 || edges[j] < next))
                next = edges[j];
        }
    }
    return next;
}

static void append(struct e820_map *map, paddr_t start, paddr_t end, u32 type)
{
    struct e820_range *last = map->nr ? &map->range[map->nr - 1] : NULL;

    if (last && last->end == start && last->type == type)
        last->end = end;
    else if (map->nr < E820_MAX)
        map->range[map->nr++] = (struct e820_range){ start, end, type };
}

static paddr_t __init ram_limit(void)
{
    paddr_t limit = opt_mem ? opt_mem & PAGE_MASK : ~0UL;

    for (unsigned int i = 0; i < boot_info.nr_modules; i++)
        limit = max(limit, PFN_UP(boot_info.module[i].start + boot_info.module[i].size) << PAGE_SHIFT);
    return limit;
}

void __init e820_sanitise(void)
{
    paddr_t limit = ram_limit();

    for (paddr_t start = 0, end; (end = raw_next_boundary(start)) != 0; start = end) {
        u32 type = raw_type_at(start);

        if (type)
            append(&machine_e820, start, end, type);
    }
    for (unsigned int i = 0; i < machine_e820.nr; i++) {
        struct e820_range r = machine_e820.range[i];

        if (r.type == E820_RAM)
            r.end = min(r.end, limit);
        if (r.start < r.end)
            append(&e820, r.start, r.end, r.type);
    }
}

bool e820_all_of_type(paddr_t start, paddr_t end, u32 type)
{
    for (unsigned int i = 0; i < e820.nr && start < end; i++) {
        const struct e820_range *r = &e820.range[i];

        if (r->end <= start)
            continue;
        if (r->start > start || r->type != type)
            return false;
        start = r->end;
    }
    return start >= end;
}

void e820_print(const char *title, const struct e820_map *map)
{
    static const char *const names[] = { "?", "RAM", "reserved", "ACPI data", "ACPI NVS", "unusable" };

    printk(LOG_INFO "%s\n", title);
    for (unsigned int i = 0; i < map->nr; i++) {
        const struct e820_range *r = &map->range[i];

        printk(LOG_INFO " [%016lx, %016lx] %s\n", r->start, r->end - 1, names[r->type]);
    }
}
