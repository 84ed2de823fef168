/* SPDX-License-Identifier: MIT */
/*
 * Kernel files as distributions ship them, and the compressed kernel inside. Works on bytes in memory, all of them
 * hostile. The bzImage header is specified in Linux's Documentation/x86/boot.rst.
 */
#ifndef DOMUS_BUILD_PAYLOAD_H
#define DOMUS_BUILD_PAYLOAD_H

#include <stddef.h>
#include <stdint.h>

#include "lib/failure.h"

/* Nothing that unpacks to more than this is a kernel. */
#define KERNEL_SIZE_MAX (512UL << 20)

enum compression { COMPRESSION_NONE, COMPRESSION_GZIP, COMPRESSION_XZ, COMPRESSION_ZSTD, COMPRESSION_LZ4 };

struct payload {
    const uint8_t *data;
    size_t size;
    enum compression compression;
};

/*
 * Find the kernel in the `size` bytes at `image`: the payload of a bzImage, a compressed ELF or an ELF. 0, or -1 with
 * the reason in *failure.
 */
int payload_find(const uint8_t *image, size_t size, struct payload *payload, struct failure *failure);

/*
 * Unpack a payload to the end of the file `fd`, at most `limit` bytes. 0, or -1 with the reason in *failure and the
 * file left with some of it.
 */
int payload_unpack(const struct payload *payload, int fd, size_t limit, struct failure *failure);

#endif
