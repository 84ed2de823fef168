/* SPDX-License-Identifier: MIT */
/*
 * Scripts of requests and answers: see script.h.
 */
#include "script.h"

#include <stdlib.h>
#include <string.h>

#define LINE_MAX_LENGTH 20000
#define TRANSACTIONS 64

static const char *const type_names[] = {
    "CONTROL", "DIRECTORY", "READ", "GET_PERMS", "WATCH", "UNWATCH", "TRANSACTION_START", "TRANSACTION_END",
    "INTRODUCE", "RELEASE", "GET_DOMAIN_PATH", "WRITE", "MKDIR", "RM", "SET_PERMS", "WATCH_EVENT", "ERROR",
    "IS_DOMAIN_INTRODUCED", "RESUME", "SET_TARGET", "RESTRICT", "RESET_WATCHES", "DIRECTORY_PART",
};
#define TYPES (sizeof(type_names) / sizeof(type_names[0]))

struct run {
    const struct script_transport *transport;
    struct {
        char name[16];
        uint32_t id;
    } transactions[TRANSACTIONS];
    unsigned int transaction_count;
};

/* The bytes that `text` stands for, into `payload`; false if they are too many. */
static bool unescape(const char *text, char *payload, size_t *length)
{
    *length = 0;
    while (*text) {
        char byte = *text++;
        unsigned long times = 1;

        if (byte == '\\' && *text == '0') {
            byte = '\0';
            text++;
        } else if (byte == '\\' && *text == 'x') {
            char digits[3] = { text[1], text[1] ? text[2] : '\0' };

            byte = strtoul(digits, NULL, 16);
            text += 1 + strlen(digits);
        } else if (byte == '\\' && *text == '*' && *length > 0) {
            byte = payload[*length - 1];
            times = strtoul(text + 1, (char **)&text, 10) - 1;
            text += *text == ';';
        }
        if (*length + times > XENSTORE_PAYLOAD_MAX)
            return false;
        memset(payload + *length, byte, times);
        *length += times;
    }
    return true;
}

/* The other way; a long run of one byte is shortened. */
static void escape(const char *payload, size_t length, char *text)
{
    for (size_t i = 0; i < length;) {
        size_t run = 1;

        while (i + run < length && payload[i + run] == payload[i])
            run++;
        if (!payload[i])
            text += sprintf(text, "\\0");
        else if (payload[i] < ' ' || payload[i] > '~' || payload[i] == '\\')
            text += sprintf(text, "\\x%02x", (unsigned char)payload[i]);
        else
            text += sprintf(text, "%c", payload[i]);
        if (run > 8)
            text += sprintf(text, "\\*%zu;", run);
        i += run > 8 ? run : 1;
    }
    *text = '\0';
}

static uint32_t type_number(const char *name)
{
    for (uint32_t i = 0; i < TYPES; i++)
        if (!strcmp(type_names[i], name))
            return i;
    return strtoul(name, NULL, 0);
}

static uint32_t transaction_number(const struct run *run, const char *name)
{
    for (unsigned int i = 0; i < run->transaction_count; i++)
        if (!strcmp(run->transactions[i].name, name))
            return run->transactions[i].id;
    return strtoul(name, NULL, 10);
}

static void describe(char *line, const char *mark, const struct xsd_sockmsg *header, const char *payload)
{
    line += sprintf(line, "  %s %s%s", mark, header->type < TYPES ? type_names[header->type] : "?",
                    header->len ? " " : "");
    escape(payload, header->len, line);
}

