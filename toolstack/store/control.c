/* SPDX-License-Identifier: MIT */
/*
 * XS_CONTROL: what xenstore-control asks of the daemon itself.
 */
#include "internal.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/alloc.h"
#include "lib/log.h"

#define ARGUMENTS_MAX 4

struct control {
    struct request *request;
    const char *arguments[ARGUMENTS_MAX];
    int count; /* the command's name not included */
};

static int answer(const struct control *control, struct bytes *text)
{
    bytes_append(text, "", 1);
    reply(control->request, bytes_front(text), bytes_length(text));
    bytes_clear(text);
    return 0;
}

static void add(struct bytes *text, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void add(struct bytes *text, const char *format, ...)
{
    char line[512];
    va_list args;
    int length;

    va_start(args, format);
    length = vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    bytes_append(text, line, length < (int)sizeof(line) ? length : (int)sizeof(line) - 1);
}

/* --- check -------------------------------------------------------------------------------------------------------- */

/* Whether what is counted along is what there is. */
static int do_check(const struct control *control)
{
    struct store *store = control->request->store;
    struct usage *usage = usage_count(store);
    struct bytes text = { 0 };

    for (uint32_t domid = 0; domid < DOMAINS; domid++) {
        if (memcmp(&usage[domid], &store->usage[domid], sizeof(*usage))) {
            log_error("store: domain %u owns %lld nodes of %lld bytes, and %lld and %lld were counted", domid,
                      (long long)usage[domid].nodes, (long long)usage[domid].bytes,
                      (long long)store->usage[domid].nodes, (long long)store->usage[domid].bytes);
            add(&text, "%s%u", bytes_length(&text) ? ", " : "wrongly counted, and set right: domains ", domid);
        }
    }
    free(store->usage);
    store->usage = usage;
    return bytes_length(&text) ? answer(control, &text) : reply_ok(control->request);
}

/* --- log, print ---------------------------------------------------------------------------------------------------- */

void trace_request(const struct request *request, int rc)
{
    struct store *store = request->store;
    struct bytes text = { 0 };

    add(&text, "%s %u type %u tx %u ", store_conn_is_socket(request->conn) ? "client of domain" : "domain",
        request->conn->domid, request->header->type, request->header->tx_id);
    for (size_t i = 0; i < request->length; i++) {
        unsigned char byte = request->payload[i];

        if (byte)
            add(&text, byte < ' ' || byte > '~' ? "\\x%02x" : "%c", byte);
        else if (i + 1 < request->length)
            add(&text, " ");
    }
    add(&text, ": %s\n", rc ? strerror(-rc) : "OK");
    store->ops->report(store->context, store->trace_file, (const char *)bytes_front(&text), bytes_length(&text));
    bytes_clear(&text);
}

static int do_log(const struct control *control)
{
    if (control->count != 1 || (strcmp(control->arguments[0], "on") && strcmp(control->arguments[0], "off")))
        return -EINVAL;
    control->request->store->tracing = !strcmp(control->arguments[0], "on");
    return reply_ok(control->request);
}

static int do_logfile(const struct control *control)
{
    struct store *store = control->request->store;
    int rc;

    if (control->count != 1)
        return -EINVAL;
    rc = store->ops->report(store->context, control->arguments[0], "", 0);
    if (rc)
        return rc;
    free(store->trace_file);
    store->trace_file = xstrdup(control->arguments[0]);
    return reply_ok(control->request);
}

static int do_print(const struct control *control)
{
    if (control->count != 1)
        return -EINVAL;
    log_info("store: control: %s", control->arguments[0]);
    return reply_ok(control->request);
}

/* --- memreport ----------------------------------------------------------------------------------------------------- */

static int do_memreport(const struct control *control)
{
    struct store *store = control->request->store;
    const struct store_conn *conn;
    struct bytes text = { 0 };
    int rc;

    if (control->count > 1)
        return -EINVAL;
    add(&text, "%u watched paths\n", store->point_count);
    LIST_FOREACH(conn, &store->conns, link) {
        add(&text, "%s %u: %u watches, %zu bytes; %u transactions, %zu bytes; %zu bytes not read yet\n",
            conn->socket ? "client of domain" : "domain", conn->domid, conn->watch_count, conn->watch_bytes,
            conn->transaction_count, conn->transaction_bytes, bytes_length(&conn->out));
    }
    for (uint32_t domid = 0; domid < DOMAINS; domid++)
        if (store->usage[domid].nodes)
            add(&text, "domain %u owns %lld nodes, %lld bytes\n", domid, (long long)store->usage[domid].nodes,
                (long long)store->usage[domid].bytes);
    rc = store->ops->report(store->context, control->count ? control->arguments[0] : NULL,
                            (const char *)bytes_front(&text), bytes_length(&text));
    bytes_clear(&text);
    return rc ? rc : reply_ok(control->request);
}

/* --- quota --------------------------------------------------------------------------------------------------------- */

static int list_quotas(const struct control *control)
{
    struct bytes text = { 0 };

    add(&text, "Quota settings:\n");
    for (int i = 0; i < QUOTA_COUNT; i++)
        add(&text, "%-17s: %8u %s\n", quota_name(i), control->request->store->quota.limit[i], quota_meaning(i));
    return answer(control, &text);
}

static int list_usage(const struct control *control)
{
    const struct store *store = control->request->store;
    const struct store_conn *conn;
    struct bytes text = { 0 };
    uint16_t domid;

    if (parse_domid(control->arguments[0], &domid))
        return -EINVAL;
    conn = store->domains[domid];
    if (!conn && domid && !store->usage[domid].nodes)
        return -ENOENT;
    add(&text, "Domain %u:\n", domid);
    add(&text, "%-16s: %8lld\n", "nodes", (long long)store->usage[domid].nodes);
    add(&text, "%-16s: %8u\n", "watches", conn ? conn->watch_count : 0);
    add(&text, "%-16s: %8u\n", "transactions", conn ? conn->transaction_count : 0);
    add(&text, "%-16s: %8llu\n", "memory", (unsigned long long)quota_memory(store, domid));
    return answer(control, &text);
}

static int do_quota(const struct control *control)
{
    struct store *store = control->request->store;

    if (control->count == 0)
        return list_quotas(control);
    if (control->count == 1)
        return list_usage(control);
    if (control->count != 3 || strcmp(control->arguments[0], "set") ||
        !store_quota_set(&store->quota, control->arguments[1], control->arguments[2]))
        return -EINVAL;
    for (int i = 0; i < QUOTA_COUNT; i++)
        if (!strcmp(quota_name(i), control->arguments[1]))
            journal_quota(store, i);
    return reply_ok(control->request);
}

/* Quotas that warn before they refuse: there are none, refusals themselves are logged. */
static int do_quota_soft(const struct control *control)
{
    struct bytes text = { 0 };

    if (control->count)
        return -EINVAL;
    add(&text, "Quota settings:\n");
    return answer(control, &text);
}

/* --- the rest ------------------------------------------------------------------------------------------------------ */

static int do_live_update(const struct control *control)
{
    struct bytes text = { 0 };

    add(&text, "not needed: install the new domusd, end the old one and start the new: no guest and no state is lost");
    return answer(control, &text);
}

static int do_help(const struct control *control);

static const struct {
    const char *name, *usage;
    int (*handle)(const struct control *control);
} commands[] = {
    { "check", "", do_check },
    { "log", "on|off", do_log },
    { "live-update", "(refused)", do_live_update },
    { "logfile", "<file>", do_logfile },
    { "memreport", "[<file>]", do_memreport },
    { "print", "<string>", do_print },
    { "quota", "[set <name> <val>|<domid>]", do_quota },
    { "quota-soft", "", do_quota_soft },
    { "help", "", do_help },
};

static int do_help(const struct control *control)
{
    struct bytes text = { 0 };

    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
        add(&text, "%s\t%s\n", commands[i].name, commands[i].usage);
    return answer(control, &text);
}

int do_control(struct request *request)
{
    struct control control = { .request = request, .count = -1 };
    const char *name = request->payload;

    if (!conn_privileged(request->conn))
        return -EACCES;
    if (request->length == 0 || request->payload[request->length - 1])
        return -EINVAL;
    for (size_t at = 0; at < request->length; at += strlen(request->payload + at) + 1) {
        if (control.count >= ARGUMENTS_MAX)
            return -EINVAL;
        if (control.count >= 0)
            control.arguments[control.count] = request->payload + at;
        control.count++;
    }
    for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
        if (!strcmp(commands[i].name, name))
            return commands[i].handle(&control);
    return -EINVAL;
}
