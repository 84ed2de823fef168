/* SPDX-License-Identifier: MIT */
/*
 * Devices: see devices.h. A back end is ready when its state is InitWait and, for a disk, when the kernel has opened
 * the device, which shows in sysfs; for a network card, when its interface is a port of the bridge.
 */
#include "devices.h"

#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <xen/xen.h>
#include <xen/io/xenbus.h>

#include "bridge.h"
#include "daemon.h"
#include "disk_server.h"
#include "lib/alloc.h"
#include "lib/log.h"
#include "loop.h"

#define READY_TIMEOUT_S 20
#define POLL_MS 10
#define PATH_SIZE 128

struct device {
    struct devices *devices;
    const struct disk_config *disk; /* or: */
    const struct vif_config *vif;
    unsigned int number; /* in the store: a disk's device number, a card's index */
    char backend[PATH_SIZE], frontend[PATH_SIZE];
    int loop_fd; /* -1: none */
    bool announced; /* to the back end, by its nodes */
    bool ready;
    struct store_watch *watch;
};

struct devices {
    uint16_t domid;
    char uuid[37];
    unsigned int count, ready_count;
    struct device *list;
    struct event *poll;
    unsigned int polls;
    devices_fn ready;
    void *context;
    struct failure failure; /* that happened before anyone could be told */
    bool failed;
};

static const char *device_name(const struct device *device)
{
    return device->disk ? device->disk->target : device->vif->mac;
}

/* Tell the outcome, once. The callback may free the devices. */
static void finish(struct devices *devices, const struct failure *failure)
{
    devices_fn ready = devices->ready;

    devices->ready = NULL;
    event_del(devices->poll);
    if (ready)
        ready(devices->context, failure);
}

/* --- nodes ------------------------------------------------------------------------------------------------------- */

#define put(base, key, ...) \
    do { \
        char path_[PATH_SIZE + 32]; \
        snprintf(path_, sizeof(path_), "%s/%s", base, key); \
        store_put(the_store, path_, __VA_ARGS__); \
    } while (0)

/* The nodes that all kinds of device have, with their owners. */
static void put_common(const struct device *device)
{
    uint16_t domid = device->devices->domid;

    store_put(the_store, device->frontend, "%s", "");
    store_permit(the_store, device->frontend, domid, 0, 0, PERM_READ);
    put(device->frontend, "backend", "%s", device->backend);
    put(device->frontend, "backend-id", "0");
    put(device->frontend, "state", "%d", XenbusStateInitialising);
    store_put(the_store, device->backend, "%s", "");
    store_permit(the_store, device->backend, 0, 0, domid, PERM_READ);
    put(device->backend, "frontend", "%s", device->frontend);
    put(device->backend, "frontend-id", "%u", domid);
    put(device->backend, "online", "1");
    put(device->backend, "state", "%d", XenbusStateInitialising);
}

static void put_disk(struct device *device, dev_t node, const char *type)
{
    const struct disk_config *disk = device->disk;
    const char *kind = disk->cdrom ? "cdrom" : "disk";

    device->announced = true;
    put_common(device);
    put(device->frontend, "virtual-device", "%u", device->number);
    put(device->frontend, "device-type", "%s", kind);
    put(device->backend, "dev", "%s", disk->vdev);
    put(device->backend, "type", "%s", type);
    put(device->backend, "params", "%s", disk->target);
    put(device->backend, "mode", "%s", disk->writable ? "w" : "r");
    put(device->backend, "device-type", "%s", kind);
    put(device->backend, "removable", "%d", disk->cdrom);
    put(device->backend, "bootable", "1");
    put(device->backend, "discard-enable", "1");
    put(device->backend, "hotplug-status", "connected");
    put(device->backend, "physical-device", "%x:%x", major(node), minor(node));
}

static void put_vif(struct device *device)
{
    const struct vif_config *vif = device->vif;

    device->announced = true;
    put_common(device);
    put(device->frontend, "handle", "%u", device->number);
    put(device->frontend, "mac", "%s", vif->mac);
    put(device->backend, "handle", "%u", device->number);
    put(device->backend, "mac", "%s", vif->mac);
    put(device->backend, "bridge", "%s", vif->bridge);
    put(device->backend, "type", "vif");
    /* The kernel names it in its uevent and complains without; nothing runs it. */
    put(device->backend, "script", "vif-bridge");
    if (vif->ip)
        put(device->backend, "ip", "%s", vif->ip);
    if (vif->rate_bytes)
        put(device->backend, "rate", "%u,%u", vif->rate_bytes, vif->rate_us);
    if (vif->mtu)
        put(device->frontend, "mtu", "%u", vif->mtu);
}

