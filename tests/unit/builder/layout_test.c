/* SPDX-License-Identifier: MIT */
/*
 * Memory layout and page tables: planned for many shapes of guest, written, and walked as the processor would.
 */
#include <stdlib.h>
#include <string.h>

#include "build/page_tables.h"
#include "images.h"

#define MIB_PAGES   256UL
#define PTE_PRESENT 1
#define PTE_WRITE   2
#define PTE_ADDRESS 0x000ffffffffff000UL

/* A guest in this process's memory: machine frame = frame ^ SCRAMBLE, so that mixing the two up is noticed. */
#define SCRAMBLE    0x500000UL

struct guest {
    struct pv_kernel kernel;
    struct layout layout;
    struct guest_memory memory;
    xen_pfn_t *p2m;
};

static struct pv_kernel kernel_of(uint64_t start, uint64_t end)
{
    return (struct pv_kernel){
        .segment_count = 1,
        .segments = {{.address = start, .memory_size = end - start}},
        .start = start,
        .end = end,
        .virt_base = IMAGE_VIRT_BASE,
        .entry = IMAGE_VIRT_BASE + start,
        .p2m_base = IMAGE_P2M_BASE,
    };
}

static void guest_make(struct guest *guest)
{
    const struct layout *layout = &guest->layout;

    guest->p2m = calloc(layout->nr_pages, sizeof(*guest->p2m));
    for (uint64_t pfn = 0; pfn < layout->nr_pages; pfn++)
        guest->p2m[pfn] = pfn ^ SCRAMBLE;
    guest->memory.first_pfn = layout->first_pfn;
    guest->memory.base = aligned_alloc(PAGE_SIZE, (layout->end_pfn - layout->first_pfn) << PAGE_SHIFT);
    memset(guest->memory.base, 0xa5, (layout->end_pfn - layout->first_pfn) << PAGE_SHIFT);
    page_tables_write(layout, &guest->memory, guest->p2m);
}

static void guest_free(struct guest *guest)
{
    free(guest->p2m);
    free(guest->memory.base);
}

static uint64_t entry_of(const struct guest *guest, uint64_t table_pfn, uint64_t va, unsigned int level)
{
    const uint64_t *table = guest_frame(&guest->memory, table_pfn);

    return table[va >> (12 + 9 * (level - 1)) & 511];
}

/* Walk to the level-1 entry of `va`; 0 if it is not mapped. */
static uint64_t walk(const struct guest *guest, uint64_t va)
{
    uint64_t pfn = guest->layout.tables_pfn, entry = 0;

    for (unsigned int level = 4; level > 0; level--) {
        entry = entry_of(guest, pfn, va, level);
        if (!(entry & PTE_PRESENT))
            return 0;
        pfn = ((entry & PTE_ADDRESS) >> PAGE_SHIFT) ^ SCRAMBLE;
        assert_true(pfn < guest->layout.nr_pages);
    }
    return entry;
}

static int is_table(const struct layout *layout, uint64_t pfn)
{
    return pfn - layout->tables_pfn < layout->tables_pages ||
           (layout->p2m_apart && pfn >= layout->p2m.tables_pfn && pfn < layout->end_pfn && pfn != layout->ramdisk_pfn);
}

static void assert_maps(const struct guest *guest, uint64_t va, uint64_t pfn)
{
    uint64_t entry = walk(guest, va);

    assert_true(entry & PTE_PRESENT);
    assert_int_equal((entry & PTE_ADDRESS) >> PAGE_SHIFT, pfn ^ SCRAMBLE);
    assert_int_equal(!(entry & PTE_WRITE), is_table(&guest->layout, pfn));
}

static void assert_well_formed(struct guest *guest)
{
    const struct layout *layout = &guest->layout;
    uint64_t end = layout_va(layout, layout->main.pages);

    assert_int_equal(end % (4 << 20), 0);
    assert_true(layout->main.pages - layout->stack_pfn - 1 >= 128);
    assert_true(layout->end_pfn <= layout->nr_pages && layout->main.pages <= layout->nr_pages);
    guest_make(guest);
    for (uint64_t pfn = 0; pfn < layout->main.pages; pfn++)
        assert_maps(guest, layout_va(layout, pfn), pfn);
    assert_int_equal(walk(guest, end), 0);
    assert_int_equal(walk(guest, layout->virt_base - PAGE_SIZE), 0);
    for (uint64_t i = 0; layout->p2m_apart && i < layout->p2m_pages; i++)
        assert_maps(guest, layout->p2m.va + i * PAGE_SIZE, layout->p2m_pfn + i);
    guest_free(guest);
}

static void every_shape_is_well_formed(void **state)
{
    static const uint64_t memories[] = {64, 96, 256, 1024};
    static const uint64_t ramdisks[] = {0, 1, 4096, 4097, 3 << 20};
    struct guest guest;

    (void)state;
    for (unsigned int shape = 0; shape < 4; shape++) {
        for (size_t i = 0; i < sizeof(memories) / sizeof(memories[0]); i++) {
            for (size_t j = 0; j < sizeof(ramdisks) / sizeof(ramdisks[0]); j++) {
                guest.kernel = kernel_of(16 << 20, (40 << 20) + 123);
                guest.kernel.has_p2m_base = shape & 1;
                guest.kernel.ramdisk_unmapped = shape & 2;
                assert_int_equal(
                    layout_plan(&guest.kernel, ramdisks[j], memories[i] * MIB_PAGES, &guest.layout, &test_failure), 0);
                assert_well_formed(&guest);
            }
        }
    }
}

