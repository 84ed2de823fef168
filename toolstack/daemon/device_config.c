/* SPDX-License-Identifier: MIT */
/*
 * Reading and checking the devices of a configuration.
 */
#include "device_config.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config.h"
#include "disk_server.h"
#include "lib/alloc.h"

#define SECTOR 512
#define RATE_INTERVAL_US 50000

/* --- disks ------------------------------------------------------------------------------------------------------- */

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
bool disk_number(const char *vdev, uint32_t *number)
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

/* What QEMU calls a format of xl's or QEMU's name, or NULL. */
static const char *find_format(const char *name)
{
    static const struct {
        const char *name, *qemu;
    } formats[] = {
        { "raw", "raw" }, { "qcow2", "qcow2" }, { "qcow", "qcow" }, { "qed", "qed" }, { "vmdk", "vmdk" },
        { "vdi", "vdi" }, { "vhd", "vpc" }, { "vpc", "vpc" }, { "vhdx", "vhdx" },
    };

    for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++)
        if (!strcmp(formats[i].name, name))
            return formats[i].qemu;
    return NULL;
}

static bool parse_disk(const struct config *config, const json_t *object, struct disk_config *disk,
                       struct failure *failure)
{
    const char *target = NULL, *vdev = NULL, *format = "raw", *access = "rw";
    json_error_t error;
    int cdrom = 0;

    if (json_unpack_ex((json_t *)object, &error, JSON_STRICT, "{s:s, s:s, s?s, s?s, s?b}", "target", &target, "vdev",
                       &vdev, "format", &format, "access", &access, "cdrom", &cdrom) < 0)
        return config_refuse(failure, "give each disk a target and a vdev, and besides only format, access and cdrom",
                             "a disk of the configuration is not understood: %s", error.text);
    if (target[0] != '/')
        return config_refuse(failure, "give the absolute path of a file or block device",
                             "disk target %s is not absolute", target);
    disk->format = find_format(format);
    if (!disk->format)
        return config_refuse(failure, "use raw, qcow2, vmdk, vhd, vhdx, vdi or qed", "disk %s has format %s", target,
                             format);
    if (!disk_number(vdev, &disk->number))
        return config_refuse(failure, "name it xvda, xvdb, ...", "%s is not the name of a virtual disk", vdev);
    if (strcmp(access, "rw") && strcmp(access, "w") && strcmp(access, "ro") && strcmp(access, "r"))
        return config_refuse(failure, "use rw or ro", "disk %s has access %s", target, access);
    for (unsigned int i = 0; i < config->disk_count; i++)
        if (config->disks[i].number == disk->number)
            return config_refuse(failure, "give each disk a vdev of its own", "two disks are called %s", vdev);
    disk->target = xstrdup(target);
    disk->vdev = xstrdup(vdev);
    disk->writable = strchr(access, 'w') && !cdrom;
    disk->cdrom = cdrom;
    return true;
}

bool disk_config_add(struct config *config, const json_t *object, struct failure *failure)
{
    struct disk_config disk = { .number = 0 };

    if (config->disk_count >= DISKS_MAX)
        return config_refuse(failure, "detach one first", "it has %d disks already", DISKS_MAX);
    if (!parse_disk(config, object, &disk, failure))
        return false;
    config->disks = xrealloc(config->disks, (config->disk_count + 1) * sizeof(disk));
    config->disks[config->disk_count++] = disk;
    return true;
}

void disk_config_remove(struct config *config, unsigned int index)
{
    free(config->disks[index].target);
    free(config->disks[index].vdev);
    config->disk_count--;
    memmove(&config->disks[index], &config->disks[index + 1],
            (config->disk_count - index) * sizeof(config->disks[index]));
}

