/* SPDX-License-Identifier: MIT */
/*
 * Reads a domain's configuration; see config.h. The syntax and the values are libxlutil's business; which keys there
 * are and on which line each stands, and what they mean to the daemon, is found here.
 */
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <libxlutil.h>

#include "cli/config.h"

#define CONFIG_SIZE_MAX (1 << 20)

/* A configuration while it is read. */
struct source {
    const char *path;
    char *const *settings;
    size_t setting_count;
    char *text; /* the file, then one line for each setting */
    size_t size;
    unsigned int file_lines;
    XLU_Config *parsed;
    unsigned int problems; /* with its keys */
    struct failure *failure;
};

/* --- reporting ----------------------------------------------------------------------------------- */

/* Where line `line` of the text came from, for a message. */
static const char *place(const struct source *source, unsigned int line, char *buffer, size_t size)
{
    if (line <= source->file_lines)
        snprintf(buffer, size, "line %u", line);
    else if (line - source->file_lines <= source->setting_count)
        snprintf(buffer, size, "`%s'", source->settings[line - source->file_lines - 1]);
    else
        snprintf(buffer, size, "the end");
    return buffer;
}

struct search {
    const char *key;
    unsigned int line;
};

static int note_line(void *context, const char *key, unsigned int line)
{
    struct search *search = context;

    if (strcmp(key, search->key) == 0)
        search->line = line;
    return 0;
}

/* Refuse the value of `key`. Returns -1. */
static int bad_value(const struct source *source, const char *key, const char *remedy, const char *why)
{
    struct search search = {.key = key, .line = UINT_MAX};
    char where[256];

    config_scan_keys(source->text, source->size, note_line, &search);
    failure_why(source->failure, "%s: %s: %s", place(source, search.line, where, sizeof(where)), key, why);
    failure_remedy(source->failure, "%s", remedy);
    return -1;
}

/* --- text ---------------------------------------------------------------------------------------- */

static int unreadable(struct source *source, const char *why)
{
    failure_why(source->failure, "%s", why);
    failure_remedy(source->failure, "name a readable configuration file; domus.cfg(5) shows one");
    return -1;
}

static void count_lines(struct source *source)
{
    source->file_lines = 0;
    for (size_t i = 0; i < source->size; i++)
        source->file_lines += source->text[i] == '\n';
}

static int read_file(struct source *source, FILE *text)
{
    char piece[4096];
    size_t got, total = 0;
    bool is_text = true;
    FILE *file;

    file = fopen(source->path, "re");
    if (!file)
        return unreadable(source, strerror(errno));
    while ((got = fread(piece, 1, sizeof(piece), file)) > 0 && total <= CONFIG_SIZE_MAX && is_text) {
        /* libxlutil aborts on a string that a NUL ends early. */
        is_text = !memchr(piece, '\0', got);
        fwrite(piece, 1, got, text);
        total += got;
    }
    if (ferror(file) || total > CONFIG_SIZE_MAX || !is_text) {
        fclose(file);
        return unreadable(source, !is_text                  ? "it is not text: it has NUL bytes"
                                  : total > CONFIG_SIZE_MAX ? "it is longer than 1 MiB"
                                                            : strerror(errno));
    }
    fclose(file);
    fputc('\n', text);
    return 0;
}

/* Append KEY=VALUE as a line of a configuration, with quotation marks around what is neither number, string nor list.
 */
static int append_setting(struct source *source, FILE *text, const char *setting)
{
    const char *value = strchr(setting, '=');

    if (!value) {
        failure_why(source->failure, "`%s' is not of the form KEY=VALUE", setting);
        failure_remedy(source->failure, "give one configuration file first, then settings like memory=512");
        return -1;
    }
    value++;
    fwrite(setting, 1, value - setting, text);
    if (strchr("'\"[", *value) && *value) {
        fputs(value, text);
    } else if (*value && value[strspn(value, "0123456789")] == '\0') {
        fputs(value, text);
    } else {
        fputc('"', text);
        for (; *value; value++) {
            if (strchr("\"\\", *value))
                fputc('\\', text);
            fputc(*value, text);
        }
        fputc('"', text);
    }
    fputc('\n', text);
    return 0;
}

static int gather_text(struct source *source)
{
    FILE *text = open_memstream(&source->text, &source->size);
    int failed = 0;

    if (!text)
        return unreadable(source, strerror(errno));
    if (source->path)
        failed = read_file(source, text);
    fflush(text);
    count_lines(source);
    for (size_t i = 0; i < source->setting_count && !failed; i++)
        failed = append_setting(source, text, source->settings[i]);
    fclose(text);
    return failed;
}

/* --- keys and syntax ----------------------------------------------------------------------------- */

