/* SPDX-License-Identifier: MIT */
/*
 * Scripts of requests and answers. A line "CLIENT TYPE TX PAYLOAD" is a request: TX is "-" for none, "=name" to begin a
 * transaction that is called so from then on, or the name of one; in PAYLOAD, \0 is a NUL byte, \xHH any byte, \* N
 * repeats the character before it N times. The lines "  < TYPE PAYLOAD" after it are what xenstored of Xen 4.17 answers,
 * and "  CLIENT! TYPE PAYLOAD" the watch events that clients then get. Where Domus answers otherwise on purpose, "  ~"
 * takes the place of "  <", and a comment says why.
 */
#ifndef STORE_TEST_SCRIPT_H
#define STORE_TEST_SCRIPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <errno.h>

#include <xen/io/xs_wire.h>

#define SCRIPT_CLIENTS 26 /* by letter */

/* How requests reach a store. */
struct script_transport {
    void (*send)(char client, const struct xsd_sockmsg *header, const void *payload);
    /* The next message to the client; with `wait`, false means that no reply comes. */
    bool (*receive)(char client, bool wait, struct xsd_sockmsg *header, char *payload);
    const char *clients; /* whose lines to run; others are copied as they are */
};

/* Run what `in` says and write the same with the answers as they come to `out`. Returns how many lines went wrong. */
int script_record(FILE *in, FILE *out, const struct script_transport *transport);

/* Run what `in` says and compare; differences go to stderr. Returns how many requests were answered otherwise. */
int script_check(FILE *in, const char *name, const struct script_transport *transport);

#endif
