/* SPDX-License-Identifier: MIT */
/*
 * The hypervisor's address space, built once at boot: image with W^X, direct map, frame table and machine-to-physical
 * table for what RAM there is. All lies in the slots 256-271, whose third-level tables every address space shares.
 *
 * Memory is taken from a list of free ranges until, at the end, the heap gets what is left.
 */
#include <domus/arch.h>
#include <domus/bitmap.h>
#include <domus/heap.h>
#include <domus/lib.h>
#include <domus/string.h>
#include <asm/boot.h>
#include <asm/cpufeature.h>
#include <asm/desc.h>
#include <asm/flushtlb.h>
#include <asm/mm_init.h>
#include <asm/processor.h>
#include <asm/pv_mm.h>

extern char _start[], __start_rodata[], __end_rodata[], _end[];
extern char __start_init_text[], __end_init_text[], __start_init_data[], __end_init_data[];
extern char __start_ro_after_init[], __end_ro_after_init[];
extern pte_t boot_l4[PTES_PER_PAGE];

pte_t idle_l4[PTES_PER_PAGE] __aligned(PAGE_SIZE) __section(".bss.page_aligned");
unsigned long max_page __ro_after_init;
bool init_released;

unsigned long granule_present[(DIRECTMAP_SIZE >> (PAGE_SHIFT + GRANULE_SHIFT)) / BITS_PER_LONG];

/* ---- Memory before the heap ---- */

#define MAX_FREE_RANGES (2 * E820_MAX)

static struct { paddr_t start, end; } free_range[MAX_FREE_RANGES] __initdata;
static unsigned int nr_free_ranges __initdata;
/* Above it the boot page tables map nothing. */
static paddr_t boot_alloc_limit __initdata = GB(4);

static void __init free_range_add(paddr_t start, paddr_t end)
{
    if (start < end && nr_free_ranges < MAX_FREE_RANGES) {
        free_range[nr_free_ranges].start = start;
        free_range[nr_free_ranges++].end = end;
    }
}

/* Takes [start, end) out of the free ranges. */
static void __init free_range_remove(paddr_t start, paddr_t end)
{
    for (unsigned int i = nr_free_ranges; i-- > 0;) {
        paddr_t range_start = free_range[i].start, range_end = free_range[i].end;

        if (range_start >= end || start >= range_end)
            continue;
        free_range[i].end = max(range_start, start);
        free_range_add(min(range_end, end), range_end);
    }
}

void *__init boot_alloc(unsigned long nr_pages, unsigned long align)
{
    paddr_t best = 0, size = nr_pages << PAGE_SHIFT;
    void *va;

    /* From the top, to spare low memory for those that need it. */
    for (unsigned int i = 0; i < nr_free_ranges; i++) {
        paddr_t end = min(free_range[i].end, boot_alloc_limit), start;

        if (end < size)
            continue;
        start = ROUNDDOWN(end - size, align);
        if (start >= free_range[i].start && start > best)
            best = start;
    }
    if (!best)
        panic("Not enough memory to boot: no %lu KiB for the hypervisor's tables\n", size >> 10);
    free_range_remove(best, best + size);
    va = maddr_to_virt(best);
    for (unsigned long i = 0; i < nr_pages; i++)
        clear_page((char *)va + (i << PAGE_SHIFT));
    return va;
}

/* All RAM above 1 MiB but for the image and the boot modules. */
static void __init find_free_memory(void)
{
    for (unsigned int i = 0; i < e820.nr; i++) {
        const struct e820_range *r = &e820.range[i];
        paddr_t start = max(PFN_UP(r->start) << PAGE_SHIFT, MB(1)), end = r->end & PAGE_MASK;

        if (r->type == E820_RAM)
            free_range_add(start, min(end, DIRECTMAP_SIZE));
    }
    free_range_remove(virt_to_maddr(_start), virt_to_maddr(_end));
    for (unsigned int i = 0; i < boot_info.nr_modules; i++) {
        const struct boot_module *m = &boot_info.module[i];

        free_range_remove(m->start & PAGE_MASK, PFN_UP(m->start + m->size) << PAGE_SHIFT);
    }
}

