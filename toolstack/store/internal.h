/* SPDX-License-Identifier: MIT */
/*
 * What the files of the store's core share: its state and the steps that a request is made of.
 */
#ifndef DOMUS_STORE_INTERNAL_H
#define DOMUS_STORE_INTERNAL_H

/* xs_wire.h wants both of these, and tells of errors only after errno.h. */
#include <errno.h>
#include <stdint.h>
#include <sys/queue.h>

#include <xen/io/xs_wire.h>

#include "lib/bytes.h"
#include "store/store.h"

#define WATCH_BUCKETS 4096
#define DOMAINS 65536

/* Above this much unread output a client's requests wait; above OUTPUT_MAX, made of events alone, it is dead. */
#define OUTPUT_WAIT 16384
#define OUTPUT_MAX (4U << 20)

/* How much a domain's count of nodes differs in a version from what the store counts. */
struct count_change {
    uint16_t domid;
    int64_t nodes;
};

/* A version of the tree under change. */
struct version {
    struct node *root;
    struct count_change *changes;
    unsigned int change_count;
};

enum op_type { OP_WRITE, OP_MKDIR, OP_RM, OP_PERMS };

/* A change to one path, as a request, a transaction and the journal see it. */
struct op {
    enum op_type type;
    char *path;
    void *value; /* OP_WRITE */
    size_t value_length;
    struct perm *perms; /* OP_PERMS */
    unsigned int perm_count;
};

/* What a transaction relied on: that this path, and its children where listed, are as in the version it began with. */
struct access {
    char *path;
    bool listed;
};

struct transaction {
    LIST_ENTRY(transaction) link;
    uint32_t id;
    bool doomed; /* began before a restart: the commit fails with EAGAIN */
    struct node *base;
    struct version version;
    struct access *accesses;
    unsigned int access_count, access_capacity;
    struct op *ops;
    unsigned int op_count, op_capacity;
    size_t bytes; /* of paths and values kept */
};

struct store_watch {
    LIST_ENTRY(store_watch) bucket; /* by path */
    LIST_ENTRY(store_watch) link;   /* of its connection, or of the store's local ones */
    struct store *store;
    struct store_conn *conn;        /* NULL: local */
    char *path;                     /* absolute, or "@..." */
    char *token;
    size_t relative;                /* how much of a path to leave out in events: 0, or the base of the domain */
    store_watch_fn changed;
    void *context;
};

/* An event for a local watch. */
struct local_event {
    STAILQ_ENTRY(local_event) link;
    struct store_watch *watch;
    char *path;
};

struct store_conn {
    LIST_ENTRY(store_conn) link;
    struct store *store;
    void *user;
    bool socket, dead, wants_wake;
    bool overrun;          /* would not read its events: to die when nobody walks over its watches */
    bool moved;            /* position or buffers changed since the last batch; on the store's list */
    LIST_ENTRY(store_conn) moved_link;
    uint16_t domid;
    int target;            /* a domain that this one serves, with its rights; -1: none */
    uint64_t frame;
    uint32_t port;
    uint32_t consumed;     /* ring index of the next request byte */
    uint32_t produced;     /* ring index behind the last byte of output */
    struct bytes in;       /* a message not yet whole */
    struct bytes out;
    size_t out_fresh;      /* how much of the end of `out` the journal does not know */
    LIST_HEAD(, store_watch) watches;
    unsigned int watch_count;
    LIST_HEAD(, transaction) transactions;
    unsigned int transaction_count;
    uint32_t next_transaction;
};

struct store {
    const struct store_ops *ops;
    void *context;
    struct store_quota quota;
    struct version main; /* its changes go to node_counts at once */
    uint64_t generation;
    uint32_t node_counts[DOMAINS];
    struct perm *special_perms[2]; /* of @introduceDomain and @releaseDomain */
    unsigned int special_perm_counts[2];
    LIST_HEAD(, store_conn) conns;
    LIST_HEAD(, store_conn) moved;
    bool overrun; /* some connection is */
    struct store_conn *domains[DOMAINS];
    LIST_HEAD(bucket, store_watch) buckets[WATCH_BUCKETS];
    LIST_HEAD(, store_watch) local_watches;
    STAILQ_HEAD(, local_event) local_events;
    struct bytes journal, batch;
    bool replaying, told_dirty;
};

