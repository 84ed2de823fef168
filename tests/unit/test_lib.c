/* SPDX-License-Identifier: MIT */
/* The library: text, numbers, bitmaps, lists; formatted text is compared with the C library's. */
#include "unit.h"

#include <limits.h>
#include <stdio.h>

#include <domus/bitmap.h>
#include <domus/cpumask.h>
#include <domus/list.h>

/* The hypervisor's functions, by the names that they have in this build. */
int hv_snprintf(char *buf, size_t size, const char *fmt, ...);
unsigned long hv_strtoul(const char *s, char **end, int base);
size_t hv_strlcpy(char *dst, const char *src, size_t size);
char *hv_strstr(const char *haystack, const char *needle);
char *hv_strchr(const char *s, int c);
size_t hv_strspn(const char *s, const char *accept);
size_t hv_strcspn(const char *s, const char *reject);
int hv_strncmp(const char *a, const char *b, size_t n);
size_t hv_strlen(const char *s);
int hv_memcmp(const void *a, const void *b, size_t n);
void *hv_memchr(const void *s, int c, size_t n);

#define SAME(...)                                               \
    do {                                                        \
        char want_[256], got_[256];                             \
        int wn_ = snprintf(want_, sizeof(want_), __VA_ARGS__);  \
        int gn_ = hv_snprintf(got_, sizeof(got_), __VA_ARGS__); \
        assert_string_equal(got_, want_);                       \
        assert_int_equal(gn_, wn_);                             \
    } while (0)