/* Another thing that is wrong with the keys: they are all told at once, with what to do about the first. */
static void add_problem(struct source *source, const char *remedy, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void add_problem(struct source *source, const char *remedy, const char *format, ...)
{
    char *why = source->failure->why;
    size_t length, size = sizeof(source->failure->why);
    va_list args;

    if (source->problems++ == 0) {
        why[0] = '\0';
        failure_remedy(source->failure, "%s", remedy);
    }
    length = strlen(why);
    length += snprintf(why + length, size - length, "%s", source->problems > 1 ? "; " : "");
    if (length >= size)
        return;
    va_start(args, format);
    vsnprintf(why + length, size - length, format, args);
    va_end(args);
}

static int check_key(void *context, const char *key, unsigned int line)
{
    struct source *source = context;
    const char *near = NULL, *reason = NULL;
    char where[256], remedy[128];

    place(source, line, where, sizeof(where));
    switch (config_key_use(key, &near, &reason)) {
    case KEY_USED:
        break;
    case KEY_IGNORED:
        fprintf(stderr, "domus: %s, %s: %s has no effect: %s\n", source->path ? source->path : "settings", where, key,
                reason);
        break;
    case KEY_REFUSED:
        add_problem(source, "take it out of the configuration", "%s: %s is not supported: %s", where, key, reason);
        break;
    case KEY_UNKNOWN:
        if (near)
            snprintf(remedy, sizeof(remedy), "write `%s', if that is what is meant", near);
        else
            snprintf(remedy, sizeof(remedy), "correct it, or take it out; domus.cfg(5) lists all keys");
        if (near)
            add_problem(source, remedy, "%s: there is no key `%s' (`%s'?)", where, key, near);
        else
            add_problem(source, remedy, "%s: there is no key `%s'", where, key);
        break;
    }
    return 0;
}

static int check_keys(struct source *source)
{
    config_scan_keys(source->text, source->size, check_key, source);
    return source->problems ? -1 : 0;
}

/* Have libxlutil read the text. Its complaints go into the failure. */
static int parse_text(struct source *source)
{
    char *complaints = NULL;
    size_t size;
    FILE *report = open_memstream(&complaints, &size);
    int error = ENOMEM;

    if (report)
        source->parsed = xlu_cfg_init(report, source->path ? source->path : "settings");
    if (source->parsed)
        error = xlu_cfg_readdata(source->parsed, source->text, source->size);
    if (report)
        fclose(report);
    if (error) {
        failure_why(source->failure, "%.*s", complaints && *complaints ? (int)strcspn(complaints, "\n") : 13,
                    complaints && *complaints ? complaints : "out of memory");
        failure_remedy(source->failure, "correct the file; domus.cfg(5) shows the syntax");
    }
    free(complaints);
    return error ? -1 : 0;
}

/* --- values -------------------------------------------------------------------------------------- */

json_t *absolute_path(const char *path)
{
    char folder[PATH_MAX];

    if (*path == '/' || !getcwd(folder, sizeof(folder)))
        return json_string(path);
    return json_sprintf("%s/%s", strcmp(folder, "/") == 0 ? "" : folder, path);
}

/* The string value of `key`; NULL if it is not set or no string. */
static const char *get_string(const struct source *source, const char *key)
{
    const char *value;

    return xlu_cfg_get_string(source->parsed, key, &value, 1) == 0 ? value : NULL;
}

static int add_string(const struct source *source, json_t *config, const char *key)
{
    const char *value;
    int error = xlu_cfg_get_string(source->parsed, key, &value, 1);

    if (error == ESRCH)
        return 0;
    if (error)
        return bad_value(source, key, "write one string in quotation marks", "it is a list");
    if (json_object_set_new(config, key, json_string(value)) < 0)
        return bad_value(source, key, "write it in UTF-8", "it is not text");
    return 0;
}

static int add_path(const struct source *source, json_t *config, const char *key)
{
    int failed = add_string(source, config, key);
    const char *value = json_string_value(json_object_get(config, key));

    if (!failed && value)
        json_object_set_new(config, key, absolute_path(value));
    return failed;
}

static int add_number(const struct source *source, json_t *config, const char *key, long min, long max)
{
    long value;
    int error = xlu_cfg_get_long(source->parsed, key, &value, 1);
    char why[64];

    if (error == ESRCH)
        return 0;
    if (error || value < min || value > max) {
        snprintf(why, sizeof(why), "it is not a whole number from %ld to %ld", min, max);
        return bad_value(source, key, "write a whole number", why);
    }
    json_object_set_new(config, key, json_integer(value));
    return 0;
}

static int add_flag(const struct source *source, json_t *config, const char *key)
{
    int failed = add_number(source, config, key, 0, 1);
    const json_t *value = json_object_get(config, key);

    if (!failed && value)
        json_object_set_new(config, key, json_boolean(json_integer_value(value)));
    return failed;
}

/* How the guest sees the time stamp counter: a word or its number (xl.cfg(5)). */
static int add_tsc_mode(const struct source *source, json_t *config)
{
    static const struct {
        const char *word, *number;
        bool served;
    } modes[] = {
        { "default", "0", true }, { "always_emulate", "1", false }, { "native", "2", true },
        { "native_paravirt", "3", false },
    };
    const char *value = get_string(source, "tsc_mode");

    if (!value)
        return add_string(source, config, "tsc_mode");
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        if (strcmp(value, modes[i].word) != 0 && strcmp(value, modes[i].number) != 0)
            continue;
        if (!modes[i].served)
            return bad_value(source, "tsc_mode", "write default or native",
                             "the time stamp counter is the processor's own and not emulated");
        json_object_set_new(config, "tsc_mode", json_string(modes[i].word));
        return 0;
    }
    return bad_value(source, "tsc_mode", "write default or native", "there is no such mode");
}

