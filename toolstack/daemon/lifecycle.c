/* SPDX-License-Identifier: MIT */
/*
 * The life of a domain: see lifecycle.h. Making: builder process, store nodes, console, devices, unpause. Taking down:
 * console, reaper process, store nodes, wait until the hypervisor has let go of the number.
 */
#include "lifecycle.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "core_dump.h"
#include "daemon.h"
#include "disk_server.h"
#include "events.h"
#include "guest_end.h"
#include "guest_store.h"
#include "host.h"
#include "hotplug.h"
#include "lib/alloc.h"
#include "lib/hypercall.h"
#include "lib/log.h"
#include "memory.h"
#include "place.h"
#include "store_io.h"

#define GONE_POLL_MS 20
#define GONE_TIMEOUT_S 30
#define ROOM_POLL_MS 50
#define ROOM_TIMEOUT_S 60

static void build(struct domain *domain);

static void report_progress(struct domain *domain, const char *step)
{
    if (domain->progress)
        domain->progress(domain->progress_context, step);
}

/* --- taking down ------------------------------------------------------------------------------------------------- */

/* The domain's number by its uuid: the builder may have been killed before it could tell. -1 if there is none. */
static int find_by_uuid(const char *uuid)
{
    struct domain_set set;
    int domid = -1;

    domain_set_read(&set);
    for (int i = 0; i < set.count && domid < 0; i++) {
        char text[37];

        host_format_uuid(set.list[i].handle, text);
        if (set.list[i].domain != 0 && !strcmp(text, uuid))
            domid = set.list[i].domain;
    }
    domain_set_free(&set);
    return domid;
}

/* Whether the number is still that of this domain, and not of a later one: *info tells of it. */
static bool still_there(const struct domain *domain, struct xen_domctl_getdomaininfo *info)
{
    char uuid[37];

    if (domain->domid < 0 || hv_domain_info(domain->domid, info))
        return false;
    host_format_uuid(info->handle, uuid);
    return !strcmp(uuid, domain->config->uuid);
}

static void drop_timer(struct domain *domain)
{
    if (domain->timer)
        event_free(domain->timer);
    domain->timer = NULL;
}

/* Make a domain again of which nothing is left, with the configuration that it is to have from now on. */
static void make_again(struct domain *domain)
{
    drop_timer(domain);
    domain_use_next(domain);
    domain->waiting = false;
    build(domain);
}

static void on_restart_time(int fd, short what, void *context)
{
    (void)fd;
    (void)what;
    make_again(context);
}

/* One that ends again and again soon after its start would keep the host busy with nothing else. */
static void make_again_later(struct domain *domain, unsigned int seconds)
{
    const struct timeval delay = { .tv_sec = seconds };

    log_warn("domain %s has ended %u times soon after its start: it is made again in %u s", domain->config->name,
             domain->short_lives, seconds);
    domain->waiting = true;
    domain->timer = evtimer_new(main_loop, on_restart_time, domain);
    evtimer_add(domain->timer, &delay);
}

/* Nothing is left of it. */
static void finish_end(struct domain *domain)
{
    drop_timer(domain);
    /* The images of a domain that is made again as it was are served on. */
    if (domain->state == DOMAIN_RESTARTING && !domain->next)
        disk_server_stop_unwanted(domain->config->uuid);
    else
        disk_server_stop(domain->config->uuid, NULL);
    if (domain->state == DOMAIN_RESTARTING) {
        unsigned int delay = restart_delay(domain->short_lives);

        waiters_tell(&domain->ended, NULL);
        if (delay)
            make_again_later(domain, delay);
        else
            make_again(domain);
        return;
    }
    if (domain->failed)
        waiters_tell(&domain->made, &domain->failure);
    log_info("domain %s is gone", domain->config->name);
    event_tell(domain, "destroyed", NULL);
    domain_free(domain);
}

