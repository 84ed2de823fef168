/* SPDX-License-Identifier: MIT */
/*
 * A guest that attacks the store, for tests/system: as an unprivileged domain it sends bad lengths and torn messages,
 * makes its ring's indices run wild, opens a thousand transactions, watches everything, fills what it can and never reads
 * what comes. After each attack it begins anew, and must be served as if nothing had been. What it has to say goes to its
 * console.
 */
#include "kernel.h"

#include <xen/io/console.h>
#include <xen/io/xs_wire.h>

#define VIRT_BASE 0xffffffff80000000UL

static struct xenstore_domain_interface *store;
static struct xencons_interface *console;

/* ---- Console ---- */

static void say(const char *text)
{
    struct evtchn_send send = { .port = start_info->console.domU.evtchn };

    for (; *text; text++) {
        while (console->out_prod - console->out_cons >= sizeof(console->out)) {
            HCALL(event_channel_op, EVTCHNOP_send, &send, 0, 0, 0);
            HCALL(sched_op, SCHEDOP_yield, 0, 0, 0, 0);
        }
        console->out[MASK_XENCONS_IDX(console->out_prod, console->out)] = *text;
        asm volatile("" ::: "memory");
        console->out_prod++;
    }
    HCALL(event_channel_op, EVTCHNOP_send, &send, 0, 0, 0);
}

