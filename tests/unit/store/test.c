/* SPDX-License-Identifier: MIT */
/*
 * The store's protocol, seen by its clients: what xenstore.txt promises, what hostile clients try, what a restart
 * keeps.
 */
#include <sys/mman.h>
#include <unistd.h>

#include "describe.h"
#include "harness.h"
#include "store/internal.h"

static void test_read_write(void **state)
{
    struct harness *harness = *state;
    struct store_conn *dom0 = store_conn_socket(harness->store, NULL);
    struct message message;

    write_value(dom0, 0, "/a/b/c", "hello");
    expect_node(dom0, 0, "/a/b/c", "hello");
    expect_node(dom0, 0, "/a/b", "");
    expect_node(dom0, 0, "/x", NULL);
    expect_reply(dom0, XS_MKDIR, 0, "/a/d", "OK");
    expect_reply(dom0, XS_MKDIR, 0, "/a/b/c", "OK");
    expect_node(dom0, 0, "/a/b/c", "hello");
    expect_reply(dom0, XS_DIRECTORY, 0, "/a", "b\0d");
    expect_reply(dom0, XS_RM, 0, "/a/b", "OK");
    expect_node(dom0, 0, "/a/b/c", NULL);
    expect_reply(dom0, XS_RM, 0, "/a/b", "OK");
    expect_error(dom0, XS_RM, 0, "/a/b/c", "ENOENT");
    expect_error(dom0, XS_RM, 0, "/", "EINVAL");
    /* An empty directory's reply has no bytes at all. */
    send_raw(dom0, XS_DIRECTORY, 0, "/a/d", 5);
    assert_true(receive(dom0, &message));
    assert_int_equal(message.header.len, 0);
    /* Values are bytes, NULs and all. */
    send_raw(dom0, XS_WRITE, 0, "/bin\0\0\1\2", 8);
    assert_true(receive(dom0, &message));
    send_raw(dom0, XS_READ, 0, "/bin", 5);
    assert_true(receive(dom0, &message));
    assert_int_equal(message.header.len, 3);
    assert_memory_equal(message.payload, "\0\1\2", 3);
}

static void test_bad_requests(void **state)
{
    struct harness *harness = *state;
    struct store_conn *dom0 = store_conn_socket(harness->store, NULL);
    char path[XENSTORE_PAYLOAD_MAX];

    expect_error(dom0, XS_READ, 0, "", "EINVAL");
    expect_error(dom0, XS_READ, 0, "/a//b", "EINVAL");
    expect_error(dom0, XS_READ, 0, "/a/", "EINVAL");
    expect_error(dom0, XS_READ, 0, "/a b", "EINVAL");
    expect_error(dom0, XS_READ, 0, "/a.b", "EINVAL");
    expect_error(dom0, XS_READ, 9, "/a", "ENOENT");
    expect_error(dom0, XS_TRANSACTION_END, 9, "T", "ENOENT");
    expect_error(dom0, XS_TYPE_COUNT, 0, "/a", "ENOSYS");
    expect_error(dom0, XS_INVALID, 0, "/a", "ENOSYS");
    expect_error(dom0, XS_WATCH_EVENT, 0, "/a", "ENOSYS");
    expect_error(dom0, XS_SET_PERMS, 0, "/", "EINVAL");
    expect_error(dom0, XS_SET_PERMS, 0, "/\0x1", "EINVAL");
    expect_error(dom0, XS_SET_PERMS, 0, "/\0r99999", "ENOENT");
    expect_error(dom0, XS_INTRODUCE, 0, "0\0" "1\0" "1", "EINVAL");
    expect_error(dom0, XS_INTRODUCE, 0, "32752\0" "1\0" "1", "EINVAL");
    expect_error(dom0, XS_GET_DOMAIN_PATH, 0, "-1", "EINVAL");
    memset(path, 'a', sizeof(path));
    path[0] = '/';
    path[STORE_PATH_MAX + 1] = '\0';
    expect_error_at(dom0, XS_MKDIR, 0, path, STORE_PATH_MAX + 2, "EINVAL", __FILE__, __LINE__);
    path[STORE_PATH_MAX] = '\0';
    expect_reply_at(dom0, XS_MKDIR, 0, path, STORE_PATH_MAX + 1, "OK", 3, __FILE__, __LINE__);
    /* The path is not terminated within the payload. */
    expect_error_at(dom0, XS_READ, 0, "/abc", 4, "EINVAL", __FILE__, __LINE__);
    expect_error_at(dom0, XS_WRITE, 0, "/abc", 4, "EINVAL", __FILE__, __LINE__);
    expect_error_at(dom0, XS_READ, 0, "", 0, "EINVAL", __FILE__, __LINE__);
    /* The deepest path there can be. */
    for (size_t i = 0; i < STORE_PATH_MAX; i++)
        path[i] = i % 2 ? 'd' : '/';
    expect_reply_at(dom0, XS_MKDIR, 0, path, STORE_PATH_MAX + 1, "OK", 3, __FILE__, __LINE__);
    expect_reply(dom0, XS_RM, 0, "/d", "OK");
}

