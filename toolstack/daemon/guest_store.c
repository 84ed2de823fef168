/* SPDX-License-Identifier: MIT */
/*
 * The nodes of a domain in the store.
 */
#include "guest_store.h"

#include <stdio.h>
#include <time.h>

#include "daemon.h"

#define BASE_SIZE 64
#define PATH_SIZE 192

static void put_node(const char *base, const char *key, const char *value)
{
    char path[PATH_SIZE];

    snprintf(path, sizeof(path), "%s/%s", base, key);
    store_put(the_store, path, "%s", value);
}

static void put_number(const char *base, const char *key, uint64_t value)
{
    char text[24];

    snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
    put_node(base, key, text);
}

/* Nodes that belong to the guest, so that it may write to and below them. */
static void put_guest_nodes(const char *base, uint16_t domid)
{
    static const char *const nodes[] = {
        "control/shutdown", "control/feature-poweroff", "control/feature-reboot", "control/feature-suspend",
        "control/sysrq", "device/suspend/event-channel", "data", "drivers", "feature", "attr", "error",
    };
    char path[PATH_SIZE];

    for (size_t i = 0; i < sizeof(nodes) / sizeof(nodes[0]); i++) {
        put_node(base, nodes[i], "");
        snprintf(path, sizeof(path), "%s/%s", base, nodes[i]);
        store_permit(the_store, path, domid, 0, domid, PERM_READ | PERM_WRITE);
    }
}

static void put_vm(const struct domain *domain)
{
    char path[BASE_SIZE];

    snprintf(path, sizeof(path), "/vm/%s", domain->config->uuid);
    store_put(the_store, path, "%s", "");
    store_permit(the_store, path, 0, 0, domain->domid, PERM_READ);
    put_node(path, "name", domain->config->name);
    put_node(path, "uuid", domain->config->uuid);
}

void guest_store_put(const struct domain *domain)
{
    const struct config *config = domain->config;
    char base[BASE_SIZE], text[BASE_SIZE];

    snprintf(base, sizeof(base), "/local/domain/%d", domain->domid);
    store_put(the_store, base, "%s", "");
    /* What is made below has the same permissions: dom0's, and the guest may read it. */
    store_permit(the_store, base, 0, 0, domain->domid, PERM_READ);
    put_vm(domain);
    snprintf(text, sizeof(text), "/vm/%s", config->uuid);
    put_number(text, "start_time", time(NULL));
    put_node(base, "vm", text);
    put_node(base, "name", config->name);
    put_number(base, "domid", domain->domid);
    put_number(base, "memory/target", config->memory_kib);
    put_number(base, "memory/static-max", config->max_memory_kib);
    put_number(base, "memory/videoram", 0);
    put_number(base, "store/ring-ref", domain->store.frame);
    put_number(base, "store/port", domain->store.port);
    put_number(base, "console/ring-ref", domain->console_ring.frame);
    put_number(base, "console/port", domain->console_ring.port);
    put_node(base, "console/type", "domusd");
    for (unsigned int i = 0; i < config->max_vcpus; i++) {
        snprintf(text, sizeof(text), "cpu/%u/availability", i);
        put_node(base, text, i < config->vcpus ? "online" : "offline");
    }
    put_guest_nodes(base, domain->domid);
}

void guest_store_remove(int domid, const char *uuid)
{
    char path[PATH_SIZE];

    snprintf(path, sizeof(path), "/local/domain/%d", domid);
    store_remove(the_store, path);
    snprintf(path, sizeof(path), "/vm/%s", uuid);
    store_remove(the_store, path);
    devices_remove(domid);
}

void guest_store_put_dom0(void)
{
    if (store_get(the_store, "/local/domain/0/name"))
        return;
    store_put(the_store, "/local/domain/0/name", "Domain-0");
    store_put(the_store, "/local/domain/0/domid", "0");
    store_put(the_store, "/tool/xenstored", "%s", "");
    /* libxl finds pools by their names here. */
    if (!store_get(the_store, "/local/pool/0/name"))
        store_put(the_store, "/local/pool/0/name", "Pool-0");
}

void guest_store_ask(int domid, const char *request)
{
    char path[PATH_SIZE];

    snprintf(path, sizeof(path), "/local/domain/%d/control/shutdown", domid);
    store_put(the_store, path, "%s", request);
}

void guest_store_sysrq(int domid, char key)
{
    char path[PATH_SIZE];

    snprintf(path, sizeof(path), "/local/domain/%d/control/sysrq", domid);
    store_put(the_store, path, "%c", key);
}

const char *guest_store_name(int domid)
{
    char path[PATH_SIZE];
    const char *name;

    snprintf(path, sizeof(path), "/local/domain/%d/name", domid);
    name = store_get(the_store, path);
    return name ? name : "";
}

void guest_store_rename(const struct domain *domain)
{
    char path[BASE_SIZE], vm[BASE_SIZE];

    snprintf(path, sizeof(path), "/local/domain/%d", domain->domid);
    snprintf(vm, sizeof(vm), "/vm/%s", domain->config->uuid);
    put_node(path, "name", domain->config->name);
    put_node(path, "vm", vm);
    put_vm(domain);
}
