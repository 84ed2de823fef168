/* SPDX-License-Identifier: MIT */
/*
 * Grant tables: what other parts of the hypervisor call. Public interface: xen/grant_table.h.
 * Implemented in core/grant*.c.
 */
#ifndef DOMUS_GRANT_H
#define DOMUS_GRANT_H

#include <domus/types.h>
#include <xen/grant_table.h>

struct domain;

/* max_* below zero mean the default (command line gnttab_max_frames=, gnttab_max_maptrack_frames=). */
int grant_table_init(struct domain *d, int max_grant_frames, int max_maptrack_frames);
/* Gives back every mapping that d holds of others; -ERESTART when preempted. */
int grant_table_release_mappings(struct domain *d);
void grant_table_destroy(struct domain *d);

/* Frame idx of d's shared table, growing the table up to it; for XENMEM_add_to_physmap and
 * XENMEM_acquire_resource. Errors: -EINVAL, -ENOMEM. */
int gnttab_shared_frame(struct domain *d, unsigned long idx, mfn_t *mfn);
int gnttab_status_frame(struct domain *d, unsigned long idx, mfn_t *mfn);
/* The builder of dom0 sets entries itself. */

#endif
