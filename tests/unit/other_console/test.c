/* SPDX-License-Identifier: MIT */
/*
 * Consoles of domains that other tools have made: a ring as a guest has it on one side, a program on the terminal that
 * the store names on the other.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <poll.h>
#include <sys/socket.h>
#include <termios.h>
#include <unistd.h>

#include <cmocka.h>
#include <event2/event.h>
#include <fcntl.h>

#include <xen/xen.h>
#include <xen/io/console.h>

#include "console.h"
#include "daemon.h"
#include "guest_store.h"
#include "lib/foreign.h"
#include "other_console.h"
#include "ports.h"

#define DOMID 7
#define CONSOLE "/local/domain/7/console"

struct event_base *main_loop;
struct store *the_store;

static struct xencons_interface *ring;
static port_fn notified;
static void *notified_context;

void *foreign_map_one(uint32_t domid, xen_pfn_t frame)
{
    assert_int_equal(domid, DOMID);
    assert_int_equal(frame, 1234);
    return ring;
}

void foreign_unmap(void *address, size_t count)
{
    (void)address;
    (void)count;
}

int port_bind(uint32_t domid, uint32_t remote_port, port_fn function, void *context)
{
    assert_int_equal(domid, DOMID);
    assert_int_equal(remote_port, 2);
    notified = function;
    notified_context = context;
    return 1;
}

void port_unbind(int port)
{
    (void)port;
}

void port_notify(int port)
{
    (void)port;
}

void port_unmask(int port)
{
    (void)port;
}

const char *guest_store_name(int domid)
{
    (void)domid;
    return "other";
}

/* --- the guest and the program ------------------------------------------------------------------------------------- */

static void settle(void)
{
    for (int i = 0; i < 20; i++)
        event_base_loop(main_loop, EVLOOP_NONBLOCK);
}

/* The guest takes what has been typed. */
static size_t guest_reads(char *text, size_t size)
{
    size_t length = 0;

    while (ring->in_cons != ring->in_prod && length + 1 < size)
        text[length++] = ring->in[MASK_XENCONS_IDX(ring->in_cons++, ring->in)];
    text[length] = '\0';
    if (notified)
        notified(notified_context);
    settle();
    return length;
}

/* The guest takes so many characters, which may still be on their way through the terminal: alarm() ends a wait in vain. */
static void guest_gets(char *text, size_t length)
{
    size_t got = 0;

    for (;;) {
        got += guest_reads(text + got, length + 1 - got);
        if (got == length)
            return;
        event_base_loop(main_loop, EVLOOP_ONCE);
    }
}

static void program_gets(int fd, char *text, size_t length)
{
    struct pollfd ready = { .fd = fd, .events = POLLIN };

    for (size_t got = 0; got < length;) {
        ssize_t n;

        assert_int_equal(poll(&ready, 1, -1), 1);
        n = read(fd, text + got, length - got);
        assert_true(n > 0);
        got += (size_t)n;
    }
}

static void guest_writes(const char *text)
{
    for (; *text; text++)
        ring->out[MASK_XENCONS_IDX(ring->out_prod++, ring->out)] = *text;
    notified(notified_context);
    settle();
}

/* What `xl console` does with the terminal before it passes anything on. */
static int attach(void)
{
    int fd = open(store_get(the_store, CONSOLE "/tty"), O_RDWR | O_NOCTTY | O_NONBLOCK);
    struct termios termios;

    assert_true(fd >= 0);
    assert_int_equal(tcgetattr(fd, &termios), 0);
    cfmakeraw(&termios);
    assert_int_equal(tcsetattr(fd, TCSANOW, &termios), 0);
    return fd;
}

static void on_dirty(void *context)
{
    (void)context;
}

static int begin(void **state)
{
    static const struct store_ops ops = { .dirty = on_dirty };

    (void)state;
    main_loop = event_base_new();
    the_store = store_new(&ops, NULL, 1);
    ring = calloc(1, 4096);
    other_console_begin(DOMID);
    store_put(the_store, CONSOLE "/type", "xenconsoled");
    store_put(the_store, CONSOLE "/ring-ref", "1234");
    store_put(the_store, CONSOLE "/port", "2");
    store_run_watches(the_store);
    return 0;
}

static int end(void **state)
{
    (void)state;
    other_console_end(DOMID);
    store_free(the_store);
    event_base_free(main_loop);
    free(ring);
    return 0;
}

/* A program on the daemon's own socket, of which one end is given to the console. */
static int view(void)
{
    int ends[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    console_add_viewer(other_console_find(DOMID), bufferevent_socket_new(main_loop, ends[1], BEV_OPT_CLOSE_ON_FREE), 0);
    return ends[0];
}

/* --- tests --------------------------------------------------------------------------------------------------------- */

static void both_directions_work(void **state)
{
    int fd = attach();
    char text[64];

    (void)state;
    guest_writes("login: ");
    program_gets(fd, text, 7);
    assert_memory_equal(text, "login: ", 7);
    assert_int_equal(write(fd, "root\n", 5), 5);
    guest_gets(text, 5);
    assert_string_equal(text, "root\n");
    close(fd);
}

static void input_outlives_the_program_that_sent_it(void **state)
{
    int fd = attach();
    char text[64];

    (void)state;
    assert_int_equal(write(fd, "q", 1), 1);
    close(fd);
    guest_gets(text, 1);
    assert_string_equal(text, "q");
    /* And the terminal is there for the next one. */
    fd = attach();
    guest_writes("bye");
    program_gets(fd, text, 3);
    assert_memory_equal(text, "bye", 3);
    close(fd);
}

static void long_input_comes_whole(void **state)
{
    static char sent[3000], text[4096];
    size_t done = 0, got = 0;
    int fd = attach();

    (void)state;
    for (size_t i = 0; i < sizeof(sent); i++)
        sent[i] = 'a' + i % 26;
    for (;;) {
        ssize_t length = done < sizeof(sent) ? write(fd, sent + done, sizeof(sent) - done) : 0;

        done += length > 0 ? (size_t)length : 0;
        got += guest_reads(text + got, sizeof(text) - got);
        if (got >= sizeof(sent))
            break;
        event_base_loop(main_loop, EVLOOP_ONCE);
    }
    close(fd);
    assert_int_equal(got, sizeof(sent));
    assert_memory_equal(text, sent, sizeof(sent));
}

/* A guest that is not up yet has its input kept, as much as the ring and the daemon hold. */
static void input_waits_for_the_guest(void **state)
{
    static char sent[1500], text[4096];
    int fd = attach();

    (void)state;
    memset(sent, 'x', sizeof(sent));
    assert_int_equal(write(fd, sent, sizeof(sent)), sizeof(sent));
    close(fd);
    settle();
    guest_gets(text, sizeof(sent));
    assert_memory_equal(text, sent, sizeof(sent));
}

/* `printf q | domus console NAME`, in which there is no terminal. */
static void what_is_piped_into_domus_console_arrives(void **state)
{
    int fd = view();
    char text[64];

    (void)state;
    assert_null(other_console_find(DOMID + 1));
    assert_int_equal(write(fd, "q", 1), 1);
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    guest_gets(text, 1);
    assert_string_equal(text, "q");
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(both_directions_work, begin, end),
        cmocka_unit_test_setup_teardown(input_outlives_the_program_that_sent_it, begin, end),
        cmocka_unit_test_setup_teardown(long_input_comes_whole, begin, end),
        cmocka_unit_test_setup_teardown(input_waits_for_the_guest, begin, end),
        cmocka_unit_test_setup_teardown(what_is_piped_into_domus_console_arrives, begin, end),
    };

    alarm(300);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
