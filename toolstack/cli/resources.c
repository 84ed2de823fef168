/* SPDX-License-Identifier: MIT */
/*
 * Commands that give running domains more or less memory and virtual CPUs, and say where those run.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/resources.h"

json_t *call_daemon(const struct invocation *invocation, json_t *request, struct failure *failure)
{
    char what[300];

    snprintf(what, sizeof(what), "cannot run %s%s%s", invocation->command->name, invocation->argc ? " on " : "",
             invocation->argc ? invocation->argv[0] : "");
    return daemon_request(request, what, failure);
}

int run_request(const struct invocation *invocation, json_t *request)
{
    struct failure failure;
    json_t *reply = call_daemon(invocation, request, &failure);

    return report_reply(invocation, reply, &failure);
}

/* mem-set and mem-max. */
static int command_memory(const struct invocation *invocation)
{
    long long kib = parse_memory(invocation->argv[1]);

    if (kib < 1)
        return usage_error(invocation->command, "`%s' is no amount of memory; write 512m or 2g", invocation->argv[1]);
    return run_request(invocation, json_pack("{s:s, s:s, s:I}", "op", invocation->command->name, "domain",
                                             invocation->argv[0], "memory_kib", (json_int_t)kib));
}

static int command_vcpu_set(const struct invocation *invocation)
{
    long count;

    if (!parse_count(invocation->argv[1], 1, 4096, &count))
        return usage_error(invocation->command, "`%s' is no number of virtual CPUs", invocation->argv[1]);
    return run_request(invocation, json_pack("{s:s, s:s, s:I}", "op", "vcpu-set", "domain", invocation->argv[0],
                                             "vcpus", (json_int_t)count));
}

/* --- vcpu-list --------------------------------------------------------------------------------------------------- */

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text ? text : "-";
}

static void print_vcpu(const json_t *vcpu)
{
    const json_t *cpu = json_object_get(vcpu, "cpu");
    intmax_t tenths = json_integer_value(json_object_get(vcpu, "cpu_time_ns")) / 100000000;
    char number[16] = "-";

    if (cpu)
        snprintf(number, sizeof(number), "%d", (int)json_integer_value(cpu));
    printf("%-32s %5d %5d %5s  %-8s %7jd.%jd  %s / %s\n", text_of(vcpu, "name"),
           (int)json_integer_value(json_object_get(vcpu, "domid")),
           (int)json_integer_value(json_object_get(vcpu, "vcpu")), number, text_of(vcpu, "state"), tenths / 10,
           tenths % 10, text_of(vcpu, "hard"), text_of(vcpu, "soft"));
}

/* Those of one domain, or of all for NULL, added to `vcpus`. */
static int add_vcpus(const struct invocation *invocation, const char *domain, json_t *vcpus, struct failure *failure)
{
    json_t *reply = call_daemon(invocation, json_pack("{s:s, s:s*}", "op", "vcpus", "domain", domain), failure);

    if (!reply)
        return -1;
    json_array_extend(vcpus, json_object_get(reply, "vcpus"));
    json_decref(reply);
    return 0;
}

static int command_vcpu_list(const struct invocation *invocation)
{
    json_t *vcpus = json_array(), *vcpu;
    struct failure failure;
    int failed = 0;
    size_t i;

    for (int n = 0; n < invocation->argc && !failed; n++)
        failed = add_vcpus(invocation, invocation->argv[n], vcpus, &failure);
    if (invocation->argc == 0)
        failed = add_vcpus(invocation, NULL, vcpus, &failure);
    if (failed) {
        json_decref(vcpus);
        return report_failure(invocation, &failure);
    }
    if (invocation->json)
        return report_json(json_pack("{s:o}", "vcpus", vcpus));
    printf("%-32s %5s %5s %5s  %-8s %9s  %s\n", "Name", "ID", "VCPU", "CPU", "State", "Time(s)",
           "Affinity (Hard / Soft)");
    json_array_foreach(vcpus, i, vcpu)
        print_vcpu(vcpu);
    json_decref(vcpus);
    return STATUS_OK;
}