/* What check() finds goes to the hypervisor's console only: say at least that there is something. */
#define must(condition) \
    do { \
        if (!(condition)) { \
            say("ATTACK-FAILED " #condition "\n"); \
            fail(__FILE__, __LINE__, "%s", #condition); \
        } \
    } while (0)

/* ---- The ring ---- */

static void notify(void)
{
    struct evtchn_send send = { .port = start_info->store_evtchn };

    HCALL(event_channel_op, EVTCHNOP_send, &send, 0, 0, 0);
}

/* Wait until *field, which the daemon changes, is `value`, or is not any more. Should it never be, dom0 gives up. */
static void wait_for(volatile uint32_t *field, uint32_t value, bool equal)
{
    while ((*field == value) != equal)
        HCALL(sched_op, SCHEDOP_yield, 0, 0, 0, 0);
}

/* Whether replies are thrown away where there is no room for requests: else the daemon waits for them to be read. */
static bool careless;

static void put(const void *data, uint32_t length)
{
    for (uint32_t i = 0; i < length; i++) {
        while (store->req_prod - store->req_cons >= XENSTORE_RING_SIZE) {
            if (careless)
                store->rsp_cons = store->rsp_prod;
            notify();
            HCALL(sched_op, SCHEDOP_yield, 0, 0, 0, 0);
        }
        store->req[MASK_XENSTORE_IDX(store->req_prod)] = ((const char *)data)[i];
        asm volatile("" ::: "memory");
        store->req_prod++;
    }
}

static void get(void *data, uint32_t length)
{
    for (uint32_t i = 0; i < length; i++) {
        uint32_t at = store->rsp_cons;

        if (store->rsp_prod == at) {
            notify();
            wait_for(&store->rsp_prod, at, false);
        }
        ((char *)data)[i] = store->rsp[MASK_XENSTORE_IDX(at)];
        asm volatile("" ::: "memory");
        store->rsp_cons = at + 1;
    }
}

static void put_header(uint32_t type, uint32_t tx, uint32_t length)
{
    struct xsd_sockmsg header = { .type = type, .tx_id = tx, .len = length };

    put(&header, sizeof(header));
}

static char answer[XENSTORE_PAYLOAD_MAX + 1];

/* The reply to what was sent, events left out: its type, with its payload in `answer`; -1 if it is none. */
static int reply(void)
{
    struct xsd_sockmsg header;

    do {
        get(&header, sizeof(header));
        if (header.len > XENSTORE_PAYLOAD_MAX)
            return -1;
        get(answer, header.len);
        answer[header.len] = '\0';
    } while (header.type == XS_WATCH_EVENT);
    return (int)header.type;
}

/* `payload` with its NULs, of this length. */
static int request(uint32_t type, uint32_t tx, const char *payload, uint32_t length)
{
    put_header(type, tx, length);
    put(payload, length);
    notify();
    return reply();
}
#define REQUEST(type, tx, payload) request(type, tx, payload, sizeof(payload))

static bool same(const char *a, const char *b)
{
    while (*a && *a == *b)
        a++, b++;
    return *a == *b;
}

static bool refused(int type, const char *error)
{
    return type == XS_ERROR && same(answer, error);
}

/* Everything works as at first; with `anew` after a new start. */
static void must_be_served(bool anew)
{
    if (anew) {
        store->connection = XENSTORE_RECONNECT;
        notify();
        wait_for(&store->connection, XENSTORE_CONNECTED, true);
        must(store->error == XENSTORE_ERROR_NONE);
        must(store->req_prod == store->req_cons && store->rsp_prod == store->rsp_cons);
    }
    must(REQUEST(XS_GET_DOMAIN_PATH, 0, "7") == XS_GET_DOMAIN_PATH && same(answer, "/local/domain/7"));
    must(request(XS_WRITE, 0, "data/v\0value", 12) == XS_WRITE);
    must(REQUEST(XS_READ, 0, "data/v") == XS_READ && same(answer, "value"));
}

/* A number as text; returns its end. */
static char *put_text_number(char *to, unsigned int number)
{
    char digits[12];
    int count = 0;

    do {
        digits[count++] = '0' + number % 10;
        number /= 10;
    } while (number);
    while (count > 0)
        *to++ = digits[--count];
    return to;
}

/* ---- Attacks ---- */

static void test_bad_lengths(void)
{
    static const uint32_t lengths[] = { XENSTORE_PAYLOAD_MAX + 1, 65536, 0x7fffffff, 0x80000000, 0xfffffff0, 0xffffffff };

    for (unsigned int i = 0; i < ARRAY_SIZE(lengths); i++) {
        put_header(XS_READ, 0, lengths[i]);
        notify();
        wait_for(&store->error, XENSTORE_ERROR_PROTO, true);
        must_be_served(true);
    }
}

static void test_torn_messages(void)
{
    struct xsd_sockmsg header = { .type = XS_READ, .len = 7 };

    for (unsigned int i = 0; i < sizeof(header); i++) {
        put((const char *)&header + i, 1);
        notify();
    }
    put("data", 4);
    notify();
    put("/v", 3);
    notify();
    must(reply() == XS_READ && same(answer, "value"));
    /* Half of one, and gone. */
    put_header(XS_WRITE, 0, 4000);
    put("data/torn", 10);
    notify();
    must_be_served(true);
    must(refused(REQUEST(XS_READ, 0, "data/torn"), "ENOENT"));
}

static void test_wild_indices(void)
{
    static const uint32_t steps[] = { 1, 1023, 1024, 1025, 4096, 0x7fffffff, 0x80000000, 0xffffffff };

    for (unsigned int i = 0; i < ARRAY_SIZE(steps); i++) {
        volatile uint32_t *indices[] = { &store->req_prod, &store->req_cons, &store->rsp_prod, &store->rsp_cons };

        for (unsigned int k = 0; k < ARRAY_SIZE(indices); k++) {
            *indices[k] += steps[i];
            notify();
            *indices[k] -= steps[i] / 2;
            notify();
            must_be_served(true);
        }
    }
}

static void test_a_thousand_transactions(void)
{
    unsigned int begun = 0;

    for (unsigned int i = 0; i < 1000; i++) {
        int type = REQUEST(XS_TRANSACTION_START, 0, "");

        begun += type == XS_TRANSACTION_START;
        must(type == XS_TRANSACTION_START || refused(type, "ENOSPC"));
    }
    must(begun == 10);
    must_be_served(false);
    must(REQUEST(XS_RESET_WATCHES, 0, "") == XS_RESET_WATCHES);
    must(REQUEST(XS_TRANSACTION_START, 0, "") == XS_TRANSACTION_START);
}

static void test_watches_on_everything(void)
{
    static const char *const paths[] = { "/", "/local", "/local/domain", "data", "@releaseDomain", "@introduceDomain" };
    unsigned int set = 0;
    char payload[64];

    for (unsigned int i = 0; i < 1500; i++) {
        const char *path = paths[i % ARRAY_SIZE(paths)];
        char *end = payload;
        int type;

        while (*path)
            *end++ = *path++;
        *end++ = '\0';
        end = put_text_number(end, i);
        *end++ = '\0';
        type = request(XS_WATCH, 0, payload, end - payload);
        set += type == XS_WATCH;
        must(type == XS_WATCH || refused(type, "E2BIG"));
    }
    must(set == 128);
    /* Each write makes dozens of events; they are not read, as long as the daemon takes requests. */
    for (unsigned int i = 0; i < 300; i++) {
        put_header(XS_WRITE, 0, 8);
        put("data/v\0x", 8);
        notify();
        if (store->req_prod - store->req_cons > XENSTORE_RING_SIZE / 2)
            break;
    }
    must_be_served(true);
}

static void test_fill_it(void)
{
    unsigned int made = 0;
    char payload[4096];

    for (unsigned int i = 0; i < 1200; i++) {
        char *end = payload;
        int type;

        memcpy(end, "data/n", 6);
        end = put_text_number(end + 6, i);
        *end++ = '\0';
        memset(end, 'v', 1500);
        type = request(XS_WRITE, 0, payload, end - payload + 1500);
        made += type == XS_WRITE;
        must(type == XS_WRITE || refused(type, "ENOSPC"));
    }
    must(made > 900 && made < 1000);
    memset(payload, 'v', sizeof(payload));
    memcpy(payload, "data/n1", 8);
    must(refused(request(XS_WRITE, 0, payload, 8 + 2049), "ENOSPC"));
    /* Room comes back with what goes. */
    must(REQUEST(XS_RM, 0, "data/n1") == XS_RM);
    must(request(XS_WRITE, 0, "data/n1\0v", 9) == XS_WRITE);
}

static void test_what_is_others(void)
{
    must(refused(REQUEST(XS_READ, 0, "/secret"), "EACCES"));
    must(refused(REQUEST(XS_DIRECTORY, 0, "/"), "EACCES"));
    must(refused(REQUEST(XS_READ, 0, "/local/domain/0/name"), "EACCES"));
    must(refused(request(XS_WRITE, 0, "/secret\0x", 9), "EACCES"));
    must(refused(request(XS_SET_PERMS, 0, "/secret\0b0", 11), "EACCES"));
    must(refused(REQUEST(XS_RM, 0, "/secret"), "EACCES"));
    must(refused(REQUEST(XS_RELEASE, 0, "0"), "EACCES"));
    must(refused(request(XS_SET_TARGET, 0, "1\0" "0", 4), "EACCES"));
    must(refused(REQUEST(XS_CONTROL, 0, "quota"), "EACCES"));
}

/* As fast as it can, for a while. */
static void test_flood(void)
{
    careless = true;
    for (unsigned int i = 0; i < 3000; i++) {
        put_header(XS_GET_DOMAIN_PATH, 0, 2);
        put("1", 2);
        store->rsp_cons = store->rsp_prod;
        notify();
    }
    careless = false;
    must_be_served(true);
}

/* ---- Start ---- */

static void *map_frame(unsigned long mfn)
{
    return (void *)(VIRT_BASE + (machine_to_phys_mapping[mfn] << PAGE_SHIFT));
}

static void test_first_contact(void)
{
    store = map_frame(start_info->store_mfn);
    console = map_frame(start_info->console.domU.mfn);
    say("ATTACK-BEGINS\n");
    must(store->server_features & XENSTORE_SERVER_FEATURE_RECONNECTION);
    must_be_served(false);
}

static void test_end(void)
{
    say("ATTACK-DONE\n");
}

TESTS({ "first contact", test_first_contact }, { "bad lengths", test_bad_lengths },
      { "torn messages", test_torn_messages }, { "wild indices", test_wild_indices },
      { "a thousand transactions", test_a_thousand_transactions },
      { "watches on everything", test_watches_on_everything }, { "what is others'", test_what_is_others },
      { "flood", test_flood }, { "fill it", test_fill_it }, { "end", test_end });
