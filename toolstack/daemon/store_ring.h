/* SPDX-License-Identifier: MIT */
/*
 * The store's rings: one page shared with each domain, and an event channel (public/io/xs_wire.h, xenstore-ring.txt).
 */
#ifndef DOMUSD_STORE_RING_H
#define DOMUSD_STORE_RING_H

#include <stdbool.h>
#include <stdint.h>

#include "store/store.h"

struct ring;

/*
 * Map the ring and bind its channel. With `conn` NULL a new connection is made; otherwise `conn`, from the journal, is
 * taken up where the ring shows it stands. 0 or -errno.
 */
int ring_open(uint16_t domid, uint64_t frame, uint32_t port, struct store_conn *conn);
/* dom0's kernel: the ring is found through the kernel. */
int ring_open_dom0(struct store_conn *conn);

/* Unmap, unbind and end the connection. */
void ring_close(struct ring *ring);

/* Bind to another port of the domain. */
int ring_rebind(struct ring *ring, uint32_t port);

/* There may be something to send. */
void ring_wake(struct ring *ring);
/* Journaled: move output of all rings that were woken or read from. */
void rings_flush(void);

/* Whether it was told that the domain is shut down; a domain that was resumed may be told again. */
bool *ring_shutdown_told(struct ring *ring);

#endif
