/* SPDX-License-Identifier: MIT */
/*
 * Errors for users and their JSON form.
 */
#include "failure.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "printable.h"

void failure_what(struct failure *failure, const char *format, ...)
{
    va_list args;

    memset(failure, 0, sizeof(*failure));
    va_start(args, format);
    vsnprintf(failure->what, sizeof(failure->what), format, args);
    va_end(args);
}

void failure_why(struct failure *failure, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(failure->why, sizeof(failure->why), format, args);
    va_end(args);
}

void failure_remedy(struct failure *failure, const char *format, ...)
{
    va_list args;

    va_start(args, format);
    vsnprintf(failure->remedy, sizeof(failure->remedy), format, args);
    va_end(args);
}

/* A string value that may hold bytes that are no UTF-8 (a file name): those become question marks. */
static json_t *safe_string(const char *text)
{
    json_t *string = json_string(text);
    char copy[sizeof(((struct failure *)0)->why)];
    size_t i;

    if (string)
        return string;
    for (i = 0; i + 1 < sizeof(copy) && text[i]; i++)
        copy[i] = (unsigned char)text[i] < 0x80 ? text[i] : '?';
    copy[i] = '\0';
    return json_string(copy);
}

json_t *failure_to_reply(const struct failure *failure)
{
    return json_pack("{s:b, s:{s:o, s:o, s:o}}", "ok", 0, "error", "what", safe_string(failure->what), "why",
                     safe_string(failure->why), "remedy", safe_string(failure->remedy));
}

void failure_from_reply(struct failure *failure, const json_t *reply)
{
    const json_t *error = json_object_get(reply, "error");
    const char *what = json_string_value(json_object_get(error, "what"));
    const char *why = json_string_value(json_object_get(error, "why"));
    const char *remedy = json_string_value(json_object_get(error, "remedy"));

    failure_what(failure, "%s", what ? what : "the request failed");
    failure_why(failure, "%s", why ? why : "no reason was given");
    failure_remedy(failure, "%s", remedy ? remedy : "look into the daemon's log");
    /* Other programs' words may be in it, and those of the images that they read. */
    make_printable(failure->what, strlen(failure->what));
    make_printable(failure->why, strlen(failure->why));
    make_printable(failure->remedy, strlen(failure->remedy));
}
