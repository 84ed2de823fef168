/* SPDX-License-Identifier: MIT */
/*
 * Control connections: see session.h.
 */
#include "session.h"

#include <event2/buffer.h>
#include <stdlib.h>
#include <string.h>

#include "daemon.h"
#include "host.h"
#include "lib/alloc.h"

#define LINE_MAX_BYTES (64U * 1024)
/* Above this much that a client has not read yet its next request waits. */
#define REPLIES_MAX_BYTES (64U * 1024)

void session_send(struct session *session, json_t *object)
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

void session_fail(struct session *session, const struct failure *failure)
{
    session_send(session, failure_to_reply(failure));
}

void session_send_domid(struct session *session, int domid)
{
    session_send(session, domid < 0 ? json_pack("{s:b, s:n}", "ok", 1, "domid")
                                   : json_pack("{s:b, s:i}", "ok", 1, "domid", domid));
}

/* --- waiting ----------------------------------------------------------------------------------------------------- */

void session_stop_waiting(struct session *session)
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
    session_stop_waiting(session);
    bufferevent_free(session->connection);
    free(session);
}

void session_wait(struct session *session, struct waiters *waiters, domain_fn done)
{
    session->waiting_on = waiters;
    session->waiter = waiter_add(waiters, done, session);
}

/* --- requests ---------------------------------------------------------------------------------------------------- */

bool session_find_subject(struct session *session, json_t *request, const char *verb, bool managed,
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
        session_fail(session, &failure);
        return false;
    }
    if (managed && !subject->domain) {
        failure_why(&failure, subject->domid == 0 ? "that is dom0 itself" : "another tool made and manages it");
        failure_remedy(&failure, subject->domid == 0 ? "shut the host down by its own means" : "use that tool");
        session_fail(session, &failure);
        return false;
    }
    return true;
}

bool session_find_standing(struct session *session, json_t *request, const char *verb, struct subject *subject,
                           struct failure *failure)
{
    const struct domain *domain;
    bool going;

    if (!session_find_subject(session, request, verb, false, subject))
        return false;
    domain = subject->domain;
    failure_what(failure, "cannot %s domain %s", verb,
                 domain ? domain->config->name : host_domain_name(subject->domid));
    if (!domain || domain_stands(domain))
        return true;
    going = domain->state == DOMAIN_ENDING || domain->state == DOMAIN_RESTARTING;
    failure_why(failure, going ? "it is just being taken down" : "it is still being made");
    failure_remedy(failure, "try again in a moment");
    session_fail(session, failure);
    return false;
}

static const struct operation *find_operation(const char *name)
{
    static const struct operation *const tables[] = {
        life_operations, guest_operations, resource_operations, device_operations,
    };

    for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
        for (const struct operation *operation = tables[i]; operation->name; operation++)
            if (!strcmp(operation->name, name))
                return operation;
    return NULL;
}

static void handle_line(struct session *session, const char *line)
{
    json_error_t error;
    json_t *request = json_loads(line, 0, &error);
    const char *op = json_string_value(json_object_get(request, "op"));
    const struct operation *operation = op ? find_operation(op) : NULL;
    struct failure failure;

    if (operation) {
        operation->handle(session, request);
        json_decref(request);
        return;
    }
    failure_what(&failure, "cannot do what the request asks for");
    if (!request)
        failure_why(&failure, "it is no JSON: %s", error.text);
    else if (!op)
        failure_why(&failure, "it has no op");
    else
        failure_why(&failure, "there is no operation %s", op);
    failure_remedy(&failure, "see docs/control-protocol.md");
    session_fail(session, &failure);
    json_decref(request);
}

/* --- connections ------------------------------------------------------------------------------------------------- */

static bool owes_much(const struct session *session)
{
    return evbuffer_get_length(bufferevent_get_output(session->connection)) >= REPLIES_MAX_BYTES;
}

/* A line without end. */
static void refuse_line(struct session *session, struct evbuffer *input)
{
    struct failure failure;

    failure_what(&failure, "cannot do what the request asks for");
    failure_why(&failure, "its line is longer than %u bytes", LINE_MAX_BYTES);
    failure_remedy(&failure, "see docs/control-protocol.md");
    session_fail(session, &failure);
    evbuffer_drain(input, evbuffer_get_length(input));
}

/*
 * Read on unless the buffer is full of lines that have to wait. The watermark alone would have libevent call again and
 * again because of them.
 */
static void read_on(struct session *session)
{
    if (evbuffer_get_length(bufferevent_get_input(session->connection)) >= LINE_MAX_BYTES)
        bufferevent_disable(session->connection, EV_READ);
    else if (!session->at_end)
        bufferevent_enable(session->connection, EV_READ);
}

/* Handle lines until one has to wait, or the client has not read its replies. May free the session. */
static void serve(struct session *session)
{
    struct evbuffer *input = bufferevent_get_input(session->connection);
    char *line;

    while (!session->waiter && !owes_much(session) && (line = evbuffer_readln(input, NULL, EVBUFFER_EOL_LF))) {
        handle_line(session, line);
        free(line);
        if (!session->connection) {
            free(session);
            return;
        }
    }
    if (!session->waiter && !owes_much(session)) {
        if (session->at_end && evbuffer_get_length(bufferevent_get_output(session->connection)) == 0) {
            session_free(session);
            return;
        }
        if (evbuffer_get_length(input) >= LINE_MAX_BYTES)
            refuse_line(session, input);
    }
    read_on(session);
}

/* Whoever tells of what a request has waited for is to be done with it before the next request changes anything. */
void session_continue(struct session *session)
{
    bufferevent_trigger(session->connection, EV_READ, BEV_TRIG_IGNORE_WATERMARKS | BEV_TRIG_DEFER_CALLBACKS);
}

/* The client has sent something, has read all, or has what it waited for. */
static void on_progress(struct bufferevent *connection, void *context)
{
    (void)connection;
    serve(context);
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
    serve(session);
}

void session_open(int fd, void *context)
{
    struct session *session = xcalloc(1, sizeof(*session));

    (void)context;
    session->connection = bufferevent_socket_new(main_loop, fd, BEV_OPT_CLOSE_ON_FREE);
    bufferevent_setwatermark(session->connection, EV_READ, 0, LINE_MAX_BYTES);
    bufferevent_setcb(session->connection, on_progress, on_progress, on_gone, session);
    bufferevent_enable(session->connection, EV_READ | EV_WRITE);
}
