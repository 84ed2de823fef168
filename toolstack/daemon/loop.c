/* SPDX-License-Identifier: MIT */
/*
 * Loop devices (loop(4)).
 */
#include "loop.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define TRIES 16

/* Attach to the loop device with this number; -EBUSY if somebody else was faster. */
static int attach_to(int number, int file, const char *name, bool writable, int *fd)
{
    /* Direct: what the guest caches need not be cached in dom0 again. The kernel goes without where it cannot be. */
    struct loop_config config = { .fd = file, .info.lo_flags = LO_FLAGS_AUTOCLEAR | LO_FLAGS_DIRECT_IO };
    char path[32];
    int rc;

    if (!writable)
        config.info.lo_flags |= LO_FLAGS_READ_ONLY;
    strncpy((char *)config.info.lo_file_name, name, LO_NAME_SIZE - 1);
    snprintf(path, sizeof(path), "/dev/loop%d", number);
    *fd = open(path, (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC);
    if (*fd < 0)
        return -errno;
    rc = ioctl(*fd, LOOP_CONFIGURE, &config) < 0 ? -errno : 0;
    if (rc)
        close(*fd);
    return rc;
}

int loop_attach(const char *file, bool writable, int *fd, dev_t *node)
{
    int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC), backing = -1, rc = -EBUSY;
    struct stat info;

    if (control < 0)
        return -errno;
    backing = open(file, (writable ? O_RDWR : O_RDONLY) | O_CLOEXEC);
    if (backing < 0)
        rc = -errno;
    for (int i = 0; backing >= 0 && rc == -EBUSY && i < TRIES; i++) {
        int number = ioctl(control, LOOP_CTL_GET_FREE);

        rc = number < 0 ? -errno : attach_to(number, backing, file, writable, fd);
    }
    if (rc == 0 && fstat(*fd, &info) < 0) {
        rc = -errno;
        close(*fd);
    }
    if (rc == 0)
        *node = info.st_rdev;
    else
        *fd = -1;
    if (backing >= 0)
        close(backing);
    close(control);
    return rc;
}

int loop_resize(dev_t node)
{
    char path[32];
    int fd, rc;

    snprintf(path, sizeof(path), "/dev/loop%u", minor(node));
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    rc = ioctl(fd, LOOP_SET_CAPACITY, 0) < 0 ? -errno : 0;
    close(fd);
    return rc;
}
