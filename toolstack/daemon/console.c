/* SPDX-License-Identifier: MIT */
/*
 * Consoles. A guest may write as fast as it can: what it writes is taken in slices, at most RATE_BYTES in RATE_PERIOD,
 * then its ring rests until the next period; logs are turned over at LOG_SIZE_MAX; a viewer that lags is dropped.
 */
#include "console.h"

#include <errno.h>
#include <event2/buffer.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/stat.h>
#include <unistd.h>

#include <xen/xen.h>
#include <xen/io/console.h>

#include "daemon.h"
#include "lib/alloc.h"
#include "lib/bytes.h"
#include "lib/foreign.h"
#include "lib/log.h"
#include "ports.h"

#define RATE_BYTES (256U * 1024)
#define RATE_PERIOD_MS 100
#define LOG_SIZE_MAX (4L << 20)
#define VIEWER_LAG_MAX (1U << 20)
#define INPUT_MAX 4096
#define REPLAY_MAX (1U << 20)

struct viewer {
    LIST_ENTRY(viewer) link;
    struct console *console;
    struct bufferevent *connection;
    bool terminal; /* stays, though nobody may read it */
};

struct console {
    char *name;
    int log_fd;
    long log_size;
    uint16_t domid;
    int port;                        /* -1: no domain */
    struct xencons_interface *page;  /* NULL: no domain */
    uint32_t out_cons, in_prod;      /* our indices; the page's copies are not trusted */
    bool complained;
    uint32_t period_bytes;
    struct event *period;
    struct bytes input;
    LIST_HEAD(, viewer) viewers;
};

/* --- log --------------------------------------------------------------------------------------------------------- */

static char *log_path(const char *name, const char *suffix)
{
    return xasprintf("%s/console-%s.log%s", LOG_DIR, name, suffix);
}

static void log_open(struct console *console)
{
    char *path = log_path(console->name, "");
    struct stat info;

    console->log_fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (console->log_fd < 0)
        log_warn("console of %s: cannot open %s: %s", console->name, path, strerror(errno));
    console->log_size = console->log_fd >= 0 && fstat(console->log_fd, &info) == 0 ? info.st_size : 0;
    free(path);
}

/* Put the log of that name aside, in the place of the one before. */
static void log_put_aside(const char *name)
{
    char *path = log_path(name, ""), *old = log_path(name, ".1");

    if (rename(path, old) < 0 && errno != ENOENT)
        log_warn("console of %s: cannot rename %s: %s", name, path, strerror(errno));
    free(path);
    free(old);
}

static void log_turn_over(struct console *console)
{
    log_put_aside(console->name);
    close(console->log_fd);
    log_open(console);
}

static void log_write(struct console *console, const void *data, size_t length)
{
    if (console->log_fd < 0)
        return;
    if (console->log_size > LOG_SIZE_MAX)
        log_turn_over(console);
    /* A full disk loses the log, not the console. */
    if (console->log_fd >= 0 && write(console->log_fd, data, length) > 0)
        console->log_size += length;
}

/* --- the ring ---------------------------------------------------------------------------------------------------- */

static void viewer_free(struct viewer *viewer)
{
    LIST_REMOVE(viewer, link);
    bufferevent_free(viewer->connection);
    free(viewer);
}

static void output(struct console *console, const void *data, size_t length)
{
    struct viewer *viewer, *next;

    log_write(console, data, length);
    for (viewer = LIST_FIRST(&console->viewers); viewer; viewer = next) {
        next = LIST_NEXT(viewer, link);
        bufferevent_write(viewer->connection, data, length);
        if (evbuffer_get_length(bufferevent_get_output(viewer->connection)) <= VIEWER_LAG_MAX)
            continue;
        if (viewer->terminal)
            evbuffer_drain(bufferevent_get_output(viewer->connection), VIEWER_LAG_MAX / 2);
        else
            viewer_free(viewer);
    }
}

