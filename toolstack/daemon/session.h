/* SPDX-License-Identifier: MIT */
/*
 * Control connections: lines of JSON in, lines of JSON out, one request at a time (docs/control-protocol.md). What takes
 * time is a waiter; lines that come meanwhile stay in the buffer, as they do while replies are not read.
 *
 * A request's `op` is looked up in the tables below; its handler answers at once by session_send or session_fail, or
 * has the session wait, and whoever is told answers and calls session_continue.
 */
#ifndef DOMUSD_SESSION_H
#define DOMUSD_SESSION_H

#include <event2/bufferevent.h>
#include <stdbool.h>

#include <jansson.h>

#include "domain.h"
#include "lib/failure.h"

struct session {
    struct bufferevent *connection;
    /* While a request waits: */
    struct waiters *waiting_on;
    struct waiter *waiter;
    struct domain *domain; /* whom it is about, or NULL */
    bool wants_progress;
    bool force; /* what the guest does not do in time is done without it */
    bool at_end; /* the client sends no more, and may still wait for replies */
    const char *verb;
    char name[NAME_LENGTH_MAX + 1];
    int domid;
    uint32_t number; /* of a device */
    struct event *timeout;
};

/* One row of a table of requests, which ends with a row without a name. */
struct operation {
    const char *name;
    void (*handle)(struct session *session, json_t *request);
};

extern const struct operation life_operations[];
extern const struct operation guest_operations[];
extern const struct operation resource_operations[];
extern const struct operation device_operations[];

/* For listener_open: serve a new connection. */
void session_open(int fd, void *context);

/* Send a reply or a line of progress. Takes the reference. */
void session_send(struct session *session, json_t *object);
void session_fail(struct session *session, const struct failure *failure);
/* {"ok":true,"domid":..}, null for a negative number. */
void session_send_domid(struct session *session, int domid);

/*
 * Have the request wait; `done` is called with the session, must set its `waiter` to NULL, answer, and end with
 * session_stop_waiting and session_continue. It is not called if the client hangs up first.
 */
void session_wait(struct session *session, struct waiters *waiters, domain_fn done);
/* Wait no longer, whatever for. */
void session_stop_waiting(struct session *session);
/* The request is answered: go on with the next, soon. */
void session_continue(struct session *session);

/* A domain that a request is about. */
struct subject {
    int domid;
    uint32_t number; /* of a device */
    struct domain *domain; /* NULL: not managed here */
};

/*
 * Find whom the request is about, which must be managed here if `managed`: *subject, or false after the failure ("cannot
 * VERB domain NAME") was sent.
 */
bool session_find_subject(struct session *session, json_t *request, const char *verb, bool managed,
                          struct subject *subject);

/*
 * The same for a domain, managed here or not, that has a number and is neither being made nor taken down. *failure says
 * "cannot VERB domain NAME", for what else may be wrong.
 */
bool session_find_standing(struct session *session, json_t *request, const char *verb, struct subject *subject,
                           struct failure *failure);

#endif
