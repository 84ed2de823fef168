/* SPDX-License-Identifier: MIT */
/*
 * Transactions. One works on a version of its own, which begins as the store's, and notes each path it looked at or
 * changed. At commit, whatever it told the client must still be so in the store's current version; then its changes are
 * done again on a version derived from the current one, which becomes the store's if all of them succeed.
 */
#include "internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/alloc.h"

int transaction_start(struct store_conn *conn, uint32_t *id)
{
    struct store *store = conn->store;
    struct transaction *tx;

    if (!conn_privileged(conn) && conn->transaction_count >= store->quota.limit[QUOTA_TRANSACTIONS])
        return quota_refuse(conn, QUOTA_TRANSACTIONS, "another transaction");
    do {
        *id = ++conn->next_transaction;
    } while (*id == 0 || transaction_find(conn, *id));
    tx = xcalloc(1, sizeof(*tx));
    tx->id = *id;
    tx->base = tree_ref(store->main.root);
    tx->version.root = tree_ref(store->main.root);
    LIST_INSERT_HEAD(&conn->transactions, tx, link);
    conn->transaction_count++;
    return 0;
}

struct transaction *transaction_find(struct store_conn *conn, uint32_t id)
{
    struct transaction *tx;

    LIST_FOREACH(tx, &conn->transactions, link) {
        if (tx->id == id)
            return tx;
    }
    return NULL;
}

static void transaction_free(struct store_conn *conn, struct transaction *tx)
{
    LIST_REMOVE(tx, link);
    conn->transaction_count--;
    conn->transaction_bytes -= tx->bytes;
    tree_unref(tx->base);
    version_free(&tx->version);
    for (unsigned int i = 0; i < tx->access_count; i++)
        free(tx->accesses[i].path);
    for (unsigned int i = 0; i < tx->op_count; i++)
        op_free(&tx->ops[i]);
    free(tx->accesses);
    free(tx->index);
    free(tx->ops);
    free(tx);
}

/* --- what it accessed -------------------------------------------------------------------------------------------- */

static uint32_t hash_of(const char *path)
{
    uint32_t hash = 2166136261U;

    for (; *path; path++)
        hash = (hash ^ (uint8_t)*path) * 16777619U;
    return hash;
}

/* The place in the index where the access to `path` is, or belongs. */
static uint32_t *index_slot(const struct transaction *tx, const char *path, uint32_t hash)
{
    uint32_t mask = 2 * tx->access_capacity - 1, at = hash & mask;

    while (tx->index[at]) {
        const struct access *access = &tx->accesses[tx->index[at] - 1];

        if (access->hash == hash && !strcmp(access->path, path))
            break;
        at = (at + 1) & mask;
    }
    return &tx->index[at];
}

static void grow_accesses(struct transaction *tx)
{
    tx->access_capacity = tx->access_capacity ? 2 * tx->access_capacity : 8;
    tx->accesses = xrealloc(tx->accesses, tx->access_capacity * sizeof(*tx->accesses));
    free(tx->index);
    tx->index = xcalloc(2 * tx->access_capacity, sizeof(*tx->index));
    for (unsigned int i = 0; i < tx->access_count; i++)
        *index_slot(tx, tx->accesses[i].path, tx->accesses[i].hash) = i + 1;
}

/* The access to `path`, or NULL. */
static struct access *find_access(const struct transaction *tx, const char *path)
{
    uint32_t slot = tx->access_count ? *index_slot(tx, path, hash_of(path)) : 0;

    return slot ? &tx->accesses[slot - 1] : NULL;
}

/* Keep `bytes` more for the transaction. */
static int charge(struct store_conn *conn, struct transaction *tx, size_t bytes, const char *path)
{
    if (!quota_has_memory(conn, bytes))
        return quota_refuse(conn, QUOTA_MEMORY, path);
    tx->bytes += bytes;
    conn->transaction_bytes += bytes;
    return 0;
}

int transaction_note(struct store_conn *conn, struct transaction *tx, const char *path, uint8_t flags)
{
    struct access *access = find_access(tx, path);
    int rc;

    if (!access) {
        if (!conn_privileged(conn) && tx->access_count >= conn->store->quota.limit[QUOTA_TRANSACTION_NODES])
            return quota_refuse(conn, QUOTA_TRANSACTION_NODES, path);
        rc = charge(conn, tx, sizeof(*access) + strlen(path), path);
        if (rc)
            return rc;
        if (tx->access_count == tx->access_capacity)
            grow_accesses(tx);
        access = &tx->accesses[tx->access_count];
        *access = (struct access){ .path = xstrdup(path), .hash = hash_of(path) };
        *index_slot(tx, path, access->hash) = ++tx->access_count;
    }
    access->flags |= flags;
    return 0;
}

int transaction_note_value(struct store_conn *conn, struct transaction *tx, const char *path)
{
    const struct access *access = find_access(tx, path);

    return access && (access->flags & WROTE) ? 0 : transaction_note(conn, tx, path, SAW_NODE);
}

/* --- changes ----------------------------------------------------------------------------------------------------- */