static void test_torn_and_oversized_messages(void **state)
{
    struct harness *harness = *state;
    struct store_conn *dom0 = store_conn_socket(harness->store, NULL);
    struct store_conn *domU = store_conn_domain(harness->store, 1, 1, 1, 0, 0);
    struct xsd_sockmsg header = { .type = XS_MKDIR, .len = 5 };
    char request[sizeof(header) + 5];
    struct message message;

    memcpy(request, &header, sizeof(header));
    memcpy(request + sizeof(header), "/abc", 5);
    for (size_t i = 0; i < sizeof(request); i++) {
        expect_silence(dom0);
        assert_int_equal(store_conn_input(dom0, request + i, 1), 1);
    }
    assert_true(receive(dom0, &message));
    header.len = XENSTORE_PAYLOAD_MAX + 1;
    store_conn_input(domU, &header, sizeof(header));
    assert_true(store_conn_dead(domU));
    assert_int_equal(store_conn_input(domU, &header, sizeof(header)), 0);
    assert_false(store_conn_dead(dom0));
    expect_node(dom0, 0, "/abc", "");
}

static void test_permissions(void **state)
{
    struct harness *harness = *state;
    struct store_conn *dom0 = store_conn_socket(harness->store, NULL);
    struct store_conn *one = store_conn_domain(harness->store, 1, 1, 1, 0, 0);
    struct store_conn *two = store_conn_domain(harness->store, 2, 1, 1, 0, 0);

    write_value(dom0, 0, "/local/domain/1/name", "one");
    expect_reply(dom0, XS_SET_PERMS, 0, "/local/domain/1\0n0\0r1", "OK");
    expect_reply(dom0, XS_SET_PERMS, 0, "/local/domain/1/name\0n0\0r1", "OK");
    expect_reply(dom0, XS_GET_PERMS, 0, "/local/domain/1/name", "n0\0r1");
    expect_node(one, 0, "name", "one");
    expect_node(one, 0, "/local/domain/1/name", "one");
    expect_error(one, XS_WRITE, 0, "name\0x", "EACCES");
    expect_error(two, XS_READ, 0, "/local/domain/1/name", "EACCES");
    /* What one may not read it does not learn the absence of either. */
    expect_error(two, XS_READ, 0, "/local/domain/1/none", "EACCES");
    expect_error(one, XS_READ, 0, "none", "ENOENT");
    expect_error(one, XS_WRITE, 0, "new\0x", "EACCES");

    expect_reply(dom0, XS_MKDIR, 0, "/local/domain/1/data", "OK");
    expect_reply(dom0, XS_SET_PERMS, 0, "/local/domain/1/data\0n1", "OK");
    write_value(one, 0, "data/mine", "x");
    expect_reply(dom0, XS_GET_PERMS, 0, "/local/domain/1/data/mine", "n1");
    expect_error(one, XS_SET_PERMS, 0, "data/mine\0n2", "EPERM");
    expect_reply(one, XS_SET_PERMS, 0, "data/mine\0n1\0b2", "OK");
    expect_node(two, 0, "/local/domain/1/data/mine", "x");
    expect_error(two, XS_SET_PERMS, 0, "/local/domain/1/data/mine\0n1\0b2", "EACCES");
    expect_error(one, XS_SET_PERMS, 0, "data/mine\0n1\0r2\0r3\0r4\0r5\0r6", "ENOSPC");

    expect_error(one, XS_INTRODUCE, 0, "3\0" "1\0" "1", "EACCES");
    expect_error(one, XS_IS_DOMAIN_INTRODUCED, 0, "2", "EACCES");
    expect_error(one, XS_RELEASE, 0, "2", "EACCES");
    expect_error(one, XS_SET_TARGET, 0, "1\0" "2", "EACCES");
    expect_error(one, XS_CONTROL, 0, "help", "EACCES");
    expect_error(one, XS_SET_PERMS, 0, "@releaseDomain\0r1", "EACCES");
    expect_error(dom0, XS_SET_TARGET, 0, "1\0" "0", "EINVAL");
    expect_reply(dom0, XS_SET_TARGET, 0, "2\0" "1", "OK");
    expect_node(two, 0, "/local/domain/1/name", "one");

    /* Of a dead domain, what it owned goes, and its number names nothing any more. */
    expect_reply(dom0, XS_WATCH, 0, "/local/domain/1/data/mine\0t", "OK");
    expect_event(dom0, "/local/domain/1/data/mine", "t");
    store_conn_free(one);
    store_forget_domain(harness->store, 1);
    assert_int_equal(two->target, -1);
    expect_event(dom0, "/local/domain/1/data/mine", "t");
    expect_node(dom0, 0, "/local/domain/1/data", NULL);
    expect_reply(dom0, XS_GET_PERMS, 0, "/local/domain/1/name", "n0");
    expect_reply(dom0, XS_CONTROL, 0, "check", "OK");
}

