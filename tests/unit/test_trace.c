/* SPDX-License-Identifier: MIT */
/* A trace ring: every record comes out as it went in, however full it is; a consumer that writes nonsense harms nobody. */
#include "unit.h"

#include "../../hypervisor/core/trace_ring.h"
#include <xen/trace.h>

#define PAGES 2
#define SIZE  (PAGES * 4096 - (uint32_t)sizeof(struct t_buf))
#define EVENT (TRC_SCHED_MIN + 1)

static char memory[PAGES][4096] __attribute__((aligned(4096)));
/* Pages of a ring need not follow each other. */
static void *const pages[PAGES] = { memory[1], memory[0] };
static struct t_buf *const shared = (struct t_buf *)memory[1];
static struct trace_ring ring;
static struct trace_context context = { .domain = 3, .vcpu = 1 };

static int set_up(void **state)
{
    (void)state;
    memset(memory, 0, sizeof(memory));
    trace_ring_init(&ring, pages, PAGES);
    context.time = 0;
    return 0;
}

/* Its words are nr times its number. */
static bool write_record(uint32_t number, unsigned int nr)
{
    uint32_t words[TRACE_EXTRA_MAX];

    for (unsigned int i = 0; i < nr; i++)
        words[i] = number;
    context.time = (uint64_t)number << 32 | 5;
    return trace_ring_write(&ring, &context, EVENT, words, nr);
}

/* ---- A consumer, as tools are ---- */

struct record {
    uint32_t event, words[TRACE_EXTRA_MAX];
    uint64_t time;
    unsigned int nr;
};

static uint32_t word_at(uint32_t index)
{
    uint32_t at = index % SIZE + (uint32_t)sizeof(struct t_buf), word;

    memcpy(&word, (char *)pages[at / 4096] + at % 4096, sizeof(word));
    return word;
}

static uint32_t next_word(void)
{
    uint32_t word = word_at(shared->cons);

    shared->cons = (shared->cons + 4) % (2 * SIZE);
    return word;
}

static bool read_any(struct record *r)
{
    uint32_t header, start = shared->cons % SIZE;

    if (shared->cons == shared->prod)
        return false;
    header = next_word();
    *r = (struct record){ .event = TRC_HD_TO_EVENT(header), .nr = TRC_HD_EXTRA(header) };
    if (TRC_HD_INCLUDES_CYCLE_COUNT(header)) {
        r->time = next_word();
        r->time |= (uint64_t)next_word() << 32;
    }
    for (unsigned int i = 0; i < r->nr; i++)
        r->words[i] = next_word();
    assert_true(shared->cons % SIZE == 0 || shared->cons % SIZE > start);       /* in one piece */
    return true;
}

/* Skips fillers, which end where the ring ends. */
static bool read_record(struct record *r)
{
    while (read_any(r)) {
        if (r->event != TRC_TRACE_WRAP_BUFFER)
            return true;
        assert_int_equal(shared->cons % SIZE, 0);
    }
    return false;
}

static void expect_record(uint32_t number, unsigned int nr)
{
    struct record r;

    assert_true(read_record(&r));
    assert_int_equal(r.event, EVENT);
    assert_int_equal(r.nr, nr);
    assert_int_equal(r.time, (uint64_t)number << 32 | 5);
    for (unsigned int i = 0; i < nr; i++)
        assert_int_equal(r.words[i], number);
}

/* ---- Tests ---- */

static void records_come_out_in_order(void **state)
{
    struct record r;

    (void)state;
    for (unsigned int nr = 0; nr <= TRACE_EXTRA_MAX; nr++)
        write_record(nr + 1, nr);
    for (unsigned int nr = 0; nr <= TRACE_EXTRA_MAX; nr++)
        expect_record(nr + 1, nr);
    assert_false(read_record(&r));
}

