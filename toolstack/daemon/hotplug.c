/* SPDX-License-Identifier: MIT */
/*
 * Attaching and detaching devices: see hotplug.h. What goes on is a list of the domain's; the device is in the domain's
 * configuration from the beginning of its attaching, so that nothing else takes its place, and in its record when it is
 * there.
 */
#include "hotplug.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <xen/io/xenbus.h>

#include "daemon.h"
#include "disk_server.h"
#include "events.h"
#include "lib/alloc.h"
#include "lib/log.h"
#include "loop.h"

#define DETACH_POLL_MS 20
#define DETACH_TIMEOUT_S 20
#define PATH_SIZE 128

struct hotplug {
    struct waiters waiters; /* first: what callers hold */
    LIST_ENTRY(hotplug) link;
    struct domain *domain;
    enum device_kind kind;
    uint32_t number;
    /* Of an attachment: */
    bool attaching; /* or being undone */
    struct disk_config disk;
    struct vif_config vif;
    json_t *object;
    struct devices *devices;
    /* Of a detachment: */
    struct event *timer;
    bool removed; /* its nodes are gone, so that its back end goes */
    unsigned int polls;
    /* Of another size: */
    bool resizing;
};

const char *device_kind_name(enum device_kind kind)
{
    return kind == DEVICE_DISK ? "vbd" : "vif";
}

static const char *word(enum device_kind kind)
{
    return kind == DEVICE_DISK ? "disk" : "network card";
}

/* --- paths ------------------------------------------------------------------------------------------------------- */

static void backend_path(const struct hotplug *plug, const char *key, char *path)
{
    snprintf(path, PATH_SIZE, "/local/domain/0/backend/%s/%d/%u%s%s", device_kind_name(plug->kind),
             plug->domain->domid, plug->number, key ? "/" : "", key ? key : "");
}

static void frontend_path(const struct hotplug *plug, const char *key, char *path)
{
    snprintf(path, PATH_SIZE, "/local/domain/%d/device/%s/%u%s%s", plug->domain->domid, device_kind_name(plug->kind),
             plug->number, key ? "/" : "", key ? key : "");
}

/* A state of xenbus, or XenbusStateUnknown if there is no such node. */
static int state_at(const char *path)
{
    const char *value = store_get(the_store, path);

    return value ? atoi(value) : XenbusStateUnknown;
}

/* Whether dom0's kernel still has the back end. */
static bool backend_alive(const struct hotplug *plug)
{
    char path[PATH_SIZE];

    snprintf(path, sizeof(path), "/sys/bus/xen-backend/devices/%s-%d-%u", device_kind_name(plug->kind),
             plug->domain->domid, plug->number);
    return access(path, F_OK) == 0;
}

static void remove_nodes(struct hotplug *plug)
{
    char path[PATH_SIZE];

    plug->removed = true;
    backend_path(plug, NULL, path);
    store_remove(the_store, path);
    frontend_path(plug, NULL, path);
    store_remove(the_store, path);
    snprintf(path, sizeof(path), "/local/domain/0/error/backend/%s/%d/%u", device_kind_name(plug->kind),
             plug->domain->domid, plug->number);
    store_remove(the_store, path);
}

/* --- configuration ----------------------------------------------------------------------------------------------- */

/* Where the device stands in the configuration's array, or -1. */
static int find_in_config(const struct config *config, enum device_kind kind, uint32_t number)
{
    unsigned int count = kind == DEVICE_DISK ? config->disk_count : config->vif_count;

    for (unsigned int i = 0; i < count; i++)
        if ((kind == DEVICE_DISK ? config->disks[i].number : config->vifs[i].index) == number)
            return i;
    return -1;
}

/* The array of the domain's object that the devices of this kind stand in, in the same order as in its config. */
static json_t *object_array(struct domain *domain, enum device_kind kind)
{
    const char *key = kind == DEVICE_DISK ? "disk" : "vif";

    if (!json_object_get(domain->object, key))
        json_object_set_new(domain->object, key, json_array());
    return json_object_get(domain->object, key);
}

