/* SPDX-License-Identifier: MIT */
/*
 * Definitions: configurations that stay. /etc/domus/guests/NAME.cfg defines a guest; a link ORDER-NAME.cfg to it in
 * /etc/domus/auto has it started with the host, in the order of the links' names.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/config.h"

#define CONFIG_DIR "/etc/domus"
#define GUESTS_DIR CONFIG_DIR "/guests"
#define AUTO_DIR CONFIG_DIR "/auto"
#define SUFFIX ".cfg"
#define ORDER_DEFAULT 50

static int failed(struct failure *failure, const char *why, const char *remedy)
{
    failure_why(failure, "%s", why);
    failure_remedy(failure, "%s", remedy);
    return -1;
}

static int file_failed(struct failure *failure, const char *path)
{
    char why[PATH_MAX + 64];

    snprintf(why, sizeof(why), "%s: %s", path, strerror(errno));
    return failed(failure, why, errno == EACCES ? "run as root" : "look at that file");
}

static void guest_path(char *path, size_t size, const char *name)
{
    snprintf(path, size, GUESTS_DIR "/%s" SUFFIX, name);
}

bool definition_path(const char *name, char *path, size_t size)
{
    if (strchr(name, '/') || strlen(name) > 63)
        return false;
    guest_path(path, size, name);
    return access(path, F_OK) == 0;
}

/* --- links ------------------------------------------------------------------------------------------------------- */

static int is_config(const struct dirent *entry)
{
    size_t length = strlen(entry->d_name), suffix = strlen(SUFFIX);

    return entry->d_name[0] != '.' && length > suffix && strcmp(entry->d_name + length - suffix, SUFFIX) == 0;
}

/* Whether a link's name is ORDER-NAME.cfg. */
static bool is_link_of(const char *link, const char *name)
{
    const char *rest = link + strspn(link, "0123456789");

    return rest > link && rest[0] == '-' && strncmp(rest + 1, name, strlen(name)) == 0 &&
           strcmp(rest + 1 + strlen(name), SUFFIX) == 0;
}

/* Call `found` with the name of each file in `folder` that is a configuration, by name. Returns how many there are. */
static int each_config(const char *folder, void (*found)(void *context, const char *file), void *context)
{
    struct dirent **entries;
    int count = scandir(folder, &entries, is_config, alphasort);

    for (int i = 0; i < count; i++) {
        found(context, entries[i]->d_name);
        free(entries[i]);
    }
    if (count >= 0)
        free(entries);
    return count < 0 ? 0 : count;
}

struct link_search {
    const char *name;
    long order; /* of its link; -1: has none */
    bool remove;
};

static void note_link(void *context, const char *file)
{
    struct link_search *search = context;
    char path[PATH_MAX];

    if (!is_link_of(file, search->name))
        return;
    search->order = strtol(file, NULL, 10);
    snprintf(path, sizeof(path), AUTO_DIR "/%s", file);
    if (search->remove)
        unlink(path);
}

/* The place of a guest in the order of starting, or -1; with `remove`, it has none any more. */
static long link_order(const char *name, bool remove)
{
    struct link_search search = { .name = name, .order = -1, .remove = remove };

    each_config(AUTO_DIR, note_link, &search);
    return search.order;
}

long definition_order(const char *name)
{
    return link_order(name, false);
}

/* --- define, undefine -------------------------------------------------------------------------------------------- */

/* Replace `path` by `text` as a whole. */
static int write_file(const char *path, const char *text, size_t size, struct failure *failure)
{
    char fresh[PATH_MAX + 8];
    FILE *file;
    bool good;

    if ((mkdir(CONFIG_DIR, 0755) < 0 && errno != EEXIST) || (mkdir(GUESTS_DIR, 0755) < 0 && errno != EEXIST))
        return file_failed(failure, GUESTS_DIR);
    snprintf(fresh, sizeof(fresh), "%s.new", path);
    file = fopen(fresh, "we");
    if (!file)
        return file_failed(failure, fresh);
    good = fwrite(text, 1, size, file) == size && fflush(file) == 0 && fsync(fileno(file)) == 0;
    good = fclose(file) == 0 && good;
    if (!good || rename(fresh, path) < 0) {
        file_failed(failure, fresh);
        unlink(fresh);
        return -1;
    }
    return 0;
}

/*
 * A definition is read from wherever the reader stands, so that it must not matter where that is: refuse relative paths.
 */
static int check_no_relative_path(const char *file, char *const *settings, size_t count, const json_t *config,
                                  struct failure *failure)
{
    char whole[PATH_MAX];
    json_t *other;
    bool same;

    if (!realpath(file, whole) || chdir("/") < 0)
        return file_failed(failure, file);
    other = config_read(whole, settings, count, failure);
    same = other && json_equal(other, config);
    json_decref(other);
    return same ? 0 : failed(failure, "a path in it is relative", "write paths that begin with /");
}

