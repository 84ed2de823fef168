/* SPDX-License-Identifier: MIT */
/*
 * Fuzzes the store: two guests with a ring each, a program in dom0, a daemon that may be killed at any point. An input is
 * a list of steps: requests put together from words or of raw bytes, whole or torn; the guest's hand in the ring's
 * indices; what the daemon's loop does; a restart. What must hold whatever comes is checked as it goes (check_all).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "describe.h"
#include "foreign.h"
#include "lib/bytes.h"
#include "lib/log.h"
#include "ports.h"
#include "store/internal.h"
#include "store_io.h"
#include "store_ring.h"

#define GUESTS 2 /* domains 1 and 2 */
#define PAGE_SIZE 4096
#define SECRET "what no guest may see"

#define require(condition) \
    do { \
        if (!(condition)) { \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
            abort(); \
        } \
    } while (0)

struct store *the_store;
struct event_base *main_loop;

static struct guest {
    struct xenstore_domain_interface *page;
    port_fn notified;
    void *context;
} guests[GUESTS + 1];

static struct store_conn *program; /* in dom0 */
static struct bytes journal;

/* --- stand-ins for the rest of the daemon -------------------------------------------------------------------------- */

void *foreign_map_one(uint32_t domid, xen_pfn_t frame)
{
    (void)frame;
    return guests[domid].page;
}

void foreign_unmap(void *address, size_t count)
{
    (void)address;
    (void)count;
}

int port_bind(uint32_t domid, uint32_t remote_port, port_fn function, void *context)
{
    guests[domid].notified = function;
    guests[domid].context = context;
    return remote_port;
}

void port_unbind(int port)
{
    (void)port;
}

void port_notify(int port)
{
    (void)port;
}

void store_io_flush_soon(void)
{
}

static int on_introduce(void *context, uint16_t domid, uint64_t frame, uint32_t port)
{
    (void)context;
    if (domid < 1 || domid > GUESTS)
        return -EINVAL;
    if (store_find_domain(the_store, domid))
        return ring_rebind(store_conn_user(store_find_domain(the_store, domid)), port % 100);
    return ring_open(domid, frame, 1, NULL);
}

static void release(uint16_t domid)
{
    if (!store_find_domain(the_store, domid))
        return;
    ring_close(store_conn_user(store_find_domain(the_store, domid)));
    store_forget_domain(the_store, domid);
    guests[domid].notified = NULL;
    store_fire_special(the_store, "@releaseDomain");
}

static int on_release(void *context, uint16_t domid)
{
    (void)context;
    release(domid);
    return 0;
}

static int on_exists(void *context, uint16_t domid)
{
    (void)context;
    return domid <= GUESTS ? 0 : -ESRCH;
}

static int on_report(void *context, const char *path, const char *text, size_t length)
{
    (void)context;
    (void)path;
    (void)text;
    (void)length;
    return 0;
}

static int on_resume(void *context, uint16_t domid)
{
    (void)context;
    (void)domid;
    return 0;
}

static void on_wake(void *context, struct store_conn *conn)
{
    (void)context;
    if (store_conn_user(conn) && !store_conn_is_socket(conn))
        ring_wake(store_conn_user(conn));
}

static void on_dirty(void *context)
{
    (void)context;
}

static const struct store_ops ops = {
    .introduce = on_introduce, .release = on_release, .exists = on_exists, .report = on_report, .resume = on_resume,
    .wake = on_wake, .dirty = on_dirty,
};

/* --- the daemon ---------------------------------------------------------------------------------------------------- */

/* Its limits are such that an input can reach them. */
static struct store *new_store(void)
{
    struct store *store = store_new(&ops, NULL, 1000);
    unsigned int *limit = store_quota(store)->limit;

    limit[QUOTA_NODES] = 12;
    limit[QUOTA_WATCHES] = 5;
    limit[QUOTA_TRANSACTIONS] = 3;
    limit[QUOTA_TRANSACTION_NODES] = 6;
    limit[QUOTA_MEMORY] = 20000;
    return store;
}

