/* SPDX-License-Identifier: MIT */
/*
 * Servers of disk images: see disk_server.h. A server runs in the foreground as a child of the daemon; after a restart
 * of that it is nobody's child that matters, and its end is seen by its pidfd (pidfd_open(2)), as that of all of them.
 */
#include "disk_server.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon.h"
#include "domain.h"
#include "lib/alloc.h"
#include "lib/log.h"

#define STATE_DIR RUN_DIR "/images"
#define DEVICES_MAX 64
#define PROGRAM "qemu-nbd"

struct server {
    LIST_ENTRY(server) link;
    char uuid[37];
    uint32_t disk; /* its number in the guest */
    unsigned int device; /* N of /dev/nbdN */
    pid_t pid;
    int pidfd;
    struct event *end;
    bool ended, stopping;
};

static LIST_HEAD(, server) servers = LIST_HEAD_INITIALIZER(servers);

static struct server *find(const char *uuid, uint32_t disk)
{
    struct server *server;

    LIST_FOREACH(server, &servers, link) {
        if (server->disk == disk && !server->stopping && !strcmp(server->uuid, uuid))
            return server;
    }
    return NULL;
}

static char *record_path(const struct server *server)
{
    return xasprintf(STATE_DIR "/%u", server->device);
}

static void save(const struct server *server)
{
    char *path = record_path(server);
    FILE *file;

    file = fopen(path, "we");
    if (!file || fprintf(file, "%s %u %d\n", server->uuid, server->disk, (int)server->pid) < 0)
        log_warn("cannot write %s: a restart of the daemon would not find the server of a disk", path);
    if (file)
        fclose(file);
    free(path);
}

static void forget(struct server *server)
{
    char *path = record_path(server);

    unlink(path);
    free(path);
    LIST_REMOVE(server, link);
    event_free(server->end);
    close(server->pidfd);
    free(server);
}

/* The process has ended, as it was told to or not. */
static void on_end(int fd, short what, void *context)
{
    struct server *server = context;
    int status = 0;

    (void)fd;
    (void)what;
    waitpid(server->pid, &status, WNOHANG);
    server->ended = true;
    if (server->stopping) {
        forget(server);
        return;
    }
    log_error("the server of disk %u of domain %s (" PROGRAM ", process %d) has ended with status %#x: the guest's "
              "requests to it fail from now on", server->disk, server->uuid, (int)server->pid, status);
    event_del(server->end);
}

/* Be told of the end of server->pid. False if there is no such process. */
static bool follow(struct server *server)
{
    server->pidfd = syscall(SYS_pidfd_open, server->pid, 0);
    if (server->pidfd < 0)
        return false;
    server->end = event_new(main_loop, server->pidfd, EV_READ | EV_PERSIST, on_end, server);
    event_add(server->end, NULL);
    LIST_INSERT_HEAD(&servers, server, link);
    return true;
}

/* --- devices ----------------------------------------------------------------------------------------------------- */

/* Whether the kernel has /dev/nbdN and, if so, whether a server is connected to it. */
static bool device_there(unsigned int device, bool *connected)
{
    char path[48];

    snprintf(path, sizeof(path), "/sys/block/nbd%u", device);
    if (access(path, F_OK) < 0)
        return false;
    snprintf(path, sizeof(path), "/sys/block/nbd%u/pid", device);
    *connected = access(path, F_OK) == 0;
    return true;
}

static bool device_taken(unsigned int device)
{
    const struct server *server;

    LIST_FOREACH(server, &servers, link) {
        if (server->device == device)
            return true;
    }
    return false;
}

/* A device that nobody uses, or will use once the module is loaded that makes them; or -1. */
static int free_device(void)
{
    bool connected = false, loaded = device_there(0, &connected);

    for (unsigned int device = 0; device < DEVICES_MAX && (!loaded || device_there(device, &connected)); device++)
        if (!connected && !device_taken(device))
            return device;
    return -1;
}

/* Whether the kernel has the module, loaded or not: modprobe's own list tells, without waiting for modprobe. */
static bool module_known(void)
{
    char *path, *line = NULL;
    bool known, connected;
    struct utsname host;
    size_t size = 0;
    FILE *list;

    known = device_there(0, &connected);
    if (known || uname(&host) < 0)
        return known;
    path = xasprintf("/lib/modules/%s/modules.dep", host.release);
    list = fopen(path, "re");
    free(path);
    while (list && !known && getline(&line, &size, list) > 0)
        known = strstr(line, "/nbd.ko") != NULL;
    if (list)
        fclose(list);
    free(line);
    return known;
}

/* In a process of its own: the daemon does not wait for modprobe. */
static void load_module(void)
{
    char command[64];
    bool connected;

    snprintf(command, sizeof(command), "modprobe -q nbd nbds_max=%d max_part=0", DEVICES_MAX);
    if (!device_there(0, &connected) && system(command) != 0)
        log_error("module nbd cannot be loaded");
}

static bool program_there(void)
{
    const char *folders[] = { "/usr/bin/" PROGRAM, "/usr/sbin/" PROGRAM, "/usr/local/bin/" PROGRAM, "/bin/" PROGRAM };

    for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++)
        if (access(folders[i], X_OK) == 0)
            return true;
    return false;
}

bool disk_server_possible(const struct disk_config *disk, struct failure *failure)
{
    if (!program_there())
        return config_refuse(failure, "install qemu-utils in dom0, or convert the image: qemu-img convert -O raw OLD NEW",
                             "disk %s has format %s, which " PROGRAM " would serve, and that is not installed",
                             disk->target, disk->format);
    if (!module_known())
        return config_refuse(failure, "install that module in dom0, or convert the image: qemu-img convert -O raw OLD NEW",
                             "disk %s has format %s, for which the kernel module nbd is needed, and it is not there",
                             disk->target, disk->format);
    return true;
}

