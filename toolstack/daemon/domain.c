/* SPDX-License-Identifier: MIT */
/*
 * The table of domains and their records: one JSON file a domain, replaced as a whole.
 */
#include "domain.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon.h"
#include "host.h"
#include "lib/alloc.h"
#include "lib/log.h"
#include "store_file.h"

#define RECORD_DIR RUN_DIR "/domains"

struct domain_list domains = LIST_HEAD_INITIALIZER(domains);

static const char *const state_names[] = {
    [DOMAIN_BUILDING] = "building", [DOMAIN_RUNNING] = "running", [DOMAIN_ENDING] = "ending",
    [DOMAIN_RESTARTING] = "restarting", [DOMAIN_PRESERVED] = "preserved",
    /* A daemon that starts anew finds that the guest has ended, and begins again with its core. */
    [DOMAIN_DUMPING] = "running",
};

struct domain *domain_new(json_t *object, struct config *config, bool fresh)
{
    struct domain *domain = xcalloc(1, sizeof(*domain));

    domain->object = json_incref(object);
    domain->config = config;
    domain->domid = -1;
    domain->remade = !fresh;
    domain->console = console_new(config->name, fresh);
    TAILQ_INIT(&domain->made);
    TAILQ_INIT(&domain->ended);
    LIST_INSERT_HEAD(&domains, domain, link);
    return domain;
}

static char *record_path(const struct domain *domain)
{
    return xasprintf("%s/%s.json", RECORD_DIR, domain->config->uuid);
}

void domain_free(struct domain *domain)
{
    char *path = record_path(domain);
    struct failure gone;

    /* Its nodes are out of the store for good before the record that would have them removed is. */
    store_file_write();
    unlink(path);
    free(path);
    LIST_REMOVE(domain, link);
    failure_what(&gone, "domain %s is gone", domain->config->name);
    failure_why(&gone, "it was destroyed, or ended by itself");
    failure_remedy(&gone, "create it again");
    waiters_tell(&domain->made, &gone);
    console_free(domain->console);
    devices_free(domain->devices);
    if (domain->timer)
        event_free(domain->timer);
    if (domain->room_timer)
        event_free(domain->room_timer);
    waiters_tell(&domain->ended, NULL);
    config_free(domain->config);
    json_decref(domain->object);
    json_decref(domain->next);
    free(domain);
}

struct domain *domain_by_name(const char *name)
{
    struct domain *domain;

    LIST_FOREACH(domain, &domains, link) {
        if (!strcmp(domain->config->name, name))
            return domain;
    }
    return NULL;
}

struct domain *domain_by_id(int domid)
{
    struct domain *domain;

    LIST_FOREACH(domain, &domains, link) {
        if (domid >= 0 && domain->domid == domid)
            return domain;
    }
    return NULL;
}

void domain_use_next(struct domain *domain)
{
    struct failure failure;
    struct config *config;

    if (!domain->next)
        return;
    config = config_parse(domain->next, &failure);
    if (config) {
        config_free(domain->config);
        domain->config = config;
        json_decref(domain->object);
        domain->object = json_incref(domain->next);
    } else {
        log_error("domain %s: its new configuration is not used: %s", domain->config->name, failure.why);
    }
    json_decref(domain->next);
    domain->next = NULL;
}

bool domain_stands(const struct domain *domain)
{
    return domain->state == DOMAIN_RUNNING || domain->state == DOMAIN_DUMPING || domain->state == DOMAIN_PRESERVED;
}

time_t domain_uptime(const struct domain *domain)
{
    return host_uptime() - domain->started;
}

struct waiter *waiter_add(struct waiters *waiters, domain_fn done, void *context)
{
    struct waiter *waiter = xcalloc(1, sizeof(*waiter));

    waiter->done = done;
    waiter->context = context;
    TAILQ_INSERT_TAIL(waiters, waiter, link);
    return waiter;
}

void waiter_remove(struct waiters *waiters, struct waiter *waiter)
{
    TAILQ_REMOVE(waiters, waiter, link);
    free(waiter);
}

void waiters_tell(struct waiters *waiters, const struct failure *failure)
{
    struct waiter *waiter;

    while ((waiter = TAILQ_FIRST(waiters))) {
        domain_fn done = waiter->done;
        void *context = waiter->context;

        waiter_remove(waiters, waiter);
        done(context, failure);
    }
}

/* --- records ----------------------------------------------------------------------------------------------------- */

void domain_save(const struct domain *domain)
{
    char *path = record_path(domain), *fresh = xasprintf("%s.new", path);
    json_t *record = json_pack("{s:s, s:i, s:I, s:{s:I, s:I}, s:{s:I, s:I}, s:O}", "state",
                               state_names[domain->state], "domid", domain->domid, "started",
                               (json_int_t)domain->started, "store", "frame",
                               (json_int_t)domain->store.frame, "port", (json_int_t)domain->store.port, "console",
                               "frame", (json_int_t)domain->console_ring.frame, "port",
                               (json_int_t)domain->console_ring.port, "config", domain->object);

    if (domain->next)
        json_object_set(record, "next", domain->next);
    /* The record may rely on what is in the store, so that is kept first. */
    store_file_write();
    if (mkdir(RECORD_DIR, 0700) < 0 && errno != EEXIST)
        log_error("cannot make " RECORD_DIR ": %s", strerror(errno));
    if (!record || json_dump_file(record, fresh, JSON_INDENT(2)) < 0 || rename(fresh, path) < 0)
        log_error("domain %s: its record %s cannot be written (%s): a restart of the daemon would not find it",
                  domain->config->name, path, strerror(errno));
    json_decref(record);
    free(path);
    free(fresh);
}

