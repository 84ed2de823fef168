/* SPDX-License-Identifier: MIT */
/*
 * Watches: found by the hash of their path, so that an event costs as much as its path has names and as there are
 * watches to be told, however many others there are.
 */
#include "internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/alloc.h"

#define HASH_START 2166136261U

static uint32_t hash_more(uint32_t hash, const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ (uint8_t)text[i]) * 16777619U;
    return hash;
}

static struct bucket *bucket_of(struct store *store, uint32_t hash)
{
    return &store->buckets[(hash ^ hash >> 16) & (store->bucket_count - 1)];
}

/* The point at exactly path[0..length), or NULL. */
static struct watch_point *point_find(struct store *store, const char *path, size_t length, uint32_t hash)
{
    struct watch_point *point;

    LIST_FOREACH(point, bucket_of(store, hash), bucket) {
        if (point->hash == hash && !strncmp(point->path, path, length) && !point->path[length])
            return point;
    }
    return NULL;
}

void watches_init(struct store *store)
{
    store->bucket_count = WATCH_BUCKETS;
    store->buckets = xcalloc(store->bucket_count, sizeof(*store->buckets));
}

static void grow_table(struct store *store)
{
    struct bucket *old = store->buckets;
    uint32_t old_count = store->bucket_count;
    struct watch_point *point;

    store->bucket_count *= 2;
    store->buckets = xcalloc(store->bucket_count, sizeof(*store->buckets));
    for (uint32_t i = 0; i < old_count; i++) {
        while ((point = LIST_FIRST(&old[i]))) {
            LIST_REMOVE(point, bucket);
            LIST_INSERT_HEAD(bucket_of(store, point->hash), point, bucket);
        }
    }
    free(old);
}

static struct watch_point *point_make(struct store *store, const char *path)
{
    size_t length = strlen(path);
    uint32_t hash = hash_more(HASH_START, path, length);
    struct watch_point *point = point_find(store, path, length, hash);

    if (point)
        return point;
    if (store->point_count >= store->bucket_count)
        grow_table(store);
    point = xcalloc(1, sizeof(*point) + length + 1);
    memcpy(point->path, path, length);
    point->hash = hash;
    TAILQ_INIT(&point->groups);
    LIST_INSERT_HEAD(bucket_of(store, hash), point, bucket);
    store->point_count++;
    return point;
}

int special_index(const char *name)
{
    if (!strcmp(name, "@introduceDomain"))
        return 0;
    if (!strcmp(name, "@releaseDomain"))
        return 1;
    return -1;
}

/* Queue an event for a watch without asking whether its client may have it. */
void watch_send(struct store_watch *watch, const char *path)
{
    struct store_conn *conn = watch->group->conn;
    const char *shown = path + watch->relative;
    char payload[2 * XENSTORE_PAYLOAD_MAX];
    size_t path_length = strlen(shown) + 1, token_length;

    if (!conn) {
        struct local_event *event = xmalloc(sizeof(*event));

        event->watch = watch;
        event->path = xstrdup(path);
        STAILQ_INSERT_TAIL(&watch->store->local_events, event, link);
        store_wants_attention(watch->store);
        return;
    }
    token_length = strlen(watch->token) + 1;
    if (conn->dead || conn->overrun || path_length + token_length > XENSTORE_PAYLOAD_MAX)
        return;
    if (bytes_length(&conn->out) > OUTPUT_MAX || !quota_has_memory(conn, path_length + token_length)) {
        conn->overrun = conn->store->overrun = true;
        if (!conn_privileged(conn))
            quota_refuse(conn, QUOTA_MEMORY, "more unread events");
        return;
    }
    memcpy(payload, shown, path_length);
    memcpy(payload + path_length, watch->token, token_length);
    conn_send(conn, XS_WATCH_EVENT, 0, 0, payload, path_length + token_length);
}

