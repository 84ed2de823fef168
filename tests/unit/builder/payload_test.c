/* SPDX-License-Identifier: MIT */
/*
 * Kernel files: each way of packing is found and unpacked, and no truncated or spoilt one is taken for whole.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "images.h"

static const enum compression all[] = {
    COMPRESSION_NONE, COMPRESSION_GZIP, COMPRESSION_XZ, COMPRESSION_ZSTD, COMPRESSION_LZ4,
};
#define ALL (sizeof(all) / sizeof(all[0]))

/* Find and unpack. The unpacked size, or -1; the bytes are compared with `expected` if that is given. */
static long unpacked(const uint8_t *data, size_t size, size_t limit, const struct image *expected)
{
    int fd = memfd_create("test", 0);
    struct payload payload;
    struct stat status;
    long result = -1;

    assert_true(fd >= 0);
    if (payload_find(data, size, &payload, &test_failure) == 0 &&
        payload_unpack(&payload, fd, limit, &test_failure) == 0) {
        assert_int_equal(fstat(fd, &status), 0);
        result = status.st_size;
        if (expected) {
            uint8_t *bytes = mmap(NULL, result, PROT_READ, MAP_PRIVATE, fd, 0);

            assert_int_equal(result, expected->size);
            assert_memory_equal(bytes, expected->data, expected->size);
            munmap(bytes, result);
        }
    } else {
        assert_explained();
    }
    close(fd);
    return result;
}

static void every_format_unpacks(void **state)
{
    struct image kernel = elf_image();

    (void)state;
    for (size_t i = 0; i < ALL; i++) {
        struct image packed = packed_image(&kernel, all[i]);
        struct image bz = bz_image(&packed, all[i], kernel.size);

        assert_int_equal(unpacked(packed.data, packed.size, KERNEL_SIZE_MAX, &kernel), kernel.size);
        assert_int_equal(unpacked(bz.data, bz.size, KERNEL_SIZE_MAX, &kernel), kernel.size);
        image_free(&packed);
        image_free(&bz);
    }
    image_free(&kernel);
}

/* The data is copied to a block of exactly its length, so that a read beyond it is caught. */
static void truncated_is_refused(void **state)
{
    struct image kernel = elf_image();

    (void)state;
    for (size_t i = 1; i < ALL; i++) {
        struct image packed = packed_image(&kernel, all[i]);
        struct image bz = bz_image(&packed, all[i], kernel.size);

        for (size_t size = 0; size < packed.size; size++) {
            uint8_t *cut = test_malloc(size + 1);

            memcpy(cut + 1, packed.data, size);
            assert_true(unpacked(cut + 1, size, KERNEL_SIZE_MAX, NULL) < (long)kernel.size);
            test_free(cut);
        }
        for (size_t size = 0; size + 100 < bz.size; size += 7)
            assert_int_equal(unpacked(bz.data, size, KERNEL_SIZE_MAX, NULL), -1);
        image_free(&packed);
        image_free(&bz);
    }
    image_free(&kernel);
}

/* A bzImage that claims a packed kernel of only some bytes, at the very end of a block of the sanitizer's. */
static void tiny_payload_is_refused(void **state)
{
    struct image kernel = elf_image();

    (void)state;
    for (size_t i = 1; i < ALL; i++) {
        struct image packed = packed_image(&kernel, all[i]);
        struct image bz = bz_image(&packed, all[i], kernel.size);

        for (uint32_t length = 0; length < 12; length++) {
            size_t size = 5 * 512 + 0x40 + length;
            uint8_t *cut = malloc(size);

            memcpy(cut, bz.data, size);
            memcpy(cut + 0x24c, &length, sizeof(length));
            assert_true(unpacked(cut, size, KERNEL_SIZE_MAX, NULL) <= 0);
            free(cut);
        }
        image_free(&packed);
        image_free(&bz);
    }
    image_free(&kernel);
}

static void spoilt_never_harms(void **state)
{
    struct image kernel = elf_image();

    (void)state;
    for (size_t i = 1; i < ALL; i++) {
        struct image packed = packed_image(&kernel, all[i]);
        struct image bz = bz_image(&packed, all[i], kernel.size);

        for (int round = 0; round < 2000; round++) {
            size_t at = round % 4 == 0 ? 0x1f0 + next_random() % 0x60 : 5 * 512 + next_random() % (bz.size - 5 * 512);
            uint8_t old = bz.data[at];

            bz.data[at] = next_random();
            unpacked(bz.data, bz.size, 1 << 20, NULL);
            bz.data[at] = old;
        }
        image_free(&packed);
        image_free(&bz);
    }
    image_free(&kernel);
}

static void limit_holds(void **state)
{
    struct image zeros = {.data = test_calloc(1, 4 << 20), .size = 4 << 20};

    (void)state;
    memcpy(zeros.data, "\177ELF", 4);
    for (size_t i = 0; i < ALL; i++) {
        struct image packed = packed_image(&zeros, all[i]);

        assert_int_equal(unpacked(packed.data, packed.size, zeros.size, &zeros), zeros.size);
        assert_int_equal(unpacked(packed.data, packed.size, zeros.size - 1, NULL), -1);
        image_free(&packed);
    }
    test_free(zeros.data);
}

static void other_files_are_named(void **state)
{
    static const struct {
        const char *data, *reason;
    } cases[] = {
        {"#!/bin/sh\necho not a kernel\n", "not a kernel"},
        {"BZh91AY&SY", "bzip2"},
        {"\x5d\x00\x00\x80\x00", "lzma"},
        {"", "not a kernel"},
    };
    struct payload payload;

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        size_t size = i == 2 ? 5 : strlen(cases[i].data);

        assert_int_equal(payload_find((const uint8_t *)cases[i].data, size, &payload, &test_failure), -1);
        assert_non_null(strstr(test_failure.why, cases[i].reason));
        assert_explained();
    }
}

static void old_protocol_is_refused(void **state)
{
    struct image kernel = elf_image();
    struct image bz = bz_image(&kernel, COMPRESSION_NONE, kernel.size);
    struct payload payload;

    (void)state;
    bz.data[0x206] = 0x07;
    assert_int_equal(payload_find(bz.data, bz.size, &payload, &test_failure), -1);
    assert_non_null(strstr(test_failure.why, "2.07"));
    image_free(&bz);
    image_free(&kernel);
}

int run_payload_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_format_unpacks),  cmocka_unit_test(truncated_is_refused),
        cmocka_unit_test(tiny_payload_is_refused),
        cmocka_unit_test(spoilt_never_harms),    cmocka_unit_test(limit_holds),
        cmocka_unit_test(other_files_are_named), cmocka_unit_test(old_protocol_is_refused),
    };

    return cmocka_run_group_tests_name("kernel files", tests, NULL, NULL);
}