static void test_quotas(void **state)
{
    struct harness *harness = *state;
    struct store_conn *dom0 = store_conn_socket(harness->store, NULL);
    struct store_conn *one = store_conn_domain(harness->store, 1, 1, 1, 0, 0);
    char text[4096];

    write_value(dom0, 0, "/local/domain/1/data", "");
    expect_reply(dom0, XS_SET_PERMS, 0, "/local/domain/1/data\0n1", "OK");
    for (int i = 1; i < 1000; i++) {
        snprintf(text, sizeof(text), "data/%d", i);
        write_value(one, 0, text, "v");
    }
    expect_error(one, XS_WRITE, 0, "data/more\0v", "ENOSPC");
    expect_reply(one, XS_RM, 0, "data/1", "OK");
    expect_error(one, XS_WRITE, 0, "data/a/b\0v", "ENOSPC");
    expect_reply(one, XS_WRITE, 0, "data/more\0v", "OK");
    expect_reply(one, XS_RM, 0, "data/2", "OK");
    memset(text, 'v', sizeof(text));
    memcpy(text, "data/v", 7);
    expect_error_at(one, XS_WRITE, 0, text, 7 + 2049, "ENOSPC", __FILE__, __LINE__);
    expect_reply_at(one, XS_WRITE, 0, text, 7 + 2048, "OK", 3, __FILE__, __LINE__);
    for (int i = 0; i < 128; i++) {
        struct message message;
        int length = snprintf(text, sizeof(text), "data%c%d", '\0', i) + 1;

        send_raw(one, XS_WATCH, 0, text, length);
        assert_true(receive(one, &message));
        assert_int_equal(message.header.type, XS_WATCH);
        assert_true(receive(one, &message));
    }
    expect_error(one, XS_WATCH, 0, "data\0more", "E2BIG");
    for (int i = 0; i < 10; i++)
        start_transaction(one);
    expect_error(one, XS_TRANSACTION_START, 0, "", "ENOSPC");
    expect_reply(one, XS_RESET_WATCHES, 0, "", "OK");
    start_transaction(one);
}

/* A guest that has reached a quota is told of in the log, where it must not write what it likes. */
static void test_log_stays_clean(void **state)
{
    struct harness *harness = *state;
    struct store_conn *one = store_conn_domain(harness->store, 1, 1, 1, 0, 0);
    int fd = memfd_create("log", 0), saved = dup(STDERR_FILENO);
    char log[4096];
    ssize_t length;

    harness->store->quota.limit[QUOTA_WATCHES] = 0;
    fflush(stderr);
    dup2(fd, STDERR_FILENO);
    expect_error(one, XS_WATCH, 0, "@a\n2026-01-01T00:00:00.000Z error: b\x1b[2J\x7f\xc2\x9b" "0c\r\0token", "E2BIG");
    dup2(saved, STDERR_FILENO);
    close(saved);
    length = pread(fd, log, sizeof(log) - 1, 0);
    close(fd);
    assert_true(length > 1);
    log[length - 1] = log[length - 1] == '\n' ? '\0' : log[length - 1];
    log[length] = '\0';
    assert_non_null(strstr(log, "@a"));
    for (const char *at = log; *at; at++)
        assert_false((unsigned char)*at < ' ' || *at == 0x7f || (unsigned char)*at == 0x9b);
}

static void test_transactions(void **state)
{
    struct harness *harness = *state;
    struct store_conn *dom0 = store_conn_socket(harness->store, NULL);
    uint32_t a, b;

    write_value(dom0, 0, "/t/x", "1");
    a = start_transaction(dom0);
    write_value(dom0, a, "/t/y", "2");
    expect_node(dom0, a, "/t/y", "2");
    expect_node(dom0, 0, "/t/y", NULL);
    expect_error(dom0, XS_TRANSACTION_START, a, "", "EBUSY");
    expect_error(dom0, XS_TRANSACTION_END, a, "X", "EINVAL");
    expect_reply(dom0, XS_TRANSACTION_END, a, "T", "OK");
    expect_node(dom0, 0, "/t/y", "2");
    expect_error(dom0, XS_TRANSACTION_END, a, "T", "ENOENT");

    a = start_transaction(dom0);
    write_value(dom0, a, "/t/y", "3");
    expect_reply(dom0, XS_RM, a, "/t/x", "OK");
    expect_reply(dom0, XS_TRANSACTION_END, a, "F", "OK");
    expect_node(dom0, 0, "/t/y", "2");
    expect_node(dom0, 0, "/t/x", "1");

    /* Two that touch different paths both commit. */
    a = start_transaction(dom0);
    b = start_transaction(dom0);
    expect_node(dom0, a, "/t/x", "1");
    write_value(dom0, a, "/t/a", "a");
    expect_node(dom0, b, "/t/y", "2");
    write_value(dom0, b, "/t/b", "b");
    expect_reply(dom0, XS_TRANSACTION_END, b, "T", "OK");
    expect_reply(dom0, XS_TRANSACTION_END, a, "T", "OK");
    expect_reply(dom0, XS_DIRECTORY, 0, "/t", "a\0b\0x\0y");
}

