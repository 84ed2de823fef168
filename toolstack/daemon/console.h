/* SPDX-License-Identifier: MIT */
/*
 * Consoles of domains: the ring that a PV guest writes to (public/io/console.h), a log file each, and any number of
 * viewers.
 */
#ifndef DOMUSD_CONSOLE_H
#define DOMUSD_CONSOLE_H

#include <event2/bufferevent.h>
#include <stdbool.h>
#include <stdint.h>

struct console;

/*
 * A console without a domain behind it yet; its log is LOG_DIR/console-NAME.log. `fresh`: an earlier domain's log of
 * that name is put aside.
 */
struct console *console_new(const char *name, bool fresh);
/* Viewers are hung up on. */
void console_free(struct console *console);

/* The console has another name: so has its log. */
void console_rename(struct console *console, const char *name);

/* Serve the ring of domain `domid` at frame `frame` with its unbound port `port`. 0 or -errno. */
int console_attach(struct console *console, uint16_t domid, uint64_t frame, uint32_t port);
/* Take what is left in the ring, and let go of it. Viewers stay. */
void console_detach(struct console *console);

/*
 * Make a connection a viewer: it gets the last `replay` bytes of the log, then all output; what it sends is input.
 * Takes over the connection.
 */
void console_add_viewer(struct console *console, struct bufferevent *connection, unsigned int replay);

/* The same for a terminal, which is kept though nobody may read it: what is old is dropped then. */
void console_add_terminal(struct console *console, struct bufferevent *terminal);

#endif
