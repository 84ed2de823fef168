/* SPDX-License-Identifier: MIT */
/*
 * Requests about a guest that runs, the check of a configuration, and the stream of events.
 */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core_dump.h"
#include "events.h"
#include "guest_store.h"
#include "host.h"
#include "lib/alloc.h"
#include "lib/hypercall.h"
#include "lifecycle.h"
#include "memory.h"
#include "place.h"
#include "session.h"

static void refuse(struct session *session, const char *what, const char *why, const char *remedy)
{
    struct failure failure;

    failure_what(&failure, "%s", what);
    failure_why(&failure, "%s", why);
    failure_remedy(&failure, "%s", remedy);
    session_fail(session, &failure);
}

/* Find a guest that is there to be told something; false after the failure was sent. */
static bool find_guest(struct session *session, json_t *request, const char *verb, struct subject *subject)
{
    struct failure failure;

    if (!session_find_standing(session, request, verb, subject, &failure))
        return false;
    if (subject->domid > 0)
        return true;
    refuse(session, "cannot do that to dom0", "dom0 is not a guest", "name another domain");
    return false;
}

static void op_sysrq(struct session *session, json_t *request)
{
    const char *key = json_string_value(json_object_get(request, "key"));
    struct subject subject;

    if (!find_guest(session, request, "send a SysRq key to", &subject))
        return;
    if (!key || strlen(key) != 1 || !isalnum((unsigned char)key[0])) {
        refuse(session, "cannot send the SysRq key", "a key is one letter or digit",
               "see the guest kernel's documentation; h lists the keys");
        return;
    }
    guest_store_sysrq(subject.domid, key[0]);
    session_send_domid(session, subject.domid);
}

/* --- triggers ---------------------------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    int trigger; /* -1: not for paravirtualized guests */
} triggers[] = {
    { "nmi", XEN_DOMCTL_SENDTRIGGER_NMI }, { "reset", -1 }, { "init", -1 },
    { "power", -1 },                       { "sleep", -1 }, { "s3resume", -1 },
};

static void send_trigger(struct session *session, const struct subject *subject, int trigger, json_int_t vcpu)
{
    struct failure failure;
    int rc = vcpu < 0 || vcpu > VCPUS_MAX ? -EINVAL : hv_domain_trigger(subject->domid, trigger, vcpu);

    if (rc == 0) {
        session_send_domid(session, subject->domid);
        return;
    }
    failure_what(&failure, "cannot send the trigger to domain %d", subject->domid);
    if (rc == -EINVAL || rc == -ESRCH)
        failure_why(&failure, "it has no virtual CPU %" JSON_INTEGER_FORMAT, vcpu);
    else
        failure_why(&failure, "the hypervisor refuses: %s", strerror(-rc));
    failure_remedy(&failure, "see its virtual CPUs: domus vcpu-list");
    session_fail(session, &failure);
}

static void op_trigger(struct session *session, json_t *request)
{
    const char *name = json_string_value(json_object_get(request, "trigger"));
    struct subject subject;

    if (!find_guest(session, request, "send a trigger to", &subject))
        return;
    for (size_t i = 0; name && i < sizeof(triggers) / sizeof(triggers[0]); i++) {
        if (strcmp(name, triggers[i].name))
            continue;
        if (triggers[i].trigger < 0)
            refuse(session, "cannot send the trigger", "paravirtualized guests know no trigger but nmi",
                   "use domus shutdown, reboot, or destroy");
        else
            send_trigger(session, &subject, triggers[i].trigger,
                         json_integer_value(json_object_get(request, "vcpu")));
        return;
    }
    refuse(session, "cannot send the trigger", "there is no trigger of that name",
           "use nmi (xl's others are for full virtualization)");
}

/* --- configurations ---------------------------------------------------------------------------------------------- */

/* The configuration of a request, checked; NULL after the failure was sent. `what` could not be done. */
static struct config *take_config(struct session *session, json_t *request, const char *what)
{
    json_t *object = json_object_get(request, "config");
    struct failure failure;
    struct config *config;

    failure_what(&failure, "%s", what);
    failure_why(&failure, "the request has no config");
    failure_remedy(&failure, "see docs/control-protocol.md");
    config = json_is_object(object) ? config_parse(object, &failure) : NULL;
    if (!config)
        session_fail(session, &failure);
    return config;
}