static void write_journal(void)
{
    size_t length;
    const void *batch = store_journal(the_store, &length);

    if (length)
        bytes_append(&journal, batch, length);
}

static void take_snapshot(void)
{
    size_t length;
    const void *snapshot = store_snapshot(the_store, &length);

    bytes_clear(&journal);
    bytes_append(&journal, snapshot, length);
}

/* One turn of the loop. */
static void turn(void)
{
    const void *data;

    write_journal();
    rings_flush();
    store_conn_sent(program, store_conn_output(program, &data));
    if (store_conn_dead(program)) {
        store_conn_free(program);
        program = store_conn_socket(the_store, NULL);
    }
}

static void connect_guest(void *context, struct store_conn *conn)
{
    (void)context;
    require(ring_open(store_conn_domid(conn), 1, 1, conn) == 0);
}

static void disconnect_guest(void *context, struct store_conn *conn)
{
    (void)context;
    ring_close(store_conn_user(conn));
}

/* The process ends, wherever it is, and another takes up what the journal says. */
static void kill_and_restart(void)
{
    store_each_domain(the_store, disconnect_guest, NULL);
    store_free(the_store);
    for (int domid = 1; domid <= GUESTS; domid++)
        guests[domid].notified = NULL;
    the_store = new_store();
    require(store_replay(the_store, bytes_front(&journal), bytes_length(&journal)) == bytes_length(&journal));
    store_each_domain(the_store, connect_guest, NULL);
    program = store_conn_socket(the_store, NULL);
}

/* --- what must hold ------------------------------------------------------------------------------------------------ */

static void check_conn(const struct store_conn *conn)
{
    const unsigned int *limit = the_store->quota.limit;
    const struct store_watch *watch;
    const struct transaction *tx;
    unsigned int count = 0;
    size_t bytes = 0;

    LIST_FOREACH(watch, &conn->watches, link) {
        bytes += sizeof(*watch) + sizeof(*watch->group) + sizeof(*watch->group->point) +
                 strlen(watch->group->point->path) + strlen(watch->token);
        count++;
    }
    require(conn->watch_count == count && conn->watch_bytes == bytes);
    require(conn->domid == 0 || count <= limit[QUOTA_WATCHES]);
    count = 0;
    bytes = 0;
    LIST_FOREACH(tx, &conn->transactions, link) {
        bytes += tx->bytes;
        count++;
    }
    require(conn->transaction_count == count && conn->transaction_bytes == bytes);
    require(conn->domid == 0 || count <= limit[QUOTA_TRANSACTIONS]);
    require(!conn->dead || (LIST_EMPTY(&conn->watches) && LIST_EMPTY(&conn->transactions) && !bytes_length(&conn->out)));
    require(bytes_length(&conn->in) < sizeof(struct xsd_sockmsg) + XENSTORE_PAYLOAD_MAX);
}

/* A program that has just come is answered, whatever the others have done. */
static void check_others_are_served(void)
{
    static const char request[] = "/served\0yes", read[] = "/served";
    struct store_conn *other = store_conn_socket(the_store, NULL);
    struct xsd_sockmsg header = { .type = XS_WRITE, .len = sizeof(request) - 1 };
    const void *data;

    store_conn_input(other, &header, sizeof(header));
    store_conn_input(other, request, header.len);
    store_conn_sent(other, store_conn_output(other, &data));
    header.type = XS_READ;
    header.len = sizeof(read);
    store_conn_input(other, &header, sizeof(header));
    store_conn_input(other, read, header.len);
    require(store_conn_output(other, &data) == sizeof(header) + 3);
    require(!memcmp((const char *)data + sizeof(header), "yes", 3));
    store_conn_free(other);
}

