/* SPDX-License-Identifier: MIT */
/*
 * A store without I/O for the tests: clients are byte queues, the journal is memory.
 */
#ifndef STORE_TEST_HARNESS_H
#define STORE_TEST_HARNESS_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/bytes.h"
#include "store/store.h"

#include <xen/io/xs_wire.h>

struct harness {
    struct store *store;
    struct bytes journal;
    unsigned int introduced, released;
    struct bytes report; /* what the store had written to files */
};

struct message {
    struct xsd_sockmsg header;
    char payload[XENSTORE_PAYLOAD_MAX + 1];
};

#define TEST(function) cmocka_unit_test_setup_teardown(function, harness_setup, harness_teardown)

/* The groups of tests; each returns how many failed. */
int conformance_tests(void);

int harness_setup(void **state);
int harness_teardown(void **state);

/* Write the journal as the daemon does. */
void harness_flush(struct harness *harness);
/* Forget the store and make a new one from the journal. */
void harness_restart(struct harness *harness);

/* Queue a request; `payload` of `length` bytes. */
void send_raw(struct store_conn *conn, uint32_t type, uint32_t tx, const void *payload, size_t length);
/* The next message to the client; false if there is none. */
bool receive(struct store_conn *conn, struct message *message);

/*
 * Send a request whose payload is `payload` (a literal with its inner NULs; the final one is added) and expect the
 * given reply: "OK" and the like, or an error's name.
 */
#define expect_reply(conn, type, tx, payload, answer) \
    expect_reply_at(conn, type, tx, payload, sizeof(payload), answer, sizeof(answer), __FILE__, __LINE__)
#define expect_error(conn, type, tx, payload, error) \
    expect_error_at(conn, type, tx, payload, sizeof(payload), error, __FILE__, __LINE__)
void expect_reply_at(struct store_conn *conn, uint32_t type, uint32_t tx, const char *payload, size_t length,
                     const char *answer, size_t answer_length, const char *file, int line);
void expect_error_at(struct store_conn *conn, uint32_t type, uint32_t tx, const char *payload, size_t length,
                     const char *error, const char *file, int line);
/* The value at a path, exactly, or with `value` NULL that it does not exist. */
#define expect_node(conn, tx, path, value) \
    expect_node_at(conn, tx, path, value, __FILE__, __LINE__)
void expect_node_at(struct store_conn *conn, uint32_t tx, const char *path, const char *value, const char *file,
                     int line);
/* Write without caring for the reply, which must be OK. */
void write_value(struct store_conn *conn, uint32_t tx, const char *path, const char *value);
uint32_t start_transaction(struct store_conn *conn);
/* The next message is an event with this path and token. */
void expect_event(struct store_conn *conn, const char *path, const char *token);
void expect_silence(struct store_conn *conn);

#endif
