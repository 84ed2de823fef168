/* SPDX-License-Identifier: MIT */
/*
 * Commands about CPU pools.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libxlutil.h>

#include "cli/cli.h"
#include "cli/resources.h"

#define CONFIG_SIZE_MAX 65536

/* --- cpupool-create ---------------------------------------------------------------------------------------------- */

/* The file, if the first argument is one, and then each NAME=VALUE as a line. To be freed; NULL: errno. */
static char *gather_text(const struct invocation *invocation, size_t *size)
{
    bool has_file = invocation->argc > 0 && !strchr(invocation->argv[0], '=');
    char *text = NULL, piece[4096];
    FILE *out = open_memstream(&text, size), *file;
    size_t got, total = 0;

    if (!out)
        return NULL;
    file = has_file ? fopen(invocation->argv[0], "re") : NULL;
    if (has_file && !file) {
        int saved = errno;

        fclose(out);
        free(text);
        errno = saved;
        return NULL;
    }
    while (file && (got = fread(piece, 1, sizeof(piece), file)) > 0 && (total += got) <= CONFIG_SIZE_MAX)
        fwrite(piece, 1, got, out);
    if (file)
        fclose(file);
    fputc('\n', out);
    for (int i = has_file; i < invocation->argc; i++) {
        const char *value = strchr(invocation->argv[i], '=');

        /* What is neither string nor list nor number is a string without its quotation marks. */
        if (value && !strchr("'\"[", value[1]) && value[1 + strspn(value + 1, "0123456789")])
            fprintf(out, "%.*s=\"%s\"\n", (int)(value - invocation->argv[i]), invocation->argv[i], value + 1);
        else
            fprintf(out, "%s\n", invocation->argv[i]);
    }
    fclose(out);
    return text;
}

/* cpus= as a string or a list of strings or numbers, in one string. */
static json_t *read_cpus(XLU_Config *config)
{
    const char *text;
    XLU_ConfigList *list;
    char joined[512] = "";
    int count;

    if (xlu_cfg_get_string(config, "cpus", &text, 1) == 0)
        return json_string(text);
    if (xlu_cfg_get_string(config, "nodes", &text, 1) == 0)
        return json_sprintf("nodes:%s", text);
    if (xlu_cfg_get_list(config, "cpus", &list, &count, 1))
        return NULL;
    for (int i = 0; i < count; i++) {
        size_t length = strlen(joined);

        text = xlu_cfg_get_listitem(list, i);
        snprintf(joined + length, sizeof(joined) - length, "%s%s", i ? "," : "", text ? text : "?");
    }
    return json_string(joined);
}

/* The request that the configuration asks for, or NULL with *failure set. */
static json_t *read_pool(const struct invocation *invocation, struct failure *failure)
{
    size_t size = 0;
    char *text = gather_text(invocation, &size);
    XLU_Config *config = xlu_cfg_init(stderr, "CPU pool");
    const char *name = NULL, *scheduler = "credit";
    json_t *request = NULL, *cpus;

    failure_what(failure, "cannot create a CPU pool");
    failure_remedy(failure, "give name=\"...\" and cpus=\"0-1\", in a file or as arguments");
    if (!text) {
        failure_why(failure, "%s: %s", invocation->argv[0], strerror(errno));
    } else if (!config || xlu_cfg_readdata(config, text, size)) {
        failure_why(failure, "the configuration is not understood");
    } else if (xlu_cfg_get_string(config, "name", &name, 1)) {
        failure_why(failure, "it has no name");
    } else if (xlu_cfg_get_string(config, "sched", &scheduler, 1) == 0 && strncmp(scheduler, "credit", 7) != 0) {
        failure_why(failure, "there is no scheduler %s", scheduler);
        failure_remedy(failure, "leave sched out: all pools have the host's, credit");
    } else {
        cpus = read_cpus(config);
        request = json_pack("{s:s, s:s}", "op", "pool-create", "name", name);
        if (cpus)
            json_object_set_new(request, "cpus", cpus);
    }
    if (config)
        xlu_cfg_destroy(config);
    free(text);
    return request;
}

static int command_create_pool(const struct invocation *invocation)
{
    struct failure failure;
    json_t *request, *reply;

    if (invocation->argc == 0)
        return usage_error(invocation->command, "no configuration is given");
    request = read_pool(invocation, &failure);
    if (!request)
        return report_failure(invocation, &failure);
    if (option_value(invocation, 'n'))
        return report_json(request);
    reply = call_daemon(invocation, request, &failure);
    return report_reply(invocation, reply, &failure);
}

/* --- cpupool-list ------------------------------------------------------------------------------------------------ */

