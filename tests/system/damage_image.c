/* SPDX-License-Identifier: MIT */
/*
 * Damages an image that `xl save` has written, in each of its parts: Xen's migration streams of version 2 (libxc's inside
 * libxl's inside xl's), as docs/specs/libxc-migration-stream and libxl-migration-stream of Xen describe them.
 *
 *   damage_image IMAGE            says how many ways of damage there are
 *   damage_image IMAGE N OUT      writes the image damaged in the Nth way (from 0), and says which it is
 *   damage_image - N              passes a stream on from standard input to standard output while it comes, and ends
 *                                 within its Nth part (from 0), which is said on standard error; past its last part only
 *                                 where it ends itself
 */
#include <err.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PARTS_MAX 200
#define RECORD_HEADER 8
#define LIBXL_END 0
#define LIBXL_LIBXC_STREAM 1
#define LIBXC_END 0

static uint8_t *image;
static size_t size;

/* Where the rest of a stream comes from, of which `size` bytes are here and `passed` have gone on; and where to end. */
static FILE *stream;
static size_t passed;
static unsigned long last_part;

/* A header, or a record with its own header. */
static struct part {
    const char *where;
    uint32_t type;
    size_t start, end;
    int record;
} parts[PARTS_MAX];
static unsigned int nr_parts;

/* Has a stream's bytes up to `end` here. */
static void want(size_t end)
{
    if (stream && end > size) {
        image = realloc(image, end);
        if (!image)
            err(1, "%zu bytes", end);
        size += fread(image + size, 1, end - size, stream);
    }
    if (end > size)
        errx(1, "the image ends at %zu, where more was expected", size);
}

/* Passes a stream on up to `end`. */
static void pass(size_t end)
{
    if (fwrite(image + passed, 1, end - passed, stdout) != end - passed || fflush(stdout) != 0)
        err(1, "standard output");
    passed = end;
}

static uint32_t number_at(size_t offset)
{
    uint32_t number;

    want(offset + sizeof(number));
    memcpy(&number, image + offset, sizeof(number));
    return number;
}

/* Returns where the part ends. */
static size_t add_header(const char *where, size_t start, size_t length)
{
    if (nr_parts == PARTS_MAX)
        errx(1, "the image has too many parts");
    want(start + length);
    if (stream && nr_parts == last_part) {
        pass(start + length / 2);
        fprintf(stderr, "%s %#x at %zu\n", where, number_at(start), start);
        exit(0);
    }
    if (stream)
        pass(start + length);
    parts[nr_parts++] = (struct part){ .where = where, .start = start, .end = start + length };
    return start + length;
}

static size_t add_record(const char *where, size_t start)
{
    size_t length = number_at(start + 4), end = add_header(where, start, RECORD_HEADER + (length + 7) / 8 * 8);

    parts[nr_parts - 1].type = number_at(start);
    parts[nr_parts - 1].record = 1;
    return end;
}

static void find_parts(void)
{
    size_t at = add_header("xl's header", 0, 48);
    uint32_t type;

    at = add_header("xl's configuration", at, number_at(44));
    at = add_header("libxl's header", at, 16);
    do {
        type = number_at(at);
        at = add_record("libxl's record", at);
        if (type != LIBXL_LIBXC_STREAM)
            continue;
        at = add_header("libxc's image header", at, 24);
        at = add_header("libxc's domain header", at, 16);
        do {
            type = number_at(at);
            at = add_record("libxc's record", at);
        } while (type != LIBXC_END);
        type = LIBXL_LIBXC_STREAM;
    } while (type != LIBXL_END);
}

/* --- ways of damage, in the copy `bytes` of `*length` --------------------------------------------------------------- */

static void cut_before(uint8_t *bytes, size_t *length, const struct part *part)
{
    (void)bytes;
    *length = part->start;
}

static void cut_within(uint8_t *bytes, size_t *length, const struct part *part)
{
    (void)bytes;
    *length = part->start + (part->end - part->start) / 2;
}

static void leave_out(uint8_t *bytes, size_t *length, const struct part *part)
{
    memmove(bytes + part->start, bytes + part->end, *length - part->end);
    *length -= part->end - part->start;
}

static void flip_in_first(uint8_t *bytes, size_t *length, const struct part *part)
{
    (void)length;
    bytes[part->start] ^= 0x10;
}

static void set_length(uint8_t *bytes, size_t *length, const struct part *part)
{
    (void)length;
    memset(bytes + part->start + 4, part->record ? 0xff : 0x7f, 4);
}

static void flip_in_middle(uint8_t *bytes, size_t *length, const struct part *part)
{
    (void)length;
    bytes[part->start + (part->end - part->start) / 2] ^= 0x80;
}

static void fill_with_ones(uint8_t *bytes, size_t *length, const struct part *part)
{
    size_t start = part->start + (part->record ? RECORD_HEADER : 0), count = part->end - start;

    (void)length;
    memset(bytes + start, 0xff, count < 64 ? count : 64);
}

static const struct {
    const char *what;
    void (*damage)(uint8_t *bytes, size_t *length, const struct part *part);
} ways[] = {
    { "ends before it", cut_before },
    { "ends within it", cut_within },
    { "it is missing", leave_out },
    { "a bit of its first byte", flip_in_first },
    { "its length", set_length },
    { "a bit in its middle", flip_in_middle },
    { "its first 64 bytes are ones", fill_with_ones },
};
#define WAYS (sizeof(ways) / sizeof(ways[0]))

static void read_image(const char *path)
{
    FILE *file = fopen(path, "rb");
    long end;

    if (!file || fseek(file, 0, SEEK_END) < 0 || (end = ftell(file)) < 0)
        err(1, "%s", path);
    rewind(file);
    size = end;
    image = malloc(size);
    if (!image || fread(image, 1, size, file) != size)
        err(1, "%s", path);
    fclose(file);
}

/* What follows the parts is one more, and what comes after that is passed on as well. */
static int pass_stream(void)
{
    int c;

    stream = stdin;
    setvbuf(stdin, NULL, _IONBF, 0);
    setvbuf(stdout, NULL, _IONBF, 0);
    find_parts();
    fprintf(stderr, "%u parts\n", nr_parts);
    while (last_part > nr_parts && (c = getchar()) != EOF)
        putchar(c);
    return 0;
}

int main(int argc, char **argv)
{
    const struct part *part;
    unsigned long number;
    FILE *out;

    if (argc == 3 && !strcmp(argv[1], "-")) {
        last_part = strtoul(argv[2], NULL, 10);
        return pass_stream();
    }
    if (argc != 2 && argc != 4)
        errx(2, "usage: damage_image IMAGE [N OUT], or - N");
    read_image(argv[1]);
    find_parts();
    if (argc == 2)
        return printf("%zu\n", nr_parts * WAYS) < 0;
    number = strtoul(argv[2], NULL, 10);
    if (number >= nr_parts * WAYS)
        errx(2, "there are %zu ways", nr_parts * WAYS);
    part = &parts[number / WAYS];
    printf("%s %#x at %zu: %s\n", part->where, part->type, part->start, ways[number % WAYS].what);
    ways[number % WAYS].damage(image, &size, part);
    out = fopen(argv[3], "wb");
    if (!out || fwrite(image, 1, size, out) != size || fclose(out) != 0)
        err(1, "%s", argv[3]);
    return 0;
}
