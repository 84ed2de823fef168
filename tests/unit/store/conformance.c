/* SPDX-License-Identifier: MIT */
/*
 * The store answers as xenstored of Xen 4.17 did when the scripts beside this file were recorded, but where they say
 * otherwise.
 */
#include "harness.h"
#include "script.h"

static struct harness *the_harness;
static struct store_conn *clients[128];

/* Letters up to "f" are clients in dom0, "g" is domain 1. */
static struct store_conn *client_conn(char client)
{
    struct store_conn **conn = &clients[(int)client];

    if (!*conn)
        *conn = client < 'g' ? store_conn_socket(the_harness->store, NULL) : store_find_domain(the_harness->store, 1);
    return *conn;
}

static void send_request(char client, const struct xsd_sockmsg *header, const void *payload)
{
    store_conn_input(client_conn(client), header, sizeof(*header));
    store_conn_input(client_conn(client), payload, header->len);
}

static bool receive_message(char client, bool wait, struct xsd_sockmsg *header, char *payload)
{
    struct message message;

    (void)wait;
    if (!receive(client_conn(client), &message))
        return false;
    *header = message.header;
    memcpy(payload, message.payload, header->len + 1);
    return true;
}

static void check_script(struct harness *harness, const char *name, const char *letters)
{
    struct script_transport transport = { .send = send_request, .receive = receive_message, .clients = letters };
    FILE *in = fopen(name, "r");

    assert_non_null(in);
    the_harness = harness;
    memset(clients, 0, sizeof(clients));
    assert_int_equal(script_check(in, name, &transport), 0);
    fclose(in);
}

static void test_dom0(void **state)
{
    store_put(((struct harness *)*state)->store, "/local/domain/0", "%s", "");
    check_script(*state, "dom0.script", "abc");
}

static void test_control(void **state)
{
    check_script(*state, "control.script", "a");
}

static void test_guest(void **state)
{
    struct harness *harness = *state;

    store_conn_domain(harness->store, 1, 1, 1, 0, 0);
    store_put(harness->store, "/local/domain/1", "%s", "");
    store_permit(harness->store, "/local/domain/1", 0, 0, 1, PERM_READ);
    store_put(harness->store, "/local/domain/1/name", "pv");
    store_put(harness->store, "/local/domain/1/data", "%s", "");
    store_permit(harness->store, "/local/domain/1/data", 1, 0, 1, 0);
    check_script(*state, "guest.script", "ag");
}

int conformance_tests(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_dom0),
        TEST(test_control),
        TEST(test_guest),
    };

    return cmocka_run_group_tests_name("store: as xenstored", tests, NULL, NULL);
}