/* --- starting ---------------------------------------------------------------------------------------------------- */

/* Past dom0's cache, where the file system can: the guest caches anyway. Flushes are honoured in both modes. */
static const char *cache_mode(const char *image)
{
    int fd = open(image, O_RDONLY | O_DIRECT | O_CLOEXEC);

    if (fd < 0)
        return "--cache=writeback";
    close(fd);
    return "--cache=none";
}

/* In the new process. */
static void run(const struct disk_config *disk, unsigned int device)
{
    char *connect = xasprintf("--connect=/dev/nbd%u", device), *format = xasprintf("--format=%s", disk->format);
    char *socket = xasprintf("--socket=" STATE_DIR "/nbd%u.socket", device);
    /* Verbose ones stay in the foreground. */
    char *argv[] = {
        PROGRAM, "--verbose", connect, socket, format, (char *)cache_mode(disk->target), "--discard=unmap",
        disk->writable ? "--persistent" : "--read-only", "--", disk->target, NULL,
    };
    sigset_t none;

    setsid();
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    load_module();
    execvp(argv[0], argv);
    log_error("cannot run " PROGRAM ": %s", strerror(errno));
    _exit(127);
}

int disk_server_start(const char *uuid, const struct disk_config *disk, struct failure *failure)
{
    struct server *server = find(uuid, disk->number);
    int device;

    if (server && !server->ended)
        return 0; /* served on while its domain is made again */
    if (server)
        forget(server);
    if (!disk_server_possible(disk, failure))
        return -1;
    device = free_device();
    if (device < 0) {
        config_refuse(failure, "load module nbd with a larger nbds_max=, or convert images to raw",
                      "disk %s has format %s, and all nbd devices are in use", disk->target, disk->format);
        return -1;
    }
    if (mkdir(STATE_DIR, 0700) < 0 && errno != EEXIST)
        log_error("cannot make " STATE_DIR ": %s", strerror(errno));
    server = xcalloc(1, sizeof(*server));
    strcpy(server->uuid, uuid);
    server->disk = disk->number;
    server->device = device;
    server->pid = fork();
    if (server->pid == 0)
        run(disk, device);
    if (server->pid < 0 || !follow(server)) {
        config_refuse(failure, "free memory or processes in dom0", "no process for " PROGRAM ": %s", strerror(errno));
        free(server);
        return -1;
    }
    save(server);
    return 0;
}

/* The size of a block device in sectors. */
static unsigned long long device_size(unsigned int device)
{
    unsigned long long sectors = 0;
    char path[48];
    FILE *file;

    snprintf(path, sizeof(path), "/sys/block/nbd%u/size", device);
    file = fopen(path, "re");
    if (file) {
        if (fscanf(file, "%llu", &sectors) != 1)
            sectors = 0;
        fclose(file);
    }
    return sectors;
}

enum server_state disk_server_state(const char *uuid, const struct disk_config *disk, dev_t *node)
{
    const struct server *server = find(uuid, disk->number);
    struct stat info;
    bool connected;
    char path[24];

    if (!server || server->ended)
        return SERVER_FAILED;
    if (!device_there(server->device, &connected) || !connected || device_size(server->device) == 0)
        return SERVER_STARTING;
    snprintf(path, sizeof(path), "/dev/nbd%u", server->device);
    if (stat(path, &info) < 0)
        return SERVER_FAILED;
    *node = info.st_rdev;
    return SERVER_READY;
}

/* --- ending ------------------------------------------------------------------------------------------------------ */

static void stop(struct server *server)
{
    if (server->ended) {
        forget(server);
        return;
    }
    server->stopping = true;
    kill(server->pid, SIGTERM);
}

void disk_server_stop(const char *uuid, const struct disk_config *disk)
{
    struct server *server, *next;

    for (server = LIST_FIRST(&servers); server; server = next) {
        next = LIST_NEXT(server, link);
        if (!server->stopping && !strcmp(server->uuid, uuid) && (!disk || server->disk == disk->number))
            stop(server);
    }
}

/* Take up the server that a record tells of. */
static void recover(const char *name)
{
    struct server *server = xcalloc(1, sizeof(*server));
    char *path = xasprintf(STATE_DIR "/%s", name);
    FILE *file = fopen(path, "re");
    const struct domain *domain;
    bool connected = false, known = false;
    int pid;

    server->device = strtoul(name, NULL, 10);
    if (!file || fscanf(file, "%36s %u %d", server->uuid, &server->disk, &pid) != 3 || pid <= 1 ||
        !device_there(server->device, &connected) || !connected) {
        unlink(path);
        free(server);
        server = NULL;
    }
    if (file)
        fclose(file);
    if (server) {
        server->pid = pid;
        if (follow(server)) {
            LIST_FOREACH(domain, &domains, link)
                known |= !strcmp(domain->config->uuid, server->uuid);
            if (!known)
                stop(server);
        } else {
            unlink(path);
            free(server);
        }
    }
    free(path);
}

void disk_servers_recover(void)
{
    DIR *directory = opendir(STATE_DIR);
    struct dirent *entry;

    while (directory && (entry = readdir(directory)))
        if (entry->d_name[0] >= '0' && entry->d_name[0] <= '9')
            recover(entry->d_name);
    if (directory)
        closedir(directory);
}