/* What becomes of the domain when its guest stops. */
static int add_action(const struct source *source, json_t *config, const char *key)
{
    static const char *const actions[] = {
        "destroy", "restart", "rename-restart", "preserve", "coredump-destroy", "coredump-restart",
    };
    const char *value = get_string(source, key);

    for (size_t i = 0; value && i < sizeof(actions) / sizeof(actions[0]); i++)
        if (strcmp(value, actions[i]) == 0)
            return add_string(source, config, key);
    if (!value)
        return add_string(source, config, key);
    if (strcmp(value, "soft-reset") == 0)
        return bad_value(source, key, "write restart", "paravirtualized guests cannot be reset without being remade");
    return bad_value(source, key,
                     "write destroy, restart, rename-restart, preserve, coredump-destroy or coredump-restart",
                     "there is no such action");
}

/* A guest that asks for a soft reset is treated as crashed, so that only what on_crash says can be said here. */
static int check_soft_reset(const struct source *source)
{
    const char *value = get_string(source, "on_soft_reset");

    if (!value || strcmp(value, "soft-reset") == 0 || strcmp(value, "destroy") == 0)
        return 0;
    return bad_value(source, "on_soft_reset", "take it out, and set on_crash",
                     "paravirtualized guests have no soft reset: one that asks for it is treated as crashed");
}

static int add_devices(const struct source *source, json_t *config, const char *key,
                       json_t *(*parse)(const char *, struct failure *))
{
    XLU_ConfigList *list;
    json_t *devices;
    int count, error = xlu_cfg_get_list(source->parsed, key, &list, &count, 1);

    if (error == ESRCH)
        return 0;
    if (error)
        return bad_value(source, key, "write a list: [ 'first', 'second' ]", "it is not a list");
    devices = json_array();
    json_object_set_new(config, key, devices);
    for (int i = 0; i < count; i++) {
        const char *item = xlu_cfg_get_listitem(list, i);
        json_t *device = item ? parse(item, source->failure) : NULL;

        if (!device) {
            struct failure reason = *source->failure;
            char why[sizeof(reason.why)];

            snprintf(why, sizeof(why), "`%.200s': %.700s", item ? item : "?", item ? reason.why : "it is not a string");
            return bad_value(source, key, item ? reason.remedy : "write strings in quotation marks", why);
        }
        json_array_append_new(devices, device);
    }
    return 0;
}

/* cmdline=, or what root= and extra= make together. */
static int add_command_line(const struct source *source, json_t *config)
{
    const char *whole = get_string(source, "cmdline");
    const char *root = get_string(source, "root");
    const char *extra = get_string(source, "extra");
    json_t *line;

    if (!whole && !root && !extra)
        return 0;
    if (whole)
        line = json_string(whole);
    else
        line = json_sprintf("%s%s%s%s", root ? "root=" : "", root ? root : "", root && extra ? " " : "",
                            extra ? extra : "");
    if (!line)
        return bad_value(source, whole ? "cmdline" : "extra", "write it in UTF-8", "it is not text");
    json_object_set_new(config, "cmdline", line);
    return 0;
}

static int check_type(const struct source *source)
{
    const char *type = get_string(source, "type");
    const char *builder = get_string(source, "builder");

    if (type && strcmp(type, "pv") != 0)
        return bad_value(source, "type", "write type = \"pv\" and give a kernel",
                         "only paravirtualized guests are supported");
    if (!type && builder && strcmp(builder, "linux") != 0 && strcmp(builder, "generic") != 0)
        return bad_value(source, "builder", "write type = \"pv\" and give a kernel",
                         "only paravirtualized guests are supported");
    return 0;
}