/* Each conflict there can be: read and written, listed and extended, missing and made, permissions changed. */
static void test_transaction_conflicts(void **state)
{
    struct harness *harness = *state;
    struct store_conn *dom0 = store_conn_socket(harness->store, NULL);
    uint32_t tx;

    write_value(dom0, 0, "/t/x", "1");
    tx = start_transaction(dom0);
    expect_node(dom0, tx, "/t/x", "1");
    write_value(dom0, 0, "/t/x", "1");
    expect_error(dom0, XS_TRANSACTION_END, tx, "T", "EAGAIN");

    tx = start_transaction(dom0);
    expect_reply(dom0, XS_DIRECTORY, tx, "/t", "x");
    write_value(dom0, 0, "/t/x", "2");
    expect_reply(dom0, XS_TRANSACTION_END, tx, "T", "OK");
    tx = start_transaction(dom0);
    expect_reply(dom0, XS_DIRECTORY, tx, "/t", "x");
    write_value(dom0, 0, "/t/new", "");
    expect_error(dom0, XS_TRANSACTION_END, tx, "T", "EAGAIN");

    tx = start_transaction(dom0);
    expect_node(dom0, tx, "/t/missing", NULL);
    write_value(dom0, tx, "/t/other", "o");
    write_value(dom0, 0, "/t/missing", "");
    expect_error(dom0, XS_TRANSACTION_END, tx, "T", "EAGAIN");
    expect_node(dom0, 0, "/t/other", NULL);

    /* Whoever looked at nothing relies on nothing: it is as if it came later. */
    tx = start_transaction(dom0);
    write_value(dom0, tx, "/t/x", "mine");
    expect_node(dom0, tx, "/t/x", "mine");
    write_value(dom0, 0, "/t/x", "theirs");
    expect_reply(dom0, XS_TRANSACTION_END, tx, "T", "OK");
    expect_node(dom0, 0, "/t/x", "mine");
    tx = start_transaction(dom0);
    expect_node(dom0, tx, "/t/x", "mine");
    write_value(dom0, tx, "/t/x", "mine again");
    write_value(dom0, 0, "/t/x", "theirs");
    expect_error(dom0, XS_TRANSACTION_END, tx, "T", "EAGAIN");
    expect_node(dom0, 0, "/t/x", "theirs");
    tx = start_transaction(dom0);
    expect_reply(dom0, XS_MKDIR, tx, "/t/x", "OK");
    expect_reply(dom0, XS_RM, 0, "/t/x", "OK");
    expect_reply(dom0, XS_TRANSACTION_END, tx, "T", "OK");
    write_value(dom0, 0, "/t/x", "theirs");

    tx = start_transaction(dom0);
    expect_node(dom0, tx, "/t/x", "theirs");
    expect_reply(dom0, XS_SET_PERMS, 0, "/t/x\0r0", "OK");
    expect_error(dom0, XS_TRANSACTION_END, tx, "T", "EAGAIN");

    tx = start_transaction(dom0);
    write_value(dom0, tx, "/t/x/deep/er", "d");
    expect_reply(dom0, XS_RM, 0, "/t/x", "OK");
    expect_reply(dom0, XS_TRANSACTION_END, tx, "T", "OK");
    expect_node(dom0, 0, "/t/x/deep/er", "d");

    /* What was missing and still is, even if something near it has come. */
    tx = start_transaction(dom0);
    expect_node(dom0, tx, "/t/no/thing", NULL);
    expect_reply(dom0, XS_MKDIR, 0, "/t/no", "OK");
    expect_reply(dom0, XS_TRANSACTION_END, tx, "T", "OK");
    expect_reply(dom0, XS_CONTROL, 0, "check", "OK");
}

/* Permission that is withdrawn before the commit. */
static void test_commit_without_permission(void **state)
{
    struct harness *harness = *state;
    struct store_conn *dom0 = store_conn_socket(harness->store, NULL);
    struct store_conn *one = store_conn_domain(harness->store, 1, 1, 1, 0, 0);
    uint32_t tx;

    write_value(dom0, 0, "/t", "1");
    expect_reply(dom0, XS_SET_PERMS, 0, "/t\0n0\0b1", "OK");
    tx = start_transaction(one);
    write_value(one, tx, "/t/x", "x");
    expect_reply(dom0, XS_SET_PERMS, 0, "/t\0n0\0r1", "OK");
    expect_error(one, XS_TRANSACTION_END, tx, "T", "EAGAIN");
    expect_node(dom0, 0, "/t/x", NULL);
    expect_reply(dom0, XS_CONTROL, 0, "check", "OK");
}

