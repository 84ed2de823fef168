/* SPDX-License-Identifier: MIT */
/*
 * All domains of the host at one moment.
 */
#ifndef DOMUSD_DOMAIN_SET_H
#define DOMUSD_DOMAIN_SET_H

#include <stdint.h>

#include "lib/hypercall.h"

struct domain_set {
    struct xen_domctl_getdomaininfo *list; /* by number */
    int count;
};

/* Read it anew. 0 or -errno; then it is empty, and there is nothing to free. */
int domain_set_read(struct domain_set *set);
void domain_set_free(struct domain_set *set);

/* The domain with this number, or NULL. */
const struct xen_domctl_getdomaininfo *domain_set_find(const struct domain_set *set, uint32_t domid);

#endif
