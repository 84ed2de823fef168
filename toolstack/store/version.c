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

/* Adding to what `domid` owns in this version. */
static void account(struct store *store, struct version *version, uint16_t domid, int64_t nodes, int64_t bytes)
{
    struct usage *usage = NULL;

    if (version == &store->main)
        usage = &store->usage[domid];
    for (unsigned int i = 0; !usage && i < version->change_count; i++)
        if (version->changes[i].domid == domid)
            usage = &version->changes[i].by;
    if (!usage) {
        version->changes = xrealloc(version->changes, ++version->change_count * sizeof(*version->changes));
        version->changes[version->change_count - 1] = (struct usage_change){ .domid = domid };
        usage = &version->changes[version->change_count - 1].by;
    }
    usage->nodes += nodes;
    usage->bytes += bytes;
}

static struct usage usage_of(const struct store *store, const struct version *version, uint16_t domid)
{
    struct usage usage = store->usage[domid];

    for (unsigned int i = 0; i < version->change_count; i++) {
        if (version->changes[i].domid == domid) {
            usage.nodes += version->changes[i].by.nodes;
            usage.bytes += version->changes[i].by.bytes;
        }
    }
    return usage;
}

/* What a node costs besides its name and value: itself, its place among its parent's children, some permissions. */
#define NODE_OVERHEAD (sizeof(struct node) + 32)

static int64_t node_bytes(const struct node *node)
{
    return NODE_OVERHEAD + strlen(node->name) + node->value_length;
}

/* The walk that takes nodes off what their owners have. */
struct account_walk {
    struct store *store;
    struct version *version;
};

static void unaccount(void *context, const char *path, const struct node *node)
{
    struct account_walk *walk = context;

    (void)path;
    account(walk->store, walk->version, node->perms[0].domid, -1, -node_bytes(node));
}

static void count_node(void *context, const char *path, const struct node *node)
{
    struct usage *usage = context;

    (void)path;
    usage[node->perms[0].domid].nodes++;
    usage[node->perms[0].domid].bytes += node_bytes(node);
}

struct usage *usage_count(const struct store *store)
{
    struct usage *usage = xcalloc(DOMAINS, sizeof(*usage));

    tree_walk(store->main.root, "/", count_node, usage);
    return usage;
}

/* What making or setting `op->path` adds to its owner's share; `node` is what is there, if anything. */
static struct usage cost_of_write(struct node *root, const struct op *op, const struct node *node)
{
    struct usage cost = { 0 };
    unsigned int depth, names = 0;

    if (node) {
        cost.bytes = op->type == OP_WRITE ? (int64_t)op->value_length - node->value_length : 0;
        return cost;
    }
    tree_nearest(root, op->path, &depth);
    for (const char *at = op->path; at[0] == '/' && at[1]; at += 1 + strcspn(at + 1, "/")) {
        if (names++ < depth)
            continue;
        cost.nodes++;
        cost.bytes += strcspn(at + 1, "/");
    }
    cost.bytes += cost.nodes * NODE_OVERHEAD + op->value_length;
    return cost;
}

/* What quotas say to making or setting `op->path` at that cost. */
static int check_write(struct store *store, const struct version *version, struct store_conn *conn,
                       const struct op *op, const struct usage *cost)
{
    const unsigned int *limit = store->quota.limit;
    struct usage usage;

    if (conn_privileged(conn))
        return 0;
    if (op->value_length > limit[QUOTA_NODE_SIZE])
        return quota_refuse(conn, QUOTA_NODE_SIZE, op->path);
    usage = usage_of(store, version, conn->domid);
    if (cost->nodes > 0 && usage.nodes + cost->nodes > limit[QUOTA_NODES])
        return quota_refuse(conn, QUOTA_NODES, op->path);
    if (cost->bytes > 0 &&
        !quota_has_memory(conn, usage.bytes - store->usage[conn->domid].bytes + cost->bytes))
        return quota_refuse(conn, QUOTA_MEMORY, op->path);
    return 0;
}

/* Make or set `op->path`. */
static int apply_write(struct store *store, struct version *version, struct store_conn *conn, const struct op *op,
                       bool *changed)
{
    int owner = conn_privileged(conn) ? -1 : conn->domid;
    struct node *node;
    struct usage cost;
    int rc = node_for(conn, version->root, op->path, PERM_WRITE, &node);

    if (rc && rc != -ENOENT)
        return rc;
    if (node && op->type == OP_MKDIR) {
        *changed = false;
        return 0;
    }
    cost = cost_of_write(version->root, op, node);
    rc = check_write(store, version, conn, op, &cost);
    if (rc)
        return rc;
    node = tree_make(&version->root, op->path, owner, ++store->generation);
    if (op->type == OP_WRITE)
        node_set_value(node, op->value, op->value_length, store->generation);
    account(store, version, node->perms[0].domid, cost.nodes, cost.bytes);
    return 0;
}

static int apply_rm(struct store *store, struct version *version, const struct store_conn *conn, const struct op *op,
                    bool *changed)
{
    struct account_walk walk = { .store = store, .version = version };
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
    tree_walk(node, op->path, unaccount, &walk);
    tree_remove(&version->root, op->path, ++store->generation);
    return 0;
}

static int apply_perms(struct store *store, struct version *version, struct store_conn *conn, const struct op *op)
{
    struct node *node;
    int rc = node_for(conn, version->root, op->path, PERM_WRITE, &node);

    if (rc)
        return rc;
    if (!perms_owner(conn, node->perms))
        return -EACCES;
    if (!conn_privileged(conn)) {
        if (op->perms[0].domid != node->perms[0].domid)
            return -EPERM;
        if (op->perm_count > store->quota.limit[QUOTA_PERMISSIONS])
            return quota_refuse(conn, QUOTA_PERMISSIONS, op->path);
    }
    account(store, version, node->perms[0].domid, -1, -node_bytes(node));
    node = tree_set_perms(&version->root, op->path, op->perms, op->perm_count, ++store->generation);
    account(store, version, node->perms[0].domid, 1, node_bytes(node));
    return 0;
}

int version_apply(struct store *store, struct version *version, struct store_conn *conn, const struct op *op,
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

/* The topmost nodes that a domain owns. */
struct owned_walk {
    uint16_t domid;
    struct bytes paths; /* each with its NUL */
};

static void find_owned(void *context, const char *path, const struct node *node)
{
    struct owned_walk *walk = context;

    if (node->perms[0].domid == walk->domid && strcmp(path, "/"))
        bytes_append(&walk->paths, path, strlen(path) + 1);
}

void store_forget_domain(struct store *store, uint16_t domid)
{
    struct owned_walk walk = { .domid = domid };
    struct store_conn *conn;

    LIST_FOREACH(conn, &store->conns, link) {
        if (conn->target == domid) {
            conn->target = -1;
            journal_conn(conn);
        }
    }
    if (store->usage[domid].nodes > 0)
        tree_walk_named(store->main.root, domid, find_owned, &walk);
    while (bytes_length(&walk.paths) > 0) {
        const char *path = (const char *)bytes_front(&walk.paths);

        /* What lies below another one of these is gone with it. */
        store_remove(store, path);
        bytes_drop(&walk.paths, strlen(path) + 1);
    }
    bytes_clear(&walk.paths);
    /* Only the root can be left. */
    store->usage[0].nodes += store->usage[domid].nodes;
    store->usage[0].bytes += store->usage[domid].bytes;
    store->usage[domid] = (struct usage){ 0 };
    tree_strip_domain(&store->main.root, domid, ++store->generation);
    journal_strip(store, domid);
}
