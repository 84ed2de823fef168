/* SPDX-License-Identifier: MIT */
/*
 * Who may have how much memory. Every managed domain has been promised its target (config->memory_kib); what it does
 * not hold of that yet, be it still being built or slow to take it, is not free for anyone else. The hypervisor holds
 * guests to their targets, so that none takes more than it was promised.
 */
#ifndef DOMUSD_MEMORY_H
#define DOMUSD_MEMORY_H

#include <stdbool.h>
#include <stdint.h>

#include "domain.h"
#include "lib/failure.h"

/* Whether dom0 gives up memory for new domains; AUTO: unless the hypervisor was started with dom0_mem=. */
enum autoballoon { AUTOBALLOON_AUTO, AUTOBALLOON_ON, AUTOBALLOON_OFF };
extern enum autoballoon memory_autoballoon;

/*
 * False if the domain would not fit, even after dom0 gave what it may: *failure says who holds the memory and what
 * would free enough.
 */
bool memory_enough(const struct config *config, struct failure *failure);

enum memory_room { ROOM_NOW, ROOM_SOON, ROOM_NEVER };
/*
 * Whether the domain, which is about to be built, fits now. SOON: dom0 has been asked to give up memory for it; ask
 * again in a moment. NEVER: *failure is set as by memory_enough.
 */
enum memory_room memory_make_room(const struct domain *domain, struct failure *failure);

/* Hold the domain, newly built, to its target. */
void memory_enforce(const struct domain *domain);

/*
 * Give a domain (`domain` NULL: not managed here) another target, which its balloon driver will reach in its own time,
 * or another maximum. False with the why and remedy of *failure set.
 */
bool memory_set_target(int domid, struct domain *domain, uint64_t kib, struct failure *failure);
bool memory_set_max(int domid, struct domain *domain, uint64_t kib, struct failure *failure);

#endif