static void test_watches(void **state)
{
    struct harness *harness = *state;
    struct store_conn *dom0 = store_conn_socket(harness->store, NULL);
    struct store_conn *one = store_conn_domain(harness->store, 1, 1, 1, 0, 0);
    struct store_conn *writer = store_conn_socket(harness->store, NULL);
    uint32_t tx;

    write_value(writer, 0, "/local/domain/1/a/b", "");
    expect_reply(writer, XS_SET_PERMS, 0, "/local/domain/1/a\0r0", "OK");
    expect_reply(writer, XS_SET_PERMS, 0, "/local/domain/1/a/b\0n0", "OK");
    expect_reply(dom0, XS_WATCH, 0, "/local\0t1", "OK");
    expect_event(dom0, "/local", "t1");
    expect_error(dom0, XS_WATCH, 0, "/local\0t1", "EEXIST");
    expect_reply(one, XS_WATCH, 0, "a\0rel", "OK");
    expect_event(one, "a", "rel");

    write_value(writer, 0, "/local/domain/1/a/b", "x");
    expect_event(dom0, "/local/domain/1/a/b", "t1");
    expect_silence(one); /* may not read it */
    write_value(writer, 0, "/local/domain/1/a/c", "x");
    expect_event(dom0, "/local/domain/1/a/c", "t1");
    expect_event(one, "a/c", "rel");
    write_value(writer, 0, "/locals", "x");
    expect_silence(dom0);

    /* Nothing until the commit. */
    tx = start_transaction(writer);
    write_value(writer, tx, "/local/t", "x");
    expect_silence(dom0);
    expect_reply(writer, XS_TRANSACTION_END, tx, "T", "OK");
    expect_event(dom0, "/local/t", "t1");

    /* Removal from above: once, with the watch's own path. */
    expect_reply(writer, XS_RM, 0, "/local/domain", "OK");
    expect_event(dom0, "/local/domain", "t1");
    expect_event(one, "a", "rel");
    expect_silence(dom0);
    expect_silence(one);

    expect_reply(dom0, XS_UNWATCH, 0, "/local\0t1", "OK");
    expect_error(dom0, XS_UNWATCH, 0, "/local\0t1", "ENOENT");
    write_value(writer, 0, "/local/x", "x");
    expect_silence(dom0);
}

static void test_special_watches(void **state)
{
    struct harness *harness = *state;
    struct store_conn *dom0 = store_conn_socket(harness->store, NULL);
    struct store_conn *one = store_conn_domain(harness->store, 1, 1, 1, 0, 0);

    expect_reply(dom0, XS_WATCH, 0, "@releaseDomain\0t", "OK");
    expect_event(dom0, "@releaseDomain", "t");
    expect_reply(one, XS_WATCH, 0, "@releaseDomain\0t", "OK");
    expect_event(one, "@releaseDomain", "t");
    store_fire_special(harness->store, "@releaseDomain");
    expect_event(dom0, "@releaseDomain", "t");
    expect_silence(one);
    expect_reply(dom0, XS_SET_PERMS, 0, "@releaseDomain\0n0\0r1", "OK");
    expect_reply(dom0, XS_GET_PERMS, 0, "@releaseDomain", "n0\0r1");
    store_fire_special(harness->store, "@releaseDomain");
    expect_event(one, "@releaseDomain", "t");
}

static unsigned int local_events;

static void count_event(void *context, const char *path)
{
    assert_string_equal(path, context);
    local_events++;
}

static void test_local_access(void **state)
{
    struct harness *harness = *state;
    struct store *store = harness->store;
    struct store_watch *watch = store_watch_local(store, "/w", count_event, "/w/x");

    local_events = 0;
    store_put(store, "/w/x", "%d", 5);
    assert_int_equal(local_events, 0);
    store_run_watches(store);
    assert_int_equal(local_events, 1);
    assert_string_equal(store_get(store, "/w/x"), "5");
    store_remove(store, "/w/x");
    store_unwatch_local(store, watch);
    store_run_watches(store);
    assert_int_equal(local_events, 1);
    assert_null(store_get(store, "/w/x"));
}

/* The daemon itself may write a value that no reply has room for: its length would break the reader's connection. */
static void test_value_beyond_a_reply(void **state)
{
    struct harness *harness = *state;
    struct store_conn *dom0 = store_conn_socket(harness->store, NULL);
    char value[XENSTORE_PAYLOAD_MAX + 2];

    memset(value, 'v', sizeof(value) - 1);
    value[sizeof(value) - 1] = '\0';
    store_put(harness->store, "/a", "%s", value);
    expect_error(dom0, XS_READ, 0, "/a", "E2BIG");
    store_put(harness->store, "/a", "%s", value + 1);
    expect_node(dom0, 0, "/a", value + 1);
}

