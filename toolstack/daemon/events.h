/* SPDX-License-Identifier: MIT */
/*
 * What happens to domains, told as it happens to whoever listens (docs/control-protocol.md, `events`).
 */
#ifndef DOMUSD_EVENTS_H
#define DOMUSD_EVENTS_H

#include <event2/bufferevent.h>
#include <stdint.h>

#include <jansson.h>

#include "domain.h"

/*
 * Tell that `event` has happened to `domain`. The members of `more` are told too: a reference that is taken, or NULL.
 */
void event_tell(const struct domain *domain, const char *event, json_t *more);

/* How many of up to `wanted` earlier events are remembered. */
unsigned int event_replayable(uint64_t wanted);

/* Make a connection a listener, which first gets `replay` earlier events. Takes over the connection. */
void event_add_listener(struct bufferevent *connection, unsigned int replay);

#endif
