/* SPDX-License-Identifier: MIT */
/*
 * Unpacks a kernel into a file, piece by piece, with the compressors' own libraries. A size that the packed data claims
 * is never trusted: the output simply must not pass the limit.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <lz4.h>
#include <lzma.h>
#include <zlib.h>
#include <zstd.h>

#include "build/payload.h"
#include "build/refuse.h"

#define PIECE            (1UL << 20)
#define LZ4_LEGACY_BLOCK (8UL << 20)
#define LZ4_LEGACY_MAGIC 4
#define XZ_MEMORY_MAX    (256UL << 20)

static const char remedy_damaged[] = "the file is incomplete or damaged: copy or install it again";

/* Where unpacked bytes go. */
struct sink {
    int fd;
    size_t size;
    size_t limit;
    uint8_t *piece;
    struct failure *failure;
};

static int sink_write(struct sink *sink, const uint8_t *data, size_t size)
{
    if (size > sink->limit - sink->size) {
        return refuse(sink->failure, "use an ordinary kernel image", "it unpacks to more than the %zu MiB allowed",
                      sink->limit >> 20);
    }
    sink->size += size;
    while (size) {
        ssize_t written = write(sink->fd, data, size);

        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0) {
            return refuse(sink->failure, "make room in dom0 (memory, or the file system of /var/cache/domus)",
                          "the unpacked kernel cannot be stored: %s", strerror(errno));
        }
        data += written;
        size -= written;
    }
    return 0;
}

static int damaged(struct sink *sink, const char *format)
{
    return refuse(sink->failure, remedy_damaged, "its %s data is broken or cut off after %zu unpacked bytes", format,
                  sink->size);
}

static int unpack_gzip(const struct payload *payload, struct sink *sink)
{
    z_stream stream = {.next_in = (uint8_t *)payload->data, .avail_in = payload->size};
    int status, failed = 0;

    if (inflateInit2(&stream, 16 + MAX_WBITS) != Z_OK)
        return refuse(sink->failure, "free some of dom0's memory", "out of memory");
    do {
        stream.next_out = sink->piece;
        stream.avail_out = PIECE;
        status = inflate(&stream, Z_NO_FLUSH);
        if (status != Z_OK && status != Z_STREAM_END) {
            failed = damaged(sink, "gzip");
            break;
        }
        failed = sink_write(sink, sink->piece, PIECE - stream.avail_out);
    } while (!failed && status != Z_STREAM_END);
    inflateEnd(&stream);
    return failed;
}

static int unpack_xz(const struct payload *payload, struct sink *sink)
{
    lzma_stream stream = LZMA_STREAM_INIT;
    lzma_ret status;
    int failed = 0;

    if (lzma_stream_decoder(&stream, XZ_MEMORY_MAX, 0) != LZMA_OK)
        return refuse(sink->failure, "free some of dom0's memory", "out of memory");
    stream.next_in = payload->data;
    stream.avail_in = payload->size;
    do {
        stream.next_out = sink->piece;
        stream.avail_out = PIECE;
        status = lzma_code(&stream, LZMA_FINISH);
        if (status != LZMA_OK && status != LZMA_STREAM_END) {
            failed = damaged(sink, "xz");
            break;
        }
        failed = sink_write(sink, sink->piece, PIECE - stream.avail_out);
    } while (!failed && status != LZMA_STREAM_END);
    lzma_end(&stream);
    return failed;
}

static int unpack_zstd(const struct payload *payload, struct sink *sink)
{
    ZSTD_inBuffer in = {.src = payload->data, .size = payload->size};
    ZSTD_DCtx *context = ZSTD_createDCtx();
    size_t status;
    int failed = 0;

    if (!context)
        return refuse(sink->failure, "free some of dom0's memory", "out of memory");
    do {
        ZSTD_outBuffer out = {.dst = sink->piece, .size = PIECE};

        status = ZSTD_decompressStream(context, &out, &in);
        if (ZSTD_isError(status) || (status != 0 && in.pos == in.size && out.pos < out.size)) {
            failed = damaged(sink, "zstd");
            break;
        }
        failed = sink_write(sink, sink->piece, out.pos);
    } while (!failed && status != 0);
    ZSTD_freeDCtx(context);
    return failed;
}

/* The legacy lz4 format: after the magic, blocks that unpack to 8 MiB each, every one led by its packed size. */
static int unpack_lz4(const struct payload *payload, struct sink *sink)
{
    const uint8_t *next = payload->data + LZ4_LEGACY_MAGIC;
    size_t left = payload->size - LZ4_LEGACY_MAGIC;
    uint8_t *block = malloc(LZ4_LEGACY_BLOCK);
    int failed = 0;

    if (!block)
        return refuse(sink->failure, "free some of dom0's memory", "out of memory");
    while (left && !failed) {
        uint32_t packed = UINT32_MAX;
        int unpacked = -1;

        if (left >= sizeof(packed)) {
            memcpy(&packed, next, sizeof(packed));
            next += sizeof(packed);
            left -= sizeof(packed);
        }
        if (packed <= left)
            unpacked = LZ4_decompress_safe((const char *)next, (char *)block, packed, LZ4_LEGACY_BLOCK);
        if (unpacked < 0) {
            failed = damaged(sink, "lz4");
        } else {
            failed = sink_write(sink, block, unpacked);
            next += packed;
            left -= packed;
        }
    }
    free(block);
    return failed;
}

int payload_unpack(const struct payload *payload, int fd, size_t limit, struct failure *failure)
{
    struct sink sink = {.fd = fd, .limit = limit, .failure = failure};
    int failed = -1;

    sink.piece = malloc(PIECE);
    if (!sink.piece)
        return refuse(failure, "free some of dom0's memory", "out of memory");
    switch (payload->compression) {
    case COMPRESSION_NONE:
        failed = sink_write(&sink, payload->data, payload->size);
        break;
    case COMPRESSION_GZIP:
        failed = unpack_gzip(payload, &sink);
        break;
    case COMPRESSION_XZ:
        failed = unpack_xz(payload, &sink);
        break;
    case COMPRESSION_ZSTD:
        failed = unpack_zstd(payload, &sink);
        break;
    case COMPRESSION_LZ4:
        failed = unpack_lz4(payload, &sink);
        break;
    }
    free(sink.piece);
    return failed;
}
