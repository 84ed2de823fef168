/* SPDX-License-Identifier: MIT */
/*
 * Consoles of domains that other tools have made, as xenconsoled serves them: a terminal each, whose name is in the
 * store. Those tools say in the store where the ring is, some time after they have introduced the domain.
 */
#include "other_console.h"

#include <errno.h>
#include <event2/bufferevent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <termios.h>
#include <unistd.h>

#include "console.h"
#include "daemon.h"
#include "guest_store.h"
#include "lib/alloc.h"
#include "lib/log.h"

struct other_console {
    LIST_ENTRY(other_console) link;
    uint16_t domid;
    int slave; /* held, so that the terminal stays when its reader leaves */
    struct console *console; /* NULL: not known yet where its ring is */
    struct store_watch *watch;
};

static LIST_HEAD(, other_console) others = LIST_HEAD_INITIALIZER(others);

/* The value of a node of the domain's console, or "". */
static const char *console_node(uint16_t domid, const char *key)
{
    char path[64];
    const char *value;

    snprintf(path, sizeof(path), "/local/domain/%u/console/%s", domid, key);
    value = store_get(the_store, path);
    return value ? value : "";
}

/* Make a terminal and say in the store which it is. 0 or -errno. */
static int open_terminal(struct other_console *other)
{
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC), rc;
    struct termios termios;
    char name[64], path[64];

    if (master < 0)
        return -errno;
    rc = ptsname_r(master, name, sizeof(name));
    if (rc == 0 && (grantpt(master) < 0 || unlockpt(master) < 0))
        rc = errno;
    other->slave = rc ? -1 : open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (other->slave < 0 || tcgetattr(other->slave, &termios) < 0) {
        rc = rc ? rc : errno;
        close(master);
        return -rc;
    }
    cfmakeraw(&termios);
    tcsetattr(other->slave, TCSANOW, &termios);
    console_add_terminal(other->console, bufferevent_socket_new(main_loop, master, BEV_OPT_CLOSE_ON_FREE));
    snprintf(path, sizeof(path), "/local/domain/%u/console/tty", other->domid);
    store_put(the_store, path, "%s", name);
    return 0;
}

/* Something of the console's nodes has come: begin when all is there. */
static void on_nodes(void *context, const char *changed)
{
    struct other_console *other = context;
    uint64_t frame = strtoull(console_node(other->domid, "ring-ref"), NULL, 10);
    uint32_t port = strtoul(console_node(other->domid, "port"), NULL, 10);
    const char *name = guest_store_name(other->domid);
    char number[16];
    int rc;

    (void)changed;
    if (other->console || !frame || !port || strcmp(console_node(other->domid, "type"), "xenconsoled"))
        return;
    snprintf(number, sizeof(number), "%u", other->domid);
    other->console = console_new(*name && !strchr(name, '/') ? name : number, false);
    rc = console_attach(other->console, other->domid, frame, port);
    if (rc == 0)
        rc = open_terminal(other);
    if (rc) {
        log_warn("console of domain %u: %s", other->domid, strerror(-rc));
        console_free(other->console);
        other->console = NULL;
    }
}

static struct other_console *find(uint16_t domid)
{
    struct other_console *other;

    LIST_FOREACH(other, &others, link) {
        if (other->domid == domid)
            return other;
    }
    return NULL;
}

struct console *other_console_find(uint16_t domid)
{
    struct other_console *other = find(domid);

    return other ? other->console : NULL;
}

void other_console_begin(uint16_t domid)
{
    struct other_console *other;
    char path[64];

    if (find(domid))
        return;
    other = xcalloc(1, sizeof(*other));
    other->domid = domid;
    other->slave = -1;
    snprintf(path, sizeof(path), "/local/domain/%u/console", domid);
    other->watch = store_watch_local(the_store, path, on_nodes, other);
    LIST_INSERT_HEAD(&others, other, link);
    on_nodes(other, path);
}

void other_console_end(uint16_t domid)
{
    struct other_console *other = find(domid);

    if (!other)
        return;
    LIST_REMOVE(other, link);
    store_unwatch_local(the_store, other->watch);
    if (other->console)
        console_free(other->console);
    if (other->slave >= 0)
        close(other->slave);
    free(other);
}