/* --- readiness --------------------------------------------------------------------------------------------------- */

static int backend_state(const struct device *device)
{
    char path[PATH_SIZE + 8];
    const char *state;

    snprintf(path, sizeof(path), "%s/state", device->backend);
    state = store_get(the_store, path);
    return state ? atoi(state) : XenbusStateUnknown;
}

/* The kernel leaves its complaint under error/ of the back end's domain. */
static void fail_device(struct device *device)
{
    const char *relative = device->backend + strlen("/local/domain/0/"), *error;
    struct failure failure = { .what = "" };
    char path[PATH_SIZE + 64];

    snprintf(path, sizeof(path), "/local/domain/0/error/%s/error", relative);
    error = store_get(the_store, path);
    failure_why(&failure, "dom0's kernel cannot serve %s %s: %s", device->disk ? "disk" : "network card",
                device_name(device), error ? error : "it gives no reason");
    failure_remedy(&failure, device->disk ? "check that nothing else has %s open, and dom0's dmesg"
                                          : "check dom0's dmesg about %s", device_name(device));
    finish(device->devices, &failure);
}

static void vif_name(const struct device *device, char *name, size_t size)
{
    snprintf(name, size, "vif%u.%u", device->devices->domid, device->number);
}

/* The back end makes the interface after it has announced its state. */
static bool vif_there(const struct device *device)
{
    char interface[16];

    vif_name(device, interface, sizeof(interface));
    return if_nametoindex(interface) != 0;
}

static bool disk_open(const struct device *device)
{
    char path[PATH_SIZE];

    snprintf(path, sizeof(path), "/sys/bus/xen-backend/devices/vbd-%u-%u/physical_device", device->devices->domid,
             device->number);
    return access(path, F_OK) == 0;
}

/* Make the card's interface, which exists, a port of its bridge. False if that is impossible, which was told. */
static bool plug_vif(struct device *device)
{
    char interface[16];
    struct failure failure = { .what = "" };
    int rc;

    vif_name(device, interface, sizeof(interface));
    rc = bridge_plug(device->vif, interface, &failure);
    if (rc == 0) {
        put(device->backend, "hotplug-status", "connected");
        return true;
    }
    finish(device->devices, &failure);
    return false;
}

/* A disk whose server had to be waited for: false when it failed, which was told. */
static bool check_server(struct device *device)
{
    struct failure failure = { .what = "" };
    dev_t node;

    switch (disk_server_state(device->devices->uuid, device->disk, &node)) {
    case SERVER_STARTING:
        return true;
    case SERVER_READY:
        put_disk(device, node, "phy");
        return true;
    case SERVER_FAILED:
        break;
    }
    failure_why(&failure, "disk %s cannot be served as %s", device->disk->target, device->disk->format);
    failure_remedy(&failure, "check it (qemu-img check -f %s %s); the reason is in the daemon's log",
                   device->disk->format, device->disk->target);
    finish(device->devices, &failure);
    return false;
}

/* Look at a device that was not ready before. False when the outcome was told: the devices may be gone. */
static bool check_device(struct device *device)
{
    int state;

    if (!device->announced)
        return check_server(device);
    state = backend_state(device);
    if (state == XenbusStateClosing || state == XenbusStateClosed) {
        fail_device(device);
        return false;
    }
    if (state < XenbusStateInitWait || !(device->disk ? disk_open(device) : vif_there(device)))
        return true;
    if (device->vif && !plug_vif(device))
        return false;
    device->ready = true;
    device->devices->ready_count++;
    return true;
}

static void check_all(struct devices *devices)
{
    if (!devices->ready)
        return;
    if (devices->failed) {
        finish(devices, &devices->failure);
        return;
    }
    for (unsigned int i = 0; i < devices->count; i++)
        if (!devices->list[i].ready && !check_device(&devices->list[i]))
            return;
    if (devices->ready_count == devices->count)
        finish(devices, NULL);
}

