/* SPDX-License-Identifier: MIT */
/*
 * The tests' store: see harness.h.
 */
#include "harness.h"

static int on_introduce(void *context, uint16_t domid, uint64_t frame, uint32_t port)
{
    struct harness *harness = context;

    if (domid > 500)
        return -EINVAL; /* there is none */
    harness->introduced++;
    if (!store_find_domain(harness->store, domid))
        store_conn_domain(harness->store, domid, frame, port, 0, 0);
    return 0;
}

static int on_release(void *context, uint16_t domid)
{
    struct harness *harness = context;

    harness->released++;
    store_conn_free(store_find_domain(harness->store, domid));
    return 0;
}

/* Those that are introduced. */
static int on_exists(void *context, uint16_t domid)
{
    (void)context;
    (void)domid;
    return -ESRCH;
}

static int on_report(void *context, const char *path, const char *text, size_t length)
{
    struct harness *harness = context;

    (void)path;
    bytes_append(&harness->report, text, length);
    return 0;
}

static int on_resume(void *context, uint16_t domid)
{
    (void)context;
    (void)domid;
    return 0;
}

static void on_wake(void *context, struct store_conn *conn)
{
    (void)context;
    (void)conn;
}

static void on_dirty(void *context)
{
    (void)context;
}

static const struct store_ops ops = {
    .introduce = on_introduce, .release = on_release, .exists = on_exists, .report = on_report, .resume = on_resume,
    .wake = on_wake, .dirty = on_dirty,
};

int harness_setup(void **state)
{
    struct harness *harness = calloc(1, sizeof(*harness));

    harness->store = store_new(&ops, harness, 1);
    *state = harness;
    return 0;
}

int harness_teardown(void **state)
{
    struct harness *harness = *state;

    store_free(harness->store);
    bytes_clear(&harness->journal);
    bytes_clear(&harness->report);
    free(harness);
    return 0;
}

void harness_flush(struct harness *harness)
{
    size_t length;
    const void *batch = store_journal(harness->store, &length);

    if (length)
        bytes_append(&harness->journal, batch, length);
}

void harness_restart(struct harness *harness)
{
    size_t length = bytes_length(&harness->journal);

    store_free(harness->store);
    harness->store = store_new(&ops, harness, 1000000);
    assert_int_equal(store_replay(harness->store, bytes_front(&harness->journal), length), length);
}

void send_raw(struct store_conn *conn, uint32_t type, uint32_t tx, const void *payload, size_t length)
{
    struct xsd_sockmsg header = { .type = type, .req_id = 77, .tx_id = tx, .len = length };

    assert_int_equal(store_conn_input(conn, &header, sizeof(header)), sizeof(header));
    if (length)
        store_conn_input(conn, payload, length);
}

bool receive(struct store_conn *conn, struct message *message)
{
    const void *data;
    size_t length = store_conn_output(conn, &data);

    if (length < sizeof(message->header))
        return false;
    memcpy(&message->header, data, sizeof(message->header));
    assert_true(message->header.len <= XENSTORE_PAYLOAD_MAX);
    assert_true(length >= sizeof(message->header) + message->header.len);
    memcpy(message->payload, (const char *)data + sizeof(message->header), message->header.len);
    message->payload[message->header.len] = '\0';
    store_conn_sent(conn, sizeof(message->header) + message->header.len);
    return true;
}

static void request_at(struct store_conn *conn, uint32_t type, uint32_t tx, const char *payload, size_t length,
                       struct message *answer, const char *file, int line)
{
    send_raw(conn, type, tx, payload, length);
    if (!receive(conn, answer)) {
        print_error("no reply\n");
        _fail(file, line);
    }
    _assert_int_equal(answer->header.req_id, 77, file, line);
    _assert_int_equal(answer->header.tx_id, tx, file, line);
}

void expect_reply_at(struct store_conn *conn, uint32_t type, uint32_t tx, const char *payload, size_t length,
                     const char *answer, size_t answer_length, const char *file, int line)
{
    struct message message;

    request_at(conn, type, tx, payload, length, &message, file, line);
    if (message.header.type == XS_ERROR)
        print_error("unexpected error %s\n", message.payload);
    _assert_int_equal(message.header.type, type, file, line);
    _assert_int_equal(message.header.len, answer_length, file, line);
    _assert_memory_equal(message.payload, answer, answer_length, file, line);
}

void expect_error_at(struct store_conn *conn, uint32_t type, uint32_t tx, const char *payload, size_t length,
                     const char *error, const char *file, int line)
{
    struct message message;

    request_at(conn, type, tx, payload, length, &message, file, line);
    _assert_int_equal(message.header.type, XS_ERROR, file, line);
    _assert_string_equal(message.payload, error, file, line);
}

void expect_node_at(struct store_conn *conn, uint32_t tx, const char *path, const char *value, const char *file,
                     int line)
{
    struct message message;

    if (!value) {
        expect_error_at(conn, XS_READ, tx, path, strlen(path) + 1, "ENOENT", file, line);
        return;
    }
    request_at(conn, XS_READ, tx, path, strlen(path) + 1, &message, file, line);
    _assert_int_equal(message.header.type, XS_READ, file, line);
    _assert_string_equal(message.payload, value, file, line);
    _assert_int_equal(message.header.len, strlen(value), file, line);
}

void write_value(struct store_conn *conn, uint32_t tx, const char *path, const char *value)
{
    char payload[XENSTORE_PAYLOAD_MAX];
    size_t path_length = strlen(path) + 1;

    memcpy(payload, path, path_length);
    memcpy(payload + path_length, value, strlen(value));
    expect_reply_at(conn, XS_WRITE, tx, payload, path_length + strlen(value), "OK", 3, __FILE__, __LINE__);
}

uint32_t start_transaction(struct store_conn *conn)
{
    struct message message;

    send_raw(conn, XS_TRANSACTION_START, 0, "", 1);
    assert_true(receive(conn, &message));
    assert_int_equal(message.header.type, XS_TRANSACTION_START);
    return strtoul(message.payload, NULL, 10);
}

void expect_event(struct store_conn *conn, const char *path, const char *token)
{
    struct message message;

    assert_true(receive(conn, &message));
    assert_int_equal(message.header.type, XS_WATCH_EVENT);
    assert_string_equal(message.payload, path);
    assert_string_equal(message.payload + strlen(path) + 1, token);
}

void expect_silence(struct store_conn *conn)
{
    struct message message;

    assert_false(receive(conn, &message));
}