static bool parse_state(const char *name, enum domain_state *state)
{
    for (size_t i = 0; i < sizeof(state_names) / sizeof(state_names[0]); i++) {
        if (!strcmp(name, state_names[i])) {
            *state = i;
            return true;
        }
    }
    return false;
}

/* Make a domain of a record; false if it is none. */
static bool load_record(const char *path)
{
    json_t *record = json_load_file(path, 0, NULL), *object;
    json_int_t started, store_frame, store_port, console_frame, console_port;
    const char *state_name;
    enum domain_state state;
    struct failure failure;
    struct config *config;
    struct domain *domain;
    int domid;

    if (json_unpack(record, "{s:s, s:i, s:I, s:{s:I, s:I}, s:{s:I, s:I}, s:o}", "state", &state_name, "domid",
                    &domid, "started", &started, "store", "frame", &store_frame, "port",
                    &store_port, "console", "frame", &console_frame, "port", &console_port, "config", &object) < 0 ||
        !parse_state(state_name, &state) || !(config = config_parse(object, &failure))) {
        json_decref(record);
        return false;
    }
    domain = domain_new(object, config, false);
    domain->next = json_incref(json_object_get(record, "next"));
    domain->state = state;
    domain->domid = domid;
    domain->started = started;
    domain->store = (struct guest_ring){ .frame = store_frame, .port = store_port };
    domain->console_ring = (struct guest_ring){ .frame = console_frame, .port = console_port };
    json_decref(record);
    return true;
}

void domains_load(void)
{
    DIR *directory = opendir(RECORD_DIR);
    struct dirent *entry;

    while (directory && (entry = readdir(directory))) {
        size_t length = strlen(entry->d_name);
        char *path;

        if (length < 5 || strcmp(entry->d_name + length - 5, ".json"))
            continue;
        path = xasprintf("%s/%s", RECORD_DIR, entry->d_name);
        if (!load_record(path))
            log_error("the record %s is damaged: its domain, if there is one, is not managed any more", path);
        free(path);
    }
    if (directory)
        closedir(directory);
}

/* --- sharing ----------------------------------------------------------------------------------------------------- */

static bool same_file(const char *a, const char *b)
{
    struct stat one, other;

    if (stat(a, &one) < 0 || stat(b, &other) < 0)
        return !strcmp(a, b);
    if (S_ISBLK(one.st_mode) && S_ISBLK(other.st_mode))
        return one.st_rdev == other.st_rdev;
    return one.st_dev == other.st_dev && one.st_ino == other.st_ino;
}

static bool disk_conflict(const struct disk_config *disk, const struct domain *other, struct failure *failure)
{
    for (unsigned int i = 0; i < other->config->disk_count; i++) {
        const struct disk_config *used = &other->config->disks[i];

        if ((disk->writable || used->writable) && same_file(disk->target, used->target)) {
            failure_why(failure, "disk %s is in use by domain %s, and one of the two may write to it", disk->target,
                        other->config->name);
            failure_remedy(failure, "give it a copy, shut %s down, or make the disk ro in both", other->config->name);
            return true;
        }
    }
    return false;
}

static bool vif_conflict(const struct vif_config *vif, const struct domain *other, struct failure *failure)
{
    for (unsigned int i = 0; i < other->config->vif_count; i++) {
        if (!strcasecmp(other->config->vifs[i].mac, vif->mac) && !strcmp(other->config->vifs[i].bridge, vif->bridge) &&
            other->config->vifs[i].vlan == vif->vlan) {
            failure_why(failure, "a network card of domain %s has the same address %s", other->config->name, vif->mac);
            failure_remedy(failure, "give this one another by mac= in vif=");
            return true;
        }
    }
    return false;
}

bool device_conflict(const struct config *config, const struct domain *self, struct failure *failure)
{
    const struct domain *other;

    LIST_FOREACH(other, &domains, link) {
        for (unsigned int i = 0; other != self && i < config->disk_count; i++)
            if (disk_conflict(&config->disks[i], other, failure))
                return true;
        for (unsigned int i = 0; other != self && i < config->vif_count; i++)
            if (vif_conflict(&config->vifs[i], other, failure))
                return true;
    }
    return false;
}

bool domain_conflict(const struct config *config, struct failure *failure)
{
    const struct domain *other;

    LIST_FOREACH(other, &domains, link) {
        if (!strcmp(other->config->name, config->name)) {
            failure_why(failure, "the name %s is in use%s", config->name,
                        other->state == DOMAIN_ENDING ? ": that domain is just being taken down" : "");
            failure_remedy(failure, "choose another name, or end that domain first (domus shutdown %s)",
                           config->name);
            return true;
        }
        if (!strcmp(other->config->uuid, config->uuid)) {
            failure_why(failure, "domain %s has the same uuid %s", other->config->name, config->uuid);
            failure_remedy(failure, "leave uuid out of the configuration to have a new one");
            return true;
        }
    }
    return device_conflict(config, NULL, failure);
}