static void test_directory_part(void **state)
{
    struct harness *harness = *state;
    struct store_conn *dom0 = store_conn_socket(harness->store, NULL);
    char path[64], payload[128], names[65536], generation[32] = "";
    size_t have = 0, expected = 0;
    struct message message;

    for (int i = 0; i < 2000; i++) {
        expected += snprintf(path, sizeof(path), "/big/child%d", i) + 1 - strlen("/big/");
        write_value(dom0, 0, path, "");
    }
    expect_error(dom0, XS_DIRECTORY, 0, "/big", "E2BIG");
    for (bool last = false; !last;) {
        int length = snprintf(payload, sizeof(payload), "/big%c%zu", '\0', have) + 1;
        size_t skip;

        send_raw(dom0, XS_DIRECTORY_PART, 0, payload, length);
        assert_true(receive(dom0, &message));
        assert_int_equal(message.header.type, XS_DIRECTORY_PART);
        skip = strlen(message.payload) + 1;
        if (!generation[0])
            strcpy(generation, message.payload);
        assert_string_equal(generation, message.payload);
        memcpy(names + have, message.payload + skip, message.header.len - skip);
        have += message.header.len - skip;
        last = have == 1 || (have > 1 && !names[have - 1] && !names[have - 2]);
    }
    assert_int_equal(have, expected + 1);
}

static void test_domains(void **state)
{
    struct harness *harness = *state;
    struct store_conn *dom0 = store_conn_socket(harness->store, NULL);

    expect_reply(dom0, XS_IS_DOMAIN_INTRODUCED, 0, "5", "F");
    expect_reply(dom0, XS_INTRODUCE, 0, "5\0" "1234\0" "7", "OK");
    assert_int_equal(harness->introduced, 1);
    assert_int_equal(store_conn_frame(store_find_domain(harness->store, 5)), 1234);
    expect_reply(dom0, XS_IS_DOMAIN_INTRODUCED, 0, "5", "T");
    expect_reply(dom0, XS_GET_DOMAIN_PATH, 0, "005", "/local/domain/5");
    expect_reply(dom0, XS_RESUME, 0, "5", "OK");
    expect_reply(dom0, XS_RELEASE, 0, "5", "OK");
    assert_int_equal(harness->released, 1);
    expect_error(dom0, XS_RELEASE, 0, "5", "ENOENT");
}

static void test_unread_output(void **state)
{
    struct harness *harness = *state;
    struct store_conn *dom0 = store_conn_socket(harness->store, NULL);
    struct store_conn *one = store_conn_domain(harness->store, 1, 1, 1, 0, 0);
    struct xsd_sockmsg header = { .type = XS_GET_DOMAIN_PATH, .len = 2 };
    char request[sizeof(header) + 2];
    bool waited = false;
    char value[1500];
    const void *data;

    memcpy(request, &header, sizeof(header));
    memcpy(request + sizeof(header), "1", 2);
    for (int i = 0; i < 10000 && !waited; i++)
        waited = store_conn_input(one, request, sizeof(request)) == 0;
    assert_true(waited);
    assert_false(store_conn_dead(one));
    store_conn_sent(one, store_conn_output(one, &data));

    /* Events that nobody reads: in the end the client is cut off, and alone. */
    write_value(dom0, 0, "/w", "");
    expect_reply(dom0, XS_SET_PERMS, 0, "/w\0r0", "OK");
    snprintf(value, sizeof(value), "/w%c%0800d", '\0', 1);
    send_raw(one, XS_WATCH, 0, value, 4 + 800);
    for (int i = 0; i < 8000; i++) {
        write_value(dom0, 0, "/w", "x");
        harness_flush(harness);
    }
    assert_true(store_conn_dead(one));
    expect_node(dom0, 0, "/w", "x");
}

/* The first half of a request to read "data", which "ta" and its NUL complete. */
static void send_half(struct store_conn *conn)
{
    struct xsd_sockmsg header = { .type = XS_READ, .req_id = 77, .len = 5 };

    store_conn_input(conn, &header, sizeof(header));
    store_conn_input(conn, "da", 2);
}