static void check_all(void)
{
    struct usage *usage = usage_count(the_store);
    const struct store_conn *conn;

    require(!memcmp(usage, the_store->usage, DOMAINS * sizeof(*usage)));
    free(usage);
    LIST_FOREACH(conn, &the_store->conns, link)
        check_conn(conn);
    check_others_are_served();
}

/* A journal of all that was, or a snapshot, makes the same store. */
static void check_restart(bool snapshot)
{
    struct bytes before = { 0 }, after = { 0 };
    struct store *old = the_store;
    struct store_conn *conn;

    write_journal();
    if (snapshot)
        take_snapshot();
    describe_store(the_store, &before);
    the_store = new_store();
    require(store_replay(the_store, bytes_front(&journal), bytes_length(&journal)) == bytes_length(&journal));
    describe_store(the_store, &after);
    require(bytes_length(&before) == bytes_length(&after));
    require(!memcmp(bytes_front(&before), bytes_front(&after), bytes_length(&before)));
    LIST_FOREACH(conn, &the_store->conns, link)
        check_conn(conn);
    store_free(the_store);
    the_store = old;
    bytes_clear(&before);
    bytes_clear(&after);
}

/* --- the input ----------------------------------------------------------------------------------------------------- */

static const uint8_t *input;
static size_t input_length;

static uint32_t take(uint32_t below)
{
    uint32_t value = 0;

    if (input_length == 0)
        return 0;
    value = *input++;
    input_length--;
    if (below > 256 && input_length > 0) {
        value = value << 8 | *input++;
        input_length--;
    }
    return value % below;
}

static const char *const words[] = {
    "data", "data/a", "data/a/b", "data/c", "/", "/local/domain/1", "/local/domain/1/data", "/local/domain/2/data",
    "/local/domain/1/data/a", "/secret", "/secret/below", "@releaseDomain", "@introduceDomain", "T", "F", "0", "1", "2",
    "3", "7", "r1", "n1", "b2", "w0", "n2", "n0", "", "//", "x y", "check", "quota", "set", "nodes", "20", "memory",
    "help", "memreport", "log", "on", "device", "name",
};

/* A request: its header, and a payload of words, of a long value, or of raw bytes. Returns its size. */
static size_t build_request(char *request)
{
    struct xsd_sockmsg header = { .type = take(XS_TYPE_COUNT + 2), .req_id = 1 };
    char *payload = request + sizeof(header);
    uint32_t shape = take(16);
    size_t length = 0;

    header.tx_id = take(3) ? 0 : take(8);
    if (shape == 0) {
        for (length = take(64); header.len < length; header.len++)
            payload[header.len] = take(256);
    } else {
        for (uint32_t count = shape % 4 + 1; count > 0; count--) {
            const char *word = words[take(sizeof(words) / sizeof(words[0]))];

            strcpy(payload + length, word);
            length += strlen(word) + 1;
        }
        if (shape == 5) {
            size_t more = take(XENSTORE_PAYLOAD_MAX - length);

            memset(payload + length, 'v', more);
            length += more;
        } else if (shape == 6 && length > 0) {
            length--;
        }
        header.len = length;
    }
    if (shape == 7)
        header.len = take(65536) << take(16);
    memcpy(request, &header, sizeof(header));
    return sizeof(header) + length;
}

/* The guest writes into its ring, as far as there is room, and says so, or says something else. */
static void guest_writes(struct guest *guest, const char *data, size_t length)
{
    struct xenstore_domain_interface *page = guest->page;
    uint32_t room = XENSTORE_RING_SIZE - (page->req_prod - page->req_cons);

    if (room > XENSTORE_RING_SIZE)
        room = XENSTORE_RING_SIZE;
    if (length > room)
        length = room;
    for (size_t i = 0; i < length; i++)
        page->req[MASK_XENSTORE_IDX(page->req_prod + i)] = data[i];
    page->req_prod += length;
}

