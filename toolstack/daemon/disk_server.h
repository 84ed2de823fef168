/* SPDX-License-Identifier: MIT */
/*
 * Disks in formats that the kernel does not know (qcow2, vmdk, ...): for each, QEMU's qemu-nbd makes a block device of
 * the image, /dev/nbdN, which the kernel's back end then serves like any other. The processes outlive the daemon, which
 * finds them again by the files in RUN_DIR/images.
 */
#ifndef DOMUSD_DISK_SERVER_H
#define DOMUSD_DISK_SERVER_H

#include <stdbool.h>
#include <sys/types.h>

#include "config.h"
#include "lib/failure.h"

/* Whether such disks can be served here; false with the why and remedy of *failure set. */
bool disk_server_possible(const struct disk_config *disk, struct failure *failure);

/*
 * Start to serve a disk of the domain with this uuid. 0, or -1 with the why and remedy of *failure set.
 */
int disk_server_start(const char *uuid, const struct disk_config *disk, struct failure *failure);

enum server_state { SERVER_STARTING, SERVER_READY, SERVER_FAILED };
/* How far it is. READY: *node is the block device. */
enum server_state disk_server_state(const char *uuid, const struct disk_config *disk, dev_t *node);

/* End the server of one disk, or of all disks of a domain (`disk` NULL); their back ends must be gone. */
void disk_server_stop(const char *uuid, const struct disk_config *disk);

/* After a start of the daemon: find the servers again. Those of domains that are gone are ended. */
void disk_servers_recover(void);

#endif
