/* SPDX-License-Identifier: MIT */
/*
 * Lists of CPUs, numbers and amounts of memory, right and wrong.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "cli/resources.h"
#include "lib/cpu_map.h"

#define CPUS 8

static const uint32_t nodes[CPUS] = { 0, 0, 0, 0, 1, 1, 1, 1 };

static void cpu_lists_are_understood(void **state)
{
    static const char *const lists[][2] = {
        { "all", "all" },       { "0", "0" },           { "1-3", "1-3" },     { "0,2-3,7", "0,2-3,7" },
        { "0-7", "all" },       { "all,^0", "1-7" },    { "^0", "1-7" },      { "0-3,^1-2", "0,3" },
        { "nodes:1", "4-7" },   { "node:0,^0", "1-3" }, { "^node:1", "0-3" }, { "nodes:0-1", "all" },
        { " 1, 2 ", NULL },     { "3-3", "3" },         { "1,1,1", "1" },     { "nodes:all", "all" },
    };

    (void)state;
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        char error[200] = "", text[64];
        struct cpu_map map;
        bool good = cpu_map_parse(&map, lists[i][0], CPUS, nodes, error, sizeof(error));

        if (!lists[i][1]) {
            assert_false(good);
            continue;
        }
        if (!good)
            fail_msg("%s: %s", lists[i][0], error);
        cpu_map_format(&map, CPUS, text, sizeof(text));
        assert_string_equal(text, lists[i][1]);
    }
}

static void wrong_cpu_lists_are_explained(void **state)
{
    static const char *const lists[] = {
        "", ",", "x", "8", "7-8", "3-1", "-1", "1-", "1--2", "0,^0", "^all", "nodes:2", "nodes:", "all0", "1 2", "1,,2",
        "99999999999999999999", "4096", "0x1", "^", "^^1", "1,", "node1",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
        char error[200] = "";
        struct cpu_map map;

        if (cpu_map_parse(&map, lists[i], CPUS, nodes, error, sizeof(error)))
            fail_msg("`%s' is taken for a list", lists[i]);
        assert_true(error[0]);
    }
}

static void lists_are_cut_to_their_space(void **state)
{
    struct cpu_map map;
    char text[8];

    (void)state;
    cpu_map_clear(&map);
    for (unsigned int cpu = 0; cpu < CPU_MAP_BITS; cpu += 2)
        cpu_map_set(&map, cpu, true);
    cpu_map_set(&map, CPU_MAP_BITS, true);
    assert_int_equal(cpu_map_count(&map), CPU_MAP_BITS / 2);
    cpu_map_format(&map, CPU_MAP_BITS, text, sizeof(text));
    assert_string_equal(text, "0,2,4,6");
    cpu_map_clear(&map);
    cpu_map_format(&map, CPU_MAP_BITS, text, sizeof(text));
    assert_string_equal(text, "none");
}

static void random_lists_never_harm(void **state)
{
    static const char letters[] = "0123456789,,--^^ all nodes:";
    uint32_t seed = 4711;

    (void)state;
    for (int round = 0; round < 100000; round++) {
        char text[24], error[200] = "", again[600];
        struct cpu_map map, copy;
        size_t length;

        seed = seed * 1664525 + 1013904223;
        length = seed >> 28;
        for (size_t i = 0; i < length; i++) {
            seed = seed * 1664525 + 1013904223;
            text[i] = letters[(seed >> 16) % (sizeof(letters) - 1)];
        }
        text[length] = '\0';
        if (!cpu_map_parse(&map, text, CPUS, nodes, error, sizeof(error))) {
            assert_true(error[0]);
            continue;
        }
        cpu_map_format(&map, CPUS, again, sizeof(again));
        assert_true(cpu_map_parse(&copy, again, CPUS, nodes, error, sizeof(error)));
        assert_memory_equal(&map, &copy, sizeof(map));
    }
}

static void memory_is_understood(void **state)
{
    static const struct {
        const char *text;
        long long kib;
    } sizes[] = {
        { "512", 512 << 10 }, { "512m", 512 << 10 }, { "2G", 2 << 20 }, { "1t", 1 << 30 }, { "2048k", 2048 },
        { "4096b", 4 }, { "0", 0 },
        { "", -1 }, { "m", -1 }, { "-1", -1 }, { "1x", -1 }, { "1mb", -1 }, { "1 m", -1 }, { "0x10", -1 },
        { "99999999999999999999", -1 }, { "999999999999t", -1 }, { "17592186044417b", -1 },
    };
    long value;

    (void)state;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
        assert_int_equal(parse_memory(sizes[i].text), sizes[i].kib);
    assert_true(parse_count("17", 1, 17, &value));
    assert_int_equal(value, 17);
    assert_false(parse_count("18", 1, 17, &value));
    assert_false(parse_count("0", 1, 17, &value));
    assert_false(parse_count("-1", -2, 17, &value));
    assert_false(parse_count("1x", 1, 17, &value));
    assert_false(parse_count("", 0, 17, &value));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cpu_lists_are_understood),     cmocka_unit_test(wrong_cpu_lists_are_explained),
        cmocka_unit_test(lists_are_cut_to_their_space), cmocka_unit_test(random_lists_never_harm),
        cmocka_unit_test(memory_is_understood),
    };

    return cmocka_run_group_tests_name("numbers", tests, NULL, NULL);
}