static void print_pool(const json_t *pool, bool with_cpus)
{
    const char *cpus = json_string_value(json_object_get(pool, "cpus"));

    if (with_cpus)
        printf("%-19s %s\n", json_string_value(json_object_get(pool, "name")), cpus);
    else
        printf("%-19s %4zu %9s        y      %6d\n", json_string_value(json_object_get(pool, "name")),
               json_array_size(json_object_get(pool, "cpu_list")),
               json_string_value(json_object_get(pool, "scheduler")),
               (int)json_integer_value(json_object_get(pool, "domains")));
}

static int command_list_pools(const struct invocation *invocation)
{
    const char *wanted = invocation->argc ? invocation->argv[0] : NULL;
    bool with_cpus = option_value(invocation, 'c');
    struct failure failure;
    json_t *reply = call_daemon(invocation, json_pack("{s:s}", "op", "pools"), &failure), *pools, *pool;
    size_t i = 0;

    if (!reply)
        return report_failure(invocation, &failure);
    pools = json_object_get(reply, "pools");
    while (wanted && i < json_array_size(pools)) {
        const char *name = json_string_value(json_object_get(json_array_get(pools, i), "name"));

        if (name && strcmp(name, wanted) == 0)
            i++;
        else
            json_array_remove(pools, i);
    }
    if (wanted && json_array_size(pools) == 0) {
        json_decref(reply);
        failure_what(&failure, "cannot list CPU pool %.200s", wanted);
        failure_why(&failure, "there is none of that name");
        failure_remedy(&failure, "see which there are: domus cpupool-list");
        return report_failure(invocation, &failure);
    }
    if (invocation->json)
        return report_json(reply);
    printf(with_cpus ? "%-19s CPU list\n" : "%-19s CPUs     Sched   Active   Domain count\n", "Name");
    json_array_foreach(pools, i, pool)
        print_pool(pool, with_cpus);
    json_decref(reply);
    return STATUS_OK;
}

/* --- one request each -------------------------------------------------------------------------------------------- */

static int command_destroy_pool(const struct invocation *invocation)
{
    return run_request(invocation, json_pack("{s:s, s:s}", "op", "pool-destroy", "pool", invocation->argv[0]));
}

static int command_rename_pool(const struct invocation *invocation)
{
    return run_request(invocation, json_pack("{s:s, s:s, s:s}", "op", "pool-rename", "pool", invocation->argv[0],
                                             "name", invocation->argv[1]));
}

/* cpupool-cpu-add and cpupool-cpu-remove. */
static int command_pool_cpus(const struct invocation *invocation)
{
    return run_request(invocation, json_pack("{s:s, s:s, s:s}", "op", invocation->command->name + strlen("cpu"),
                                             "pool", invocation->argv[0], "cpus", invocation->argv[1]));
}

static int command_migrate(const struct invocation *invocation)
{
    return run_request(invocation, json_pack("{s:s, s:s, s:s}", "op", "pool-migrate", "domain", invocation->argv[0],
                                             "pool", invocation->argv[1]));
}

static int command_numa_split(const struct invocation *invocation)
{
    return run_request(invocation, json_pack("{s:s}", "op", "pool-numa-split"));
}

#define CPUS_HELP "CPUS is a list like 0-3,^2; nodes:0 is a whole NUMA node.\n"

const struct command pool_commands[] = {
    {
        "cpupool-create", "[options] [FILE] [KEY=VALUE...]", "make a CPU pool",
        "Keys: name; cpus, a list like 0-3,^2 of CPUs that are in no pool (default: one of them), or nodes; sched, credit.\n",
        0, -1, command_create_pool,
        {
            { 'n', "dryrun", NULL, "print what would be asked for; make nothing" },
        },
    },
    {
        "cpupool-list", "[options] [POOL]", "list CPU pools", "", 0, 1, command_list_pools,
        {
            { 'c', "cpus", NULL, "show which CPUs each has" },
        },
    },
    { "cpupool-destroy", "POOL", "end a CPU pool that has no domains; its CPUs are in no pool then", "", 1, 1,
      command_destroy_pool, {} },
    { "cpupool-rename", "POOL NAME", "give a CPU pool another name", "", 2, 2, command_rename_pool, {} },
    { "cpupool-cpu-add", "POOL CPUS", "give CPUs that are in no pool to one", CPUS_HELP, 2, 2, command_pool_cpus, {} },
    { "cpupool-cpu-remove", "POOL CPUS", "take CPUs out of a pool", CPUS_HELP, 2, 2, command_pool_cpus, {} },
    { "cpupool-migrate", "DOMAIN POOL", "move a domain to another CPU pool", "", 2, 2, command_migrate, {} },
    { "cpupool-numa-split", "", "make one CPU pool of each NUMA node's CPUs", "", 0, 0, command_numa_split, {} },
    { 0 },
};
