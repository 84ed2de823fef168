/* SPDX-License-Identifier: MIT */
/*
 * Tells a whole initramfs from one that was cut off or damaged on its way. Its form is specified in Linux's
 * Documentation/driver-api/early-userspace/buffer-format.rst: cpio entries and compressed archives of them, one after
 * the other, with zeros between. Only what is certainly broken is refused: data of any other kind (another way of
 * compression, an image of a file system) passes unread, and so does whatever follows it.
 */
#ifndef DOMUS_BUILD_RAMDISK_H
#define DOMUS_BUILD_RAMDISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "lib/failure.h"

/* Where whole compressed ramdisks are remembered. */
#define RAMDISK_CACHE "/var/cache/domus/ramdisks"

/*
 * Check the `size` bytes at `data`. 0, or -1 with the reason in *failure. *unpacked becomes true if anything had to be
 * decompressed, which makes the verdict worth remembering.
 */
int ramdisk_check(const uint8_t *data, size_t size, bool *unpacked, struct failure *failure);

/*
 * The same for bytes read from the file `fd` since *before was its status. A compressed file found whole is remembered
 * in the folder `cache` by its identity and then not decompressed again.
 */
int ramdisk_check_file(int fd, const struct stat *before, const uint8_t *data, size_t size, const char *cache,
                       struct failure *failure);

#endif
