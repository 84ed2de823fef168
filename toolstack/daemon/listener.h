/* SPDX-License-Identifier: MIT */
/*
 * Unix sockets that the daemon listens on.
 */
#ifndef DOMUSD_LISTENER_H
#define DOMUSD_LISTENER_H

/*
 * Listen at `path`, which is for root alone, and call `accepted` with each new, non-blocking descriptor. 0 or -errno,
 * which is logged.
 */
int listener_open(const char *path, void (*accepted)(int fd, void *context), void *context);

#endif
