/* SPDX-License-Identifier: MIT */
/*
 * Connections: bytes to messages and messages to bytes, and where a domain's connection stands in its ring.
 */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

#include "lib/alloc.h"

static struct store_conn *conn_new(struct store *store, uint16_t domid)
{
    struct store_conn *conn = xcalloc(1, sizeof(*conn));

    conn->store = store;
    conn->domid = domid;
    conn->target = -1;
    LIST_INIT(&conn->watches);
    LIST_INIT(&conn->transactions);
    LIST_INSERT_HEAD(&store->conns, conn, link);
    return conn;
}

struct store_conn *store_conn_socket(struct store *store, void *user)
{
    struct store_conn *conn = conn_new(store, 0);

    conn->socket = true;
    conn->user = user;
    return conn;
}

struct store_conn *store_conn_domain(struct store *store, uint16_t domid, uint64_t frame, uint32_t port,
                                     uint32_t consumed, uint32_t produced)
{
    struct store_conn *conn = conn_new(store, domid);

    conn->frame = frame;
    conn->port = port;
    conn->consumed = consumed;
    conn->produced = produced;
    store->domains[domid] = conn;
    journal_conn(conn);
    return conn;
}

void store_conn_free(struct store_conn *conn)
{
    struct store *store = conn->store;

    watches_clear(conn);
    transactions_clear(conn);
    if (!conn->socket) {
        journal_release(store, conn->domid);
        store->domains[conn->domid] = NULL;
    }
    if (conn->moved)
        LIST_REMOVE(conn, moved_link);
    LIST_REMOVE(conn, link);
    bytes_clear(&conn->in);
    bytes_clear(&conn->out);
    free(conn);
}

struct store_conn *store_find_domain(struct store *store, uint16_t domid)
{
    return store->domains[domid];
}

void store_each_domain(struct store *store, void (*visit)(void *context, struct store_conn *conn), void *context)
{
    struct store_conn *conn, *next;

    for (conn = LIST_FIRST(&store->conns); conn; conn = next) {
        next = LIST_NEXT(conn, link);
        if (!conn->socket)
            visit(context, conn);
    }
}

bool store_conn_is_socket(const struct store_conn *conn)
{
    return conn->socket;
}

uint16_t store_conn_domid(const struct store_conn *conn)
{
    return conn->domid;
}

uint64_t store_conn_frame(const struct store_conn *conn)
{
    return conn->frame;
}

uint32_t store_conn_port(const struct store_conn *conn)
{
    return conn->port;
}

uint32_t store_conn_consumed(const struct store_conn *conn)
{
    return conn->consumed;
}

uint32_t store_conn_produced(const struct store_conn *conn)
{
    return conn->produced - bytes_length(&conn->out);
}

void *store_conn_user(const struct store_conn *conn)
{
    return conn->user;
}

void store_conn_set_user(struct store_conn *conn, void *user)
{
    conn->user = user;
}

void store_conn_set_port(struct store_conn *conn, uint32_t port)
{
    conn->port = port;
    journal_conn(conn);
}

bool store_conn_dead(const struct store_conn *conn)
{
    return conn->dead;
}

static void wake(struct store_conn *conn)
{
    if (conn->wants_wake)
        return;
    conn->wants_wake = true;
    conn->store->ops->wake(conn->store->context, conn);
}

/* Nothing that it has under way matters any more. */
static void conn_die(struct store_conn *conn)
{
    conn->dead = true;
    watches_clear(conn);
    transactions_clear(conn);
    journal_reset(conn);
    conn->produced -= bytes_length(&conn->out);
    conn->out_fresh = 0;
    bytes_clear(&conn->in);
    bytes_clear(&conn->out);
    journal_moved(conn);
    wake(conn);
}

void conns_bury(struct store *store)
{
    struct store_conn *conn;

    if (!store->overrun)
        return;
    store->overrun = false;
    LIST_FOREACH(conn, &store->conns, link) {
        if (conn->overrun && !conn->dead)
            conn_die(conn);
    }
}

void conn_send(struct store_conn *conn, uint32_t type, uint32_t req_id, uint32_t tx_id, const void *payload,
               size_t length)
{
    struct xsd_sockmsg header = { .type = type, .req_id = req_id, .tx_id = tx_id, .len = length };

    bytes_append(&conn->out, &header, sizeof(header));
    bytes_append(&conn->out, payload, length);
    conn->out_fresh += sizeof(header) + length;
    conn->produced += sizeof(header) + length;
    journal_moved(conn);
    wake(conn);
}

/* How many bytes are still missing from the message at hand: from its header first. */
static size_t missing(const struct store_conn *conn)
{
    struct xsd_sockmsg header;
    size_t have = bytes_length(&conn->in);

    if (have < sizeof(header))
        return sizeof(header) - have;
    memcpy(&header, bytes_front(&conn->in), sizeof(header));
    return header.len > XENSTORE_PAYLOAD_MAX ? SIZE_MAX : sizeof(header) + header.len - have;
}

/* Handle the message that is whole in conn->in. */
static void handle_one(struct store_conn *conn)
{
    char payload[XENSTORE_PAYLOAD_MAX + 1];
    struct xsd_sockmsg header;

    memcpy(&header, bytes_front(&conn->in), sizeof(header));
    memcpy(payload, bytes_front(&conn->in) + sizeof(header), header.len);
    payload[header.len] = '\0';
    bytes_drop(&conn->in, sizeof(header) + header.len);
    request_handle(conn, &header, payload);
}

size_t store_conn_input(struct store_conn *conn, const void *data, size_t length)
{
    size_t taken = 0;

    /* One message at a time, so that a client that does not read its replies waits with its next request. */
    while (taken < length && !conn->dead && bytes_length(&conn->out) < OUTPUT_WAIT) {
        size_t part = missing(conn);

        if (part > length - taken)
            part = length - taken;
        bytes_append(&conn->in, (const char *)data + taken, part);
        taken += part;
        part = missing(conn);
        if (part == SIZE_MAX)
            conn_die(conn);
        else if (part == 0)
            handle_one(conn);
    }
    conn->consumed += taken;
    if (taken)
        journal_moved(conn);
    return taken;
}

size_t store_conn_output(const struct store_conn *conn, const void **data)
{
    *data = bytes_front(&conn->out);
    return bytes_length(&conn->out);
}

void store_conn_sent(struct store_conn *conn, size_t length)
{
    bytes_drop(&conn->out, length);
    /* Output may go before its journal is written where no restart will ask for it. */
    if (conn->out_fresh > bytes_length(&conn->out))
        conn->out_fresh = bytes_length(&conn->out);
    conn->wants_wake = false;
}

void store_conn_reset(struct store_conn *conn)
{
    watches_clear(conn);
    transactions_clear(conn);
    bytes_clear(&conn->in);
    bytes_clear(&conn->out);
    conn->out_fresh = 0;
    conn->consumed = conn->produced = 0;
    conn->dead = conn->overrun = false;
    journal_reset(conn);
    journal_conn(conn);
    journal_moved(conn);
}

bool store_conn_resume(struct store_conn *conn, uint32_t produced)
{
    uint32_t waiting = conn->produced - produced;

    if (conn->dead)
        return false;
    if (waiting > bytes_length(&conn->out)) {
        conn_die(conn);
        return false;
    }
    bytes_drop(&conn->out, bytes_length(&conn->out) - waiting);
    return true;
}
