/* SPDX-License-Identifier: MIT */
/*
 * A queue of bytes: appended at the end, taken from the front. Also the writer and reader of flat records (journal,
 * messages): integers in host order, strings and blobs with a 32-bit length before them.
 */
#ifndef DOMUS_BYTES_H
#define DOMUS_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* All zero is an empty queue. */
struct bytes {
    uint8_t *data;
    size_t start, end, capacity;
};

static inline size_t bytes_length(const struct bytes *bytes)
{
    return bytes->end - bytes->start;
}

static inline const uint8_t *bytes_front(const struct bytes *bytes)
{
    return bytes->data ? bytes->data + bytes->start : (const uint8_t *)"";
}

void bytes_append(struct bytes *bytes, const void *data, size_t length);
/* Drop `length` bytes, not more than there are, from the front. */
void bytes_drop(struct bytes *bytes, size_t length);
/* Empty the queue and give its memory back. */
void bytes_clear(struct bytes *bytes);

void bytes_put_u8(struct bytes *bytes, uint8_t value);
void bytes_put_u16(struct bytes *bytes, uint16_t value);
void bytes_put_u32(struct bytes *bytes, uint32_t value);
void bytes_put_u64(struct bytes *bytes, uint64_t value);
void bytes_put_blob(struct bytes *bytes, const void *data, size_t length);
void bytes_put_string(struct bytes *bytes, const char *text);

/* Reads one record after the other; a read past the end gives zeros and sets `failed`. */
struct reader {
    const uint8_t *data;
    size_t length, position;
    bool failed;
};

uint8_t reader_u8(struct reader *reader);
uint16_t reader_u16(struct reader *reader);
uint32_t reader_u32(struct reader *reader);
uint64_t reader_u64(struct reader *reader);
/* A blob in place: *length bytes, valid as long as the reader's data. */
const uint8_t *reader_blob(struct reader *reader, size_t *length);
/* A string in place, terminated by the NUL that bytes_put_string wrote; "" and `failed` if it has none. */
const char *reader_string(struct reader *reader);

#endif