/* Send one request; the lines of what comes are collected in `answer`. False if the line makes no sense. */
static bool run_request(struct run *run, char *line, char *answer)
{
    struct xsd_sockmsg header = { .req_id = 1 }, got;
    char payload[XENSTORE_PAYLOAD_MAX + 1], mark[3];
    char *client = strtok(line, " "), *type = strtok(NULL, " "), *tx = strtok(NULL, " "), *rest = strtok(NULL, "\n");
    size_t length = 0;

    if (!client || !type || !tx || (rest && !unescape(rest, payload, &length)))
        return false;
    header.type = type_number(type);
    header.tx_id = *tx == '=' || *tx == '-' ? 0 : transaction_number(run, tx);
    header.len = length;
    run->transport->send(*client, &header, payload);
    for (;;) {
        if (!run->transport->receive(*client, true, &got, payload)) {
            answer += sprintf(answer, "  < (nothing)\n");
            break;
        }
        if (got.type == XS_WATCH_EVENT) {
            sprintf(mark, "%c!", *client);
        } else {
            strcpy(mark, "<");
            if (got.type == XS_TRANSACTION_START && *tx == '=' && run->transaction_count < TRANSACTIONS) {
                snprintf(run->transactions[run->transaction_count].name, 16, "%s", tx + 1);
                run->transactions[run->transaction_count++].id = strtoul(payload, NULL, 10);
                got.len = sprintf(payload, "(id)");
            } else if (got.type == XS_DIRECTORY_PART) {
                /* Generation counts differ; what follows does not. */
                size_t skip = strlen(payload);

                memmove(payload + 5, payload + skip, got.len - skip);
                memcpy(payload, "(gen)", 5);
                got.len = got.len - skip + 5;
            }
        }
        describe(answer, mark, &got, payload);
        strcat(answer, "\n");
        answer += strlen(answer);
        if (got.type != XS_WATCH_EVENT)
            break;
    }
    for (const char *other = run->transport->clients; *other; other++) {
        while (run->transport->receive(*other, false, &got, payload)) {
            sprintf(mark, "%c!", *other);
            describe(answer, got.type == XS_WATCH_EVENT ? mark : "?", &got, payload);
            strcat(answer, "\n");
            answer += strlen(answer);
        }
    }
    return true;
}

int script_record(FILE *in, FILE *out, const struct script_transport *transport)
{
    static char line[LINE_MAX_LENGTH], answer[1 << 20];
    struct run run = { .transport = transport };
    bool ours = false;
    int bad = 0;

    while (fgets(line, sizeof(line), in)) {
        if (line[0] == ' ') {
            if (!ours || line[2] == '~')
                fputs(line, out);
            continue;
        }
        ours = line[0] != '#' && line[0] != '\n' && strchr(transport->clients, line[0]);
        fputs(line, out);
        if (!ours)
            continue;
        answer[0] = '\0';
        if (!run_request(&run, line, answer)) {
            fprintf(out, "  ? not a request\n");
            bad++;
        }
        fputs(answer, out);
    }
    return bad;
}

/* Read the lines that tell of answers. Domus's own ones come instead of Xen's. */
static void read_expected(FILE *in, char *expected, int *line_number)
{
    static char line[LINE_MAX_LENGTH];
    char *xen = expected;
    bool own = false;
    long place;

    *expected = '\0';
    while ((place = ftell(in)), fgets(line, sizeof(line), in)) {
        if (line[0] != ' ') {
            fseek(in, place, SEEK_SET);
            return;
        }
        ++*line_number;
        if (line[2] == '~') {
            if (!own)
                *(expected = xen) = '\0';
            own = true;
            line[2] = '<';
        } else if (line[2] == '<' && own) {
            continue;
        }
        strcpy(expected, line);
        expected += strlen(line);
    }
}

int script_check(FILE *in, const char *name, const struct script_transport *transport)
{
    static char line[LINE_MAX_LENGTH], request[LINE_MAX_LENGTH], answer[1 << 20], expected[1 << 20];
    struct run run = { .transport = transport };
    int bad = 0, number = 0;

    while (fgets(line, sizeof(line), in)) {
        int at = ++number;

        if (line[0] == '#' || line[0] == '\n')
            continue;
        strcpy(request, line);
        answer[0] = '\0';
        run_request(&run, line, answer);
        read_expected(in, expected, &number);
        if (!strcmp(answer, expected))
            continue;
        fprintf(stderr, "%s:%d: %s expected:\n%s got:\n%s", name, at, request, expected, answer);
        bad++;
    }
    return bad;
}
