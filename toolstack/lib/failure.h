/* SPDX-License-Identifier: MIT */
/*
 * An error as the user is to see it: what could not be done, why, and what to do about it. It travels from the builder
 * to the daemon to the command line as JSON: {"what": "...", "why": "...", "remedy": "..."}.
 */
#ifndef DOMUS_FAILURE_H
#define DOMUS_FAILURE_H

#include <stddef.h>

#include <jansson.h>

struct failure {
    char what[512];
    char why[1024];
    char remedy[1024];
};

/* Each sets one part, cut to its size. The first failure_what also clears the other two. */
void failure_what(struct failure *failure, const char *format, ...) __attribute__((format(printf, 2, 3)));
void failure_why(struct failure *failure, const char *format, ...) __attribute__((format(printf, 2, 3)));
void failure_remedy(struct failure *failure, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* {"ok": false, "error": {...}}: a new reference. */
json_t *failure_to_reply(const struct failure *failure);

/* Fill *failure from a reply of that form; a reply without the parts gives a general one. */
void failure_from_reply(struct failure *failure, const json_t *reply);

#endif
