/* SPDX-License-Identifier: MIT */
/* Range sets against a plain array. */
#include "unit.h"

#include <domus/rangeset.h>

#define LIMIT 300

static void random_walk(void **state)
{
    struct rangeset *r = rangeset_new("test");
    bool model[LIMIT] = { false };
    uint64_t seed = 5;

    (void)state;
    assert_non_null(r);
    for (int step = 0; step < 20000; step++) {
        unsigned long a = random_below(&seed, LIMIT), b = a + random_below(&seed, 20);
        bool all = true, any = false;

        b = min(b, LIMIT - 1ul);
        switch (random_below(&seed, 3)) {
        case 0:
            assert_int_equal(rangeset_add_range(r, a, b), 0);
            memset(model + a, true, b - a + 1);
            break;
        case 1:
            assert_int_equal(rangeset_remove_range(r, a, b), 0);
            memset(model + a, false, b - a + 1);
            break;
        default:
            for (unsigned long i = a; i <= b; i++) {
                all &= model[i];
                any |= model[i];
            }
            assert_int_equal(rangeset_contains_range(r, a, b), all);
            assert_int_equal(rangeset_overlaps_range(r, a, b), any);
        }
    }
    assert_int_equal(rangeset_remove_range(r, 0, ~0ul), 0);
    assert_true(rangeset_is_empty(r));
    rangeset_destroy(r);
}

static void edges(void **state)
{
    struct rangeset *r = rangeset_new("test");
    unsigned long first = 0, last = 0;

    (void)state;
    assert_false(rangeset_next(r, &first, &last));
    assert_int_equal(rangeset_add_range(r, 2, 1), -EINVAL);
    assert_int_equal(rangeset_add_range(r, 0, ~0ul), 0);
    assert_true(rangeset_contains_singleton(r, ~0ul));
    assert_int_equal(rangeset_remove_singleton(r, ~0ul), 0);
    assert_int_equal(rangeset_remove_singleton(r, 0), 0);
    assert_true(rangeset_contains_range(r, 1, ~0ul - 1));
    assert_false(rangeset_contains_range(r, 0, 1));
    assert_false(rangeset_contains_range(NULL, 0, 1));
    assert_int_equal(rangeset_remove_range(r, 10, 19), 0);
    assert_true(rangeset_next(r, &first, &last));
    assert_int_equal(first, 1);
    assert_int_equal(last, 9);
    first = 10;
    assert_true(rangeset_next(r, &first, &last));
    assert_int_equal(first, 20);
    assert_int_equal(last, ~0ul - 1);
    first = ~0ul;
    assert_false(rangeset_next(r, &first, &last));
    rangeset_destroy(r);
    rangeset_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_walk),
        cmocka_unit_test(edges),
    };

    return cmocka_run_group_tests_name("rangeset", tests, NULL, NULL);
}
