/* SPDX-License-Identifier: MIT */
/*
 * Reading and checking a domain's configuration.
 */
#include "config.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lib/alloc.h"

#define FRAMES_MAX 65536
#define OFFSET_MAX (100LL * 366 * 86400) /* seconds */

bool config_refuse(struct failure *failure, const char *remedy, const char *format, ...)
{
    char why[sizeof(failure->why)];
    va_list args;

    va_start(args, format);
    vsnprintf(why, sizeof(why), format, args);
    va_end(args);
    failure_why(failure, "%s", why);
    failure_remedy(failure, "%s", remedy);
    return false;
}

bool config_name_valid(const char *name)
{
    static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._+-";
    size_t length = strlen(name);

    return length > 0 && length <= NAME_LENGTH_MAX && strspn(name, allowed) == length &&
           strspn(name, "0123456789") != length && strcmp(name, ".") && strcmp(name, "..");
}

static void random_bytes(uint8_t *to, size_t length)
{
    /* Not interrupted and never short for so few bytes. */
    if (getrandom(to, length, 0) != (ssize_t)length)
        abort();
}

static void random_uuid(char *text)
{
    uint8_t b[16];

    random_bytes(b, sizeof(b));
    b[6] = (b[6] & 0x0f) | 0x40;
    b[8] = (b[8] & 0x3f) | 0x80;
    snprintf(text, 37, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1], b[2], b[3],
             b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]);
}

bool config_has_form(const char *text, const char *pattern)
{
    for (; *pattern; text++, pattern++)
        if (*pattern == 'x' ? !isxdigit((unsigned char)*text) : *text != *pattern)
            return false;
    return !*text;
}

static bool parse_devices(struct config *config, const json_t *disks, const json_t *vifs, struct failure *failure)
{
    size_t count, i;

    if ((disks && !json_is_array(disks)) || (vifs && !json_is_array(vifs)))
        return config_refuse(failure, "write disk=[...] and vif=[...]", "disk or vif is not a list");
    count = json_array_size(disks);
    if (count > DISKS_MAX || json_array_size(vifs) > VIFS_MAX)
        return config_refuse(failure, "give it at most 256 disks and 64 network cards", "it has too many devices");
    for (i = 0; i < count; i++)
        if (!disk_config_add(config, json_array_get(disks, i), failure))
            return false;
    count = json_array_size(vifs);
    for (i = 0; i < count; i++)
        if (!vif_config_add(config, json_array_get(vifs, i), failure))
            return false;
    return true;
}

static const char *const action_names[] = {
    [END_DESTROY] = "destroy", [END_RESTART] = "restart", [END_RENAME_RESTART] = "rename-restart",
    [END_PRESERVE] = "preserve", [END_COREDUMP_DESTROY] = "coredump-destroy",
    [END_COREDUMP_RESTART] = "coredump-restart",
};

const char *config_action_name(enum end_action action)
{
    return action_names[action];
}

/* The action that `key` of the object names, if it is there. */
static bool parse_action(const json_t *object, const char *key, enum end_action *action, struct failure *failure)
{
    const json_t *value = json_object_get(object, key);
    const char *text = json_string_value(value);

    if (!value)
        return true;
    for (size_t i = 0; text && i < sizeof(action_names) / sizeof(action_names[0]); i++) {
        if (!strcmp(text, action_names[i])) {
            *action = i;
            return true;
        }
    }
    return config_refuse(failure, "use destroy, restart, rename-restart, preserve, coredump-destroy or coredump-restart",
                  "%s=%s is not known", key, text ? text : "");
}

/* A list of CPUs as text, or one for each virtual CPU. A reference is taken. */
static bool parse_cpus(const char *key, json_t *lists, json_t **cpus, struct failure *failure)
{
    bool good = !lists || json_is_string(lists) || (json_is_array(lists) && json_array_size(lists) <= VCPUS_MAX);

    for (size_t i = 0; good && i < json_array_size(lists); i++)
        good = json_is_string(json_array_get(lists, i));
    if (!good)
        return config_refuse(failure, "write \"0-3,^2\", or [ \"0\", \"1-2\" ] with one for each virtual CPU",
                      "%s is no list of CPUs", key);
    *cpus = json_incref(lists);
    return true;
}

static bool absolute_path(const char *key, const char *path, struct failure *failure)
{
    return path[0] == '/' ||
           config_refuse(failure, "give the absolute path of a file in dom0", "%s %s is not an absolute path", key, path);
}

