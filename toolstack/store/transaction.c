/* SPDX-License-Identifier: MIT */
/*
 * Transactions. One works on a version of its own, which begins as the store's, and notes each path it looked at or
 * changed. At commit, every such path must be in the store's current version what it was at the start; then the changes
 * are done again on a version derived from the current one, which becomes the store's if all of them succeed.
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

    if (!conn_privileged(conn) && conn->transaction_count >= store->quota.transactions)
        return -ENOSPC;
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
    tree_unref(tx->base);
    version_free(&tx->version);
    for (unsigned int i = 0; i < tx->access_count; i++)
        free(tx->accesses[i].path);
    for (unsigned int i = 0; i < tx->op_count; i++)
        op_free(&tx->ops[i]);
    free(tx->accesses);
    free(tx->ops);
    free(tx);
}

/* Room for one more entry of `size` bytes in an array that doubles. */
static void *grow(void *array, unsigned int count, unsigned int *capacity, size_t size)
{
    if (count < *capacity)
        return array;
    *capacity = *capacity * 2 + 8;
    return xrealloc(array, *capacity * size);
}

int transaction_note(struct store_conn *conn, struct transaction *tx, const char *path, bool listed)
{
    const struct store_quota *quota = &conn->store->quota;

    /* Looking again at what was looked at last is common, and needs no second note. */
    if (tx->access_count > 0 && !strcmp(tx->accesses[tx->access_count - 1].path, path)) {
        tx->accesses[tx->access_count - 1].listed |= listed;
        return 0;
    }
    tx->bytes += strlen(path);
    if (!conn_privileged(conn) &&
        (tx->access_count >= quota->transaction_ops || tx->bytes > quota->transaction_bytes))
        return -ENOSPC;
    tx->accesses = grow(tx->accesses, tx->access_count, &tx->access_capacity, sizeof(*tx->accesses));
    tx->accesses[tx->access_count++] = (struct access){ .path = xstrdup(path), .listed = listed };
    return 0;
}

int transaction_op(struct store_conn *conn, struct transaction *tx, struct op *op)
{
    const struct store_quota *quota = &conn->store->quota;
    bool changed;
    int rc = transaction_note(conn, tx, op->path, false);

    tx->bytes += op->value_length + op->perm_count * sizeof(*op->perms);
    if (rc == 0 && !conn_privileged(conn) &&
        (tx->op_count >= quota->transaction_ops || tx->bytes > quota->transaction_bytes))
        rc = -ENOSPC;
    if (rc == 0)
        rc = version_apply(conn->store, &tx->version, conn, op, &changed);
    if (rc || !changed) {
        op_free(op);
        return rc;
    }
    tx->ops = grow(tx->ops, tx->op_count, &tx->op_capacity, sizeof(*tx->ops));
    tx->ops[tx->op_count++] = *op;
    return 0;
}

/* Whether what the transaction saw at `access` is what is there now. */
static bool unchanged(const struct transaction *tx, struct node *now, const struct access *access)
{
    unsigned int depth_then, depth_now;
    struct node *then = tree_nearest(tx->base, access->path, &depth_then);
    struct node *there = tree_find(tx->base, access->path);
    struct node *found = tree_nearest(now, access->path, &depth_now);

    if (then == found)
        return true;
    if (depth_then != depth_now)
        return false;
    /* Of a path that was missing, it matters only that it still is. */
    if (!there)
        return true;
    return then->generation == found->generation &&
           (!access->listed || then->children_generation == found->children_generation);
}

static int commit(struct store_conn *conn, struct transaction *tx)
{
    struct store *store = conn->store;
    struct node *before = store->main.root;
    struct version next = { 0 };
    bool changed;
    int rc = 0;

    for (unsigned int i = 0; i < tx->access_count; i++)
        if (!unchanged(tx, before, &tx->accesses[i]))
            return -EAGAIN;
    next.root = tree_ref(before);
    for (unsigned int i = 0; rc == 0 && i < tx->op_count; i++)
        rc = version_apply(store, &next, conn, &tx->ops[i], &changed);
    if (rc) {
        version_free(&next);
        return rc;
    }
    store->main.root = tree_ref(next.root);
    for (unsigned int i = 0; i < next.change_count; i++)
        store->node_counts[next.changes[i].domid] += next.changes[i].nodes;
    for (unsigned int i = 0; i < tx->op_count; i++) {
        const struct op *op = &tx->ops[i];

        journal_op(store, op, conn_privileged(conn) ? -1 : conn->domid);
        watches_fire(store, before, next.root, op->path, op->type == OP_RM);
    }
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
