/* SPDX-License-Identifier: MIT */
/*
 * Requests about the disks and network cards of running domains.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon.h"
#include "host.h"
#include "hotplug.h"
#include "session.h"

#define PATH_SIZE 192

/* --- what there is ----------------------------------------------------------------------------------------------- */

/* Copy the value of a node to the object, as a number if `number`; left out if there is none. */
static void copy_node(json_t *object, const char *key, const char *base, const char *node, bool number)
{
    char path[PATH_SIZE];
    const char *value;

    snprintf(path, sizeof(path), "%s/%s", base, node);
    value = store_get(the_store, path);
    if (value && value[0])
        json_object_set_new(object, key, number ? json_integer(strtoll(value, NULL, 10)) : json_string(value));
}

static void describe_disk(json_t *object, const char *backend)
{
    static const char *const texts[][2] = {
        { "vdev", "dev" }, { "target", "params" }, { "mode", "mode" }, { "type", "device-type" },
    };

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        copy_node(object, texts[i][0], backend, texts[i][1], false);
    copy_node(object, "sectors", backend, "sectors", true);
}

static void describe_card(json_t *object, const char *frontend, const char *backend)
{
    copy_node(object, "mac", backend, "mac", false);
    copy_node(object, "bridge", backend, "bridge", false);
    copy_node(object, "rate", backend, "rate", false);
    copy_node(object, "tx_ring_ref", frontend, "tx-ring-ref", true);
    copy_node(object, "rx_ring_ref", frontend, "rx-ring-ref", true);
}

/* A device by the nodes of its two ends. What the guest wrote there is shown as text or as a number, no more. */
static json_t *describe(int domid, enum device_kind kind, const char *number)
{
    char frontend[PATH_SIZE], backend[PATH_SIZE];
    json_t *object = json_pack("{s:i}", "number", atoi(number));

    snprintf(frontend, sizeof(frontend), "/local/domain/%d/device/%s/%.20s", domid, device_kind_name(kind), number);
    snprintf(backend, sizeof(backend), "/local/domain/0/backend/%s/%d/%.20s", device_kind_name(kind), domid, number);
    json_object_set_new(object, "backend", json_string(backend));
    copy_node(object, "backend_domid", frontend, "backend-id", true);
    copy_node(object, "state", frontend, "state", true);
    copy_node(object, "backend_state", backend, "state", true);
    copy_node(object, "event_channel", frontend, "event-channel", true);
    copy_node(object, "ring_ref", frontend, "ring-ref", true);
    if (kind == DEVICE_DISK)
        describe_disk(object, backend);
    else
        describe_card(object, frontend, backend);
    return object;
}

static json_t *describe_all(int domid, enum device_kind kind)
{
    json_t *array = json_array();
    const struct node *folder;
    char path[PATH_SIZE];

    snprintf(path, sizeof(path), "/local/domain/%d/device/%s", domid, device_kind_name(kind));
    folder = store_node(the_store, path);
    for (uint32_t i = 0; folder && i < folder->child_count; i++)
        json_array_append_new(array, describe(domid, kind, folder->children[i]->name));
    return array;
}

static void op_devices(struct session *session, json_t *request)
{
    struct subject subject;

    if (!session_find_subject(session, request, "list the devices of", false, &subject))
        return;
    session_send(session, json_pack("{s:b, s:i, s:s, s:o, s:o}", "ok", 1, "domid", subject.domid, "name",
                                    host_domain_name(subject.domid), "disks",
                                    describe_all(subject.domid, DEVICE_DISK), "cards",
                                    describe_all(subject.domid, DEVICE_CARD)));
}

/* --- changes ----------------------------------------------------------------------------------------------------- */

/* Find a domain of ours that runs. */
static bool find_running(struct session *session, json_t *request, const char *verb, struct subject *subject,
                         struct failure *failure)
{
    if (!session_find_subject(session, request, verb, true, subject))
        return false;
    failure_what(failure, "cannot %s domain %s", verb, subject->domain->config->name);
    if (subject->domain->state == DOMAIN_RUNNING)
        return true;
    failure_why(failure, "it does not run");
    failure_remedy(failure, "change its configuration instead: domus config-update");
    session_fail(session, failure);
    return false;
}

/* An attachment or a detachment is over. */
static void on_changed(void *context, const struct failure *failure)
{
    struct session *session = context;

    session->waiter = NULL;
    session_stop_waiting(session);
    if (failure)
        session_fail(session, failure);
    else
        session_send(session, json_pack("{s:b, s:i, s:I}", "ok", 1, "domid", session->domid, "number",
                                        (json_int_t)session->number));
    session_continue(session);
}

