/* SPDX-License-Identifier: MIT */
/*
 * The host and all its domains, managed or not, as the hypervisor tells of them.
 */
#ifndef DOMUSD_HOST_H
#define DOMUSD_HOST_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "domain.h"
#include "lib/hypercall.h"

/* Seconds since the host's start, which no change of its clock affects. */
time_t host_uptime(void);

/* Into `text` of 37 bytes. */
void host_format_uuid(const xen_domain_handle_t handle, char *text);

/* The other way; `text` is well formed. */
void host_parse_uuid(const char *text, xen_domain_handle_t handle);

/* "poweroff" and the like for SHUTDOWN_*. */
const char *host_shutdown_reason(unsigned int reason);

/* False, with *failure set, if a domain that others made has the name. */
bool host_name_free(const char *name, struct failure *failure);

/* The name of a domain, by the daemon's own record or by its node in the store; "" if it has none, "?" if no text. */
const char *host_domain_name(int domid);

/*
 * The number of the domain that a request means: a name, a number, or the digits of one. -1 with *failure set if
 * there is none. *domain is the managed domain, or NULL.
 */
int host_find_domain(const json_t *reference, struct domain **domain, struct failure *failure);

/* Objects of docs/control-protocol.md: new references, or NULL with *failure set. */
json_t *host_info(struct failure *failure);
json_t *host_domains(struct failure *failure);
/* `domain` is NULL for one that is not managed; one that is managed may have no number, a negative one. */
json_t *host_domain(int domid, const struct domain *domain, struct failure *failure);

#endif
