/* SPDX-License-Identifier: MIT */
/*
 * Network bridges: what a card's interface in dom0 is set up to be, by rtnetlink(7).
 */
#ifndef DOMUSD_BRIDGE_H
#define DOMUSD_BRIDGE_H

#include "config.h"
#include "lib/failure.h"

/*
 * Make `interface` a port of the card's bridge with the card's VLAN, MTU and guards, and bring it up. 0, or -1 with the
 * why and remedy of *failure set.
 */
int bridge_plug(const struct vif_config *vif, const char *interface, struct failure *failure);

#endif
