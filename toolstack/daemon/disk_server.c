/* SPDX-License-Identifier: MIT */
/*
 * Servers of disk images: see disk_server.h. Each is a small state machine, moved by the ends of processes: that of the
 * server itself, seen by its pidfd (pidfd_open(2)), as after a restart of the daemon it is nobody's child that matters;
 * and those of children that do the steps which block.
 */
#include "disk_server.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "child.h"
#include "daemon.h"
#include "disk_server_process.h"
#include "disk_server_record.h"
#include "lib/alloc.h"
#include "lib/log.h"
#include "nbd_device.h"

/* A server that ends by itself is started again at once, then after 1, 2, 4... seconds, so often in a row. */
#define RESTARTS_MAX 7
/* One that has served for so long has not failed in a row. */
#define STEADY_S 60
/* How long a device may take to be disconnected from a server that does not read. */
#define DISCONNECT_TIMEOUT_S 20
/* How long a server should take to write what it holds. */
#define STOP_TIMEOUT_S 120
/* Between looks whether another server has let go of an image. */
#define IMAGE_POLL_MS 100

static struct server_list servers = LIST_HEAD_INITIALIZER(servers);

static void start(struct server *server);
static void end(struct server *server);

static struct server *find(const char *uuid, uint32_t disk)
{
    struct server *server;

    LIST_FOREACH(server, &servers, link) {
        if (server->disk == disk && server->phase != PHASE_ENDING && !strcmp(server->uuid, uuid))
            return server;
    }
    return NULL;
}

static void forget(struct server *server)
{
    server_record_remove(server);
    LIST_REMOVE(server, link);
    event_free(server->timer);
    server_free(server);
}

static void set_timer(struct server *server, unsigned int ms)
{
    const struct timeval delay = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };

    evtimer_add(server->timer, &delay);
}

/* Whoever asked for another size is told. `why` NULL: it has it. */
static void tell_resized(struct server *server, const char *why, const char *remedy)
{
    disk_resized_fn resized = server->resized;
    struct failure failure = { .what = "" };

    server->resized = NULL;
    server->bytes = 0;
    if (!resized)
        return;
    if (why)
        config_refuse(&failure, remedy, "%s", why);
    resized(server->context, why ? &failure : NULL);
}

/* --- starting again ----------------------------------------------------------------------------------------------- */

static void on_given_up(void *context, int status, const char *output)
{
    struct server *server = context;

    (void)status;
    (void)output;
    server->child = NULL;
    if (server->phase == PHASE_ENDING)
        end(server);
}

/* Run one of the steps of nbd_main. False if there can be no process. */
static bool run_step(struct server *server, const char *word, const char *name, const char *socket, child_fn ended)
{
    char number[16];
    char *argv[] = { "/proc/self/exe", "--nbd", (char *)word, number, (char *)name, (char *)socket, NULL };

    snprintf(number, sizeof(number), "%u", server->device);
    server->child = child_start(argv, "", true, ended, server);
    if (!server->child)
        log_error("disk %s: no process to %s its device: %s", server->target, word, strerror(errno));
    return server->child;
}

/* There is no server, and there will be none. */
static void give_up(struct server *server)
{
    server->phase = PHASE_FAILED;
    if (server->connected) {
        log_error("disk %s: its server is not started any more; the guest's requests to it fail from now on",
                  server->target);
        run_step(server, "disconnect", NULL, NULL, on_given_up);
    }
    tell_resized(server, "its server cannot be started again", "see the daemon's log");
}

/* The server has ended by itself or could not be reached, and no process of it is left. */
static void start_again(struct server *server)
{
    unsigned int delay_s;

    if (!server->connected) {
        give_up(server);
        return;
    }
    if (server->phase == PHASE_SERVING && time(NULL) - server->since > STEADY_S)
        server->failures = 0;
    if (server->failures++ >= RESTARTS_MAX) {
        give_up(server);
        return;
    }
    delay_s = server->failures > 1 ? 1U << (server->failures - 2) : 0;
    server->phase = PHASE_WAITING;
    log_warn("disk %s: its server is started again in %u s; the guest waits, and may lose what it wrote and did not "
             "flush", server->target, delay_s);
    set_timer(server, delay_s * 1000);
}

