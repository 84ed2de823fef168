/* SPDX-License-Identifier: MIT */
/* The page allocator: sizes from odd ranges to terabytes, widths, dirt, and a random walk. */
#include "unit.h"

#include <pthread.h>
#include <sched.h>
#include <asm/current.h>
#include <asm/flushtlb.h>
#include <domus/heap.h>

/* The heap's ranges are for good, so each test has frames of its own in one machine of 2 TiB. */
#define MACHINE_FRAMES  (2UL << 28)
#define LOW_START       0x101UL         /* the random walk's and others': below 256 MiB */
#define LOW_END         0xfff3UL
#define HUGE_START      (1UL << 28)     /* 1 TiB and up */

static int setup(void **state)
{
    (void)state;
    host_machine_create(MACHINE_FRAMES);
    return 0;
}

static void odd_range(void **state)
{
    (void)state;
    assert_null(alloc_pages(0, 0));
    heap_init_range(_mfn(LOW_START), _mfn(LOW_END), true);
    assert_int_equal(heap_total_pages(), LOW_END - LOW_START);
    assert_int_equal(heap_free_pages_count(), LOW_END - LOW_START);
    assert_int_equal(heap_dirty_pages_count(), LOW_END - LOW_START);
    heap_init_range(_mfn(0), _mfn(1), true);        /* frame 0 is never used */
    assert_int_equal(heap_total_pages(), LOW_END - LOW_START);
}

static void exhaust_and_merge(void **state)
{
    unsigned long nr = 0, total = heap_free_pages_count();
    struct page_info **all = malloc(total * sizeof(*all));

    (void)state;
    while ((all[nr] = alloc_pages(0, MEMF_no_scrub)) != NULL)
        if (++nr == total)
            break;
    assert_int_equal(nr, total);
    assert_null(alloc_pages(0, 0));
    assert_int_equal(heap_free_pages_count(), 0);
    for (unsigned long i = 0; i < nr; i++)
        free_page(all[(i * 7919) % nr]);
    assert_int_equal(heap_free_pages_count(), total);
    free(all);

    /* 0x8000 to 0xc000 is the largest aligned block inside of the range but for its second half. */
    all = NULL;
    struct page_info *big = alloc_pages(14, MEMF_no_scrub);
    assert_non_null(big);
    assert_true(IS_ALIGNED(mfn_x(page_to_mfn(big)), 1ul << 14));
    assert_null(alloc_pages(15, MEMF_no_scrub));
    free_pages(big, 14);
}

static void zeroed(void **state)
{
    struct page_info *pg = alloc_pages(2, 0);
    char *p = page_to_virt(pg);

    (void)state;
    memset(p, 0xaa, 4 * PAGE_SIZE);
    free_pages(pg, 2);
    pg = alloc_pages(2, 0);
    p = page_to_virt(pg);
    for (unsigned long i = 0; i < 4 * PAGE_SIZE; i++)
        assert_int_equal(p[i], 0);
    assert_int_equal(pg->count_info, 0);
    assert_int_equal(pg->free_order, 0);
    assert_null(pg->owner);
    free_pages(pg, 2);
}

static void width_limits(void **state)
{
    struct page_info *pg;

    (void)state;
    assert_null(alloc_pages(0, MEMF_bits(12)));
    assert_null(alloc_pages(0, MEMF_bits(20)));     /* nothing below 1 MiB */
    pg = alloc_pages(0, MEMF_bits(24));
    assert_true(mfn_x(page_to_mfn(pg)) < 1ul << 12);
    free_page(pg);
    assert_int_equal(heap_free_pages_below(24), 0x1000 - LOW_START);
    assert_int_equal(heap_free_pages_below(52), heap_free_pages_count());
    assert_null(alloc_pages(MAX_ORDER + 1, 0));
}

static void tlb_flush_before_reuse(void **state)
{
    unsigned long left = heap_free_pages_count();
    struct page_info **all = malloc(left * sizeof(*all)), *pg;

    (void)state;
    for (unsigned long i = 0; i < left; i++)
        all[i] = alloc_pages(0, MEMF_no_scrub);
    host_tlb_clock += 10;
    free_guest_pages(all[0], 0);

    /* With interrupts off nobody else can be made to flush: as if it were not there. */
    host_irqs_on = false;
    assert_null(alloc_pages(0, 0));
    host_irqs_on = true;

    host_tlb_flushes = 0;
    pg = alloc_pages(0, 0);
    assert_ptr_equal(pg, all[0]);
    assert_int_equal(host_tlb_flushes, 1);
    free_guest_pages(pg, 0);
    host_tlb_flushed_at = ++host_tlb_clock;         /* somebody flushed for another reason */
    host_irqs_on = false;
    assert_ptr_equal(alloc_pages(0, 0), pg);
    host_irqs_on = true;
    assert_int_equal(host_tlb_flushes, 1);

    for (unsigned long i = 0; i < left; i++)
        free_page(all[i]);
    free(all);
}

/* A free page looks like one that nobody refers to, whatever the heap notes of it: guests name frames as they like. */
static void free_pages_have_no_references(void **state)
{
    struct page_info *dirty = alloc_pages(3, 0), *stale = alloc_pages(3, 0);

    (void)state;
    free_pages(dirty, 3);
    free_guest_pages(stale, 3);
    for (unsigned long mfn = LOW_START; mfn < LOW_END; mfn++) {
        assert_int_equal(mfn_to_page(_mfn(mfn))->count_info & PGC_count_mask, 0);
        assert_null(get_page_from_mfn(_mfn(mfn), NULL));
    }
}

