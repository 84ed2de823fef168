/* SPDX-License-Identifier: MIT */
/*
 * Opens a kernel file and gives its ELF image, unpacked. Unpacking costs seconds, so the result is kept in a cache by
 * what the file contained; a second domain of the same kernel finds it there.
 */
#ifndef DOMUS_BUILD_KERNEL_H
#define DOMUS_BUILD_KERNEL_H

#include <stddef.h>
#include <stdint.h>

#include "lib/failure.h"

#define KERNEL_CACHE "/var/cache/domus/kernels"

/* An unpacked kernel, mapped read-only from a file that only root can change. */
struct kernel {
    const uint8_t *data;
    size_t size;
};

/*
 * Open the kernel at `path`, with the unpacked kernels kept in folder `cache` (made if need be; where it cannot be, the
 * kernel is unpacked to anonymous memory). 0, or -1 with the reason in *failure.
 */
int kernel_open(const char *path, const char *cache, struct kernel *kernel, struct failure *failure);
void kernel_close(struct kernel *kernel);

#endif
