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
#include <xen/xen.h>

#include "lib/bytes.h"
#include "store/store.h"

#define WATCH_BUCKETS 1024 /* at start */
#define DOMAINS DOMID_FIRST_RESERVED

/* Above this much unread output a client's requests wait; above its quota of memory, or this, it is dead. */
#define OUTPUT_WAIT 16384
#define OUTPUT_MAX (64U << 20)

/* What a domain owns of the tree. */
struct usage {
    int64_t nodes, bytes;
};

/* By how much that differs in a version from what the store counts. */
struct usage_change {
    uint16_t domid;
    struct usage by;
};

/* A version of the tree under change. */
struct version {
    struct node *root;
    struct usage_change *changes;
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

/*
 * What a transaction has to do with a path. SAW: the client was told of the node (or that there is none), or of its
 * children, so that these must still be so at commit. A change on its own relies on nothing that others do.
 */
enum {
    SAW_NODE = 1,
    SAW_CHILDREN = 2,
    WROTE = 4,   /* a value: what is read from then on is its own */
    CHANGED = 8,
    REMOVED = 16,
};

struct access {
    char *path;
    uint32_t hash;
    uint8_t flags;
};

struct transaction {
    LIST_ENTRY(transaction) link;
    uint32_t id;
    bool doomed; /* began before a restart: the commit fails with EAGAIN */
    struct node *base;
    struct version version;
    struct access *accesses; /* each path once, in the order of the first access */
    unsigned int access_count, access_capacity;
    uint32_t *index;         /* of accesses by the hash of their path, plus 1; twice access_capacity entries */
    struct op *ops;
    unsigned int op_count, op_capacity;
    size_t bytes;            /* of paths and values kept */
};

/* A path that somebody watches; in the store's table of these by the hash of the path. */
struct watch_point {
    LIST_ENTRY(watch_point) bucket;
    uint32_t hash;
    TAILQ_HEAD(, watch_group) groups;
    char path[];
};

/* The watches of one connection at a point: whether it may know of a change is asked once for all of them. */
struct watch_group {
    TAILQ_ENTRY(watch_group) link;
    struct watch_point *point;
    struct store_conn *conn; /* NULL: local */
    TAILQ_HEAD(, store_watch) watches;
};

struct store_watch {
    TAILQ_ENTRY(store_watch) in_group;
    LIST_ENTRY(store_watch) link;   /* of its connection, or of the store's local ones */
    struct store *store;
    struct watch_group *group;
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
    size_t watch_bytes;
    LIST_HEAD(, transaction) transactions;
    unsigned int transaction_count;
    size_t transaction_bytes; /* of all of them */
    uint32_t next_transaction;
    unsigned int refusals[QUOTA_COUNT]; /* that were its quotas' */
};

struct store {
    const struct store_ops *ops;
    void *context;
    struct store_quota quota;
    bool quota_set[QUOTA_COUNT]; /* by XS_CONTROL: the journal has it */
    struct version main; /* its changes go to usage at once */
    uint64_t generation;
    struct usage *usage; /* of each domain */
    struct perm *special_perms[2]; /* of @introduceDomain and @releaseDomain */
    unsigned int special_perm_counts[2];
    LIST_HEAD(, store_conn) conns;
    LIST_HEAD(, store_conn) moved;
    bool overrun; /* some connection is */
    struct store_conn *domains[DOMAINS];
    LIST_HEAD(bucket, watch_point) *buckets; /* a power of two of them, at least as many as points */
    uint32_t bucket_count, point_count;
    LIST_HEAD(, store_watch) local_watches;
    STAILQ_HEAD(, local_event) local_events;
    struct bytes journal, batch;
    bool replaying, told_dirty;
    bool tracing;     /* requests are reported */
    char *trace_file; /* where to; NULL: the log */
};

/* A request under way. The payload is followed by a NUL that does not count. */
struct request {
    struct store_conn *conn;
    struct store *store;
    const struct xsd_sockmsg *header;
    const char *payload;
    size_t length;
    struct transaction *tx; /* NULL: none */
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
/* "r3" and the like: 0 and *perm, -EINVAL, or -ENOENT of a number that no domain has. */
int perm_parse(const char *text, struct perm *perm);
/* Into `text` of at least 8 bytes. */
void perm_format(const struct perm *perm, char *text);

/* --- quota.c ----------------------------------------------------------------------------------------------------- */

const char *quota_name(enum quota_kind kind);
const char *quota_meaning(enum quota_kind kind);
/* Say, not too often, that `conn` is refused what it wants at `path`. Returns the error for it. */
int quota_refuse(struct store_conn *conn, enum quota_kind kind, const char *path);
/* Bytes that a domain makes the store keep. */
uint64_t quota_memory(const struct store *store, uint16_t domid);
/* Whether `conn` may make the store keep `more` bytes. */
bool quota_has_memory(const struct store_conn *conn, size_t more);

/* --- version.c: changes ------------------------------------------------------------------------------------------ */

/*
 * Do `op` for `conn` (NULL: the daemon itself) on a version: the store's own or a transaction's. Checks permissions and
 * quotas first; 0, or a negative errno and nothing changed. *changed says whether there was anything to do.
 */
int version_apply(struct store *store, struct version *version, struct store_conn *conn, const struct op *op,
                  bool *changed);
/* Count what each domain owns of the store's version: an array of DOMAINS, to be freed. */
struct usage *usage_count(const struct store *store);
void version_free(struct version *version);
void op_free(struct op *op);

/* --- watch.c ----------------------------------------------------------------------------------------------------- */

void watches_init(struct store *store);
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
/* Note what (SAW_NODE...) the transaction has to do with `path`; -ENOSPC when it has grown too large. */
int transaction_note(struct store_conn *conn, struct transaction *tx, const char *path, uint8_t flags);
/* The value at `path` is read. */
int transaction_note_value(struct store_conn *conn, struct transaction *tx, const char *path);
/* Do `op` in the transaction; takes over what `op` points to, whatever the outcome. */
int transaction_op(struct store_conn *conn, struct transaction *tx, struct op *op);
/* Commit or give up, and free it; -EAGAIN on a conflict. */
int transaction_end(struct store_conn *conn, struct transaction *tx, bool commit);
void transactions_clear(struct store_conn *conn);

/* --- conn.c, request.c, control.c -------------------------------------------------------------------------------- */

/* End the connections that are overrun. */
void conns_bury(struct store *store);
/* Queue a message. */
void conn_send(struct store_conn *conn, uint32_t type, uint32_t req_id, uint32_t tx_id, const void *payload,
               size_t length);
/* Queue a reply of the request's own type. */
void reply(const struct request *request, const void *payload, size_t length);
int reply_ok(const struct request *request);
/* The number that is the whole of `text`; false if there is none, or beyond `max`. */
bool parse_number(const char *text, uint64_t max, uint64_t *value);
/* A domain's number: a real one, so below the special ones. 0 or -EINVAL. */
int parse_domid(const char *text, uint16_t *domid);
/* XS_CONTROL. */
int do_control(struct request *request);
/* Report a request and its outcome where tracing goes. */
void trace_request(const struct request *request, int rc);
/* Handle one whole message. */
void request_handle(struct store_conn *conn, const struct xsd_sockmsg *header, const char *payload);
/* Have the user write the journal and deliver local events soon. */
void store_wants_attention(struct store *store);
/* Change the store's own version, journal it and fire watches. */
int store_apply(struct store *store, struct store_conn *conn, const struct op *op);

/* --- journal.c --------------------------------------------------------------------------------------------------- */

void journal_op(struct store *store, const struct op *op, int owner);
void journal_conn(struct store_conn *conn);
void journal_release(struct store *store, uint16_t domid);
void journal_reset(struct store_conn *conn);
void journal_watch(struct store_conn *conn, const char *path, const char *token, size_t relative, bool added);
void journal_transaction(struct store_conn *conn, uint32_t id, bool started);
void journal_strip(struct store *store, uint16_t domid);
void journal_quota(struct store *store, enum quota_kind kind);
/* The connection's place in its ring or its queues changed. */
void journal_moved(struct store_conn *conn);

#endif