/* Take what the guest wrote; returns how much it was. */
static uint32_t read_ring(struct console *console)
{
    struct xencons_interface *page = console->page;
    uint32_t produced = __atomic_load_n(&page->out_prod, __ATOMIC_ACQUIRE);
    uint32_t length = produced - console->out_cons;
    uint32_t start = MASK_XENCONS_IDX(console->out_cons, page->out);
    uint32_t first = sizeof(page->out) - start;
    char data[sizeof(page->out)];

    if (length > sizeof(page->out)) {
        if (!console->complained)
            log_warn("console of %s: impossible indices in the ring of domain %u", console->name, console->domid);
        console->complained = true;
        length = 0;
    }
    if (first > length)
        first = length;
    memcpy(data, page->out + start, first);
    memcpy(data + first, page->out, length - first);
    if (length)
        output(console, data, length);
    /* After nonsense, start again from where the guest says it is. */
    console->out_cons = produced;
    __atomic_store_n(&page->out_cons, produced, __ATOMIC_RELEASE);
    return length;
}

/* Give the guest what was typed, as far as there is room; returns whether anything moved. */
static bool write_ring(struct console *console)
{
    struct xencons_interface *page = console->page;
    uint32_t used = console->in_prod - __atomic_load_n(&page->in_cons, __ATOMIC_ACQUIRE);
    size_t length = bytes_length(&console->input);

    if (used > sizeof(page->in))
        return false;
    if (length > sizeof(page->in) - used)
        length = sizeof(page->in) - used;
    for (size_t i = 0; i < length; i++)
        page->in[MASK_XENCONS_IDX(console->in_prod + i, page->in)] = bytes_front(&console->input)[i];
    if (length == 0)
        return false;
    bytes_drop(&console->input, length);
    console->in_prod += length;
    __atomic_store_n(&page->in_prod, console->in_prod, __ATOMIC_RELEASE);
    return true;
}

static void take_input(struct viewer *viewer);

/* Viewers may send on when there is room for what they type. */
static void pull_input(struct console *console)
{
    struct viewer *viewer;

    LIST_FOREACH(viewer, &console->viewers, link)
        take_input(viewer);
}

static void serve(struct console *console)
{
    uint32_t length = read_ring(console);
    bool moved = write_ring(console);

    console->period_bytes += length;
    if (length || moved)
        port_notify(console->port);
    if (moved)
        pull_input(console);
}

static bool on_notified(void *context)
{
    static const struct timeval period = { .tv_usec = RATE_PERIOD_MS * 1000 };
    struct console *console = context;

    serve(console);
    if (!evtimer_pending(console->period, NULL))
        evtimer_add(console->period, &period);
    return console->period_bytes < RATE_BYTES;
}

static void on_period(int fd, short what, void *context)
{
    struct console *console = context;
    bool rested = console->period_bytes >= RATE_BYTES;

    (void)fd;
    (void)what;
    console->period_bytes = 0;
    if (rested && console->page) {
        serve(console);
        port_unmask(console->port);
    }
}

/* --- viewers ----------------------------------------------------------------------------------------------------- */

static void take_input(struct viewer *viewer)
{
    struct evbuffer *buffer = bufferevent_get_input(viewer->connection);
    struct console *console = viewer->console;
    size_t room = INPUT_MAX - bytes_length(&console->input);
    char data[INPUT_MAX];
    int got = room ? evbuffer_remove(buffer, data, room) : 0;

    if (got > 0)
        bytes_append(&console->input, data, got);
    /* The watermark alone would have libevent call again and again for what has to wait. */
    if (evbuffer_get_length(buffer) >= INPUT_MAX)
        bufferevent_disable(viewer->connection, EV_READ);
    else
        bufferevent_enable(viewer->connection, EV_READ);
}

static void on_viewer_input(struct bufferevent *connection, void *context)
{
    struct viewer *viewer = context;
    struct console *console = viewer->console;

    (void)connection;
    take_input(viewer);
    if (console->page && write_ring(console))
        port_notify(console->port);
}