static void on_poll(int fd, short what, void *context)
{
    static const struct timeval interval = { .tv_usec = POLL_MS * 1000 };
    struct devices *devices = context;
    struct failure failure = { .what = "" };

    (void)fd;
    (void)what;
    if (++devices->polls > READY_TIMEOUT_S * 1000 / POLL_MS) {
        for (unsigned int i = 0; i < devices->count; i++) {
            const struct device *device = &devices->list[i];

            if (device->ready)
                continue;
            failure_why(&failure, "dom0's kernel does not answer for %s %s (state %d after %d s)",
                        device->disk ? "disk" : "network card", device_name(device), backend_state(device),
                        READY_TIMEOUT_S);
            failure_remedy(&failure, "check that module %s is loaded (modprobe), and dom0's dmesg",
                           device->disk ? "xen-blkback" : "xen-netback");
            break;
        }
        finish(devices, &failure);
        return;
    }
    evtimer_add(devices->poll, &interval);
    check_all(devices);
}

static void on_changed(void *context, const char *path)
{
    struct device *device = context;

    (void)path;
    check_all(device->devices);
}

/* --- start and end ----------------------------------------------------------------------------------------------- */

/* Find or make the block device behind a disk. False with the failure set. */
static bool open_disk(struct device *device, struct failure *failure)
{
    struct stat info;
    dev_t node;
    int rc = 0;

    if (strcmp(device->disk->format, "raw"))
        return disk_server_start(device->devices->uuid, device->disk, failure) == 0;
    if (stat(device->disk->target, &info) < 0) {
        failure_why(failure, "disk %s is gone", device->disk->target);
        failure_remedy(failure, "put it back");
        return false;
    }
    node = info.st_rdev;
    if (!S_ISBLK(info.st_mode))
        rc = loop_attach(device->disk->target, device->disk->writable, &device->loop_fd, &node);
    if (rc) {
        failure_why(failure, "cannot make a block device of file %s: %s", device->disk->target, strerror(-rc));
        failure_remedy(failure, "check that module loop is loaded and that losetup can attach it");
        return false;
    }
    put_disk(device, node, S_ISBLK(info.st_mode) ? "phy" : "file");
    return true;
}

static void start_device(struct devices *devices, struct device *device, const char *kind)
{
    device->devices = devices;
    device->loop_fd = -1;
    snprintf(device->backend, PATH_SIZE, "/local/domain/0/backend/%s/%u/%u", kind, devices->domid, device->number);
    snprintf(device->frontend, PATH_SIZE, "/local/domain/%u/device/%s/%u", devices->domid, kind, device->number);
    device->watch = store_watch_local(the_store, device->backend, on_changed, device);
    if (device->vif)
        put_vif(device);
    else if (!devices->failed && !open_disk(device, &devices->failure))
        devices->failed = true;
}

struct devices *devices_start(uint16_t domid, const char *uuid, const struct device_list *list, devices_fn ready,
                              void *context)
{
    static const struct timeval at_once = { .tv_sec = 0 };
    struct devices *devices = xcalloc(1, sizeof(*devices));

    devices->domid = domid;
    strcpy(devices->uuid, uuid);
    devices->ready = ready;
    devices->context = context;
    devices->count = list->disk_count + list->vif_count;
    devices->list = xcalloc(devices->count, sizeof(*devices->list));
    devices->poll = evtimer_new(main_loop, on_poll, devices);
    for (unsigned int i = 0; i < devices->count; i++) {
        struct device *device = &devices->list[i];

        if (i < list->disk_count) {
            device->disk = &list->disks[i];
            device->number = device->disk->number;
            start_device(devices, device, "vbd");
        } else {
            device->vif = &list->vifs[i - list->disk_count];
            device->number = device->vif->index;
            start_device(devices, device, "vif");
        }
    }
    /* The outcome is told from the event loop, never from here. */
    evtimer_add(devices->poll, &at_once);
    return devices;
}

void devices_free(struct devices *devices)
{
    if (!devices)
        return;
    for (unsigned int i = 0; i < devices->count; i++) {
        store_unwatch_local(the_store, devices->list[i].watch);
        if (devices->list[i].loop_fd >= 0)
            close(devices->list[i].loop_fd);
    }
    event_free(devices->poll);
    free(devices->list);
    free(devices);
}

void devices_remove(uint16_t domid)
{
    static const char *const kinds[] = { "vbd", "vif" };
    char path[PATH_SIZE];

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        snprintf(path, sizeof(path), "/local/domain/0/backend/%s/%u", kinds[i], domid);
        store_remove(the_store, path);
        snprintf(path, sizeof(path), "/local/domain/0/error/backend/%s/%u", kinds[i], domid);
        store_remove(the_store, path);
    }
}