/* --- starting ----------------------------------------------------------------------------------------------------- */

static void on_connected(void *context, int status, const char *output)
{
    struct server *server = context;

    server->child = NULL;
    if (server->phase == PHASE_ENDING) {
        end(server);
        return;
    }
    if (status && server->process.pid) {
        log_error("disk %s: its server cannot be connected (status %#x): %s", server->target, status, output);
        kill(server->process.pid, SIGKILL); /* its end goes on from here */
        return;
    }
    if (status) {
        start_again(server);
        return;
    }
    server->connected = true;
    server->linked = true;
    server->since = time(NULL);
    server_record_write(server);
    if (!server->process.pid) {
        start_again(server);
        return;
    }
    server->phase = PHASE_SERVING;
    if (server->resize_error[0])
        tell_resized(server, server->resize_error, "free or convert what hinders it, or leave the size as it is");
    else
        tell_resized(server, NULL, NULL);
    server->resize_error[0] = '\0';
}

static void on_image_resized(void *context, int status, const char *output)
{
    struct server *server = context;

    server->child = NULL;
    if (server->phase == PHASE_ENDING) {
        end(server);
        return;
    }
    if (status) {
        snprintf(server->resize_error, sizeof(server->resize_error), "qemu-img does not resize %s: %.*s",
                 server->target, (int)strcspn(output, "\n"), output);
        log_error("disk %s stays as it is: %s", server->target, server->resize_error);
    } else {
        log_info("disk %s has %llu bytes now", server->target, (unsigned long long)server->bytes);
    }
    start(server);
}

/* The server has ended as it was told to: now nobody has the image open. */
static void resize_image(struct server *server)
{
    char *bytes = xasprintf("%llu", (unsigned long long)server->bytes);
    /* What it complains of is for the user: all of it goes where the daemon reads it. */
    char *argv[] = { "sh", "-c", "exec qemu-img resize -q -f \"$1\" -- \"$2\" \"$3\" 2>&1", "sh", server->format,
                     server->target, bytes, NULL };

    event_del(server->timer);
    if (server->bytes)
        server->child = child_start(argv, "", true, on_image_resized, server);
    if (server->bytes && !server->child)
        snprintf(server->resize_error, sizeof(server->resize_error), "no process for qemu-img: %s", strerror(errno));
    if (!server->child)
        start(server);
    free(bytes);
}

/* The process of the server has ended, as it was told to or not. */
static void on_end(int fd, short what, void *context)
{
    struct server *server = context;
    pid_t pid = server->process.pid;
    int status = server_process_end(&server->process);

    (void)fd;
    (void)what;
    server->linked = false;
    server_record_write(server);
    switch (server->phase) {
    case PHASE_ENDING:
        if (!server->child)
            forget(server);
        break;
    case PHASE_RESIZING:
        resize_image(server);
        break;
    case PHASE_STARTING:
    case PHASE_SERVING:
        log_error("the server of disk %s of domain %s (process %d) has ended with status %#x", server->target,
                  server->uuid, (int)pid, status);
        if (server->child)
            child_terminate(server->child); /* its end goes on from here */
        else
            start_again(server);
        break;
    case PHASE_WAITING:
    case PHASE_FAILED:
        break;
    }
}

static bool image_is_being_released(const struct server *self)
{
    const struct server *server;

    LIST_FOREACH(server, &servers, link) {
        if (server != self && server->phase == PHASE_ENDING && !strcmp(server->target, self->target))
            return true;
    }
    return false;
}

/* Start the process, and a child that connects the device to it. */
static void start(struct server *server)
{
    char name[SERVER_NAME_SIZE];
    char *socket = server_record_path(server, ".socket");
    int listener;

    server->phase = PHASE_STARTING;
    server->linked = false;
    server_record_write(server);
    listener = server_listen(socket);
    if (listener < 0 || !server_process_start(server, listener, on_end)) {
        log_error("disk %s: its server cannot be started: %s", server->target, strerror(errno));
        start_again(server);
    } else {
        server_name(server, name);
        if (!run_step(server, "connect", name, socket, on_connected))
            kill(server->process.pid, SIGKILL);
    }
    if (listener >= 0)
        close(listener);
    free(socket);
}

