/* SPDX-License-Identifier: MIT */
/*
 * The journal: what happened, in records, several to a batch. A batch is written whole or, after a crash in the
 * middle of it, does not count: its header has the length and a checksum. docs/store.md describes the format.
 */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

#include "lib/alloc.h"
#include "lib/log.h"

#define BATCH_MAGIC 0x31534d44 /* "DMS1" */

struct batch_header {
    uint32_t magic;
    uint32_t length; /* of the records that follow */
    uint64_t checksum;
};

enum record {
    RECORD_OP = 1,
    RECORD_CONN,
    RECORD_RELEASE,
    RECORD_RESET,
    RECORD_IO,
    RECORD_WATCH,
    RECORD_UNWATCH,
    RECORD_TRANSACTION,
    RECORD_TRANSACTION_END,
    RECORD_STRIP,
    RECORD_QUOTA,
};

static uint64_t checksum(const uint8_t *data, size_t length)
{
    uint64_t hash = 14695981039346656037ULL;

    for (size_t i = 0; i < length; i++)
        hash = (hash ^ data[i]) * 1099511628211ULL;
    return hash;
}

void store_wants_attention(struct store *store)
{
    if (store->replaying || store->told_dirty)
        return;
    store->told_dirty = true;
    store->ops->dirty(store->context);
}

/* The journal to add a record to, or NULL while its own records are being read. */
static struct bytes *begin(struct store *store, enum record record)
{
    if (store->replaying)
        return NULL;
    store_wants_attention(store);
    bytes_put_u8(&store->journal, record);
    return &store->journal;
}

static void put_op(struct bytes *out, enum op_type type, const char *path, const void *value, size_t value_length,
                   const struct perm *perms, unsigned int perm_count, int owner)
{
    bytes_put_u8(out, type);
    bytes_put_u32(out, owner);
    bytes_put_string(out, path);
    bytes_put_blob(out, value, value_length);
    bytes_put_u32(out, perm_count);
    for (unsigned int i = 0; i < perm_count; i++) {
        bytes_put_u16(out, perms[i].domid);
        bytes_put_u8(out, perms[i].access);
    }
}

void journal_op(struct store *store, const struct op *op, int owner)
{
    struct bytes *out = begin(store, RECORD_OP);

    if (out)
        put_op(out, op->type, op->path, op->value, op->value_length, op->perms, op->perm_count, owner);
}

void journal_conn(struct store_conn *conn)
{
    struct bytes *out = conn->socket ? NULL : begin(conn->store, RECORD_CONN);

    if (!out)
        return;
    bytes_put_u16(out, conn->domid);
    bytes_put_u64(out, conn->frame);
    bytes_put_u32(out, conn->port);
    bytes_put_u32(out, conn->target);
    bytes_put_u32(out, conn->next_transaction);
    bytes_put_u32(out, conn->consumed);
    bytes_put_u32(out, conn->produced - bytes_length(&conn->out));
}

void journal_release(struct store *store, uint16_t domid)
{
    struct bytes *out = begin(store, RECORD_RELEASE);

    if (out)
        bytes_put_u16(out, domid);
}

void journal_reset(struct store_conn *conn)
{
    struct bytes *out = conn->socket ? NULL : begin(conn->store, RECORD_RESET);

    if (out)
        bytes_put_u16(out, conn->domid);
}

void journal_watch(struct store_conn *conn, const char *path, const char *token, size_t relative, bool added)
{
    struct bytes *out = conn->socket ? NULL : begin(conn->store, added ? RECORD_WATCH : RECORD_UNWATCH);

    if (!out)
        return;
    bytes_put_u16(out, conn->domid);
    bytes_put_string(out, path);
    bytes_put_string(out, token);
    bytes_put_u32(out, relative);
}

void journal_transaction(struct store_conn *conn, uint32_t id, bool started)
{
    struct bytes *out =
        conn->socket ? NULL : begin(conn->store, started ? RECORD_TRANSACTION : RECORD_TRANSACTION_END);

    if (!out)
        return;
    bytes_put_u16(out, conn->domid);
    bytes_put_u32(out, id);
}

void journal_strip(struct store *store, uint16_t domid)
{
    struct bytes *out = begin(store, RECORD_STRIP);

    if (out)
        bytes_put_u16(out, domid);
}

void journal_quota(struct store *store, enum quota_kind kind)
{
    struct bytes *out = begin(store, RECORD_QUOTA);

    store->quota_set[kind] = true;
    if (!out)
        return;
    bytes_put_string(out, quota_name(kind));
    bytes_put_u32(out, store->quota.limit[kind]);
}

void journal_moved(struct store_conn *conn)
{
    /* Sockets' output waits for the journal as well: it tells of what others must find after a restart. */
    store_wants_attention(conn->store);
    if (conn->socket || conn->moved || conn->store->replaying)
        return;
    conn->moved = true;
    LIST_INSERT_HEAD(&conn->store->moved, conn, moved_link);
}