/* The guest reads what has come, and must not find what it may not see. */
static void guest_reads(struct guest *guest)
{
    struct xenstore_domain_interface *page = guest->page;
    char data[XENSTORE_RING_SIZE];
    uint32_t length = page->rsp_prod - page->rsp_cons;

    if (length > XENSTORE_RING_SIZE)
        length = XENSTORE_RING_SIZE;
    for (uint32_t i = 0; i < length; i++)
        data[i] = page->rsp[MASK_XENSTORE_IDX(page->rsp_cons + i)];
    require(!memmem(data, length, SECRET, strlen(SECRET)));
    page->rsp_cons += length;
}

static void guest_disturbs(struct guest *guest)
{
    struct xenstore_domain_interface *page = guest->page;
    uint32_t *const fields[] = { &page->req_prod, &page->req_cons, &page->rsp_prod, &page->rsp_cons,
                                 &page->connection, &page->server_features, &page->error };
    uint32_t *field = fields[take(sizeof(fields) / sizeof(fields[0]))], by = take(65536);

    if (field == &page->connection)
        *field = by % 3;
    else
        *field += take(2) ? by : by << 16 | by;
}

static void notify(struct guest *guest)
{
    if (guest->notified)
        guest->notified(guest->context);
}

static void program_sends(const char *request, size_t length)
{
    /* What it does to the secret would be its own business. */
    if (!memmem(request, length, "secret", 6))
        store_conn_input(program, request, length);
}

static void step(void)
{
    static char request[2 * XENSTORE_PAYLOAD_MAX];
    uint16_t domid = 1 + take(GUESTS);
    struct guest *guest = &guests[domid];
    size_t length;

    switch (take(16)) {
    case 0:
    case 1:
    case 2:
    case 3:
    case 4:
        length = build_request(request);
        guest_writes(guest, request, length);
        notify(guest);
        break;
    case 5:
        /* A part of a request only. */
        length = build_request(request);
        guest_writes(guest, request, take(4096) % (length + 1));
        break;
    case 6:
    case 7:
        length = build_request(request);
        program_sends(request, length);
        break;
    case 8:
        guest_disturbs(guest);
        break;
    case 9:
        notify(guest);
        break;
    case 10:
        guest_reads(guest);
        break;
    case 11:
    case 12:
        turn();
        break;
    case 13:
        /* Between any two of the daemon's steps. */
        if (take(2))
            write_journal();
        kill_and_restart();
        break;
    case 14:
        if (take(4) == 0)
            release(domid);
        else if (!store_find_domain(the_store, domid))
            on_introduce(NULL, domid, 1, 1);
        else
            check_all();
        break;
    default:
        check_restart(take(2));
    }
}

static void prepare(void)
{
    char path[64];

    the_store = new_store();
    program = store_conn_socket(the_store, NULL);
    store_put(the_store, "/secret", SECRET);
    store_put(the_store, "/secret/below", SECRET);
    for (int domid = 1; domid <= GUESTS; domid++) {
        guests[domid].page = calloc(1, PAGE_SIZE);
        snprintf(path, sizeof(path), "/local/domain/%d", domid);
        store_put(the_store, path, "%s", "");
        store_permit(the_store, path, 0, 0, domid, PERM_READ);
        strcat(path, "/data");
        store_put(the_store, path, "%s", "");
        store_permit(the_store, path, domid, 0, domid, 0);
        require(ring_open(domid, 1, 1, NULL) == 0);
    }
    take_snapshot();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    log_set_level(LOG_LEVEL_ERROR);
    input = data;
    input_length = size;
    prepare();
    while (input_length > 0)
        step();
    turn();
    check_all();
    check_restart(false);
    check_restart(true);
    kill_and_restart();
    check_all();
    store_each_domain(the_store, disconnect_guest, NULL);
    store_free(the_store);
    bytes_clear(&journal);
    for (int domid = 1; domid <= GUESTS; domid++)
        free(guests[domid].page);
    memset(guests, 0, sizeof(guests));
    return 0;
}
