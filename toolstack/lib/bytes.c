/* SPDX-License-Identifier: MIT */
/*
 * Queues of bytes and flat records.
 */
#include "bytes.h"

#include <stdlib.h>
#include <string.h>

#include "alloc.h"

void bytes_append(struct bytes *bytes, const void *data, size_t length)
{
    if (bytes->capacity - bytes->end < length) {
        size_t kept = bytes_length(bytes);

        /* Moving is worth it only when it makes much room: else a long queue would be moved again and again. */
        if (bytes->start > kept) {
            memmove(bytes->data, bytes->data + bytes->start, kept);
            bytes->start = 0;
            bytes->end = kept;
        }
        if (bytes->capacity - bytes->end < length) {
            bytes->capacity = bytes->start + (kept + length) * 2;
            bytes->data = xrealloc(bytes->data, bytes->capacity);
        }
    }
    if (length)
        memcpy(bytes->data + bytes->end, data, length);
    bytes->end += length;
}

void bytes_drop(struct bytes *bytes, size_t length)
{
    bytes->start += length;
    if (bytes->start == bytes->end)
        bytes->start = bytes->end = 0;
}

void bytes_clear(struct bytes *bytes)
{
    free(bytes->data);
    memset(bytes, 0, sizeof(*bytes));
}

void bytes_put_u8(struct bytes *bytes, uint8_t value)
{
    bytes_append(bytes, &value, sizeof(value));
}

void bytes_put_u16(struct bytes *bytes, uint16_t value)
{
    bytes_append(bytes, &value, sizeof(value));
}

void bytes_put_u32(struct bytes *bytes, uint32_t value)
{
    bytes_append(bytes, &value, sizeof(value));
}

void bytes_put_u64(struct bytes *bytes, uint64_t value)
{
    bytes_append(bytes, &value, sizeof(value));
}

void bytes_put_blob(struct bytes *bytes, const void *data, size_t length)
{
    bytes_put_u32(bytes, length);
    bytes_append(bytes, data, length);
}

void bytes_put_string(struct bytes *bytes, const char *text)
{
    bytes_put_blob(bytes, text, strlen(text) + 1);
}

static void reader_copy(struct reader *reader, void *to, size_t length)
{
    memset(to, 0, length);
    if (reader->failed || reader->length - reader->position < length) {
        reader->failed = true;
        return;
    }
    memcpy(to, reader->data + reader->position, length);
    reader->position += length;
}

uint8_t reader_u8(struct reader *reader)
{
    uint8_t value;

    reader_copy(reader, &value, sizeof(value));
    return value;
}

uint16_t reader_u16(struct reader *reader)
{
    uint16_t value;

    reader_copy(reader, &value, sizeof(value));
    return value;
}

uint32_t reader_u32(struct reader *reader)
{
    uint32_t value;

    reader_copy(reader, &value, sizeof(value));
    return value;
}

uint64_t reader_u64(struct reader *reader)
{
    uint64_t value;

    reader_copy(reader, &value, sizeof(value));
    return value;
}

const uint8_t *reader_blob(struct reader *reader, size_t *length)
{
    const uint8_t *blob;

    *length = reader_u32(reader);
    if (reader->failed || reader->length - reader->position < *length) {
        reader->failed = true;
        *length = 0;
        return (const uint8_t *)"";
    }
    blob = reader->data + reader->position;
    reader->position += *length;
    return blob;
}

const char *reader_string(struct reader *reader)
{
    size_t length;
    const char *text = (const char *)reader_blob(reader, &length);

    if (length == 0 || memchr(text, '\0', length) != text + length - 1) {
        reader->failed = true;
        return "";
    }
    return text;
}