/* Where a connection stands, with the last `fresh` bytes of its output. */
static void put_io(struct store_conn *conn, size_t fresh)
{
    struct bytes *out = &conn->store->journal;

    bytes_put_u8(out, RECORD_IO);
    bytes_put_u16(out, conn->domid);
    bytes_put_u32(out, conn->consumed);
    bytes_put_u32(out, conn->produced);
    bytes_put_u8(out, conn->dead);
    bytes_put_u32(out, conn->next_transaction);
    bytes_put_blob(out, bytes_front(&conn->in), bytes_length(&conn->in));
    bytes_put_blob(out, bytes_front(&conn->out) + bytes_length(&conn->out) - fresh, fresh);
}

static void put_moved(struct store *store)
{
    struct store_conn *conn;

    while ((conn = LIST_FIRST(&store->moved))) {
        LIST_REMOVE(conn, moved_link);
        conn->moved = false;
        put_io(conn, conn->out_fresh);
        conn->out_fresh = 0;
    }
}

/* Wrap the collected records into a batch and begin anew. */
static const void *take_batch(struct store *store, size_t *length)
{
    struct batch_header header = { .magic = BATCH_MAGIC, .length = bytes_length(&store->journal) };

    header.checksum = checksum(bytes_front(&store->journal), header.length);
    bytes_drop(&store->batch, bytes_length(&store->batch));
    bytes_append(&store->batch, &header, sizeof(header));
    bytes_append(&store->batch, bytes_front(&store->journal), header.length);
    bytes_drop(&store->journal, header.length);
    *length = bytes_length(&store->batch);
    return bytes_front(&store->batch);
}

const void *store_journal(struct store *store, size_t *length)
{
    conns_bury(store);
    put_moved(store);
    store->told_dirty = false;
    if (bytes_length(&store->journal) == 0) {
        *length = 0;
        return NULL;
    }
    return take_batch(store, length);
}

static void snapshot_node(void *context, const char *path, const struct node *node)
{
    struct bytes *out = context;

    bytes_put_u8(out, RECORD_OP);
    put_op(out, OP_WRITE, path, node->value, node->value_length, NULL, 0, -1);
    bytes_put_u8(out, RECORD_OP);
    put_op(out, OP_PERMS, path, NULL, 0, node->perms, node->perm_count, -1);
}

const void *store_snapshot(struct store *store, size_t *length)
{
    static const char *const specials[2] = { "@introduceDomain", "@releaseDomain" };
    struct store_watch *watch;
    struct store_conn *conn;
    struct transaction *tx;

    conns_bury(store);
    put_moved(store);
    store->told_dirty = true; /* the snapshot is no news */
    bytes_drop(&store->journal, bytes_length(&store->journal));
    tree_walk(store->main.root, "/", snapshot_node, &store->journal);
    for (int i = 0; i < 2; i++) {
        bytes_put_u8(&store->journal, RECORD_OP);
        put_op(&store->journal, OP_PERMS, specials[i], NULL, 0, store->special_perms[i],
               store->special_perm_counts[i], -1);
    }
    LIST_FOREACH(conn, &store->conns, link) {
        if (conn->socket)
            continue;
        journal_conn(conn);
        put_io(conn, bytes_length(&conn->out));
        LIST_FOREACH(watch, &conn->watches, link)
            journal_watch(conn, watch->group->point->path, watch->token, watch->relative, true);
        LIST_FOREACH(tx, &conn->transactions, link)
            journal_transaction(conn, tx->id, true);
    }
    for (int i = 0; i < QUOTA_COUNT; i++)
        if (store->quota_set[i])
            journal_quota(store, i);
    store->told_dirty = false;
    return take_batch(store, length);
}

/* --- reading it back --------------------------------------------------------------------------------------------- */

static void replay_special(struct store *store, int index, const struct perm *perms, unsigned int count)
{
    free(store->special_perms[index]);
    store->special_perms[index] = xmemdup(perms, count * sizeof(*perms));
    store->special_perm_counts[index] = count;
}

static void replay_op(struct store *store, struct reader *reader)
{
    enum op_type type = reader_u8(reader);
    int owner = (int)reader_u32(reader);
    const char *path = reader_string(reader);
    size_t length;
    const uint8_t *value = reader_blob(reader, &length);
    unsigned int count = reader_u32(reader);
    struct perm perms[STORE_PERMS_MAX];
    struct node *node;

    if (count > STORE_PERMS_MAX)
        reader->failed = true;
    for (unsigned int i = 0; i < count && !reader->failed; i++) {
        perms[i].domid = reader_u16(reader);
        perms[i].access = reader_u8(reader) & (PERM_READ | PERM_WRITE);
        reader->failed |= perms[i].domid >= DOMAINS;
    }
    if (type == OP_PERMS && count > 0 && special_index(path) >= 0 && !reader->failed) {
        replay_special(store, special_index(path), perms, count);
        return;
    }
    if (reader->failed || !path_valid(path)) {
        reader->failed = true;
        return;
    }
    store->generation++;
    if (type == OP_RM) {
        if (tree_find(store->main.root, path))
            tree_remove(&store->main.root, path, store->generation);
        return;
    }
    if (type == OP_PERMS) {
        if (count > 0)
            tree_set_perms(&store->main.root, path, perms, count, store->generation);
        return;
    }
    node = tree_make(&store->main.root, path, owner, store->generation);
    if (type == OP_WRITE)
        node_set_value(node, value, length, store->generation);
}

