/* SPDX-License-Identifier: MIT */
/*
 * The store's rings as a guest sees them: wrap-around, slow readers, nonsense in the shared page, a daemon that is
 * killed between any two steps.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "foreign.h"
#include "lib/bytes.h"
#include "ports.h"
#include "store_io.h"
#include "store_ring.h"

#include <xen/io/xs_wire.h>

#define PAGE_SIZE 4096

struct store *the_store;
struct event_base *main_loop;

/* The guest: its page, its own indices, and the function that its event channel reaches. */
static struct xenstore_domain_interface *page;
static port_fn notified;
static void *notified_context;
static unsigned int notices;
static struct bytes journal;

/* --- stand-ins --------------------------------------------------------------------------------------------------- */

void *foreign_map_one(uint32_t domid, xen_pfn_t frame)
{
    (void)domid;
    (void)frame;
    return page;
}

void foreign_unmap(void *address, size_t count)
{
    (void)address;
    (void)count;
}

int port_bind(uint32_t domid, uint32_t remote_port, port_fn function, void *context)
{
    (void)domid;
    notified = function;
    notified_context = context;
    return remote_port;
}

void port_unbind(int port)
{
    (void)port;
}

void port_notify(int port)
{
    (void)port;
    notices++;
}

void store_io_flush_soon(void)
{
}

static void on_wake(void *context, struct store_conn *conn)
{
    (void)context;
    if (store_conn_user(conn) && !store_conn_is_socket(conn))
        ring_wake(store_conn_user(conn));
}

static void on_dirty(void *context)
{
    (void)context;
}

static const struct store_ops ops = { .wake = on_wake, .dirty = on_dirty };

/* --- the daemon's side ------------------------------------------------------------------------------------------- */

static void write_journal(void)
{
    size_t length;
    const void *batch = store_journal(the_store, &length);

    if (length)
        bytes_append(&journal, batch, length);
}

/* What the event loop does until nothing is left to do. */
static void settle(void)
{
    for (int i = 0; i < 20; i++) {
        write_journal();
        rings_flush();
    }
}

/* The daemon is killed here, and started again. */
static void kill_and_restart(void)
{
    struct store_conn *conn = store_find_domain(the_store, 1);

    ring_close(store_conn_user(conn)); /* what it journals is not written any more */
    store_free(the_store);
    the_store = store_new(&ops, NULL, 7);
    assert_int_equal(store_replay(the_store, bytes_front(&journal), bytes_length(&journal)), bytes_length(&journal));
    conn = store_find_domain(the_store, 1);
    assert_non_null(conn);
    assert_int_equal(ring_open(1, store_conn_frame(conn), store_conn_port(conn), conn), 0);
}

static int setup(void **state)
{
    (void)state;
    assert_int_equal(posix_memalign((void **)&page, PAGE_SIZE, PAGE_SIZE), 0);
    memset(page, 0, PAGE_SIZE);
    /* Indices begin anywhere, and soon pass their end. */
    page->req_cons = page->req_prod = UINT32_MAX - 700;
    page->rsp_cons = page->rsp_prod = UINT32_MAX - 300;
    the_store = store_new(&ops, NULL, 1);
    store_put(the_store, "/local/domain/1/data", "%s", "");
    store_permit(the_store, "/local/domain/1/data", 1, 0, 1, 0);
    assert_int_equal(ring_open(1, 11, 3, NULL), 0);
    settle();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    ring_close(store_conn_user(store_find_domain(the_store, 1)));
    store_free(the_store);
    bytes_clear(&journal);
    free(page);
    return 0;
}

/* --- the guest's side -------------------------------------------------------------------------------------------- */

static void notify(void)
{
    notified(notified_context);
}

/* Put as much as fits into the request ring; returns how much that was. */
static size_t put_requests(const void *data, size_t length)
{
    size_t room = XENSTORE_RING_SIZE - (page->req_prod - page->req_cons);

    if (length > room)
        length = room;
    for (size_t i = 0; i < length; i++)
        page->req[MASK_XENSTORE_IDX(page->req_prod + i)] = ((const char *)data)[i];
    page->req_prod += length;
    return length;
}

