/* SPDX-License-Identifier: MIT */
/* The small-object allocator. */
#include "unit.h"

#include <domus/heap.h>
#include <domus/xmalloc.h>

static int setup(void **state)
{
    (void)state;
    host_machine_create(0x4000);
    heap_init_range(_mfn(HOST_FIRST_MFN), _mfn(0x4000), true);
    return 0;
}

static void alignment(void **state)
{
    (void)state;
    for (size_t size = 1; size <= 70000; size += size < 5000 ? 13 : 4099) {
        char *a = xmalloc_bytes(size), *b = xmalloc_bytes(size);

        assert_non_null(a);
        assert_non_null(b);
        assert_true(IS_ALIGNED((unsigned long)a, 16));
        memset(a, 1, size);
        memset(b, 2, size);
        assert_int_equal(a[0] + a[size - 1], 2);
        xfree(a);
        xfree(b);
    }
    for (size_t size = 16; size <= PAGE_SIZE; size *= 2) {
        void *p = xmalloc_bytes(size);

        assert_true(IS_ALIGNED((unsigned long)p, size));
        xfree(p);
    }
}

static void edges(void **state)
{
    void *p = xmalloc_bytes(0);

    (void)state;
    assert_non_null(p);
    xfree(p);
    xfree(NULL);
    assert_null(xmalloc_bytes(~0ul));
    assert_null(xmalloc_bytes(1ul << 40));
    assert_null(xmalloc_array_bytes(1ul << 33, 1ul << 33, true));
}

/* Contents stay, zeroing zeroes, and every page comes back but one empty slab a class. */
static void random_walk(void **state)
{
    enum { SLOTS = 500 };
    struct { unsigned char *p; size_t size; unsigned char mark; } slot[SLOTS] = { 0 };
    unsigned long before = heap_free_pages_count();
    uint64_t seed = 99;

    (void)state;
    for (int step = 0; step < 100000; step++) {
        unsigned int i = random_below(&seed, SLOTS);

        if (!slot[i].p) {
            bool zero = random_below(&seed, 2);

            slot[i].size = 1 + random_below(&seed, random_below(&seed, 8) ? 600 : 9000);
            slot[i].p = zero ? xzalloc_bytes(slot[i].size) : xmalloc_bytes(slot[i].size);
            assert_non_null(slot[i].p);
            if (zero)
                assert_true(mem_is_zero(slot[i].p, slot[i].size));
            slot[i].mark = (unsigned char)random_next(&seed);
            memset(slot[i].p, slot[i].mark, slot[i].size);
        } else {
            assert_int_equal(slot[i].p[0], slot[i].mark);
            assert_int_equal(slot[i].p[slot[i].size - 1], slot[i].mark);
            XFREE(slot[i].p);
        }
    }
    for (unsigned int i = 0; i < SLOTS; i++)
        xfree(slot[i].p);
    assert_true(before - heap_free_pages_count() <= 13 * 4);
}

static void no_memory(void **state)
{
    void *head = NULL, **p;

    (void)state;
    while ((p = xmalloc_bytes(2048)) != NULL) {
        *p = head;
        head = p;
    }
    assert_null(xmalloc_bytes(4096));
    while (head) {
        p = head;
        head = *p;
        xfree(p);
    }
    p = xmalloc_bytes(100000);
    assert_non_null(p);
    xfree(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(alignment),
        cmocka_unit_test(edges),
        cmocka_unit_test(random_walk),
        cmocka_unit_test(no_memory),
    };

    return cmocka_run_group_tests_name("xmalloc", tests, setup, NULL);
}