static void on_timer(int fd, short what, void *context)
{
    struct server *server = context;

    (void)fd;
    (void)what;
    switch (server->phase) {
    case PHASE_WAITING:
        if (image_is_being_released(server))
            set_timer(server, IMAGE_POLL_MS);
        else
            start(server);
        break;
    case PHASE_RESIZING:
        tell_resized(server, "its server does not come to an end", "see whether dom0's storage is too slow: dmesg");
        break;
    case PHASE_ENDING:
        if (!server->child) {
            log_warn("disk %s: its server has not ended after %d s; until then the image is locked", server->target,
                     STOP_TIMEOUT_S);
        } else if (server->process.pid) {
            log_error("disk %s: its server does not read and is killed", server->target);
            kill(server->process.pid, SIGKILL);
        }
        break;
    case PHASE_STARTING:
    case PHASE_SERVING:
    case PHASE_FAILED:
        break;
    }
}

static bool device_taken(unsigned int device)
{
    const struct server *server;

    LIST_FOREACH(server, &servers, link) {
        if (server->device == device)
            return true;
    }
    return nbd_device_used(device);
}

/* A device that nobody uses, which the kernel makes when it is first used; or -1. */
static int free_device(void)
{
    for (unsigned int device = 0; device < NBD_DEVICES_MAX; device++)
        if (!device_taken(device))
            return device;
    return -1;
}

bool disk_server_possible(const struct disk_config *disk, struct failure *failure)
{
    static const char remedy[] = "%s in dom0, or convert the image: qemu-img convert -O raw OLD NEW";

    if (!server_program_there())
        failure_remedy(failure, remedy, "install qemu-utils");
    else if (!nbd_known())
        failure_remedy(failure, remedy, "install the kernel's module nbd");
    else
        return true;
    failure_why(failure, "disk %s has format %s, which needs qemu-nbd and the kernel's module nbd", disk->target,
                disk->format);
    return false;
}

static void add(struct server *server)
{
    server->timer = evtimer_new(main_loop, on_timer, server);
    LIST_INSERT_HEAD(&servers, server, link);
}

int disk_server_start(const char *uuid, const struct disk_config *disk, struct failure *failure)
{
    struct server *server = find(uuid, disk->number);
    int device;

    if (server && server->phase != PHASE_FAILED)
        return 0; /* served on while its domain is made again */
    if (server)
        disk_server_stop(uuid, disk);
    if (!disk_server_possible(disk, failure))
        return -1;
    device = free_device();
    if (device < 0) {
        config_refuse(failure, "detach some disks, or convert images to raw",
                      "disk %s has format %s, and all nbd devices are in use", disk->target, disk->format);
        return -1;
    }
    server = xcalloc(1, sizeof(*server));
    strcpy(server->uuid, uuid);
    server->disk = disk->number;
    server->device = device;
    server->target = xstrdup(disk->target);
    server->format = xstrdup(disk->format);
    server->writable = disk->writable;
    server->phase = PHASE_WAITING;
    add(server);
    on_timer(-1, 0, server);
    return 0;
}

enum server_state disk_server_state(const char *uuid, const struct disk_config *disk, dev_t *node)
{
    const struct server *server = find(uuid, disk->number);

    if (!server || server->phase == PHASE_FAILED)
        return SERVER_FAILED;
    if (!server->connected)
        return SERVER_STARTING;
    return nbd_device_node(server->device, node) ? SERVER_READY : SERVER_FAILED;
}

/* --- another size ------------------------------------------------------------------------------------------------- */

