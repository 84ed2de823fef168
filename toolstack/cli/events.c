/* SPDX-License-Identifier: MIT */
/*
 * domus events: prints what happens to domains, one JSON object a line, as the daemon tells it.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "lib/control.h"

/* Whether an event is of one of the domains that were named, by name or number. */
static bool is_wanted(const struct invocation *invocation, const json_t *event)
{
    const char *name = json_string_value(json_object_get(event, "name"));
    char number[24];

    snprintf(number, sizeof(number), "%lld", (long long)json_integer_value(json_object_get(event, "domid")));
    for (int i = 0; i < invocation->argc; i++)
        if ((name && strcmp(invocation->argv[i], name) == 0) || strcmp(invocation->argv[i], number) == 0)
            return true;
    return invocation->argc == 0;
}

/* Print events: `count` of them if that is not negative, or until one called `last` has come. Returns an exit status. */
static int print_events(const struct invocation *invocation, int fd, json_int_t count, const char *last)
{
    bool over = false;
    json_t *event;

    while (!over && count != 0 && (event = control_receive(fd)) != NULL) {
        const char *kind = json_string_value(json_object_get(event, "event"));

        if (is_wanted(invocation, event)) {
            json_dumpf(event, stdout, JSON_COMPACT);
            putchar('\n');
            over = fflush(stdout) == EOF || (last && kind && strcmp(kind, last) == 0);
        }
        json_decref(event);
        if (count > 0)
            count--;
    }
    return over || count == 0 ? STATUS_OK : STATUS_FAILED;
}

int command_events(const struct invocation *invocation)
{
    static const char what[] = "cannot tell what happens";
    const char *last = option_value(invocation, 'u');
    bool once = option_value(invocation, 'o') != NULL;
    long replay = once ? 512 : 0;
    struct failure failure;
    json_t *reply;
    int fd, status;

    if (option_number(invocation, 'r', 0, 512, &replay))
        return STATUS_USAGE;
    fd = daemon_open(what, &failure);
    reply = fd < 0 ? NULL : daemon_call(fd, json_pack("{s:s, s:I}", "op", "events", "replay", (json_int_t)replay), what,
                                        &failure);
    if (!reply) {
        if (fd >= 0)
            close(fd);
        return report_failure(invocation, &failure);
    }
    status = print_events(invocation, fd, once ? json_integer_value(json_object_get(reply, "replayed")) : -1, last);
    json_decref(reply);
    close(fd);
    return status;
}
