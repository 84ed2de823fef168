/* SPDX-License-Identifier: MIT */
/*
 * Items of disk= and vif= (xl-disk-configuration(5), xl-network-configuration(5)) become the daemon's objects.
 */
#include <ctype.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "cli/cli.h"
#include "cli/config.h"

#define SPEC_MAX 1024

static const char disk_remedy[] = "write disk = [ \"/path,raw,xvda,rw\" ] or [ \"phy:/dev/name,xvda,w\" ]";
static const char format_remedy[] = "use raw, qcow2, vmdk, vhd, vhdx, vdi, qed or qcow";
static const char vif_remedy[] = "write vif = [ \"mac=00:16:3e:xx:xx:xx,bridge=xenbr0\" ], all parts optional";

static json_t *bad(struct failure *failure, const char *remedy, const char *why, ...)
    __attribute__((format(printf, 3, 4)));

static json_t *bad(struct failure *failure, const char *remedy, const char *why, ...)
{
    char text[sizeof(failure->why)];
    va_list args;

    va_start(args, why);
    vsnprintf(text, sizeof(text), why, args);
    va_end(args);
    failure_why(failure, "%s", text);
    failure_remedy(failure, "%s", remedy);
    return NULL;
}

/* Take the part before the next comma off *rest, without spaces around it. NULL at the end. */
static char *next_part(char **rest)
{
    char *part = *rest, *end;

    if (!part)
        return NULL;
    end = strchr(part, ',');
    *rest = end ? end + 1 : NULL;
    if (end)
        *end = '\0';
    part += strspn(part, " \t\n");
    end = part + strlen(part);
    while (end > part && strchr(" \t\n", end[-1]))
        *--end = '\0';
    return part;
}

/* --- disks --------------------------------------------------------------------------------------- */

struct disk {
    const char *target, *format, *vdev, *access, *backend_type;
    bool cdrom;
    bool old_style; /* begins with phy: or file:, and so has no format among its positional parts */
    const char *unsupported;
};

static const char *const disk_keys[] = {
    "format", "vdev", "access", "devtype", "backendtype", "target", "script", "backend",
};

static const char *const disk_flags[] = {"discard", "no-discard", "direct-io-safe"};

static bool is_one_of(const char *word, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcasecmp(word, words[i]) == 0)
            return true;
    return false;
}

/* The part after "key=" if `part` is that. */
static const char *value_of(const char *part, const char *key)
{
    size_t length = strlen(key);

    return strncasecmp(part, key, length) == 0 && part[length] == '=' ? part + length + 1 : NULL;
}

/* One KEY=VALUE of a disk. False if it is not one. */
static bool take_disk_key(struct disk *disk, const char *part)
{
    const char *value;

    if ((value = value_of(part, "format")) != NULL)
        disk->format = value;
    else if ((value = value_of(part, "vdev")) != NULL)
        disk->vdev = value;
    else if ((value = value_of(part, "access")) != NULL)
        disk->access = value;
    else if ((value = value_of(part, "backendtype")) != NULL)
        disk->backend_type = value;
    else if ((value = value_of(part, "devtype")) != NULL)
        disk->cdrom |= strcasecmp(value, "cdrom") == 0;
    else if (strcasecmp(part, "cdrom") == 0)
        disk->cdrom = true;
    else if (value_of(part, "script") || value_of(part, "backend"))
        disk->unsupported = part;
    else
        return is_one_of(part, disk_flags, sizeof(disk_flags) / sizeof(disk_flags[0]));
    return true;
}

/* A part without a key: its meaning is its place. False if there are too many. */
static bool take_disk_place(struct disk *disk, const char *part)
{
    if (!disk->target)
        disk->target = part;
    else if (!disk->format && !disk->old_style)
        disk->format = part;
    else if (!disk->vdev)
        disk->vdev = part;
    else if (!disk->access)
        disk->access = part;
    else
        return false;
    return true;
}

static const char *const disk_formats[] = {"raw", "qcow2", "vmdk", "vhd", "vpc", "vhdx", "vdi", "qed", "qcow"};
#define DISK_FORMATS (sizeof(disk_formats) / sizeof(disk_formats[0]))

/* The text behind "word:", or NULL if it does not begin so. */
static char *behind_prefix(char *text, const char *word)
{
    size_t length = strlen(word);

    return strncasecmp(text, word, length) == 0 && text[length] == ':' ? text + length + 1 : NULL;
}

