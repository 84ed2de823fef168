/* SPDX-License-Identifier: MIT */
/*
 * The handshake with a server of a disk's image: with a good server, with every prefix of its answers, with every bit
 * of them turned over, and with servers that say too much, too little or something else. All that a server says is put
 * into the socket beforehand.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "nbd_handshake.h"

#define SIZE_MAX_BYTES (64U << 10)
#define ACK 1
#define SERVER 2
#define INFO 3
#define UNSUPPORTED 0x80000001U
#define HAS_FLAGS 1
#define SEND_FLUSH 4

/* What a server says. */
struct speech {
    uint8_t bytes[SIZE_MAX_BYTES];
    size_t length;
};

static struct speech speech;
static char why[NBD_WHY_SIZE];
static struct nbd_export export;

static void say(const void *data, size_t length)
{
    assert_true(speech.length + length <= sizeof(speech.bytes));
    memcpy(speech.bytes + speech.length, data, length);
    speech.length += length;
}

static void say_number(uint64_t number, int bytes)
{
    for (int i = bytes; i-- > 0;) {
        uint8_t byte = number >> 8 * i;

        say(&byte, 1);
    }
}

static void say_greeting(uint16_t flags)
{
    speech.length = 0;
    say("NBDMAGICIHAVEOPT", 16);
    say_number(flags, 2);
}

static void say_reply(uint32_t type, uint32_t length)
{
    say_number(0x3e889045565a9, 8);
    say_number(7, 4);
    say_number(type, 4);
    say_number(length, 4);
}

static void say_export(uint64_t size, uint16_t flags)
{
    say_reply(INFO, 12);
    say_number(0, 2);
    say_number(size, 8);
    say_number(flags, 2);
}

static void say_all_that_is_good(void)
{
    say_greeting(3);
    /* Of its name and its block sizes, which nobody asked for. */
    say_reply(INFO, 5);
    say_number(1, 2);
    say("abc", 3);
    say_reply(INFO, 14);
    say_number(3, 2);
    say("\0\0\0\1\0\0\x10\0\2\0\0\0", 12);
    say_export(16 << 20, HAS_FLAGS | SEND_FLUSH);
    say_reply(ACK, 0);
}

/* The outcome with a server that says `length` bytes of the speech and then no more. */
static int hear(size_t length, uint8_t *heard, size_t *heard_length)
{
    int ends[2], size = 4 * SIZE_MAX_BYTES, rc;

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    setsockopt(ends[1], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    assert_int_equal(send(ends[1], speech.bytes, length, MSG_DONTWAIT), length);
    shutdown(ends[1], SHUT_WR);
    why[0] = '\0';
    export = (struct nbd_export){ 0 };
    rc = nbd_handshake(ends[0], &export, why);
    close(ends[0]);
    if (heard)
        *heard_length = read(ends[1], heard, *heard_length);
    close(ends[1]);
    assert_true(rc == 0 || strlen(why) > 0);
    assert_true(strlen(why) < sizeof(why));
    return rc;
}

static void refused(const char *words)
{
    assert_int_equal(hear(speech.length, NULL, NULL), -1);
    if (!strstr(why, words))
        fail_msg("'%s' is not in: %s", words, why);
}

/* --- tests -------------------------------------------------------------------------------------------------------- */

static void a_good_server(void **state)
{
    static const uint8_t wanted[] = "\0\0\0\3IHAVEOPT\0\0\0\7\0\0\0\6\0\0\0\0\0\0";
    uint8_t heard[64];
    size_t length = sizeof(heard);

    (void)state;
    say_all_that_is_good();
    assert_int_equal(hear(speech.length, heard, &length), 0);
    assert_true(export.size == 16 << 20);
    assert_int_equal(export.flags, HAS_FLAGS | SEND_FLUSH);
    assert_int_equal(length, sizeof(wanted) - 1);
    assert_memory_equal(heard, wanted, length);
}

static void one_that_says_less(void **state)
{
    (void)state;
    say_all_that_is_good();
    for (size_t length = 0; length < speech.length; length++) {
        assert_int_equal(hear(length, NULL, NULL), -1);
        assert_non_null(strstr(why, "ended the connection"));
    }
}

/* No bit of it makes the client do harm; most make it refuse. */
static void one_that_errs_in_a_bit(void **state)
{
    (void)state;
    say_all_that_is_good();
    for (size_t bit = 0; bit < speech.length * 8; bit++) {
        speech.bytes[bit / 8] ^= 1 << bit % 8;
        if (hear(speech.length, NULL, NULL) == 0)
            assert_true(export.size >= 512 && export.size <= INT64_MAX && export.flags & HAS_FLAGS);
        speech.bytes[bit / 8] ^= 1 << bit % 8;
    }
}

static void one_that_speaks_otherwise(void **state)
{
    (void)state;
    speech.length = 0;
    say("HTTP/1.1 400 Bad Request\r\n\r\n", 28);
    refused("newstyle");
    say_greeting(0);
    refused("newstyle");
    /* The protocol of old. */
    speech.length = 0;
    say("NBDMAGIC\0\0\x42\2\x81\x86\x12\x53", 16);
    say_number(1 << 20, 8);
    refused("newstyle");
}

static void one_that_refuses(void **state)
{
    (void)state;
    say_greeting(3);
    say_reply(UNSUPPORTED, 11);
    say("not by me\n\1", 11);
    refused("error 1: not by me  ");
    /* With more words than there is room for, none of them the last. */
    say_greeting(3);
    say_reply(UNSUPPORTED, 4096);
    for (int i = 0; i < 4096; i++)
        say("x", 1);
    refused("xxxx");
}

static void one_that_says_too_much(void **state)
{
    (void)state;
    say_greeting(3);
    for (int i = 0; i < 1000; i++)
        say_export(1 << 20, HAS_FLAGS);
    refused("more than");
    say_greeting(3);
    say_reply(INFO, UINT32_MAX);
    refused("does not belong");
    say_greeting(3);
    say_reply(UNSUPPORTED, 4097);
    refused("does not belong");
}

static void one_that_answers_another_question(void **state)
{
    (void)state;
    say_greeting(3);
    say_reply(ACK, 0);
    speech.bytes[18 + 11] = 6;
    refused("does not belong");
    say_greeting(3);
    say_reply(ACK, 0);
    refused("did not describe");
    say_greeting(3);
    say_reply(SERVER, 0);
    say_reply(ACK, 0);
    refused("did not describe");
    say_greeting(3);
    say_reply(INFO, 1);
    say("\0", 1);
    refused("of 1 bytes");
    say_greeting(3);
    say_reply(INFO, 4);
    say("\0\0\0\0", 4);
    refused("in 4 bytes");
}

static void one_with_an_export_that_is_none(void **state)
{
    static const uint64_t sizes[] = { 0, 511, 1ULL << 63, UINT64_MAX };

    (void)state;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        say_greeting(3);
        say_export(sizes[i], HAS_FLAGS);
        say_reply(ACK, 0);
        refused("bytes");
    }
    say_greeting(3);
    say_export(1 << 20, 0);
    say_reply(ACK, 0);
    refused("flags 0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_server),
        cmocka_unit_test(one_that_says_less),
        cmocka_unit_test(one_that_errs_in_a_bit),
        cmocka_unit_test(one_that_speaks_otherwise),
        cmocka_unit_test(one_that_refuses),
        cmocka_unit_test(one_that_says_too_much),
        cmocka_unit_test(one_that_answers_another_question),
        cmocka_unit_test(one_with_an_export_that_is_none),
    };

    alarm(60);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
