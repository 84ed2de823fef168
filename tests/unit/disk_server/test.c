/* SPDX-License-Identifier: MIT */
/*
 * The life of a server of a disk's image: started, killed, resized, stopped, found again by another daemon, each at
 * every moment at which it matters. The test plays the processes and the kernel's devices; time passes when it says so.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <cmocka.h>

#include "child.h"
#include "daemon.h"
#include "disk_server.h"
#include "disk_server_process.h"
#include "domain.h"
#include "lib/alloc.h"
#include "nbd_device.h"

#define UUID "01234567-89ab-cdef-0123-456789abcdef"
#define NAME "domus " UUID " 51728"
#define MIB (1ULL << 20)

struct event_base *main_loop;
struct domain_list domains = LIST_HEAD_INITIALIZER(domains);

static struct disk_config disk = { .target = "/srv/a.qcow2", .vdev = "xvdb", .format = "qcow2", .number = 51728,
                                   .writable = true };
static struct config config = { .name = "guest", .uuid = UUID, .disks = &disk, .disk_count = 1 };
static struct domain domain = { .config = &config };

/* --- what the test plays ------------------------------------------------------------------------------------------ */

/* The child that runs, at most one. */
static struct {
    char word[32]; /* connect, disconnect; or sh, for qemu-img */
    child_fn ended;
    void *context;
    bool terminated;
} the_child;

/* The process of the server. */
static struct {
    pid_t pid;
    event_callback_fn ended;
    struct server *server;
    int signal; /* that it was last sent */
    unsigned int starts;
    bool impossible;
} the_process;

/* The kernel's device that was last connected. */
static struct {
    unsigned int number;
    char name[SERVER_NAME_SIZE]; /* empty: not connected */
    uint64_t size;
} the_device;

static unsigned int resized;
static char resize_error[1024];

struct child *child_start(char *const argv[], const char *input, bool dies_with_us, child_fn ended, void *context)
{
    assert_string_equal(input, "");
    assert_true(dies_with_us);
    assert_string_equal(the_child.word, "");
    strcpy(the_child.word, strcmp(argv[1], "--nbd") ? argv[0] : argv[2]);
    the_child.ended = ended;
    the_child.context = context;
    the_child.terminated = false;
    if (!strcmp(the_child.word, "connect"))
        the_device.number = atoi(argv[3]);
    return (struct child *)&the_child;
}

void child_terminate(struct child *child)
{
    assert_ptr_equal(child, &the_child);
    the_child.terminated = true;
}

bool server_program_there(void)
{
    return true;
}

int server_listen(const char *path)
{
    assert_non_null(strstr(path, ".socket"));
    return open("/dev/null", O_RDWR | O_CLOEXEC);
}

static void take_process(struct server *server, pid_t pid, event_callback_fn ended)
{
    assert_int_equal(the_process.pid, 0);
    the_process.pid = server->process.pid = pid;
    the_process.ended = ended;
    the_process.server = server;
    the_process.signal = 0;
}

bool server_process_start(struct server *server, int listener, event_callback_fn ended)
{
    assert_true(listener >= 0);
    if (the_process.impossible)
        return false;
    take_process(server, 1000 + ++the_process.starts, ended);
    server_record_write(server);
    return true;
}

bool server_process_adopt(struct server *server, event_callback_fn ended)
{
    pid_t pid = the_process.pid;

    if (!pid || server->process.pid != pid) {
        server->process.pid = 0;
        return false;
    }
    the_process.pid = 0;
    take_process(server, pid, ended);
    return true;
}

int server_process_end(struct server_process *process)
{
    process->pid = 0;
    return 0;
}

int kill(pid_t pid, int number)
{
    assert_int_equal(pid, the_process.pid);
    the_process.signal = number;
    return 0;
}

bool nbd_known(void)
{
    return true;
}

bool nbd_device_used(unsigned int device)
{
    return device == the_device.number && the_device.name[0];
}

bool nbd_device_is(unsigned int device, const char *name)
{
    return nbd_device_used(device) && !strcmp(the_device.name, name);
}

uint64_t nbd_device_size(unsigned int device)
{
    assert_int_equal(device, the_device.number);
    return the_device.size;
}

bool nbd_device_node(unsigned int device, dev_t *node)
{
    *node = device;
    return true;
}

bool config_refuse(struct failure *failure, const char *remedy, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(failure->why, sizeof(failure->why), format, args);
    va_end(args);
    failure_remedy(failure, "%s", remedy);
    return false;
}

/* --- what happens ------------------------------------------------------------------------------------------------- */

/* Timers that are due are served. */
static void settle(void)
{
    event_base_loop(main_loop, EVLOOP_NONBLOCK);
}