/* The number stays taken while anything maps the domain's memory: back ends let go in their own time. */
static void on_gone_poll(int fd, short what, void *context)
{
    static const struct timeval interval = { .tv_usec = GONE_POLL_MS * 1000 };
    struct domain *domain = context;
    struct xen_domctl_getdomaininfo info;
    bool there = still_there(domain, &info);

    (void)fd;
    (void)what;
    if (there && ++domain->polls < GONE_TIMEOUT_S * 1000 / GONE_POLL_MS) {
        evtimer_add(domain->timer, &interval);
        return;
    }
    if (there)
        log_error("domain %s: number %d is still there %d s after its end: something holds %llu pages of it",
                  domain->config->name, domain->domid, GONE_TIMEOUT_S, (unsigned long long)info.tot_pages);
    domain->domid = -1;
    finish_end(domain);
}

static void on_reaped(void *context, int status, const char *output)
{
    struct domain *domain = context;

    (void)output;
    domain->child = NULL;
    if (!WIFEXITED(status) || WEXITSTATUS(status))
        log_error("domain %s: number %d could not be destroyed", domain->config->name, domain->domid);
    guest_store_remove(domain->domid, domain->config->uuid);
    store_release(domain->domid);
    store_io_flush_soon();
    domain->polls = 0;
    if (!domain->timer)
        domain->timer = evtimer_new(main_loop, on_gone_poll, domain);
    on_gone_poll(-1, 0, domain);
}

static void reap(struct domain *domain)
{
    char number[16];
    char *argv[] = { "/proc/self/exe", "--reap", number, NULL };

    snprintf(number, sizeof(number), "%d", domain->domid);
    domain->child = child_start(argv, "", false, on_reaped, domain);
    if (!domain->child) {
        /* Slow is better than not at all. */
        log_warn("domain %s: no process to destroy it with (%s)", domain->config->name, strerror(errno));
        on_reaped(domain, hv_domain_destroy(domain->domid) ? 1 << 8 : 0, "");
    }
}

void lifecycle_take_down(struct domain *domain, enum domain_state state)
{
    domain->state = state;
    domain_save(domain);
    hotplug_cancel(domain);
    if (domain->room_timer)
        evtimer_del(domain->room_timer);
    if (domain->child) {
        /* The builder; on_built goes on from here when it has ended. */
        child_terminate(domain->child);
        return;
    }
    if (domain->dump) {
        core_dump_cancel(domain->dump);
        return;
    }
    devices_free(domain->devices);
    domain->devices = NULL;
    console_detach(domain->console);
    if (domain->domid < 0)
        domain->domid = find_by_uuid(domain->config->uuid);
    if (domain->domid < 0)
        finish_end(domain);
    else
        reap(domain);
}

void lifecycle_destroy(struct domain *domain)
{
    if (domain->state == DOMAIN_BUILDING && !domain->failed) {
        domain->failed = true;
        failure_what(&domain->failure, "cannot create domain %s", domain->config->name);
        failure_why(&domain->failure, "it was destroyed while it was being made");
        failure_remedy(&domain->failure, "create it again");
    }
    if (domain->state == DOMAIN_ENDING || domain->state == DOMAIN_RESTARTING) {
        domain->state = DOMAIN_ENDING;
        domain_save(domain);
        if (domain->waiting)
            finish_end(domain);
        return;
    }
    log_info("domain %s is destroyed", domain->config->name);
    lifecycle_take_down(domain, DOMAIN_ENDING);
}

/* Making it did not work: undo what was done, then tell. */
static void undo(struct domain *domain, const struct failure *failure)
{
    domain->failed = true;
    domain->failure = *failure;
    if (!domain->failure.what[0])
        snprintf(domain->failure.what, sizeof(domain->failure.what), "cannot create domain %s", domain->config->name);
    log_error("%s: %s (%s)", domain->failure.what, domain->failure.why, domain->failure.remedy);
    lifecycle_take_down(domain, DOMAIN_ENDING);
}

/* --- making ------------------------------------------------------------------------------------------------------ */

