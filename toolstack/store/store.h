/* SPDX-License-Identifier: MIT */
/*
 * XenStore: the protocol core. Bytes of requests go in, bytes of replies and watch events come out; the core does no
 * I/O of its own and never waits. Sockets, rings and the journal's file are its user's (daemon/).
 *
 * Specification: Xen's docs/misc/xenstore.txt and xenstore-ring.txt; public/io/xs_wire.h.
 *
 * Order of effects. Handling input changes the tree, queues output and collects records of both in the journal. The
 * user then writes the journal (store_journal) before it lets any of that output out: whoever saw an effect can rely
 * on it to be there after the daemon was killed and started again.
 */
#ifndef DOMUS_STORE_H
#define DOMUS_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/tree.h"

struct store;
struct store_conn;

/* What the core asks of its user. Each returns 0 or a negative errno that becomes the error reply. */
struct store_ops {
    /* XS_INTRODUCE by a privileged client: map the ring at frame `frame`, bind `port`, make a connection. */
    int (*introduce)(void *context, uint16_t domid, uint64_t frame, uint32_t port);
    /* XS_RELEASE: end the connection of `domid`. */
    int (*release)(void *context, uint16_t domid);
    /* 0 if there is a domain `domid`, introduced or not; nodes can be given to no other. */
    int (*exists)(void *context, uint16_t domid);
    /* Append `text` to the file `path`, or to the log if that is NULL. */
    int (*report)(void *context, const char *path, const char *text, size_t length);
    /* XS_RESUME: `domid` runs again after a shutdown. */
    int (*resume)(void *context, uint16_t domid);
    /* There is output on `conn`, or it is dead (store_conn_dead); called again only after store_conn_sent. */
    void (*wake)(void *context, struct store_conn *conn);
    /* Records wait in the journal, or events for local watches; called again only after store_journal. */
    void (*dirty)(void *context);
};

/* What an unprivileged domain may use; beyond it requests fail with E2BIG or ENOSPC. */
enum quota_kind {
    QUOTA_NODES,             /* that it owns */
    QUOTA_WATCHES,
    QUOTA_TRANSACTIONS,      /* open at a time */
    QUOTA_TRANSACTION_NODES, /* that one transaction accesses */
    QUOTA_MEMORY,            /* bytes of its nodes, watches, transactions and unread output */
    QUOTA_NODE_SIZE,         /* bytes of a value */
    QUOTA_PATH_MAX,          /* characters of a path, and of a watch's token */
    QUOTA_PERMISSIONS,       /* of one node */
    QUOTA_COUNT
};
struct store_quota {
    unsigned int limit[QUOTA_COUNT];
};

void store_quota_defaults(struct store_quota *quota);
/* Set the quota called `name` (as xenstore-control quota lists them) to the number in `value`; false: no such thing. */
bool store_quota_set(struct store_quota *quota, const char *name, const char *value);

/*
 * A store with an empty tree. `seed` starts the generation numbers; to differ from those of an earlier run, pass the
 * time.
 */
struct store *store_new(const struct store_ops *ops, void *context, uint64_t seed);
void store_free(struct store *store);
/* The quotas in force, which may be changed. */
struct store_quota *store_quota(struct store *store);

/* --- connections ---------------------------------------------------------------------------------------------- */

/*
 * A client. Socket clients are dom0's and are forgotten in a restart. A domain has one connection at most, which the
 * journal keeps, with where it stands in its ring: `consumed` and `produced` are the indices of the ring's request
 * consumer and response producer.
 */
struct store_conn *store_conn_socket(struct store *store, void *user);
struct store_conn *store_conn_domain(struct store *store, uint16_t domid, uint64_t frame, uint32_t port,
                                     uint32_t consumed, uint32_t produced);
/* Ends it: its watches and transactions go. */
void store_conn_free(struct store_conn *conn);

struct store_conn *store_find_domain(struct store *store, uint16_t domid);
void store_each_domain(struct store *store, void (*visit)(void *context, struct store_conn *conn), void *context);

