/* SPDX-License-Identifier: MIT */
/*
 * Requests: one handler for each type of message, found in a table.
 */
#include "internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/alloc.h"

void reply(const struct request *request, const void *payload, size_t length)
{
    conn_send(request->conn, request->header->type, request->header->req_id, request->header->tx_id, payload, length);
}

int reply_ok(const struct request *request)
{
    reply(request, "OK", 3);
    return 0;
}

static void reply_error(const struct request *request, int error)
{
    const char *name = "EINVAL";

    for (size_t i = 0; i < sizeof(xsd_errors) / sizeof(xsd_errors[0]); i++)
        if (xsd_errors[i].errnum == error)
            name = xsd_errors[i].errstring;
    conn_send(request->conn, XS_ERROR, request->header->req_id, request->header->tx_id, name, strlen(name) + 1);
}

/*
 * Split the payload into up to `max` NUL-terminated strings. Returns how many, or -EINVAL if there are more, or the
 * payload does not end in a NUL.
 */
static int split(const struct request *request, const char **strings, int max)
{
    int count = 0;

    if (request->length == 0 || request->payload[request->length - 1])
        return -EINVAL;
    for (size_t at = 0; at < request->length; at += strlen(request->payload + at) + 1) {
        if (count == max)
            return -EINVAL;
        strings[count++] = request->payload + at;
    }
    return count;
}

bool parse_number(const char *text, uint64_t max, uint64_t *value)
{
    char *end;

    if (text[0] < '0' || text[0] > '9')
        return false;
    errno = 0;
    *value = strtoull(text, &end, 10);
    return !*end && !errno && *value <= max;
}

int parse_domid(const char *text, uint16_t *domid)
{
    uint64_t value;

    if (!parse_number(text, DOMAINS - 1, &value))
        return -EINVAL;
    *domid = value;
    return 0;
}

/*
 * The absolute form of a path that the client gave, in `path` of STORE_PATH_MAX + 1 bytes; *relative, if wanted: how
 * long the part is that the client left out.
 */
static int absolute(const struct request *request, const char *given, char *path, size_t *relative)
{
    size_t limit = conn_privileged(request->conn) ? STORE_PATH_MAX : request->store->quota.limit[QUOTA_PATH_MAX];
    int base = 0;

    if (given[0] != '/')
        base = snprintf(path, STORE_PATH_MAX + 1, "/local/domain/%u/", request->conn->domid);
    if (!given[0] || given[0] == '@' || base + strlen(given) > STORE_PATH_MAX || strlen(given) > limit)
        return -EINVAL;
    strcpy(path + base, given);
    if (relative)
        *relative = base;
    return path_valid(path) ? 0 : -EINVAL;
}

/* The version that the request sees. */
static struct node *root_of(const struct request *request)
{
    return request->tx ? request->tx->version.root : request->store->main.root;
}

/* Find the node a request wants to read, for `what` (SAW_NODE...) of it; in a transaction, note that. */
static int read_node(const struct request *request, const char *given, uint8_t what, struct node **node)
{
    char path[STORE_PATH_MAX + 1];
    int rc = absolute(request, given, path, NULL);

    if (rc == 0 && request->tx)
        rc = transaction_note(request->conn, request->tx, path, what);
    if (rc == 0)
        rc = node_for(request->conn, root_of(request), path, PERM_READ, node);
    return rc;
}

/* Do what `op` says, but for its path, at the path given. Takes over what `op` points to. */
static int change_node(const struct request *request, const char *given, struct op *op)
{
    char path[STORE_PATH_MAX + 1];
    int rc = absolute(request, given, path, NULL);

    if (rc) {
        op_free(op);
        return rc;
    }
    op->path = xstrdup(path);
    if (request->tx)
        return transaction_op(request->conn, request->tx, op);
    rc = store_apply(request->store, request->conn, op);
    op_free(op);
    return rc;
}

/* --- reading ----------------------------------------------------------------------------------------------------- */

static int do_directory(struct request *request)
{
    struct bytes names = { 0 };
    const char *path;
    struct node *node;
    int rc;

    if (split(request, &path, 1) != 1)
        return -EINVAL;
    rc = read_node(request, path, SAW_CHILDREN, &node);
    if (rc)
        return rc;
    for (uint32_t i = 0; i < node->child_count && bytes_length(&names) <= XENSTORE_PAYLOAD_MAX; i++)
        bytes_append(&names, node->children[i]->name, strlen(node->children[i]->name) + 1);
    if (bytes_length(&names) > XENSTORE_PAYLOAD_MAX)
        rc = -E2BIG;
    else
        reply(request, bytes_front(&names), bytes_length(&names));
    bytes_clear(&names);
    return rc;
}

