/* SPDX-License-Identifier: MIT */
/* Numbers, sizes and booleans from text. */
#include <domus/lib.h>
#include <domus/string.h>

static int digit_value(char c)
{
    c = tolower_c(c);
    if (isdigit_c(c))
        return c - '0';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 10;
    return 99;
}

unsigned long strtoul(const char *s, char **end, int base)
{
    const char *p = s, *digits;
    unsigned long value = 0;
    bool negative = false, overflow = false;

    while (isspace_c(*p))
        p++;
    if (*p == '+' || *p == '-')
        negative = *p++ == '-';
    if ((base == 0 || base == 16) && p[0] == '0' && tolower_c(p[1]) == 'x' &&
        digit_value(p[2]) < 16) {
        base = 16;
        p += 2;
    } else if (base == 0) {
        base = *p == '0' ? 8 : 10;
    }

    for (digits = p; digit_value(*p) < base; p++)
        overflow |= __builtin_mul_overflow(value, (unsigned long)base, &value) ||
                    __builtin_add_overflow(value, (unsigned long)digit_value(*p), &value);

    if (end)
        *end = (char *)(p == digits ? s : p);
    if (overflow)
        return ~0UL;
    return negative ? 0 - value : value;
}

u64 parse_size(const char *s, const char **end)
{
    char *p;
    u64 value = strtoul(s, &p, 0);
    unsigned int shift = 0;

    if (p != s) {
        switch (tolower_c(*p)) {
        case 't':
            shift = 40;
            break;
        case 'g':
            shift = 30;
            break;
        case 'm':
            shift = 20;
            break;
        case 'k':
            shift = 10;
            break;
        case 'b':
            break;
        default:
            p--;
        }
        p++;
    }
    if (end)
        *end = p;
    return value > (~0UL >> shift) ? ~0UL : value << shift;
}

int parse_bool(const char *s, const char *end)
{
    static const char *const yes[] = { "yes", "on", "true", "enable", "1" };
    static const char *const no[] = { "no", "off", "false", "disable", "0" };
    size_t len = end ? (size_t)(end - s) : strlen(s);

    for (unsigned int i = 0; i < ARRAY_SIZE(yes); i++) {
        if (strlen(yes[i]) == len && !strncmp(s, yes[i], len))
            return 1;
        if (strlen(no[i]) == len && !strncmp(s, no[i], len))
            return 0;
    }
    return -1;
}