/* ---- Mappings ---- */

static pte_t *__init boot_table(pte_t *entry)
{
    if (!pte_present(*entry))
        *entry = pte_from_maddr(virt_to_maddr(boot_alloc(1, PAGE_SIZE)), PAGE_HV_TABLE);
    return maddr_to_virt(pte_maddr(*entry));
}

/* Maps [va, va + len) to maddr with the largest pages that fit; all multiples of 4 KiB. */
static void __init map_range(unsigned long va, paddr_t maddr, u64 len, u64 flags)
{
    while (len) {
        pte_t *l3e = boot_table(&idle_l4[l4_index(va)]) + l3_index(va);
        u64 step = PAGE_SIZE;

        if (cpu_has_page1gb && len >= GB(1) && ((va | maddr) & (GB(1) - 1)) == 0) {
            step = GB(1);
            *l3e = pte_from_maddr(maddr, flags | _PAGE_PSE);
        } else {
            pte_t *l2e = boot_table(l3e) + l2_index(va);

            if (len >= MB(2) && ((va | maddr) & (MB(2) - 1)) == 0) {
                step = MB(2);
                *l2e = pte_from_maddr(maddr, flags | _PAGE_PSE);
            } else {
                boot_table(l2e)[l1_index(va)] = pte_from_maddr(maddr, flags);
            }
        }
        va += step;
        maddr += step;
        len -= step;
    }
}

/* RAM at its place in the direct map; code and constants of the image are not writable there either. */
static void __init map_directmap(void)
{
    paddr_t ro_start = virt_to_maddr(_start), ro_end = virt_to_maddr(__end_rodata);

    for (unsigned int i = 0; i < e820.nr; i++) {
        const struct e820_range *r = &e820.range[i];
        paddr_t start = PFN_UP(r->start) << PAGE_SHIFT, end = min(r->end & PAGE_MASK, DIRECTMAP_SIZE);
        const struct { paddr_t start, end; u64 flags; } part[3] = {
            { start, min(end, ro_start), PAGE_HV_RW },
            { max(start, ro_start), min(end, ro_end), PAGE_HV_RO },
            { max(start, ro_end), end, PAGE_HV_RW },
        };

        if (r->type != E820_RAM)
            continue;
        for (unsigned int j = 0; j < ARRAY_SIZE(part); j++) {
            if (part[j].start < part[j].end)
                map_range(DIRECTMAP_VIRT_START + part[j].start, part[j].start, part[j].end - part[j].start,
                          part[j].flags);
        }
        if (start < end)
            max_page = max(max_page, end >> PAGE_SHIFT);
    }
}

static void __init map_image(void)
{
    const struct { char *start, *end; u64 flags; } part[] = {
        { _start, __start_rodata, PAGE_HV_RX },
        { __start_rodata, __end_rodata, PAGE_HV_RO },
        { __end_rodata, _end, PAGE_HV_RW },
    };

    for (unsigned int i = 0; i < ARRAY_SIZE(part); i++)
        map_range((unsigned long)part[i].start, virt_to_maddr(part[i].start), (u64)(part[i].end - part[i].start),
                  part[i].flags);
}

/* Whether the chunk of 2 MiB at va is mapped; if not, maps new zeroed memory there. */
static bool __init map_new_chunk(unsigned long va)
{
    pte_t *l3 = boot_table(&idle_l4[l4_index(va)]);
    pte_t *l2 = boot_table(&l3[l3_index(va)]);

    if (pte_present(l2[l2_index(va)]))
        return false;
    map_range(va, virt_to_maddr(boot_alloc(MB(2) >> PAGE_SHIFT, MB(2))), MB(2), PAGE_HV_RW);
    return true;
}

