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
void session_continue(struct session *session)
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
        session_fail(session, &failure);
        evbuffer_drain(input, evbuffer_get_length(input));
    }
}

static void on_input(struct bufferevent *connection, void *context)
{
    (void)connection;
    session_continue(context);
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
    session_continue(session);
}

void session_open(int fd, void *context)
{
    struct session *session = xcalloc(1, sizeof(*session));

    (void)context;
    session->connection = bufferevent_socket_new(main_loop, fd, BEV_OPT_CLOSE_ON_FREE);
    bufferevent_setwatermark(session->connection, EV_READ, 0, LINE_MAX_BYTES);
    bufferevent_setcb(session->connection, on_input, NULL, on_gone, session);
    bufferevent_enable(session->connection, EV_READ | EV_WRITE);
}