/* All lengths, at all distances from the end: many times around. */
static void records_of_any_length_anywhere(void **state)
{
    uint64_t seed = 1;
    uint32_t in = 0, out = 0;
    unsigned int length[64];

    (void)state;
    for (unsigned int round = 0; round < 100000; round++) {
        if (in - out < 64 && random_below(&seed, 2)) {
            length[in % 64] = random_below(&seed, TRACE_EXTRA_MAX + 1);
            write_record(in, length[in % 64]);
            in++;
        } else if (out != in) {
            expect_record(out, length[out % 64]);
            out++;
        }
    }
    assert_int_equal(ring.lost, 0);
    assert_true(in > 1000);
}

static void a_full_ring_counts_what_it_loses(void **state)
{
    uint32_t number = 1, kept;
    struct record r;

    (void)state;
    while (!ring.lost)
        write_record(number++, 4);
    kept = number - 2;
    assert_in_range(kept, SIZE / 28 - 1, SIZE / 28);
    for (unsigned int i = 0; i < 9; i++)
        write_record(number++, 4);
    assert_int_equal(ring.lost, 10);
    for (uint32_t i = 1; i <= kept; i++)
        expect_record(i, 4);
    assert_false(read_record(&r));

    write_record(number, 4);
    assert_true(read_record(&r));
    assert_int_equal(r.event, TRC_LOST_RECORDS);
    assert_int_equal(r.nr, 4);
    assert_int_equal(r.words[0], 10);
    assert_int_equal(r.words[1], 3 | 1 << 16);
    assert_int_equal(r.words[2], 5);
    assert_int_equal(r.words[3], kept + 1);
    expect_record(number, 4);
    assert_int_equal(ring.lost, 0);
}

/* Room for the record that counts the lost ones, but not for the next: that begins a new count. */
static void room_for_the_count_only(void **state)
{
    struct record r;
    uint32_t number = 1;

    (void)state;
    while (!ring.lost)
        write_record(number++, 4);
    assert_true(read_record(&r));
    write_record(number, 4);
    assert_int_equal(ring.lost, 1);
    assert_int_equal(ring.lost_since >> 32, number);
}

static void told_once_when_half_full(void **state)
{
    unsigned int told = 0;
    struct record r;
    uint32_t n;

    (void)state;
    for (n = 0; n < SIZE / 28; n++)
        told += write_record(n, 4);
    assert_int_equal(told, 1);
    while (read_record(&r))
        ;
    for (n = 0; n < SIZE / 28; n++)
        told += write_record(n, 4);
    assert_int_equal(told, 2);
}

static void nonsense_from_the_consumer(void **state)
{
    static const uint32_t nonsense[] = { ~0u, 2 * SIZE, 2 * SIZE + 4, 0x80000000, SIZE + 1, 1, 2 * SIZE - 1, SIZE, 0 };
    uint64_t seed = 7;

    (void)state;
    write_record(1, 2);
    shared->cons = 2 * SIZE;
    write_record(2, 2);
    assert_int_equal(ring.lost, 1);
    for (unsigned int i = 0; i < 200000; i++) {
        shared->cons = i % 3 ? nonsense[random_below(&seed, ARRAY_SIZE(nonsense))] : random_next(&seed);
        /* The hypervisor's index is its own. */
        shared->prod = random_next(&seed);
        write_record(i, random_below(&seed, TRACE_EXTRA_MAX + 1));
        assert_true(shared->prod < 2 * SIZE);
        assert_int_equal(shared->prod, ring.prod);
        assert_int_equal(ring.prod % 4, 0);
    }
    trace_ring_forget_lost(&ring);
    shared->cons = shared->prod;
    write_record(3, 3);
    expect_record(3, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(records_come_out_in_order, set_up),
        cmocka_unit_test_setup(records_of_any_length_anywhere, set_up),
        cmocka_unit_test_setup(a_full_ring_counts_what_it_loses, set_up),
        cmocka_unit_test_setup(room_for_the_count_only, set_up),
        cmocka_unit_test_setup(told_once_when_half_full, set_up),
        cmocka_unit_test_setup(nonsense_from_the_consumer, set_up),
    };

    return cmocka_run_group_tests_name("trace ring", tests, NULL, NULL);
}
