/* SPDX-License-Identifier: MIT */
/*
 * The file of the store's journal: the daemon is killed at each system call it makes for it, before it, in the middle of
 * what it writes, or after it; or the call fails. A new daemon finds all that the old one had let out.
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
#include <sys/types.h>

#include <cmocka.h>

#include "lib/bytes.h"
#include "log.h"
#include "store_file.h"
#include "store/store.h"

/* Enough for the file to be replaced by a snapshot, at about step 63. */
#define STEPS 70
#define VALUE_SIZE 65536

struct store *the_store;

/* --- files in memory ---------------------------------------------------------------------------------------------- */

enum fault { NO_FAULT, KILL_BEFORE, KILL_AMID, KILL_AFTER, FAIL, FAIL_SHORT };

struct file {
    const char *name; /* NULL: it has none any more */
    struct bytes content;
};

static struct file files[8];
static struct {
    struct file *file; /* NULL: closed */
    size_t position;
} descriptors[8192]; /* no number is used again: the daemon that starts must not know the old ones */
static int next_fd = 3;
static unsigned int calls, fault_at; /* of calls that change something */
static enum fault fault;
static jmp_buf death;

static struct file *find(const char *name)
{
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
        if (files[i].name && !strcmp(files[i].name, name))
            return &files[i];
    return NULL;
}

static void drop(struct file *file)
{
    if (!file)
        return;
    for (size_t i = 0; i < sizeof(descriptors) / sizeof(descriptors[0]); i++)
        if (descriptors[i].file == file)
            return;
    if (!file->name)
        bytes_clear(&file->content);
}

/* What is to happen to the call at hand. */
static enum fault next_fault(void)
{
    enum fault now = ++calls == fault_at ? fault : NO_FAULT;

    if (now == KILL_BEFORE)
        longjmp(death, 1);
    return now;
}

static int outcome(enum fault now, int result)
{
    if (now == KILL_AMID || now == KILL_AFTER)
        longjmp(death, 1);
    return result;
}

static int refuse(int error)
{
    errno = error;
    return -1;
}

int fake_open(const char *path, int flags, ...)
{
    struct file *file = find(path);
    enum fault now = flags & O_CREAT ? next_fault() : NO_FAULT;

    if (now == FAIL || now == FAIL_SHORT)
        return refuse(ENOSPC);
    if (!file && !(flags & O_CREAT))
        return refuse(ENOENT);
    for (file = file ? file : files; file->name && strcmp(file->name, path); file++)
        continue;
    assert_true(next_fd < 8192);
    if (!file->name) {
        for (file = files; file->name || bytes_length(&file->content); file++)
            assert_true(file < files + 7);
        file->name = strstr(path, ".new") ? "/run/domus/store.new" : "/run/domus/store";
    }
    if (flags & O_TRUNC)
        bytes_clear(&file->content);
    descriptors[next_fd].file = file;
    return outcome(now, next_fd++);
}

int fake_close(int fd)
{
    struct file *file = descriptors[fd].file;

    if (!file)
        return refuse(EBADF); /* it was another process's */
    descriptors[fd].file = NULL;
    drop(file);
    return 0;
}

ssize_t fake_read(int fd, void *data, size_t length)
{
    struct bytes *content = &descriptors[fd].file->content;
    size_t left = bytes_length(content) - descriptors[fd].position;

    if (length > left)
        length = left;
    memcpy(data, bytes_front(content) + descriptors[fd].position, length);
    descriptors[fd].position += length;
    return length;
}

ssize_t fake_write(int fd, const void *data, size_t length)
{
    enum fault now = next_fault();

    if (now == FAIL)
        return refuse(ENOSPC);
    if (now == KILL_AMID || now == FAIL_SHORT)
        length /= 2;
    bytes_append(&descriptors[fd].file->content, data, length);
    /* A full disk takes a part, and says so at the next call. */
    if (now == FAIL_SHORT)
        fault_at = calls + 1, fault = FAIL;
    return outcome(now, length);
}