/* --- access.c: who may do what ----------------------------------------------------------------------------------- */

static inline bool conn_privileged(const struct store_conn *conn)
{
    return !conn || conn->domid == 0;
}

/* The access (PERM_*) that `conn` has by a list of permissions. */
uint8_t perms_access(const struct store_conn *conn, const struct perm *perms, unsigned int count);
bool perms_owner(const struct store_conn *conn, const struct perm *perms);
/*
 * Find `path` for `access`. 0 and *node; -EACCES; -ENOENT, but only to who may read the nearest node above (else
 * -EACCES).
 */
int node_for(const struct store_conn *conn, struct node *root, const char *path, uint8_t access, struct node **node);
/* Whether `conn` may know that something happened at `path` in the version `root`. */
bool path_readable(const struct store_conn *conn, struct node *root, const char *path);
/* "r3" and the like: 0 and *perm, or -EINVAL. */
int perm_parse(const char *text, struct perm *perm);
/* Into `text` of at least 8 bytes. */
void perm_format(const struct perm *perm, char *text);

/* --- version.c: changes ------------------------------------------------------------------------------------------ */

/*
 * Do `op` for `conn` (NULL: the daemon itself) on a version: the store's own or a transaction's. Checks permissions and
 * quotas first; 0, or a negative errno and nothing changed. *changed says whether there was anything to do.
 */
int version_apply(struct store *store, struct version *version, const struct store_conn *conn, const struct op *op,
                  bool *changed);
void version_free(struct version *version);
void op_free(struct op *op);

/* --- watch.c ----------------------------------------------------------------------------------------------------- */

/*
 * Queue events for a change of `path`, `before` and `after` being the versions around it. `removed`: watches below the
 * path get one as well.
 */
void watches_fire(struct store *store, struct node *before, struct node *after, const char *path, bool removed);
/* Add a watch of `conn`; -EEXIST, -ENOSPC. Fires no event. */
int watch_add(struct store_conn *conn, const char *path, const char *token, size_t relative,
              struct store_watch **watch);
int watch_remove(struct store_conn *conn, const char *path, const char *token);
void watch_send(struct store_watch *watch, const char *path);
void watches_clear(struct store_conn *conn);
/* Which of the special names this is: 0, 1, or -1. */
int special_index(const char *name);

/* --- transaction.c ----------------------------------------------------------------------------------------------- */

int transaction_start(struct store_conn *conn, uint32_t *id);
struct transaction *transaction_find(struct store_conn *conn, uint32_t id);
/* Note that the transaction relied on `path` (and its list of children); -ENOSPC when it has grown too large. */
int transaction_note(struct store_conn *conn, struct transaction *tx, const char *path, bool listed);
/* Do `op` in the transaction; takes over what `op` points to, whatever the outcome. */
int transaction_op(struct store_conn *conn, struct transaction *tx, struct op *op);
/* Commit or give up, and free it; -EAGAIN on a conflict. */
int transaction_end(struct store_conn *conn, struct transaction *tx, bool commit);
void transactions_clear(struct store_conn *conn);

/* --- conn.c, request.c ------------------------------------------------------------------------------------------- */

/* End the connections that are overrun. */
void conns_bury(struct store *store);
/* Queue a message. */
void conn_send(struct store_conn *conn, uint32_t type, uint32_t req_id, uint32_t tx_id, const void *payload,
               size_t length);
/* Handle one whole message. */
void request_handle(struct store_conn *conn, const struct xsd_sockmsg *header, const char *payload);
/* Have the user write the journal and deliver local events soon. */
void store_wants_attention(struct store *store);
/* Change the store's own version, journal it and fire watches. */
int store_apply(struct store *store, const struct store_conn *conn, const struct op *op);

/* --- journal.c --------------------------------------------------------------------------------------------------- */

void journal_op(struct store *store, const struct op *op, int owner);
void journal_conn(struct store_conn *conn);
void journal_release(struct store *store, uint16_t domid);
void journal_reset(struct store_conn *conn);
void journal_watch(struct store_conn *conn, const struct store_watch *watch, bool added);
void journal_transaction(struct store_conn *conn, uint32_t id, bool started);
void journal_strip(struct store *store, uint16_t domid);
/* The connection's place in its ring or its queues changed. */
void journal_moved(struct store_conn *conn);

#endif
