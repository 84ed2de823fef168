/* SPDX-License-Identifier: MIT */
/*
 * Disks in formats that the kernel does not know (qcow2, vmdk, ...): for each, QEMU's qemu-nbd serves the image to an
 * NBD device of the kernel, /dev/nbdN (nbd_device.h), which the kernel's back end then serves like any other. The
 * device outlives its server: one that ends by itself is started again, and one is ended and started again to change
 * the size of its image, while the guest waits. Servers outlive the daemon, which finds them again by the files in
 * RUN_DIR/images.
 */
#ifndef DOMUSD_DISK_SERVER_H
#define DOMUSD_DISK_SERVER_H

#include <stdbool.h>
#include <stdint.h>
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

/* Called once, from the event loop: `failure`, of which why and remedy are set, NULL when the disk has its new size. */
typedef void (*disk_resized_fn)(void *context, const struct failure *failure);

/*
 * Begin to enlarge the image of a disk to so many bytes. False with the why and remedy of *failure set if that is
 * refused; `resized` is not called then.
 */
bool disk_server_resize(const char *uuid, const struct disk_config *disk, uint64_t bytes, disk_resized_fn resized,
                        void *context, struct failure *failure);

/* Who gave this context is not to be called any more; the resizing goes on. */
void disk_server_forget_caller(const void *context);

/* End the server of one disk, or of all disks of a domain (`disk` NULL); their back ends must be gone. */
void disk_server_stop(const char *uuid, const struct disk_config *disk);

/* End the servers of disks that the domain was being given and does not have. */
void disk_server_stop_unwanted(const char *uuid);

/* After a start of the daemon, when it has read its domains: find the servers again. Those of other disks are ended. */
void disk_servers_recover(void);

#endif