bool disk_config_check(const struct disk_config *disk, struct failure *failure)
{
    struct stat info;
    int fd;

    if (stat(disk->target, &info) < 0)
        return config_refuse(failure, "create the disk (truncate -s 1G FILE), or correct disk= in the configuration",
                             "disk %s: %s", disk->target, strerror(errno));
    if (!S_ISREG(info.st_mode) && !S_ISBLK(info.st_mode))
        return config_refuse(failure, "correct disk= in the configuration",
                             "disk %s is neither a file nor a block device", disk->target);
    if (S_ISREG(info.st_mode) && info.st_size < SECTOR)
        return config_refuse(failure, "give it a size (truncate -s 1G FILE)", "disk %s is smaller than a sector",
                             disk->target);
    fd = open(disk->target, (disk->writable ? O_RDWR : O_RDONLY) | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return config_refuse(failure, "make it accessible, or give the guest access ro",
                             "disk %s cannot be opened: %s", disk->target, strerror(errno));
    close(fd);
    return !strcmp(disk->format, "raw") || disk_server_possible(disk, failure);
}

/* --- network cards ----------------------------------------------------------------------------------------------- */

/*
 * An address of Xen's range for a card that is not given one: always the same for the same domain and card, so that
 * what the guest and the network remember of it stays true.
 */
static void derive_mac(const struct config *config, unsigned int index, char *mac)
{
    uint64_t hash = 0xcbf29ce484222325ULL; /* FNV-1a */
    char seed[NAME_LENGTH_MAX + 32];

    snprintf(seed, sizeof(seed), "%s/%u", config->uuid_given ? config->uuid : config->name, index);
    for (const char *at = seed; *at; at++)
        hash = (hash ^ (uint8_t)*at) * 0x100000001b3ULL;
    hash ^= hash >> 32;
    snprintf(mac, 18, "00:16:3e:%02x:%02x:%02x", (unsigned int)(hash >> 16 & 0x7f), (unsigned int)(hash >> 8 & 0xff),
             (unsigned int)(hash & 0xff));
}

/*
 * A rate as xl-network-configuration(5) has it, 10Mb/s@20ms: bits (b) or bytes (B) a second, and the interval in which
 * the credit is renewed.
 */
static bool parse_rate(const char *text, struct vif_config *vif)
{
    unsigned long long amount, interval = RATE_INTERVAL_US, scale = 1;
    char *at;

    if (!isdigit((unsigned char)text[0]))
        return false;
    errno = 0;
    amount = strtoull(text, &at, 10);
    if (*at == 'K' || *at == 'M' || *at == 'G') {
        scale = *at == 'K' ? 1000 : *at == 'M' ? 1000000 : 1000000000;
        at++;
    }
    if (errno || amount == 0 || amount > 1000000000000ULL / scale || (*at != 'b' && *at != 'B') || strncmp(at + 1, "/s", 2))
        return false;
    amount = amount * scale / (*at == 'b' ? 8 : 1);
    at += 3;
    if (*at == '@') {
        if (!isdigit((unsigned char)at[1]))
            return false;
        interval = strtoull(at + 1, &at, 10);
        scale = !strcmp(at, "us") ? 1 : !strcmp(at, "ms") ? 1000 : !strcmp(at, "s") ? 1000000 : 0;
        if (errno || scale == 0 || interval == 0 || interval > 1000000000ULL / scale)
            return false;
        interval *= scale;
    } else if (*at) {
        return false;
    }
    amount = amount * interval / 1000000;
    vif->rate_us = interval;
    vif->rate_bytes = amount > UINT32_MAX ? UINT32_MAX : amount;
    return amount > 0;
}

static bool check_vif_texts(const char *script, const char *bridge, const char *mac, struct failure *failure)
{
    if (strcmp(script, "vif-bridge"))
        return config_refuse(failure, "leave script out: network cards are attached to a bridge by the daemon itself",
                             "network script %s is not supported", script);
    if (!bridge[0] || strlen(bridge) > 15 || strchr(bridge, '/'))
        return config_refuse(failure, "a bridge's name has 1 to 15 characters", "%s cannot be the name of a bridge",
                             bridge);
    if (mac && !config_has_form(mac, "xx:xx:xx:xx:xx:xx"))
        return config_refuse(failure, "write it as 00:16:3e:xx:xx:xx", "%s is not a MAC address", mac);
    if (mac && (strtoul(mac, NULL, 16) & 1))
        return config_refuse(failure, "write it as 00:16:3e:xx:xx:xx", "%s is a multicast MAC address", mac);
    return true;
}

int vif_addresses(const char *text, uint32_t addresses[VIF_IPS_MAX])
{
    int count = 0;

    for (text += strspn(text, " "); *text; text += strspn(text, " ")) {
        char word[INET_ADDRSTRLEN];
        size_t length = strcspn(text, " ");

        if (length >= sizeof(word) || count == VIF_IPS_MAX)
            return -1;
        memcpy(word, text, length);
        word[length] = '\0';
        if (inet_pton(AF_INET, word, &addresses[count++]) != 1)
            return -1;
        text += length;
    }
    return count;
}

/* The least number that no card has. */
static unsigned int free_index(const struct config *config)
{
    unsigned int index = 0;

    for (unsigned int i = 0; i < config->vif_count; i++) {
        if (config->vifs[i].index == index) {
            index++;
            i = -1;
        }
    }
    return index;
}

static bool parse_vif(const struct config *config, json_t *object, struct vif_config *vif, struct failure *failure)
{
    const char *bridge = DEFAULT_BRIDGE, *mac = NULL, *ip = NULL, *script = "vif-bridge", *rate = NULL;
    int vlan = 0, mtu = 0, antispoof = 0, isolated = 0, index = free_index(config);
    uint32_t addresses[VIF_IPS_MAX];
    json_error_t error;

    if (json_unpack_ex(object, &error, JSON_STRICT, "{s?s, s?s, s?s, s?s, s?s, s?i, s?i, s?b, s?b, s?i}", "bridge",
                       &bridge, "mac", &mac, "ip", &ip, "script", &script, "rate", &rate, "vlan", &vlan, "mtu", &mtu,
                       "antispoof", &antispoof, "isolated", &isolated, "devid", &index) < 0)
        return config_refuse(failure, "a vif may have bridge, mac, ip, rate, vlan, mtu, antispoof, isolated, devid and "
                                      "script=vif-bridge",
                             "a vif of the configuration is not understood: %s", error.text);
    if (!check_vif_texts(script, bridge, mac, failure))
        return false;
    if (rate && !parse_rate(rate, vif))
        return config_refuse(failure, "write it as 10Mb/s (bits) or 1MB/s (bytes), with @20ms behind it if wanted",
                             "%s is not a rate", rate);
    if (antispoof && ip && vif_addresses(ip, addresses) < 1)
        return config_refuse(failure, "write IPv4 addresses with spaces between them, or leave ip out to guard its MAC "
                                      "address alone", "ip=%s is what antispoof cannot guard", ip);
    if (vlan < 0 || vlan > VLAN_MAX || (mtu && (mtu < 68 || mtu > 65535)) || index < 0 || index >= 4096)
        return config_refuse(failure, "give a vlan from 1 to 4094, an mtu from 68 to 65535, a devid below 4096",
                             "vlan=%d, mtu=%d, devid=%d make no sense", vlan, mtu, index);
    for (unsigned int i = 0; i < config->vif_count; i++)
        if (config->vifs[i].index == (unsigned int)index)
            return config_refuse(failure, "give each card a devid of its own", "two cards have devid %d", index);
    if (mac)
        strcpy(vif->mac, mac);
    else
        derive_mac(config, index, vif->mac);
    json_object_set_new(object, "mac", json_string(vif->mac));
    json_object_set_new(object, "devid", json_integer(index));
    vif->index = index;
    vif->vlan = vlan;
    vif->mtu = mtu;
    vif->antispoof = antispoof;
    vif->isolated = isolated;
    vif->bridge = xstrdup(bridge);
    vif->ip = ip ? xstrdup(ip) : NULL;
    return true;
}

bool vif_config_add(struct config *config, json_t *object, struct failure *failure)
{
    struct vif_config vif = { .index = 0 };

    if (config->vif_count >= VIFS_MAX)
        return config_refuse(failure, "detach one first", "it has %d network cards already", VIFS_MAX);
    if (!parse_vif(config, object, &vif, failure))
        return false;
    config->vifs = xrealloc(config->vifs, (config->vif_count + 1) * sizeof(vif));
    config->vifs[config->vif_count++] = vif;
    return true;
}

void vif_config_remove(struct config *config, unsigned int index)
{
    free(config->vifs[index].bridge);
    free(config->vifs[index].ip);
    config->vif_count--;
    memmove(&config->vifs[index], &config->vifs[index + 1], (config->vif_count - index) * sizeof(config->vifs[index]));
}

bool vif_config_check(const struct vif_config *vif, struct failure *failure)
{
    char path[64], remedy[160];

    snprintf(path, sizeof(path), "/sys/class/net/%s/bridge", vif->bridge);
    if (access(path, F_OK) < 0) {
        snprintf(remedy, sizeof(remedy),
                 "make it (ip link add %s type bridge; ip link set %s up), or name another in vif=", vif->bridge,
                 vif->bridge);
        snprintf(path, sizeof(path), "/sys/class/net/%s", vif->bridge);
        if (access(path, F_OK) == 0)
            return config_refuse(failure, remedy, "%s is a network interface, but not a bridge", vif->bridge);
        return config_refuse(failure, remedy, "there is no bridge %s", vif->bridge);
    }
    snprintf(path, sizeof(path), "/sys/class/net/%s/bridge/vlan_filtering", vif->bridge);
    if (vif->vlan) {
        FILE *file = fopen(path, "re");
        int on = file ? fgetc(file) : EOF;

        if (file)
            fclose(file);
        snprintf(remedy, sizeof(remedy), "let it (ip link set %s type bridge vlan_filtering 1), or leave vlan out",
                 vif->bridge);
        if (on != '1')
            return config_refuse(failure, remedy, "bridge %s does not keep VLANs apart", vif->bridge);
    }
    return true;
}