bool disk_server_resize(const char *uuid, const struct disk_config *disk, uint64_t bytes, disk_resized_fn resized,
                        void *context, struct failure *failure)
{
    struct server *server = find(uuid, disk->number);
    uint64_t now = server ? nbd_device_size(server->device) : 0;

    if (!server || server->phase != PHASE_SERVING)
        return config_refuse(failure, "try again in a moment", "its server does not run now");
    if (!server->writable)
        return config_refuse(failure, "attach it writable", "the disk is read-only");
    if (bytes % 512 || bytes < now)
        return config_refuse(failure, "give a size in MiB that is not less than now", "the disk has %llu MiB now and "
                             "cannot shrink while it is used", (unsigned long long)now >> 20);
    server->bytes = bytes;
    server->resized = resized;
    server->context = context;
    server->phase = PHASE_RESIZING;
    /* It finishes what it has begun and writes what it holds. What the guest asks for meanwhile waits in the kernel. */
    kill(server->process.pid, SIGTERM);
    set_timer(server, STOP_TIMEOUT_S * 1000);
    return true;
}

void disk_server_forget_caller(const void *context)
{
    struct server *server;

    LIST_FOREACH(server, &servers, link) {
        if (server->resized && server->context == context)
            server->resized = NULL;
    }
}

/* --- ending ------------------------------------------------------------------------------------------------------ */

/* The device has been told to let go of the server: now that one may end. */
static void on_disconnected(void *context, int status, const char *output)
{
    struct server *server = context;

    if (status)
        log_error("disk %s: its device cannot be disconnected: %s", server->target, output);
    server->child = NULL;
    event_del(server->timer);
    /* It may well have ended by itself, as its only client is gone. It is waited for: what it holds must be written. */
    if (server->process.pid) {
        kill(server->process.pid, SIGTERM);
        set_timer(server, STOP_TIMEOUT_S * 1000);
    } else {
        forget(server);
    }
}

/* Go on with the end of a server, of which no child runs. */
static void end(struct server *server)
{
    char name[SERVER_NAME_SIZE];

    server_name(server, name);
    if (nbd_device_is(server->device, name) && run_step(server, "disconnect", NULL, NULL, on_disconnected))
        set_timer(server, DISCONNECT_TIMEOUT_S * 1000);
    else
        on_disconnected(server, 0, "");
}

static void stop(struct server *server)
{
    bool resizing_image = server->phase == PHASE_RESIZING;

    server->phase = PHASE_ENDING;
    tell_resized(server, "the disk is being detached", "see whether it is still there: domus block-list");
    event_del(server->timer);
    if (!server->child)
        end(server);
    else if (!resizing_image)
        child_terminate(server->child); /* otherwise it is waited for: half a change is none */
}

void disk_server_stop(const char *uuid, const struct disk_config *disk)
{
    struct server *server, *next;

    for (server = LIST_FIRST(&servers); server; server = next) {
        next = LIST_NEXT(server, link);
        if (server->phase != PHASE_ENDING && !strcmp(server->uuid, uuid) && (!disk || server->disk == disk->number))
            stop(server);
    }
}

void disk_server_stop_unwanted(const char *uuid)
{
    struct server *server, *next;

    for (server = LIST_FIRST(&servers); server; server = next) {
        next = LIST_NEXT(server, link);
        if (server->phase != PHASE_ENDING && !strcmp(server->uuid, uuid) && !server_is_wanted(server))
            stop(server);
    }
}

/* --- after a restart of the daemon -------------------------------------------------------------------------------- */

/* The daemon may have ended at any point: only a server that is known to be connected is left as it is. */
static void recover(struct server *server)
{
    char name[SERVER_NAME_SIZE];

    add(server);
    server_name(server, name);
    server->connected = nbd_device_is(server->device, name);
    if (!server_process_adopt(server, on_end))
        server->linked = false;
    if (!server->connected || !server_is_wanted(server)) {
        stop(server);
    } else if (server->linked) {
        server->phase = PHASE_SERVING;
        server->since = time(NULL);
    } else if (server->process.pid) {
        server->phase = PHASE_STARTING;
        kill(server->process.pid, SIGTERM); /* its end goes on from here */
    } else {
        start_again(server);
    }
}

void disk_servers_recover(void)
{
    server_records_read(recover);
}