static size_t take_responses(void *data, size_t max)
{
    size_t length = page->rsp_prod - page->rsp_cons;

    if (length > max)
        length = max;
    for (size_t i = 0; i < length; i++)
        ((char *)data)[i] = page->rsp[MASK_XENSTORE_IDX(page->rsp_cons + i)];
    page->rsp_cons += length;
    return length;
}

static size_t build(char *request, uint32_t type, uint32_t id, const char *payload, size_t length)
{
    struct xsd_sockmsg header = { .type = type, .req_id = id, .len = length };

    memcpy(request, &header, sizeof(header));
    memcpy(request + sizeof(header), payload, length);
    return sizeof(header) + length;
}

static void send_request(uint32_t type, uint32_t id, const char *payload, size_t length)
{
    char request[PAGE_SIZE];
    size_t size = build(request, type, id, payload, length);

    for (size_t sent = 0; sent < size;) {
        sent += put_requests(request + sent, size - sent);
        notify();
        settle();
    }
}

/* One whole reply, which must be there or come as room is made. */
static void expect_reply(uint32_t type, uint32_t id, const char *payload, size_t length)
{
    struct xsd_sockmsg header;
    char data[PAGE_SIZE];

    assert_int_equal(take_responses(&header, sizeof(header)), sizeof(header));
    assert_int_equal(header.type, type);
    assert_int_equal(header.req_id, id);
    assert_int_equal(header.len, length);
    for (size_t have = 0; have < length;) {
        size_t got = take_responses(data + have, length - have);

        notify();
        settle();
        assert_true(got > 0);
        have += got;
    }
    assert_memory_equal(data, payload, length);
}

static void test_round_trips(void **state)
{
    char value[2100];

    (void)state;
    memset(value, 'v', sizeof(value));
    memcpy(value, "data/big", 9);
    for (uint32_t id = 0; id < 50; id++) {
        send_request(XS_WRITE, id, value, 9 + 1800);
        expect_reply(XS_WRITE, id, "OK", 3);
        send_request(XS_READ, id, "data/big", 9);
        expect_reply(XS_READ, id, value + 9, 1800);
    }
    assert_true(notices > 0);
}

static void test_wild_request_index(void **state)
{
    (void)state;
    page->req_prod += XENSTORE_RING_SIZE + 1;
    notify();
    settle();
    assert_int_equal(page->error, XENSTORE_ERROR_RINGIDX);
    /* It may begin anew, with both queues empty. */
    page->connection = XENSTORE_RECONNECT;
    notify();
    settle();
    assert_int_equal(page->connection, XENSTORE_CONNECTED);
    assert_int_equal(page->error, XENSTORE_ERROR_NONE);
    assert_int_equal(page->req_prod, page->req_cons);
    assert_int_equal(page->rsp_prod, page->rsp_cons);
    /* And a daemon that starts now knows of that. */
    kill_and_restart();
    settle();
    send_request(XS_GET_DOMAIN_PATH, 5, "1", 2);
    expect_reply(XS_GET_DOMAIN_PATH, 5, "/local/domain/1", 16);
}

/* A client that begins anew does so whenever the daemon is killed meanwhile. */
static void test_kill_at_reconnection(void **state)
{
    (void)state;
    for (int when = 0; when < 3; when++) {
        send_request(XS_GET_DOMAIN_PATH, 1, "1", 2);
        page->connection = XENSTORE_RECONNECT;
        notify();
        if (when == 0)
            kill_and_restart();
        write_journal();
        if (when == 1)
            kill_and_restart();
        rings_flush();
        if (when == 2)
            kill_and_restart();
        settle();
        assert_int_equal(page->connection, XENSTORE_CONNECTED);
        assert_int_equal(page->error, XENSTORE_ERROR_NONE);
        send_request(XS_GET_DOMAIN_PATH, 2, "1", 2);
        expect_reply(XS_GET_DOMAIN_PATH, 2, "/local/domain/1", 16);
    }
}