static void test_restart(void **state)
{
    struct harness *harness = *state;
    struct store_conn *dom0 = store_conn_socket(harness->store, NULL);
    struct store_conn *one = store_conn_domain(harness->store, 1, 4711, 3, 100, 200);
    struct message message;
    uint32_t tx, produced;
    const void *data;

    write_value(dom0, 0, "/local/domain/1/data", "d");
    expect_reply(dom0, XS_SET_PERMS, 0, "/local/domain/1/data\0n1", "OK");
    expect_reply(dom0, XS_SET_PERMS, 0, "@releaseDomain\0r0", "OK");
    expect_reply(one, XS_WATCH, 0, "data\0token", "OK");
    expect_event(one, "data", "token");
    tx = start_transaction(one);
    write_value(one, tx, "data/in-tx", "1");
    write_value(dom0, 0, "/local/domain/1/data/plain", "2");
    expect_event(one, "data/plain", "token");
    harness_flush(harness);
    produced = store_conn_produced(one);
    /* A request of which half has come, and a reply of which half is out. */
    send_half(one);
    harness_flush(harness);
    store_conn_input(one, "ta", 3);
    harness_flush(harness);

    harness_restart(harness);
    one = store_find_domain(harness->store, 1);
    assert_non_null(one);
    assert_int_equal(store_conn_frame(one), 4711);
    assert_true(store_conn_resume(one, produced + 10));
    assert_int_equal(store_conn_produced(one), produced + 10);
    assert_int_equal(store_conn_output(one, &data), sizeof(struct xsd_sockmsg) + 1 - 10);
    store_conn_sent(one, sizeof(struct xsd_sockmsg) + 1 - 10);
    expect_node(one, 0, "data/plain", "2");
    expect_error(one, XS_TRANSACTION_END, tx, "T", "EAGAIN");
    tx = start_transaction(one);
    write_value(one, tx, "data/in-tx", "1");
    send_raw(one, XS_TRANSACTION_END, tx, "T", 2);
    expect_event(one, "data/in-tx", "token"); /* before the reply: what changed is known by then */
    assert_true(receive(one, &message));
    assert_int_equal(message.header.type, XS_TRANSACTION_END);

    /* Once more, by way of a snapshot, now with a half message. */
    harness_flush(harness);
    send_half(one);
    {
        size_t length;
        const void *snapshot = store_snapshot(harness->store, &length);

        bytes_clear(&harness->journal);
        bytes_append(&harness->journal, snapshot, length);
    }
    harness_restart(harness);
    one = store_find_domain(harness->store, 1);
    assert_true(store_conn_resume(one, store_conn_produced(one)));
    store_conn_input(one, "ta", 3);
    assert_true(receive(one, &message));
    assert_int_equal(message.header.type, XS_READ);
    assert_string_equal(message.payload, "d");
    expect_reply(one, XS_GET_PERMS, 0, "data/in-tx", "n1");
    expect_error(one, XS_WATCH, 0, "data\0token", "EEXIST");
    dom0 = store_conn_socket(harness->store, NULL);
    expect_reply(dom0, XS_GET_PERMS, 0, "@releaseDomain", "r0");
    /* A producer index that cannot be. */
    assert_false(store_conn_resume(one, store_conn_produced(one) + 1));
    assert_true(store_conn_dead(one));
}

/* One batch of the journal for the test below, with one of all that it can tell of. */
static void make_batch(struct harness *harness, struct store_conn *dom0, int number)
{
    struct store_conn *one = store_find_domain(harness->store, 1);

    switch (number) {
    case 0:
        write_value(dom0, 0, "/local/domain/1/data", "d");
        expect_reply(dom0, XS_SET_PERMS, 0, "/local/domain/1/data\0n1\0r2", "OK");
        break;
    case 1:
        expect_reply(one, XS_WATCH, 0, "data\0token", "OK");
        expect_event(one, "data", "token");
        start_transaction(one);
        break;
    case 2:
        write_value(dom0, 0, "/local/domain/1/data/new", "value");
        expect_event(one, "data/new", "token");
        send_half(one);
        break;
    case 3:
        store_conn_input(one, "ta", 3);
        expect_reply(dom0, XS_CONTROL, 0, "quota\0set\0nodes\0" "77", "OK");
        break;
    case 4:
        expect_reply(dom0, XS_SET_TARGET, 0, "1\0" "2", "OK");
        expect_reply(dom0, XS_RM, 0, "/local/domain/1/data/new", "OK");
        break;
    case 5:
        store_conn_reset(one);
        break;
    default:
        store_conn_free(store_find_domain(harness->store, 2));
        store_forget_domain(harness->store, 2);
    }
}
#define BATCHES 7

