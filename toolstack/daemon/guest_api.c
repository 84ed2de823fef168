/* SPDX-License-Identifier: MIT */
/*
 * Requests about a guest that runs, and the stream of events.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "events.h"
#include "session.h"

/* The connection becomes a stream of events, and the session ends. */
static void op_events(struct session *session, json_t *request)
{
    json_int_t replay = json_integer_value(json_object_get(request, "replay"));
    struct bufferevent *connection = session->connection;

    session_send(session, json_pack("{s:b}", "ok", 1));
    session->connection = NULL;
    event_add_listener(connection, replay < 0 ? 0 : replay > 1000000 ? 1000000 : replay);
}

const struct operation guest_operations[] = {
    { "events", op_events },
    { 0 },
};
