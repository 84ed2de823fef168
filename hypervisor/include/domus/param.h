/* SPDX-License-Identifier: MIT */
/*
 * Boot parameters: name or name=value on the command line, registered where they are used. They are
 * collected in the section "params". Booleans take name, no-name, name=on|off|.... The control domain
 * can read those marked _RUNTIME, and set them while all is running (core/hypfs.c).
 */
#ifndef DOMUS_PARAM_H
#define DOMUS_PARAM_H

#include <domus/lib.h>

enum param_kind { PARAM_KIND_STRING, PARAM_KIND_INT, PARAM_KIND_SIZE, PARAM_KIND_BOOL,
                  PARAM_KIND_CUSTOM };

struct param {
    const char *name;
    enum param_kind kind;
    u32 len;                    /* size of the variable, bytes */
    void *var;
    int (*fn)(const char *value);
    bool runtime;
};

extern const struct param __start_params[], __stop_params[];

#define PARAM_ENTRY(pname, ident, ...)                                                  \
    static const struct param param_##ident __section("params") __used                  \
        __aligned(sizeof(void *)) = { .name = pname, __VA_ARGS__ }

/*
 * PARAM_STRING("name", char array)     copied, cut at the array's size
 * PARAM_INT("name", integer variable)  of 1, 2, 4 or 8 bytes
 * PARAM_SIZE("name", integer variable) bytes, with K, M, G, T
 * PARAM_BOOL("name", bool variable)
 * PARAM_CUSTOM("name", fn)             int fn(const char *value): "" if there is none; 0 or -EINVAL
 * PARAM_CUSTOM_RUNTIME("name", fn, char array)  fn leaves in the array how the value is shown
 */
#define PARAM_STRING(name, v) \
    PARAM_ENTRY(name, v, .kind = PARAM_KIND_STRING, .var = v, .len = sizeof(v))
#define PARAM_INT(name, v)  \
    PARAM_ENTRY(name, v, .kind = PARAM_KIND_INT, .var = &v, .len = sizeof(v))
#define PARAM_SIZE(name, v) \
    PARAM_ENTRY(name, v, .kind = PARAM_KIND_SIZE, .var = &v, .len = sizeof(v))
#define PARAM_BOOL(name, v) \
    PARAM_ENTRY(name, v, .kind = PARAM_KIND_BOOL, .var = &v, .len = sizeof(v))
#define PARAM_CUSTOM(name, f) \
    PARAM_ENTRY(name, f, .kind = PARAM_KIND_CUSTOM, .fn = f)
#define PARAM_STRING_RUNTIME(name, v) \
    PARAM_ENTRY(name, v, .kind = PARAM_KIND_STRING, .var = v, .len = sizeof(v), .runtime = true)
#define PARAM_BOOL_RUNTIME(name, v) \
    PARAM_ENTRY(name, v, .kind = PARAM_KIND_BOOL, .var = &v, .len = sizeof(v), .runtime = true)
#define PARAM_CUSTOM_RUNTIME(name, f, shown) \
    PARAM_ENTRY(name, f, .kind = PARAM_KIND_CUSTOM, .fn = f, .var = shown, .len = sizeof(shown), .runtime = true)

/* The whole command line, without the image's name. Empty before cmdline_parse. */
extern char saved_cmdline[1024];

/* Keep and apply a command line (boot CPU, once, early). Unknown words are reported. */
void cmdline_parse(const char *line);

/* Gives p a value as the command line would. False: it makes no sense, and nothing has changed. */
bool param_assign(const struct param *p, const char *value);

#endif