static void __init map_frame_table(void)
{
    for (unsigned int i = 0; i < e820.nr; i++) {
        const struct e820_range *r = &e820.range[i];
        unsigned long first = PFN_UP(r->start) >> GRANULE_SHIFT;
        unsigned long last = (min(PFN_DOWN(r->end), max_page) + GRANULE_FRAMES - 1) >> GRANULE_SHIFT;

        if (r->type != E820_RAM)
            continue;
        for (unsigned long granule = first; granule < last; granule++) {
            unsigned long start = (unsigned long)(frame_table() + (granule << GRANULE_SHIFT));
            unsigned long end = (unsigned long)(frame_table() + ((granule + 1) << GRANULE_SHIFT));

            for (unsigned long va = ROUNDDOWN(start, MB(2)); va < end; va += MB(2))
                map_new_chunk(va);
            __set_bit(granule, granule_present);
        }
    }
}

/* In granules with RAM, marks the frames that are none; the first 1 MiB counts as such, it is firmware's and dom0's. */
static void __init mark_holes(void)
{
    unsigned long frame = 0;

    for (unsigned int i = 0; i <= e820.nr; i++) {
        unsigned long start = ROUNDUP(max_page, GRANULE_FRAMES), end = start;

        if (i < e820.nr) {
            if (e820.range[i].type != E820_RAM || e820.range[i].end <= MB(1))
                continue;
            start = max(PFN_UP(e820.range[i].start), PFN_DOWN(MB(1)));
            end = PFN_DOWN(e820.range[i].end);
        }
        while (frame < start) {
            if (!test_bit(frame >> GRANULE_SHIFT, granule_present))
                frame = ROUNDUP(frame + 1, GRANULE_FRAMES);
            else
                mfn_to_page(_mfn(frame++))->count_info = PGC_broken;
        }
        frame = max(frame, end);
    }
}

/* One 8-byte entry a frame: 2 MiB for 1 GiB. The guests' view has own tables, since flags of all levels count. */
static void __init map_m2p(void)
{
    for (unsigned long frame = 0; frame < max_page; frame += GB(1) >> PAGE_SHIFT) {
        unsigned long offset = frame * sizeof(unsigned long), va = RW_M2P_VIRT_START + offset;
        unsigned long first = frame >> GRANULE_SHIFT, count = GB(1) >> PAGE_SHIFT;
        pte_t *l2;

        if (find_next_bit(granule_present, first + 8, first) >= first + 8)
            continue;
        map_new_chunk(va);
        l2 = maddr_to_virt(pte_maddr(((pte_t *)maddr_to_virt(pte_maddr(idle_l4[l4_index(va)])))[l3_index(va)]));
        map_range(RO_M2P_VIRT_START + offset, pte_maddr(l2[l2_index(va)]), MB(2),
                  _PAGE_PRESENT | _PAGE_USER | _PAGE_ACCESSED | _PAGE_DIRTY | _PAGE_GLOBAL | _PAGE_NX);
        l2 = maddr_to_virt(pte_maddr(l2[l2_index(va)]));
        asm volatile("rep stosq" : "+D"(l2), "+c"(count) : "a"(INVALID_M2P_ENTRY) : "memory");
    }
}

/* The tables over the guests' view of the M2P let users in: the fourth level and what map_range made below. */
static void __init open_m2p_tables(void)
{
    pte_t *l4e = &idle_l4[l4_index(RO_M2P_VIRT_START)];
    pte_t *l3 = maddr_to_virt(pte_maddr(*l4e));

    l4e->v |= _PAGE_USER;
    for (unsigned int i = 0; i < PTES_PER_PAGE; i++) {
        if (pte_present(l3[i]))
            l3[i].v |= _PAGE_USER;
    }
}

/* Tools that save a domain map the M2P as memory of DOMID_XEN, which they may only read. */
void __init share_m2p(void)
{
    for (unsigned long frame = 0; frame < max_page; frame += GB(1) >> PAGE_SHIFT) {
        unsigned long va = RW_M2P_VIRT_START + frame * sizeof(unsigned long);
        const pte_t *l3 = maddr_to_virt(pte_maddr(idle_l4[l4_index(va)])), *l2;
        struct page_info *pg;

        if (!pte_present(l3[l3_index(va)]))
            continue;
        l2 = maddr_to_virt(pte_maddr(l3[l3_index(va)]));
        if (!pte_present(l2[l2_index(va)]))
            continue;
        pg = mfn_to_page(maddr_to_mfn(pte_maddr(l2[l2_index(va)])));
        for (unsigned int i = 0; i < PTES_PER_PAGE; i++)
            share_page_with_guest(&pg[i], dom_xen, false);
    }
}