static void child_ends(const char *word, int status, const char *output)
{
    child_fn ended = the_child.ended;

    assert_string_equal(the_child.word, word);
    the_child.word[0] = '\0';
    ended(the_child.context, status, output);
    settle();
}

static void connected(void)
{
    strcpy(the_device.name, NAME);
    if (!the_device.size)
        the_device.size = 16 * MIB;
    child_ends("connect", 0, "");
}

static void disconnected(void)
{
    the_device.name[0] = '\0';
    child_ends("disconnect", 0, "");
}

static void process_ends(void)
{
    assert_int_not_equal(the_process.pid, 0);
    the_process.pid = 0;
    the_process.ended(-1, EV_READ, the_process.server);
    settle();
}

static void on_resized(void *context, const struct failure *failure)
{
    assert_ptr_equal(context, &resized);
    resized++;
    strcpy(resize_error, failure ? failure->why : "");
}

static enum server_state state(void)
{
    dev_t node;

    return disk_server_state(UUID, &disk, &node);
}

static bool resize(uint64_t bytes, struct failure *failure)
{
    return disk_server_resize(UUID, &disk, bytes, on_resized, &resized, failure);
}

static void start(void)
{
    struct failure failure;

    assert_int_equal(disk_server_start(UUID, &disk, &failure), 0);
}

static void serve(void)
{
    start();
    assert_int_equal(state(), SERVER_STARTING);
    connected();
    assert_int_equal(state(), SERVER_READY);
}

/* Nothing is left: no process, no device, no record. */
static void assert_nothing_left(void)
{
    assert_int_equal(state(), SERVER_FAILED);
    assert_string_equal(the_child.word, "");
    assert_int_equal(the_process.pid, 0);
    assert_string_equal(the_device.name, "");
    assert_int_equal(access(RUN_DIR "/images/0", F_OK), -1);
    assert_int_equal(access(RUN_DIR "/images/1", F_OK), -1);
}

/* As the back end has gone. */
static void stop(void)
{
    disk_server_stop(UUID, NULL);
    if (the_device.name[0])
        disconnected();
    if (the_process.pid) {
        assert_int_equal(the_process.signal, SIGTERM);
        process_ends();
    }
    assert_nothing_left();
}

static int begin(void **test)
{
    (void)test;
    main_loop = event_base_new();
    memset(&the_child, 0, sizeof(the_child));
    memset(&the_process, 0, sizeof(the_process));
    memset(&the_device, 0, sizeof(the_device));
    resized = 0;
    LIST_INIT(&domains);
    LIST_INSERT_HEAD(&domains, &domain, link);
    return 0;
}

static int end(void **test)
{
    (void)test;
    event_base_free(main_loop);
    return 0;
}

/* --- tests -------------------------------------------------------------------------------------------------------- */

static void one_is_started_and_stopped(void **test)
{
    (void)test;
    serve();
    start(); /* its domain is made again */
    assert_int_equal(the_process.starts, 1);
    stop();
}

static void one_that_cannot_be_started(void **test)
{
    (void)test;
    /* The image is none: the server ends before it answers. */
    start();
    process_ends();
    assert_true(the_child.terminated);
    child_ends("connect", SIGTERM, "");
    assert_int_equal(state(), SERVER_FAILED);
    stop();
    /* It speaks nonsense. */
    start();
    child_ends("connect", 1 << 8, "it does not speak the newstyle protocol of NBD");
    assert_int_equal(the_process.signal, SIGKILL);
    process_ends();
    assert_int_equal(state(), SERVER_FAILED);
    stop();
    /* There can be no process. */
    the_process.impossible = true;
    start();
    assert_int_equal(state(), SERVER_FAILED);
    stop();
}

static void one_that_dies_is_started_again(void **test)
{
    (void)test;
    serve();
    process_ends();
    assert_int_equal(state(), SERVER_READY);
    assert_int_equal(the_process.starts, 2);
    connected();
    /* And when it dies before it is connected: the second pause has a length. */
    process_ends();
    assert_int_equal(the_process.starts, 2);
    event_base_loop(main_loop, EVLOOP_ONCE);
    assert_int_equal(the_process.starts, 3);
    process_ends();
    child_ends("connect", SIGTERM, "");
    assert_int_equal(state(), SERVER_READY);
    stop();
}

/* Let the pause before the next start be over. */
static void skip_pause(void)
{
    event_active(the_process.server->timer, EV_TIMEOUT, 1);
    settle();
}

