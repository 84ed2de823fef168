/* SPDX-License-Identifier: MIT */
/*
 * Commands on a guest that runs: uptime, sysrq, trigger, config-update, dump-core.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/config.h"

/* --- uptime ------------------------------------------------------------------------------------------------------ */

/* "3 days, 4:05:06" */
static void format_uptime(char *text, size_t size, json_int_t seconds)
{
    json_int_t days = seconds / 86400;
    int hours = seconds / 3600 % 24, minutes = seconds / 60 % 60;
    int length = days ? snprintf(text, size, "%lld day%s, ", (long long)days, days == 1 ? "" : "s") : 0;

    snprintf(text + length, size - length, "%2d:%02d:%02d", hours, minutes, (int)(seconds % 60));
}

static void print_uptime(const json_t *domain, bool brief)
{
    const char *name = json_string_value(json_object_get(domain, "name"));
    const json_t *seconds = json_object_get(domain, "uptime_s");
    char text[48] = "-";

    if (json_is_integer(seconds))
        format_uptime(text, sizeof(text), json_integer_value(seconds));
    if (brief)
        printf("%s up %s\n", name, text);
    else
        printf("%-32s %5lld %s\n", name, (long long)json_integer_value(json_object_get(domain, "domid")), text);
}

/* Whether the domain is among those that were named. */
static bool is_named(const struct invocation *invocation, const json_t *domain)
{
    const char *name = json_string_value(json_object_get(domain, "name"));
    char number[24];

    snprintf(number, sizeof(number), "%lld", (long long)json_integer_value(json_object_get(domain, "domid")));
    for (int i = 0; i < invocation->argc; i++)
        if (strcmp(invocation->argv[i], name) == 0 || strcmp(invocation->argv[i], number) == 0)
            return true;
    return invocation->argc == 0;
}

int command_uptime(const struct invocation *invocation)
{
    bool brief = option_value(invocation, 's') != NULL;
    struct failure failure;
    json_t *reply = daemon_request(json_pack("{s:s}", "op", "list"), "cannot tell uptimes", &failure);
    json_t *chosen = json_array(), *domain;
    size_t i;

    json_array_foreach(json_object_get(reply, "domains"), i, domain)
        if (json_is_integer(json_object_get(domain, "domid")) && is_named(invocation, domain))
            json_array_append(chosen, domain);
    if (reply && invocation->argc > (int)json_array_size(chosen)) {
        failure_what(&failure, "cannot tell all uptimes");
        failure_why(&failure, "not all of the domains that were named are there");
        failure_remedy(&failure, "see which there are: domus list");
    }
    json_decref(reply);
    if (!reply || invocation->argc > (int)json_array_size(chosen)) {
        json_decref(chosen);
        return report_failure(invocation, &failure);
    }
    if (invocation->json)
        return report_json(json_pack("{s:o}", "domains", chosen));
    if (!brief)
        printf("%-32s %5s %s\n", "Name", "ID", "Uptime");
    json_array_foreach(chosen, i, domain)
        print_uptime(domain, brief);
    json_decref(chosen);
    return STATUS_OK;
}

/* --- keys and triggers ------------------------------------------------------------------------------------------- */

int command_sysrq(const struct invocation *invocation)
{
    struct failure failure;

    if (strlen(invocation->argv[1]) != 1)
        return usage_error(invocation->command, "a SysRq key is one letter or digit, not `%s'", invocation->argv[1]);
    return report_reply(invocation,
                        daemon_request(json_pack("{s:s, s:s, s:s}", "op", "sysrq", "domain", invocation->argv[0], "key",
                                                 invocation->argv[1]),
                                       "cannot send the SysRq key", &failure),
                        &failure);
}

int command_trigger(const struct invocation *invocation)
{
    const char *vcpu = invocation->argc > 2 ? invocation->argv[2] : "0";
    struct failure failure;
    char *end;
    long number = strtol(vcpu, &end, 10);

    if (!*vcpu || *end || number < 0)
        return usage_error(invocation->command, "`%s' is not the number of a virtual CPU", vcpu);
    return report_reply(invocation,
                        daemon_request(json_pack("{s:s, s:s, s:s, s:I}", "op", "trigger", "domain", invocation->argv[0],
                                                 "trigger", invocation->argv[1], "vcpu", (json_int_t)number),
                                       "cannot send the trigger", &failure),
                        &failure);
}

/* --- configuration ----------------------------------------------------------------------------------------------- */

/* What the domain would be made of if it were made again now. A new reference. */
static json_t *current_config(const char *domain, const char *what, struct failure *failure)
{
    json_t *reply = daemon_request(json_pack("{s:s, s:s}", "op", "domain", "domain", domain), what, failure);
    json_t *object = json_object_get(reply, "domain"), *config = json_object_get(object, "next_config");

    config = json_incref(config ? config : json_object_get(object, "config"));
    json_decref(reply);
    if (reply && !config) {
        failure_what(failure, "%s", what);
        failure_why(failure, "another tool made and manages it");
        failure_remedy(failure, "use that tool");
    }
    return config;
}

int command_config_update(const struct invocation *invocation)
{
    const char *domain = invocation->argv[0], *file = option_value(invocation, 'f');
    char *const *settings = invocation->argv + 1;
    size_t count = invocation->argc - 1;
    json_t *config, *changes;
    struct failure failure;
    char what[256];

    snprintf(what, sizeof(what), "cannot change the configuration of domain %s", domain);
    if (!file && count > 0 && !strchr(settings[0], '=')) {
        file = *settings++;
        count--;
    }
    if (!file && count == 0)
        return usage_error(invocation->command, "give a file, or settings like memory=512");
    if (file) {
        config = config_read(file, settings, count, &failure);
    } else {
        config = current_config(domain, what, &failure);
        changes = config ? config_read_settings(settings, count, &failure) : NULL;
        if (changes) {
            json_object_update(config, changes);
            json_decref(changes);
        } else {
            json_decref(config);
            config = NULL;
        }
    }
    if (!config)
        return report_failure(invocation, &failure);
    return report_reply(invocation,
                        daemon_request(json_pack("{s:s, s:s, s:o}", "op", "config-update", "domain", domain, "config",
                                                 config),
                                       what, &failure),
                        &failure);
}

/* --- cores ------------------------------------------------------------------------------------------------------- */

int command_dump_core(const struct invocation *invocation)
{
    json_t *request = json_pack("{s:s, s:s}", "op", "dump-core", "domain", invocation->argv[0]);
    struct failure failure;
    char what[256];
    json_t *reply;

    if (invocation->argc > 1)
        json_object_set_new(request, "file", absolute_path(invocation->argv[1]));
    snprintf(what, sizeof(what), "cannot write the core of domain %s", invocation->argv[0]);
    reply = daemon_request(request, what, &failure);
    if (reply && !invocation->json)
        printf("%s: %lld MiB\n", json_string_value(json_object_get(reply, "file")),
               (long long)json_integer_value(json_object_get(reply, "size")) >> 20);
    return report_reply(invocation, reply, &failure);
}
