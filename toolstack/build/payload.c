/* SPDX-License-Identifier: MIT */
/*
 * Finds the compressed kernel inside a bzImage or a bare compressed file.
 */
#include <stdbool.h>
#include <string.h>

#include "build/payload.h"
#include "build/refuse.h"

/* Offsets in a bzImage, from its first byte. */
enum {
    BZ_SETUP_SECTS = 0x1f1,
    BZ_MAGIC = 0x202,
    BZ_VERSION = 0x206,
    BZ_PAYLOAD_OFFSET = 0x248,
    BZ_PAYLOAD_LENGTH = 0x24c,
    BZ_HEADER_END = 0x250,
};
#define BZ_SECTOR               512
#define BZ_SETUP_SECTS_DEFAULT  4
#define BZ_VERSION_WITH_PAYLOAD 0x0208

/* The kernel's build appends the unpacked size to every payload; only gzip already ends in it. */
#define BZ_SIZE_TRAILER         4

static const char remedy_not_kernel[] = "give a Linux bzImage (vmlinuz), or an ELF kernel with Xen notes";
static const char remedy_damaged[] = "the file is incomplete or damaged: copy or install it again";

static const struct {
    const char *name;
    uint8_t magic[6];
    uint8_t length;
    bool supported;
    enum compression compression;
} signatures[] = {
    {"ELF", {0x7f, 'E', 'L', 'F'}, 4, true, COMPRESSION_NONE},
    {"gzip", {0x1f, 0x8b}, 2, true, COMPRESSION_GZIP},
    {"xz", {0xfd, '7', 'z', 'X', 'Z', 0}, 6, true, COMPRESSION_XZ},
    {"zstd", {0x28, 0xb5, 0x2f, 0xfd}, 4, true, COMPRESSION_ZSTD},
    {"lz4", {0x02, 0x21, 0x4c, 0x18}, 4, true, COMPRESSION_LZ4},
    {"bzip2", {'B', 'Z', 'h'}, 3, false, 0},
    {"lzma", {0x5d, 0x00, 0x00}, 3, false, 0},
    {"lzo", {0x89, 'L', 'Z', 'O'}, 4, false, 0},
};

static uint16_t le16(const uint8_t *p) { return p[0] | p[1] << 8; }

static uint32_t le32(const uint8_t *p) { return le16(p) | (uint32_t)le16(p + 2) << 16; }

/* Recognise what payload->data begins with. */
static int identify(struct payload *payload, struct failure *failure)
{
    for (size_t i = 0; i < sizeof(signatures) / sizeof(signatures[0]); i++) {
        if (payload->size < signatures[i].length ||
            memcmp(payload->data, signatures[i].magic, signatures[i].length) != 0)
            continue;
        if (!signatures[i].supported) {
            return refuse(failure, "use a kernel packed with xz, zstd, gzip or lz4, or an unpacked one",
                          "it is packed with %s, which the builder cannot unpack", signatures[i].name);
        }
        payload->compression = signatures[i].compression;
        return 0;
    }
    return refuse(failure, remedy_not_kernel, "it is not a kernel: neither a bzImage nor ELF, nor packed ELF");
}

static int find_in_bzimage(const uint8_t *image, size_t size, struct payload *payload, struct failure *failure)
{
    uint16_t version = le16(image + BZ_VERSION);
    size_t sectors = image[BZ_SETUP_SECTS] ? image[BZ_SETUP_SECTS] : BZ_SETUP_SECTS_DEFAULT;
    size_t start = (sectors + 1) * BZ_SECTOR + le32(image + BZ_PAYLOAD_OFFSET);
    size_t length = le32(image + BZ_PAYLOAD_LENGTH);

    if (version < BZ_VERSION_WITH_PAYLOAD) {
        return refuse(failure, "use Linux 2.6.24 or later",
                      "its boot protocol %u.%02u is too old to say where the kernel is", version >> 8, version & 0xff);
    }
    if (start > size || length > size - start) {
        return refuse(failure, remedy_damaged,
                      "the file ends at %zu bytes, but its header says that the kernel is at %zu to %zu", size, start,
                      start + length);
    }
    payload->data = image + start;
    payload->size = length;
    if (identify(payload, failure) < 0)
        return -1;
    if (payload->compression != COMPRESSION_GZIP && payload->compression != COMPRESSION_NONE) {
        if (length < BZ_SIZE_TRAILER + sizeof(signatures[0].magic))
            return refuse(failure, remedy_damaged, "the packed kernel inside it is only %zu bytes long", length);
        payload->size -= BZ_SIZE_TRAILER;
    }
    return 0;
}

int payload_find(const uint8_t *image, size_t size, struct payload *payload, struct failure *failure)
{
    if (size >= BZ_HEADER_END && memcmp(image + BZ_MAGIC, "HdrS", 4) == 0)
        return find_in_bzimage(image, size, payload, failure);
    payload->data = image;
    payload->size = size;
    return identify(payload, failure);
}