/* The number of tables steps up where the region crosses a table's reach; every size around it must agree. */
static void every_size_around_a_step_is_well_formed(void **state)
{
    struct guest guest;

    (void)state;
    for (uint64_t end = (22UL << 20) - 40 * PAGE_SIZE; end < (26UL << 20); end += 37 * PAGE_SIZE) {
        guest.kernel = kernel_of(20 << 20, end);
        guest.kernel.virt_base = 0xffffffffc0000000UL - (24UL << 20);
        assert_int_equal(layout_plan(&guest.kernel, 0, 64 * MIB_PAGES, &guest.layout, &test_failure), 0);
        assert_well_formed(&guest);
    }
}

static void parts_do_not_overlap(void **state)
{
    struct pv_kernel kernel = kernel_of(16 << 20, 40 << 20);
    struct layout layout;

    (void)state;
    kernel.has_p2m_base = kernel.ramdisk_unmapped = true;
    assert_int_equal(layout_plan(&kernel, 5000, 256 * MIB_PAGES, &layout, &test_failure), 0);
    assert_true(layout.start_info_pfn >= 40 * MIB_PAGES);
    assert_true(layout.store_pfn > layout.start_info_pfn && layout.console_pfn > layout.store_pfn);
    assert_true(layout.tables_pfn > layout.console_pfn);
    assert_true(layout.stack_pfn >= layout.tables_pfn + layout.tables_pages);
    assert_true(layout.p2m_pfn >= layout.main.pages);
    assert_true(layout.ramdisk_pfn >= layout.p2m.tables_pfn + 3);
    assert_int_equal(layout.end_pfn, layout.ramdisk_pfn + 2);
}

static void too_little_memory_is_refused(void **state)
{
    struct pv_kernel kernel = kernel_of(16 << 20, 40 << 20);
    struct layout layout;

    (void)state;
    assert_int_equal(layout_plan(&kernel, 0, 30 * MIB_PAGES, &layout, &test_failure), -1);
    assert_non_null(strstr(test_failure.why, "has 30 MiB"));
    assert_non_null(strstr(test_failure.remedy, "memory="));
    assert_explained();
    assert_int_equal(layout_plan(&kernel, 300UL << 20, 256 * MIB_PAGES, &layout, &test_failure), -1);
    assert_non_null(strstr(test_failure.why, "ramdisk (300 MiB)"));
    assert_explained();
    assert_int_equal(layout_plan(&kernel, UINT64_MAX - 5, 256 * MIB_PAGES, &layout, &test_failure), -1);
    assert_int_equal(layout_plan(&kernel, 0, 1, &layout, &test_failure), -1);
}

static void impossible_addresses_are_refused(void **state)
{
    static const uint64_t bases[] = {
        0xffffffffff000000UL, 0xffff800000000000UL, 0xffff87ffffff0000UL,
        0x00007ffffffff000UL, 0x0000900000000000UL, 0xffff7ffffffff000UL,
    };
    struct pv_kernel kernel = kernel_of(16 << 20, 40 << 20);
    struct layout layout;

    (void)state;
    for (size_t i = 0; i < sizeof(bases) / sizeof(bases[0]); i++) {
        kernel.virt_base = bases[i];
        assert_int_equal(layout_plan(&kernel, 0, 256 * MIB_PAGES, &layout, &test_failure), -1);
        assert_explained();
    }
    kernel.virt_base = IMAGE_VIRT_BASE;
    kernel.has_p2m_base = true;
    for (size_t i = 0; i < sizeof(bases) / sizeof(bases[0]); i++) {
        kernel.p2m_base = bases[i];
        assert_int_equal(layout_plan(&kernel, 0, 256 * MIB_PAGES, &layout, &test_failure), -1);
        assert_explained();
    }
}

static void largest_guest_is_planned(void **state)
{
    struct pv_kernel kernel = kernel_of(16 << 20, 80 << 20);
    struct layout layout;

    (void)state;
    kernel.has_p2m_base = true;
    assert_int_equal(layout_plan(&kernel, 0, 1UL << 32, &layout, &test_failure), 0);
    assert_int_equal(layout.p2m_pages, 1UL << 23);
    assert_int_equal(layout.p2m.level1, 1UL << 14);
}

int run_layout_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_shape_is_well_formed),
        cmocka_unit_test(every_size_around_a_step_is_well_formed),
        cmocka_unit_test(parts_do_not_overlap),
        cmocka_unit_test(too_little_memory_is_refused),
        cmocka_unit_test(impossible_addresses_are_refused),
        cmocka_unit_test(largest_guest_is_planned),
    };

    return cmocka_run_group_tests_name("memory layout and page tables", tests, NULL, NULL);
}
