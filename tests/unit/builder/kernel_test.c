/* SPDX-License-Identifier: MIT */
/*
 * Opening kernel files, and the cache of unpacked ones.
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "build/kernel.h"
#include "images.h"

static char folder[64];
static char cache[96];

static const char *in_folder(const char *name)
{
    static char path[128];

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    return path;
}

/* What was last written to the disk. */
static ino_t synced;

int __wrap_fdatasync(int fd)
{
    struct stat status;

    assert_int_equal(fstat(fd, &status), 0);
    synced = status.st_ino;
    return 0;
}

/* A name in the cache must not outlive what it leads to when the power fails. */
int __real_linkat(int from_folder, const char *from, int to_folder, const char *to, int flags);
int __wrap_linkat(int from_folder, const char *from, int to_folder, const char *to, int flags)
{
    struct stat status;

    assert_int_equal(fstatat(from_folder, from, &status, 0), 0);
    assert_int_equal(status.st_ino, synced);
    return __real_linkat(from_folder, from, to_folder, to, flags);
}

static int set_up(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/builder-test-XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    snprintf(cache, sizeof(cache), "%s/cache/kernels", folder);
    return 0;
}

static int tear_down(void **state)
{
    char command[128];

    (void)state;
    snprintf(command, sizeof(command), "rm -rf %s", folder);
    return system(command);
}

/* Write a packed kernel whose contents depend on `variant`. */
static struct image write_kernel(const char *name, uint8_t variant)
{
    struct image kernel = elf_image();
    struct image packed, bz;
    FILE *file = fopen(in_folder(name), "w");

    kernel.data[IMAGE_TEXT_OFFSET + 0x2000] = variant;
    packed = packed_image(&kernel, COMPRESSION_ZSTD);
    bz = bz_image(&packed, COMPRESSION_ZSTD, kernel.size);
    assert_non_null(file);
    assert_int_equal(fwrite(bz.data, 1, bz.size, file), bz.size);
    fclose(file);
    image_free(&packed);
    image_free(&bz);
    return kernel;
}

static void assert_opens(const char *name, const struct image *expected)
{
    struct kernel kernel;

    assert_int_equal(kernel_open(in_folder(name), cache, &kernel, &test_failure), 0);
    assert_int_equal(kernel.size, expected->size);
    assert_memory_equal(kernel.data, expected->data, expected->size);
    kernel_close(&kernel);
}

/* How many files of type `type` (DT_*) the cache holds. */
static unsigned int cached(unsigned char type)
{
    DIR *listing = opendir(cache);
    struct dirent *entry;
    unsigned int count = 0;

    assert_non_null(listing);
    while ((entry = readdir(listing)) != NULL)
        count += entry->d_type == type;
    closedir(listing);
    return count;
}

static void same_content_is_unpacked_once(void **state)
{
    struct image kernel = write_kernel("one", 1);
    struct image copy = write_kernel("two", 1);

    (void)state;
    assert_opens("one", &kernel);
    assert_int_equal(cached(DT_REG), 1);
    assert_opens("one", &kernel);
    assert_opens("two", &kernel);
    assert_int_equal(cached(DT_REG), 1);
    image_free(&kernel);
    image_free(&copy);
}

static void replaced_kernel_is_noticed(void **state)
{
    struct image kernel = write_kernel("one", 1), other;

    (void)state;
    assert_opens("one", &kernel);
    image_free(&kernel);
    other = write_kernel("one", 2);
    assert_opens("one", &other);
    assert_int_equal(cached(DT_REG), 2);
    image_free(&other);
}

/* A file that has lain still is found by its identity; that leads to the same kernel. */
static void identity_is_remembered_when_settled(void **state)
{
    struct image kernel = write_kernel("one", 1);

    (void)state;
    assert_opens("one", &kernel);
    assert_int_equal(cached(DT_LNK), 0);
    sleep(4);
    assert_opens("one", &kernel);
    assert_int_equal(cached(DT_LNK), 1);
    assert_opens("one", &kernel);
    image_free(&kernel);
}

static void cache_is_bounded(void **state)
{
    (void)state;
    for (uint8_t variant = 0; variant < 20; variant++) {
        struct image kernel = write_kernel("one", variant);

        assert_opens("one", &kernel);
        image_free(&kernel);
    }
    assert_int_equal(cached(DT_REG), 8);
}

static void works_without_cache(void **state)
{
    struct image kernel = write_kernel("one", 1);

    (void)state;
    strcpy(cache, "/proc/no/such/folder");
    assert_opens("one", &kernel);
    image_free(&kernel);
}

static void assert_not_opened(const char *path, const char *reason)
{
    struct kernel kernel;

    assert_int_equal(kernel_open(path, cache, &kernel, &test_failure), -1);
    if (!strstr(test_failure.why, reason))
        fail_msg("expected `%s', got `%s'", reason, test_failure.why);
    assert_explained();
}

static void what_is_no_kernel_is_refused(void **state)
{
    int fd = open(in_folder("large"), O_CREAT | O_WRONLY, 0600);

    (void)state;
    assert_int_equal(ftruncate(fd, 1L << 40), 0);
    close(fd);
    close(open(in_folder("empty"), O_CREAT | O_WRONLY, 0600));
    assert_int_equal(mkfifo(in_folder("fifo"), 0600), 0);
    assert_not_opened(in_folder("large"), "too much for a kernel");
    assert_not_opened(in_folder("empty"), "not a kernel");
    assert_not_opened(in_folder("fifo"), "not a regular file");
    assert_not_opened(in_folder("missing"), "No such file");
    assert_not_opened(folder, "not a regular file");
    assert_not_opened("/dev/zero", "not a regular file");
    assert_int_equal(cached(DT_REG), 0);
}

static void damaged_kernel_is_not_kept(void **state)
{
    struct image kernel = write_kernel("one", 1);
    int fd = open(in_folder("one"), O_WRONLY);

    (void)state;
    assert_int_equal(pwrite(fd, "\xff\xff\xff\xff\xff\xff\xff\xff", 8, 5 * 512 + 0x40 + 4), 8);
    close(fd);
    assert_not_opened(in_folder("one"), "zstd");
    assert_int_equal(cached(DT_REG), 0);
    image_free(&kernel);
}

/* The cache fills only where the file system has files without a name; without them kernels are unpacked each time. */
static bool has_nameless_files(void)
{
    int fd = open("/tmp", O_TMPFILE | O_RDWR, 0600);

    if (fd >= 0)
        close(fd);
    return fd >= 0;
}

int run_kernel_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(works_without_cache, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_no_kernel_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(damaged_kernel_is_not_kept, set_up, tear_down),
    };
    const struct CMUnitTest cache_tests[] = {
        cmocka_unit_test_setup_teardown(same_content_is_unpacked_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(replaced_kernel_is_noticed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(identity_is_remembered_when_settled, set_up, tear_down),
        cmocka_unit_test_setup_teardown(cache_is_bounded, set_up, tear_down),
    };
    int failed = cmocka_run_group_tests_name("opening kernels", tests, NULL, NULL);

    if (has_nameless_files())
        failed += cmocka_run_group_tests_name("cache of kernels", cache_tests, NULL, NULL);
    return failed;
}
