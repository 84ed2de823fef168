/* SPDX-License-Identifier: MIT */
/*
 * Records of servers of disk images: see disk_server_record.h. Each is replaced as a whole, so that a reader finds the
 * old one or the new one.
 */
#include "disk_server_record.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

#include "daemon.h"
#include "domain.h"
#include "lib/alloc.h"
#include "lib/log.h"

#define RECORD_DIR RUN_DIR "/images"

void server_name(const struct server *server, char name[SERVER_NAME_SIZE])
{
    snprintf(name, SERVER_NAME_SIZE, "domus %s %u", server->uuid, server->disk);
}

char *server_record_path(const struct server *server, const char *suffix)
{
    return xasprintf(RECORD_DIR "/%u%s", server->device, suffix);
}

void server_record_write(const struct server *server)
{
    char *path = server_record_path(server, ""), *fresh = server_record_path(server, ".new");
    json_t *record = json_pack("{s:s, s:I, s:s, s:s, s:b, s:i, s:b}", "uuid", server->uuid, "disk",
                               (json_int_t)server->disk, "target", server->target, "format", server->format,
                               "writable", server->writable, "pid", (int)server->process.pid, "linked",
                               server->linked);

    if (mkdir(RECORD_DIR, 0700) < 0 && errno != EEXIST)
        log_error("cannot make " RECORD_DIR ": %s", strerror(errno));
    if (!record || json_dump_file(record, fresh, JSON_COMPACT) < 0 || rename(fresh, path) < 0)
        log_error("cannot write %s (%s): a restart of the daemon would not find the server of disk %s", path,
                  strerror(errno), server->target);
    json_decref(record);
    free(path);
    free(fresh);
}

void server_record_remove(const struct server *server)
{
    static const char *const suffixes[] = { "", ".socket" };

    for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
        char *path = server_record_path(server, suffixes[i]);

        unlink(path);
        free(path);
    }
}

static struct server *parse(const json_t *record, unsigned int device)
{
    const char *uuid, *target, *format;
    int writable, pid, linked;
    struct server *server;
    json_int_t disk;

    if (json_unpack((json_t *)record, "{s:s, s:I, s:s, s:s, s:b, s:i, s:b}", "uuid", &uuid, "disk", &disk, "target",
                    &target, "format", &format, "writable", &writable, "pid", &pid, "linked", &linked) < 0 ||
        strlen(uuid) >= sizeof(server->uuid) || pid < 0)
        return NULL;
    server = xcalloc(1, sizeof(*server));
    strcpy(server->uuid, uuid);
    server->disk = disk;
    server->device = device;
    server->target = xstrdup(target);
    server->format = xstrdup(format);
    server->writable = writable;
    server->process.pid = pid;
    server->linked = linked;
    return server;
}

void server_records_read(void (*recover)(struct server *server))
{
    DIR *directory = opendir(RECORD_DIR);
    struct dirent *entry;

    while (directory && (entry = readdir(directory))) {
        char *path = xasprintf(RECORD_DIR "/%s", entry->d_name), *rest;
        unsigned int device = strtoul(entry->d_name, &rest, 10);
        struct server *server;
        json_t *record;

        if (rest != entry->d_name && !*rest) {
            record = json_load_file(path, 0, NULL);
            server = record ? parse(record, device) : NULL;
            json_decref(record);
            if (server)
                recover(server);
            else
                unlink(path);
        }
        free(path);
    }
    if (directory)
        closedir(directory);
}

bool server_is_wanted(const struct server *server)
{
    const struct domain *domain;

    LIST_FOREACH(domain, &domains, link) {
        const struct config *config = domain->config;

        for (unsigned int i = 0; i < config->disk_count; i++)
            if (config->disks[i].number == server->disk && !strcmp(config->uuid, server->uuid) &&
                !strcmp(config->disks[i].target, server->target))
                return true;
    }
    return false;
}

void server_free(struct server *server)
{
    free(server->target);
    free(server->format);
    free(server);
}
