/* SPDX-License-Identifier: MIT */
/*
 * CPU pools. The hypervisor knows them by number; their names are kept in the store, at /local/pool/NUMBER/name, where
 * xl keeps them, too.
 */
#ifndef DOMUSD_POOLS_H
#define DOMUSD_POOLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <jansson.h>

#include "lib/failure.h"
#include "lib/placement.h"

/* "Pool-0", or the name that it was given. Into `name`. */
void pool_name(uint32_t id, char *name, size_t size);

/* The number of the pool that is called or numbered so, or -1 with the why and remedy of *failure set. */
int pool_find(const char *name, struct failure *failure);

/* Read a list of CPUs (lib/cpu_map.h) of this host. False with the why and remedy of *failure set. */
bool host_cpu_list(const char *text, struct cpu_map *map, struct failure *failure);

/* How many CPUs the host has. */
unsigned int host_cpu_count(void);

/* All pools: a new reference. */
json_t *pools_describe(void);

/*
 * Each returns 0 or more, or -1 with the why and remedy of *failure set. A new pool takes the CPUs of `cpus` (NULL:
 * one that is in no pool), which must be in no other; pool_create returns its number.
 */
int pool_create(const char *name, const char *cpus, struct failure *failure);
int pool_destroy(uint32_t id, struct failure *failure);
int pool_rename(uint32_t id, const char *name, struct failure *failure);
int pool_change_cpus(uint32_t id, const char *cpus, bool add, struct failure *failure);
int pool_migrate(uint32_t id, int domid, struct failure *failure);
/* One pool for the CPUs of each NUMA node. */
int pool_numa_split(struct failure *failure);

#endif