static void group_send(struct watch_group *group, const char *path)
{
    struct store_watch *watch;

    TAILQ_FOREACH(watch, &group->watches, in_group)
        watch_send(watch, path);
}

/* One change of the tree, as watches see it. */
struct change {
    struct store *store;
    struct node *before, *after;
};

/* Whether `conn` may know of a change whose nearest nodes, in the versions around it, are these. */
static bool may_know(const struct store_conn *conn, const struct node *before, const struct node *after)
{
    return conn_privileged(conn) || (perms_access(conn, before->perms, before->perm_count) & PERM_READ) ||
           (perms_access(conn, after->perms, after->perm_count) & PERM_READ);
}

/* Send `path` to the watches set on exactly watched[0..length). */
static void fire_on(const struct change *change, const char *watched, size_t length, uint32_t hash, const char *path)
{
    struct watch_point *point = point_find(change->store, watched, length, hash);
    const struct node *before, *after;
    struct watch_group *group;
    unsigned int depth;

    if (!point)
        return;
    before = tree_nearest(change->before, path, &depth);
    after = tree_nearest(change->after, path, &depth);
    TAILQ_FOREACH(group, &point->groups, link) {
        if (may_know(group->conn, before, after))
            group_send(group, path);
    }
}

static void fire_removed(void *context, const char *path, const struct node *node)
{
    const struct change *change = context;
    size_t length = strlen(path);

    (void)node;
    fire_on(change, path, length, hash_more(HASH_START, path, length), path);
}

/* Watches set below a path that is removed. */
static void fire_below(struct change *change, const char *path)
{
    struct node *node = tree_find(change->before, path);

    for (uint32_t i = 0; node && i < node->child_count; i++) {
        char *child = xasprintf("%s/%s", path, node->children[i]->name);

        tree_walk(node->children[i], child, fire_removed, change);
        free(child);
    }
}

void watches_fire(struct store *store, struct node *before, struct node *after, const char *path, bool removed)
{
    struct change change = { .store = store, .before = before, .after = after };
    uint32_t hash = hash_more(HASH_START, "/", 1);
    size_t length = 1;

    if (removed)
        fire_below(&change, path);
    /* "/", then "/a", "/a/b" up to the path itself. */
    fire_on(&change, "/", 1, hash, path);
    if (!strcmp(path, "/"))
        return;
    hash = HASH_START;
    for (size_t done = 0; path[done]; done = length) {
        length = done + 1 + strcspn(path + done + 1, "/");
        hash = hash_more(hash, path + done, length - done);
        fire_on(&change, path, length, hash, path);
    }
}

void store_fire_special(struct store *store, const char *name)
{
    size_t length = strlen(name);
    struct watch_point *point = point_find(store, name, length, hash_more(HASH_START, name, length));
    int index = special_index(name);
    struct watch_group *group;

    if (!point)
        return;
    TAILQ_FOREACH(group, &point->groups, link) {
        if (perms_access(group->conn, store->special_perms[index], store->special_perm_counts[index]) & PERM_READ)
            group_send(group, name);
    }
}

static struct watch_group *group_find(const struct watch_point *point, const struct store_conn *conn)
{
    struct watch_group *group;

    TAILQ_FOREACH(group, &point->groups, link) {
        if (group->conn == conn)
            return group;
    }
    return NULL;
}

/* A watch of a connection, or of the daemon itself (NULL). */
static struct store_watch *watch_new(struct store *store, struct store_conn *conn, const char *path)
{
    struct store_watch *watch = xcalloc(1, sizeof(*watch));
    struct watch_point *point = point_make(store, path);

    watch->store = store;
    watch->group = group_find(point, conn);
    if (!watch->group) {
        watch->group = xcalloc(1, sizeof(*watch->group));
        watch->group->point = point;
        watch->group->conn = conn;
        TAILQ_INIT(&watch->group->watches);
        TAILQ_INSERT_TAIL(&point->groups, watch->group, link);
    }
    TAILQ_INSERT_TAIL(&watch->group->watches, watch, in_group);
    return watch;
}