static int do_directory_part(struct request *request)
{
    char out[XENSTORE_PAYLOAD_MAX];
    const char *strings[2];
    uint64_t offset, at = 0;
    struct node *node;
    size_t length;
    int rc;

    if (split(request, strings, 2) != 2 || !parse_number(strings[1], UINT32_MAX, &offset))
        return -EINVAL;
    rc = read_node(request, strings[0], SAW_CHILDREN, &node);
    if (rc)
        return rc;
    length = 1 + snprintf(out, sizeof(out), "%llu", (unsigned long long)node->children_generation);
    for (uint32_t i = 0; i < node->child_count; i++) {
        const char *name = node->children[i]->name;
        size_t size = strlen(name) + 1, skip = offset > at ? offset - at : 0;

        at += size;
        if (skip >= size)
            continue;
        /* Whole names, and one byte is kept for the empty name that marks the end. */
        if (length + size - skip >= sizeof(out)) {
            reply(request, out, length);
            return 0;
        }
        memcpy(out + length, name + skip, size - skip);
        length += size - skip;
    }
    out[length++] = '\0';
    reply(request, out, length);
    return 0;
}

static int do_read(struct request *request)
{
    char path[STORE_PATH_MAX + 1];
    const char *given;
    struct node *node;
    int rc;

    if (split(request, &given, 1) != 1)
        return -EINVAL;
    rc = absolute(request, given, path, NULL);
    if (rc == 0 && request->tx)
        rc = transaction_note_value(request->conn, request->tx, path);
    if (rc == 0)
        rc = node_for(request->conn, root_of(request), path, PERM_READ, &node);
    if (rc == 0 && node->value_length > XENSTORE_PAYLOAD_MAX)
        rc = -E2BIG;
    if (rc == 0)
        reply(request, node->value, node->value_length);
    return rc;
}

static int do_get_perms(struct request *request)
{
    const struct perm *perms;
    struct bytes out = { 0 };
    unsigned int count;
    const char *path;
    struct node *node;
    int rc, special;

    if (split(request, &path, 1) != 1)
        return -EINVAL;
    special = special_index(path);
    if (special >= 0) {
        if (!conn_privileged(request->conn))
            return -EACCES;
        perms = request->store->special_perms[special];
        count = request->store->special_perm_counts[special];
    } else {
        rc = read_node(request, path, SAW_NODE, &node);
        if (rc)
            return rc;
        perms = node->perms;
        count = node->perm_count;
    }
    for (unsigned int i = 0; i < count; i++) {
        char text[8];

        perm_format(&perms[i], text);
        bytes_append(&out, text, strlen(text) + 1);
    }
    reply(request, bytes_front(&out), bytes_length(&out));
    bytes_clear(&out);
    return 0;
}

/* --- changing ---------------------------------------------------------------------------------------------------- */

static int do_write(struct request *request)
{
    size_t path_length = strlen(request->payload);
    struct op op = { .type = OP_WRITE };
    int rc;

    /* The value is the rest: it need not end in a NUL, and the path must. */
    if (path_length >= request->length)
        return -EINVAL;
    op.value_length = request->length - path_length - 1;
    op.value = xmemdup(request->payload + path_length + 1, op.value_length);
    rc = change_node(request, request->payload, &op);
    return rc ? rc : reply_ok(request);
}

static int change_by_path(struct request *request, enum op_type type)
{
    struct op op = { .type = type };
    const char *path;
    int rc;

    if (split(request, &path, 1) != 1)
        return -EINVAL;
    rc = change_node(request, path, &op);
    return rc ? rc : reply_ok(request);
}

static int do_mkdir(struct request *request)
{
    return change_by_path(request, OP_MKDIR);
}

static int do_rm(struct request *request)
{
    return change_by_path(request, OP_RM);
}

static int set_special_perms(struct request *request, int special, const struct op *op)
{
    struct store *store = request->store;

    if (!conn_privileged(request->conn))
        return -EACCES;
    free(store->special_perms[special]);
    store->special_perms[special] = xmemdup(op->perms, op->perm_count * sizeof(*op->perms));
    store->special_perm_counts[special] = op->perm_count;
    journal_op(store, op, -1);
    return 0;
}

static int domain_exists(const struct store *store, uint16_t domid)
{
    if (domid == 0 || store->domains[domid])
        return 0;
    return store->ops->exists(store->context, domid) ? -ENOENT : 0;
}