/* Wherever the journal is cut by a crash, replay keeps all whole batches, and nothing of the one that is not. */
static void test_torn_journal(void **state)
{
    struct harness *harness = *state;
    struct store_conn *dom0 = store_conn_socket(harness->store, NULL);
    struct bytes described[BATCHES + 1] = { 0 };
    size_t ends[BATCHES + 1];

    store_conn_domain(harness->store, 1, 4711, 3, 100, 200);
    store_conn_domain(harness->store, 2, 4712, 4, 0, 0);
    for (int batch = 0; batch <= BATCHES; batch++) {
        if (batch > 0)
            make_batch(harness, dom0, batch - 1);
        harness_flush(harness);
        ends[batch] = bytes_length(&harness->journal);
        describe_store(harness->store, &described[batch]);
    }
    for (size_t cut = ends[0], batch = 0; cut <= ends[BATCHES]; cut++) {
        struct bytes found = { 0 };
        struct harness *other;

        while (batch < BATCHES && ends[batch + 1] <= cut)
            batch++;
        harness_setup((void **)&other);
        assert_int_equal(store_replay(other->store, bytes_front(&harness->journal), cut), ends[batch]);
        describe_store(other->store, &found);
        assert_int_equal(bytes_length(&found), bytes_length(&described[batch]));
        assert_memory_equal(bytes_front(&found), bytes_front(&described[batch]), bytes_length(&found));
        bytes_clear(&found);
        harness_teardown((void **)&other);
    }
    /* A byte that is not what was written. */
    harness->journal.data[harness->journal.start + ends[BATCHES] - 3] ^= 1;
    {
        struct harness *other;

        harness_setup((void **)&other);
        assert_int_equal(store_replay(other->store, bytes_front(&harness->journal), ends[BATCHES]), ends[BATCHES - 1]);
        harness_teardown((void **)&other);
    }
    for (int batch = 0; batch <= BATCHES; batch++)
        bytes_clear(&described[batch]);
}

static uint32_t random_state = 12345;

static uint32_t next_random(uint32_t below)
{
    random_state = random_state * 1664525 + 1013904223;
    return (random_state >> 8) % below;
}

/* Requests put together at random, from a guest and from dom0; the store after a restart is the store before it. */
static void test_random_requests(void **state)
{
    static const char *const words[] = { "a", "/a", "/a/b", "/", "b/c", "/local/domain/1", "@releaseDomain", "T", "F",
                                         "r1", "n0", "b2", "1", "5", "", "//", "x y", "/local/domain/1/b/c/d" };
    struct harness *harness = *state;
    struct store_conn *dom0 = store_conn_socket(harness->store, NULL);
    struct store_conn *one = store_conn_domain(harness->store, 1, 1, 1, 0, 0);

    write_value(dom0, 0, "/local/domain/1", "");
    expect_reply(dom0, XS_SET_PERMS, 0, "/local/domain/1\0b1", "OK");
    for (int i = 0; i < 200000; i++) {
        struct store_conn *conn = next_random(3) ? one : dom0;
        char payload[256];
        const void *data;
        size_t length = 0;
        uint32_t type = next_random(XS_TYPE_COUNT + 2);

        if (type == XS_RELEASE || type == XS_INTRODUCE)
            continue;
        for (uint32_t word = next_random(4); word > 0; word--) {
            const char *text = words[next_random(sizeof(words) / sizeof(words[0]))];

            memcpy(payload + length, text, strlen(text) + 1);
            length += strlen(text) + 1;
        }
        if (length && !next_random(10))
            length--;
        send_raw(conn, type, next_random(2) ? 0 : next_random(5), payload, length);
        if (store_conn_dead(conn) || next_random(20) == 0)
            store_conn_sent(dom0, store_conn_output(dom0, &data));
        store_conn_sent(one, store_conn_output(one, &data));
        if (next_random(10) == 0)
            harness_flush(harness);
        if (next_random(2000) == 0)
            store_conn_reset(one);
        if (next_random(20000) == 0) {
            struct bytes before = { 0 };
            size_t before_length, after_length;
            const void *snapshot;

            store_conn_free(dom0);
            harness_flush(harness);
            snapshot = store_snapshot(harness->store, &before_length);
            bytes_append(&before, snapshot, before_length);
            harness_restart(harness);
            dom0 = store_conn_socket(harness->store, NULL);
            one = store_find_domain(harness->store, 1);
            assert_true(store_conn_resume(one, store_conn_produced(one) + store_conn_output(one, &data)));
            snapshot = store_snapshot(harness->store, &after_length);
            /* Only the order of watches may differ, so compare sizes here and the tree by its values elsewhere. */
            assert_int_equal(before_length, after_length);
            bytes_clear(&before);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_read_write),
        TEST(test_bad_requests),
        TEST(test_torn_and_oversized_messages),
        TEST(test_permissions),
        TEST(test_quotas),
        TEST(test_log_stays_clean),
        TEST(test_transactions),
        TEST(test_transaction_conflicts),
        TEST(test_commit_without_permission),
        TEST(test_watches),
        TEST(test_special_watches),
        TEST(test_local_access),
        TEST(test_value_beyond_a_reply),
        TEST(test_directory_part),
        TEST(test_domains),
        TEST(test_unread_output),
        TEST(test_restart),
        TEST(test_torn_journal),
        TEST(test_random_requests),
    };

    return cmocka_run_group_tests_name("store", tests, NULL, NULL) + conformance_tests();
}
