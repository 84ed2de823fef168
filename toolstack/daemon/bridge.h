/* SPDX-License-Identifier: MIT */
/*
 * Network bridges.
 */
#ifndef DOMUSD_BRIDGE_H
#define DOMUSD_BRIDGE_H

/* Make `interface` a port of `bridge`, if it is none yet, and bring it up. 0 or -errno. */
int bridge_add(const char *bridge, const char *interface);

#endif
