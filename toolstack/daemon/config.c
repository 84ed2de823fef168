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

static bool refuse(struct failure *failure, const char *remedy, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static bool refuse(struct failure *failure, const char *remedy, const char *format, ...)
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

/* Whether `text` has the form of `pattern`, in which x stands for a hexadecimal digit. */
static bool has_form(const char *text, const char *pattern)
{
    for (; *pattern; text++, pattern++)
        if (*pattern == 'x' ? !isxdigit((unsigned char)*text) : *text != *pattern)
            return false;
    return !*text;
}

/* Whether `text` is a whole number of at most `max`. */
static bool small_number(const char *text, unsigned int max, unsigned int *value)
{
    char *end;
    unsigned long number;

    if (!isdigit((unsigned char)text[0]))
        return false;
    number = strtoul(text, &end, 10);
    *value = number;
    return !*end && number <= max;
}

/*
 * The number of a device by its name (Xen's docs/man/xen-vbd-interface.7): xvd, sd, hd, a letter or two for the disk, a
 * number for the partition.
 */
static bool device_number(const char *vdev, uint32_t *number)
{
    const char *at;
    unsigned int disk = 0, partition = 0, letters = 0;
    bool xvd = !strncmp(vdev, "xvd", 3), sd = !strncmp(vdev, "sd", 2), hd = !strncmp(vdev, "hd", 2);

    if (!xvd && !sd && !hd)
        return false;
    at = vdev + (xvd ? 3 : 2);
    for (; *at >= 'a' && *at <= 'z' && letters < 3; at++, letters++)
        disk = (letters ? (disk + 1) * 26 : 0) + (*at - 'a');
    if (letters == 0 || letters > 2)
        return false;
    if (*at && (!small_number(at, 255, &partition) || partition == 0))
        return false;
    if (xvd) {
        *number = disk < 16 && partition < 16 ? 202 << 8 | disk << 4 | partition
                                              : 1U << 28 | disk << 8 | partition;
        return true;
    }
    if (sd) {
        *number = 8 << 8 | disk << 4 | partition;
        return disk < 16 && partition < 16;
    }
    *number = (disk < 2 ? 3 : 22) << 8 | (disk & 1) << 6 | partition;
    return disk < 4 && partition < 64;
}

static bool parse_disk(const json_t *object, struct config *config, struct disk_config *disk, struct failure *failure)
{
    const char *target = NULL, *vdev = NULL, *format = "raw", *access = "rw";
    json_error_t error;

    if (json_unpack_ex((json_t *)object, &error, JSON_STRICT, "{s:s, s:s, s?s, s?s}", "target", &target, "vdev", &vdev,
                       "format", &format, "access", &access) < 0)
        return refuse(failure, "give each disk a target and a vdev, and besides only format and access",
                      "a disk of the configuration is not understood: %s", error.text);
    if (target[0] != '/')
        return refuse(failure, "give the absolute path of a file or block device", "disk target %s is not absolute",
                      target);
    if (strcmp(format, "raw"))
        return refuse(failure, "convert the image: qemu-img convert -O raw FILE FILE.raw",
                      "disk %s has format %s, and only raw is served", target, format);
    if (!device_number(vdev, &disk->number))
        return refuse(failure, "name it xvda, xvdb, ...", "%s is not the name of a virtual disk", vdev);
    if (strcmp(access, "rw") && strcmp(access, "w") && strcmp(access, "ro") && strcmp(access, "r"))
        return refuse(failure, "use rw or ro", "disk %s has access %s", target, access);
    for (unsigned int i = 0; i < config->disk_count; i++)
        if (config->disks[i].number == disk->number)
            return refuse(failure, "give each disk a vdev of its own", "two disks are called %s", vdev);
    disk->target = xstrdup(target);
    disk->vdev = xstrdup(vdev);
    disk->writable = strchr(access, 'w');
    return true;
}

static bool parse_vif(json_t *object, struct vif_config *vif, struct failure *failure)
{
    const char *bridge = DEFAULT_BRIDGE, *mac = NULL, *ip = NULL, *script = "vif-bridge";
    json_error_t error;
    uint8_t tail[3];

    if (json_unpack_ex(object, &error, JSON_STRICT, "{s?s, s?s, s?s, s?s}", "bridge", &bridge, "mac", &mac, "ip", &ip,
                       "script", &script) < 0)
        return refuse(failure, "a vif may have mac, bridge, ip and script=vif-bridge",
                      "a vif of the configuration is not understood: %s", error.text);
    if (strcmp(script, "vif-bridge"))
        return refuse(failure, "leave script out: network cards are attached to a bridge by the daemon itself",
                      "network script %s is not supported", script);
    if (!bridge[0] || strlen(bridge) > 15 || strchr(bridge, '/'))
        return refuse(failure, "a bridge's name has 1 to 15 characters", "%s cannot be the name of a bridge", bridge);
    if (mac && !has_form(mac, "xx:xx:xx:xx:xx:xx"))
        return refuse(failure, "write it as 00:16:3e:xx:xx:xx", "%s is not a MAC address", mac);
    if (mac && (strtoul(mac, NULL, 16) & 1))
        return refuse(failure, "write it as 00:16:3e:xx:xx:xx", "%s is a multicast MAC address", mac);
    if (mac) {
        strcpy(vif->mac, mac);
    } else {
        random_bytes(tail, sizeof(tail));
        snprintf(vif->mac, sizeof(vif->mac), "00:16:3e:%02x:%02x:%02x", tail[0] & 0x7f, tail[1], tail[2]);
        json_object_set_new(object, "mac", json_string(vif->mac));
    }
    vif->bridge = xstrdup(bridge);
    vif->ip = ip ? xstrdup(ip) : NULL;
    return true;
}

static bool parse_devices(struct config *config, const json_t *disks, const json_t *vifs, struct failure *failure)
{
    size_t count, i;

    if ((disks && !json_is_array(disks)) || (vifs && !json_is_array(vifs)))
        return refuse(failure, "write disk=[...] and vif=[...]", "disk or vif is not a list");
    count = json_array_size(disks);
    if (count > 256 || json_array_size(vifs) > 64)
        return refuse(failure, "give it at most 256 disks and 64 network cards", "it has too many devices");
    config->disks = xcalloc(count, sizeof(*config->disks));
    for (i = 0; i < count; i++, config->disk_count++)
        if (!parse_disk(json_array_get(disks, i), config, &config->disks[i], failure))
            return false;
    count = json_array_size(vifs);
    config->vifs = xcalloc(count, sizeof(*config->vifs));
    for (i = 0; i < count; i++, config->vif_count++)
        if (!parse_vif(json_array_get(vifs, i), &config->vifs[i], failure))
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
    return refuse(failure, "use destroy, restart, rename-restart, preserve, coredump-destroy or coredump-restart",
                  "%s=%s is not known", key, text ? text : "");
}

static bool absolute_path(const char *key, const char *path, struct failure *failure)
{
    return path[0] == '/' ||
           refuse(failure, "give the absolute path of a file in dom0", "%s %s is not an absolute path", key, path);
}

static bool check_sizes(struct config *config, json_int_t memory, json_int_t max_memory, int vcpus, int max_vcpus,
                        struct failure *failure)
{
    const json_int_t most = CONFIG_MEMORY_MAX_KIB >> 10;

    if (memory < 1 || memory > most)
        return refuse(failure, "give memory in MiB, for example 256", "memory=%" JSON_INTEGER_FORMAT " makes no sense",
                      memory);
    if (max_memory < memory || max_memory > most)
        return refuse(failure, "make maxmem at least memory, or leave it out",
                      "maxmem=%" JSON_INTEGER_FORMAT " is less than memory=%" JSON_INTEGER_FORMAT, max_memory, memory);
    if (max_vcpus < 1 || max_vcpus > VCPUS_MAX)
        return refuse(failure, "give it between 1 and 128 virtual CPUs", "it cannot have %d virtual CPUs", max_vcpus);
    if (vcpus < 1 || vcpus > max_vcpus)
        return refuse(failure, "make vcpus at most maxvcpus", "vcpus=%d is not between 1 and maxvcpus=%d", vcpus,
                      max_vcpus);
    config->memory_kib = memory << 10;
    config->max_memory_kib = max_memory << 10;
    config->vcpus = vcpus;
    config->max_vcpus = max_vcpus;
    return true;
}

static bool parse(struct config *config, json_t *object, struct failure *failure)
{
    const char *name = NULL, *kernel = NULL, *ramdisk = NULL, *cmdline = "", *uuid = NULL;
    json_int_t memory = 0, max_memory = 0;
    int vcpus = 1, max_vcpus = 0, weight = 0, cap = 0;
    json_t *disks = NULL, *vifs = NULL, *action;
    json_error_t error;

    config->on_reboot = END_RESTART;
    if (json_unpack_ex(object, &error, JSON_STRICT,
                       "{s:s, s:s, s?s, s?s, s:I, s?I, s?i, s?i, s?s, s?o, s?o, s?o, s?o, s?o, s?o, s?i,"
                       "s?i}", "name", &name,
                       "kernel", &kernel, "ramdisk", &ramdisk, "cmdline", &cmdline, "memory", &memory, "maxmem",
                       &max_memory, "vcpus", &vcpus, "maxvcpus", &max_vcpus, "uuid", &uuid, "disk", &disks, "vif",
                       &vifs, "on_poweroff", &action, "on_reboot", &action, "on_crash", &action, "on_watchdog",
                       &action, "cpu_weight", &weight, "cap", &cap) < 0)
        return refuse(failure, "see docs/control-protocol.md for what a configuration may have",
                      "the configuration is not understood: %s", error.text);
    if (!config_name_valid(name))
        return refuse(failure, "use 1 to 63 letters, digits and . _ + -, not digits alone",
                      "%s cannot be the name of a domain", name);
    if (!absolute_path("kernel", kernel, failure) || (ramdisk && !absolute_path("ramdisk", ramdisk, failure)))
        return false;
    if (uuid && !has_form(uuid, "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx"))
        return refuse(failure, "leave uuid out, or write xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx",
                      "%s is not a UUID", uuid);
    if (!check_sizes(config, memory, max_memory ? max_memory : memory, vcpus, max_vcpus ? max_vcpus : vcpus, failure) ||
        !parse_action(object, "on_poweroff", &config->on_poweroff, failure) ||
        !parse_action(object, "on_reboot", &config->on_reboot, failure) ||
        !parse_action(object, "on_crash", &config->on_crash, failure) ||
        !parse_action(object, "on_watchdog", &config->on_watchdog, failure) ||
        !parse_devices(config, disks, vifs, failure))
        return false;
    if (weight < 0 || weight > 65535 || cap < 0 || cap > 100 * VCPUS_MAX)
        return refuse(failure, "give cpu_weight from 1 to 65535 and cap in percent of one processor",
                      "cpu_weight=%d, cap=%d make no sense", weight, cap);
    config->cpu_weight = weight;
    config->cap = cap;
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
    return true;
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
    for (unsigned int i = 0; config->disks && i < config->disk_count; i++) {
        free(config->disks[i].target);
        free(config->disks[i].vdev);
    }
    for (unsigned int i = 0; config->vifs && i < config->vif_count; i++) {
        free(config->vifs[i].bridge);
        free(config->vifs[i].ip);
    }
    free(config->disks);
    free(config->vifs);
    free(config->name);
    free(config->kernel);
    free(config->ramdisk);
    free(config->cmdline);
    free(config);
}

static bool check_file(const char *what, const char *path, struct failure *failure)
{
    struct stat info;

    if (stat(path, &info) < 0)
        return refuse(failure, "correct the path in the configuration, or put the file there", "%s %s: %s", what, path,
                      strerror(errno));
    if (!S_ISREG(info.st_mode))
        return refuse(failure, "correct the path in the configuration", "%s %s is not a file", what, path);
    if (info.st_size == 0)
        return refuse(failure, "put a complete file there", "%s %s is empty", what, path);
    return true;
}

static bool check_disk(const struct disk_config *disk, struct failure *failure)
{
    struct stat info;
    int fd;

    if (stat(disk->target, &info) < 0)
        return refuse(failure, "create the disk (truncate -s 1G FILE), or correct disk= in the configuration",
                      "disk %s: %s", disk->target, strerror(errno));
    if (!S_ISREG(info.st_mode) && !S_ISBLK(info.st_mode))
        return refuse(failure, "correct disk= in the configuration", "disk %s is neither a file nor a block device",
                      disk->target);
    if (S_ISREG(info.st_mode) && info.st_size < 512)
        return refuse(failure, "give it a size (truncate -s 1G FILE)", "disk %s is smaller than a sector",
                      disk->target);
    fd = open(disk->target, (disk->writable ? O_RDWR : O_RDONLY) | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return refuse(failure, "make it accessible, or give the guest access ro", "disk %s cannot be opened: %s",
                      disk->target, strerror(errno));
    close(fd);
    return true;
}

static bool check_bridge(const char *bridge, struct failure *failure)
{
    char path[64], remedy[160];

    snprintf(path, sizeof(path), "/sys/class/net/%s/bridge", bridge);
    if (access(path, F_OK) == 0)
        return true;
    snprintf(remedy, sizeof(remedy), "make it (ip link add %s type bridge; ip link set %s up), or name another in vif=",
             bridge, bridge);
    snprintf(path, sizeof(path), "/sys/class/net/%s", bridge);
    if (access(path, F_OK) == 0)
        return refuse(failure, remedy, "%s is a network interface, but not a bridge", bridge);
    return refuse(failure, remedy, "there is no bridge %s", bridge);
}

bool config_check_host(const struct config *config, struct failure *failure)
{
    if (!check_file("kernel", config->kernel, failure) ||
        (config->ramdisk && !check_file("ramdisk", config->ramdisk, failure)))
        return false;
    for (unsigned int i = 0; i < config->disk_count; i++)
        if (!check_disk(&config->disks[i], failure))
            return false;
    for (unsigned int i = 0; i < config->vif_count; i++)
        if (!check_bridge(config->vifs[i].bridge, failure))
            return false;
    return true;
}