static int command_define(const struct invocation *invocation)
{
    const char *file = invocation->argv[0], *name;
    char *const *settings = invocation->argv + 1;
    size_t count = invocation->argc - 1, size;
    char *text = NULL, path[PATH_MAX];
    struct failure failure;
    json_t *config = config_read(file, settings, count, &failure);
    int result;

    if (!config)
        return report_failure(invocation, &failure);
    name = json_string_value(json_object_get(config, "name"));
    guest_path(path, sizeof(path), name);
    failure_what(&failure, "cannot define %s", name);
    if (access(path, F_OK) == 0 && !option_value(invocation, 'r')) {
        result = failed(&failure, "it is defined already", "give -r to replace its definition");
    } else {
        result = config_text(file, settings, count, &text, &size, &failure);
        if (result == 0)
            result = check_no_relative_path(file, settings, count, config, &failure);
        if (result == 0)
            result = write_file(path, text, size, &failure);
    }
    if (result == 0 && !invocation->json)
        printf("%s is defined by %s\n", name, path);
    free(text);
    result = report_reply(invocation, result ? NULL : json_pack("{s:s, s:s}", "name", name, "file", path), &failure);
    json_decref(config);
    return result;
}

/* The definition of the guest that is named; false with the failure set. */
static bool find_definition(const char *verb, const char *name, char *path, size_t size, struct failure *failure)
{
    failure_what(failure, "cannot %s %s", verb, name);
    if (definition_path(name, path, size))
        return true;
    failed(failure, "it is not defined", "see which are: domus definitions; domus define FILE defines one");
    return false;
}

static int command_undefine(const struct invocation *invocation)
{
    const char *name = invocation->argv[0];
    struct failure failure;
    char path[PATH_MAX];

    if (!find_definition("undefine", name, path, sizeof(path), &failure))
        return report_failure(invocation, &failure);
    link_order(name, true);
    if (unlink(path) < 0) {
        file_failed(&failure, path);
        return report_failure(invocation, &failure);
    }
    return report_reply(invocation, json_pack("{s:s}", "name", name), NULL);
}

/* --- enable, disable --------------------------------------------------------------------------------------------- */

static int command_enable(const struct invocation *invocation)
{
    const char *name = invocation->argv[0];
    char path[PATH_MAX], link[PATH_MAX], target[PATH_MAX];
    long order = ORDER_DEFAULT;
    struct failure failure;

    if (option_number(invocation, 'o', 0, 999, &order))
        return STATUS_USAGE;
    if (!find_definition("enable", name, path, sizeof(path), &failure))
        return report_failure(invocation, &failure);
    snprintf(link, sizeof(link), AUTO_DIR "/%03ld-%s" SUFFIX, order, name);
    snprintf(target, sizeof(target), "../guests/%s" SUFFIX, name);
    link_order(name, true);
    if ((mkdir(AUTO_DIR, 0755) < 0 && errno != EEXIST) || symlink(target, link) < 0) {
        file_failed(&failure, link);
        return report_failure(invocation, &failure);
    }
    return report_reply(invocation, json_pack("{s:s, s:i}", "name", name, "order", (int)order), NULL);
}

static int command_disable(const struct invocation *invocation)
{
    const char *name = invocation->argv[0];
    struct failure failure;

    if (link_order(name, true) < 0) {
        failure_what(&failure, "cannot disable %s", name);
        failed(&failure, "it is not started with the host", "see which are: domus definitions");
        return report_failure(invocation, &failure);
    }
    return report_reply(invocation, json_pack("{s:s}", "name", name), NULL);
}

/* --- definitions ------------------------------------------------------------------------------------------------- */

/* The names of all domains, by the daemon; an empty list if it does not run. */
static json_t *domain_states(void)
{
    struct failure failure;
    json_t *reply = daemon_request(json_pack("{s:s}", "op", "list"), "", &failure), *states = json_object(), *domain;
    size_t i;

    json_array_foreach(json_object_get(reply, "domains"), i, domain)
        json_object_set(states, json_string_value(json_object_get(domain, "name")), json_object_get(domain, "state"));
    json_decref(reply);
    return states;
}

struct listing {
    json_t *definitions;
    json_t *states;
};

static void list_definition(void *context, const char *file)
{
    struct listing *listing = context;
    char name[NAME_MAX + 1];
    json_t *state;
    long order;

    snprintf(name, sizeof(name), "%.*s", (int)(strlen(file) - strlen(SUFFIX)), file);
    order = definition_order(name);
    state = json_object_get(listing->states, name);
    json_array_append_new(listing->definitions,
                          json_pack("{s:s, s:o, s:O?}", "name", name, "order",
                                    order < 0 ? json_null() : json_integer(order), "state", state));
}