static bool check_sizes(struct config *config, json_int_t memory, json_int_t max_memory, int vcpus, int max_vcpus,
                        struct failure *failure)
{
    const json_int_t most = CONFIG_MEMORY_MAX_KIB >> 10;

    if (memory < 1 || memory > most)
        return config_refuse(failure, "give memory in MiB, for example 256", "memory=%" JSON_INTEGER_FORMAT " makes no sense",
                      memory);
    if (max_memory < memory || max_memory > most)
        return config_refuse(failure, "make maxmem at least memory, or leave it out",
                      "maxmem=%" JSON_INTEGER_FORMAT " is less than memory=%" JSON_INTEGER_FORMAT, max_memory, memory);
    if (max_vcpus < 1 || max_vcpus > VCPUS_MAX)
        return config_refuse(failure, "give it between 1 and 128 virtual CPUs", "it cannot have %d virtual CPUs", max_vcpus);
    if (vcpus < 1 || vcpus > max_vcpus)
        return config_refuse(failure, "make vcpus at most maxvcpus", "vcpus=%d is not between 1 and maxvcpus=%d", vcpus,
                      max_vcpus);
    config->memory_kib = memory << 10;
    config->max_memory_kib = max_memory << 10;
    config->vcpus = vcpus;
    config->max_vcpus = max_vcpus;
    return true;
}

/* Limits and clocks that only the hypervisor knows about. */
static bool parse_hypervisor(struct config *config, json_t *object, struct failure *failure)
{
    json_int_t offset = 0;
    const char *tsc = "default";
    int frames = -1, maptrack = -1, local = 0;
    json_error_t error;

    if (json_unpack_ex(object, &error, 0, "{s?i, s?i, s?s, s?I, s?b}", "max_grant_frames", &frames,
                       "max_maptrack_frames", &maptrack, "tsc_mode", &tsc, "rtc_timeoffset", &offset, "localtime",
                       &local) < 0)
        return config_refuse(failure, "see docs/control-protocol.md for what a configuration may have",
                             "the configuration is not understood: %s", error.text);
    if (frames < -1 || frames == 0 || frames > FRAMES_MAX || maptrack < -1 || maptrack > FRAMES_MAX)
        return config_refuse(failure, "leave them out, or give at most 65536",
                             "max_grant_frames=%d, max_maptrack_frames=%d make no sense", frames, maptrack);
    if (strcmp(tsc, "default") && strcmp(tsc, "native"))
        return config_refuse(failure, "use default or native", "tsc_mode=%s is not known", tsc);
    if (offset < -OFFSET_MAX || offset > OFFSET_MAX)
        return config_refuse(failure, "give seconds, a hundred years' at most",
                             "rtc_timeoffset=%" JSON_INTEGER_FORMAT " makes no sense", offset);
    config->max_grant_frames = frames;
    config->max_maptrack_frames = maptrack;
    config->tsc_native = !strcmp(tsc, "native");
    config->rtc_timeoffset = offset;
    config->localtime = local;
    return true;
}

