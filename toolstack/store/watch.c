/* SPDX-License-Identifier: MIT */
/*
 * Watches: found by the hash of their path, so that an event costs as much as its path has names, however many watches
 * there are.
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
    return &store->buckets[(hash ^ hash >> 16) % WATCH_BUCKETS];
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
    struct store_conn *conn = watch->conn;
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
    if (bytes_length(&conn->out) > OUTPUT_MAX) {
        conn->overrun = conn->store->overrun = true;
        return;
    }
    memcpy(payload, shown, path_length);
    memcpy(payload + path_length, watch->token, token_length);
    conn_send(conn, XS_WATCH_EVENT, 0, 0, payload, path_length + token_length);
}

/* One change of the tree, as watches see it. */
struct change {
    struct store *store;
    struct node *before, *after;
};

static bool may_know(const struct change *change, const struct store_watch *watch, const char *path)
{
    return conn_privileged(watch->conn) || path_readable(watch->conn, change->before, path) ||
           path_readable(watch->conn, change->after, path);
}

/* Send `path` to the watches set on exactly watched[0..length). */
static void fire_on(const struct change *change, const char *watched, size_t length, uint32_t hash, const char *path)
{
    struct store_watch *watch;

    LIST_FOREACH(watch, bucket_of(change->store, hash), bucket) {
        if (!strncmp(watch->path, watched, length) && !watch->path[length] && may_know(change, watch, path))
            watch_send(watch, path);
    }
}

static void fire_removed(void *context, const char *path, const struct node *node)
{
    const struct change *change = context;
    size_t length = strlen(path);

    (void)node;
    fire_on(change, path, length, hash_more(HASH_START, path, length), path);
}

void watches_fire(struct store *store, struct node *before, struct node *after, const char *path, bool removed)
{
    struct change change = { .store = store, .before = before, .after = after };
    uint32_t hash = hash_more(HASH_START, "/", 1);
    size_t length = 1;

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
    if (removed) {
        struct node *node = tree_find(before, path);

        for (uint32_t i = 0; node && i < node->child_count; i++) {
            char *child = xasprintf("%s/%s", path, node->children[i]->name);

            tree_walk(node->children[i], child, fire_removed, &change);
            free(child);
        }
    }
}

void store_fire_special(struct store *store, const char *name)
{
    size_t length = strlen(name);
    int index = special_index(name);
    struct store_watch *watch;

    LIST_FOREACH(watch, bucket_of(store, hash_more(HASH_START, name, length)), bucket) {
        if (strcmp(watch->path, name))
            continue;
        if (perms_access(watch->conn, store->special_perms[index], store->special_perm_counts[index]) & PERM_READ)
            watch_send(watch, name);
    }
}

static struct store_watch *watch_new(struct store *store, const char *path)
{
    struct store_watch *watch = xcalloc(1, sizeof(*watch));

    watch->store = store;
    watch->path = xstrdup(path);
    LIST_INSERT_HEAD(bucket_of(store, hash_more(HASH_START, path, strlen(path))), watch, bucket);
    return watch;
}

static void watch_free(struct store_watch *watch)
{
    LIST_REMOVE(watch, bucket);
    LIST_REMOVE(watch, link);
    free(watch->path);
    free(watch->token);
    free(watch);
}

static struct store_watch *watch_find(struct store_conn *conn, const char *path, const char *token)
{
    struct store_watch *watch;

    LIST_FOREACH(watch, bucket_of(conn->store, hash_more(HASH_START, path, strlen(path))), bucket) {
        if (watch->conn == conn && !strcmp(watch->path, path) && !strcmp(watch->token, token))
            return watch;
    }
    return NULL;
}

int watch_add(struct store_conn *conn, const char *path, const char *token, size_t relative,
              struct store_watch **watch)
{
    if (watch_find(conn, path, token))
        return -EEXIST;
    if (!conn_privileged(conn) && conn->watch_count >= conn->store->quota.watches)
        return -E2BIG;
    *watch = watch_new(conn->store, path);
    (*watch)->conn = conn;
    (*watch)->token = xstrdup(token);
    (*watch)->relative = relative;
    LIST_INSERT_HEAD(&conn->watches, *watch, link);
    conn->watch_count++;
    return 0;
}

int watch_remove(struct store_conn *conn, const char *path, const char *token)
{
    struct store_watch *watch = watch_find(conn, path, token);

    if (!watch)
        return -ENOENT;
    watch_free(watch);
    conn->watch_count--;
    return 0;
}

void watches_clear(struct store_conn *conn)
{
    while (!LIST_EMPTY(&conn->watches))
        watch_free(LIST_FIRST(&conn->watches));
    conn->watch_count = 0;
}

struct store_watch *store_watch_local(struct store *store, const char *path, store_watch_fn changed, void *context)
{
    struct store_watch *watch = watch_new(store, path);

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