static void watch_free(struct store_watch *watch)
{
    struct watch_group *group = watch->group;
    struct watch_point *point = group->point;

    TAILQ_REMOVE(&group->watches, watch, in_group);
    if (TAILQ_EMPTY(&group->watches)) {
        TAILQ_REMOVE(&point->groups, group, link);
        free(group);
    }
    if (TAILQ_EMPTY(&point->groups)) {
        LIST_REMOVE(point, bucket);
        watch->store->point_count--;
        free(point);
    }
    LIST_REMOVE(watch, link);
    free(watch->token);
    free(watch);
}

/* What a watch makes the store keep. */
static size_t watch_bytes(const char *path, const char *token)
{
    return sizeof(struct store_watch) + sizeof(struct watch_group) + sizeof(struct watch_point) + strlen(path) +
           strlen(token);
}

static struct store_watch *watch_find(struct store_conn *conn, const char *path, const char *token)
{
    size_t length = strlen(path);
    struct watch_point *point = point_find(conn->store, path, length, hash_more(HASH_START, path, length));
    struct watch_group *group = point ? group_find(point, conn) : NULL;
    struct store_watch *watch;

    if (!group)
        return NULL;
    TAILQ_FOREACH(watch, &group->watches, in_group) {
        if (!strcmp(watch->token, token))
            return watch;
    }
    return NULL;
}

int watch_add(struct store_conn *conn, const char *path, const char *token, size_t relative,
              struct store_watch **watch)
{
    size_t bytes = watch_bytes(path, token);

    if (watch_find(conn, path, token))
        return -EEXIST;
    if (!conn_privileged(conn) && conn->watch_count >= conn->store->quota.limit[QUOTA_WATCHES])
        return quota_refuse(conn, QUOTA_WATCHES, path);
    if (!quota_has_memory(conn, bytes))
        return quota_refuse(conn, QUOTA_MEMORY, path);
    *watch = watch_new(conn->store, conn, path);
    (*watch)->token = xstrdup(token);
    (*watch)->relative = relative;
    LIST_INSERT_HEAD(&conn->watches, *watch, link);
    conn->watch_count++;
    conn->watch_bytes += bytes;
    return 0;
}

int watch_remove(struct store_conn *conn, const char *path, const char *token)
{
    struct store_watch *watch = watch_find(conn, path, token);

    if (!watch)
        return -ENOENT;
    watch_free(watch);
    conn->watch_count--;
    conn->watch_bytes -= watch_bytes(path, token);
    return 0;
}

void watches_clear(struct store_conn *conn)
{
    while (!LIST_EMPTY(&conn->watches))
        watch_free(LIST_FIRST(&conn->watches));
    conn->watch_count = 0;
    conn->watch_bytes = 0;
}

struct store_watch *store_watch_local(struct store *store, const char *path, store_watch_fn changed, void *context)
{
    struct store_watch *watch = watch_new(store, NULL, path);

    watch->changed = changed;
    watch->context = context;
    LIST_INSERT_HEAD(&store->local_watches, watch, link);
    return watch;
}

void store_unwatch_local(struct store *store, struct store_watch *watch)
{
    struct local_event *event, *next;

    for (event = STAILQ_FIRST(&store->local_events); event; event = next) {
        next = STAILQ_NEXT(event, link);
        if (event->watch == watch) {
            STAILQ_REMOVE(&store->local_events, event, local_event, link);
            free(event->path);
            free(event);
        }
    }
    watch_free(watch);
}

void store_run_watches(struct store *store)
{
    struct local_event *event;

    while ((event = STAILQ_FIRST(&store->local_events))) {
        STAILQ_REMOVE_HEAD(&store->local_events, link);
        event->watch->changed(event->watch->context, event->path);
        free(event->path);
        free(event);
    }
}