static int do_set_perms(struct request *request)
{
    const char *strings[STORE_PERMS_MAX + 2];
    int count = split(request, strings, STORE_PERMS_MAX + 1), special, rc;
    struct op op = { .type = OP_PERMS };

    if (count < 2)
        return -EINVAL;
    op.perms = xcalloc(count - 1, sizeof(*op.perms));
    op.perm_count = count - 1;
    for (int i = 1; i < count; i++) {
        rc = perm_parse(strings[i], &op.perms[i - 1]);
        if (rc) {
            op_free(&op);
            return rc;
        }
    }
    /* Else a later domain of that number would find itself its owner. */
    rc = domain_exists(request->store, op.perms[0].domid);
    if (rc) {
        op_free(&op);
        return rc;
    }
    special = special_index(strings[0]);
    if (special >= 0) {
        op.path = xstrdup(strings[0]);
        rc = set_special_perms(request, special, &op);
        op_free(&op);
    } else {
        rc = change_node(request, strings[0], &op);
    }
    return rc ? rc : reply_ok(request);
}

/* --- watches ----------------------------------------------------------------------------------------------------- */

/* The path to watch: a path, or a special name. */
static int watch_path(const struct request *request, const char *given, char *path, size_t *relative)
{
    if (given[0] != '@')
        return absolute(request, given, path, relative);
    *relative = 0;
    if (strlen(given) > request->store->quota.limit[QUOTA_PATH_MAX] || strlen(given) > STORE_PATH_MAX)
        return -EINVAL;
    strcpy(path, given);
    return 0;
}

static int do_watch(struct request *request)
{
    struct store_conn *conn = request->conn;
    char path[STORE_PATH_MAX + 1];
    struct store_watch *watch;
    const char *strings[2];
    size_t relative;
    int rc;

    if (split(request, strings, 2) != 2)
        return -EINVAL;
    rc = watch_path(request, strings[0], path, &relative);
    if (rc == 0 && !conn_privileged(conn) && strlen(strings[1]) > request->store->quota.limit[QUOTA_PATH_MAX])
        rc = quota_refuse(conn, QUOTA_PATH_MAX, path);
    if (rc == 0)
        rc = watch_add(conn, path, strings[1], relative, &watch);
    if (rc)
        return rc;
    journal_watch(conn, path, strings[1], relative, true);
    reply_ok(request);
    /* A watch is triggered once straight away. */
    watch_send(watch, path);
    return 0;
}

static int do_unwatch(struct request *request)
{
    char path[STORE_PATH_MAX + 1];
    const char *strings[2];
    size_t relative;
    int rc;

    if (split(request, strings, 2) != 2)
        return -EINVAL;
    rc = watch_path(request, strings[0], path, &relative);
    if (rc == 0)
        rc = watch_remove(request->conn, path, strings[1]);
    if (rc == 0) {
        journal_watch(request->conn, path, strings[1], relative, false);
        reply_ok(request);
    }
    return rc;
}

static int do_reset_watches(struct request *request)
{
    watches_clear(request->conn);
    transactions_clear(request->conn);
    journal_reset(request->conn);
    return reply_ok(request);
}

/* --- transactions ------------------------------------------------------------------------------------------------ */

static int do_transaction_start(struct request *request)
{
    char text[16];
    uint32_t id;
    int rc;

    if (request->tx)
        return -EBUSY;
    rc = transaction_start(request->conn, &id);
    if (rc)
        return rc;
    journal_transaction(request->conn, id, true);
    snprintf(text, sizeof(text), "%u", id);
    reply(request, text, strlen(text) + 1);
    return 0;
}

static int do_transaction_end(struct request *request)
{
    const char *answer;
    uint32_t id = request->header->tx_id;
    int rc;

    if (!request->tx)
        return -ENOENT;
    if (split(request, &answer, 1) != 1 || (strcmp(answer, "T") && strcmp(answer, "F")))
        return -EINVAL;
    rc = transaction_end(request->conn, request->tx, answer[0] == 'T');
    request->tx = NULL;
    journal_transaction(request->conn, id, false);
    return rc ? rc : reply_ok(request);
}

/* --- domains ----------------------------------------------------------------------------------------------------- */

static int do_introduce(struct request *request)
{
    struct store *store = request->store;
    const char *strings[3];
    uint64_t frame, port;
    uint16_t domid;
    int rc;

    if (!conn_privileged(request->conn))
        return -EACCES;
    if (split(request, strings, 3) != 3 || parse_domid(strings[0], &domid) ||
        !parse_number(strings[1], UINT64_MAX, &frame) || !parse_number(strings[2], UINT32_MAX, &port) || domid == 0)
        return -EINVAL;
    rc = store->ops->introduce(store->context, domid, frame, port);
    return rc ? rc : reply_ok(request);
}

