/* SPDX-License-Identifier: MIT */
/*
 * Control connections: lines of JSON in, lines of JSON out, one request at a time. What takes time is a waiter on a
 * domain; lines that come meanwhile stay in the buffer.
 */
#include "api.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <stdlib.h>
#include <string.h>

#include "daemon.h"
#include "domain.h"
#include "guest_store.h"
#include "host.h"
#include "lib/alloc.h"
#include "lib/control.h"
#include "lib/log.h"
#include "lifecycle.h"
#include "listener.h"

#define LINE_MAX_BYTES (64U * 1024)

struct session {
    struct bufferevent *connection;
    /* While a request waits: */
    struct waiters *waiting_on;
    struct waiter *waiter;
    struct domain *domain; /* that a new domain is, or NULL */
    bool wants_progress, handling;
    bool at_end; /* the client sends no more, and may still wait for replies */
    const char *verb;
    char name[NAME_LENGTH_MAX + 1];
    int domid;
    struct event *timeout;
};

static void next_requests(struct session *session);

static void send_object(struct session *session, json_t *object)
{
    char *text = object ? json_dumps(object, JSON_COMPACT) : NULL;

    /* Only memory or text that is no UTF-8 can be the reason. */
    if (!text)
        text = xstrdup("{\"ok\":false,\"error\":{\"what\":\"the request failed\",\"why\":\"the answer is no UTF-8 "
                       "text\",\"remedy\":\"rename what is named so\"}}");
    bufferevent_write(session->connection, text, strlen(text));
    bufferevent_write(session->connection, "\n", 1);
    free(text);
    json_decref(object);
}

static void send_failure(struct session *session, const struct failure *failure)
{
    send_object(session, failure_to_reply(failure));
}

static void send_domid(struct session *session, int domid)
{
    send_object(session, domid < 0 ? json_pack("{s:b, s:n}", "ok", 1, "domid")
                                   : json_pack("{s:b, s:i}", "ok", 1, "domid", domid));
}

/* --- waiting ----------------------------------------------------------------------------------------------------- */

static void stop_waiting(struct session *session)
{
    if (session->waiter)
        waiter_remove(session->waiting_on, session->waiter);
    if (session->domain)
        session->domain->progress = NULL;
    if (session->timeout)
        event_free(session->timeout);
    session->waiter = NULL;
    session->domain = NULL;
    session->timeout = NULL;
}

static void session_free(struct session *session)
{
    stop_waiting(session);
    bufferevent_free(session->connection);
    free(session);
}

static void wait_on(struct session *session, struct waiters *waiters, domain_fn done)
{
    session->waiting_on = waiters;
    session->waiter = waiter_add(waiters, done, session);
}

/* The domain is gone, or has been replaced by its successor. */
static void on_ended(void *context, const struct failure *failure)
{
    struct session *session = context;

    (void)failure; /* there is no way for it not to end */
    session->waiter = NULL;
    stop_waiting(session);
    send_domid(session, session->domid);
    next_requests(session);
}

static void on_timeout(int fd, short what, void *context)
{
    struct session *session = context;
    struct failure failure;

    (void)fd;
    (void)what;
    stop_waiting(session);
    failure_what(&failure, "cannot %s domain %s", session->verb, session->name);
    failure_why(&failure, "the guest has not done it in the time given");
    failure_remedy(&failure, "wait longer (its console shows what it does), or end it by force: domus destroy %s",
                   session->name);
    send_failure(session, &failure);
    next_requests(session);
}

/* --- requests ---------------------------------------------------------------------------------------------------- */

/* A domain that a request is about. */
struct subject {
    int domid;
    struct domain *domain; /* NULL: not managed here */
};

static void op_ping(struct session *session, json_t *request)
{
    (void)request;
    send_object(session, json_pack("{s:b, s:s}", "ok", 1, "version", DOMUS_VERSION));
}

static void op_list(struct session *session, json_t *request)
{
    struct failure failure;
    json_t *list = host_domains(&failure);

    (void)request;
    if (list)
        send_object(session, json_pack("{s:b, s:o}", "ok", 1, "domains", list));
    else
        send_failure(session, &failure);
}

static void op_info(struct session *session, json_t *request)
{
    struct failure failure;
    json_t *host = host_info(&failure);

    (void)request;
    if (host)
        send_object(session, json_pack("{s:b, s:o}", "ok", 1, "host", host));
    else
        send_failure(session, &failure);
}

static void on_progress(void *context, const char *step)
{
    struct session *session = context;

    if (session->wants_progress)
        send_object(session, json_pack("{s:s}", "progress", step));
}

static void on_made(void *context, const struct failure *failure)
{
    struct session *session = context;
    struct domain *domain = session->domain;

    session->waiter = NULL;
    if (failure)
        send_failure(session, failure);
    else
        send_object(session, json_pack("{s:b, s:i, s:s, s:s}", "ok", 1, "domid", domain->domid, "name",
                                       domain->config->name, "uuid", domain->config->uuid));
    stop_waiting(session);
    next_requests(session);
}

