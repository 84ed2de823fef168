/* SPDX-License-Identifier: MIT */
/*
 * What becomes of a domain whose guest has ended. First, if it is wanted, its core is written, while the domain stands
 * still; then the domain is taken down for good, or to be made again, or is kept, under its own name or another.
 */
#include "guest_end.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core_dump.h"
#include "daemon.h"
#include "events.h"
#include "guest_store.h"
#include "host.h"
#include "lib/alloc.h"
#include "lib/hypercall.h"
#include "lib/log.h"
#include "lifecycle.h"

/* A guest that ends sooner than this after its start may be one that will always do so. */
#define SHORT_LIFE_S 60
#define DELAY_MAX_S 60

unsigned int restart_delay(unsigned int short_lives)
{
    if (short_lives < 2)
        return 0;
    return short_lives - 2 < 6 ? 1U << (short_lives - 2) : DELAY_MAX_S;
}

static void restart(struct domain *domain)
{
    domain->short_lives = domain_uptime(domain) < SHORT_LIFE_S ? domain->short_lives + 1 : 0;
    lifecycle_take_down(domain, DOMAIN_RESTARTING);
}

static void preserve(struct domain *domain)
{
    log_info("domain %s is kept; domus destroy %s ends it", domain->config->name, domain->config->name);
    domain->state = DOMAIN_PRESERVED;
    domain_save(domain);
    waiters_tell(&domain->ended, NULL);
}

/* --- rename-restart ---------------------------------------------------------------------------------------------- */

/*
 * The configuration under which the remains of a domain are kept: a name with the date, a new uuid, and no devices, which
 * its successor needs. NULL if that name is not free.
 */
static struct config *remains_config(const struct domain *domain, json_t **object)
{
    time_t now = time(NULL);
    struct failure failure;
    struct config *config;
    char name[NAME_LENGTH_MAX + 1], date[24];
    struct tm tm;

    gmtime_r(&now, &tm);
    strftime(date, sizeof(date), "-%Y%m%dT%H%M%SZ", &tm);
    snprintf(name, sizeof(name), "%.*s%s", (int)(NAME_LENGTH_MAX - strlen(date)), domain->config->name, date);
    *object = json_deep_copy(domain->object);
    json_object_set_new(*object, "name", json_string(name));
    json_object_del(*object, "uuid");
    json_object_del(*object, "disk");
    json_object_del(*object, "vif");
    config = domain_by_name(name) ? NULL : config_parse(*object, &failure);
    if (!config)
        json_decref(*object);
    return config;
}

/*
 * Let a new domain have the remains, and make this one anew. If the daemon is killed on the way, the record of this one
 * says that it is being restarted: the remains are then found by their uuid and taken down, if they still have it.
 */
static void rename_and_restart(struct domain *domain)
{
    json_t *object;
    struct config *config = remains_config(domain, &object);
    xen_domain_handle_t handle;
    struct domain *remains;
    int domid = domain->domid;

    if (!config) {
        log_warn("domain %s: there is a domain with the name that its remains would get: they are not kept",
                 domain->config->name);
        restart(domain);
        return;
    }
    domain->state = DOMAIN_RESTARTING;
    domain_save(domain);
    devices_free(domain->devices);
    domain->devices = NULL;
    devices_remove(domid);
    console_detach(domain->console);
    remains = domain_new(object, config, true);
    json_decref(object);
    remains->state = DOMAIN_PRESERVED;
    remains->domid = domid;
    remains->started = domain->started;
    domain_save(remains);
    host_parse_uuid(config->uuid, handle);
    if (hv_domain_set_handle(domid, handle))
        log_warn("domain %s: the hypervisor does not change its uuid", config->name);
    guest_store_rename(remains);
    log_info("domain %s: what is left of it is kept as %s", domain->config->name, config->name);
    event_tell(domain, "renamed", json_pack("{s:s}", "to", config->name));
    domain->short_lives = domain_uptime(domain) < SHORT_LIFE_S ? domain->short_lives + 1 : 0;
    domain->domid = -1;
    lifecycle_take_down(domain, DOMAIN_RESTARTING);
}

/* --- cores ------------------------------------------------------------------------------------------------------- */

static void after_core(struct domain *domain)
{
    if (domain->after_dump == END_COREDUMP_RESTART)
        restart(domain);
    else
        lifecycle_take_down(domain, DOMAIN_ENDING);
}

static void on_core(void *context, uint64_t size, const struct failure *failure)
{
    struct domain *domain = context;

    domain->dump = NULL;
    if (failure)
        log_error("%s: %s (%s)", failure->what, failure->why, failure->remedy);
    else
        log_info("domain %s: its core file has %llu MiB", domain->config->name, (unsigned long long)size >> 20);
    event_tell(domain, failure ? "core-failed" : "core-written", NULL);
    if (domain->state == DOMAIN_DUMPING)
        after_core(domain);
    else
        lifecycle_take_down(domain, domain->state);
}

static void dump(struct domain *domain, enum end_action action)
{
    char *path = core_dump_path(domain->config->name);
    struct failure failure;

    log_info("domain %s: its core is written to %s", domain->config->name, path);
    domain->after_dump = action;
    domain->state = DOMAIN_DUMPING;
    domain->dump = core_dump_start(domain->domid, path, on_core, domain, &failure);
    free(path);
    if (!domain->dump) {
        log_error("%s: %s (%s)", failure.what, failure.why, failure.remedy);
        after_core(domain);
    }
}

/* --- choosing ---------------------------------------------------------------------------------------------------- */

static enum end_action action_for(const struct config *config, unsigned int reason)
{
    switch (reason) {
    case SHUTDOWN_poweroff:
        return config->on_poweroff;
    case SHUTDOWN_reboot:
        return config->on_reboot;
    case SHUTDOWN_suspend:
        return END_PRESERVE; /* whoever asked for that is to fetch it */
    case SHUTDOWN_watchdog:
        return config->on_watchdog;
    case SHUTDOWN_soft_reset:
        log_error("domain %s asks for a soft reset, which paravirtualized guests cannot have: it is treated as crashed",
                  config->name);
        return config->on_crash;
    default:
        return config->on_crash;
    }
}

void guest_ended(struct domain *domain, unsigned int reason)
{
    enum end_action action = action_for(domain->config, reason);
    bool crashed = reason != SHUTDOWN_poweroff && reason != SHUTDOWN_reboot && reason != SHUTDOWN_suspend;

    log_info("domain %s ended (%s): %s", domain->config->name, host_shutdown_reason(reason),
             config_action_name(action));
    event_tell(domain, crashed ? "crashed" : "shutdown",
               json_pack("{s:s, s:s}", "reason", host_shutdown_reason(reason), "action", config_action_name(action)));
    switch (action) {
    case END_DESTROY:
        lifecycle_take_down(domain, DOMAIN_ENDING);
        break;
    case END_RESTART:
        restart(domain);
        break;
    case END_RENAME_RESTART:
        rename_and_restart(domain);
        break;
    case END_PRESERVE:
        preserve(domain);
        break;
    case END_COREDUMP_DESTROY:
    case END_COREDUMP_RESTART:
        dump(domain, action);
        break;
    }
}