static int command_vcpu_pin(const struct invocation *invocation)
{
    const char *soft = invocation->argc > 3 ? invocation->argv[3] : "-";
    json_t *request;
    long vcpu = 0;

    if (strcmp(invocation->argv[1], "all") != 0 && !parse_count(invocation->argv[1], 0, 4095, &vcpu))
        return usage_error(invocation->command, "`%s' is neither a virtual CPU's number nor all", invocation->argv[1]);
    request = json_pack("{s:s, s:s, s:b}", "op", "vcpu-pin", "domain", invocation->argv[0], "force",
                        option_value(invocation, 'f') != NULL);
    json_object_set_new(request, "vcpu", strcmp(invocation->argv[1], "all") ? json_integer(vcpu) : json_string("all"));
    if (strcmp(invocation->argv[2], "-") != 0)
        json_object_set_new(request, "hard", json_string(invocation->argv[2]));
    if (strcmp(soft, "-") != 0)
        json_object_set_new(request, "soft", json_string(soft));
    return run_request(invocation, request);
}

/* --- scheduling -------------------------------------------------------------------------------------------------- */

static int number_of(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

static void print_pool_schedule(const json_t *pool)
{
    printf("Cpupool %s: tslice=%dms ratelimit=%dus migration-delay=%dus\n", text_of(pool, "name"),
           number_of(pool, "tslice_ms"), number_of(pool, "ratelimit_us"), number_of(pool, "migration_delay_us"));
}

static void print_scheduling(const json_t *domains, const json_t *pool)
{
    const json_t *domain;
    size_t i;

    printf("%-32s %5s %6s %6s\n", "Name", "ID", "Weight", "Cap");
    json_array_foreach((json_t *)domains, i, domain)
    {
        if (!pool || number_of(domain, "pool_id") == number_of(pool, "id"))
            printf("%-32s %5d %6d %6d\n", text_of(domain, "name"), number_of(domain, "domid"),
                   number_of(domain, "weight"), number_of(domain, "cap"));
    }
}

/* Put the number that option `letter` gives into `request`. False if it is none. */
static bool put_option(const struct invocation *invocation, char letter, const char *key, json_t *request)
{
    const char *text = option_value(invocation, letter);
    long value;

    if (!text)
        return true;
    if (!parse_count(text + (*text == '='), 0, INT32_MAX, &value))
        return false;
    json_object_set_new(request, key, json_integer(value));
    return true;
}

/* -s: the parameters of pools, all or one. */
static int schedule_pools(const struct invocation *invocation)
{
    const char *name = option_value(invocation, 'p');
    json_t *request = json_pack("{s:s, s:s}", "op", "sched-pool", "pool", name ? name : "Pool-0"), *reply, *pool;
    struct failure failure;
    size_t i;

    if (!put_option(invocation, 't', "tslice_ms", request) || !put_option(invocation, 'r', "ratelimit_us", request) ||
        !put_option(invocation, 'm', "migration_delay_us", request)) {
        json_decref(request);
        return usage_error(invocation->command, "-t, -r and -m want numbers");
    }
    if (json_object_size(request) > 2)
        return run_request(invocation, request);
    json_decref(request);
    reply = call_daemon(invocation, json_pack("{s:s}", "op", "pools"), &failure);
    if (!reply || invocation->json)
        return report_reply(invocation, reply, &failure);
    json_array_foreach(json_object_get(reply, "pools"), i, pool)
    {
        if (!name || strcmp(name, text_of(pool, "name")) == 0)
            print_pool_schedule(pool);
    }
    json_decref(reply);
    return STATUS_OK;
}

static int print_all_scheduling(const struct invocation *invocation, json_t *reply)
{
    const char *name = option_value(invocation, 'p');
    struct failure failure;
    json_t *pools = call_daemon(invocation, json_pack("{s:s}", "op", "pools"), &failure), *pool;
    size_t i;

    if (!pools) {
        json_decref(reply);
        return report_failure(invocation, &failure);
    }
    json_array_foreach(json_object_get(pools, "pools"), i, pool)
    {
        if (name && strcmp(name, text_of(pool, "name")) != 0)
            continue;
        print_pool_schedule(pool);
        print_scheduling(json_object_get(reply, "domains"), pool);
    }
    json_decref(pools);
    json_decref(reply);
    return STATUS_OK;
}

static int command_sched(const struct invocation *invocation)
{
    const char *domain = option_value(invocation, 'd');
    json_t *request, *reply;
    struct failure failure;

    if (option_value(invocation, 's') || option_value(invocation, 't') || option_value(invocation, 'r') ||
        option_value(invocation, 'm')) {
        if (domain || option_value(invocation, 'w') || option_value(invocation, 'c'))
            return usage_error(invocation->command, "-d, -w and -c are about a domain; -s, -t, -r and -m about a pool");
        return schedule_pools(invocation);
    }
    request = json_pack("{s:s, s:s*}", "op", "sched", "domain", domain);
    if (!put_option(invocation, 'w', "weight", request) || !put_option(invocation, 'c', "cap", request)) {
        json_decref(request);
        return usage_error(invocation->command, "-w and -c want numbers");
    }
    if (!domain && json_object_size(request) > 1) {
        json_decref(request);
        return usage_error(invocation->command, "-w and -c want a domain, -d");
    }
    reply = call_daemon(invocation, request, &failure);
    if (!reply || invocation->json || option_value(invocation, 'w') || option_value(invocation, 'c'))
        return report_reply(invocation, reply, &failure);
    if (!domain)
        return print_all_scheduling(invocation, reply);
    print_scheduling(json_object_get(reply, "domains"), NULL);
    json_decref(reply);
    return STATUS_OK;
}

#define CPUS_HELP "CPUS is a list like 0-3,^2; nodes:0 is a whole NUMA node; all is every CPU.\n"

const struct command resource_commands[] = {
    {
        "mem-set", "DOMAIN SIZE", "give a running domain more or less memory",
        "SIZE is in MiB, or in what its last letter says: k, m, g, t. The guest's balloon driver reaches it in its own\n"
        "time. A domain cannot have more than its maximum (mem-max), dom0 not less than it uses.\n",
        2, 2, command_memory, {},
    },
    {
        "mem-max", "DOMAIN SIZE", "set the most memory that a domain may be given",
        "SIZE is in MiB, or in what its last letter says: k, m, g, t.\n", 2, 2, command_memory, {},
    },
    {
        "vcpu-set", "[options] DOMAIN COUNT", "set how many virtual CPUs of a domain are online",
        "At most as many as it was made for (maxvcpus). The guest does it in its own time.\n", 2, 2, command_vcpu_set,
        {
            { 'i', "ignore-host", NULL, "accepted for xl's sake: there may always be more than the host has CPUs" },
        },
    },
    {
        "vcpu-list", "[DOMAIN...]", "list virtual CPUs, where they run and where they may run",
        "Without DOMAIN, those of all domains.\n", 0, -1, command_vcpu_list, {},
    },
    {
        "vcpu-pin", "[options] DOMAIN VCPU CPUS [SOFT-CPUS]", "say on which CPUs a virtual CPU may run",
        "VCPU is a number or all. It runs on CPUS only, and prefers SOFT-CPUS; - leaves one as it is.\n" CPUS_HELP,
        3, 4, command_vcpu_pin,
        {
            { 'f', "force", NULL, "undo a pinning by the guest itself" },
        },
    },
    {
        "sched", "[options]", "show or set how domains share the CPUs",
        "A domain with twice the weight of another gets twice its share where CPUs are short; a cap is the most that it\n"
        "gets, in percent of one CPU, 0 for none.\n", 0, 0, command_sched,
        {
            { 'd', "domain", "DOMAIN", "show or set this domain" },
            { 'w', "weight", "WEIGHT", "set its weight, 1 to 65535 (256 at first)" },
            { 'c', "cap", "CAP", "set its cap" },
            { 's', "schedparam", NULL, "show or set parameters of CPU pools" },
            { 'p', "cpupool", "POOL", "of this pool (default: show all, set Pool-0)" },
            { 't', "tslice", "MS", "set its time slice, 1 to 1000 ms" },
            { 'r', "ratelimit", "US", "set the least time that a virtual CPU runs, in microseconds" },
            { 'm', "migration-delay", "US", "set how long a virtual CPU stays where its cache is warm" },
            { 't', "tslice_ms", "MS", NULL },
            { 'r', "ratelimit_us", "US", NULL },
            { 'm', "migration_delay_us", "US", NULL },
        },
    },
    {
        "top", "[options]", "show what domains use: CPU, memory, network, disks",
        "On a terminal, keys sort: c CPU, m memory, n network sent, r and w disk requests, N name; < and > choose any\n"
        "column, / turns the order around, q ends. Elsewhere each state is printed.\n", 0, 0, command_top,
        {
            { 'b', "batch", NULL, "print, even to a terminal" },
            { 'i', "iterations", "COUNT", "end after this many" },
            { 'd', "delay", "SECONDS", "renew it so often (default 3)" },
            { 's', "sort", "COLUMN", "name, state, time, cpu, memory, maxmem, vcpus, sent, received, reads, writes ..." },
            { 'r', "reverse", NULL, "the other way around" },
        },
    },
    { 0 },
};