static void format_as_in_c(void **state)
{
    (void)state;
    SAME("plain %% text");
    SAME("%d %i %u", -1, INT_MIN, UINT_MAX);
    SAME("%ld %lu %lld %llx", LONG_MIN, ULONG_MAX, LLONG_MAX, ULLONG_MAX);
    /* Too large on purpose, which clang warns of. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat"
    SAME("%hhd %hhu %hd %hu", -200, 300, -40000, 70000);
#pragma GCC diagnostic pop
    SAME("%zu %zd %jd %td", (size_t)1 << 40, (ssize_t)-5, (intmax_t)-7, (ptrdiff_t)-9);
    SAME("[%5d] [%-5d] [%05d] [%+d] [% d] [%+05d]", 42, 42, 42, 42, 42, 42);
    SAME("[%5d] [%-5d] [%05d]", -42, -42, -42);
    SAME("[%.3d] [%8.3d] [%-8.3d]", 7, 7, 7);
    SAME("[%x] [%X] [%#x] [%#X] [%#x] [%08x] [%#010x]", 48879, 48879, 48879, 48879, 0, 48879, 48879);
    SAME("[%o] [%#o] [%#o] [%#.3o]", 8, 8, 0, 8);
    SAME("[%.0d] [%.0x] [%5.0d]", 0, 0, 0);
    SAME("[%s] [%10s] [%-10s] [%.2s] [%10.2s]", "abc", "abc", "abc", "abc", "abc");
    SAME("[%*d] [%-*d] [%.*s] [%*d]", 6, 1, 6, 2, 2, "xyz", -6, 3);
    SAME("[%c] [%3c] [%-3c]", 'a', 'b', 'c');
}

static void format_cut(void **state)
{
    char buf[8];

    (void)state;
    assert_int_equal(hv_snprintf(buf, sizeof(buf), "%s", "longer than that"), 16);
    assert_string_equal(buf, "longer ");
    assert_int_equal(scnprintf(buf, sizeof(buf), "%s", "longer than that"), 7);
    assert_int_equal(hv_snprintf(NULL, 0, "%d", 12345), 5);
    assert_int_equal(scnprintf(buf, 0, "x"), 0);
    assert_int_equal(hv_snprintf(buf, 1, "x"), 1);
    assert_string_equal(buf, "");
    assert_int_equal(hv_snprintf(buf, sizeof(buf), "%s", (char *)NULL), 6);
    assert_string_equal(buf, "(null)");
    assert_int_equal(hv_snprintf(buf, sizeof(buf), "ab%"), 2);
}

static void format_random(void **state)
{
    static const char flags[] = "-0+ #", conversions[] = "diuxXo";
    uint64_t seed = 1;

    (void)state;
    for (int i = 0; i < 20000; i++) {
        char fmt[32], want[128], got[128];
        size_t n = 0;
        unsigned long value = (unsigned long)random_next(&seed) << random_below(&seed, 33);

        fmt[n++] = '%';
        for (unsigned int f = random_below(&seed, 3); f--; )
            fmt[n++] = flags[random_below(&seed, 5)];
        if (random_below(&seed, 2))
            n += (size_t)sprintf(fmt + n, "%u", 1 + random_below(&seed, 30));
        if (random_below(&seed, 2))
            n += (size_t)sprintf(fmt + n, ".%u", random_below(&seed, 30));
        fmt[n++] = 'l';
        fmt[n++] = conversions[random_below(&seed, 6)];
        fmt[n] = '\0';
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        snprintf(want, sizeof(want), fmt, value);
        hv_snprintf(got, sizeof(got), fmt, value);
#pragma GCC diagnostic pop
        if (strcmp(want, got))
            fail_msg("%s of %#lx: \"%s\", not \"%s\"", fmt, value, got, want);
    }
}

static void numbers(void **state)
{
    static const char *const text[] = { "0", "12", "-12", "+7x", "0x1f", "0x", "0xg", "010", "08",
        "", " 5", "z", "-", "18446744073709551615", "7fffffffffffffff" };
    const char *end;

    (void)state;
    for (size_t i = 0; i < ARRAY_SIZE(text); i++) {
        static const int bases[] = { 0, 8, 10, 16 };

        for (size_t b = 0; b < ARRAY_SIZE(bases); b++) {
            char *want_end, *got_end;

            assert_int_equal(hv_strtoul(text[i], &got_end, bases[b]),
                             strtoul(text[i], &want_end, bases[b]));
            assert_ptr_equal(got_end, want_end);
        }
    }
    assert_int_equal(hv_strtoul("99999999999999999999", NULL, 10), ULONG_MAX);
    assert_int_equal(hv_strtoul("-5", NULL, 0), -5);

    assert_int_equal(parse_size("4", &end), 4);
    assert_int_equal(parse_size("4k,", &end), 4096);
    assert_string_equal(end, ",");
    assert_int_equal(parse_size("2G", &end), 2ul << 30);
    assert_int_equal(parse_size("0x10M", &end), 16ul << 20);
    assert_int_equal(parse_size("1T", NULL), 1ul << 40);
    assert_int_equal(parse_size("99999999999T", NULL), ULONG_MAX);
    assert_int_equal(parse_size("x", &end), 0);
    assert_string_equal(end, "x");

    assert_int_equal(parse_bool("yes", NULL), 1);
    assert_int_equal(parse_bool("off", NULL), 0);
    assert_int_equal(parse_bool("offline", NULL), -1);
    assert_int_equal(parse_bool("", NULL), -1);
}

static void strings(void **state)
{
    char buf[6];

    (void)state;
    assert_int_equal(hv_strlcpy(buf, "hypervisor", sizeof(buf)), 10);
    assert_string_equal(buf, "hyper");
    assert_int_equal(hv_strlcpy(buf, "ab", sizeof(buf)), 2);
    assert_int_equal(hv_strlcpy(buf, "abcde", sizeof(buf)), 5);
    assert_int_equal(hv_strlen(""), 0);
    assert_string_equal(hv_strstr("console=com1", "com"), "com1");
    assert_null(hv_strstr("abc", "abcd"));
    assert_string_equal(hv_strstr("abc", ""), "abc");
    assert_string_equal(hv_strchr("a=b=c", '='), "=b=c");
    assert_string_equal(hv_strchr("abc", '\0'), "");
    assert_int_equal(hv_strspn("aabc", "ab"), 3);
    assert_int_equal(hv_strcspn("aabc", "cb"), 2);
    assert_int_equal(hv_strncmp("abc", "abd", 2), 0);
    assert_true(hv_strncmp("abc", "abd", 3) < 0);
    assert_true(hv_strncmp("\xff", "a", 1) > 0);
    assert_true(hv_memcmp("ab\0c", "ab\0d", 4) < 0);
    assert_ptr_equal(hv_memchr(buf, 'c', 5), buf + 2);
    assert_null(hv_memchr(buf, 'z', 5));
    assert_true(mem_is_zero("\0\0\0", 3));
    assert_false(mem_is_zero("\0\0\1", 3));
}

static void bitmaps(void **state)
{
    uint64_t seed = 7;
    DECLARE_BITMAP(map, 300);
    bool model[300];

    (void)state;
    bitmap_zero(map, 300);
    memset(model, 0, sizeof(model));
    for (int round = 0; round < 2000; round++) {
        unsigned int start = random_below(&seed, 300), nr = random_below(&seed, 301 - start);
        bool set = random_below(&seed, 2);
        unsigned long next = start, next_zero = start, weight = 0;

        if (set)
            bitmap_set(map, start, nr);
        else
            bitmap_clear(map, start, nr);
        for (unsigned int i = start; i < start + nr; i++)
            model[i] = set;

        start = random_below(&seed, 300);
        for (next = start; next < 300 && !model[next]; next++)
            ;
        for (next_zero = start; next_zero < 300 && model[next_zero]; next_zero++)
            ;
        for (unsigned int i = 0; i < 300; i++)
            weight += model[i];
        assert_int_equal(find_next_bit(map, 300, start), next);
        assert_int_equal(find_next_zero_bit(map, 300, start), next_zero);
        assert_int_equal(bitmap_weight(map, 300), weight);
    }
    assert_int_equal(find_next_bit(map, 300, 300), 300);
    bitmap_fill(map, 300);
    assert_true(bitmap_full(map, 300));
    assert_int_equal(map[4] >> (300 - 256), 0);
}

static void cpumasks(void **state)
{
    cpumask_t m = CPU_MASK_NONE, one = cpumask_of(3);
    unsigned int cpu, seen = 0;

    (void)state;
    assert_int_equal(cpumask_first(&m), NR_CPUS);
    cpumask_set_cpu(NR_CPUS - 1, &m);
    cpumask_set_cpu(3, &m);
    for_each_cpu(cpu, &m)
        seen++;
    assert_int_equal(seen, 2);
    assert_int_equal(cpumask_next(3, &m), NR_CPUS - 1);
    assert_int_equal(cpumask_next(NR_CPUS - 1, &m), NR_CPUS);
    assert_int_equal(cpumask_cycle(NR_CPUS - 1, &m), 3);
    assert_true(cpumask_subset(&one, &m));
    assert_false(cpumask_test_cpu(NR_CPUS, &m));
    assert_false(cpumask_test_cpu(~0u, &m));
}

struct item {
    int n;
    struct list_head link;
};

static void lists(void **state)
{
    LIST_HEAD(a);
    LIST_HEAD(b);
    struct item item[4], *i, *next;
    int sum = 0;

    (void)state;
    for (int n = 0; n < 4; n++) {
        item[n].n = n;
        list_add_tail(&item[n].link, n < 2 ? &a : &b);
    }
    list_splice_tail_init(&b, &a);
    assert_true(list_empty(&b));
    list_for_each_entry(i, &a, link)
        sum = sum * 10 + i->n;
    assert_int_equal(sum, 123);
    list_move(&item[3].link, &a);
    assert_int_equal(list_first_entry(&a, struct item, link)->n, 3);
    list_for_each_entry_safe(i, next, &a, link)
        list_del(&i->link);
    assert_true(list_empty(&a));
    assert_null(list_first_entry_or_null(&a, struct item, link));
}

static void arithmetic(void **state)
{
    (void)state;
    assert_int_equal(fls(0), 0);
    assert_int_equal(fls(1), 1);
    assert_int_equal(fls(~0ul), 64);
    assert_int_equal(ffs(0ul), 0);
    assert_int_equal(ffs(1ul << 63), 64);
    assert_int_equal(ilog2(4097), 12);
    assert_int_equal(get_order_from_pages(1), 0);
    assert_int_equal(get_order_from_pages(5), 3);
    assert_int_equal(get_order_from_bytes(4097), 1);
    assert_int_equal(ROUNDUP(5ul, 4), 8);
    for (unsigned long i = 0; i < 20; i++)
        assert_int_equal(array_index_nospec(i, 10), i < 10 ? i : 0);
    assert_int_equal(array_index_nospec(~0ul, 10), 0);
    assert_int_equal(array_index_nospec(1ul << 63, 10), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(format_as_in_c),
        cmocka_unit_test(format_cut),
        cmocka_unit_test(format_random),
        cmocka_unit_test(numbers),
        cmocka_unit_test(strings),
        cmocka_unit_test(bitmaps),
        cmocka_unit_test(cpumasks),
        cmocka_unit_test(lists),
        cmocka_unit_test(arithmetic),
    };

    return cmocka_run_group_tests_name("lib", tests, NULL, NULL);
}