bool store_conn_is_socket(const struct store_conn *conn);
uint16_t store_conn_domid(const struct store_conn *conn);
uint64_t store_conn_frame(const struct store_conn *conn);
uint32_t store_conn_port(const struct store_conn *conn);
uint32_t store_conn_consumed(const struct store_conn *conn);
uint32_t store_conn_produced(const struct store_conn *conn);
void *store_conn_user(const struct store_conn *conn);
void store_conn_set_user(struct store_conn *conn, void *user);
/* The domain is reached by another event channel from now on. */
void store_conn_set_port(struct store_conn *conn, uint32_t port);

/*
 * Handle `length` bytes that arrived. Takes all of them unless the client leaves so much output unread that it has to
 * wait, or broke the protocol (store_conn_dead); returns how many were taken.
 */
size_t store_conn_input(struct store_conn *conn, const void *data, size_t length);

/* Broke the protocol or would not read its output. Nothing more is taken from or sent to it. */
bool store_conn_dead(const struct store_conn *conn);

/* Output waiting: *data points to the returned number of bytes, until the next call on this store. */
size_t store_conn_output(const struct store_conn *conn, const void **data);
/* The first `length` bytes of output are out. */
void store_conn_sent(struct store_conn *conn, size_t length);

/* Forget all that is under way and start at indices 0, as a client asks that reconnects its ring. */
void store_conn_reset(struct store_conn *conn);

/*
 * After a replay: the ring's response producer is found at `produced`, so that what lies before it is out. False if it
 * can't be: the client wrote nonsense there; the connection is dead then.
 */
bool store_conn_resume(struct store_conn *conn, uint32_t produced);

/* --- events ---------------------------------------------------------------------------------------------------- */

/* A domain was introduced or released, crashed or shut down: "@introduceDomain" or "@releaseDomain". */
void store_fire_special(struct store *store, const char *name);

/* A dead domain: what it owned goes, and nothing in the store names its number any more. */
void store_forget_domain(struct store *store, uint16_t domid);

/* --- the daemon's own access: privileged, outside of transactions ------------------------------------------------ */

/* Paths must be valid. store_put formats the value. */
void store_put(struct store *store, const char *path, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* NUL-terminated value, or NULL if there is no such node; valid until the store changes. */
const char *store_get(struct store *store, const char *path);
void store_remove(struct store *store, const char *path);
/*
 * `owner` owns it; everybody else has `others`, but domain `peer`, which has `peer_access`, unless it is the owner.
 */
void store_permit(struct store *store, const char *path, uint16_t owner, uint8_t others, uint16_t peer,
                  uint8_t peer_access);
/* The node at `path`, to look at its children; valid until the store changes. */
const struct node *store_node(struct store *store, const char *path);

/* Call `changed` (from store_run_watches, never from within a change) when something changed at or below `path`. */
struct store_watch;
typedef void (*store_watch_fn)(void *context, const char *path);
struct store_watch *store_watch_local(struct store *store, const char *path, store_watch_fn changed, void *context);
void store_unwatch_local(struct store *store, struct store_watch *watch);
/* Deliver what local watches wait for. A callback may change the store, add and remove watches. */
void store_run_watches(struct store *store);

/* --- journal ----------------------------------------------------------------------------------------------------- */

/*
 * The records since the last call, as one batch to append to the journal's file; *length may be 0. Valid until the next
 * call on this store.
 */
const void *store_journal(struct store *store, size_t *length);

/* All of the store's state as one batch, to begin a new journal with; pending records are part of it. */
const void *store_snapshot(struct store *store, size_t *length);

/*
 * Bring a new store to the state that a journal of `length` bytes describes. Returns how many bytes make up whole
 * batches: what lies behind is torn, to be cut off. Open transactions come back as ones whose commit asks the client to
 * try again.
 */
size_t store_replay(struct store *store, const void *data, size_t length);

#endif