static void wait_for(struct session *session, struct waiters *waiters, int domid, uint32_t number,
                     const struct failure *failure)
{
    if (!waiters) {
        session_fail(session, failure);
        return;
    }
    session->domid = domid;
    session->number = number;
    session_wait(session, waiters, on_changed);
}

/* A disk by its name in the guest or its number. */
static bool find_disk(const json_t *request, const struct config *config, uint32_t *number)
{
    const json_t *value = json_object_get(request, "device");
    const char *name = json_string_value(value);
    char *end;

    (void)config;
    if (json_is_integer(value) && json_integer_value(value) >= 0 && json_integer_value(value) <= UINT32_MAX) {
        *number = json_integer_value(value);
        return true;
    }
    if (!name || !name[0])
        return false;
    if (disk_number(name, number))
        return true;
    *number = strtoul(name, &end, 10);
    return !*end && name[0] >= '0' && name[0] <= '9';
}

/* A card by its address or its number. */
static bool find_card(const json_t *request, const struct config *config, uint32_t *number)
{
    const char *name = json_string_value(json_object_get(request, "device"));

    for (unsigned int i = 0; name && i < config->vif_count; i++) {
        if (!strcasecmp(config->vifs[i].mac, name)) {
            *number = config->vifs[i].index;
            return true;
        }
    }
    return (!name || !strchr(name, ':')) && find_disk(request, config, number);
}

/* What requests to attach and to detach have for each kind of device. */
static const struct {
    const char *key, *attach, *detach;
    bool (*find)(const json_t *request, const struct config *config, uint32_t *number);
} kinds[] = {
    [DEVICE_DISK] = { "disk", "attach a disk to", "detach a disk from", find_disk },
    [DEVICE_CARD] = { "vif", "attach a network card to", "detach a network card from", find_card },
};

static void attach(struct session *session, json_t *request, enum device_kind kind)
{
    json_t *object = json_object_get(request, kinds[kind].key);
    struct subject subject;
    struct failure failure;
    uint32_t number = 0;

    if (!find_running(session, request, kinds[kind].attach, &subject, &failure))
        return;
    if (!json_is_object(object)) {
        config_refuse(&failure, "see docs/control-protocol.md", "the request has no %s", kinds[kind].key);
        session_fail(session, &failure);
        return;
    }
    wait_for(session, hotplug_attach(subject.domain, kind, object, &number, &failure), subject.domid, number, &failure);
}

static void no_such_device(struct session *session, struct failure *failure)
{
    config_refuse(failure, "see which it has: domus block-list, domus network-list", "it has no such device");
    session_fail(session, failure);
}

static void detach(struct session *session, json_t *request, enum device_kind kind)
{
    bool force = json_is_true(json_object_get(request, "force"));
    struct subject subject;
    struct failure failure;
    uint32_t number;

    if (!find_running(session, request, kinds[kind].detach, &subject, &failure))
        return;
    if (kinds[kind].find(request, subject.domain->config, &number))
        wait_for(session, hotplug_detach(subject.domain, kind, number, force, &failure), subject.domid, number,
                 &failure);
    else
        no_such_device(session, &failure);
}

static void op_block_attach(struct session *session, json_t *request)
{
    attach(session, request, DEVICE_DISK);
}

static void op_block_detach(struct session *session, json_t *request)
{
    detach(session, request, DEVICE_DISK);
}

static void op_network_attach(struct session *session, json_t *request)
{
    attach(session, request, DEVICE_CARD);
}

static void op_network_detach(struct session *session, json_t *request)
{
    detach(session, request, DEVICE_CARD);
}

static void op_block_resize(struct session *session, json_t *request)
{
    json_int_t bytes = json_integer_value(json_object_get(request, "bytes"));
    struct waiters *waiters;
    struct subject subject;
    struct failure failure;
    uint32_t number;

    if (!find_running(session, request, "resize a disk of", &subject, &failure))
        return;
    if (!find_disk(request, subject.domain->config, &number))
        no_such_device(session, &failure);
    else if (!hotplug_resize(subject.domain, number, bytes > 0 ? bytes : 0, &waiters, &failure))
        session_fail(session, &failure);
    else if (waiters)
        wait_for(session, waiters, subject.domid, number, &failure);
    else
        session_send_domid(session, subject.domid);
}

const struct operation device_operations[] = {
    { "devices", op_devices },
    { "block-attach", op_block_attach },
    { "block-detach", op_block_detach },
    { "block-resize", op_block_resize },
    { "network-attach", op_network_attach },
    { "network-detach", op_network_detach },
    { 0 },
};