void set_gpfn_from_mfn(mfn_t mfn, unsigned long gpfn)
{
    if (mfn_valid(mfn))
        ((unsigned long *)RW_M2P_VIRT_START)[mfn_x(mfn)] = gpfn;
}

unsigned long get_gpfn_from_mfn(mfn_t mfn)
{
    return mfn_valid(mfn) ? READ_ONCE(((unsigned long *)RW_M2P_VIRT_START)[mfn_x(mfn)]) : INVALID_M2P_ENTRY;
}

void __init mm_init(void)
{
    paddr_t image = virt_to_maddr(_start);

    if (!e820_all_of_type(image, virt_to_maddr(_end), E820_RAM))
        panic("The boot loader put the hypervisor at %#lx, where the memory map has no RAM\n", image);
    find_free_memory();
    map_directmap();
    map_image();
    /* Third-level tables of slots that are filled later must be there before the first address space copies them. */
    boot_table(&idle_l4[l4_index(IOREMAP_VIRT_START)]);
    boot_table(&idle_l4[l4_index(PERCPU_VIRT_START)]);
    write_cr3(virt_to_maddr(idle_l4));
    flush_tlb_all_local();

    boot_alloc_limit = DIRECTMAP_SIZE;
    map_frame_table();
    mark_holes();
    map_m2p();
    open_m2p_tables();
    /* Other CPUs start on the boot tables, whose first slot maps memory one to one. */
    memcpy(&boot_l4[HV_FIRST_SLOT], &idle_l4[HV_FIRST_SLOT], (HV_LAST_SLOT - HV_FIRST_SLOT + 1) * sizeof(pte_t));

    for (unsigned int i = 0; i < nr_free_ranges; i++) {
        if (free_range[i].start < free_range[i].end)
            heap_init_range(maddr_to_mfn(free_range[i].start), maddr_to_mfn(free_range[i].end), true);
    }
}

void mm_free_boot_range(paddr_t start, paddr_t end)
{
    start = PFN_UP(start) << PAGE_SHIFT;
    end &= PAGE_MASK;
    if (start < end)
        heap_init_range(maddr_to_mfn(start), maddr_to_mfn(end), true);
}

/* Changes the flags of a page in the direct map. Its table exists: next to the image it is mapped by small pages. */
static void directmap_set_flags(const char *image_va, u64 flags)
{
    paddr_t maddr = virt_to_maddr(image_va);

    pte_write(hv_pte((unsigned long)maddr_to_virt(maddr)), pte_from_maddr(maddr, flags));
}

/* Unmaps pages of the image; their content is not needed any more. */
static void release_image_range(const char *start, const char *end)
{
    for (const char *va = start; va < end; va += PAGE_SIZE) {
        pte_write(hv_pte((unsigned long)va), pte_empty());
        directmap_set_flags(va, PAGE_HV_RW);
    }
}

void mm_seal(void)
{
    for (const char *va = __start_ro_after_init; va < __end_ro_after_init; va += PAGE_SIZE) {
        pte_write(hv_pte((unsigned long)va), pte_from_maddr(virt_to_maddr(va), PAGE_HV_RO));
        directmap_set_flags(va, PAGE_HV_RO);
    }
    release_image_range(__start_init_text, __end_init_text);
    release_image_range(__start_init_data, __end_init_data);
    flush_all(FLUSH_TLB | FLUSH_TLB_GLOBAL);
    init_released = true;
    mm_free_boot_range(virt_to_maddr(__start_init_text), virt_to_maddr(__end_init_text));
    mm_free_boot_range(virt_to_maddr(__start_init_data), virt_to_maddr(__end_init_data));
}

void init_hypervisor_l4_slots(pte_t *l4)
{
    memcpy(&l4[HV_FIRST_SLOT], &idle_l4[HV_FIRST_SLOT], (HV_LAST_SLOT - HV_FIRST_SLOT + 1) * sizeof(pte_t));
}
