/* SPDX-License-Identifier: MIT */
/*
 * What the store's everyday work costs as it fills. `cost SITUATION NUMBER WORK` brings a store into a situation, then
 * does one piece of work with callgrind's instrumentation on, which counts its instructions (check.py compares).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <valgrind/callgrind.h>

#include "store/store.h"

#include <xen/io/xs_wire.h>

static struct store *store;
static struct store_conn *dom0;

static int no_domain(void *context, uint16_t domid)
{
    (void)context;
    (void)domid;
    return -ESRCH;
}

static void on_wake(void *context, struct store_conn *conn)
{
    (void)context;
    (void)conn;
}

static void on_dirty(void *context)
{
    (void)context;
}

static const struct store_ops ops = { .exists = no_domain, .wake = on_wake, .dirty = on_dirty };

/* Journal and output go where they would in the daemon. */
static void flush(struct store_conn *conn)
{
    const void *data;
    size_t length;

    store_journal(store, &length);
    store_conn_sent(conn, store_conn_output(conn, &data));
    if (conn != dom0)
        store_conn_sent(dom0, store_conn_output(dom0, &data));
}

/* Send a request of two strings, the second without its NUL if it is a value. Returns what an id in the reply says. */
static uint32_t request(struct store_conn *conn, uint32_t type, uint32_t tx, const char *first, const char *second)
{
    struct xsd_sockmsg header = { .type = type, .tx_id = tx, .len = strlen(first) + 1 }, answer;
    char message[sizeof(header) + XENSTORE_PAYLOAD_MAX], reply[64] = "";
    const void *data;

    strcpy(message + sizeof(header), first);
    if (second) {
        strcpy(message + sizeof(header) + header.len, second);
        header.len += strlen(second) + (type != XS_WRITE);
    }
    memcpy(message, &header, sizeof(header));
    store_conn_input(conn, message, sizeof(header) + header.len);
    store_conn_output(conn, &data);
    memcpy(&answer, data, sizeof(answer));
    if (answer.type == XS_ERROR) {
        fprintf(stderr, "request %u of %s was refused: %s\n", type, first, (const char *)data + sizeof(answer));
        exit(1);
    }
    if (type == XS_TRANSACTION_START)
        memcpy(reply, (const char *)data + sizeof(answer), answer.len < 64 ? answer.len : 63);
    flush(conn);
    return strtoul(reply, NULL, 10);
}

/* One end of a device, as the toolstack makes it. */
static void put_device_end(const char *path, const char *other, int owner, int peer)
{
    static const char *const keys[] = { "online", "state", "handle", "mac", "script", "mode" };
    char key[192];

    store_put(store, path, "%s", "");
    store_permit(store, path, owner, 0, peer, PERM_READ);
    snprintf(key, sizeof(key), "%s/other-end", path);
    store_put(store, key, "%s", other);
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        snprintf(key, sizeof(key), "%s/%s", path, keys[i]);
        store_put(store, key, "%d", 1);
    }
}