static void on_accepted(void *context, struct domain *domain)
{
    struct session *session = context;

    session->domain = domain;
    wait_on(session, &domain->made, on_made);
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
        send_failure(session, &failure);
        return;
    }
    session->wants_progress = json_is_true(json_object_get(request, "progress"));
    if (!lifecycle_create(config, &creation, &failure))
        send_failure(session, &failure);
}

/*
 * Find whom the request is about, which must be managed here if `managed`: *subject, or false after the
 * failure was sent.
 */
static bool find_subject(struct session *session, json_t *request, const char *verb, bool managed,
                         struct subject *subject)
{
    const json_t *reference = json_object_get(request, "domain");
    const char *name = json_string_value(reference);
    struct failure failure;
    char number[24];

    if (!name) {
        snprintf(number, sizeof(number), "%lld", (long long)json_integer_value(reference));
        name = number;
    }
    failure_what(&failure, "cannot %s domain %s", verb, name);
    subject->domid = host_find_domain(reference, &subject->domain, &failure);
    if (subject->domid < 0 && !subject->domain) {
        send_failure(session, &failure);
        return false;
    }
    if (managed && !subject->domain) {
        failure_why(&failure, subject->domid == 0 ? "that is dom0 itself" : "another tool made and manages it");
        failure_remedy(&failure, subject->domid == 0 ? "shut the host down by its own means" : "use that tool");
        send_failure(session, &failure);
        return false;
    }
    return true;
}

static void op_domain(struct session *session, json_t *request)
{
    struct subject subject;
    struct failure failure;
    json_t *object;

    if (!find_subject(session, request, "describe", false, &subject))
        return;
    failure_what(&failure, "cannot describe the domain");
    object = host_domain(subject.domid, &failure);
    if (object)
        send_object(session, json_pack("{s:b, s:o}", "ok", 1, "domain", object));
    else
        send_failure(session, &failure);
}

/* Pause or unpause. */
static void run_or_stop(struct session *session, json_t *request, const char *verb, int (*call)(uint32_t domid))
{
    struct subject subject;
    struct failure failure;
    int rc;

    if (!find_subject(session, request, verb, false, &subject))
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
            send_domid(session, subject.domid);
            return;
        }
        failure_why(&failure, rc == -EINVAL ? "it is not paused" : "the hypervisor refuses: %s", strerror(-rc));
        failure_remedy(&failure, "see its state: domus list");
    }
    send_failure(session, &failure);
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
    run_or_stop(session, request, "pause", pause_once);
}

static void op_unpause(struct session *session, json_t *request)
{
    run_or_stop(session, request, "unpause", hv_domain_unpause);
}

/* Ask the guest, and wait if the request wants that. */
static void ask_guest(struct session *session, json_t *request, const char *verb, const char *word, bool reboot)
{
    json_int_t wait = json_integer_value(json_object_get(request, "wait"));
    struct timeval timeout = { .tv_sec = wait };
    struct subject subject;
    struct failure failure;

    if (!find_subject(session, request, verb, wait > 0, &subject))
        return;
    if (subject.domid <= 0 || (subject.domain && subject.domain->state != DOMAIN_RUNNING)) {
        failure_what(&failure, "cannot %s the domain", verb);
        failure_why(&failure, subject.domid == 0 ? "that is dom0 itself" : "its guest is not running");
        failure_remedy(&failure, subject.domid == 0 ? "shut the host down by its own means"
                                                    : "end it by force: domus destroy");
        send_failure(session, &failure);
        return;
    }
    guest_store_ask(subject.domid, word);
    if (wait <= 0) {
        send_domid(session, subject.domid);
        return;
    }
    session->verb = verb;
    session->domid = subject.domid;
    strncpy(session->name, subject.domain->config->name, NAME_LENGTH_MAX);
    if (reboot) {
        session->domain = subject.domain;
        wait_on(session, &subject.domain->made, on_made);
    } else {
        wait_on(session, &subject.domain->ended, on_ended);
    }
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

    if (!find_subject(session, request, "destroy", true, &subject))
        return;
    session->domid = subject.domid;
    wait_on(session, &subject.domain->ended, on_ended);
    lifecycle_destroy(subject.domain);
}

static void op_rename(struct session *session, json_t *request)
{
    const char *name = json_string_value(json_object_get(request, "name"));
    struct subject subject;
    struct failure failure;

    if (!find_subject(session, request, "rename", true, &subject))
        return;
    failure_what(&failure, "cannot rename domain %s", subject.domain->config->name);
    if (!name || !config_name_valid(name)) {
        failure_why(&failure, "%s cannot be the name of a domain", name ? name : "nothing");
        failure_remedy(&failure, "use 1 to 63 letters, digits and . _ + -, not digits alone");
        send_failure(session, &failure);
        return;
    }
    if (domain_by_name(name) || !host_name_free(name, &failure)) {
        failure_why(&failure, "the name %s is in use", name);
        failure_remedy(&failure, "choose another name");
        send_failure(session, &failure);
        return;
    }
    console_rename(subject.domain->console, name);
    free(subject.domain->config->name);
    subject.domain->config->name = xstrdup(name);
    json_object_set_new(subject.domain->object, "name", json_string(name));
    domain_save(subject.domain);
    if (subject.domid >= 0)
        guest_store_rename(subject.domain);
    send_domid(session, subject.domid);
}

