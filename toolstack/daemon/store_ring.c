/* SPDX-License-Identifier: MIT */
/*
 * The store's rings. The other side may write anything into the page at any time: indices are read once and checked,
 * our own are kept here and only published there. A ring with nonsense in it is stopped, and no other feels it.
 */
#include "store_ring.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/queue.h>
#include <unistd.h>

#include <xen/xen.h>
#include <xen/io/xs_wire.h>
#include <xen/sys/xenbus_dev.h>

#include "daemon.h"
#include "lib/alloc.h"
#include "lib/foreign.h"
#include "lib/hypercall.h"
#include "lib/log.h"
#include "ports.h"
#include "store_io.h"

struct ring {
    LIST_ENTRY(ring) link; /* of those to flush */
    bool to_flush;
    bool stopped; /* broke the rules; waits for the client to reconnect */
    bool reconnecting; /* begins anew, which is not told yet */
    bool shutdown_told;
    unsigned int stops; /* how often it was stopped */
    uint16_t domid;
    int port;
    struct store_conn *conn;
    struct xenstore_domain_interface *page;
};

static LIST_HEAD(ring_list, ring) flush_list = LIST_HEAD_INITIALIZER(flush_list);

static uint32_t load_index(const XENSTORE_RING_IDX *index)
{
    return __atomic_load_n(index, __ATOMIC_ACQUIRE);
}

static void store_index(XENSTORE_RING_IDX *index, uint32_t value)
{
    __atomic_store_n(index, value, __ATOMIC_RELEASE);
}

void ring_wake(struct ring *ring)
{
    if (ring->to_flush)
        return;
    ring->to_flush = true;
    LIST_INSERT_HEAD(&flush_list, ring, link);
    store_io_flush_soon();
}

/* The client asked to begin anew: both queues empty, no watches, no transactions. */
static void begin_reconnection(struct ring *ring)
{
    log_debug("store: domain %u reconnects its ring", ring->domid);
    store_conn_reset(ring->conn);
    ring->stopped = false;
    ring->reconnecting = true;
    ring_wake(ring);
}

/* Journaled: tell the client. A daemon that is killed before this finds the client asking still. */
static void end_reconnection(struct ring *ring)
{
    struct xenstore_domain_interface *page = ring->page;

    ring->reconnecting = false;
    page->req_cons = page->req_prod = page->rsp_cons = page->rsp_prod = 0;
    page->error = XENSTORE_ERROR_NONE;
    __atomic_store_n(&page->connection, XENSTORE_CONNECTED, __ATOMIC_RELEASE);
    port_notify(ring->port);
}

static void stop(struct ring *ring, uint32_t error, const char *reason)
{
    ring->stopped = true;
    ring->stops++;
    /* A guest may do this again and again: tell of it ever more rarely. */
    if ((ring->stops & (ring->stops - 1)) == 0)
        log_warn("store: ring of domain %u stopped: %s (time %u)", ring->domid, reason, ring->stops);
    ring->page->error = error;
    port_notify(ring->port);
}

/* Take the requests that are in the ring. False if its indices are impossible. */
static bool read_requests(struct ring *ring)
{
    uint32_t consumed = store_conn_consumed(ring->conn);
    uint32_t length = load_index(&ring->page->req_prod) - consumed;
    char data[XENSTORE_RING_SIZE];
    uint32_t first = XENSTORE_RING_SIZE - MASK_XENSTORE_IDX(consumed);

    if (length > XENSTORE_RING_SIZE)
        return false;
    if (first > length)
        first = length;
    memcpy(data, ring->page->req + MASK_XENSTORE_IDX(consumed), first);
    memcpy(data + first, ring->page->req, length - first);
    store_conn_input(ring->conn, data, length);
    return true;
}

/* Put output into the ring. False if its indices are impossible; *moved if anything changed. */
static bool write_output(struct ring *ring, bool *moved)
{
    const void *data;
    size_t length = store_conn_output(ring->conn, &data);
    uint32_t produced = store_conn_produced(ring->conn);
    uint32_t used = produced - load_index(&ring->page->rsp_cons);
    uint32_t first = XENSTORE_RING_SIZE - MASK_XENSTORE_IDX(produced);

    if (used > XENSTORE_RING_SIZE)
        return false;
    if (length > XENSTORE_RING_SIZE - used)
        length = XENSTORE_RING_SIZE - used;
    if (first > length)
        first = length;
    memcpy(ring->page->rsp + MASK_XENSTORE_IDX(produced), data, first);
    memcpy(ring->page->rsp, (const char *)data + first, length - first);
    store_index(&ring->page->rsp_prod, produced + length);
    store_conn_sent(ring->conn, length);
    *moved = length > 0;
    return true;
}

