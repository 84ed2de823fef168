/* SPDX-License-Identifier: MIT */
/* Boot parameters. */
#include "unit.h"

#include <domus/param.h>

static char text[8];
static unsigned int number = 1;
static u64 size;
static bool flag, other_flag = true;
static char custom[16];

static int set_custom(const char *value)
{
    if (!strcmp(value, "bad"))
        return -EINVAL;
    strncpy(custom, value, sizeof(custom) - 1);
    return 0;
}

PARAM_STRING("text", text);
PARAM_INT("number", number);
PARAM_SIZE("size", size);
PARAM_BOOL("flag", flag);
PARAM_BOOL("other", other_flag);
PARAM_CUSTOM("custom", set_custom);

static void words(void **state)
{
    (void)state;
    host_log_clear();
    cmdline_parse("  number=0x20 text=abc size=2M flag no-other custom='a b' ");
    assert_int_equal(number, 32);
    assert_string_equal(text, "abc");
    assert_int_equal(size, 2 << 20);
    assert_true(flag);
    assert_false(other_flag);
    assert_string_equal(custom, "a b");
    assert_string_equal(host_log, "");
    assert_string_equal(saved_cmdline,
                        "  number=0x20 text=abc size=2M flag no-other custom='a b' ");

    cmdline_parse("flag=off text=muchtoolong no-custom");
    assert_false(flag);
    assert_string_equal(text, "muchtoo");
    assert_string_equal(custom, "no");
}

static void reports(void **state)
{
    (void)state;
    static const char *const bad[] = { "nonsense", "number=5x", "number=", "number", "size=1Q", "number=0x100000000", "number=-1",
        "flag=perhaps", "custom=bad", "no-number", "=", "no-", "numbe=1", "no-flag=on" };

    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        host_log_clear();
        cmdline_parse(bad[i]);
        assert_non_null(strstr(host_log, "parameter"));
        assert_non_null(strstr(host_log, bad[i]));
    }
    assert_int_equal(number, 32);
}

static void long_line(void **state)
{
    static char line[5000];

    (void)state;
    memset(line, 'x', sizeof(line) - 1);
    host_log_clear();
    cmdline_parse(line);
    assert_int_equal(strlen(saved_cmdline), 1023);
    assert_non_null(strstr(host_log, "cut"));
    cmdline_parse("");
    assert_string_equal(saved_cmdline, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words),
        cmocka_unit_test(reports),
        cmocka_unit_test(long_line),
    };

    return cmocka_run_group_tests_name("cmdline", tests, NULL, NULL);
}
