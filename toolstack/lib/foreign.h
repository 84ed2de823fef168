/* SPDX-License-Identifier: MIT */
/*
 * Memory of other domains, mapped into this process: by frame number (privcmd), by resource (privcmd) or by grant
 * (gntdev). hv_open must have been called for the first two.
 */
#ifndef DOMUS_FOREIGN_H
#define DOMUS_FOREIGN_H

#include <stddef.h>
#include <stdint.h>

#include <xen/xen.h>

/*
 * Map `count` frames of domain `domid` side by side, with protection `prot` (PROT_*). For a PV guest the numbers are
 * machine frames. With `errors` not NULL, frames that could not be mapped leave a hole and errors[i] is their -errno;
 * otherwise any failure fails the whole. NULL and errno on failure. Returns page-aligned memory.
 */
void *foreign_map(uint32_t domid, int prot, const xen_pfn_t *frames, size_t count, int *errors);
void foreign_unmap(void *address, size_t count);

/* Map one frame read-write; NULL and errno on failure. Unmap with foreign_unmap(address, 1). */
void *foreign_map_one(uint32_t domid, xen_pfn_t frame);

/* Map `count` frames of resource `type` (XENMEM_resource_*), `id`, from `first` on; NULL and errno on failure. */
void *foreign_map_resource(uint32_t domid, unsigned int type, unsigned int id, unsigned long first, size_t count,
                           int prot);

/*
 * Map the page that `domid` granted as `ref`, read-write, through gntdev. The mapping keeps its own descriptor in
 * *fd; NULL and errno on failure. A granted page stays valid until it is unmapped even if the domain dies.
 */
void *grant_map(uint32_t domid, uint32_t ref, int *fd);
void grant_unmap(void *address, int fd);

#endif
