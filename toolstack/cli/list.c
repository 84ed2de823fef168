/* SPDX-License-Identifier: MIT */
/*
 * domus list: one request to the daemon, and with --long one more a domain.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"

static const char what[] = "cannot list domains";

/* Add to `domains` what the daemon says of one domain, named or numbered by `key`. Takes that reference. */
static int add_domain(int fd, json_t *domains, json_t *key, struct failure *failure)
{
    json_t *reply = daemon_call(fd, json_pack("{s:s, s:o}", "op", "domain", "domain", key), what, failure);

    if (!reply)
        return -1;
    json_array_append(domains, json_object_get(reply, "domain"));
    json_decref(reply);
    return 0;
}

/* All domains, short. A new reference, or NULL. */
static json_t *all_domains(int fd, struct failure *failure)
{
    json_t *reply = daemon_call(fd, json_pack("{s:s}", "op", "list"), what, failure);
    json_t *domains = json_incref(json_object_get(reply, "domains"));

    json_decref(reply);
    return domains;
}

/* The domains that were asked for. A new reference, or NULL with *failure filled in. */
static json_t *collect(const struct invocation *invocation, int fd, struct failure *failure)
{
    json_t *all = NULL, *domains, *domain;
    size_t i;
    int failed = 0;

    if (invocation->argc == 0) {
        all = all_domains(fd, failure);
        if (!all || !option_value(invocation, 'l'))
            return all;
    }
    domains = json_array();
    json_array_foreach(all, i, domain)
    {
        json_t *domid = json_object_get(domain, "domid");

        if (failed)
            break;
        if (json_is_null(domid))
            json_array_append(domains, domain);
        else
            failed = add_domain(fd, domains, json_incref(domid), failure);
    }
    for (int j = 0; j < invocation->argc && !failed; j++)
        failed = add_domain(fd, domains, json_string(invocation->argv[j]), failure);
    json_decref(all);
    if (failed) {
        json_decref(domains);
        return NULL;
    }
    return domains;
}

static intmax_t number(const json_t *domain, const char *key)
{
    return json_integer_value(json_object_get(domain, key));
}

static const char *text(const json_t *domain, const char *key)
{
    const char *value = json_string_value(json_object_get(domain, key));

    return value ? value : "-";
}

/* The six letters that xl prints for a state. */
static const char *xl_flags(const char *state)
{
    static const char *const flags[][2] = {
        { "running", "r-----" }, { "blocked", "-b----" }, { "paused", "--p---" },
        { "shutdown", "---s--" }, { "crashed", "----c-" }, { "dying", "-----d" },
    };

    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
        if (strcmp(state, flags[i][0]) == 0)
            return flags[i][1];
    return "------";
}

/* A table that scripts made for xl can read. */
static void print_xl_table(const json_t *domains)
{
    size_t i;
    json_t *domain;

    printf("%-40s %5s %5s %5s\t%s\t%s\n", "Name", "ID", "Mem", "VCPUs", "State", "Time(s)");
    json_array_foreach(domains, i, domain)
    {
        if (json_is_integer(json_object_get(domain, "domid")))
            printf("%-40s %5jd %5jd %5jd     %s  %8.1f\n", text(domain, "name"), number(domain, "domid"),
                   number(domain, "memory_kib") / 1024, number(domain, "vcpus"), xl_flags(text(domain, "state")),
                   number(domain, "cpu_time_ns") / 1e9);
    }
}

static void print_table(const json_t *domains, bool verbose)
{
    size_t i;
    json_t *domain;

    printf("%-32s %5s %7s %5s  %-10s %9s%s\n", "Name", "ID", "Mem", "VCPUs", "State", "Time(s)",
           verbose ? "  UUID                                  Reason" : "");
    json_array_foreach(domains, i, domain)
    {
        char id[24] = "-";
        intmax_t tenths = number(domain, "cpu_time_ns") / 100000000;

        if (json_is_integer(json_object_get(domain, "domid")))
            snprintf(id, sizeof(id), "%jd", number(domain, "domid"));
        printf("%-32s %5s %7jd %5jd  %-10s %7jd.%jd", text(domain, "name"), id, number(domain, "memory_kib") / 1024,
               number(domain, "vcpus"), text(domain, "state"), tenths / 10, tenths % 10);
        if (verbose)
            printf("  %-36s  %s", text(domain, "uuid"), text(domain, "shutdown_reason"));
        putchar('\n');
    }
}

/* Everything that the daemon says, one fact a line. */
static void print_long(const json_t *domains)
{
    size_t i;
    json_t *domain, *value;
    const char *key;

    json_array_foreach(domains, i, domain)
    {
        if (i > 0)
            putchar('\n');
        json_object_foreach(domain, key, value)
        {
            printf("%-16s: ", key);
            if (json_is_string(value))
                printf("%s\n", json_string_value(value));
            else {
                json_dumpf(value, stdout, JSON_COMPACT | JSON_ENCODE_ANY);
                putchar('\n');
            }
        }
    }
}

int command_list(const struct invocation *invocation)
{
    struct failure failure;
    int fd = daemon_open(what, &failure);
    json_t *domains = fd < 0 ? NULL : collect(invocation, fd, &failure);

    if (fd >= 0)
        close(fd);
    if (!domains)
        return report_failure(invocation, &failure);
    if (invocation->json)
        return report_json(json_pack("{s:o}", "domains", domains));
    if (option_value(invocation, 'l') && invocation->as_xl)
        json_dumpf(domains, stdout, JSON_INDENT(4));
    else if (option_value(invocation, 'l'))
        print_long(domains);
    else if (invocation->as_xl)
        print_xl_table(domains);
    else
        print_table(domains, option_value(invocation, 'v') != NULL);
    json_decref(domains);
    return STATUS_OK;
}
