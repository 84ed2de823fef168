/* SPDX-License-Identifier: MIT */
/*
 * What commands about resources and devices share.
 */
#ifndef DOMUS_CLI_RESOURCES_H
#define DOMUS_CLI_RESOURCES_H

#include <stdbool.h>

#include "cli/cli.h"

/* Send one request, whose reference is taken; NULL with *failure filled in. */
json_t *call_daemon(const struct invocation *invocation, json_t *request, struct failure *failure);

/* The same for a command whose reply is of no interest but in JSON. Returns an exit status. */
int run_request(const struct invocation *invocation, json_t *request);

/* Whether `text` is a whole number from `least` to `most`. */
bool parse_count(const char *text, long least, long most, long *value);

/* An amount of memory in KiB: MiB, or k, m, g, t, b after the number. -1: it is none. */
long long parse_memory(const char *text);

#endif