/* Keep an op to do it again at commit; what it points to is taken over. */
static void keep_op(struct transaction *tx, struct op *op)
{
    if (tx->op_count == tx->op_capacity) {
        tx->op_capacity = tx->op_capacity * 2 + 8;
        tx->ops = xrealloc(tx->ops, tx->op_capacity * sizeof(*tx->ops));
    }
    tx->ops[tx->op_count++] = *op;
}

static void note_change(struct transaction *tx, const struct op *op)
{
    find_access(tx, op->path)->flags |= op->type == OP_RM ? CHANGED | REMOVED : CHANGED;
}

int transaction_op(struct store_conn *conn, struct transaction *tx, struct op *op)
{
    bool changed = false;
    int rc = transaction_note(conn, tx, op->path, 0);

    if (rc == 0)
        rc = charge(conn, tx, sizeof(*op) + strlen(op->path) + op->value_length + op->perm_count * sizeof(*op->perms),
                    op->path);
    if (rc == 0) {
        rc = version_apply(conn->store, &tx->version, conn, op, &changed);
        /* A refusal tells something of the node. */
        if (rc)
            transaction_note(conn, tx, op->path, SAW_NODE);
    }
    if (rc) {
        op_free(op);
        return rc;
    }
    if (op->type == OP_WRITE)
        transaction_note(conn, tx, op->path, WROTE);
    if (changed)
        note_change(tx, op);
    keep_op(tx, op);
    return 0;
}

/* --- the end ----------------------------------------------------------------------------------------------------- */

/* Whether what the transaction saw at `access` is what is there now. */
static bool unchanged(const struct store_conn *conn, const struct transaction *tx, struct node *now,
                      const struct access *access)
{
    struct node *then_node, *now_node;
    int then_rc, now_rc;

    if (!(access->flags & (SAW_NODE | SAW_CHILDREN)))
        return true;
    then_rc = node_for(conn, tx->base, access->path, PERM_READ, &then_node);
    now_rc = node_for(conn, now, access->path, PERM_READ, &now_node);
    if (then_rc != now_rc)
        return false;
    if (then_node == now_node)
        return true;
    /* Of a node that could not be seen, it matters only that it still can't. */
    if (then_rc)
        return true;
    return then_node->generation == now_node->generation &&
           (!(access->flags & SAW_CHILDREN) || then_node->children_generation == now_node->children_generation);
}

/* Do the changes again on `next`, a version made from the store's own, and note which of them change anything. */
static int apply_again(struct store_conn *conn, struct transaction *tx, struct version *next)
{
    next->root = tree_ref(conn->store->main.root);
    for (unsigned int i = 0; i < tx->access_count; i++)
        tx->accesses[i].flags &= ~(CHANGED | REMOVED);
    for (unsigned int i = 0; i < tx->op_count; i++) {
        struct op *op = &tx->ops[i];
        bool changed;
        int rc = version_apply(conn->store, next, conn, op, &changed);

        /* It worked on the version that the transaction saw: others have changed something. */
        if (rc)
            return rc == -ENOSPC || rc == -E2BIG ? rc : -EAGAIN;
        if (changed)
            note_change(tx, op);
    }
    return 0;
}

/* One event for each path that is not as it was, however often it was changed. */
static void fire_events(struct store *store, const struct transaction *tx, struct node *before)
{
    struct node *after = store->main.root;

    for (unsigned int i = 0; i < tx->access_count; i++) {
        const struct access *access = &tx->accesses[i];
        bool was = tree_find(before, access->path), is = tree_find(after, access->path);

        if ((access->flags & CHANGED) && (was || is))
            watches_fire(store, before, after, access->path, was && (access->flags & REMOVED));
    }
}

static int commit(struct store_conn *conn, struct transaction *tx)
{
    struct store *store = conn->store;
    struct node *before = store->main.root;
    struct version next = { 0 };
    int rc = 0;

    for (unsigned int i = 0; i < tx->access_count; i++)
        if (!unchanged(conn, tx, before, &tx->accesses[i]))
            return -EAGAIN;
    if (before == tx->base) {
        /* Nobody has changed anything: what the transaction sees is what comes. */
        next = tx->version;
        memset(&tx->version, 0, sizeof(tx->version));
    } else {
        rc = apply_again(conn, tx, &next);
    }
    if (rc) {
        version_free(&next);
        return rc;
    }
    store->main.root = tree_ref(next.root);
    for (unsigned int i = 0; i < next.change_count; i++) {
        store->usage[next.changes[i].domid].nodes += next.changes[i].by.nodes;
        store->usage[next.changes[i].domid].bytes += next.changes[i].by.bytes;
    }
    for (unsigned int i = 0; i < tx->op_count; i++)
        journal_op(store, &tx->ops[i], conn_privileged(conn) ? -1 : conn->domid);
    fire_events(store, tx, before);
    version_free(&next);
    tree_unref(before);
    return 0;
}

int transaction_end(struct store_conn *conn, struct transaction *tx, bool do_commit)
{
    int rc = 0;

    if (do_commit)
        rc = tx->doomed ? -EAGAIN : commit(conn, tx);
    transaction_free(conn, tx);
    return rc;
}

void transactions_clear(struct store_conn *conn)
{
    while (!LIST_EMPTY(&conn->transactions))
        transaction_free(conn, LIST_FIRST(&conn->transactions));
}