static void one_that_dies_always_is_given_up(void **test)
{
    (void)test;
    serve();
    for (int i = 0; i < 100 && the_process.pid; i++) {
        process_ends();
        if (!strcmp(the_child.word, "disconnect"))
            break;
        if (!the_child.word[0])
            skip_pause();
        connected();
    }
    assert_int_equal(the_process.starts, 8);
    assert_int_equal(state(), SERVER_FAILED);
    disconnected();
    /* Its domain is made again: a new attempt. */
    the_device.size = 0;
    start();
    assert_int_equal(the_process.starts, 9);
    connected();
    stop();
}

static void another_size(void **test)
{
    struct failure failure;

    (void)test;
    serve();
    assert_false(resize(15 * MIB, &failure));
    assert_non_null(strstr(failure.why, "cannot shrink"));
    assert_false(resize(16 * MIB + 1, &failure));
    assert_true(resize(32 * MIB, &failure));
    assert_int_equal(the_process.signal, SIGTERM);
    assert_false(resize(64 * MIB, &failure)); /* one at a time */
    assert_int_equal(state(), SERVER_READY);
    process_ends();
    child_ends("sh", 0, "");
    assert_int_equal(resized, 0);
    the_device.size = 32 * MIB;
    connected();
    assert_int_equal(resized, 1);
    assert_string_equal(resize_error, "");
    /* qemu-img cannot: it is served on, and the reason is told. */
    assert_true(resize(64 * MIB, &failure));
    process_ends();
    child_ends("sh", 1 << 8, "qemu-img: Image format driver does not support resize\nmore\n");
    connected();
    assert_int_equal(resized, 2);
    assert_non_null(strstr(resize_error, "does not support resize"));
    assert_null(strstr(resize_error, "more"));
    /* The new server needs a second attempt. */
    assert_true(resize(64 * MIB, &failure));
    process_ends();
    child_ends("sh", 0, "");
    process_ends();
    child_ends("connect", SIGTERM, "");
    assert_int_equal(resized, 2);
    connected();
    assert_int_equal(resized, 3);
    assert_string_equal(resize_error, "");
    stop();
}

static void another_size_when_the_server_does_not_end(void **test)
{
    struct failure failure;

    (void)test;
    serve();
    assert_true(resize(32 * MIB, &failure));
    skip_pause();
    assert_int_equal(resized, 1);
    assert_non_null(strstr(resize_error, "does not come to an end"));
    /* When it ends after all it is only started again. */
    process_ends();
    connected();
    assert_int_equal(resized, 1);
    assert_int_equal(state(), SERVER_READY);
    stop();
}

static void nobody_waits_for_another_size(void **test)
{
    struct failure failure;

    (void)test;
    serve();
    assert_true(resize(32 * MIB, &failure));
    disk_server_forget_caller(&resized);
    process_ends();
    child_ends("sh", 0, "");
    connected();
    assert_int_equal(resized, 0);
    stop();
}

static void one_is_stopped_at_any_moment(void **test)
{
    struct failure failure;

    (void)test;
    /* While it is being connected. */
    start();
    disk_server_stop(UUID, &disk);
    assert_true(the_child.terminated);
    child_ends("connect", SIGTERM, "");
    process_ends();
    assert_nothing_left();
    /* When that has just been done. */
    start();
    disk_server_stop(UUID, &disk);
    connected();
    disconnected();
    process_ends();
    assert_nothing_left();
    /* While it pauses. */
    serve();
    process_ends();
    connected();
    process_ends();
    stop();
    /* While it is to end for another size. */
    serve();
    assert_true(resize(32 * MIB, &failure));
    disk_server_stop(UUID, &disk);
    assert_int_equal(resized, 1);
    disconnected();
    process_ends();
    assert_nothing_left();
    /* While the image is changed: that is waited for. */
    serve();
    assert_true(resize(32 * MIB, &failure));
    process_ends();
    disk_server_stop(UUID, &disk);
    assert_false(the_child.terminated);
    child_ends("sh", 0, "");
    disconnected();
    assert_nothing_left();
    /* When it has been given up. */
    serve();
    the_process.impossible = true;
    process_ends();
    for (int i = 0; i < 8; i++)
        skip_pause();
    assert_int_equal(state(), SERVER_FAILED);
    disk_server_stop(UUID, &disk);
    disconnected();
    assert_nothing_left();
}

static void one_that_hangs_is_killed(void **test)
{
    (void)test;
    serve();
    disk_server_stop(UUID, NULL);
    assert_int_equal(the_process.signal, 0);
    skip_pause();
    assert_int_equal(the_process.signal, SIGKILL);
    process_ends();
    disconnected();
    assert_nothing_left();
}

static void an_image_is_released_before_it_is_served_again(void **test)
{
    (void)test;
    serve();
    disk_server_stop(UUID, NULL);
    disconnected();
    start();
    assert_int_equal(the_process.starts, 1);
    process_ends();
    event_base_loop(main_loop, EVLOOP_ONCE);
    assert_int_equal(the_process.starts, 2);
    connected();
    stop();
}