static void replay_conn(struct store *store, uint16_t domid, struct reader *reader)
{
    struct store_conn *conn = store->domains[domid];
    uint64_t frame = reader_u64(reader);
    uint32_t port = reader_u32(reader);
    int target = (int)reader_u32(reader);
    uint32_t next_transaction = reader_u32(reader);
    uint32_t consumed = reader_u32(reader);
    uint32_t produced = reader_u32(reader);

    /* A second record of the same connection: it was reset, or got a target or another port. */
    if (!conn)
        conn = store_conn_domain(store, domid, frame, port, consumed, produced);
    conn->port = port;
    conn->target = target;
    conn->next_transaction = next_transaction;
}

static void replay_io(struct store_conn *conn, struct reader *reader)
{
    const uint8_t *in, *out;
    size_t in_length, out_length;

    conn->consumed = reader_u32(reader);
    conn->produced = reader_u32(reader);
    conn->dead = reader_u8(reader);
    conn->next_transaction = reader_u32(reader);
    in = reader_blob(reader, &in_length);
    out = reader_blob(reader, &out_length);
    bytes_clear(&conn->in);
    bytes_append(&conn->in, in, in_length);
    if (conn->dead)
        bytes_clear(&conn->out);
    else
        bytes_append(&conn->out, out, out_length);
}

static void replay_transaction(struct store_conn *conn, uint32_t id, bool started)
{
    struct transaction *tx = transaction_find(conn, id);
    uint32_t next = conn->next_transaction, new_id;

    if (!started && tx) {
        transaction_end(conn, tx, false);
    } else if (started && !tx) {
        conn->next_transaction = id - 1;
        if (transaction_start(conn, &new_id) == 0)
            transaction_find(conn, new_id)->doomed = true;
        conn->next_transaction = next;
    }
}

/* Records about a connection that exists. */
static void replay_on_conn(struct store_conn *conn, enum record record, struct reader *reader)
{
    const char *path, *token;
    struct store_watch *watch;
    uint32_t relative;

    switch (record) {
    case RECORD_RELEASE:
        store_conn_free(conn);
        break;
    case RECORD_RESET:
        watches_clear(conn);
        transactions_clear(conn);
        bytes_clear(&conn->out);
        break;
    case RECORD_IO:
        replay_io(conn, reader);
        break;
    case RECORD_WATCH:
    case RECORD_UNWATCH:
        path = reader_string(reader);
        token = reader_string(reader);
        relative = reader_u32(reader);
        if (record == RECORD_WATCH)
            watch_add(conn, path, token, relative, &watch);
        else
            watch_remove(conn, path, token);
        break;
    case RECORD_TRANSACTION:
    case RECORD_TRANSACTION_END:
        replay_transaction(conn, reader_u32(reader), record == RECORD_TRANSACTION);
        break;
    default:
        reader->failed = true;
    }
}

static void replay_quota(struct store *store, struct reader *reader)
{
    const char *name = reader_string(reader);
    uint32_t limit = reader_u32(reader);

    for (int i = 0; i < QUOTA_COUNT; i++) {
        if (!strcmp(quota_name(i), name)) {
            store->quota.limit[i] = limit;
            store->quota_set[i] = true;
        }
    }
}

static void replay_record(struct store *store, struct reader *reader)
{
    enum record record = reader_u8(reader);
    uint16_t domid;

    if (record == RECORD_OP) {
        replay_op(store, reader);
        return;
    }
    if (record == RECORD_QUOTA) {
        replay_quota(store, reader);
        return;
    }
    domid = reader_u16(reader);
    if (domid >= DOMAINS)
        reader->failed = true;
    else if (record == RECORD_STRIP)
        tree_strip_domain(&store->main.root, domid, ++store->generation);
    else if (record == RECORD_CONN)
        replay_conn(store, domid, reader);
    else if (store->domains[domid])
        replay_on_conn(store->domains[domid], record, reader);
    else
        reader->failed = true;
}

size_t store_replay(struct store *store, const void *data, size_t length)
{
    const uint8_t *at = data;
    size_t done = 0;

    store->replaying = true;
    while (length - done >= sizeof(struct batch_header)) {
        struct batch_header header;
        struct reader reader = { .data = at + done + sizeof(header) };

        memcpy(&header, at + done, sizeof(header));
        if (header.magic != BATCH_MAGIC || header.length > length - done - sizeof(header) ||
            checksum(reader.data, header.length) != header.checksum)
            break;
        reader.length = header.length;
        while (reader.position < reader.length && !reader.failed)
            replay_record(store, &reader);
        if (reader.failed)
            log_error("store: the journal has a record that makes no sense at byte %zu", done);
        done += sizeof(header) + header.length;
    }
    free(store->usage);
    store->usage = usage_count(store);
    store->replaying = false;
    return done;
}
