/* SPDX-License-Identifier: MIT */
/*
 * The store's input and output: the journal's file, the socket for programs in dom0, the rings of domains.
 *
 * Whatever touches the store only asks for a flush; it runs when the event loop has called all that was ready: local
 * watches are told, the journal is written, and only then output goes to sockets and rings.
 */
#ifndef DOMUSD_STORE_IO_H
#define DOMUSD_STORE_IO_H

#include <stdbool.h>
#include <stdint.h>

#include "domain_set.h"

#define STORE_SOCKET_DIR "/run/xenstored"
#define STORE_SOCKET STORE_SOCKET_DIR "/socket"

/* Take "name=number" as the quota of each domain, before store_io_open; false if it is no such thing. */
bool store_io_quota(const char *setting);

/*
 * Make the_store from the journal, listen on the socket, connect dom0's kernel and the domains that the journal tells
 * of. 0 or -errno.
 */
int store_io_open(void);

/* Connect domain `domid` by its ring at frame `frame` and its unbound port `port`. 0 or -errno. */
int store_introduce(uint16_t domid, uint64_t frame, uint32_t port);

/* End that connection; watchers of @releaseDomain hear of it. No error if there is none. */
void store_release(uint16_t domid);

/* Have a flush soon. */
void store_io_flush_soon(void);

/* See in `set` which connected domains are gone, dying or newly shut down, and tell watchers of @releaseDomain. */
void store_check_domains(const struct domain_set *set);

#endif
