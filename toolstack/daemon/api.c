/* SPDX-License-Identifier: MIT */
/*
 * Requests about the host and the life of domains, and the socket that all requests come by.
 */
#include "api.h"

#include <errno.h>
#include <event2/bufferevent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon.h"
#include "domain.h"
#include "events.h"
#include "guest_store.h"
#include "host.h"
#include "lib/alloc.h"
#include "lib/control.h"
#include "lib/log.h"
#include "lifecycle.h"
#include "listener.h"
#include "other_console.h"
#include "session.h"

/* More than anyone waits, and little enough to be added to the time of day. */
#define WAIT_MAX_S (100LL * 366 * 86400)

/* --- waiting ----------------------------------------------------------------------------------------------------- */

/* The domain is gone, or has been replaced by its successor. */
static void on_ended(void *context, const struct failure *failure)
{
    struct session *session = context;

    (void)failure; /* there is no way for it not to end */
    session->waiter = NULL;
    session_stop_waiting(session);
    session_send_domid(session, session->domid);
    session_continue(session);
}

/* The guest has not done in time what it was asked for: do it without the guest. What follows tells who waits. */
static void force(struct session *session)
{
    struct domain *domain = session->domain;

    event_free(session->timeout);
    session->timeout = NULL;
    log_info("domain %s has not obeyed in time", domain->config->name);
    if (session->waiting_on == &domain->ended)
        lifecycle_destroy(domain);
    else if (domain->state == DOMAIN_RUNNING || domain->state == DOMAIN_PRESERVED)
        lifecycle_take_down(domain, DOMAIN_RESTARTING);
}

static void on_timeout(int fd, short what, void *context)
{
    struct session *session = context;
    struct failure failure;

    (void)fd;
    (void)what;
    if (session->force) {
        force(session);
        return;
    }
    session_stop_waiting(session);
    failure_what(&failure, "cannot %s domain %s", session->verb, session->name);
    failure_why(&failure, "the guest has not done it in the time given");
    failure_remedy(&failure, "wait longer (its console shows what it does), or end it by force: domus destroy %s",
                   session->name);
    session_fail(session, &failure);
    session_continue(session);
}

/* --- requests ---------------------------------------------------------------------------------------------------- */

static void op_ping(struct session *session, json_t *request)
{
    (void)request;
    session_send(session, json_pack("{s:b, s:s}", "ok", 1, "version", DOMUS_VERSION));
}

static void op_list(struct session *session, json_t *request)
{
    struct failure failure;
    json_t *list = host_domains(&failure);

    (void)request;
    if (list)
        session_send(session, json_pack("{s:b, s:o}", "ok", 1, "domains", list));
    else
        session_fail(session, &failure);
}

static void op_info(struct session *session, json_t *request)
{
    struct failure failure;
    json_t *host = host_info(&failure);

    (void)request;
    if (host)
        session_send(session, json_pack("{s:b, s:o}", "ok", 1, "host", host));
    else
        session_fail(session, &failure);
}

static void on_progress(void *context, const char *step)
{
    struct session *session = context;

    if (session->wants_progress)
        session_send(session, json_pack("{s:s}", "progress", step));
}

static void on_made(void *context, const struct failure *failure)
{
    struct session *session = context;
    struct domain *domain = session->domain;

    session->waiter = NULL;
    if (failure)
        session_fail(session, failure);
    else
        session_send(session, json_pack("{s:b, s:i, s:s, s:s}", "ok", 1, "domid", domain->domid, "name",
                                       domain->config->name, "uuid", domain->config->uuid));
    session_stop_waiting(session);
    session_continue(session);
}

static void on_accepted(void *context, struct domain *domain)
{
    struct session *session = context;

    session->domain = domain;
    session_wait(session, &domain->made, on_made);
}