static int command_definitions(const struct invocation *invocation)
{
    struct listing listing = { .definitions = json_array(), .states = domain_states() };
    json_t *definition;
    size_t i;

    each_config(GUESTS_DIR, list_definition, &listing);
    json_decref(listing.states);
    if (invocation->json)
        return report_json(json_pack("{s:o}", "definitions", listing.definitions));
    printf("%-32s %8s  %s\n", "Name", "At boot", "State");
    json_array_foreach(listing.definitions, i, definition)
    {
        const json_t *order = json_object_get(definition, "order");
        const char *state = json_string_value(json_object_get(definition, "state"));
        char number[24] = "-";

        if (json_is_integer(order))
            snprintf(number, sizeof(number), "%03d", (int)json_integer_value(order));
        printf("%-32s %8s  %s\n", json_string_value(json_object_get(definition, "name")), number, state ? state : "-");
    }
    json_decref(listing.definitions);
    return STATUS_OK;
}

/* --- start-all --------------------------------------------------------------------------------------------------- */

struct starting {
    const struct invocation *invocation;
    json_t *states;
    json_t *results;
    bool failed;
};

static void tell_result(struct starting *starting, const char *file, const struct failure *failure, json_t *result)
{
    json_object_set_new(result, "file", json_string(file));
    json_array_append_new(starting->results, result);
    if (failure) {
        starting->failed = true;
        if (!starting->invocation->json)
            report_failure(starting->invocation, failure);
    } else if (!starting->invocation->json) {
        printf("%s: %s\n", json_string_value(json_object_get(result, "name")),
               json_is_integer(json_object_get(result, "domid")) ? "started" : "runs already");
        fflush(stdout);
    }
}

static void start_one(void *context, const char *file)
{
    struct starting *starting = context;
    char path[PATH_MAX], what[PATH_MAX + 32];
    struct failure failure;
    json_t *config, *reply;
    const char *name;

    snprintf(path, sizeof(path), AUTO_DIR "/%s", file);
    config = config_read(path, NULL, 0, &failure);
    if (!config) {
        tell_result(starting, path, &failure, failure_to_reply(&failure));
        return;
    }
    name = json_string_value(json_object_get(config, "name"));
    if (json_object_get(starting->states, name)) {
        tell_result(starting, path, NULL, json_pack("{s:b, s:s}", "ok", 1, "name", name));
        json_decref(config);
        return;
    }
    snprintf(what, sizeof(what), "cannot create domain %s", name);
    reply = daemon_request(json_pack("{s:s, s:O}", "op", "create", "config", config), what, &failure);
    tell_result(starting, path, reply ? NULL : &failure, reply ? reply : failure_to_reply(&failure));
    json_decref(config);
}

static int command_start_all(const struct invocation *invocation)
{
    struct starting starting = { .invocation = invocation, .states = domain_states(), .results = json_array() };

    each_config(AUTO_DIR, start_one, &starting);
    json_decref(starting.states);
    if (invocation->json)
        report_json(json_pack("{s:b, s:O}", "ok", !starting.failed, "guests", starting.results));
    json_decref(starting.results);
    return starting.failed ? STATUS_FAILED : STATUS_OK;
}

/* --- table ------------------------------------------------------------------------------------------------------- */

const struct command definition_commands[] = {
    {
        "define", "[options] FILE [KEY=VALUE...]", "keep a configuration under the guest's name",
        "It is checked and copied to " GUESTS_DIR "/NAME.cfg, and `domus create NAME` makes the domain from then on.\n"
        "Each KEY=VALUE takes the place of what FILE says.\n",
        1, -1, command_define,
        {
            { 'r', "replace", NULL, "take the place of an earlier definition" },
        },
    },
    {
        "undefine", "GUEST", "remove a guest's definition",
        "GUEST is the name of a definition. A domain that runs is left alone.\n", 1, 1, command_undefine, {},
    },
    {
        "enable", "[options] GUEST", "have a guest started with the host",
        "GUEST is the name of a definition. A link to it is made in " AUTO_DIR ".\n", 1, 1, command_enable,
        {
            { 'o', "order", "NUMBER", "place in the order of starting, 0 to 999 (default 50)" },
        },
    },
    {
        "disable", "GUEST", "have a guest no longer started with the host", "GUEST is the name of a definition.\n",
        1, 1, command_disable, {},
    },
    {
        "definitions", "", "list what is defined, started with the host, and running", "", 0, 0, command_definitions,
        {},
    },
    {
        "start-all", "", "start all guests that are to be started with the host",
        "One after the other, by their order; those that run already are left alone. When one cannot be started the\n"
        "others are all the same, and the exit status is 1.\n",
        0, 0, command_start_all, {},
    },
    {
        "stop-all", "[options]", "shut all guests down before the host stops",
        "Those that are not started with the host first, then the others, in the reverse of the order of their start;\n"
        "those of the same place at the same time. What has not shut down in time is destroyed: each place in the order\n"
        "has its share of the time that is left.\n",
        0, 0, command_stop_all,
        {
            { 't', "timeout", "SECONDS", "how long all have together (default 300)" },
        },
    },
    { 0 },
};