static bool on_notified(void *context)
{
    struct ring *ring = context;

    if (load_index(&ring->page->connection) == XENSTORE_RECONNECT && !ring->reconnecting)
        begin_reconnection(ring);
    if (ring->stopped || ring->reconnecting)
        return true;
    if (read_requests(ring))
        ring_wake(ring);
    else
        stop(ring, XENSTORE_ERROR_RINGIDX, "impossible request indices");
    return true;
}

/* Publish how far requests were taken, and send output; there may be room for more requests then. */
static void flush(struct ring *ring)
{
    bool moved = false;
    uint32_t consumed = store_conn_consumed(ring->conn);

    if (ring->stopped)
        return;
    if (ring->reconnecting) {
        end_reconnection(ring);
        return;
    }
    if (store_conn_dead(ring->conn)) {
        stop(ring, XENSTORE_ERROR_PROTO, "broke the protocol, or does not read its events");
        return;
    }
    if (!write_output(ring, &moved)) {
        stop(ring, XENSTORE_ERROR_RINGIDX, "impossible response indices");
        return;
    }
    if (consumed != ring->page->req_cons) {
        store_index(&ring->page->req_cons, consumed);
        moved = true;
    }
    if (moved)
        port_notify(ring->port);
    if (load_index(&ring->page->req_prod) != consumed && read_requests(ring) &&
        store_conn_consumed(ring->conn) != consumed)
        ring_wake(ring);
}

void rings_flush(void)
{
    struct ring *ring;
    struct ring_list now = flush_list;

    /* Those that wake while these are served come next time, after the journal. */
    LIST_INIT(&flush_list);
    if (!LIST_EMPTY(&now))
        LIST_FIRST(&now)->link.le_prev = &now.lh_first;
    while ((ring = LIST_FIRST(&now))) {
        LIST_REMOVE(ring, link);
        ring->to_flush = false;
        flush(ring);
    }
}

/* A mapped page becomes a ring. */
static int start(uint16_t domid, uint64_t frame, uint32_t remote_port, void *page, struct store_conn *conn)
{
    struct ring *ring = xcalloc(1, sizeof(*ring));

    ring->domid = domid;
    ring->page = page;
    ring->port = port_bind(domid, remote_port, on_notified, ring);
    if (ring->port < 0) {
        int rc = ring->port;

        free(ring);
        return rc;
    }
    if (conn) {
        store_conn_resume(conn, load_index(&ring->page->rsp_prod));
    } else {
        conn = store_conn_domain(the_store, domid, frame, remote_port, load_index(&ring->page->req_cons),
                                 load_index(&ring->page->rsp_prod));
        ring->page->server_features =
            XENSTORE_SERVER_FEATURE_RECONNECTION | XENSTORE_SERVER_FEATURE_ERROR;
    }
    ring->conn = conn;
    store_conn_set_user(conn, ring);
    /* Whatever came before the channel was bound is looked at now; the notice wakes who waits for a store. */
    on_notified(ring);
    port_notify(ring->port);
    return 0;
}

int ring_open(uint16_t domid, uint64_t frame, uint32_t port, struct store_conn *conn)
{
    void *page = foreign_map_one(domid, frame);
    int rc;

    if (!page)
        return -errno;
    rc = start(domid, frame, port, page, conn);
    if (rc)
        foreign_unmap(page, 1);
    return rc;
}

int ring_open_dom0(struct store_conn *conn)
{
    int fd = open("/dev/xen/xenbus_backend", O_RDWR | O_CLOEXEC);
    void *page;
    int port, rc;

    if (fd < 0)
        return -errno;
    port = ioctl(fd, IOCTL_XENBUS_BACKEND_EVTCHN);
    if (port < 0) {
        rc = -errno;
        close(fd);
        return rc;
    }
    page = mmap(NULL, HV_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    rc = page == MAP_FAILED ? -errno : start(0, 0, port, page, conn);
    if (rc && page != MAP_FAILED)
        munmap(page, HV_PAGE_SIZE);
    close(fd);
    return rc;
}

void ring_close(struct ring *ring)
{
    if (ring->to_flush)
        LIST_REMOVE(ring, link);
    port_unbind(ring->port);
    foreign_unmap(ring->page, 1);
    store_conn_free(ring->conn);
    free(ring);
}

int ring_rebind(struct ring *ring, uint32_t port)
{
    int fresh = port_bind(ring->domid, port, on_notified, ring);

    if (fresh < 0)
        return fresh;
    port_unbind(ring->port);
    ring->port = fresh;
    store_conn_set_port(ring->conn, port);
    port_notify(fresh);
    return 0;
}

bool *ring_shutdown_told(struct ring *ring)
{
    return &ring->shutdown_told;
}