static int check_required(const struct source *source, const json_t *config)
{
    static const char *const required[][2] = {
        {"name", "add name = \"...\""},
        {"kernel", "add kernel = \"/boot/...\", the kernel that the guest runs"},
        {"memory", "add memory = 256, or as many MiB as the guest needs"},
    };

    for (size_t i = 0; i < sizeof(required) / sizeof(required[0]); i++) {
        if (!json_object_get(config, required[i][0])) {
            failure_why(source->failure, "%s= is missing", required[i][0]);
            failure_remedy(source->failure, "%s", required[i][1]);
            return -1;
        }
    }
    return 0;
}

#define MEMORY_MAX (16L << 20)
#define VCPUS_MAX  128
#define FRAMES_MAX 65536
#define OFFSET_MAX (100L * 366 * 86400) /* seconds: a hundred years */

/* CPUs to run on: one list for all virtual CPUs, as text, or one for each. A number stands for itself. */
static int add_cpus(const struct source *source, json_t *config, const char *key)
{
    XLU_ConfigList *list;
    json_t *lists;
    int count, error = xlu_cfg_get_list(source->parsed, key, &list, &count, 1);

    if (error)
        return add_string(source, config, key);
    lists = json_array();
    json_object_set_new(config, key, lists);
    for (int i = 0; i < count; i++) {
        const char *item = xlu_cfg_get_listitem(list, i);

        if (!item || json_array_append_new(lists, json_string(item)) < 0)
            return bad_value(source, key, "write [ \"0\", \"1-2\" ], one for each virtual CPU", "it is not understood");
    }
    return 0;
}

/* Keys whose values are passed on as they are, once they are checked. */
static int add_simple(const struct source *source, json_t *config)
{
    static const char *const strings[] = { "name", "uuid", "pool" };
    static const char *const paths[] = { "kernel", "ramdisk" };
    static const char *const actions[] = { "on_poweroff", "on_reboot", "on_crash", "on_watchdog" };
    static const struct {
        const char *key;
        long min, max;
    } numbers[] = {
        { "memory", 1, MEMORY_MAX },   { "maxmem", 1, MEMORY_MAX },  { "vcpus", 1, VCPUS_MAX },
        { "maxvcpus", 1, VCPUS_MAX }, { "cpu_weight", 1, 65535 }, { "cap", 0, 100 * VCPUS_MAX },
        { "max_grant_frames", 1, FRAMES_MAX }, { "max_maptrack_frames", 0, FRAMES_MAX },
        { "rtc_timeoffset", -OFFSET_MAX, OFFSET_MAX },
    };
    int failed = 0;

    for (size_t i = 0; i < sizeof(strings) / sizeof(strings[0]) && !failed; i++)
        failed = add_string(source, config, strings[i]);
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]) && !failed; i++)
        failed = add_path(source, config, paths[i]);
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]) && !failed; i++)
        failed = add_number(source, config, numbers[i].key, numbers[i].min, numbers[i].max);
    for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]) && !failed; i++)
        failed = add_action(source, config, actions[i]);
    if (!failed)
        failed = add_flag(source, config, "localtime");
    if (!failed)
        failed = add_tsc_mode(source, config);
    if (!failed)
        failed = add_cpus(source, config, "cpus");
    return failed ? failed : add_cpus(source, config, "cpus_soft");
}

static int convert(const struct source *source, json_t *config)
{
    if (check_type(source) < 0 || check_soft_reset(source) < 0 || add_simple(source, config) < 0 ||
        add_command_line(source, config) < 0 || add_devices(source, config, "disk", disk_parse) < 0 ||
        add_devices(source, config, "vif", vif_parse) < 0)
        return -1;
    return 0;
}

static json_t *read_source(struct source *source, bool whole)
{
    json_t *config = json_object();

    if (source->path)
        failure_what(source->failure, "cannot create a domain from %s", source->path);
    else
        failure_what(source->failure, whole ? "cannot create a domain" : "cannot change the configuration");
    if (gather_text(source) < 0 || check_keys(source) < 0 || parse_text(source) < 0 || convert(source, config) < 0 ||
        (whole && check_required(source, config) < 0)) {
        json_decref(config);
        config = NULL;
    }
    if (source->parsed)
        xlu_cfg_destroy(source->parsed);
    free(source->text);
    return config;
}

json_t *config_read(const char *path, char *const *settings, size_t count, struct failure *failure)
{
    struct source source = {.path = path, .settings = settings, .setting_count = count, .failure = failure};

    return read_source(&source, true);
}

json_t *config_read_settings(char *const *settings, size_t count, struct failure *failure)
{
    struct source source = {.settings = settings, .setting_count = count, .failure = failure};

    return read_source(&source, false);
}

int config_text(const char *path, char *const *settings, size_t count, char **text, size_t *size,
                struct failure *failure)
{
    struct source source = {.path = path, .settings = settings, .setting_count = count, .failure = failure};
    int failed = gather_text(&source);

    if (failed) {
        free(source.text);
        return -1;
    }
    *text = source.text;
    *size = source.size;
    return 0;
}
