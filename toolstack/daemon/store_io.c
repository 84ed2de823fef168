/* SPDX-License-Identifier: MIT */
/*
 * The store's input and output: flush order, the socket, which domains are connected.
 */
#include "store_io.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "daemon.h"
#include "lib/alloc.h"
#include "lib/bytes.h"
#include "lib/hypercall.h"
#include "lib/log.h"
#include "listener.h"
#include "other_console.h"
#include "store_file.h"
#include "store_ring.h"

/* A program connected by the socket. */
struct client {
    LIST_ENTRY(client) link; /* of those to flush */
    bool to_flush;
    int fd;
    struct event *readable, *writable;
    struct store_conn *conn;
    struct bytes waiting; /* received, and not taken by the store yet */
};

struct store *the_store;
static struct store_quota quota; /* as the command line has it */
static bool quota_given;
static struct event *flush_event;
static bool flush_pending;
static LIST_HEAD(client_list, client) flush_list = LIST_HEAD_INITIALIZER(flush_list);

void store_io_flush_soon(void)
{
    static const struct timeval now = { 0 };

    if (flush_pending || !flush_event)
        return;
    flush_pending = true;
    /*
     * By a timer, since the loop looks at all that is ready before it comes to timers: a guest that always has another
     * request cannot keep the daemon in here.
     */
    event_add(flush_event, &now);
}

bool store_io_quota(const char *setting)
{
    const char *equals = strchr(setting, '=');
    char name[32];

    if (!quota_given)
        store_quota_defaults(&quota);
    quota_given = true;
    if (!equals || (size_t)(equals - setting) >= sizeof(name))
        return false;
    memcpy(name, setting, equals - setting);
    name[equals - setting] = '\0';
    return store_quota_set(&quota, name, equals + 1);
}

static void client_free(struct client *client)
{
    if (client->to_flush)
        LIST_REMOVE(client, link);
    store_conn_free(client->conn);
    event_free(client->readable);
    event_free(client->writable);
    close(client->fd);
    bytes_clear(&client->waiting);
    free(client);
}

static void client_wake(struct client *client)
{
    if (client->to_flush)
        return;
    client->to_flush = true;
    LIST_INSERT_HEAD(&flush_list, client, link);
    store_io_flush_soon();
}

/* Hand the store what was received; read on only when it took all. */
static void client_feed(struct client *client)
{
    size_t length = bytes_length(&client->waiting);

    bytes_drop(&client->waiting, store_conn_input(client->conn, bytes_front(&client->waiting), length));
    if (bytes_length(&client->waiting) == 0)
        event_add(client->readable, NULL);
    else
        event_del(client->readable);
    client_wake(client);
}

static void on_client_readable(int fd, short what, void *context)
{
    struct client *client = context;
    char data[16384];
    ssize_t got = recv(fd, data, sizeof(data), 0);

    (void)what;
    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0) {
        client_free(client);
        return;
    }
    bytes_append(&client->waiting, data, got);
    client_feed(client);
}

static void client_flush(struct client *client)
{
    const void *data;
    size_t length = store_conn_output(client->conn, &data);
    ssize_t sent = length ? send(client->fd, data, length, MSG_NOSIGNAL) : 0;

    if (sent < 0 && errno != EAGAIN && errno != EINTR) {
        client_free(client);
        return;
    }
    store_conn_sent(client->conn, sent > 0 ? sent : 0);
    if (store_conn_dead(client->conn)) {
        log_warn("store: a client of the socket broke the protocol, or does not read its events");
        client_free(client);
        return;
    }
    if (store_conn_output(client->conn, &data) > 0)
        event_add(client->writable, NULL);
    else if (bytes_length(&client->waiting) > 0)
        client_feed(client);
}

static void on_client_writable(int fd, short what, void *context)
{
    (void)fd;
    (void)what;
    client_wake(context);
}

static void on_client(int fd, void *context)
{
    struct client *client = xcalloc(1, sizeof(*client));

    (void)context;
    client->fd = fd;
    client->conn = store_conn_socket(the_store, client);
    client->readable = event_new(main_loop, fd, EV_READ | EV_PERSIST, on_client_readable, client);
    client->writable = event_new(main_loop, fd, EV_WRITE, on_client_writable, client);
    event_add(client->readable, NULL);
}

/* See the order of effects in store.h. */
static void on_flush(int fd, short what, void *context)
{
    struct client *client;
    struct client_list now;

    (void)fd;
    (void)what;
    (void)context;
    flush_pending = false;
    store_run_watches(the_store);
    store_file_write();
    now = flush_list;
    LIST_INIT(&flush_list);
    if (!LIST_EMPTY(&now))
        LIST_FIRST(&now)->link.le_prev = &now.lh_first;
    while ((client = LIST_FIRST(&now))) {
        LIST_REMOVE(client, link);
        client->to_flush = false;
        client_flush(client);
    }
    rings_flush();
}

/* --- what the core asks for -------------------------------------------------------------------------------------- */