/* A guest comes up: the toolstack's nodes, the ring, the front ends' transactions. */
static void make_domain(int domid)
{
    static const char *const own[] = { "control", "data", "drivers", "feature", "attr", "error", "device" };
    static const char *const ours[] = { "name", "vm", "domid", "memory/target", "memory/static-max", "store/port",
                                        "store/ring-ref", "console/port", "console/ring-ref", "cpu/0/availability" };
    struct store_conn *guest;
    char base[64], path[128], other[128];

    snprintf(base, sizeof(base), "/local/domain/%d", domid);
    store_put(store, base, "%s", "");
    store_permit(store, base, 0, 0, domid, PERM_READ);
    snprintf(path, sizeof(path), "/vm/00000000-0000-0000-0000-%012d/name", domid);
    store_put(store, path, "guest%d", domid);
    for (size_t i = 0; i < sizeof(ours) / sizeof(ours[0]); i++) {
        snprintf(path, sizeof(path), "%s/%s", base, ours[i]);
        store_put(store, path, "%d", domid);
    }
    for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++) {
        snprintf(path, sizeof(path), "%s/%s", base, own[i]);
        store_put(store, path, "%s", "");
        store_permit(store, path, domid, 0, domid, 0);
    }
    guest = store_conn_domain(store, domid, 1, 1, 0, 0);
    store_fire_special(store, "@introduceDomain");
    for (int device = 0; device < 2; device++) {
        uint32_t tx;

        snprintf(path, sizeof(path), "%s/device/%s/0", base, device ? "vif" : "vbd");
        snprintf(other, sizeof(other), "/local/domain/0/backend/%s/%d/0", device ? "vif" : "vbd", domid);
        put_device_end(other, path, 0, domid);
        put_device_end(path, other, domid, 0);
        snprintf(path, sizeof(path), "%s/device/%s/0/state", base, device ? "vif" : "vbd");
        request(dom0, XS_WATCH, 0, path, "front");
        strcat(other, "/state");
        request(guest, XS_WATCH, 0, other, "back");
        tx = request(guest, XS_TRANSACTION_START, 0, "", NULL);
        request(guest, XS_READ, tx, path, NULL);
        for (int key = 0; key < 6; key++) {
            snprintf(path, sizeof(path), "device/%s/0/key-%d", device ? "vif" : "vbd", key);
            request(guest, XS_WRITE, tx, path, "12345");
        }
        request(guest, XS_TRANSACTION_END, tx, "T", NULL);
        snprintf(path, sizeof(path), "device/%s/0/state", device ? "vif" : "vbd");
        request(guest, XS_WRITE, 0, path, "4");
        request(dom0, XS_WRITE, 0, other, "4");
    }
}

/* A guest that has gone: what the toolstack removes. */
static void remove_domain(int domid)
{
    char path[128];

    store_conn_free(store_find_domain(store, domid));
    store_forget_domain(store, domid);
    store_fire_special(store, "@releaseDomain");
    snprintf(path, sizeof(path), "/local/domain/%d", domid);
    store_remove(store, path);
    snprintf(path, sizeof(path), "/vm/00000000-0000-0000-0000-%012d", domid);
    store_remove(store, path);
    for (int device = 0; device < 2; device++) {
        snprintf(path, sizeof(path), "/local/domain/0/backend/%s/%d", device ? "vif" : "vbd", domid);
        store_remove(store, path);
    }
    flush(dom0);
}

/* `number` guests, or nodes, or watches, are there already. */
static void prepare(const char *situation, int number)
{
    char path[128];

    dom0 = store_conn_socket(store, NULL);
    request(dom0, XS_WATCH, 0, "@introduceDomain", "new");
    for (int i = 1; i <= number; i++) {
        if (!strcmp(situation, "domains")) {
            make_domain(i);
        } else if (!strcmp(situation, "nodes")) {
            snprintf(path, sizeof(path), "/local/domain/%d/device/x/%d/key", i % 200 + 1000, i);
            store_put(store, path, "%d", i);
        } else {
            snprintf(path, sizeof(path), "/local/domain/%d/device/x/%d", i % 200 + 1000, i);
            request(dom0, XS_WATCH, 0, path, "t");
        }
        flush(dom0);
    }
}

int main(int argc, char **argv)
{
    int number = argc == 4 ? atoi(argv[2]) : 0;

    if (argc != 4)
        return 2;
    store = store_new(&ops, NULL, 1);
    prepare(argv[1], number);
    if (!strcmp(argv[3], "remove"))
        make_domain(900);
    CALLGRIND_START_INSTRUMENTATION;
    if (!strcmp(argv[3], "write")) {
        request(dom0, XS_WRITE, 0, "/local/domain/1100/name", "new");
    } else if (!strcmp(argv[3], "transaction")) {
        uint32_t tx = request(dom0, XS_TRANSACTION_START, 0, "", NULL);

        request(dom0, XS_WRITE, tx, "/local/domain/1100/name", "new");
        request(dom0, XS_TRANSACTION_END, tx, "T", NULL);
    } else if (!strcmp(argv[3], "create")) {
        make_domain(900);
    } else {
        remove_domain(900);
    }
    CALLGRIND_STOP_INSTRUMENTATION;
    store_free(store);
    return 0;
}
