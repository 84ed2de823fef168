/* SPDX-License-Identifier: MIT */
/*
 * Ramdisks: whole ones of every kind pass, cut and hostile ones are refused, what is unknown passes unread.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "build/ramdisk.h"
#include "images.h"

static const enum compression packings[] = {COMPRESSION_GZIP, COMPRESSION_XZ, COMPRESSION_ZSTD, COMPRESSION_LZ4};
#define PACKINGS (sizeof(packings) / sizeof(packings[0]))

/* Checked in a block of exactly its length, so that a read beyond it is caught. */
static int check(const uint8_t *data, size_t size)
{
    uint8_t *copy = test_malloc(size + 1);
    bool unpacked;
    int failed;

    memcpy(copy + 1, data, size);
    failed = ramdisk_check(copy + 1, size, &unpacked, &test_failure);
    test_free(copy);
    if (failed)
        assert_explained();
    return failed;
}

static void append(struct image *image, const void *data, size_t size)
{
    image->data = realloc(image->data, image->size + size + 1);
    assert_non_null(image->data);
    memcpy(image->data + image->size, data, size);
    image->size += size;
}

static void append_fill(struct image *image, uint8_t byte, size_t count)
{
    image->data = realloc(image->data, image->size + count + 1);
    assert_non_null(image->data);
    memset(image->data + image->size, byte, count);
    image->size += count;
}

static void append_zeros(struct image *image, size_t count) { append_fill(image, 0, count); }

/* One entry, padded; the sizes in its header need not be true. */
static void append_entry(struct image *image, const char *name, uint32_t name_size, uint32_t file_size, size_t body)
{
    char header[111];

    snprintf(header, sizeof(header), "070701%08X%08X%08X%08X%08X%08x%08X%08X%08X%08X%08X%08X%08X", 1, 0100644, 0, 0, 1,
             0, file_size, 0, 0, 0, 0, name_size, 0);
    append(image, header, 110);
    append(image, name, strlen(name) + 1);
    append_zeros(image, -image->size & 3);
    append_fill(image, 'x', body);
    append_zeros(image, -image->size & 3);
}

static void append_file(struct image *image, const char *name, size_t size)
{
    append_entry(image, name, strlen(name) + 1, size, size);
}

static struct image cpio_archive(void)
{
    struct image image = {0};

    append_file(&image, "init", 301);
    append_file(&image, "dev", 0);
    append_file(&image, "etc/motd", 64);
    append_file(&image, "TRAILER!!!", 0);
    append_zeros(&image, -image.size & 511);
    return image;
}

/* Much of it does not compress, so that every format has blocks to cut. */
static struct image noise(void)
{
    struct image image = {0};

    for (int i = 0; i < 400; i++) {
        uint64_t number = next_random();

        append(&image, &number, sizeof(number));
    }
    append_zeros(&image, 600 << 10);
    return image;
}

/* Refused from the magic of an entry to its last byte; what is cut off between entries cannot be told from a whole. */
static void cut_cpio_is_refused(void **state)
{
    static const struct {
        const char *name;
        size_t file_size, size;
    } entries[] = {{"init", 301, 116 + 301}, {"dev", 0, 114}, {"TRAILER!!!", 0, 121}};
    struct image cpio = {0};

    (void)state;
    for (size_t i = 0; i < sizeof(entries) / sizeof(entries[0]); i++) {
        size_t begin = cpio.size;

        append_file(&cpio, entries[i].name, entries[i].file_size);
        for (size_t size = begin; size <= cpio.size; size++) {
            bool cut = size >= begin + 6 && size < begin + entries[i].size;

            assert_int_equal(check(cpio.data, size), cut ? -1 : 0);
        }
    }
    image_free(&cpio);
}

static void hostile_cpio_sizes_are_refused(void **state)
{
    static const uint32_t sizes[] = {0x7fffffff, 0x80000000, 0xffffff80, 0xfffffffc, 0xffffffff, 400};

    (void)state;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct image file = {0}, name = {0}, both = {0};

        append_entry(&file, "init", 5, sizes[i], 100);
        append_entry(&name, "init", sizes[i], 0, 100);
        append_entry(&both, "init", sizes[i], sizes[i], 100);
        assert_int_equal(check(file.data, file.size), -1);
        assert_int_equal(check(name.data, name.size), -1);
        assert_int_equal(check(both.data, both.size), -1);
        memcpy(file.data + 54, "0000x000", 8);
        assert_int_equal(check(file.data, file.size), -1);
        image_free(&file);
        image_free(&name);
        image_free(&both);
    }
}

/* Legacy lz4 has no mark of its end: cut before a block, or within its size, it cannot be told from a whole one. */
static void cut_archive_is_refused(void **state)
{
    struct image content = noise();

    (void)state;
    for (size_t i = 0; i < PACKINGS; i++) {
        struct image packed = packed_image(&content, packings[i]);
        size_t known = packings[i] == COMPRESSION_LZ4 ? 8 : 6;

        assert_int_equal(check(packed.data, packed.size), 0);
        for (size_t size = 0; size < packed.size; size += size < 64 || size + 64 > packed.size ? 1 : 61) {
            int failed = check(packed.data, size);

            if (size >= known)
                assert_int_equal(failed, -1);
        }
        image_free(&packed);
    }
    image_free(&content);
}

