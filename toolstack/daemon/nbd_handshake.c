/* SPDX-License-Identifier: MIT */
/*
 * NBD's handshake: see nbd_handshake.h. All numbers on the wire are big-endian. The server is not trusted: what it says
 * is bounded in length and number, and an answer that does not fit the question ends the conversation.
 */
#include "nbd_handshake.h"

#include <ctype.h>
#include <endian.h>
#include <errno.h>
#include <linux/nbd.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SERVER_MAGIC 0x4e42444d41474943ULL /* "NBDMAGIC" */
#define OPTION_MAGIC 0x49484156454f5054ULL /* "IHAVEOPT" */
#define REPLY_MAGIC 0x3e889045565a9ULL

#define FLAG_FIXED_NEWSTYLE 1
#define FLAG_NO_ZEROES 2

#define OPTION_GO 7

#define REPLY_ACK 1
#define REPLY_INFO 3
#define REPLY_ERROR (1U << 31)

#define INFO_EXPORT 0

/* More than any server has to say. */
#define REPLY_LENGTH_MAX 4096
#define REPLIES_MAX 32

struct __attribute__((packed)) greeting {
    uint64_t magic, option_magic;
    uint16_t flags;
};

/* The client's flags and its only option: OPTION_GO for the export without a name, with no questions besides. */
struct __attribute__((packed)) request {
    uint32_t flags;
    uint64_t magic;
    uint32_t option, length;
    uint32_t name_length;
    uint16_t questions;
};

struct __attribute__((packed)) reply {
    uint64_t magic;
    uint32_t option, type, length;
};

struct __attribute__((packed)) export_info {
    uint16_t type;
    uint64_t size;
    uint16_t flags;
};

/* Exactly so many bytes, or false. */
static bool read_all(int fd, void *data, size_t length, char *why)
{
    for (size_t done = 0; done < length;) {
        ssize_t got = read(fd, (char *)data + done, length - done);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            snprintf(why, NBD_WHY_SIZE, "it ended the connection (%s)", got < 0 ? strerror(errno) : "end of data");
            return false;
        }
        done += got;
    }
    return true;
}

static bool send_request(int fd, char *why)
{
    const struct request request = {
        .flags = htobe32(FLAG_FIXED_NEWSTYLE | FLAG_NO_ZEROES),
        .magic = htobe64(OPTION_MAGIC),
        .option = htobe32(OPTION_GO),
        .length = htobe32(sizeof(request.name_length) + sizeof(request.questions)),
    };

    if (send(fd, &request, sizeof(request), MSG_NOSIGNAL) == sizeof(request))
        return true;
    snprintf(why, NBD_WHY_SIZE, "it takes no request (%s)", strerror(errno));
    return false;
}

static bool greet(int fd, char *why)
{
    struct greeting greeting;

    if (!read_all(fd, &greeting, sizeof(greeting), why))
        return false;
    if (be64toh(greeting.magic) != SERVER_MAGIC || be64toh(greeting.option_magic) != OPTION_MAGIC ||
        !(be16toh(greeting.flags) & FLAG_FIXED_NEWSTYLE)) {
        snprintf(why, NBD_WHY_SIZE, "it does not speak the newstyle protocol of NBD");
        return false;
    }
    return send_request(fd, why);
}

/* The one information that matters; others are left alone. */
static bool take_info(const char *data, uint32_t length, struct nbd_export *export, bool *known, char *why)
{
    struct export_info info;

    if (length < sizeof(info.type)) {
        snprintf(why, NBD_WHY_SIZE, "it sent an information of %u bytes", length);
        return false;
    }
    memcpy(&info.type, data, sizeof(info.type));
    if (be16toh(info.type) != INFO_EXPORT)
        return true;
    if (length != sizeof(info)) {
        snprintf(why, NBD_WHY_SIZE, "it described its export in %u bytes", length);
        return false;
    }
    memcpy(&info, data, sizeof(info));
    export->size = be64toh(info.size);
    export->flags = be16toh(info.flags);
    *known = true;
    return true;
}

/* What the kernel would not take, or a guest not understand. */
static bool check(const struct nbd_export *export, bool known, char *why)
{
    if (!known)
        snprintf(why, NBD_WHY_SIZE, "it did not describe its export");
    else if (!(export->flags & NBD_FLAG_HAS_FLAGS))
        snprintf(why, NBD_WHY_SIZE, "its flags %#x are not valid", export->flags);
    else if (export->size < 512 || export->size > INT64_MAX)
        snprintf(why, NBD_WHY_SIZE, "its export has %llu bytes", (unsigned long long)export->size);
    else
        return true;
    return false;
}

int nbd_handshake(int fd, struct nbd_export *export, char why[NBD_WHY_SIZE])
{
    char data[REPLY_LENGTH_MAX];
    struct reply reply;
    bool known = false;

    if (!greet(fd, why))
        return -1;
    for (int i = 0; i < REPLIES_MAX; i++) {
        uint32_t length, type;

        if (!read_all(fd, &reply, sizeof(reply), why))
            return -1;
        length = be32toh(reply.length);
        type = be32toh(reply.type);
        if (be64toh(reply.magic) != REPLY_MAGIC || be32toh(reply.option) != OPTION_GO || length > sizeof(data)) {
            snprintf(why, NBD_WHY_SIZE, "it sent a reply that does not belong there");
            return -1;
        }
        if (!read_all(fd, data, length, why))
            return -1;
        if (type == REPLY_ACK)
            return check(export, known, why) ? 0 : -1;
        if (type & REPLY_ERROR) {
            for (uint32_t c = 0; c < length; c++)
                data[c] = isprint((unsigned char)data[c]) ? data[c] : ' ';
            snprintf(why, NBD_WHY_SIZE, "it refused with error %u: %.*s", type & ~REPLY_ERROR, (int)length, data);
            return -1;
        }
        if (type == REPLY_INFO && !take_info(data, length, export, &known, why))
            return -1;
    }
    snprintf(why, NBD_WHY_SIZE, "it sent more than %d replies", REPLIES_MAX);
    return -1;
}