struct watch {
    unsigned long expected;
    bool ready, stop, missed;
};

static void *watch_free_pages(void *arg)
{
    struct watch *watch = arg;

    host_cpu = 1;
    while (!__atomic_load_n(&watch->stop, __ATOMIC_ACQUIRE)) {
        if (heap_free_pages_count() != watch->expected)
            watch->missed = true;
        __atomic_store_n(&watch->ready, true, __ATOMIC_RELEASE);
    }
    return NULL;
}

/* Meanwhile nobody who counts the free pages misses those that are just being zeroed, split or merged. */
static void scrub_while_idle(void **state)
{
    struct watch watch = { .expected = heap_free_pages_count() };
    unsigned long rounds = 0;
    pthread_t watcher;

    (void)state;
    assert_true(heap_dirty_pages_count() > 0);
    assert_int_equal(pthread_create(&watcher, NULL, watch_free_pages, &watch), 0);
    while (!__atomic_load_n(&watch.ready, __ATOMIC_ACQUIRE))
        sched_yield();
    while (heap_scrub_some())
        assert_true(++rounds < 100000);
    __atomic_store_n(&watch.stop, true, __ATOMIC_RELEASE);
    pthread_join(watcher, NULL);
    assert_false(watch.missed);
    assert_int_equal(heap_dirty_pages_count(), 0);
    assert_false(heap_scrub_some());
    for (unsigned long mfn = LOW_START; mfn < LOW_END; mfn += 97)
        assert_true(mem_is_zero(mfn_to_virt(_mfn(mfn)), PAGE_SIZE));

    struct page_info *big = alloc_pages(14, 0);     /* and all has been put together again */
    assert_non_null(big);
    free_pages(big, 14);
}

/* What is allocated never overlaps, is aligned and keeps its content; in the end all is back. */
static void random_walk(void **state)
{
    enum { SLOTS = 200 };
    struct { struct page_info *pg; unsigned int order; uint32_t mark; } slot[SLOTS] = { 0 };
    unsigned long total = heap_free_pages_count(), held = 0;
    uint64_t seed = 42;

    (void)state;
    for (int step = 0; step < 40000; step++) {
        unsigned int i = random_below(&seed, SLOTS);

        if (!slot[i].pg) {
            unsigned int order = random_below(&seed, random_below(&seed, 10) + 1);
            uint32_t *first, *last;

            slot[i].pg = alloc_pages(order, MEMF_no_scrub);
            if (!slot[i].pg)
                continue;
            assert_true(IS_ALIGNED(mfn_x(page_to_mfn(slot[i].pg)), 1ul << order));
            slot[i].order = order;
            slot[i].mark = random_next(&seed);
            first = page_to_virt(slot[i].pg);
            last = (uint32_t *)((char *)first + (PAGE_SIZE << order)) - 1;
            *first = *last = slot[i].mark;
            held += 1ul << order;
        } else {
            uint32_t *first = page_to_virt(slot[i].pg);
            uint32_t *last = (uint32_t *)((char *)first + (PAGE_SIZE << slot[i].order)) - 1;

            assert_int_equal(*first, slot[i].mark);
            assert_int_equal(*last, slot[i].mark);
            held -= 1ul << slot[i].order;
            if (slot[i].order && random_below(&seed, 4) == 0) {     /* in two parts */
                free_pages(slot[i].pg + (1ul << (slot[i].order - 1)), slot[i].order - 1);
                slot[i].order--;
            }
            if (random_below(&seed, 3))
                free_pages(slot[i].pg, slot[i].order);
            else
                free_guest_pages(slot[i].pg, slot[i].order);
            slot[i].pg = NULL;
        }
        if (random_below(&seed, 50) == 0)
            heap_scrub_some();
        assert_int_equal(heap_free_pages_count(), total - held);
    }
    for (unsigned int i = 0; i < SLOTS; i++)
        if (slot[i].pg)
            free_pages(slot[i].pg, slot[i].order);
    while (heap_scrub_some())
        ;
    struct page_info *big = alloc_pages(14, 0);
    assert_non_null(big);
    free_pages(big, 14);
    assert_int_equal(heap_free_pages_count(), total);
}

/* 1 TiB costs a step for each 4 GiB, and is preferred over low memory. */
static void terabytes(void **state)
{
    struct page_info *pg;

    (void)state;
    heap_init_range(_mfn(HUGE_START), _mfn(MACHINE_FRAMES), false);
    assert_int_equal(heap_free_pages_count(), MACHINE_FRAMES - HUGE_START + LOW_END - LOW_START);
    pg = alloc_pages(MAX_ORDER, MEMF_no_scrub);
    assert_true(mfn_x(page_to_mfn(pg)) >= HUGE_START);
    pg = alloc_pages(0, 0);
    assert_true(mfn_x(page_to_mfn(pg)) >= HUGE_START);
    pg = alloc_pages(0, MEMF_bits(32));
    assert_true(mfn_x(page_to_mfn(pg)) < LOW_END);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(odd_range),
        cmocka_unit_test(exhaust_and_merge),
        cmocka_unit_test(zeroed),
        cmocka_unit_test(width_limits),
        cmocka_unit_test(tlb_flush_before_reuse),
        cmocka_unit_test(free_pages_have_no_references),
        cmocka_unit_test(scrub_while_idle),
        cmocka_unit_test(random_walk),
        cmocka_unit_test(terabytes),
    };

    return cmocka_run_group_tests_name("heap", tests, setup, NULL);
}