static void on_devices(void *context, const struct failure *failure)
{
    struct domain *domain = context;
    struct failure own = { .what = "" };
    int rc;

    if (failure) {
        undo(domain, failure);
        return;
    }
    /* Back ends hold now what was held for them. */
    devices_free(domain->devices);
    domain->devices = NULL;
    rc = domain->start_paused ? 0 : hv_domain_unpause(domain->domid);
    if (rc) {
        failure_why(&own, "the hypervisor does not let it run: %s", strerror(-rc));
        failure_remedy(&own, "see the hypervisor's messages (domus dmesg)");
        undo(domain, &own);
        return;
    }
    /* Recorded only now: ended before this, the daemon undoes what nobody was told of. */
    domain->state = DOMAIN_RUNNING;
    domain->started = host_uptime();
    domain_save(domain);
    log_info("domain %s is made, as number %d", domain->config->name, domain->domid);
    event_tell(domain, domain->remade ? "rebooted" : "created", NULL);
    if (!domain->start_paused)
        event_tell(domain, "started", NULL);
    /* One that is made again runs, however it was started the first time. */
    domain->start_paused = false;
    domain->remade = true;
    domain->progress = NULL;
    waiters_tell(&domain->made, NULL);
}

/* Built: connect it to the store, to its console and to its devices. */
static void connect_domain(struct domain *domain)
{
    const struct device_list list = {
        .disks = domain->config->disks, .disk_count = domain->config->disk_count,
        .vifs = domain->config->vifs, .vif_count = domain->config->vif_count,
    };
    struct failure failure = { .what = "" };
    int rc;

    report_progress(domain, "connecting devices");
    if (!place_domain(domain->config, domain->domid, &failure)) {
        /* Pools and their CPUs may be others than when it was pinned: it had better run elsewhere than not at all. */
        if (!domain->remade) {
            undo(domain, &failure);
            return;
        }
        log_warn("domain %s does not run where it did before: %s", domain->config->name, failure.why);
    }
    guest_store_put(domain);
    rc = store_introduce(domain->domid, domain->store.frame, domain->store.port);
    if (rc == 0)
        rc = console_attach(domain->console, domain->domid, domain->console_ring.frame, domain->console_ring.port);
    if (rc) {
        failure_why(&failure, "its store or console ring cannot be used: %s", strerror(-rc));
        failure_remedy(&failure, "see the hypervisor's messages (domus dmesg)");
        undo(domain, &failure);
        return;
    }
    domain->devices = devices_start(domain->domid, domain->config->uuid, &list, on_devices, domain);
}

/* What the builder says: 0, or -1 with *failure set. */
static int read_result(struct domain *domain, int status, const char *output, struct failure *failure)
{
    json_t *result = json_loads(output, 0, NULL);
    json_int_t store_frame, console_frame;
    int ok = 0, domid, store_port, console_port;

    if (json_is_true(json_object_get(result, "ok")) &&
        json_unpack(result, "{s:i, s:{s:I, s:i}, s:{s:I, s:i}}", "domid", &domid, "store", "mfn", &store_frame,
                    "port", &store_port, "console", "mfn", &console_frame, "port", &console_port) == 0) {
        domain->domid = domid;
        domain->store = (struct guest_ring){ .frame = store_frame, .port = store_port };
        domain->console_ring = (struct guest_ring){ .frame = console_frame, .port = console_port };
        ok = 1;
    } else if (json_is_object(json_object_get(result, "error"))) {
        failure_from_reply(failure, result);
    } else {
        failure_what(failure, "cannot create domain %s", domain->config->name);
        if (WIFSIGNALED(status))
            failure_why(failure, "the builder was killed by signal %d", WTERMSIG(status));
        else
            failure_why(failure, "the builder ended with status %d and no result", WEXITSTATUS(status));
        failure_remedy(failure, "look for its message in the daemon's log");
    }
    json_decref(result);
    return ok ? 0 : -1;
}

