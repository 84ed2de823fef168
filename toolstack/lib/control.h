/* SPDX-License-Identifier: MIT */
/*
 * The client's side of domusd's control socket: one JSON object a line each way (docs/control-protocol.md).
 */
#ifndef DOMUS_CONTROL_H
#define DOMUS_CONTROL_H

#include <jansson.h>

#define CONTROL_SOCKET "/run/domus/control.sock"

/* Connect to the daemon, `path` NULL for CONTROL_SOCKET. Returns a descriptor or -errno. */
int control_connect(const char *path);

/*
 * Send `request` and wait for the reply line. Not one byte beyond the reply is read, so that the descriptor can carry a
 * console afterwards. Returns a new reference, or NULL with errno (EPROTO: not a JSON object; ECONNRESET: hung up).
 */
json_t *control_call(int fd, const json_t *request);

/* Only send, for replies to be waited for later. 0, or -1 with errno. */
int control_send(int fd, const json_t *request);

/* Wait for one more line: the reply after a progress line. Same results. */
json_t *control_receive(int fd);

#endif
