/* SPDX-License-Identifier: MIT */
/*
 * Checks an initramfs; see ramdisk.h. Each reader is given what is left and says how much of it belongs to its segment.
 * Compressed data is unpacked into a scratch buffer and forgotten, with a bound on each decompressor's memory; a stream
 * that would need more, or uses what the library does not know, counts as unknown data.
 */
#include <string.h>
#include <unistd.h>

#include <lz4.h>
#include <lzma.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "build/cache.h"
#include "build/ramdisk.h"
#include "build/refuse.h"

#define PIECE            (256UL << 10)
#define GZIP_INPUT_MAX   (1UL << 30)
#define XZ_MEMORY_MAX    (96UL << 20)
#define ZSTD_WINDOW_LOG  26
#define LZ4_LEGACY_BLOCK (8UL << 20)
#define LZ4_LEGACY_MAGIC 0x184c2102U

#define CPIO_ALIGN       4

/* Offsets in the header of a cpio entry in the newc format: a magic and thirteen numbers of eight hexadecimal digits.
 */
enum {
    CPIO_FILESIZE = 54,
    CPIO_NAMESIZE = 94,
    CPIO_HEADER = 110,
};

static const char remedy_damaged[] = "the file is incomplete or damaged: copy or make it again";

/* What a reader found at the beginning of the data. */
enum verdict {
    WHOLE,   /* a segment that ends properly */
    CUT_OFF, /* the data ends before the segment does */
    BROKEN,  /* no decompressor can make sense of it */
    UNKNOWN, /* cannot be told */
};

/* Data not yet looked at; a reader moves it on when it answers WHOLE. */
struct rest {
    const uint8_t *data;
    size_t size;
};

static uint8_t scratch[LZ4_LEGACY_BLOCK];

static void skip(struct rest *rest, size_t bytes)
{
    rest->data += bytes;
    rest->size -= bytes;
}

static uint32_t le32(const uint8_t *p) { return p[0] | p[1] << 8 | p[2] << 16 | (uint32_t)p[3] << 24; }

/* Eight hexadecimal digits; -1 if they are not. */
static int64_t hex_number(const uint8_t *digits)
{
    int64_t number = 0;

    for (int i = 0; i < 8; i++) {
        uint8_t letter = digits[i] | 0x20;

        if (digits[i] >= '0' && digits[i] <= '9')
            number = number << 4 | (digits[i] - '0');
        else if (letter >= 'a' && letter <= 'f')
            number = number << 4 | (letter - 'a' + 10);
        else
            return -1;
    }
    return number;
}

static uint64_t align_cpio(uint64_t offset) { return (offset + CPIO_ALIGN - 1) & ~(uint64_t)(CPIO_ALIGN - 1); }

/*
 * One entry, the trailer being one like any other: the kernel starts afresh after each, and wants no trailer at the
 * end. The padding after the last may be missing.
 */
static enum verdict read_cpio(struct rest *rest)
{
    int64_t name, file;
    uint64_t end;

    if (rest->size < CPIO_HEADER)
        return CUT_OFF;
    name = hex_number(rest->data + CPIO_NAMESIZE);
    file = hex_number(rest->data + CPIO_FILESIZE);
    if (name < 0 || file < 0)
        return BROKEN;
    end = CPIO_HEADER + (uint64_t)name;
    if (file)
        end = align_cpio(end) + file;
    if (end > rest->size)
        return CUT_OFF;
    end = align_cpio(end);
    skip(rest, end < rest->size ? end : rest->size);
    return WHOLE;
}

static enum verdict read_gzip(struct rest *rest)
{
    z_stream stream = {.next_in = (uint8_t *)rest->data};
    const uint8_t *end = rest->data + rest->size;
    enum verdict verdict = UNKNOWN;
    int status;

    if (inflateInit2(&stream, 16 + MAX_WBITS) != Z_OK)
        return UNKNOWN;
    do {
        if (stream.avail_in == 0) {
            size_t left = end - stream.next_in;

            stream.avail_in = left < GZIP_INPUT_MAX ? left : GZIP_INPUT_MAX;
        }
        stream.next_out = scratch;
        stream.avail_out = PIECE;
        status = inflate(&stream, Z_NO_FLUSH);
    } while (status == Z_OK);
    if (status == Z_STREAM_END) {
        skip(rest, stream.next_in - rest->data);
        verdict = WHOLE;
    } else if (status == Z_BUF_ERROR) {
        verdict = CUT_OFF;
    } else if (status == Z_DATA_ERROR) {
        verdict = BROKEN;
    }
    inflateEnd(&stream);
    return verdict;
}

static enum verdict read_xz(struct rest *rest)
{
    lzma_stream stream = LZMA_STREAM_INIT;
    enum verdict verdict = UNKNOWN;
    lzma_ret status;

