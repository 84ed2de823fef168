/* SPDX-License-Identifier: MIT */
/*
 * Where a new domain runs: pool=, cpus=, cpus_soft=, cpu_weight= and cap= of its configuration.
 */
#ifndef DOMUSD_PLACE_H
#define DOMUSD_PLACE_H

#include "config.h"

/* Whether the host has the pool and the CPUs that it names. False with the why and remedy of *failure set. */
bool place_check(const struct config *config, struct failure *failure);

/* Do it for domain `domid`, before it runs. False with the why and remedy of *failure set. */
bool place_domain(const struct config *config, int domid, struct failure *failure);

/* The list of CPUs for virtual CPU `vcpu` in a `cpus` or `cpus_soft`; NULL: none is given. */
const char *place_list(const json_t *lists, unsigned int vcpu);

#endif