/* Introduced again with another event channel, the domain is served by that one after a restart as well. */
static void test_kill_after_rebind(void **state)
{
    (void)state;
    assert_int_equal(ring_rebind(store_conn_user(store_find_domain(the_store, 1)), 9), 0);
    settle();
    kill_and_restart();
    assert_int_equal(store_conn_port(store_find_domain(the_store, 1)), 9);
}

static void test_wild_response_index(void **state)
{
    char request[64];

    (void)state;
    page->rsp_cons += 5; /* more than was produced */
    put_requests(request, build(request, XS_GET_DOMAIN_PATH, 1, "1", 2));
    notify();
    settle();
    assert_int_equal(page->error, XENSTORE_ERROR_RINGIDX);
}

static void test_oversized_message(void **state)
{
    struct xsd_sockmsg header = { .type = XS_READ, .len = XENSTORE_PAYLOAD_MAX + 1 };

    (void)state;
    put_requests(&header, sizeof(header));
    notify();
    settle();
    assert_int_equal(page->error, XENSTORE_ERROR_PROTO);
    assert_true(store_conn_dead(store_find_domain(the_store, 1)));
    kill_and_restart();
    settle();
    assert_true(store_conn_dead(store_find_domain(the_store, 1)));
}

/* What a guest writes over the daemon's own indices harms it alone. */
static void test_overwritten_indices(void **state)
{
    char request[64];

    (void)state;
    page->rsp_prod += 12345;
    put_requests(request, build(request, XS_GET_DOMAIN_PATH, 1, "1", 2));
    page->req_cons += 999;
    notify();
    settle();
    kill_and_restart();
    settle();
    page->rsp_prod -= 777;
    kill_and_restart();
    settle();
    assert_true(store_conn_dead(store_find_domain(the_store, 1)));
}

/*
 * Kill the daemon before the journal, between journal and rings, or after both, at every message; nothing is lost,
 * nothing is done twice.
 */
static void test_kill_anywhere(void **state)
{
    char request[PAGE_SIZE], payload[1400];

    (void)state;
    for (uint32_t id = 1; id < 60; id++) {
        size_t sent = 0, size, length = 0;
        const char *stored;

        memset(payload, 'a' + id % 26, sizeof(payload));
        memcpy(payload, "data/k", 7);
        size = build(request, XS_WRITE, id, payload, 7 + 20 * id);
        for (int step = 0; sent < size || step < 6; step++) {
            sent += put_requests(request + sent, size - sent);
            notify();
            if ((id + step) % 3 == 0)
                kill_and_restart();
            write_journal();
            if ((id + step) % 3 == 1)
                kill_and_restart();
            rings_flush();
            if ((id + step) % 3 == 2)
                kill_and_restart();
            settle();
        }
        expect_reply(XS_WRITE, id, "OK", 3);
        assert_int_equal(page->rsp_prod, page->rsp_cons);
        stored = store_get(the_store, "/local/domain/1/data/k");
        length = strlen(stored);
        assert_int_equal(length, 20 * id);
        assert_int_equal(stored[0], 'a' + id % 26);
    }
}

/* A transaction number is never given out twice, or one side would work in the other's transaction. */
static void test_requests_counted_once(void **state)
{
    char request[64];

    (void)state;
    for (uint32_t id = 1; id < 9; id++) {
        char answer[2] = { '0' + id, 0 };

        put_requests(request, build(request, XS_TRANSACTION_START, id, "", 1));
        notify();
        if (id % 2)
            kill_and_restart();
        write_journal();
        if (id % 2 == 0)
            kill_and_restart();
        settle();
        expect_reply(XS_TRANSACTION_START, id, answer, 2);
    }
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_round_trips),
        TEST(test_wild_request_index),
        TEST(test_kill_at_reconnection),
        TEST(test_kill_after_rebind),
        TEST(test_wild_response_index),
        TEST(test_oversized_message),
        TEST(test_overwritten_indices),
        TEST(test_kill_anywhere),
        TEST(test_requests_counted_once),
    };

    return cmocka_run_group_tests_name("store rings", tests, NULL, NULL);
}
