/* SPDX-License-Identifier: MIT */
/*
 * Changes to a version of the tree: permission and quota checks, then a step that cannot fail. The number of nodes that
 * each domain owns is kept along.
 */
#include "internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/alloc.h"

void op_free(struct op *op)
{
    free(op->path);
    free(op->value);
    free(op->perms);
    memset(op, 0, sizeof(*op));
}

void version_free(struct version *version)
{
    tree_unref(version->root);
    free(version->changes);
    memset(version, 0, sizeof(*version));
}

static void count_nodes(struct store *store, struct version *version, uint16_t domid, int64_t nodes)
{
    unsigned int i;

    if (version == &store->main) {
        store->node_counts[domid] += nodes;
        return;
    }
    for (i = 0; i < version->change_count; i++)
        if (version->changes[i].domid == domid)
            break;
    if (i == version->change_count) {
        version->changes = xrealloc(version->changes, ++version->change_count * sizeof(*version->changes));
        version->changes[i] = (struct count_change){ .domid = domid };
    }
    version->changes[i].nodes += nodes;
}

static int64_t nodes_of(const struct store *store, const struct version *version, uint16_t domid)
{
    int64_t nodes = store->node_counts[domid];

    for (unsigned int i = 0; i < version->change_count; i++)
        if (version->changes[i].domid == domid)
            nodes += version->changes[i].nodes;
    return nodes;
}

struct count_walk {
    struct store *store;
    struct version *version;
};

static void uncount_node(void *context, const char *path, const struct node *node)
{
    struct count_walk *walk = context;

    (void)path;
    count_nodes(walk->store, walk->version, node->perms[0].domid, -1);
}

/* How many nodes making `path` would add. */
static unsigned int missing_nodes(struct node *root, const char *path)
{
    unsigned int depth, names = 0;

    tree_nearest(root, path, &depth);
    for (const char *at = path; (at = strchr(at, '/')) && at[1]; at++)
        names++;
    return names - depth;
}

/* Make or set `op->path`. */
static int apply_write(struct store *store, struct version *version, const struct store_conn *conn,
                       const struct op *op, bool *changed)
{
    int owner = conn_privileged(conn) ? -1 : conn->domid;
    struct node *node;
    unsigned int created;
    int rc = node_for(conn, version->root, op->path, PERM_WRITE, &node);

    if (rc && rc != -ENOENT)
        return rc;
    if (!conn_privileged(conn)) {
        if (op->value_length > store->quota.value_bytes)
            return -E2BIG;
        if (!node && nodes_of(store, version, conn->domid) + missing_nodes(version->root, op->path) >
                     store->quota.nodes)
            return -ENOSPC;
    }
    if (node && op->type == OP_MKDIR) {
        *changed = false;
        return 0;
    }
    node = tree_make(&version->root, op->path, owner, ++store->generation, &created);
    if (created)
        count_nodes(store, version, node->perms[0].domid, created);
    if (op->type == OP_WRITE)
        node_set_value(node, op->value, op->value_length, store->generation);
    return 0;
}

static int apply_rm(struct store *store, struct version *version, const struct store_conn *conn, const struct op *op,
                    bool *changed)
{
    struct count_walk walk = { .store = store, .version = version };
    char parent[STORE_PATH_MAX + 1];
    struct node *node;
    int rc;

    if (!strcmp(op->path, "/"))
        return -EINVAL;
    rc = node_for(conn, version->root, op->path, PERM_WRITE, &node);
    if (rc == -ENOENT) {
        /* Not an error, provided that the parent is there. */
        strcpy(parent, op->path);
        *strrchr(parent, '/') = '\0';
        *changed = false;
        return tree_find(version->root, parent) ? 0 : -ENOENT;
    }
    if (rc)
        return rc;
    tree_walk(node, op->path, uncount_node, &walk);
    tree_remove(&version->root, op->path, ++store->generation);
    return 0;
}

static int apply_perms(struct store *store, struct version *version, const struct store_conn *conn,
                       const struct op *op)
{
    struct node *node;
    unsigned int created;
    int rc = node_for(conn, version->root, op->path, PERM_WRITE, &node);

    if (rc)
        return rc;
    if (!perms_owner(conn, node->perms))
        return -EACCES;
    if (!conn_privileged(conn)) {
        if (op->perms[0].domid != node->perms[0].domid)
            return -EPERM;
        if (op->perm_count > store->quota.perms)
            return -ENOSPC;
    }
    count_nodes(store, version, node->perms[0].domid, -1);
    count_nodes(store, version, op->perms[0].domid, 1);
    node = tree_make(&version->root, op->path, -1, ++store->generation, &created);
    node_set_perms(node, op->perms, op->perm_count, store->generation);
    return 0;
}

int version_apply(struct store *store, struct version *version, const struct store_conn *conn, const struct op *op,
                  bool *changed)
{
    *changed = true;
    switch (op->type) {
    case OP_WRITE:
    case OP_MKDIR:
        return apply_write(store, version, conn, op, changed);
    case OP_RM:
        return apply_rm(store, version, conn, op, changed);
    case OP_PERMS:
        return apply_perms(store, version, conn, op);
    }
    return -EINVAL;
}
