/* SPDX-License-Identifier: MIT */
/*
 * domus check: would a domain come of this configuration? Its form is checked here, what it needs of the host by the
 * daemon.
 */
#include <stdio.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/config.h"

/* Ask the daemon. A reply, or NULL with *failure filled in. Takes the reference to `config`. */
static json_t *check_host(json_t *config, struct failure *failure)
{
    return daemon_request(json_pack("{s:s, s:o}", "op", "check", "config", config),
                          "cannot check the configuration against the host", failure);
}

int command_check(const struct invocation *invocation)
{
    const char *file = invocation->argv[0];
    struct failure failure;
    json_t *config = config_read(file, invocation->argv + 1, invocation->argc - 1, &failure), *reply;

    if (!config)
        return report_failure(invocation, &failure);
    if (option_value(invocation, 'n')) {
        if (invocation->json)
            return report_json(json_pack("{s:o}", "config", config));
        printf("%s is well formed\n", file);
        json_decref(config);
        return STATUS_OK;
    }
    reply = check_host(config, &failure);
    if (!reply)
        return report_failure(invocation, &failure);
    if (!invocation->json)
        printf("%s is well formed, and domain %s %s\n", file, json_string_value(json_object_get(reply, "name")),
               json_is_true(json_object_get(reply, "exists")) ? "exists" : "could be created now");
    return report_reply(invocation, reply, &failure);
}
