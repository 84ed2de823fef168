/* SPDX-License-Identifier: MIT */
/*
 * Writing core files beside others that write to the same folder: nothing that was there is written to, or removed.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "child.h"
#include "core_dump.h"
#include "lib/hypercall.h"
#include "writer_test.h"

#define CORE DUMP_DIR "/core"
#define PART CORE ".part"

/* --- stand-ins: a guest of one page, and processes that do nothing ------------------------------------------------ */

static child_fn child_ended;
static void *child_context;

int hv_open(void)
{
    return 0;
}

int hv_domain_info(uint32_t domid, struct xen_domctl_getdomaininfo *info)
{
    *info = (struct xen_domctl_getdomaininfo){ .domain = domid, .tot_pages = 1, .shared_info_frame = SHARED_FRAME };
    return 0;
}

int hv_vcpu_get_context(uint32_t domid, uint32_t vcpu, vcpu_guest_context_t *context)
{
    (void)domid;
    (void)vcpu;
    memset(context, 0, sizeof(*context));
    return 0;
}

long hv_version(unsigned int cmd, void *arg, size_t size)
{
    (void)cmd;
    if (arg)
        memset(arg, 0, size);
    return 4 << 16 | 17;
}

struct child *child_start(char *const argv[], const char *input, bool dies_with_us, child_fn ended, void *context)
{
    (void)argv;
    (void)input;
    assert_true(dies_with_us);
    child_ended = ended;
    child_context = context;
    return (struct child *)&child_ended;
}

void child_terminate(struct child *child)
{
    (void)child;
}

/* --- tests -------------------------------------------------------------------------------------------------------- */

static void put_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

static void expect_file(const char *path, const char *text)
{
    char data[64] = "";
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    assert_true(fd >= 0);
    assert_int_equal(read(fd, data, sizeof(data) - 1), strlen(text));
    assert_string_equal(data, text);
    close(fd);
}

static int setup(void **state)
{
    (void)state;
    mkdir(DUMP_DIR, 0700);
    unlink(CORE);
    unlink(PART);
    make_guest();
    return 0;
}

static void core_is_written(void **state)
{
    struct stat info;

    (void)state;
    assert_int_equal(core_dump_main(1, CORE), 0);
    assert_int_equal(stat(CORE, &info), 0);
    assert_int_equal(info.st_mode & 0777, 0600);
    assert_int_equal(access(PART, F_OK), -1);
}

/* A file of that name may be somebody else's, who would read the guest's memory in it. */
static void part_of_others_is_left_alone(void **state)
{
    (void)state;
    put_file(PART, "mine");
    assert_int_equal(core_dump_main(1, CORE), 1);
    expect_file(PART, "mine");
    assert_int_equal(access(CORE, F_OK), -1);
}

static void on_core(void *context, uint64_t size, const struct failure *failure)
{
    assert_int_equal(size, 0);
    *(bool *)context = failure != NULL;
}

/* The daemon cleans up behind a writer that was killed, and not behind one that refused. */
static void daemon_removes_what_was_left(void **state)
{
    struct failure failure;
    bool failed = false;

    (void)state;
    put_file(PART, "mine");
    assert_non_null(core_dump_start(1, CORE, on_core, &failed, &failure));
    child_ended(child_context, 1 << 8, "{\"ok\":false,\"error\":{\"what\":\"a\",\"why\":\"b\",\"remedy\":\"c\"}}");
    assert_true(failed);
    expect_file(PART, "mine");
    failed = false;
    assert_non_null(core_dump_start(1, CORE, on_core, &failed, &failure));
    child_ended(child_context, 15, "");
    assert_true(failed);
    assert_int_equal(access(PART, F_OK), -1);
}

/* Writers die with their daemon: the next one removes what they left, and nothing else. */
static void next_daemon_removes_what_was_left(void **state)
{
    (void)state;
    put_file(DUMP_DIR "/a-20260102T030405Z.core.part", "");
    put_file(DUMP_DIR "/a-20260102T030405Z.core", "core");
    core_dumps_recover();
    assert_int_equal(access(DUMP_DIR "/a-20260102T030405Z.core.part", F_OK), -1);
    expect_file(DUMP_DIR "/a-20260102T030405Z.core", "core");
}

int run_writer_tests(void)
{
#define TEST(function) cmocka_unit_test_setup(function, setup)
    const struct CMUnitTest tests[] = {
        TEST(core_is_written),
        TEST(part_of_others_is_left_alone),
        TEST(daemon_removes_what_was_left),
        TEST(next_daemon_removes_what_was_left),
    };

    return cmocka_run_group_tests_name("writing core files", tests, NULL, NULL);
}
