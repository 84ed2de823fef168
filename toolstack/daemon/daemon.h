/* SPDX-License-Identifier: MIT */
/*
 * domusd: what all its files share. One thread, one event loop (libevent); nothing in it waits. Whatever blocks is done
 * by a child process (child.h).
 *
 * The daemon may be killed at any moment. What it must know afterwards is in RUN_DIR before anyone else can see its
 * effects: the store's journal (store_io.h) and one record a domain (domain.h). RUN_DIR lives and dies with the host's
 * uptime, as the domains do.
 */
#ifndef DOMUSD_DAEMON_H
#define DOMUSD_DAEMON_H

#include <event2/event.h>

#include "store/store.h"

/* Tests have others. */
#ifndef RUN_DIR
#define RUN_DIR "/run/domus"
#define LOG_DIR "/var/log/domus"
#endif

extern struct event_base *main_loop;
extern struct store *the_store;

#endif