/*
 * What old configurations have before the target: phy:, file:, tap: and the like say nothing that is not known from it, a
 * format's name is the format.
 */
static char *skip_prefixes(struct disk *disk, char *text)
{
    static const char *const prefixes[] = {"phy", "file", "tap", "tap2", "aio", "tapdisk"};
    bool found;

    do {
        char *rest = NULL;

        for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]) && !rest; i++)
            rest = behind_prefix(text, prefixes[i]);
        for (size_t i = 0; i < DISK_FORMATS && !rest; i++)
            if ((rest = behind_prefix(text, disk_formats[i])) != NULL)
                disk->format = disk_formats[i];
        found = rest;
        if (found) {
            disk->old_style = true;
            text = rest;
        }
    } while (found);
    return text;
}

static json_t *unknown_key(struct failure *failure, const char *part, const char *kind, const char *const *keys,
                           size_t count, const char *remedy)
{
    char key[64];
    const char *near;

    snprintf(key, sizeof(key), "%.*s", (int)strcspn(part, "="), part);
    near = nearest_name(key, keys, count, sizeof(keys[0]));
    if (near)
        return bad(failure, remedy, "a %s has no `%s'; did you mean `%s'?", kind, key, near);
    return bad(failure, remedy, "a %s has no `%s'", kind, key);
}

/* Take the specification apart. It is cut up; *disk points into it. */
static bool split_disk(char *text, struct disk *disk, struct failure *failure)
{
    char *part, *rest = skip_prefixes(disk, text + strspn(text, " \t\n"));

    while (rest) {
        /* target= takes all that follows it, commas included. */
        const char *target = value_of(rest + strspn(rest, " \t\n"), "target");

        if (target) {
            disk->target = target;
            return true;
        }
        part = next_part(&rest);
        if (take_disk_key(disk, part))
            continue;
        if (strchr(part, '=') && disk->target)
            return unknown_key(failure, part, "disk", disk_keys, sizeof(disk_keys) / sizeof(disk_keys[0]), disk_remedy);
        if (!take_disk_place(disk, part))
            return bad(failure, disk_remedy, "`%s' is one part too many", part);
    }
    return true;
}

/* "xvda:cdrom", as it was written once. */
static const char *clean_vdev(struct disk *disk, char *buffer, size_t size)
{
    const char *colon = disk->vdev ? strchr(disk->vdev, ':') : NULL;

    if (!colon)
        return disk->vdev;
    disk->cdrom |= strcasecmp(colon, ":cdrom") == 0;
    snprintf(buffer, size, "%.*s", (int)(colon - disk->vdev), disk->vdev);
    return buffer;
}

static json_t *lower_case(const char *word)
{
    char text[16];
    size_t i;

    for (i = 0; word[i] && i < sizeof(text) - 1; i++)
        text[i] = tolower((unsigned char)word[i]);
    text[i] = '\0';
    return json_string(text);
}

json_t *disk_parse(const char *spec, struct failure *failure)
{
    static const char *const backend_types[] = {"phy", "qdisk"};
    struct disk disk = {0};
    char text[SPEC_MAX], vdev_text[64];
    const char *vdev;
    json_t *object;
    bool writable;

    if (strlen(spec) >= sizeof(text))
        return bad(failure, disk_remedy, "it is longer than %d characters", SPEC_MAX - 1);
    strcpy(text, spec);
    if (!split_disk(text, &disk, failure))
        return NULL;
    vdev = clean_vdev(&disk, vdev_text, sizeof(vdev_text));
    if (!disk.target || !*disk.target)
        return bad(failure, disk_remedy, "it does not say which file or device the disk is");
    if (!vdev || !*vdev)
        return bad(failure, disk_remedy, "it does not say which disk of the guest it is to be (vdev)");
    if (disk.format && *disk.format && !is_one_of(disk.format, disk_formats, DISK_FORMATS))
        return bad(failure, format_remedy, "its format is `%s'", disk.format);
    if (disk.unsupported || (disk.backend_type && !is_one_of(disk.backend_type, backend_types, 2)))
        return bad(failure, "leave it out: how a disk is served follows from its format", "`%s' is not supported",
                   disk.unsupported ? disk.unsupported : disk.backend_type);
    if (disk.access && *disk.access && !is_one_of(disk.access, (const char *const[]){"r", "ro", "w", "rw"}, 4))
        return bad(failure, "write rw (or w) or ro (or r)", "its access `%s' is neither to read nor to write",
                   disk.access);
    writable = !disk.cdrom && !(disk.access && tolower((unsigned char)disk.access[0]) == 'r' && !disk.access[1]) &&
               !(disk.access && strcasecmp(disk.access, "ro") == 0);
    object = json_pack("{s:o, s:s, s:o, s:s}", "target", absolute_path(disk.target), "vdev", vdev, "format",
                       lower_case(disk.format && *disk.format ? disk.format : "raw"), "access", writable ? "rw" : "ro");
    if (disk.cdrom)
        json_object_set_new(object, "cdrom", json_true());
    return object;
}

