/* SPDX-License-Identifier: MIT */
/* The log of written pages: reading it with and without cleaning, preempted, past its end, into bad memory. */
#include "unit.h"

#include <domus/dirty_log.h>
#include <domus/heap.h>

/* A little more than one page of bits, and not whole words. */
#define NR_PAGES 40000ul
#define BYTES    (NR_PAGES / 8)

static struct domain *d;
/* Two processes that do the same at the same address, and what one of them does besides. */
static const struct dirty_reader reader_a = { 1, 0x1000, 11 }, reader_b = { 2, 0x1000, 11 }, reader_c = { 1, 0x2000, 11 };

static struct dirty_log *start(unsigned long nr_pages)
{
    struct dirty_log *log = dirty_log_new(nr_pages);
    int rc;

    assert_non_null(log);
    do
        rc = dirty_log_populate(log);
    while (rc == -ERESTART);
    assert_int_equal(rc, 0);
    d->dirty_log = log;
    return log;
}

static void stop(void)
{
    struct dirty_log *log = d->dirty_log;

    d->dirty_log = NULL;
    while (dirty_log_free(log) == -ERESTART)
        ;
}

static int read_all(bool clean, void *bitmap, unsigned long nr)
{
    int rc;

    do
        rc = dirty_log_read(d->dirty_log, &reader_a, clean, bitmap, nr);
    while (rc == -ERESTART);
    return rc;
}

static bool bit(unsigned long page)
{
    return (unsigned char)host_guest[page / 8] >> page % 8 & 1;
}

static unsigned long count_bits(unsigned long bytes)
{
    unsigned long n = 0;

    for (unsigned long i = 0; i < bytes; i++)
        n += (unsigned long)__builtin_popcount((unsigned char)host_guest[i]);
    return n;
}

static void marks(void **state)
{
    struct dirty_log *log = start(NR_PAGES);

    (void)state;
    mark_dirty(d, _mfn(0));
    mark_dirty(d, _mfn(NR_PAGES - 1));
    mark_dirty(d, _mfn(NR_PAGES - 1));
    assert_true(dirty_log_marked(log, _mfn(0)));
    assert_false(dirty_log_marked(log, _mfn(1)));
    assert_int_equal(dirty_log_count(log), 2);
    /* What the log does not reach will never be noted, so it counts as if it had been. */
    mark_dirty(d, _mfn(NR_PAGES));
    mark_dirty(d, _mfn(~0ul));
    assert_true(dirty_log_marked(log, _mfn(NR_PAGES)));
    assert_true(dirty_log_marked(log, _mfn(~0ul)));
    assert_int_equal(dirty_log_count(log), 2);
    stop();
    mark_dirty(d, _mfn(0));
}

static void random_walk(void **state)
{
    static bool model[NR_PAGES];
    uint64_t seed = 9;

    (void)state;
    start(NR_PAGES);
    memset(model, 0, sizeof(model));
    for (unsigned int round = 0; round < 40; round++) {
        unsigned long nr = 1 + random_below(&seed, NR_PAGES), bytes = (nr + 7) / 8;
        bool clean = random_below(&seed, 2);

        for (unsigned int i = random_below(&seed, 300); i > 0; i--) {
            unsigned long page = random_below(&seed, NR_PAGES);

            mark_dirty(d, _mfn(page));
            model[page] = true;
        }
        host_preempt_every = random_below(&seed, 3);
        memset(host_guest, 0x55, sizeof(host_guest));
        assert_int_equal(read_all(clean, host_guest, nr), 0);
        assert_int_equal(host_guest[bytes], 0x55);
        for (unsigned long i = 0; i < bytes * 8; i++)
            assert_int_equal(bit(i), i < nr && model[i]);
        if (clean)
            memset(model, 0, nr);
    }
    host_preempt_every = 0;
    stop();
}

static void past_its_end(void **state)
{
    (void)state;
    start(100);
    mark_dirty(d, _mfn(99));
    memset(host_guest, 0x55, sizeof(host_guest));
    assert_int_equal(read_all(true, host_guest, HOST_GUEST_BYTES * 8ul), 0);
    assert_int_equal(count_bits(HOST_GUEST_BYTES), 1);
    assert_true(bit(99));
    assert_int_equal(dirty_log_count(d->dirty_log), 0);
    /* An empty log, and one asked for nothing. */
    assert_int_equal(read_all(true, host_guest, 0), 0);
    stop();
    start(0);
    assert_int_equal(read_all(true, host_guest, 64), 0);
    assert_int_equal(count_bits(8), 0);
    stop();
}

static void bad_memory(void **state)
{
    (void)state;
    start(NR_PAGES);
    mark_dirty(d, _mfn(5));
    assert_int_equal(read_all(true, host_guest + HOST_GUEST_BYTES, NR_PAGES), -EFAULT);
    assert_int_equal(read_all(true, (void *)~0ul, NR_PAGES), -EFAULT);
    assert_int_equal(read_all(false, host_guest, NR_PAGES), 0);
    assert_true(bit(5));
    /* No bitmap: it is only cleaned. */
    assert_int_equal(read_all(true, NULL, NR_PAGES), 0);
    assert_int_equal(read_all(false, host_guest, NR_PAGES), 0);
    assert_int_equal(count_bits(BYTES), 0);
    stop();
}

static void two_readers(void **state)
{
    struct dirty_log *log = start(NR_PAGES);

    (void)state;
    mark_dirty(d, _mfn(1));
    host_preempt_every = 1;
    assert_int_equal(dirty_log_read(log, &reader_a, true, host_guest, NR_PAGES), -ERESTART);
    assert_int_equal(dirty_log_read(log, &reader_b, true, host_guest, NR_PAGES), -EBUSY);
    assert_int_equal(dirty_log_read(log, &reader_c, true, host_guest, NR_PAGES), -EBUSY);
    host_preempt_every = 0;
    /* One that is read already stays dirty for the next time if it is written again. */
    mark_dirty(d, _mfn(1));
    assert_int_equal(dirty_log_read(log, &reader_a, true, host_guest, NR_PAGES), 0);
    assert_int_equal(dirty_log_read(log, &reader_b, false, host_guest, NR_PAGES), 0);
    assert_true(bit(1));
    stop();
}

static void no_memory_is_lost(void **state)
{
    unsigned long before = heap_free_pages_count();

    (void)state;
    for (unsigned int every = 0; every < 3; every++) {
        host_preempt_every = every;
        start(NR_PAGES);
        stop();
        assert_int_equal(heap_free_pages_count(), before);
    }
    host_preempt_every = 0;
    /* More than there is: what was got is given back. */
    d->dirty_log = dirty_log_new(1ul << 30);
    assert_int_equal(dirty_log_populate(d->dirty_log), -ENOMEM);
    stop();
    assert_int_equal(heap_free_pages_count(), before);
}

static int setup(void **state)
{
    (void)state;
    host_machine_create(4096);
    heap_init_range(_mfn(HOST_FIRST_MFN), _mfn(4096), true);
    d = host_domain_create(1, 1, false);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    host_domain_destroy(d);
    host_machine_destroy();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(marks),
        cmocka_unit_test(random_walk),
        cmocka_unit_test(past_its_end),
        cmocka_unit_test(bad_memory),
        cmocka_unit_test(two_readers),
        cmocka_unit_test(no_memory_is_lost),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