static void op_config_update(struct session *session, json_t *request)
{
    static const char what[] = "cannot change the configuration";
    struct subject subject;
    struct config *config;
    json_t *object;

    if (!session_find_subject(session, request, "change the configuration of", true, &subject))
        return;
    object = json_object_get(request, "config");
    config = take_config(session, request, what);
    if (!config)
        return;
    json_object_set_new(object, "uuid", json_string(subject.domain->config->uuid));
    if (strcmp(config->name, subject.domain->config->name)) {
        refuse(session, what, "it has another name", "use domus rename for that");
    } else {
        json_decref(subject.domain->next);
        subject.domain->next = json_incref(object);
        domain_save(subject.domain);
        session_send_domid(session, subject.domid);
    }
    config_free(config);
}

/* Could a domain be made of this now, or, if there is one of that name, again? */
static void op_check(struct session *session, json_t *request)
{
    struct config *config = take_config(session, request, "the configuration does not hold");
    struct failure failure;
    bool exists;

    if (!config)
        return;
    exists = domain_by_name(config->name) != NULL;
    failure_what(&failure, "domain %s could not be created", config->name);
    if (config_check_host(config, &failure) && place_check(config, &failure) &&
        (exists || (host_name_free(config->name, &failure) && !domain_conflict(config, &failure) &&
                    memory_enough(config, &failure))))
        session_send(session, json_pack("{s:b, s:s, s:b}", "ok", 1, "name", config->name, "exists", exists));
    else
        session_fail(session, &failure);
    config_free(config);
}

/* --- cores ------------------------------------------------------------------------------------------------------- */

/* A core that somebody asked for. It is written even if the client hangs up. */
struct core_request {
    struct waiters waiters; /* the session, as long as it is there */
    char *path;
    uint64_t size;
};

static void on_core_told(void *context, const struct failure *failure)
{
    struct session *session = context;
    struct core_request *core = (struct core_request *)session->waiting_on;

    session->waiter = NULL;
    session_stop_waiting(session);
    if (failure)
        session_fail(session, failure);
    else
        session_send(session, json_pack("{s:b, s:i, s:s, s:I}", "ok", 1, "domid", session->domid, "file", core->path,
                                        "size", (json_int_t)core->size));
    session_continue(session);
}

static void on_core(void *context, uint64_t size, const struct failure *failure)
{
    struct core_request *core = context;

    core->size = size;
    waiters_tell(&core->waiters, failure);
    free(core->path);
    free(core);
}

static void op_dump_core(struct session *session, json_t *request)
{
    const char *path = json_string_value(json_object_get(request, "file"));
    struct core_request *core;
    struct subject subject;
    struct failure failure;

    if (!find_guest(session, request, "write the core of", &subject))
        return;
    if (path && path[0] != '/') {
        refuse(session, "cannot write the core file", "its path is not absolute", "give the absolute path of a file");
        return;
    }
    core = xcalloc(1, sizeof(*core));
    TAILQ_INIT(&core->waiters);
    core->path = path ? xstrdup(path) : core_dump_path(subject.domain ? subject.domain->config->name : "unmanaged");
    session->domid = subject.domid;
    if (core_dump_start(subject.domid, core->path, on_core, core, &failure)) {
        session_wait(session, &core->waiters, on_core_told);
        return;
    }
    session_fail(session, &failure);
    free(core->path);
    free(core);
}

/* --- events ------------------------------------------------------------------------------------------------------ */

/* The connection becomes a stream of events, and the session ends. */
static void op_events(struct session *session, json_t *request)
{
    json_int_t replay = json_integer_value(json_object_get(request, "replay"));
    struct bufferevent *connection = session->connection;

    replay = replay < 0 ? 0 : event_replayable(replay);
    session_send(session, json_pack("{s:b, s:I}", "ok", 1, "replayed", replay));
    session->connection = NULL;
    event_add_listener(connection, replay);
}

const struct operation guest_operations[] = {
    { "sysrq", op_sysrq }, { "trigger", op_trigger },     { "config-update", op_config_update },
    { "check", op_check }, { "dump-core", op_dump_core }, { "events", op_events },
    { 0 },
};