/* The connection becomes a viewer of the console, and the session ends. */
static void op_console(struct session *session, json_t *request)
{
    const json_t *replay = json_object_get(request, "replay");
    json_int_t bytes = json_is_integer(replay) ? json_integer_value(replay) : 4096;
    struct bufferevent *connection = session->connection;
    struct subject subject;

    if (!find_subject(session, request, "open the console of", true, &subject))
        return;
    send_object(session, json_pack("{s:b, s:i, s:s}", "ok", 1, "domid", subject.domid, "name",
                                   subject.domain->config->name));
    session->connection = NULL;
    console_add_viewer(subject.domain->console, connection, bytes < 0 ? 0 : bytes > 1 << 30 ? 1 << 30 : bytes);
}

static const struct {
    const char *name;
    void (*handle)(struct session *session, json_t *request);
} operations[] = {
    { "ping", op_ping },       { "list", op_list },         { "info", op_info },     { "domain", op_domain },
    { "create", op_create },   { "destroy", op_destroy },   { "pause", op_pause },   { "unpause", op_unpause },
    { "shutdown", op_shutdown }, { "reboot", op_reboot },   { "rename", op_rename }, { "console", op_console },
};

static void handle_line(struct session *session, const char *line)
{
    json_error_t error;
    json_t *request = json_loads(line, 0, &error);
    const char *op = json_string_value(json_object_get(request, "op"));
    struct failure failure;

    for (size_t i = 0; op && i < sizeof(operations) / sizeof(operations[0]); i++) {
        if (!strcmp(op, operations[i].name)) {
            operations[i].handle(session, request);
            json_decref(request);
            return;
        }
    }
    failure_what(&failure, "cannot do what the request asks for");
    if (!request)
        failure_why(&failure, "it is no JSON: %s", error.text);
    else if (!op)
        failure_why(&failure, "it has no op");
    else
        failure_why(&failure, "there is no operation %s", op);
    failure_remedy(&failure, "see docs/control-protocol.md");
    send_failure(session, &failure);
    json_decref(request);
}

/* --- connections ------------------------------------------------------------------------------------------------- */

static void on_written(struct bufferevent *connection, void *context)
{
    (void)connection;
    session_free(context);
}

static void on_write_error(struct bufferevent *connection, short what, void *context)
{
    (void)connection;
    (void)what;
    session_free(context);
}

static void free_when_written(struct session *session)
{
    if (evbuffer_get_length(bufferevent_get_output(session->connection)) == 0)
        session_free(session);
    else
        bufferevent_setcb(session->connection, NULL, on_written, on_write_error, session);
}

/* Handle lines until one has to wait. A request may be over before its handler returns: `handling` keeps this flat. */
static void next_requests(struct session *session)
{
    struct evbuffer *input = session->connection ? bufferevent_get_input(session->connection) : NULL;
    struct failure failure;
    char *line;

    if (session->handling)
        return;
    session->handling = true;
    while (session->connection && !session->waiter && (line = evbuffer_readln(input, NULL, EVBUFFER_EOL_LF))) {
        handle_line(session, line);
        free(line);
    }
    session->handling = false;
    if (!session->connection) {
        free(session);
        return;
    }
    if (session->at_end && !session->waiter) {
        free_when_written(session);
        return;
    }
    if (!session->waiter && evbuffer_get_length(input) >= LINE_MAX_BYTES) {
        failure_what(&failure, "cannot do what the request asks for");
        failure_why(&failure, "its line is longer than %u bytes", LINE_MAX_BYTES);
        failure_remedy(&failure, "see docs/control-protocol.md");
        send_failure(session, &failure);
        evbuffer_drain(input, evbuffer_get_length(input));
    }
}

static void on_input(struct bufferevent *connection, void *context)
{
    (void)connection;
    next_requests(context);
}

static void on_gone(struct bufferevent *connection, short what, void *context)
{
    struct session *session = context;

    if (!(what & BEV_EVENT_EOF)) {
        session_free(session);
        return;
    }
    session->at_end = true;
    bufferevent_disable(connection, EV_READ);
    next_requests(session);
}

static void on_connection(int fd, void *context)
{
    struct session *session = xcalloc(1, sizeof(*session));

    (void)context;
    session->connection = bufferevent_socket_new(main_loop, fd, BEV_OPT_CLOSE_ON_FREE);
    bufferevent_setwatermark(session->connection, EV_READ, 0, LINE_MAX_BYTES);
    bufferevent_setcb(session->connection, on_input, NULL, on_gone, session);
    bufferevent_enable(session->connection, EV_READ | EV_WRITE);
}

int api_open(void)
{
    return listener_open(CONTROL_SOCKET, on_connection, NULL);
}