static void on_built(void *context, int status, const char *output)
{
    struct domain *domain = context;
    struct failure failure = { .what = "" };
    int rc = read_result(domain, status, output, &failure);

    domain->child = NULL;
    if (domain->state != DOMAIN_BUILDING) {
        lifecycle_take_down(domain, domain->state);
        return;
    }
    if (rc) {
        undo(domain, &failure);
        return;
    }
    memory_enforce(domain);
    domain_save(domain);
    connect_domain(domain);
}

/* domus-build stands beside this program, or in the search path. */
static char *builder_path(void)
{
    char self[4096];
    ssize_t length = readlink("/proc/self/exe", self, sizeof(self) - 1);
    char *slash, *path;

    self[length > 0 ? length : 0] = '\0';
    slash = strrchr(self, '/');
    if (slash) {
        *slash = '\0';
        path = xasprintf("%s/domus-build", self);
        if (access(path, X_OK) == 0)
            return path;
        free(path);
    }
    return xstrdup("domus-build");
}

/* What the guest's clock is to be ahead of UTC, in seconds. */
static int64_t time_offset(const struct config *config)
{
    time_t now = time(NULL);
    struct tm local;

    return config->rtc_timeoffset + (config->localtime && localtime_r(&now, &local) ? local.tm_gmtoff : 0);
}

static char *builder_spec(const struct config *config)
{
    json_t *spec = json_pack("{s:s, s:s, s:s, s:s*, s:s, s:I, s:I, s:i, s:i, s:i, s:i, s:b, s:I}", "name", config->name, "uuid",
                             config->uuid, "kernel", config->kernel, "ramdisk", config->ramdisk, "cmdline",
                             config->cmdline, "memory_kib", (json_int_t)config->memory_kib, "max_memory_kib",
                             (json_int_t)config->max_memory_kib, "vcpus", (int)config->vcpus, "max_vcpus",
                             (int)config->max_vcpus, "max_grant_frames", config->max_grant_frames,
                             "max_maptrack_frames", config->max_maptrack_frames, "tsc_native", config->tsc_native,
                             "time_offset_s", (json_int_t)time_offset(config));
    char *text = json_dumps(spec, JSON_COMPACT);

    json_decref(spec);
    return text ? text : xstrdup("");
}

static void start_builder(struct domain *domain)
{
    char *path = builder_path(), *spec = builder_spec(domain->config);
    char *argv[] = { path, NULL };

    report_progress(domain, "building memory");
    domain->child = child_start(argv, spec, true, on_built, domain);
    free(path);
    free(spec);
    if (!domain->child) {
        struct failure failure = { .what = "" };

        failure_why(&failure, "no process for the builder: %s", strerror(errno));
        failure_remedy(&failure, "free memory or processes in dom0");
        undo(domain, &failure);
    }
}

/* Build once there is room, for which dom0 may have to give up memory first. */
static void on_room_poll(int fd, short what, void *context)
{
    static const struct timeval interval = { .tv_usec = ROOM_POLL_MS * 1000 };
    struct failure failure = { .what = "" };
    struct domain *domain = context;

    (void)fd;
    (void)what;
    switch (memory_make_room(domain, &failure)) {
    case ROOM_NOW:
        start_builder(domain);
        return;
    case ROOM_SOON:
        if (++domain->polls < ROOM_TIMEOUT_S * 1000 / ROOM_POLL_MS) {
            if (!domain->room_timer) {
                report_progress(domain, "waiting for dom0 to give up memory");
                domain->room_timer = evtimer_new(main_loop, on_room_poll, domain);
            }
            evtimer_add(domain->room_timer, &interval);
            return;
        }
        failure_why(&failure, "dom0 does not give up the memory that it is asked for");
        failure_remedy(&failure, "see who uses memory in dom0, or start the host with dom0_mem= of the hypervisor");
        break;
    case ROOM_NEVER:
        break;
    }
    undo(domain, &failure);
}

static void build(struct domain *domain)
{
    domain->state = DOMAIN_BUILDING;
    domain->domid = -1;
    domain->polls = 0;
    domain_save(domain);
    on_room_poll(-1, 0, domain);
}

