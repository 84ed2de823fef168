/* SPDX-License-Identifier: MIT */
/*
 * The daemon's side of the control socket (docs/control-protocol.md).
 */
#ifndef DOMUSD_API_H
#define DOMUSD_API_H

/* Listen on CONTROL_SOCKET. 0 or -errno, which is logged. */
int api_open(void);

#endif