    if (lzma_stream_decoder(&stream, XZ_MEMORY_MAX, 0) != LZMA_OK)
        return UNKNOWN;
    stream.next_in = rest->data;
    stream.avail_in = rest->size;
    do {
        stream.next_out = scratch;
        stream.avail_out = PIECE;
        status = lzma_code(&stream, LZMA_FINISH);
    } while (status == LZMA_OK);
    if (status == LZMA_STREAM_END) {
        skip(rest, stream.next_in - rest->data);
        verdict = WHOLE;
    } else if (status == LZMA_BUF_ERROR) {
        verdict = CUT_OFF;
    } else if (status == LZMA_DATA_ERROR) {
        verdict = BROKEN;
    }
    lzma_end(&stream);
    return verdict;
}

static enum verdict zstd_verdict(size_t error)
{
    switch (ZSTD_getErrorCode(error)) {
    case ZSTD_error_corruption_detected:
    case ZSTD_error_checksum_wrong:
        return BROKEN;
    default:
        return UNKNOWN;
    }
}

static enum verdict read_zstd(struct rest *rest)
{
    ZSTD_inBuffer in = {.src = rest->data, .size = rest->size};
    ZSTD_DCtx *context = ZSTD_createDCtx();
    enum verdict verdict = WHOLE;
    size_t status;

    if (!context)
        return UNKNOWN;
    ZSTD_DCtx_setParameter(context, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG);
    do {
        ZSTD_outBuffer out = {.dst = scratch, .size = PIECE};

        status = ZSTD_decompressStream(context, &out, &in);
        if (ZSTD_isError(status))
            verdict = zstd_verdict(status);
        else if (status != 0 && in.pos == in.size && out.pos < out.size)
            verdict = CUT_OFF;
    } while (verdict == WHOLE && status != 0);
    if (verdict == WHOLE)
        skip(rest, in.pos);
    ZSTD_freeDCtx(context);
    return verdict;
}

/*
 * The legacy lz4 format: a magic and blocks, each led by its packed size, up to the end of the data, to a size of 0 or
 * to one that no block can have. Another magic in a block's place begins the next archive.
 */
static enum verdict read_lz4(struct rest *rest)
{
    struct rest next = *rest;

    while (next.size >= sizeof(uint32_t)) {
        uint32_t packed = le32(next.data);

        if (packed == LZ4_LEGACY_MAGIC) {
            skip(&next, sizeof(packed));
            continue;
        }
        if (packed == 0 || packed > LZ4_COMPRESSBOUND(LZ4_LEGACY_BLOCK))
            break;
        skip(&next, sizeof(packed));
        if (packed > next.size)
            return CUT_OFF;
        if (LZ4_decompress_safe((const char *)next.data, (char *)scratch, packed, LZ4_LEGACY_BLOCK) < 0)
            return BROKEN;
        skip(&next, packed);
    }
    *rest = next;
    return WHOLE;
}

static const struct kind {
    const char *name;
    uint8_t magic[6];
    uint8_t length;
    bool compressed;
    enum verdict (*read)(struct rest *);
} kinds[] = {
    {"cpio", "070701", 6, false, read_cpio},
    {"cpio", "070702", 6, false, read_cpio},
    {"gzip", {0x1f, 0x8b, 0x08}, 3, true, read_gzip},
    {"xz", {0xfd, '7', 'z', 'X', 'Z', 0}, 6, true, read_xz},
    {"zstd", {0x28, 0xb5, 0x2f, 0xfd}, 4, true, read_zstd},
    {"lz4", {0x02, 0x21, 0x4c, 0x18}, 4, true, read_lz4},
};

/* What *rest begins with, `offset` bytes into the ramdisk; NULL if unknown. The kernel sees cpio at aligned offsets. */
static const struct kind *identify(const struct rest *rest, size_t offset)
{
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (rest->size >= kinds[i].length && memcmp(rest->data, kinds[i].magic, kinds[i].length) == 0 &&
            (kinds[i].compressed || offset % CPIO_ALIGN == 0))
            return &kinds[i];
    }
    return NULL;
}

int ramdisk_check(const uint8_t *data, size_t size, bool *unpacked, struct failure *failure)
{
    struct rest rest = {.data = data, .size = size};

    *unpacked = false;
    for (;;) {
        const struct kind *kind;
        size_t offset;

        while (rest.size && *rest.data == 0)
            skip(&rest, 1);
        offset = size - rest.size;
        kind = identify(&rest, offset);
        if (!kind)
            return 0;
        *unpacked |= kind->compressed;
        switch (kind->read(&rest)) {
        case WHOLE:
            break;
        case CUT_OFF:
            return refuse(failure, remedy_damaged,
                          "it is cut off: the %s data from byte %zu on goes beyond its %zu bytes", kind->name, offset,
                          size);
        case BROKEN:
            return refuse(failure, remedy_damaged, "the %s data from byte %zu on is broken", kind->name, offset);
        case UNKNOWN:
            return 0;
        }
    }
}

int ramdisk_check_file(int fd, const struct stat *before, const uint8_t *data, size_t size, const char *cache_path,
                       struct failure *failure)
{
    struct cache cache;
    bool unpacked;
    int known, failed = 0;

    cache_open(&cache, cache_path);
    known = cache_find_file(&cache, before);
    if (known >= 0) {
        close(known);
    } else {
        failed = ramdisk_check(data, size, &unpacked, failure);
        if (!failed && unpacked)
            cache_mark_file(&cache, fd, before);
    }
    cache_close(&cache);
    return failed;
}