bool lifecycle_create(json_t *object, const struct creation *creation, struct failure *failure)
{
    const char *name = json_string_value(json_object_get(object, "name"));
    struct config *config;
    struct domain *domain;

    failure_what(failure, "cannot create domain %s", name ? name : "without a name");
    config = config_parse(object, failure);
    if (!config)
        return false;
    if (!host_name_free(config->name, failure) || domain_conflict(config, failure) ||
        !config_check_host(config, failure) || !place_check(config, failure) ||
        !memory_enough(config, failure)) {
        config_free(config);
        return false;
    }
    domain = domain_new(object, config, true);
    domain->start_paused = creation->paused;
    domain->progress = creation->progress;
    domain->progress_context = creation->context;
    creation->accepted(creation->context, domain);
    build(domain);
    return true;
}

/* --- what guests do ---------------------------------------------------------------------------------------------- */

static void check(struct domain *domain, const struct domain_set *set)
{
    const struct xen_domctl_getdomaininfo *info;

    if (domain->state != DOMAIN_RUNNING && domain->state != DOMAIN_PRESERVED)
        return;
    info = domain_set_find(set, domain->domid);
    if (!info || (info->flags & XEN_DOMINF_dying)) {
        log_info("domain %s was destroyed by somebody else", domain->config->name);
        lifecycle_take_down(domain, DOMAIN_ENDING);
    } else if ((info->flags & XEN_DOMINF_shutdown) && domain->state == DOMAIN_RUNNING) {
        guest_ended(domain, info->flags >> XEN_DOMINF_shutdownshift & XEN_DOMINF_shutdownmask);
    }
}

void lifecycle_check(const struct domain_set *set)
{
    struct domain *domain, *next;

    for (domain = LIST_FIRST(&domains); domain; domain = next) {
        next = LIST_NEXT(domain, link);
        check(domain, set);
    }
}

/* --- after a restart --------------------------------------------------------------------------------------------- */

static void recover(struct domain *domain)
{
    struct xen_domctl_getdomaininfo info;
    int rc;

    if (!still_there(domain, &info)) {
        int stale = domain->domid;

        /* Its nodes may be left even so. */
        domain->domid = find_by_uuid(domain->config->uuid);
        if (domain->domid < 0 && stale > 0 && hv_domain_info(stale, &info) == -ESRCH)
            guest_store_remove(stale, domain->config->uuid);
        lifecycle_take_down(domain, domain->state == DOMAIN_RESTARTING ? DOMAIN_RESTARTING : DOMAIN_ENDING);
        return;
    }
    if (domain->state != DOMAIN_RUNNING && domain->state != DOMAIN_PRESERVED) {
        log_info("domain %s was being %s when the daemon ended: it is taken down", domain->config->name,
                 domain->state == DOMAIN_BUILDING ? "made" : "taken down");
        lifecycle_take_down(domain, domain->state == DOMAIN_RESTARTING ? DOMAIN_RESTARTING : DOMAIN_ENDING);
        return;
    }
    rc = domain->console_ring.frame ? console_attach(domain->console, domain->domid, domain->console_ring.frame,
                                                     domain->console_ring.port) : 0;
    if (rc)
        log_error("domain %s: its console cannot be taken up again: %s", domain->config->name, strerror(-rc));
    log_info("domain %s is still there, as number %d", domain->config->name, domain->domid);
}

void lifecycle_recover(void)
{
    struct domain *domain, *next;
    struct domain_set set;

    for (domain = LIST_FIRST(&domains); domain; domain = next) {
        next = LIST_NEXT(domain, link);
        recover(domain);
    }
    /* Guests may have ended meanwhile. */
    if (domain_set_read(&set) == 0)
        lifecycle_check(&set);
    domain_set_free(&set);
}

int lifecycle_reap(uint32_t domid)
{
    int rc = hv_open();

    if (rc == 0)
        rc = hv_domain_destroy(domid);
    if (rc && rc != -ESRCH) {
        log_error("domain number %u cannot be destroyed: %s", domid, strerror(-rc));
        return 1;
    }
    return 0;
}
