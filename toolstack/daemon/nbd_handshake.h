/* SPDX-License-Identifier: MIT */
/*
 * The first words between a client and a server of NBD (network block devices): the "fixed newstyle" handshake of the
 * protocol's document (https://github.com/NetworkBlockDevice/nbd, doc/proto.md), as far as a client without TLS needs
 * it. What comes after it is the kernel's.
 */
#ifndef DOMUSD_NBD_HANDSHAKE_H
#define DOMUSD_NBD_HANDSHAKE_H

#include <stdint.h>

#define NBD_WHY_SIZE 256

struct nbd_export {
    uint64_t size;  /* in bytes */
    uint16_t flags; /* NBD_FLAG_* of linux/nbd.h */
};

/*
 * Ask the server on socket `fd` for its default export. 0: *export is set, and the server awaits requests. -1: `why`
 * says what the server did. Blocks as long as the server keeps silent.
 */
int nbd_handshake(int fd, struct nbd_export *export, char why[NBD_WHY_SIZE]);

#endif
