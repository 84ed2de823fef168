/* SPDX-License-Identifier: MIT */
/*
 * domus shutdown, reboot and stop-all, of some domains or of all. They are all asked before any is waited for, each on a
 * connection of its own; stop-all does so with those of one place in the order of starting after the other.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/cli.h"
#include "lib/control.h"

#define WAIT_DEFAULT 300

/* What is asked for, and of whom. */
struct asking {
    const char *op; /* "shutdown", "reboot" */
    long wait;      /* seconds; 0: do not */
    bool force;
    json_t *names;
};

struct asked {
    int fd; /* -1: could not be asked */
    struct failure failure;
};

static void fill_what(char *what, size_t size, const char *op, const char *name)
{
    snprintf(what, size, "cannot %s domain %s", strcmp(op, "shutdown") == 0 ? "shut down" : op, name);
}

static void ask(const struct asking *asking, const char *name, struct asked *asked)
{
    json_t *request = json_pack("{s:s, s:s, s:I, s:b}", "op", asking->op, "domain", name, "wait",
                                (json_int_t)asking->wait, "force", asking->force);
    char what[256];

    fill_what(what, sizeof(what), asking->op, name);
    asked->fd = daemon_open(what, &asked->failure);
    /* What goes wrong here shows when the reply is read. */
    if (asked->fd >= 0 && request)
        control_send(asked->fd, request);
    json_decref(request);
}

/* The answer of one: {"name": .., and what the daemon says or the error}. Fails if it says no. */
static json_t *answer(const struct asking *asking, const char *name, struct asked *asked, bool *failed)
{
    json_t *reply = NULL, *error;
    char what[256];

    fill_what(what, sizeof(what), asking->op, name);
    if (asked->fd >= 0) {
        reply = daemon_wait(asked->fd, what, &asked->failure);
        close(asked->fd);
    }
    if (!reply) {
        error = failure_to_reply(&asked->failure);
        *failed = true;
        reply = error;
    }
    json_object_set_new(reply, "name", json_string(name));
    return reply;
}

/* All that run and are the daemon's. NULL with *failure filled in. */
static json_t *running_domains(struct failure *failure)
{
    json_t *reply = daemon_request(json_pack("{s:s}", "op", "list"), "cannot list domains", failure);
    json_t *names, *domain;
    size_t i;

    if (!reply)
        return NULL;
    names = json_array();
    json_array_foreach(json_object_get(reply, "domains"), i, domain)
    {
        const char *state = json_string_value(json_object_get(domain, "state"));

        if (json_is_true(json_object_get(domain, "managed")) && json_is_integer(json_object_get(domain, "domid")) &&
            strcmp(state, "dying") != 0 && strcmp(state, "shutdown") != 0 && strcmp(state, "crashed") != 0)
            json_array_append(names, json_object_get(domain, "name"));
    }
    json_decref(reply);
    return names;
}

/* Ask all, then wait for all. An array of their answers. */
static json_t *ask_all(const struct asking *asking, bool *failed)
{
    size_t count = json_array_size(asking->names);
    struct asked *asked = calloc(count ? count : 1, sizeof(*asked));
    json_t *answers = json_array();

    *failed = !asked;
    for (size_t i = 0; asked && i < count; i++)
        ask(asking, json_string_value(json_array_get(asking->names, i)), &asked[i]);
    for (size_t i = 0; asked && i < count; i++)
        json_array_append_new(answers, answer(asking, json_string_value(json_array_get(asking->names, i)), &asked[i],
                                              failed));
    free(asked);
    return answers;
}

/* One domain was named: its answer alone. */
static int report_one(const struct invocation *invocation, json_t *answer)
{
    struct failure failure;

    json_object_del(answer, "name");
    if (json_is_true(json_object_get(answer, "ok")))
        return report_reply(invocation, json_incref(answer), NULL);
    failure_from_reply(&failure, answer);
    return report_failure(invocation, &failure);
}

static int report_all(const struct invocation *invocation, json_t *answers, bool failed)
{
    struct failure failure;
    json_t *answer;
    size_t i;

    if (invocation->json) {
        report_json(json_pack("{s:b, s:O}", "ok", !failed, "domains", answers));
        return failed ? STATUS_FAILED : STATUS_OK;
    }
    json_array_foreach(answers, i, answer)
    {
        if (json_is_true(json_object_get(answer, "ok")))
            continue;
        failure_from_reply(&failure, answer);
        report_failure(invocation, &failure);
    }
    return failed ? STATUS_FAILED : STATUS_OK;
}