int fake_rename(const char *from, const char *to)
{
    struct file *file = find(from), *old = find(to);
    enum fault now = next_fault();

    if (now == FAIL || now == FAIL_SHORT)
        return refuse(EIO);
    assert_non_null(file);
    if (old)
        old->name = NULL;
    drop(old);
    file->name = "/run/domus/store";
    return outcome(now, 0);
}

int fake_unlink(const char *path)
{
    struct file *file = find(path);
    enum fault now = next_fault();

    if (!file)
        return refuse(ENOENT);
    file->name = NULL;
    drop(file);
    return outcome(now, 0);
}

/* --- the daemon ---------------------------------------------------------------------------------------------------- */

static void on_wake(void *context, struct store_conn *conn)
{
    (void)context;
    (void)conn;
}

static void on_dirty(void *context)
{
    (void)context;
}

static const struct store_ops ops = { .wake = on_wake, .dirty = on_dirty };

static void start(void)
{
    the_store = store_new(&ops, NULL, 1);
    assert_int_equal(store_file_open(), 0);
}

/* The process is gone, and with it its descriptors. */
static void end(void)
{
    store_free(the_store);
    for (size_t i = 0; i < sizeof(descriptors) / sizeof(descriptors[0]); i++) {
        struct file *file = descriptors[i].file;

        descriptors[i].file = NULL;
        drop(file);
    }
}

static void change(int step)
{
    store_put(the_store, "/step", "%0*d", VALUE_SIZE, step);
    store_put(the_store, "/same", "%d", step);
}

/* The step whose changes the store has, all of them or none. */
static int step_found(void)
{
    const char *value = store_get(the_store, "/step"), *same = store_get(the_store, "/same");
    int step = value ? atoi(value) : 0;

    assert_int_equal(step, same ? atoi(same) : 0);
    return step;
}

static void remove_files(void)
{
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        bytes_clear(&files[i].content);
        files[i].name = NULL;
    }
}

/* Work through the steps with one fault; returns how many calls there were. */
static unsigned int run(enum fault kind, unsigned int at)
{
    volatile int step = 0;
    volatile bool killed = false;
    unsigned int total;

    fault = NO_FAULT;
    start();
    calls = 0;
    fault = kind;
    fault_at = at;
    if (setjmp(death) == 0) {
        while (step < STEPS) {
            step++;
            change(step);
            store_file_write();
        }
    } else {
        killed = true;
    }
    total = calls;
    fault = NO_FAULT;
    end();
    start();
    if (killed)
        assert_true(step_found() == step || step_found() == step - 1);
    else
        assert_int_equal(step_found(), STEPS);
    /* And it goes on. */
    change(1000);
    store_file_write();
    end();
    start();
    assert_int_equal(step_found(), 1000);
    end();
    remove_files();
    return total;
}

/* Of the many plain appends, a few will do. */
static bool left_out(unsigned int at)
{
    return at > 4 && at < 58 && at % 16;
}

static void test_killed_at_each_call(void **state)
{
    unsigned int total = run(NO_FAULT, 0);

    (void)state;
    /* Each append, and the making of a new file, at the start and for the snapshot. */
    assert_int_equal(total, STEPS + 3);
    for (unsigned int at = 1; at <= total; at++) {
        if (left_out(at))
            continue;
        run(KILL_BEFORE, at);
        run(KILL_AMID, at);
        run(KILL_AFTER, at);
    }
}

static void test_each_call_fails(void **state)
{
    (void)state;
    for (unsigned int at = 1; at <= STEPS + 3; at++) {
        if (left_out(at))
            continue;
        run(FAIL, at);
        run(FAIL_SHORT, at);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_killed_at_each_call),
        cmocka_unit_test(test_each_call_fails),
    };

    /* What the daemon would say of its damaged file. */
    log_set_level(-1);
    return cmocka_run_group_tests_name("store's file", tests, NULL, NULL);
}
