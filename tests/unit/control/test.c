/* SPDX-License-Identifier: MIT */
/*
 * Requests by the control socket, one after the other and at awkward moments: what a client is answered, and what the
 * daemon keeps of it.
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
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <jansson.h>

#include "control_host.h"
#include "daemon.h"
#include "domain.h"
#include "domain_set.h"
#include "lib/alloc.h"
#include "lib/hypercall.h"
#include "lifecycle.h"
#include "session.h"

#define CONFIG "\"kernel\":\"/proc/self/exe\",\"memory\":16"

struct client {
    int fd;
    char received[1 << 16];
    size_t length;
};

static struct client admin;

/* --- clients ------------------------------------------------------------------------------------------------------ */

static void client_open(struct client *client)
{
    int ends[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    client->fd = ends[0];
    client->length = 0;
    session_open(ends[1], NULL);
}

static void client_close(struct client *client)
{
    close(client->fd);
    host_pass(1);
}

/* Send a text, in which ' stands for a quotation mark. */
static void say(struct client *client, const char *text)
{
    char line[1024];
    size_t length = strlen(text);

    assert_true(length < sizeof(line));
    for (size_t i = 0; i < length; i++)
        line[i] = text[i] == '\'' ? '"' : text[i];
    assert_int_equal(write(client->fd, line, length), length);
    host_pass(1);
}

/* The next line that came, or NULL. */
static json_t *hear(struct client *client)
{
    ssize_t got = read(client->fd, client->received + client->length, sizeof(client->received) - client->length);
    char *end;
    json_t *line;

    client->length += got > 0 ? got : 0;
    end = memchr(client->received, '\n', client->length);
    if (!end)
        return NULL;
    line = json_loadb(client->received, end - client->received, 0, NULL);
    assert_non_null(line);
    client->length -= end + 1 - client->received;
    memmove(client->received, end + 1, client->length);
    return line;
}

/* The next line is a reply, good or bad. */
static void hear_reply(struct client *client, bool good)
{
    json_t *reply = hear(client);

    assert_non_null(reply);
    assert_int_equal(json_is_true(json_object_get(reply, "ok")), good);
    json_decref(reply);
}

/* --- the host ----------------------------------------------------------------------------------------------------- */

/* All do their part until nothing more happens. */
static void settle(void)
{
    for (int i = 0; i < 20; i++) {
        while (host_end_child(0))
            ;
        host_serve_devices(true);
        host_look();
        host_pass(100);
    }
}

static struct domain *create(const char *request)
{
    say(&admin, request);
    settle();
    hear_reply(&admin, true);
    assert_false(LIST_EMPTY(&domains));
    assert_int_equal(LIST_FIRST(&domains)->state, DOMAIN_RUNNING);
    return LIST_FIRST(&domains);
}

static int setup(void **state)
{
    static bool started;

    (void)state;
    if (!started)
        host_start();
    started = true;
    client_open(&admin);
    return 0;
}

static int teardown(void **state)
{
    struct domain *domain;
    char line[128];

    (void)state;
    for (int i = 0; i < 10 && (domain = LIST_FIRST(&domains)); i++) {
        snprintf(line, sizeof(line), "{'op':'destroy','domain':'%s'}\n", domain->config->name);
        say(&admin, line);
        settle();
    }
    client_close(&admin);
    return !LIST_EMPTY(&domains) || !host_is_empty();
}

/* --- tests -------------------------------------------------------------------------------------------------------- */

/* What a client does not read is not kept without end: nor is it read from, and all is answered when it reads. */
static void client_that_does_not_read_waits(void **state)
{
    static const char line[] = "{\"op\":\"info\"}\n";
    size_t sent = 0, lines = 0, refused = 0;
    struct client client;
    json_t *reply;

    (void)state;
    client_open(&client);
    while (refused < 10 && lines < 100000) {
        ssize_t wrote = write(client.fd, line + sent, sizeof(line) - 1 - sent);

        refused = wrote > 0 ? 0 : refused + 1;
        sent += wrote > 0 ? wrote : 0;
        if (sent == sizeof(line) - 1) {
            sent = 0;
            lines++;
        }
        if (wrote <= 0 || lines % 100 == 0)
            host_pass(1);
    }
    assert_int_equal(refused, 10);
    for (size_t idle = 0; lines > 0 && idle < 100;) {
        reply = hear(&client);
        idle = reply ? 0 : idle + 1;
        lines -= reply != NULL;
        json_decref(reply);
        host_pass(1);
    }
    assert_int_equal(lines, 0);
    client_close(&client);
}

/* So many of them at once, which the socket has room for. */
static void send_pings(struct client *client, size_t count)
{
    static const char ping[] = "{\"op\":\"ping\"}\n";
    size_t length = sizeof(ping) - 1;
    char *pings = xmalloc(count * length);

    for (size_t i = 0; i < count; i++)
        memcpy(pings + i * length, ping, length);
    assert_int_equal(write(client->fd, pings, count * length), count * length);
    free(pings);
}

/* How many replies there are until none comes any more. */
static size_t hear_all(struct client *client)
{
    size_t count = 0;

    for (size_t idle = 0; idle < 20; host_pass(1)) {
        json_t *reply = hear(client);

        idle = reply ? 0 : idle + 1;
        count += reply != NULL;
        json_decref(reply);
    }
    return count;
}

/* A client that says no more gets all the same what it asked for, however slowly it reads. */
static void half_closed_client_is_answered(void **state)
{
    struct client client;

    (void)state;
    client_open(&client);
    send_pings(&client, 4000);
    shutdown(client.fd, SHUT_WR);
    assert_int_equal(hear_all(&client), 4000);
    /* And then it is hung up on. */
    assert_int_equal(read(client.fd, client.received, 1), 0);
    close(client.fd);
}

/* Nor does the daemon do anything for lines that wait for the end of a request before them. */
static void waiting_lines_cost_nothing(void **state)
{
    struct domain *domain = create("{'op':'create','config':{'name':'a'," CONFIG "}}\n");
    struct client client;

    (void)state;
    client_open(&client);
    say(&client, "{'op':'shutdown','domain':'a','wait':100}\n");
    send_pings(&client, 6000);
    host_pass(1); /* comes back at all */
    assert_null(hear(&client));
    host_end_guest(domain->domid, SHUTDOWN_poweroff);
    settle();
    assert_int_equal(hear_all(&client), 1 + 6000);
    client_close(&client);
}

/* A guest need not read what is typed on its console: nothing is done for what waits. */
static void unread_console_input_costs_nothing(void **state)
{
    static char typed[20000];
    struct client client;

    (void)state;
    memset(typed, 'x', sizeof(typed));
    create("{'op':'create','config':{'name':'a'," CONFIG "}}\n");
    client_open(&client);
    say(&client, "{'op':'console','domain':'a'}\n");
    hear_reply(&client, true);
    assert_int_equal(write(client.fd, typed, sizeof(typed)), sizeof(typed));
    host_pass(1); /* comes back at all */
    client_close(&client);
}

/* The second request waits for the reply to the first, for which the guest has to end. */
static void shut_down_and_destroy(const struct domain *domain)
{
    say(&admin, "{'op':'shutdown','domain':'a','wait':100}\n{'op':'destroy','domain':'a'}\n");
    host_end_guest(domain->domid, SHUTDOWN_poweroff);
}

static void both_are_done(void)
{
    settle();
    hear_reply(&admin, true);
    hear_reply(&admin, true);
    assert_true(LIST_EMPTY(&domains));
}

/* Requests in a row: the second is served when the guest has ended, which must not undo what follows from that. */
static void destroy_behind_a_shutdown_destroys(void **state)
{
    struct domain *domain = create("{'op':'create','config':{'name':'a','on_poweroff':'restart'," CONFIG "}}\n");

    (void)state;
    shut_down_and_destroy(domain);
    both_are_done();
}

/* The same, and the domain is gone before all who waited for its end have been told. */
static void domain_goes_while_it_tells(void **state)
{
    struct domain *domain = create("{'op':'create','config':{'name':'a','on_poweroff':'preserve'," CONFIG "}}\n");
    struct domain_set set;

    (void)state;
    shut_down_and_destroy(domain);
    assert_int_equal(domain_set_read(&set), 0);
    host_fail_next(-EAGAIN); /* there is no process to destroy it with */
    lifecycle_check(&set);
    domain_set_free(&set);
    both_are_done();
}

/* A new name is its name for the next start, too, whatever the configuration for that was called. */
static void name_outlives_other_configuration(void **state)
{
    struct domain *domain = create("{'op':'create','config':{'name':'a'," CONFIG "}}\n");

    (void)state;
    say(&admin, "{'op':'config-update','domain':'a','config':{'name':'a'," CONFIG "}}\n");
    hear_reply(&admin, true);
    say(&admin, "{'op':'rename','domain':'a','name':'b'}\n");
    hear_reply(&admin, true);
    host_end_guest(domain->domid, SHUTDOWN_reboot);
    settle();
    assert_int_equal(domain->state, DOMAIN_RUNNING);
    assert_string_equal(domain->config->name, "b");
}

/* What is asked of a domain that is being taken down leaves nothing of it in the store. */
static void ended_domain_leaves_no_nodes(void **state)
{
    static const char *const requests[] = {
        "{'op':'mem-set','domain':'a','memory_kib':8192}\n", "{'op':'mem-max','domain':'a','memory_kib':32768}\n",
        "{'op':'vcpu-set','domain':'a','vcpus':1}\n", "{'op':'sysrq','domain':'a','key':'h'}\n",
        "{'op':'rename','domain':'a','name':'b'}\n", "{'op':'shutdown','domain':'a'}\n",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
        struct domain *domain = create("{'op':'create','config':{'name':'a'," CONFIG "}}\n");
        char path[64], vm[64];

        snprintf(path, sizeof(path), "/local/domain/%d", domain->domid);
        snprintf(vm, sizeof(vm), "/vm/%s", domain->config->uuid);
        say(&admin, "{'op':'destroy','domain':'a'}\n");
        host_hold_domain(domain->domid, true);
        host_end_child(0);
        host_pass(1);
        assert_null(store_node(the_store, path));
        client_close(&admin);
        client_open(&admin);
        say(&admin, requests[i]);
        json_decref(hear(&admin));
        host_hold_domain(domain->domid, false);
        settle();
        assert_true(LIST_EMPTY(&domains));
        assert_null(store_node(the_store, path));
        assert_null(store_node(the_store, vm));
    }
}

/* A disk that was just being attached when the guest rebooted is not the domain's, nor is it served on. */
static void cancelled_disk_is_not_served(void **state)
{
    struct domain *domain = create("{'op':'create','config':{'name':'a','disk':[{'target':'/proc/self/exe','vdev':"
                                   "'xvda','format':'qcow2','access':'ro'}]," CONFIG "}}\n");
    char uuid[37];

    (void)state;
    strcpy(uuid, domain->config->uuid);
    say(&admin, "{'op':'block-attach','domain':'a','disk':{'target':'/proc/self/exe','vdev':'xvdc','format':'qcow2',"
                "'access':'ro'}}\n");
    assert_true(host_serves_disk(uuid, 202 << 8 | 2 << 4));
    host_end_guest(domain->domid, SHUTDOWN_reboot);
    settle();
    hear_reply(&admin, false);
    assert_int_equal(domain->state, DOMAIN_RUNNING);
    assert_true(host_serves_disk(uuid, 202 << 8));
    assert_false(host_serves_disk(uuid, 202 << 8 | 2 << 4));
}

/* Where dom0's kernel keeps the back end of a disk that could not be attached, the disks known are those attached. */
static void stuck_attachment_is_forgotten(void **state)
{
    struct domain *domain = create("{'op':'create','config':{'name':'a'," CONFIG "}}\n");

    (void)state;
    say(&admin, "{'op':'block-attach','domain':'a','disk':{'target':'/proc/self/exe','vdev':'xvdc','access':'ro'}}\n");
    host_hold_back_ends(true);
    host_serve_devices(false);
    for (int i = 0; i < 2500; i++)
        host_pass(10);
    host_hold_back_ends(false);
    hear_reply(&admin, false);
    assert_true(LIST_EMPTY(&domain->hotplugs));
    assert_int_equal(domain->config->disk_count, json_array_size(json_object_get(domain->object, "disk")));
}

/* Other tools may give a domain any name: whoever lists it is shown one that is text. */
static void name_of_others_is_text(void **state)
{
    json_t *reply, *domain;

    (void)state;
    store_put(the_store, "/local/domain/0/name", "\xff\xfe");
    say(&admin, "{'op':'list'}\n");
    reply = hear(&admin);
    domain = json_array_get(json_object_get(reply, "domains"), 0);
    assert_int_equal(json_integer_value(json_object_get(domain, "domid")), 0);
    assert_non_null(json_string_value(json_object_get(domain, "name")));
    assert_non_null(json_string_value(json_object_get(domain, "state")));
    json_decref(reply);
    say(&admin, "{'op':'vcpus'}\n{'op':'sched'}\n{'op':'devices','domain':0}\n");
    for (int i = 0; i < 3; i++)
        hear_reply(&admin, true);
    store_put(the_store, "/local/domain/0/name", "Domain-0");
}

/* A guest writes what it likes into its own end of a device; an address is not taken from there. */
static void address_of_a_card_is_not_the_guests(void **state)
{
    struct domain *domain = create("{'op':'create','config':{'name':'a','vif':[{'mac':'00:16:3e:00:00:01'}]," CONFIG
                                   "}}\n");
    json_t *reply, *card;
    char path[64];

    (void)state;
    snprintf(path, sizeof(path), "/local/domain/%d/device/vif/0/mac", domain->domid);
    store_put(the_store, path, "\033[2J00:16:3e:00:00:02");
    say(&admin, "{'op':'devices','domain':'a'}\n");
    reply = hear(&admin);
    card = json_array_get(json_object_get(reply, "cards"), 0);
    assert_string_equal(json_string_value(json_object_get(card, "mac")), "00:16:3e:00:00:01");
    json_decref(reply);
}

/* A time to wait that is beyond all times is long, and not over at once. */
static void endless_wait_is_long(void **state)
{
    struct domain *domain = create("{'op':'create','config':{'name':'a'," CONFIG "}}\n");

    (void)state;
    say(&admin, "{'op':'shutdown','domain':'a','wait':9223372036854775807,'force':true}\n");
    settle();
    assert_false(LIST_EMPTY(&domains));
    assert_int_equal(domain->state, DOMAIN_RUNNING);
    assert_null(hear(&admin));
    host_end_guest(domain->domid, SHUTDOWN_poweroff);
    settle();
    hear_reply(&admin, true);
}

/* Whichever call of the hypervisor fails for a request, it is answered, and leaves no memory behind. */
static void any_call_may_fail(void **state)
{
    static const char *const requests[] = {
        "{'op':'list'}\n", "{'op':'info'}\n", "{'op':'vcpus'}\n", "{'op':'sched'}\n", "{'op':'pools'}\n",
        "{'op':'domain','domain':0}\n", "{'op':'check','config':{'name':'b'," CONFIG "}}\n",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
        for (unsigned int call = 0; call < 12; call++) {
            json_t *reply;

            host_fail_later(-ENOMEM, call);
            say(&admin, requests[i]);
            host_fail_next(0);
            reply = hear(&admin);
            assert_non_null(reply);
            json_decref(reply);
        }
    }
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(client_that_does_not_read_waits),
        TEST(half_closed_client_is_answered),
        TEST(waiting_lines_cost_nothing),
        TEST(unread_console_input_costs_nothing),
        TEST(destroy_behind_a_shutdown_destroys),
        TEST(name_outlives_other_configuration),
        TEST(ended_domain_leaves_no_nodes),
        TEST(cancelled_disk_is_not_served),
        TEST(stuck_attachment_is_forgotten),
        TEST(name_of_others_is_text),
        TEST(address_of_a_card_is_not_the_guests),
        TEST(endless_wait_is_long),
        TEST(any_call_may_fail),
        TEST(domain_goes_while_it_tells),
    };

    return cmocka_run_group_tests_name("control socket", tests, NULL, NULL);
}
