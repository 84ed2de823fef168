/* SPDX-License-Identifier: MIT */
/*
 * Prints results and errors, in words or as JSON.
 */
#include <stdio.h>
#include <stdlib.h>

#include "cli/cli.h"

int report_json(json_t *object)
{
    if (object && !json_object_get(object, "ok"))
        json_object_set_new(object, "ok", json_true());
    json_dumpf(object, stdout, JSON_COMPACT);
    putchar('\n');
    json_decref(object);
    return STATUS_OK;
}

int report_failure(const struct invocation *invocation, const struct failure *failure)
{
    if (invocation->json)
        report_json(failure_to_reply(failure));
    else
        fprintf(stderr, "domus: %s\n  why:    %s\n  remedy: %s\n", failure->what, failure->why, failure->remedy);
    return STATUS_FAILED;
}

int report_reply(const struct invocation *invocation, json_t *reply, const struct failure *failure)
{
    if (!reply)
        return report_failure(invocation, failure);
    if (invocation->json)
        return report_json(reply);
    json_decref(reply);
    return STATUS_OK;
}

int option_number(const struct invocation *invocation, char letter, long min, long max, long *value)
{
    const char *text = option_value(invocation, letter);
    char *end;
    long number;

    if (!text)
        return STATUS_OK;
    number = strtol(text, &end, 10);
    if (end == text || *end || number < min || number > max)
        return usage_error(invocation->command, "-%c wants a number from %ld to %ld, not `%s'", letter, min, max, text);
    *value = number;
    return STATUS_OK;
}