static int run(const struct invocation *invocation, struct asking *asking)
{
    bool all = invocation->argc == 0, failed;
    struct failure failure;
    json_t *answers;
    int status;

    asking->names = all ? running_domains(&failure) : json_array();
    if (!asking->names)
        return report_failure(invocation, &failure);
    for (int i = 0; i < invocation->argc; i++)
        json_array_append_new(asking->names, json_string(invocation->argv[i]));
    if ((int)json_array_size(asking->names) < invocation->argc) {
        json_decref(asking->names);
        return usage_error(invocation->command, "a name is not text in UTF-8");
    }
    answers = ask_all(asking, &failed);
    if (!all && invocation->argc == 1)
        status = report_one(invocation, json_array_get(answers, 0));
    else
        status = report_all(invocation, answers, failed);
    json_decref(answers);
    json_decref(asking->names);
    return status;
}

int command_shutdown(const struct invocation *invocation)
{
    bool all = option_value(invocation, 'a') != NULL;
    struct asking asking = { .op = invocation->command->name, .force = option_value(invocation, 'F') != NULL };
    long seconds = WAIT_DEFAULT;

    if (option_number(invocation, 't', 1, 86400, &seconds))
        return STATUS_USAGE;
    if (all == (invocation->argc > 0))
        return usage_error(invocation->command, all ? "-a is for all: name none besides" : "name a domain, or give -a");
    if (asking.force || option_value(invocation, 'w') || option_value(invocation, 't'))
        asking.wait = seconds;
    return run(invocation, &asking);
}

/* --- all, before the host stops ---------------------------------------------------------------------------------- */

struct stopping {
    json_t *name;
    long order; /* of its start; LONG_MAX: after all that are started with the host */
};

static int compare_order(const void *one, const void *other)
{
    long a = ((const struct stopping *)one)->order, b = ((const struct stopping *)other)->order;

    return a < b ? 1 : a > b ? -1 : 0;
}

/* Where the next group begins: what has another place in the order. */
static size_t next_group(const struct stopping *list, size_t count, size_t first)
{
    size_t next = first;

    while (next < count && list[next].order == list[first].order)
        next++;
    return next;
}

static size_t count_groups(const struct stopping *list, size_t count, size_t first)
{
    size_t groups = 0;

    for (; first < count; first = next_group(list, count, first))
        groups++;
    return groups;
}

static long now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec;
}

/* Stop one group after the other within `seconds`, adding the answers to the array. False if one could not be. */
static bool stop_groups(const struct stopping *list, size_t count, long seconds, json_t *answers)
{
    long deadline = now() + seconds;
    bool good = true, failed;
    size_t first = 0, next;

    for (; first < count; first = next) {
        long left = deadline - now(), share = left / (long)count_groups(list, count, first);
        struct asking asking = { .op = "shutdown", .force = true, .wait = share > 1 ? share : 1 };
        json_t *group;

        next = next_group(list, count, first);
        asking.names = json_array();
        for (size_t i = first; i < next; i++)
            json_array_append(asking.names, list[i].name);
        group = ask_all(&asking, &failed);
        good = good && !failed;
        json_array_extend(answers, group);
        json_decref(group);
        json_decref(asking.names);
    }
    return good;
}

int command_stop_all(const struct invocation *invocation)
{
    long seconds = WAIT_DEFAULT;
    struct failure failure;
    struct stopping *list;
    json_t *names, *answers, *name;
    size_t i, count;
    bool failed;
    int status;

    if (option_number(invocation, 't', 1, 86400, &seconds))
        return STATUS_USAGE;
    names = running_domains(&failure);
    if (!names)
        return report_failure(invocation, &failure);
    count = json_array_size(names);
    list = calloc(count + 1, sizeof(*list));
    if (!list)
        abort();
    json_array_foreach(names, i, name)
    {
        long order = definition_order(json_string_value(name));

        list[i] = (struct stopping){ .name = name, .order = order < 0 ? LONG_MAX : order };
    }
    qsort(list, count, sizeof(*list), compare_order);
    answers = json_array();
    failed = !stop_groups(list, count, seconds, answers);
    status = report_all(invocation, answers, failed);
    json_decref(answers);
    json_decref(names);
    free(list);
    return status;
}
