/* SPDX-License-Identifier: MIT */
/* The boot command line: words "name", "no-name" and "name=value", matched with registered parameters. */
#include <domus/param.h>
#include <domus/string.h>

char saved_cmdline[1024];

#define WORD_MAX 256

/* False if the number does not fit the variable. */
static bool store_integer(const struct param *p, u64 value)
{
    if (p->len < sizeof(value) && value >> (p->len * BITS_PER_BYTE))
        return false;
    switch (p->len) {
    case 1:
        *(u8 *)p->var = (u8)value;
        return true;
    case 2:
        *(u16 *)p->var = (u16)value;
        return true;
    case 4:
        *(u32 *)p->var = (u32)value;
        return true;
    case 8:
        *(u64 *)p->var = value;
        return true;
    default:
        return false;
    }
}

/* value is NULL for a word without "=". False if the value makes no sense. */
static bool param_set(const struct param *p, const char *value, bool negated)
{
    const char *end;
    char *num_end;
    u64 number;
    int b;

    switch (p->kind) {
    case PARAM_KIND_BOOL:
        b = value ? parse_bool(value, NULL) : 1;
        if (b < 0)
            return false;
        *(bool *)p->var = (b != 0) != negated;
        return true;
    case PARAM_KIND_STRING:
        strlcpy(p->var, value ? value : "", p->len);
        return true;
    case PARAM_KIND_INT:
        if (!value || !*value)
            return false;
        number = strtoul(value, &num_end, 0);
        return !*num_end && store_integer(p, number);
    case PARAM_KIND_SIZE:
        if (!value || !*value)
            return false;
        number = parse_size(value, &end);
        return !*end && store_integer(p, number);
    case PARAM_KIND_CUSTOM:
        return p->fn(value ? value : negated ? "no" : "") == 0;
    }
    return false;
}

bool param_assign(const struct param *p, const char *value)
{
    return param_set(p, value, false);
}

/* The parameter called by the len bytes at name, or NULL. */
static const struct param *param_find(const char *name, size_t len)
{
    for (const struct param *p = __start_params; p < __stop_params; p++)
        if (strlen(p->name) == len && !strncmp(p->name, name, len))
            return p;
    return NULL;
}

static void apply_word(char *word)
{
    char *value = strchr(word, '=');
    size_t len = value ? (size_t)(value - word) : strlen(word);
    const struct param *p = param_find(word, len);
    bool negated = false;

    if (value)
        value++;
    if (!p && !value && !strncmp(word, "no-", 3)) {
        p = param_find(word + 3, len - 3);
        negated = p && (p->kind == PARAM_KIND_BOOL || p->kind == PARAM_KIND_CUSTOM);
        p = negated ? p : NULL;
    }

    if (!p)
        printk(LOG_WARN "Unknown boot parameter: %s\n", word);
    else if (!param_set(p, value, negated))
        printk(LOG_WARN "Boot parameter with a bad value: %s\n", word);
}

void cmdline_parse(const char *line)
{
    char word[WORD_MAX];

    if (strlcpy(saved_cmdline, line, sizeof(saved_cmdline)) >= sizeof(saved_cmdline))
        printk(LOG_WARN "Command line cut at %zu bytes\n", sizeof(saved_cmdline) - 1);

    for (const char *p = saved_cmdline; *p; ) {
        size_t n = 0;
        char quote = 0;

        if (isspace_c(*p)) {
            p++;
            continue;
        }
        for (; *p && (quote || !isspace_c(*p)); p++) {
            if (*p == quote)
                quote = 0;
            else if (!quote && (*p == '"' || *p == '\''))
                quote = *p;
            else if (n < sizeof(word) - 1)
                word[n++] = *p;
        }
        word[n] = '\0';
        apply_word(word);
    }
}