/* --- network cards ------------------------------------------------------------------------------- */

/*
 * The keys, sorted by what becomes of them: passed on as text, as a number, as yes or no; no difference to a
 * paravirtualized card; not to be had.
 */
static const char *const vif_keys[] = {
    "mac", "bridge", "ip", "script", "rate", "vlan", "mtu", "devid", "antispoof", "isolated", "type", "model",
    "vifname", "backend", "gatewaydev", "trusted",
};
#define VIF_KEYS         (sizeof(vif_keys) / sizeof(vif_keys[0]))
#define VIF_TEXTS_END    5
#define VIF_NUMBERS_END  8
#define VIF_FLAGS_END    10
#define VIF_HARMLESS_END 12

static bool is_mac(const char *text)
{
    for (int i = 0; i < 17; i++)
        if (i % 3 == 2 ? text[i] != ':' : !isxdigit((unsigned char)text[i]))
            return false;
    return text[17] == '\0';
}

/* Put the value of the key with index `key` into `vif`. */
static bool put_vif_value(json_t *vif, size_t key, const char *value, struct failure *failure)
{
    static const char *const yes[] = {"1", "yes", "true", "on"}, *const no[] = {"0", "no", "false", "off"};
    json_t *json;

    if (strcmp(vif_keys[key], "mac") == 0 && (!is_mac(value) || strchr("13579bdfBDF", value[1])))
        return bad(failure, "write six pairs of hexadecimal digits, 00:16:3e:xx:xx:xx, or leave mac= out",
                   "`%s' is not the address of a network card", value);
    if (key < VIF_TEXTS_END)
        json = json_string(value);
    else if (key < VIF_NUMBERS_END)
        json = *value && strlen(value) < 9 && !value[strspn(value, "0123456789")] ? json_integer(atoi(value)) : NULL;
    else
        json = is_one_of(value, yes, 4) ? json_true() : is_one_of(value, no, 4) ? json_false() : NULL;
    if (!json)
        return bad(failure, key < VIF_NUMBERS_END ? "write a whole number" : "write 1 or 0",
                   "%s cannot be `%s'", vif_keys[key], value);
    json_object_set_new(vif, vif_keys[key], json);
    return true;
}

/* One KEY=VALUE of a network card, put into `vif`. */
static bool take_vif_part(json_t *vif, const char *part, struct failure *failure)
{
    size_t i = 0;

    while (i < VIF_KEYS && !value_of(part, vif_keys[i]))
        i++;
    if (i == VIF_KEYS && !strchr(part, '='))
        return bad(failure, vif_remedy, "`%s' is not of the form key=value", part);
    if (i == VIF_KEYS)
        return unknown_key(failure, part, "network card", vif_keys, VIF_KEYS, vif_remedy);
    if (i >= VIF_HARMLESS_END)
        return bad(failure, "leave it out", "`%s' is not supported", vif_keys[i]);
    if (i < VIF_FLAGS_END)
        return put_vif_value(vif, i, value_of(part, vif_keys[i]), failure);
    return true;
}

json_t *vif_parse(const char *spec, struct failure *failure)
{
    char text[SPEC_MAX], *part, *rest = text;
    json_t *vif;

    if (strlen(spec) >= sizeof(text))
        return bad(failure, vif_remedy, "it is longer than %d characters", SPEC_MAX - 1);
    strcpy(text, spec);
    vif = json_object();
    while ((part = next_part(&rest)) != NULL) {
        if (*part && !take_vif_part(vif, part, failure)) {
            json_decref(vif);
            return NULL;
        }
    }
    return vif;
}