int store_introduce(uint16_t domid, uint64_t frame, uint32_t port)
{
    struct store_conn *conn = store_find_domain(the_store, domid);
    int rc;

    if (conn && store_conn_frame(conn) != frame)
        return -EINVAL;
    rc = conn ? ring_rebind(store_conn_user(conn), port) : ring_open(domid, frame, port, NULL);
    if (rc == 0)
        store_fire_special(the_store, "@introduceDomain");
    return rc;
}

void store_release(uint16_t domid)
{
    struct store_conn *conn = store_find_domain(the_store, domid);

    if (!conn)
        return;
    other_console_end(domid);
    ring_close(store_conn_user(conn));
    store_forget_domain(the_store, domid);
    store_fire_special(the_store, "@releaseDomain");
}

static int on_introduce(void *context, uint16_t domid, uint64_t frame, uint32_t port)
{
    int rc = store_introduce(domid, frame, port);

    (void)context;
    if (rc == 0)
        other_console_begin(domid);
    return rc;
}

static int on_release(void *context, uint16_t domid)
{
    (void)context;
    store_release(domid);
    return 0;
}

static int on_exists(void *context, uint16_t domid)
{
    struct xen_domctl_getdomaininfo info;

    (void)context;
    return hv_domain_info(domid, &info);
}

static void log_lines(const char *text, size_t length)
{
    const char *end = text + length;

    while (text < end) {
        const char *newline = memchr(text, '\n', end - text), *stop = newline ? newline : end;

        log_info("store: %.*s", (int)(stop - text), text);
        text = newline ? newline + 1 : end;
    }
}

static int on_report(void *context, const char *path, const char *text, size_t length)
{
    int fd, rc = 0;

    (void)context;
    if (!path) {
        log_lines(text, length);
        return 0;
    }
    fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK, 0600);
    if (fd < 0)
        return -errno;
    if (write(fd, text, length) < 0)
        rc = -errno;
    close(fd);
    return rc;
}

static int on_resume(void *context, uint16_t domid)
{
    (void)context;
    *ring_shutdown_told(store_conn_user(store_find_domain(the_store, domid))) = false;
    return 0;
}

static void on_wake(void *context, struct store_conn *conn)
{
    (void)context;
    if (!store_conn_user(conn))
        return;
    if (store_conn_is_socket(conn))
        client_wake(store_conn_user(conn));
    else
        ring_wake(store_conn_user(conn));
}

static void on_dirty(void *context)
{
    (void)context;
    store_io_flush_soon();
}

static void check_domain(void *context, struct store_conn *conn)
{
    uint16_t domid = store_conn_domid(conn);
    const struct xen_domctl_getdomaininfo *info = domain_set_find(context, domid);
    bool *told;

    if (domid == 0)
        return;
    if (!info || (info->flags & XEN_DOMINF_dying)) {
        store_release(domid);
        return;
    }
    told = ring_shutdown_told(store_conn_user(conn));
    if ((info->flags & XEN_DOMINF_shutdown) && !*told) {
        *told = true;
        store_fire_special(the_store, "@releaseDomain");
    }
}

void store_check_domains(const struct domain_set *set)
{
    store_each_domain(the_store, check_domain, (void *)set);
}

/* --- start ------------------------------------------------------------------------------------------------------- */

/* A connection that the journal tells of: take it up again, unless its domain is gone. */
static void restore_conn(void *context, struct store_conn *conn)
{
    uint16_t domid = store_conn_domid(conn);
    struct xen_domctl_getdomaininfo info;
    int rc;

    (void)context;
    if (domid == 0)
        return;
    rc = hv_domain_info(domid, &info);
    if (rc == 0 && !(info.flags & XEN_DOMINF_dying))
        rc = ring_open(domid, store_conn_frame(conn), store_conn_port(conn), conn);
    else
        rc = -ESRCH;
    if (rc) {
        log_info("store: domain %u is not taken up again: %s", domid, strerror(-rc));
        store_conn_free(conn);
        store_forget_domain(the_store, domid);
        store_fire_special(the_store, "@releaseDomain");
    } else {
        other_console_begin(domid);
    }
}

int store_io_open(void)
{
    static const struct store_ops ops = {
        .introduce = on_introduce, .release = on_release, .exists = on_exists, .report = on_report,
        .resume = on_resume, .wake = on_wake, .dirty = on_dirty,
    };
    int rc;

    flush_event = evtimer_new(main_loop, on_flush, NULL);
    the_store = store_new(&ops, NULL, (uint64_t)time(NULL) << 24);
    if (quota_given)
        *store_quota(the_store) = quota;
    rc = store_file_open();
    if (rc) {
        log_error("store: its journal in " RUN_DIR " cannot be opened: %s", strerror(-rc));
        return rc;
    }
    store_each_domain(the_store, restore_conn, NULL);
    rc = ring_open_dom0(store_find_domain(the_store, 0));
    if (rc) {
        log_error("store: cannot connect dom0's kernel: %s", strerror(-rc));
        return rc;
    }
    if (mkdir(STORE_SOCKET_DIR, 0755) < 0 && errno != EEXIST) {
        log_error("store: cannot make " STORE_SOCKET_DIR ": %s", strerror(errno));
        return -errno;
    }
    return listener_open(STORE_SOCKET, on_client, NULL);
}