static void op_create(struct session *session, json_t *request)
{
    struct creation creation = {
        .paused = json_is_true(json_object_get(request, "paused")), .context = session, .accepted = on_accepted,
        .progress = on_progress,
    };
    json_t *config = json_object_get(request, "config");
    struct failure failure;

    if (!json_is_object(config)) {
        failure_what(&failure, "cannot create a domain");
        failure_why(&failure, "the request has no config");
        failure_remedy(&failure, "see docs/control-protocol.md");
        session_fail(session, &failure);
        return;
    }
    session->wants_progress = json_is_true(json_object_get(request, "progress"));
    if (!lifecycle_create(config, &creation, &failure))
        session_fail(session, &failure);
}

static void op_domain(struct session *session, json_t *request)
{
    struct subject subject;
    struct failure failure;
    json_t *object;

    if (!session_find_subject(session, request, "describe", false, &subject))
        return;
    failure_what(&failure, "cannot describe the domain");
    object = host_domain(subject.domid, subject.domain, &failure);
    if (object)
        session_send(session, json_pack("{s:b, s:o}", "ok", 1, "domain", object));
    else
        session_fail(session, &failure);
}

/* Pause or unpause. */
static void run_or_stop(struct session *session, json_t *request, const char *verb, int (*call)(uint32_t domid),
                        const char *event)
{
    struct subject subject;
    struct failure failure;
    int rc;

    if (!session_find_subject(session, request, verb, false, &subject))
        return;
    failure_what(&failure, "cannot %s the domain", verb);
    if (subject.domid == 0) {
        failure_why(&failure, "dom0 would stop serving everyone, you included");
        failure_remedy(&failure, "name another domain");
    } else if (subject.domain && subject.domain->state == DOMAIN_BUILDING) {
        failure_why(&failure, "it is still being made");
        failure_remedy(&failure, "try again in a moment");
    } else {
        rc = call(subject.domid);
        if (rc == 0) {
            if (subject.domain)
                event_tell(subject.domain, event, NULL);
            session_send_domid(session, subject.domid);
            return;
        }
        failure_why(&failure, rc == -EINVAL ? "it is not paused" : "the hypervisor refuses: %s", strerror(-rc));
        failure_remedy(&failure, "see its state: domus list");
    }
    session_fail(session, &failure);
}

/* The hypervisor counts pauses; here a domain is paused or it is not. */
static int pause_once(uint32_t domid)
{
    struct xen_domctl_getdomaininfo info;
    int rc = hv_domain_info(domid, &info);

    return rc || (info.flags & XEN_DOMINF_paused) ? rc : hv_domain_pause(domid);
}

static void op_pause(struct session *session, json_t *request)
{
    run_or_stop(session, request, "pause", pause_once, "paused");
}

static void op_unpause(struct session *session, json_t *request)
{
    run_or_stop(session, request, "unpause", hv_domain_unpause, "unpaused");
}

/* Ask the guest, and wait if the request wants that. */
static void ask_guest(struct session *session, json_t *request, const char *verb, const char *word, bool reboot)
{
    json_int_t wait = json_integer_value(json_object_get(request, "wait"));
    struct timeval timeout = { .tv_sec = wait < WAIT_MAX_S ? wait : WAIT_MAX_S };
    struct subject subject;
    struct failure failure;

    if (!session_find_subject(session, request, verb, wait > 0, &subject))
        return;
    if (subject.domid <= 0 || (subject.domain && subject.domain->state != DOMAIN_RUNNING)) {
        failure_what(&failure, "cannot %s the domain", verb);
        failure_why(&failure, subject.domid == 0 ? "that is dom0 itself" : "its guest is not running");
        failure_remedy(&failure, subject.domid == 0 ? "shut the host down by its own means"
                                                    : "end it by force: domus destroy");
        session_fail(session, &failure);
        return;
    }
    guest_store_ask(subject.domid, word);
    if (wait <= 0) {
        session_send_domid(session, subject.domid);
        return;
    }
    session->verb = verb;
    session->domid = subject.domid;
    strncpy(session->name, subject.domain->config->name, NAME_LENGTH_MAX);
    session->domain = subject.domain;
    session->force = json_is_true(json_object_get(request, "force"));
    if (reboot)
        session_wait(session, &subject.domain->made, on_made);
    else
        session_wait(session, &subject.domain->ended, on_ended);
    session->timeout = evtimer_new(main_loop, on_timeout, session);
    evtimer_add(session->timeout, &timeout);
}