/* As distributions have it: microcode in a bare archive, zeros, the rest compressed; and more after that. */
static void concatenations_are_checked_to_the_end(void **state)
{
    struct image content = noise();

    (void)state;
    for (size_t i = 0; i < PACKINGS * PACKINGS; i++) {
        struct image disk = cpio_archive();
        struct image first = packed_image(&content, packings[i / PACKINGS]);
        struct image second = packed_image(&content, packings[i % PACKINGS]);

        append(&disk, first.data, first.size);
        append_zeros(&disk, 7);
        append(&disk, second.data, second.size);
        assert_int_equal(check(disk.data, disk.size), 0);
        assert_int_equal(check(disk.data, disk.size - 1), -1);
        append_zeros(&disk, 8 + (-disk.size & 3));
        append_file(&disk, "last", 100);
        assert_int_equal(check(disk.data, disk.size), 0);
        assert_int_equal(check(disk.data, disk.size - 50), -1);
        image_free(&disk);
        image_free(&first);
        image_free(&second);
    }
    image_free(&content);
}

static void unknown_data_passes(void **state)
{
    static const char *const begins[] = {"BZh91AY&SY",   "\x89LZO", "\x5d\x00\x00\x80", "070707", "hsqs",
                                         "\x1f\x8b\x07", "x"};

    (void)state;
    assert_int_equal(check((const uint8_t *)"", 0), 0);
    for (size_t i = 0; i < sizeof(begins) / sizeof(begins[0]); i++) {
        struct image disk = cpio_archive();

        assert_int_equal(check((const uint8_t *)begins[i], strlen(begins[i])), 0);
        append(&disk, begins[i], strlen(begins[i]));
        append(&disk, "garbage", 7);
        assert_int_equal(check(disk.data, disk.size), 0);
        image_free(&disk);
    }
}

static void spoilt_archive_never_harms(void **state)
{
    struct image content = noise();

    (void)state;
    content.size = 8192;
    for (size_t i = 0; i < PACKINGS; i++) {
        struct image disk = cpio_archive();
        struct image packed = packed_image(&content, packings[i]);

        append(&disk, packed.data, packed.size);
        for (int round = 0; round < 1000; round++) {
            uint8_t *at = disk.data + next_random() % disk.size, old = *at;

            *at = next_random();
            check(disk.data, disk.size);
            *at = old;
        }
        image_free(&disk);
        image_free(&packed);
    }
    image_free(&content);
}

static unsigned int count_files(const char *path)
{
    DIR *listing = opendir(path);
    struct dirent *entry;
    unsigned int count = 0;

    assert_non_null(listing);
    while ((entry = readdir(listing)) != NULL)
        count += entry->d_name[0] != '.';
    closedir(listing);
    return count;
}

/* What a file was found to be is remembered if it has lain still: other bytes given for it are then not looked at. */
static void verdict_is_remembered_when_settled(void **state)
{
    char folder[] = "/tmp/ramdisk-test-XXXXXX", cache[64], command[64];
    struct image content = noise(), cpio = cpio_archive();
    struct image packed = packed_image(&content, COMPRESSION_ZSTD);
    struct stat status;
    int fd;

    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(cache, sizeof(cache), "%s/cache", folder);
    snprintf(command, sizeof(command), "%s/disk", folder);
    fd = open(command, O_CREAT | O_RDWR, 0600);
    assert_int_equal(fstat(fd, &status), 0);
    assert_int_equal(ramdisk_check_file(fd, &status, packed.data, packed.size, cache, &test_failure), 0);
    assert_int_equal(count_files(cache), 0);
    sleep(4);
    assert_int_equal(ramdisk_check_file(fd, &status, cpio.data, cpio.size, cache, &test_failure), 0);
    assert_int_equal(ramdisk_check_file(fd, &status, packed.data, packed.size - 1, cache, &test_failure), -1);
    assert_int_equal(count_files(cache), 0);
    assert_int_equal(ramdisk_check_file(fd, &status, packed.data, packed.size, cache, &test_failure), 0);
    assert_int_equal(count_files(cache), 1);
    assert_int_equal(ramdisk_check_file(fd, &status, packed.data, packed.size - 1, cache, &test_failure), 0);
    assert_int_equal(ftruncate(fd, 1), 0);
    assert_int_equal(fstat(fd, &status), 0);
    assert_int_equal(ramdisk_check_file(fd, &status, packed.data, packed.size - 1, cache, &test_failure), -1);
    close(fd);
    snprintf(command, sizeof(command), "rm -rf %s", folder);
    assert_int_equal(system(command), 0);
    image_free(&content);
    image_free(&cpio);
    image_free(&packed);
}

int run_ramdisk_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cut_cpio_is_refused),
        cmocka_unit_test(hostile_cpio_sizes_are_refused),
        cmocka_unit_test(cut_archive_is_refused),
        cmocka_unit_test(concatenations_are_checked_to_the_end),
        cmocka_unit_test(unknown_data_passes),
        cmocka_unit_test(spoilt_archive_never_harms),
        cmocka_unit_test(verdict_is_remembered_when_settled),
    };

    return cmocka_run_group_tests_name("ramdisks", tests, NULL, NULL);
}
