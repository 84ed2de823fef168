/* SPDX-License-Identifier: MIT */
/*
 * The store as a whole: its making and ending, changes outside of transactions, the daemon's own access.
 */
#include "store.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "lib/alloc.h"

struct store *store_new(const struct store_ops *ops, void *context, uint64_t seed)
{
    static const struct perm nobody = { .domid = 0, .access = 0 };
    struct store *store = xcalloc(1, sizeof(*store));

    store->ops = ops;
    store->context = context;
    store_quota_defaults(&store->quota);
    store->generation = seed;
    store->main.root = tree_new();
    store->usage = usage_count(store);
    watches_init(store);
    for (int i = 0; i < 2; i++) {
        store->special_perms[i] = xmemdup(&nobody, sizeof(nobody));
        store->special_perm_counts[i] = 1;
    }
    STAILQ_INIT(&store->local_events);
    return store;
}

void store_free(struct store *store)
{
    store->replaying = true; /* its end is not to be journaled */
    while (!LIST_EMPTY(&store->conns))
        store_conn_free(LIST_FIRST(&store->conns));
    while (!LIST_EMPTY(&store->local_watches))
        store_unwatch_local(store, LIST_FIRST(&store->local_watches));
    version_free(&store->main);
    free(store->special_perms[0]);
    free(store->special_perms[1]);
    free(store->usage);
    free(store->buckets);
    free(store->trace_file);
    bytes_clear(&store->journal);
    bytes_clear(&store->batch);
    free(store);
}

struct store_quota *store_quota(struct store *store)
{
    return &store->quota;
}

int store_apply(struct store *store, struct store_conn *conn, const struct op *op)
{
    struct node *before = NULL;
    bool changed;
    int rc;

    /* Who could see a node that goes, or that others may see no more, is to hear of it: keep it as it was. */
    if (op->type == OP_RM || op->type == OP_PERMS)
        before = tree_ref(store->main.root);
    rc = version_apply(store, &store->main, conn, op, &changed);
    if (rc == 0 && changed) {
        journal_op(store, op, conn_privileged(conn) ? -1 : conn->domid);
        watches_fire(store, before ? before : store->main.root, store->main.root, op->path, op->type == OP_RM);
    }
    tree_unref(before);
    return rc;
}

void store_put(struct store *store, const char *path, const char *format, ...)
{
    struct op op = { .type = OP_WRITE, .path = (char *)path };
    va_list args;
    char *text;

    va_start(args, format);
    if (vasprintf(&text, format, args) < 0)
        text = xstrdup("");
    va_end(args);
    op.value = text;
    op.value_length = strlen(text);
    store_apply(store, NULL, &op);
    free(text);
}

const char *store_get(struct store *store, const char *path)
{
    struct node *node = tree_find(store->main.root, path);

    return node ? node->value : NULL;
}

void store_remove(struct store *store, const char *path)
{
    struct op op = { .type = OP_RM, .path = (char *)path };

    store_apply(store, NULL, &op);
}

void store_permit(struct store *store, const char *path, uint16_t owner, uint8_t others, uint16_t peer,
                  uint8_t peer_access)
{
    struct perm perms[2] = { { .domid = owner, .access = others }, { .domid = peer, .access = peer_access } };
    struct op op = {
        .type = OP_PERMS, .path = (char *)path, .perms = perms, .perm_count = peer == owner ? 1 : 2,
    };

    store_apply(store, NULL, &op);
}

const struct node *store_node(struct store *store, const char *path)
{
    return tree_find(store->main.root, path);
}
