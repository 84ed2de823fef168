/* SPDX-License-Identifier: MIT */
/*
 * Fuzzes the control socket: some clients send requests to the daemon's own code, which runs on a host that is made up
 * (control_host.h). An input is a list of steps: requests of every operation with members that fit or do not, torn and
 * broken lines, clients that hang up, processes and devices that fail, guests that end, time that passes.
 *
 * What must hold: each line gets exactly one reply, which is JSON with ok, or with all three parts of an error; nobody
 * waits for ever; when all domains have been destroyed, nothing of them is left.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <jansson.h>

#include "control_host.h"
#include "daemon/domain.h"
#include "daemon/session.h"

#define CLIENTS 3
#define REPLIES_MAX (1 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct client {
    int fd;           /* -1: not connected */
    bool stream;      /* has asked to become one, so that what comes need not be replies */
    bool at_end;      /* the daemon has hung up */
    unsigned int lines, replies;
    char received[REPLIES_MAX];
    size_t length;
} clients[CLIENTS];

/* The rest of the input. */
static const uint8_t *input;
static size_t left;

static unsigned int next(void)
{
    if (!left)
        return 0;
    left--;
    return *input++;
}

/* --- clients ----------------------------------------------------------------------------------------------------- */

static void client_open(struct client *client)
{
    int ends[2];

    require(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
    client->fd = ends[0];
    client->stream = client->at_end = false;
    client->lines = client->replies = client->length = 0;
    session_open(ends[1], NULL);
}

static void client_close(struct client *client)
{
    close(client->fd);
    client->fd = -1;
}

static void check_reply(struct client *client, const char *line, size_t length)
{
    json_t *reply = json_loadb(line, length, 0, NULL), *error = json_object_get(reply, "error");

    require(json_is_object(reply));
    if (!json_object_get(reply, "progress")) {
        client->replies++;
        require(json_is_boolean(json_object_get(reply, "ok")));
        require(json_is_true(json_object_get(reply, "ok")) || (json_string_length(json_object_get(error, "what")) &&
                                                               json_string_length(json_object_get(error, "why")) &&
                                                               json_string_length(json_object_get(error, "remedy"))));
    }
    json_decref(reply);
}

static void client_read(struct client *client)
{
    ssize_t got;
    char *end;

    while ((got = read(client->fd, client->received + client->length, REPLIES_MAX - client->length)) > 0) {
        client->length += got;
        if (client->stream)
            client->length = 0;
        while ((end = memchr(client->received, '\n', client->length))) {
            check_reply(client, client->received, end - client->received);
            client->length -= end + 1 - client->received;
            memmove(client->received, end + 1, client->length);
        }
        require(client->length < REPLIES_MAX);
    }
    client->at_end = got == 0;
}

static void client_send(struct client *client, const char *text, size_t length)
{
    ssize_t done = write(client->fd, text, length);

    for (ssize_t i = 0; i < done; i++)
        client->lines += text[i] == '\n';
}

/* --- requests ---------------------------------------------------------------------------------------------------- */

static const char *const keys[] = {
    "domain", "config", "name", "wait", "force", "progress", "paused", "memory_kib", "vcpus", "vcpu", "hard", "soft",
    "weight", "cap", "pool", "cpus", "tslice_ms", "ratelimit_us", "migration_delay_us", "disk", "vif", "device",
    "bytes", "key", "trigger", "file", "replay", "devid",
};

/* ' stands for a quotation mark, %1$s for a file that may be written, %2$s for one that may not. */
#define CONFIG_A "{'name':'a','kernel':'%2$s','memory':16}"
#define CONFIG_B \
    "{'name':'b','kernel':'%2$s','memory':16,'vcpus':1,'maxvcpus':4,'on_crash':'restart'," \
    "'on_poweroff':'preserve','disk':[{'target':'%1$s','vdev':'xvda'}]," \
    "'vif':[{'mac':'00:16:3e:00:00:02'}]}"
#define CONFIG_C \
    "{'name':'c','kernel':'%2$s','memory':16,'on_crash':'coredump-restart','on_reboot':'rename-restart'," \
    "'on_watchdog':'coredump-destroy','disk':[{'target':'%2$s','vdev':'xvdb','format':'qcow2'," \
    "'access':'ro'}],'cpus':['0','1'],'pool':'Pool-0'}"
#define CONFIG_D "{'name':'d','kernel':'%2$s','memory':900,'maxmem':3000}"

static const char *const values[] = {
    "'a'", "'b'", "'c'", "'d'", "1", "2", "0", "'1'", "true", "false", "null", "-1", "99999999999", "1e3", "[]", "{}",
    "''", "'all'", "'0-1'", "['0','1-9']", "'nodes:1'", "'xvda'", "51712", "'00:16:3e:00:00:01'", "3", "256", "65536",
    "1048576", "8192", "'nmi'", "'h'", "'/nowhere/core'", "'Pool-0'", "'p'", "'\\u0000x'", "'\\ud83d\\ude00'",
    "[[[[[[[[]]]]]]]]", "'%%s%%n'", "'../../etc'", CONFIG_A, CONFIG_B, CONFIG_C, CONFIG_D,
    "{'name':'a','kernel':'/nowhere','memory':16}", "{'name':7}", "{'target':'%1$s','vdev':'xvdc'}",
    "{'target':'%2$s','vdev':'xvdd','access':'ro'}", "{'mac':'00:16:3e:00:00:01','ip':'192.0.2.1','rate':'1Mb/s'}",
    "{'bridge':'xenbr1'}",
};

/* What makes sense, mostly. */
static const char *const requests[] = {
    "create','progress':true,'config':" CONFIG_A, "create','config':" CONFIG_B, "create','config':" CONFIG_C,
    "create','paused':true,'config':" CONFIG_D, "config-update','domain':'b','config':" CONFIG_B,
    "check','config':" CONFIG_B, "list'", "info'", "domain','domain':'b'", "destroy','domain':'b'", "pause','domain':1",
    "unpause','domain':1", "shutdown','domain':'a','wait':3", "shutdown','domain':'b','wait':3,'force':true",
    "reboot','domain':'b','wait':2,'force':true", "reboot','domain':'a','wait':2", "rename','domain':'a','name':'e'",
    "rename','domain':'e','name':'a'", "sysrq','domain':'a','key':'h'",
    "trigger','domain':'b','trigger':'nmi','vcpu':3", "dump-core','domain':'b'",
    "mem-set','domain':'d','memory_kib':8192", "mem-max','domain':'b','memory_kib':65536",
    "mem-set','domain':0,'memory_kib':1048576", "vcpu-set','domain':'b','vcpus':3", "vcpus'",
    "vcpu-pin','domain':'b','vcpu':1,'hard':'0-1','soft':'1'", "vcpu-pin','domain':'a','vcpu':'all','hard':'nodes:1'",
    "sched','domain':'b','weight':9,'cap':50", "sched'", "sched-pool','pool':'Pool-0','tslice_ms':5", "pools'",
    "pool-create','name':'p','cpus':'3'", "pool-destroy','pool':'p'", "pool-rename','pool':'p','name':'q'",
    "pool-cpu-add','pool':'p','cpus':'3'", "pool-cpu-remove','pool':'Pool-0','cpus':'0'",
    "pool-migrate','domain':'b','pool':'p'", "pool-numa-split'", "devices','domain':'b'",
    "block-attach','domain':'a','disk':{'target':'%1$s','vdev':'xvdc'}", "block-detach','domain':'a','device':'xvdc'",
    "block-detach','domain':'b','device':51712,'force':true", "block-resize','domain':'b','device':'xvda','bytes':8192",
    "block-resize','domain':'c','device':'xvdb','bytes':1048576",
    "network-attach','domain':'a','vif':{}", "network-detach','domain':'a','device':'0'",
    "network-detach','domain':'b','device':'00:16:3e:00:00:02'", "console','domain':'b','replay':100",
    "events','replay':5",
};

static const char *const rubbish[] = {
    "{", "}", "{\"op\":", "\"list\"}", "\"", "[", "\xff\xfe", "\\", ":", ",", "nul", "1", "{\"op\":\"list\"}", "\t",
    "\r", "{\"op\":\"ping\",\"op\":\"list\"}", "//",
};

#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

static const char *pick_operation(unsigned int number)
{
    static const struct operation *const tables[] = {
        life_operations, guest_operations, resource_operations, device_operations,
    };
    size_t count = 0;

    for (size_t i = 0; i < COUNT(tables); i++)
        for (const struct operation *operation = tables[i]; operation->name; operation++, count++)
            if (count == number)
                return operation->name;
    return pick_operation(number % count);
}

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
static void put_text(FILE *line, const char *format)
{
    char text[1024];

    require(snprintf(text, sizeof(text), format, host_file, host_program) < (int)sizeof(text));
    for (char *at = text; *at; at++)
        fputc(*at == '\'' ? '"' : *at, line);
}
#pragma GCC diagnostic pop

/* End the text, which must be a request for `op`, and send it as a line. */
static void send_line(struct client *client, const char *op, FILE *line, char **text, const size_t *length)
{
    fputs("}\n", line);
    fclose(line);
    if (!strncmp(op, "console", 7) || !strncmp(op, "events", 6))
        client->stream = true;
    client_send(client, *text, *length);
    free(*text);
}

static void send_sense(struct client *client)
{
    const char *request = requests[next() % COUNT(requests)];
    char *text = NULL;
    size_t length;
    FILE *line = open_memstream(&text, &length);

    fputs("{\"op\":\"", line);
    put_text(line, request);
    send_line(client, request, line, &text, &length);
}

/* Any operation, with members that fit or do not. */
static void send_request(struct client *client)
{
    const char *op = pick_operation(next());
    unsigned int members = next();
    char *text = NULL;
    size_t length;
    FILE *line = open_memstream(&text, &length);

    fprintf(line, "{\"op\":\"%s\"", op);
    if (members & 8) {
        fputs(",\"domain\":", line);
        put_text(line, values[next() % 8]);
    }
    for (members %= 8; members > 0; members--) {
        fprintf(line, ",\"%s\":", keys[next() % COUNT(keys)]);
        put_text(line, values[next() % COUNT(values)]);
    }
    send_line(client, op, line, &text, &length);
}

/* --- steps ------------------------------------------------------------------------------------------------------- */

static void step(void)
{
    static const int errors[] = { -EPERM, -ESRCH, -ENOMEM, -EINVAL, -EBUSY, -EAGAIN };
    unsigned int what = next();
    struct client *client = &clients[what / 16 % CLIENTS];
    const char *text;
    uint8_t byte;

    switch (what % 16) {
    case 0 ... 3:
        send_sense(client);
        break;
    case 4 ... 5:
        send_request(client);
        break;
    case 6:
        text = rubbish[next() % COUNT(rubbish)];
        client_send(client, text, strlen(text));
        break;
    case 7:
        byte = next();
        client_send(client, byte % 2 ? "\n" : (const char *)&byte, 1);
        host_write_console(host_guest(byte / 2 % 4), byte);
        break;
    case 8:
        client_close(client);
        client_open(client);
        break;
    case 9:
        host_fail_next(errors[next() % COUNT(errors)]);
        break;
    case 10:
        host_end_child(0);
        break;
    case 11:
        host_end_child(next());
        break;
    case 12:
        host_end_guest(host_guest(next() % 4), next());
        break;
    case 13:
        host_serve_devices(next() % 4);
        break;
    case 14:
        host_serve_devices(true);
        host_end_child(0);
        break;
    case 15:
        host_pass(next() * 100);
        break;
    }
    host_look();
    host_pass(1);
    client_read(client);
}

/* All do their part, for as long as it takes: at first moments pass, at last thousands of years. */
static void settle(bool (*settled)(void))
{
    host_fail_next(0);
    for (int i = 0; i < 100 && !settled(); i++) {
        while (host_end_child(0))
            ;
        host_serve_devices(true);
        host_look();
        host_pass(500ULL << (i < 50 ? 0 : i - 50));
        for (int n = 0; n < CLIENTS; n++)
            client_read(&clients[n]);
    }
    require(settled());
}

/* Those who send no more have been hung up on, once they had all their replies. */
static bool all_served(void)
{
    bool all = true;

    for (int i = 0; i < CLIENTS; i++)
        all = all && (clients[i].stream || (clients[i].at_end && clients[i].replies == clients[i].lines));
    return all;
}

static bool answered(void)
{
    return clients[0].replies == clients[0].lines;
}

/* Requests of clients that have hung up may still be waiting, and make domains when others are gone. */
static void destroy_all(void)
{
    struct domain *domain;
    char line[128];

    for (int i = 0; i < 100 && !(LIST_EMPTY(&domains) && host_is_empty()); i++) {
        LIST_FOREACH(domain, &domains, link) {
            snprintf(line, sizeof(line), "{\"op\":\"destroy\",\"domain\":\"%s\"}\n", domain->config->name);
            client_send(&clients[0], line, strlen(line));
        }
        settle(answered);
        host_pass(100);
    }
    require(LIST_EMPTY(&domains) && host_is_empty());
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool started;

    if (!started)
        host_start();
    started = true;
    input = data;
    left = size;
    for (int i = 0; i < CLIENTS; i++)
        client_open(&clients[i]);
    while (left)
        step();
    /* A line that was begun and not ended is nobody's request. */
    for (int i = 0; i < CLIENTS; i++)
        shutdown(clients[i].fd, SHUT_WR);
    settle(all_served);
    for (int i = 0; i < CLIENTS; i++)
        client_close(&clients[i]);
    client_open(&clients[0]);
    destroy_all();
    client_close(&clients[0]);
    host_pass(1);
    return 0;
}