static bool parse(struct config *config, json_t *object, struct failure *failure)
{
    const char *name = NULL, *kernel = NULL, *ramdisk = NULL, *cmdline = "", *uuid = NULL;
    json_int_t memory = 0, max_memory = 0;
    int vcpus = 1, max_vcpus = 0, weight = 0, cap = 0;
    json_t *disks = NULL, *vifs = NULL, *cpus = NULL, *cpus_soft = NULL, *other;
    const char *pool = NULL;
    json_error_t error;

    config->on_reboot = END_RESTART;
    if (json_unpack_ex(object, &error, JSON_STRICT,
                       "{s:s, s:s, s?s, s?s, s:I, s?I, s?i, s?i, s?s, s?o, s?o, s?o, s?o, s?o, s?o, s?i,"
                       "s?i, s?s, s?o, s?o, s?o, s?o, s?o, s?o, s?o}", "name", &name,
                       "kernel", &kernel, "ramdisk", &ramdisk, "cmdline", &cmdline, "memory", &memory, "maxmem",
                       &max_memory, "vcpus", &vcpus, "maxvcpus", &max_vcpus, "uuid", &uuid, "disk", &disks, "vif",
                       &vifs, "on_poweroff", &other, "on_reboot", &other, "on_crash", &other, "on_watchdog",
                       &other, "cpu_weight", &weight, "cap", &cap, "pool", &pool, "cpus", &cpus, "cpus_soft",
                       &cpus_soft, "max_grant_frames", &other, "max_maptrack_frames", &other, "tsc_mode", &other,
                       "rtc_timeoffset", &other, "localtime", &other) < 0)
        return config_refuse(failure, "see docs/control-protocol.md for what a configuration may have",
                      "the configuration is not understood: %s", error.text);
    if (!config_name_valid(name))
        return config_refuse(failure, "use 1 to 63 letters, digits and . _ + -, not digits alone",
                      "%s cannot be the name of a domain", name);
    if (!absolute_path("kernel", kernel, failure) || (ramdisk && !absolute_path("ramdisk", ramdisk, failure)))
        return false;
    if (uuid && !config_has_form(uuid, "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx"))
        return config_refuse(failure, "leave uuid out, or write xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx",
                      "%s is not a UUID", uuid);
    if (!check_sizes(config, memory, max_memory ? max_memory : memory, vcpus, max_vcpus ? max_vcpus : vcpus, failure) ||
        !parse_action(object, "on_poweroff", &config->on_poweroff, failure) ||
        !parse_action(object, "on_reboot", &config->on_reboot, failure) ||
        !parse_action(object, "on_crash", &config->on_crash, failure) ||
        !parse_action(object, "on_watchdog", &config->on_watchdog, failure))
        return false;
    if (weight < 0 || weight > 65535 || cap < 0 || cap > 100 * VCPUS_MAX)
        return config_refuse(failure, "give cpu_weight from 1 to 65535 and cap in percent of one processor",
                      "cpu_weight=%d, cap=%d make no sense", weight, cap);
    if (!parse_hypervisor(config, object, failure))
        return false;
    if (!parse_cpus("cpus", cpus, &config->cpus, failure) ||
        !parse_cpus("cpus_soft", cpus_soft, &config->cpus_soft, failure))
        return false;
    config->pool = pool ? xstrdup(pool) : NULL;
    config->cpu_weight = weight;
    config->cap = cap;
    config->uuid_given = uuid;
    if (uuid) {
        for (int i = 0; i < 37; i++)
            config->uuid[i] = tolower((unsigned char)uuid[i]);
    } else {
        random_uuid(config->uuid);
        json_object_set_new(object, "uuid", json_string(config->uuid));
    }
    config->name = xstrdup(name);
    config->kernel = xstrdup(kernel);
    config->ramdisk = ramdisk ? xstrdup(ramdisk) : NULL;
    config->cmdline = xstrdup(cmdline);
    return parse_devices(config, disks, vifs, failure);
}

struct config *config_parse(json_t *object, struct failure *failure)
{
    struct config *config = xcalloc(1, sizeof(*config));

    if (parse(config, object, failure))
        return config;
    config_free(config);
    return NULL;
}

void config_free(struct config *config)
{
    while (config->disk_count)
        disk_config_remove(config, config->disk_count - 1);
    while (config->vif_count)
        vif_config_remove(config, config->vif_count - 1);
    free(config->disks);
    free(config->vifs);
    free(config->name);
    free(config->kernel);
    free(config->ramdisk);
    free(config->cmdline);
    free(config->pool);
    json_decref(config->cpus);
    json_decref(config->cpus_soft);
    free(config);
}

static bool check_file(const char *what, const char *path, struct failure *failure)
{
    struct stat info;

    if (stat(path, &info) < 0)
        return config_refuse(failure, "correct the path in the configuration, or put the file there", "%s %s: %s", what, path,
                      strerror(errno));
    if (!S_ISREG(info.st_mode))
        return config_refuse(failure, "correct the path in the configuration", "%s %s is not a file", what, path);
    if (info.st_size == 0)
        return config_refuse(failure, "put a complete file there", "%s %s is empty", what, path);
    return true;
}

bool config_check_host(const struct config *config, struct failure *failure)
{
    if (!check_file("kernel", config->kernel, failure) ||
        (config->ramdisk && !check_file("ramdisk", config->ramdisk, failure)))
        return false;
    for (unsigned int i = 0; i < config->disk_count; i++)
        if (!disk_config_check(&config->disks[i], failure))
            return false;
    for (unsigned int i = 0; i < config->vif_count; i++)
        if (!vif_config_check(&config->vifs[i], failure))
            return false;
    return true;
}