/* Out of the configuration, and if `recorded` out of the domain's object. */
static void drop_from_config(struct hotplug *plug, bool recorded)
{
    int index = find_in_config(plug->domain->config, plug->kind, plug->number);

    if (index < 0)
        return;
    if (plug->kind == DEVICE_DISK)
        disk_config_remove(plug->domain->config, index);
    else
        vif_config_remove(plug->domain->config, index);
    if (recorded) {
        json_array_remove(object_array(plug->domain, plug->kind), index);
        domain_save(plug->domain);
    }
}

/* --- life of an operation ---------------------------------------------------------------------------------------- */

static struct hotplug *plug_new(struct domain *domain, enum device_kind kind, uint32_t number)
{
    struct hotplug *plug = xcalloc(1, sizeof(*plug));

    TAILQ_INIT(&plug->waiters);
    plug->domain = domain;
    plug->kind = kind;
    plug->number = number;
    LIST_INSERT_HEAD(&domain->hotplugs, plug, link);
    return plug;
}

/* It is over: tell the outcome and forget it. */
static void plug_end(struct hotplug *plug, const struct failure *failure)
{
    LIST_REMOVE(plug, link);
    if (plug->resizing)
        disk_server_forget_caller(plug);
    waiters_tell(&plug->waiters, failure);
    devices_free(plug->devices);
    json_decref(plug->object);
    if (plug->timer)
        event_free(plug->timer);
    free(plug);
}

static void tell(const struct hotplug *plug, const char *event)
{
    log_info("domain %s: %s, number %u, %s", plug->domain->config->name, word(plug->kind), plug->number, event);
    event_tell(plug->domain, event, json_pack("{s:s, s:I}", "device", device_kind_name(plug->kind), "number",
                                              (json_int_t)plug->number));
}

static bool busy(const struct domain *domain, enum device_kind kind, uint32_t number, struct failure *failure)
{
    const struct hotplug *plug;

    LIST_FOREACH(plug, &domain->hotplugs, link) {
        if (plug->kind == kind && plug->number == number) {
            config_refuse(failure, "try again in a moment", "that %s is just being attached, detached or resized",
                          word(kind));
            return true;
        }
    }
    return false;
}

void hotplug_cancel(struct domain *domain)
{
    struct failure failure;

    failure_what(&failure, "cannot change the devices of domain %s", domain->config->name);
    config_refuse(&failure, "see whether it is made again: domus list", "the domain has ended");
    while (!LIST_EMPTY(&domain->hotplugs)) {
        struct hotplug *plug = LIST_FIRST(&domain->hotplugs);

        if (plug->attaching)
            drop_from_config(plug, false);
        plug_end(plug, &failure);
    }
}

/* --- attaching --------------------------------------------------------------------------------------------------- */

static void on_detach_poll(int fd, short what, void *context);

/* It did not work: take it away again as if it had been detached. */
static void undo_attach(struct hotplug *plug, const struct failure *failure)
{
    struct failure told = *failure;

    failure_what(&told, "cannot attach the %s to domain %s", word(plug->kind), plug->domain->config->name);
    config_refuse(&told, failure->remedy, "%s", failure->why);
    waiters_tell(&plug->waiters, &told);
    devices_free(plug->devices);
    plug->devices = NULL;
    remove_nodes(plug);
    plug->timer = evtimer_new(main_loop, on_detach_poll, plug);
    on_detach_poll(-1, 0, plug);
}

static void on_attached(void *context, const struct failure *failure)
{
    struct hotplug *plug = context;

    if (failure) {
        json_decref(plug->object);
        plug->object = NULL;
        undo_attach(plug, failure);
        return;
    }
    json_array_append(object_array(plug->domain, plug->kind), plug->object);
    domain_save(plug->domain);
    tell(plug, "attached");
    plug_end(plug, NULL);
}

struct waiters *hotplug_attach(struct domain *domain, enum device_kind kind, json_t *object, uint32_t *number,
                               struct failure *failure)
{
    struct config *config = domain->config;
    struct device_list list = { .disk_count = 0 };
    struct config probe = { .name = "" };
    struct hotplug *plug;
    bool good;

