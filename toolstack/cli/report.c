/* SPDX-License-Identifier: MIT */
/*
 * Prints results and errors, in words or as JSON.
 */
#include <stdio.h>

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
