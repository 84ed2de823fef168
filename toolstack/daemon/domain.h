/* SPDX-License-Identifier: MIT */
/*
 * The domains that the daemon manages: what is known of each, where it stands in its life, its record in RUN_DIR.
 */
#ifndef DOMUSD_DOMAIN_H
#define DOMUSD_DOMAIN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <time.h>

#include <jansson.h>

#include "child.h"
#include "config.h"
#include "console.h"
#include "devices.h"
#include "lib/failure.h"

enum domain_state {
    DOMAIN_BUILDING,   /* being made; undone if the daemon restarts */
    DOMAIN_RUNNING,    /* made; the guest may be paused or blocked */
    DOMAIN_DUMPING,    /* the guest has ended; its core is being written */
    DOMAIN_ENDING,     /* being taken down, for good */
    DOMAIN_RESTARTING, /* being taken down, to be made again */
    DOMAIN_PRESERVED,  /* the guest has ended; kept to be looked at */
};

struct core_dump;

/* A page shared with the guest and the guest's end of its event channel. */
struct guest_ring {
    uint64_t frame;
    uint32_t port;
};

/* Called once, when what was asked for has come about (`failure` NULL) or will not. */
typedef void (*domain_fn)(void *context, const struct failure *failure);

/* Somebody who waits for a domain to be made, or to be gone. */
struct waiter {
    TAILQ_ENTRY(waiter) link;
    domain_fn done;
    void *context;
};
TAILQ_HEAD(waiters, waiter);

struct domain {
    LIST_ENTRY(domain) link;
    enum domain_state state;
    json_t *object; /* the configuration as it came */
    struct config *config;
    int domid; /* -1: none at the moment */
    struct guest_ring store, console_ring;
    struct console *console;
    struct devices *devices;
    LIST_HEAD(, hotplug) hotplugs; /* attaching and detaching that goes on (hotplug.h) */
    bool start_paused;
    bool remade; /* not made for the first time */
    time_t started; /* seconds after the host's start */
    unsigned int short_lives; /* of its guest, in a row */
    bool waiting; /* to be made again, for some time */
    struct core_dump *dump; /* while it is written */
    enum end_action after_dump;
    json_t *next; /* the configuration for when it is made again, or NULL: the same */
    struct child *child; /* builder or reaper at work */
    struct event *timer, *room_timer;
    struct waiters made, ended;
    void (*progress)(void *context, const char *step);
    void *progress_context;
    struct failure failure; /* why it is being undone */
    bool failed;
    int polls; /* how often it was found not to be gone yet */
};

LIST_HEAD(domain_list, domain);
extern struct domain_list domains;

/* Takes over `config`, and a reference to `object`. `fresh`: not one that a record tells of. */
struct domain *domain_new(json_t *object, struct config *config, bool fresh);
/* Forget it: its record goes, waiters are told. */
void domain_free(struct domain *domain);

struct domain *domain_by_name(const char *name);
struct domain *domain_by_id(int domid);

/* Let the configuration that it is to have when it is made again be its own, if there is one and it still holds. */
void domain_use_next(struct domain *domain);

/* Whether it is made and not being taken down: what the store has of it may be changed. */
bool domain_stands(const struct domain *domain);

/* How long its guest has run, in seconds. */
time_t domain_uptime(const struct domain *domain);

/* Call `done` when it was made (domain->made) or is gone (domain->ended). */
struct waiter *waiter_add(struct waiters *waiters, domain_fn done, void *context);
void waiter_remove(struct waiters *waiters, struct waiter *waiter);
void waiters_tell(struct waiters *waiters, const struct failure *failure);

/* Write its record, so that a restart finds it as it is now. */
void domain_save(const struct domain *domain);

/* Read all records and make the domains of them, without console or devices. */
void domains_load(void);

/* "disk FILE is used by domain X": the first thing that `config` shares with another domain and must not. */
bool domain_conflict(const struct config *config, struct failure *failure);

/* The same for the devices of `config` alone; `self` is the domain that they are for. */
bool device_conflict(const struct config *config, const struct domain *self, struct failure *failure);

#endif