    /* Its place in the arrays must be that in the record: one at a time. */
    LIST_FOREACH(plug, &domain->hotplugs, link) {
        if (plug->kind == kind) {
            config_refuse(failure, "try again in a moment", "another %s is just being attached, detached or resized",
                          word(kind));
            return NULL;
        }
    }
    if (!(kind == DEVICE_DISK ? disk_config_add(config, object, failure) : vif_config_add(config, object, failure)))
        return NULL;
    if (kind == DEVICE_DISK) {
        probe.disks = &config->disks[config->disk_count - 1];
        probe.disk_count = 1;
        *number = probe.disks->number;
        good = disk_config_check(probe.disks, failure);
    } else {
        probe.vifs = &config->vifs[config->vif_count - 1];
        probe.vif_count = 1;
        *number = probe.vifs->index;
        good = vif_config_check(probe.vifs, failure);
    }
    if (!good || device_conflict(&probe, domain, failure)) {
        if (kind == DEVICE_DISK)
            disk_config_remove(config, config->disk_count - 1);
        else
            vif_config_remove(config, config->vif_count - 1);
        return NULL;
    }
    plug = plug_new(domain, kind, *number);
    plug->attaching = true;
    plug->object = json_incref(object);
    /* Copies, as the configuration's arrays may move. */
    if (kind == DEVICE_DISK) {
        plug->disk = *probe.disks;
        list.disks = &plug->disk;
        list.disk_count = 1;
    } else {
        plug->vif = *probe.vifs;
        list.vifs = &plug->vif;
        list.vif_count = 1;
    }
    plug->devices = devices_start(domain->domid, config->uuid, &list, on_attached, plug);
    return &plug->waiters;
}

/* --- detaching --------------------------------------------------------------------------------------------------- */

static void detached(struct hotplug *plug)
{
    int index = find_in_config(plug->domain->config, plug->kind, plug->number);

    if (plug->kind == DEVICE_DISK && index >= 0)
        disk_server_stop(plug->domain->config->uuid, &plug->domain->config->disks[index]);
    drop_from_config(plug, (size_t)index < json_array_size(object_array(plug->domain, plug->kind)));
    if (!plug->attaching)
        tell(plug, "detached");
    plug_end(plug, NULL);
}

static void detach_failed(struct hotplug *plug)
{
    struct failure failure;

    failure_what(&failure, "cannot detach the %s from domain %s", word(plug->kind), plug->domain->config->name);
    if (plug->removed)
        config_refuse(&failure, "see dom0's kernel messages (dmesg)", "dom0's kernel does not let go of it");
    else
        config_refuse(&failure, "have the guest stop using it, or take it away all the same: -f",
                      "the guest does not let go of it");
    /* One that was never attached stands in no record: it must not shift those that are. */
    if (plug->attaching)
        drop_from_config(plug, false);
    plug_end(plug, &failure);
}

static void on_detach_poll(int fd, short what, void *context)
{
    static const struct timeval interval = { .tv_usec = DETACH_POLL_MS * 1000 };
    struct hotplug *plug = context;
    char path[PATH_SIZE];
    int state;

    (void)fd;
    (void)what;
    backend_path(plug, "state", path);
    state = state_at(path);
    if (!plug->removed && (state == XenbusStateClosed || state == XenbusStateUnknown))
        remove_nodes(plug);
    if (plug->removed && !backend_alive(plug)) {
        detached(plug);
        return;
    }
    if (++plug->polls > DETACH_TIMEOUT_S * 1000 / DETACH_POLL_MS) {
        detach_failed(plug);
        return;
    }
    evtimer_add(plug->timer, &interval);
}

/* Whether the guest uses the device and so has to be asked. */
static bool connected(const struct hotplug *plug)
{
    char path[PATH_SIZE];
    int state;

    frontend_path(plug, "state", path);
    state = state_at(path);
    return state == XenbusStateConnected || state == XenbusStateClosing;
}

struct waiters *hotplug_detach(struct domain *domain, enum device_kind kind, uint32_t number, bool force,
                               struct failure *failure)
{
    static const struct timeval at_once = { .tv_sec = 0 };
    struct hotplug *plug;
    char path[PATH_SIZE];

    if (busy(domain, kind, number, failure))
        return NULL;
    plug = plug_new(domain, kind, number);
    backend_path(plug, "online", path);
    if (!store_get(the_store, path)) {
        config_refuse(failure, "see which it has: domus block-list, domus network-list", "it has no such %s",
                      word(kind));
        plug_end(plug, NULL);
        return NULL;
    }
    if (force || !connected(plug)) {
        remove_nodes(plug);
    } else {
        store_put(the_store, path, "0");
        backend_path(plug, "state", path);
        store_put(the_store, path, "%d", XenbusStateClosing);
    }
    plug->timer = evtimer_new(main_loop, on_detach_poll, plug);
    evtimer_add(plug->timer, &at_once);
    return &plug->waiters;
}

