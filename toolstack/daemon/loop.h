/* SPDX-License-Identifier: MIT */
/*
 * Loop devices: block devices made of files.
 */
#ifndef DOMUSD_LOOP_H
#define DOMUSD_LOOP_H

#include <stdbool.h>
#include <sys/types.h>

/*
 * Attach `file` to a free loop device. It detaches itself when the last one who has it open closes it: that is *fd
 * until a back end has opened *node. 0 or -errno.
 */
int loop_attach(const char *file, bool writable, int *fd, dev_t *node);

/* Have a loop device see that its file has another size. 0 or -errno. */
int loop_resize(dev_t node);

#endif
