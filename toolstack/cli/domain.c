/* SPDX-License-Identifier: MIT */
/*
 * Commands on one domain that are a single request to the daemon.
 */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"

/* {"op": command, "domain": first argument} */
static json_t *domain_request(const char *op, const char *domain)
{
    return json_pack("{s:s, s:s}", "op", op, "domain", domain);
}

static json_t *send(const struct invocation *invocation, json_t *request, struct failure *failure)
{
    char what[256];

    snprintf(what, sizeof(what), "cannot %s domain %s", invocation->command->name, invocation->argv[0]);
    return daemon_request(request, what, failure);
}

int command_simple(const struct invocation *invocation)
{
    struct failure failure;
    json_t *reply = send(invocation, domain_request(invocation->command->name, invocation->argv[0]), &failure);

    return report_reply(invocation, reply, &failure);
}

int command_rename(const struct invocation *invocation)
{
    json_t *request = domain_request("rename", invocation->argv[0]);
    struct failure failure;

    json_object_set_new(request, "name", json_string(invocation->argv[1]));
    return report_reply(invocation, send(invocation, request, &failure), &failure);
}

/* Ask for one domain. NULL with *failure filled in; otherwise the domain object, to be released. */
static json_t *find_domain(const struct invocation *invocation, struct failure *failure)
{
    char what[256];
    json_t *reply, *domain;

    snprintf(what, sizeof(what), "cannot find domain %s", invocation->argv[0]);
    reply = daemon_request(domain_request("domain", invocation->argv[0]), what, failure);
    domain = json_incref(json_object_get(reply, "domain"));
    json_decref(reply);
    return domain;
}

int command_domid(const struct invocation *invocation)
{
    struct failure failure;
    json_t *domain = find_domain(invocation, &failure);
    json_t *domid = json_object_get(domain, "domid");

    if (!domain)
        return report_failure(invocation, &failure);
    if (invocation->json)
        report_json(json_pack("{s:O}", "domid", domid));
    else if (json_is_integer(domid))
        printf("%" JSON_INTEGER_FORMAT "\n", json_integer_value(domid));
    else
        printf("none yet\n");
    json_decref(domain);
    return STATUS_OK;
}

int command_domname(const struct invocation *invocation)
{
    const char *digits = invocation->argv[0];
    struct failure failure;
    json_t *domain;

    if (digits[strspn(digits, "0123456789")] != '\0' || *digits == '\0')
        return usage_error(invocation->command, "`%s' is not a domain's number", digits);
    domain = find_domain(invocation, &failure);
    if (!domain)
        return report_failure(invocation, &failure);
    if (invocation->json)
        report_json(json_pack("{s:O}", "name", json_object_get(domain, "name")));
    else
        printf("%s\n", json_string_value(json_object_get(domain, "name")));
    json_decref(domain);
    return STATUS_OK;
}
