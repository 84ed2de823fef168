/* SPDX-License-Identifier: MIT */
/*
 * Events: one JSON object a line. The last ones are remembered, so that who asks after the fact still learns what
 * happened; a listener that does not read is dropped.
 */
#include "events.h"

#include <event2/buffer.h>
#include <event2/event.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <time.h>

#include "lib/alloc.h"

#define REMEMBERED 512U
#define LISTENER_LAG_MAX (1U << 20)

struct listener {
    LIST_ENTRY(listener) link;
    struct bufferevent *connection;
};

static LIST_HEAD(, listener) listeners = LIST_HEAD_INITIALIZER(listeners);

/* Lines with their newlines; event `n` is in place n % REMEMBERED. */
static char *remembered[REMEMBERED];
static uint64_t told;

static void listener_free(struct listener *listener)
{
    LIST_REMOVE(listener, link);
    bufferevent_free(listener->connection);
    free(listener);
}

static void format_time(char *text, size_t size)
{
    struct timespec now;
    struct tm tm;
    size_t length;

    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &tm);
    length = strftime(text, size, "%FT%T", &tm);
    snprintf(text + length, size - length, ".%03ldZ", now.tv_nsec / 1000000);
}

/* Remember the line, which is taken, and send it to all. */
static void send_line(char *line)
{
    struct listener *listener, *next;
    size_t length = strlen(line);

    free(remembered[told % REMEMBERED]);
    remembered[told++ % REMEMBERED] = line;
    for (listener = LIST_FIRST(&listeners); listener; listener = next) {
        next = LIST_NEXT(listener, link);
        bufferevent_write(listener->connection, line, length);
        if (evbuffer_get_length(bufferevent_get_output(listener->connection)) > LISTENER_LAG_MAX)
            listener_free(listener);
    }
}

void event_tell(const struct domain *domain, const char *event, json_t *more)
{
    char time[40], *text;
    json_t *object;

    format_time(time, sizeof(time));
    object = json_pack("{s:s, s:s, s:s, s:s, s:o}", "time", time, "event", event, "name", domain->config->name, "uuid",
                       domain->config->uuid, "domid", domain->domid < 0 ? json_null() : json_integer(domain->domid));
    if (more)
        json_object_update(object, more);
    text = json_dumps(object, JSON_COMPACT);
    if (text)
        send_line(xasprintf("%s\n", text));
    free(text);
    json_decref(object);
    json_decref(more);
}

/* --- listeners --------------------------------------------------------------------------------------------------- */

static void on_gone(struct bufferevent *connection, short what, void *context)
{
    (void)connection;
    (void)what;
    listener_free(context);
}

/* Nothing is expected from a listener. */
static void on_input(struct bufferevent *connection, void *context)
{
    struct evbuffer *input = bufferevent_get_input(connection);

    (void)context;
    evbuffer_drain(input, evbuffer_get_length(input));
}

unsigned int event_replayable(uint64_t wanted)
{
    uint64_t known = told < REMEMBERED ? told : REMEMBERED;

    return wanted < known ? wanted : known;
}

void event_add_listener(struct bufferevent *connection, unsigned int replay)
{
    struct listener *listener = xcalloc(1, sizeof(*listener));

    listener->connection = connection;
    LIST_INSERT_HEAD(&listeners, listener, link);
    for (uint64_t i = told - event_replayable(replay); i < told; i++)
        bufferevent_write(connection, remembered[i % REMEMBERED], strlen(remembered[i % REMEMBERED]));
    bufferevent_setcb(connection, on_input, NULL, on_gone, listener);
    bufferevent_enable(connection, EV_READ | EV_WRITE);
}