/* A request about one domain, by privileged clients alone. */
static int parse_about_domain(struct request *request, uint16_t *domid)
{
    const char *text;

    if (!conn_privileged(request->conn))
        return -EACCES;
    return split(request, &text, 1) == 1 ? parse_domid(text, domid) : -EINVAL;
}

static int do_release(struct request *request)
{
    struct store *store = request->store;
    uint16_t domid;
    int rc = parse_about_domain(request, &domid);

    if (rc == 0 && (domid == 0 || !store->domains[domid]))
        rc = domid ? -ENOENT : -EINVAL;
    if (rc == 0)
        rc = store->ops->release(store->context, domid);
    return rc ? rc : reply_ok(request);
}

static int do_resume(struct request *request)
{
    struct store *store = request->store;
    uint16_t domid;
    int rc = parse_about_domain(request, &domid);

    if (rc == 0 && (domid == 0 || !store->domains[domid]))
        rc = domid ? -ENOENT : -EINVAL;
    if (rc == 0)
        rc = store->ops->resume(store->context, domid);
    return rc ? rc : reply_ok(request);
}

static int do_set_target(struct request *request)
{
    struct store *store = request->store;
    const char *strings[2];
    uint16_t domid, target;

    if (!conn_privileged(request->conn))
        return -EACCES;
    if (split(request, strings, 2) != 2 || parse_domid(strings[0], &domid) || parse_domid(strings[1], &target))
        return -EINVAL;
    /* To serve dom0 would be to be dom0. */
    if (domid == 0 || target == 0)
        return -EINVAL;
    if (!store->domains[domid] || !store->domains[target])
        return -ENOENT;
    store->domains[domid]->target = target;
    journal_conn(store->domains[domid]);
    return reply_ok(request);
}

static int do_get_domain_path(struct request *request)
{
    const char *text;
    char path[32];
    uint16_t domid;

    if (split(request, &text, 1) != 1 || parse_domid(text, &domid))
        return -EINVAL;
    snprintf(path, sizeof(path), "/local/domain/%u", domid);
    reply(request, path, strlen(path) + 1);
    return 0;
}

static int do_is_domain_introduced(struct request *request)
{
    uint16_t domid;
    int rc = parse_about_domain(request, &domid);

    if (rc)
        return rc;
    reply(request, domid == 0 || request->store->domains[domid] ? "T" : "F", 2);
    return 0;
}

/* --- dispatch ---------------------------------------------------------------------------------------------------- */

static int (*const handlers[XS_TYPE_COUNT])(struct request *request) = {
    [XS_CONTROL] = do_control,
    [XS_DIRECTORY] = do_directory,
    [XS_READ] = do_read,
    [XS_GET_PERMS] = do_get_perms,
    [XS_WATCH] = do_watch,
    [XS_UNWATCH] = do_unwatch,
    [XS_TRANSACTION_START] = do_transaction_start,
    [XS_TRANSACTION_END] = do_transaction_end,
    [XS_INTRODUCE] = do_introduce,
    [XS_RELEASE] = do_release,
    [XS_GET_DOMAIN_PATH] = do_get_domain_path,
    [XS_WRITE] = do_write,
    [XS_MKDIR] = do_mkdir,
    [XS_RM] = do_rm,
    [XS_SET_PERMS] = do_set_perms,
    [XS_IS_DOMAIN_INTRODUCED] = do_is_domain_introduced,
    [XS_RESUME] = do_resume,
    [XS_SET_TARGET] = do_set_target,
    [XS_RESET_WATCHES] = do_reset_watches,
    [XS_DIRECTORY_PART] = do_directory_part,
};

void request_handle(struct store_conn *conn, const struct xsd_sockmsg *header, const char *payload)
{
    struct request request = {
        .conn = conn, .store = conn->store, .header = header, .payload = payload, .length = header->len,
    };
    int (*handle)(struct request *) = header->type < XS_TYPE_COUNT ? handlers[header->type] : NULL;
    int rc = 0;

    /* What a transaction means nothing to, ignores it; but there must be one of that number. */
    if (header->tx_id) {
        request.tx = transaction_find(conn, header->tx_id);
        rc = request.tx ? 0 : -ENOENT;
    }
    if (!handle)
        rc = -ENOSYS;
    if (rc == 0)
        rc = handle(&request);
    if (conn->store->tracing)
        trace_request(&request, rc);
    if (rc)
        reply_error(&request, -rc);
}