static void op_shutdown(struct session *session, json_t *request)
{
    ask_guest(session, request, "shut down", "poweroff", false);
}

static void op_reboot(struct session *session, json_t *request)
{
    ask_guest(session, request, "reboot", "reboot", true);
}

static void op_destroy(struct session *session, json_t *request)
{
    struct subject subject;

    if (!session_find_subject(session, request, "destroy", true, &subject))
        return;
    session->domid = subject.domid;
    session_wait(session, &subject.domain->ended, on_ended);
    lifecycle_destroy(subject.domain);
}

static void op_rename(struct session *session, json_t *request)
{
    const char *name = json_string_value(json_object_get(request, "name"));
    struct subject subject;
    struct failure failure;

    if (!session_find_subject(session, request, "rename", true, &subject))
        return;
    failure_what(&failure, "cannot rename domain %s", subject.domain->config->name);
    if (!name || !config_name_valid(name)) {
        failure_why(&failure, "%s cannot be the name of a domain", name ? name : "nothing");
        failure_remedy(&failure, "use 1 to 63 letters, digits and . _ + -, not digits alone");
        session_fail(session, &failure);
        return;
    }
    if (domain_by_name(name) || !host_name_free(name, &failure)) {
        failure_why(&failure, "the name %s is in use", name);
        failure_remedy(&failure, "choose another name");
        session_fail(session, &failure);
        return;
    }
    event_tell(subject.domain, "renamed", json_pack("{s:s}", "to", name));
    console_rename(subject.domain->console, name);
    free(subject.domain->config->name);
    subject.domain->config->name = xstrdup(name);
    json_object_set_new(subject.domain->object, "name", json_string(name));
    if (subject.domain->next)
        json_object_set_new(subject.domain->next, "name", json_string(name));
    domain_save(subject.domain);
    if (domain_stands(subject.domain))
        guest_store_rename(subject.domain);
    session_send_domid(session, subject.domid);
}

/* The connection becomes a viewer of the console, and the session ends. */
static void op_console(struct session *session, json_t *request)
{
    const json_t *replay = json_object_get(request, "replay");
    json_int_t bytes = json_is_integer(replay) ? json_integer_value(replay) : 4096;
    struct bufferevent *connection = session->connection;
    struct console *console;
    struct subject subject;
    struct failure failure;

    if (!session_find_subject(session, request, "open the console of", false, &subject))
        return;
    console = subject.domain ? subject.domain->console : other_console_find(subject.domid);
    if (!console) {
        failure_what(&failure, "cannot open the console of domain %d", subject.domid);
        failure_why(&failure, subject.domid == 0 ? "that is dom0 itself" : "the tool that made it has given it none");
        failure_remedy(&failure, subject.domid == 0 ? "log in here" : "see that tool");
        session_fail(session, &failure);
        return;
    }
    session_send(session, json_pack("{s:b, s:i, s:s}", "ok", 1, "domid", subject.domid, "name",
                                   subject.domain ? subject.domain->config->name : host_domain_name(subject.domid)));
    session->connection = NULL;
    console_add_viewer(console, connection, bytes < 0 ? 0 : bytes > 1 << 30 ? 1 << 30 : bytes);
}

const struct operation life_operations[] = {
    { "ping", op_ping },       { "list", op_list },         { "info", op_info },     { "domain", op_domain },
    { "create", op_create },   { "destroy", op_destroy },   { "pause", op_pause },   { "unpause", op_unpause },
    { "shutdown", op_shutdown }, { "reboot", op_reboot },   { "rename", op_rename }, { "console", op_console },
    { 0 },
};

int api_open(void)
{
    return listener_open(CONTROL_SOCKET, session_open, NULL);
}
