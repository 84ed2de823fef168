/* SPDX-License-Identifier: MIT */
/*
 * What the daemon knows of the server of a disk's image, and keeps in RUN_DIR/images for the daemon after it.
 */
#ifndef DOMUSD_DISK_SERVER_RECORD_H
#define DOMUSD_DISK_SERVER_RECORD_H

#include <event2/event.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>
#include <time.h>

#include "disk_server.h"

#define SERVER_NAME_SIZE 64

struct child;

enum server_phase {
    PHASE_WAITING,  /* for the time to be started */
    PHASE_STARTING, /* its process runs, a child connects the device to it */
    PHASE_SERVING,
    PHASE_RESIZING, /* its process is to end, or has ended and a child changes the image */
    PHASE_FAILED,   /* there is none, nor will there be */
    PHASE_ENDING,   /* its device is disconnected by a child, then it ends */
};

/* The process: qemu-nbd. */
struct server_process {
    pid_t pid; /* 0: none */
    int pidfd;
    struct event *end;
};

struct server {
    LIST_ENTRY(server) link;
    /* In the record: */
    char uuid[37];       /* of the domain */
    uint32_t disk;       /* its number in the guest */
    unsigned int device; /* N of /dev/nbdN */
    char *target, *format;
    bool writable;
    struct server_process process; /* (its pid) */
    bool linked;                   /* the device is connected to this process */
    /* Besides: */
    enum server_phase phase;
    bool connected; /* the device has been connected, if not to this process */
    struct child *child;
    struct event *timer;
    unsigned int failures; /* in a row */
    time_t since;          /* it serves */
    /* Of a resizing: */
    uint64_t bytes; /* 0: not wanted any more */
    disk_resized_fn resized;
    void *context;
    char resize_error[512];
};

LIST_HEAD(server_list, server);

/* The name in which its device is connected. */
void server_name(const struct server *server, char name[SERVER_NAME_SIZE]);

/* RUN_DIR/images/N and `suffix`; to be freed. */
char *server_record_path(const struct server *server, const char *suffix);

void server_record_write(const struct server *server);
void server_record_remove(const struct server *server);

/* Give all that the records tell of, new ones, to `recover`. Unreadable records are removed. */
void server_records_read(void (*recover)(struct server *server));

/* Whether a domain has the disk. */
bool server_is_wanted(const struct server *server);

void server_free(struct server *server);

#endif
