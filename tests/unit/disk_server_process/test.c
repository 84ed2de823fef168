/* SPDX-License-Identifier: MIT */
/*
 * The process of a disk's server, from the daemon's side: where it cannot be followed, there is none.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon.h"
#include "disk_server_process.h"

struct event_base *main_loop;
static unsigned int records;

void server_record_write(const struct server *server)
{
    (void)server;
    records++;
}

/* The kernel has no descriptor for it. */
long __wrap_syscall(long number, ...)
{
    assert_int_equal(number, SYS_pidfd_open);
    errno = EMFILE;
    return -1;
}

static void on_end(int fd, short what, void *context)
{
    (void)fd;
    (void)what;
    (void)context;
}

static void process_that_cannot_be_followed_ends(void **state)
{
    struct server server = { .target = "/nowhere", .format = "qcow2" };
    int listener = open("/dev/null", O_RDWR | O_CLOEXEC), next;

    (void)state;
    assert_false(server_process_start(&server, listener, on_end));
    assert_int_equal(errno, EMFILE);
    assert_int_equal(server.process.pid, 0);
    assert_int_equal(records, 0);
    /* Nobody is left to wait for, and nothing open. */
    assert_int_equal(waitpid(-1, NULL, 0), -1);
    assert_int_equal(errno, ECHILD);
    next = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_int_equal(next, listener + 1);
    close(next);
    close(listener);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(process_that_cannot_be_followed_ends) };

    return cmocka_run_group_tests_name("processes of disk servers", tests, NULL, NULL);
}
