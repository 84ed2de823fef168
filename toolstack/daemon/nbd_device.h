/* SPDX-License-Identifier: MIT */
/*
 * The kernel's clients of NBD, /dev/nbdN: which there are, and the processes that connect them to a server. A device
 * keeps what it is asked for while it has no server, for NBD_DEAD_TIMEOUT_S, so that a server can be replaced.
 */
#ifndef DOMUSD_NBD_DEVICE_H
#define DOMUSD_NBD_DEVICE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define NBD_DEVICES_MAX 4096
#define NBD_DEAD_TIMEOUT_S 3600

/* Whether the kernel has the module, loaded or not. */
bool nbd_known(void);

/* Whether somebody uses device N. */
bool nbd_device_used(unsigned int device);

/* Whether device N is the one that was connected in this name. */
bool nbd_device_is(unsigned int device, const char *name);

/* Its size in bytes; 0: none. */
uint64_t nbd_device_size(unsigned int device);

/* Its number as a block device. False if there is none. */
bool nbd_device_node(unsigned int device, dev_t *node);

/*
 * What a process of its own does that may block, `domusd --nbd WORD ARGUMENT...`; the exit status. If that is not 0,
 * why is on standard output.
 *   connect N NAME SOCKET   connect device N to the server that listens on that socket; again, if NAME is its name
 *   disconnect N            from its server, for good: requests fail
 */
int nbd_main(const char *word, int count, char **arguments);

#endif