/* --- another daemon ----------------------------------------------------------------------------------------------- */

/* What the daemon before had written when it was killed. The process 77 is a server of the image if `runs`. */
static void found(pid_t pid, bool runs, bool linked, bool device_connected)
{
    struct server record = {
        .uuid = UUID, .disk = 51728, .target = disk.target, .format = "qcow2", .writable = true, .process.pid = pid,
        .linked = linked,
    };

    server_record_write(&record);
    the_process.pid = runs ? pid : 0;
    if (device_connected)
        strcpy(the_device.name, NAME);
    the_device.size = 16 * MIB;
    disk_servers_recover();
    settle();
}

static void one_is_found_again(void **test)
{
    (void)test;
    found(77, true, true, true);
    assert_int_equal(state(), SERVER_READY);
    assert_int_equal(the_process.starts, 0);
    assert_int_equal(the_process.signal, 0);
    process_ends();
    assert_int_equal(the_process.starts, 1);
    connected();
    stop();
}

static void one_is_found_dead(void **test)
{
    (void)test;
    found(77, false, true, true);
    assert_int_equal(state(), SERVER_READY);
    assert_int_equal(the_process.starts, 1);
    connected();
    stop();
    /* In between: its image was being changed. */
    found(0, false, false, true);
    assert_int_equal(the_process.starts, 2);
    connected();
    stop();
}

/* The daemon was killed before or just after the device was connected to it: nobody knows. */
static void one_is_found_half_connected(void **test)
{
    (void)test;
    found(77, true, false, true);
    assert_int_equal(state(), SERVER_READY);
    assert_int_equal(the_process.signal, SIGTERM);
    process_ends();
    assert_int_equal(the_process.starts, 1);
    connected();
    stop();
}

static void one_is_found_that_nobody_wants(void **test)
{
    (void)test;
    /* Never connected: whoever began that has gone with the daemon. */
    found(77, true, false, false);
    assert_int_equal(the_process.signal, SIGTERM);
    process_ends();
    assert_nothing_left();
    /* Its domain is gone. */
    LIST_INIT(&domains);
    found(77, true, true, true);
    disconnected();
    process_ends();
    assert_nothing_left();
    LIST_INSERT_HEAD(&domains, &domain, link);
    /* The device is somebody else's by now, as is the process. */
    strcpy(the_device.name, "other");
    found(77, false, true, false);
    assert_string_equal(the_child.word, "");
    assert_int_equal(access(RUN_DIR "/images/0", F_OK), -1);
    the_device.name[0] = '\0';
}

static void records_are_damaged(void **test)
{
    static const char *const texts[] = {
        "", "{", "[]", "7", "{\"uuid\": 5}",
        "{\"uuid\":\"" UUID "0\",\"disk\":1,\"target\":\"/a\",\"format\":\"raw\",\"writable\":true,\"pid\":2,\"linked\":true}",
        "{\"uuid\":\"" UUID "\",\"disk\":1,\"target\":\"/a\",\"format\":\"raw\",\"writable\":true,\"pid\":-1,\"linked\":true}",
    };

    (void)test;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        FILE *file = fopen(RUN_DIR "/images/0", "w");

        assert_non_null(file);
        fputs(texts[i], file);
        fclose(file);
        disk_servers_recover();
        assert_nothing_left();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(one_is_started_and_stopped, begin, end),
        cmocka_unit_test_setup_teardown(one_that_cannot_be_started, begin, end),
        cmocka_unit_test_setup_teardown(one_that_dies_is_started_again, begin, end),
        cmocka_unit_test_setup_teardown(one_that_dies_always_is_given_up, begin, end),
        cmocka_unit_test_setup_teardown(another_size, begin, end),
        cmocka_unit_test_setup_teardown(another_size_when_the_server_does_not_end, begin, end),
        cmocka_unit_test_setup_teardown(nobody_waits_for_another_size, begin, end),
        cmocka_unit_test_setup_teardown(one_is_stopped_at_any_moment, begin, end),
        cmocka_unit_test_setup_teardown(one_that_hangs_is_killed, begin, end),
        cmocka_unit_test_setup_teardown(an_image_is_released_before_it_is_served_again, begin, end),
        cmocka_unit_test_setup_teardown(one_is_found_again, begin, end),
        cmocka_unit_test_setup_teardown(one_is_found_dead, begin, end),
        cmocka_unit_test_setup_teardown(one_is_found_half_connected, begin, end),
        cmocka_unit_test_setup_teardown(one_is_found_that_nobody_wants, begin, end),
        cmocka_unit_test_setup_teardown(records_are_damaged, begin, end),
    };

    alarm(60);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
