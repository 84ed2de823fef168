/* SPDX-License-Identifier: MIT */
/* The NUMA topology that a domain is told: set by XEN_DOMCTL_setvnumainfo, asked by XENMEM_get_vnumainfo. */
#ifndef DOMUS_VNUMA_H
#define DOMUS_VNUMA_H

#include <domus/hypercall.h>

struct domain;
struct vnuma_info;
struct xen_domctl_vnuma;

void vnuma_destroy(struct vnuma_info *info);    /* NULL is fine */
int vnuma_set(struct domain *d, const struct xen_domctl_vnuma *u);
long vnuma_get(guest_ptr_t arg);

#endif
