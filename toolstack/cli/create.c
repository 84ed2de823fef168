/* SPDX-License-Identifier: MIT */
/*
 * domus create: the configuration becomes JSON here, the domain in the daemon.
 */
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/config.h"
#include "lib/control.h"

#define REPLAY_ALL (1 << 20)

/*
 * The file is the first argument, unless that is a setting: KEY=VALUE with no such file. A word that is no file names a
 * definition.
 */
static json_t *read_config(const struct invocation *invocation, struct failure *failure)
{
    const char *file = option_value(invocation, 'f');
    char path[PATH_MAX];
    int files = 0;

    if (!file && invocation->argc > 0 &&
        (!strchr(invocation->argv[0], '=') || access(invocation->argv[0], F_OK) == 0)) {
        file = invocation->argv[0];
        files = 1;
    }
    if (file && access(file, F_OK) < 0 && definition_path(file, path, sizeof(path)))
        file = path;
    return config_read(file, invocation->argv + files, invocation->argc - files, failure);
}

/* Turn the connection into the console of the new domain, from its first character on. */
static int attach(const struct invocation *invocation, int fd, json_t *created)
{
    struct failure failure;
    json_t *reply = daemon_call(fd,
                                json_pack("{s:s, s:O, s:i}", "op", "console", "domain",
                                          json_object_get(created, "domid"), "replay", REPLAY_ALL),
                                "cannot attach to the new domain's console", &failure);
    int status;

    if (!reply)
        return report_failure(invocation, &failure);
    status = console_run(fd, json_string_value(json_object_get(reply, "name")));
    json_decref(reply);
    return status;
}

/* The stream of events, from before there is a domain on. Its descriptor, or -1 with *failure filled in. */
static int open_events(const char *what, struct failure *failure)
{
    int fd = daemon_open(what, failure);
    json_t *reply = fd < 0 ? NULL : daemon_call(fd, json_pack("{s:s}", "op", "events"), what, failure);

    if (!reply && fd >= 0) {
        close(fd);
        fd = -1;
    }
    json_decref(reply);
    return fd;
}

/* Wait until nothing is left of the domain. */
static int wait_for_end(const struct invocation *invocation, int events, const json_t *created)
{
    const json_t *uuid = json_object_get(created, "uuid");
    struct failure failure;
    bool gone = false;
    json_t *event;

    while (!gone && (event = control_receive(events)) != NULL) {
        gone = json_equal(json_object_get(event, "uuid"), uuid) &&
               !strcmp(json_string_value(json_object_get(event, "event")), "destroyed");
        json_decref(event);
    }
    if (gone)
        return STATUS_OK;
    failure_what(&failure, "cannot wait for the domain's end");
    failure_why(&failure, "the daemon has ended; the domain runs on");
    failure_remedy(&failure, "start the daemon, then: domus events -u destroyed %s",
                   json_string_value(json_object_get(created, "name")));
    return report_failure(invocation, &failure);
}

static void print_created(const struct invocation *invocation, const json_t *reply)
{
    if (invocation->json)
        report_json(json_incref((json_t *)reply));
    else if (!option_value(invocation, 'q'))
        printf("%s is domain %" JSON_INTEGER_FORMAT "\n", json_string_value(json_object_get(reply, "name")),
               json_integer_value(json_object_get(reply, "domid")));
}

int command_create(const struct invocation *invocation)
{
    struct failure failure;
    bool foreground = option_value(invocation, 'F') != NULL;
    json_t *config, *reply = NULL;
    int fd, events = -1, status;
    char what[128];

    if (invocation->argc == 0 && !option_value(invocation, 'f'))
        return usage_error(invocation->command, "no configuration is given");
    if (option_value(invocation, 'V'))
        return usage_error(invocation->command, "-V has nothing to show: guests have a console (-c) and no screen");
    config = read_config(invocation, &failure);
    if (!config)
        return report_failure(invocation, &failure);
    if (option_value(invocation, 'n'))
        return report_json(json_pack("{s:o}", "config", config));
    snprintf(what, sizeof(what), "cannot create domain %s", json_string_value(json_object_get(config, "name")));
    fd = daemon_open(what, &failure);
    if (fd >= 0 && foreground)
        events = open_events(what, &failure);
    if (fd >= 0 && (events >= 0 || !foreground))
        reply = daemon_call(fd,
                            json_pack("{s:s, s:O, s:b, s:b}", "op", "create", "config", config, "paused",
                                      option_value(invocation, 'p') != NULL, "progress",
                                      !option_value(invocation, 'q') && isatty(STDERR_FILENO)),
                            what, &failure);
    json_decref(config);
    if (reply) {
        print_created(invocation, reply);
        status = option_value(invocation, 'c') ? attach(invocation, fd, reply) : STATUS_OK;
        if (foreground && status == STATUS_OK)
            status = wait_for_end(invocation, events, reply);
    } else {
        status = report_failure(invocation, &failure);
    }
    json_decref(reply);
    if (events >= 0)
        close(events);
    if (fd >= 0)
        close(fd);
    return status;
}