/* --- other sizes ------------------------------------------------------------------------------------------------- */

static bool grow_file(const struct disk_config *disk, const struct stat *info, uint64_t bytes, struct failure *failure)
{
    if (!S_ISREG(info->st_mode))
        return config_refuse(failure, "give it that size by its own means (lvextend), then leave the size out here",
                             "%s is a block device", disk->target);
    if (bytes % 512 || bytes < (uint64_t)info->st_size)
        return config_refuse(failure, "give a size in MiB that is not less than now", "the disk has %llu MiB now and "
                             "cannot shrink while it is used", (unsigned long long)info->st_size >> 20);
    if (truncate(disk->target, bytes) < 0)
        return config_refuse(failure, "make room for it", "%s: %s", disk->target, strerror(errno));
    return true;
}

static void on_resized(void *context, const struct failure *failure)
{
    struct hotplug *plug = context;
    struct failure told;

    if (!failure) {
        tell(plug, "resized");
        plug_end(plug, NULL);
        return;
    }
    failure_what(&told, "cannot resize a disk of domain %s", plug->domain->config->name);
    config_refuse(&told, failure->remedy, "%s", failure->why);
    plug_end(plug, &told);
}

/* One that a server serves, which must end and start for it. */
static bool resize_image(struct domain *domain, const struct disk_config *disk, uint64_t bytes,
                         struct waiters **waiters, struct failure *failure)
{
    struct hotplug *plug;

    if (!bytes)
        return config_refuse(failure, "give it: domus block-resize DOMAIN DEVICE SIZE",
                             "an image of format %s changes its size by this command only, which needs it",
                             disk->format);
    if (busy(domain, DEVICE_DISK, disk->number, failure))
        return false;
    plug = plug_new(domain, DEVICE_DISK, disk->number);
    if (!disk_server_resize(domain->config->uuid, disk, bytes, on_resized, plug, failure)) {
        plug_end(plug, NULL);
        return false;
    }
    plug->resizing = true;
    *waiters = &plug->waiters;
    return true;
}

/* One that is a file or a block device: the kernel is told that it is larger. */
static bool resize_raw(const struct hotplug *at, const struct disk_config *disk, uint64_t bytes,
                       struct failure *failure)
{
    unsigned int major_number, minor_number;
    struct stat info;
    const char *node;
    char path[PATH_SIZE];
    int rc;

    if (stat(disk->target, &info) < 0)
        return config_refuse(failure, "put it back", "%s: %s", disk->target, strerror(errno));
    if (bytes && !grow_file(disk, &info, bytes, failure))
        return false;
    if (!S_ISREG(info.st_mode))
        return true; /* the back end looks for itself */
    backend_path(at, "physical-device", path);
    node = store_get(the_store, path);
    if (!node || sscanf(node, "%x:%x", &major_number, &minor_number) != 2)
        return config_refuse(failure, "see which it has: domus block-list", "the disk is not attached");
    rc = loop_resize(makedev(major_number, minor_number));
    return rc == 0 || config_refuse(failure, "see dom0's kernel messages (dmesg)",
                                    "its loop device does not take the new size: %s", strerror(-rc));
}

bool hotplug_resize(struct domain *domain, uint32_t number, uint64_t bytes, struct waiters **waiters,
                    struct failure *failure)
{
    int index = find_in_config(domain->config, DEVICE_DISK, number);
    const struct hotplug at = { .domain = domain, .kind = DEVICE_DISK, .number = number };
    const struct disk_config *disk;

    *waiters = NULL;
    if (index < 0)
        return config_refuse(failure, "see which it has: domus block-list", "it has no such disk");
    disk = &domain->config->disks[index];
    if (strcmp(disk->format, "raw"))
        return resize_image(domain, disk, bytes, waiters, failure);
    if (!resize_raw(&at, disk, bytes, failure))
        return false;
    tell(&at, "resized");
    return true;
}