static void on_viewer_gone(struct bufferevent *connection, short what, void *context)
{
    (void)connection;
    (void)what;
    viewer_free(context);
}

/* The end of the log, as far as it is in the current file. */
static void replay_log(struct console *console, struct bufferevent *connection, unsigned int bytes)
{
    off_t size = console->log_fd >= 0 ? lseek(console->log_fd, 0, SEEK_END) : 0;
    char *data;
    ssize_t got;

    if (bytes > REPLAY_MAX)
        bytes = REPLAY_MAX;
    if (size <= 0)
        return;
    if (bytes > size)
        bytes = size;
    data = xmalloc(bytes);
    got = pread(console->log_fd, data, bytes, size - bytes);
    if (got > 0)
        bufferevent_write(connection, data, got);
    free(data);
}

static void add_viewer(struct console *console, struct bufferevent *connection, unsigned int replay, bool terminal)
{
    struct viewer *viewer = xcalloc(1, sizeof(*viewer));

    viewer->console = console;
    viewer->connection = connection;
    viewer->terminal = terminal;
    LIST_INSERT_HEAD(&console->viewers, viewer, link);
    replay_log(console, connection, replay);
    bufferevent_setwatermark(connection, EV_READ, 0, INPUT_MAX);
    bufferevent_setcb(connection, on_viewer_input, NULL, on_viewer_gone, viewer);
    bufferevent_enable(connection, EV_READ | EV_WRITE);
    on_viewer_input(connection, viewer);
}

void console_add_viewer(struct console *console, struct bufferevent *connection, unsigned int replay)
{
    add_viewer(console, connection, replay, false);
}

void console_add_terminal(struct console *console, struct bufferevent *terminal)
{
    add_viewer(console, terminal, 0, true);
}

/* --- life -------------------------------------------------------------------------------------------------------- */

struct console *console_new(const char *name, bool fresh)
{
    struct console *console = xcalloc(1, sizeof(*console));

    console->name = xstrdup(name);
    console->port = -1;
    console->period = evtimer_new(main_loop, on_period, console);
    LIST_INIT(&console->viewers);
    if (fresh)
        log_put_aside(name);
    log_open(console);
    return console;
}

void console_free(struct console *console)
{
    console_detach(console);
    while (!LIST_EMPTY(&console->viewers)) {
        struct viewer *viewer = LIST_FIRST(&console->viewers);

        /* Let the last words out: the socket takes what it can at once. */
        evbuffer_write(bufferevent_get_output(viewer->connection), bufferevent_getfd(viewer->connection));
        viewer_free(viewer);
    }
    event_free(console->period);
    if (console->log_fd >= 0)
        close(console->log_fd);
    bytes_clear(&console->input);
    free(console->name);
    free(console);
}

void console_rename(struct console *console, const char *name)
{
    char *from = log_path(console->name, ""), *to = log_path(name, "");

    if (rename(from, to) < 0 && errno != ENOENT)
        log_warn("console of %s: cannot rename its log: %s", name, strerror(errno));
    free(from);
    free(to);
    free(console->name);
    console->name = xstrdup(name);
}

int console_attach(struct console *console, uint16_t domid, uint64_t frame, uint32_t port)
{
    struct xencons_interface *page = foreign_map_one(domid, frame);
    int local;

    if (!page)
        return -errno;
    local = port_bind(domid, port, on_notified, console);
    if (local < 0) {
        foreign_unmap(page, 1);
        return local;
    }
    console->domid = domid;
    console->port = local;
    console->page = page;
    console->out_cons = page->out_cons;
    console->in_prod = page->in_prod;
    console->complained = false;
    serve(console);
    port_notify(local);
    return 0;
}

void console_detach(struct console *console)
{
    if (!console->page)
        return;
    read_ring(console);
    port_unbind(console->port);
    foreign_unmap(console->page, 1);
    console->port = -1;
    console->page = NULL;
    event_del(console->period);
    console->period_bytes = 0;
}
