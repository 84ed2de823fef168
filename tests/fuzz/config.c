/* SPDX-License-Identifier: MIT */
/*
 * Fuzzes configurations: text of keys, values and rubbish as a file and as settings of the command line; what is read
 * goes on to the daemon's own check, which also gets the input as JSON. Whatever comes is read, or refused with all three
 * parts of an error.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "cli/config.h"
#include "daemon/config.h"
#include "daemon/disk_server.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* An input is mostly made of these: each byte stands for one, or for itself; one byte more says which key. */
static const char *const keys[] = {
#include "keys.h"
};
#define KEYS (sizeof(keys) / sizeof(keys[0]))

static const char *const pieces[] = {
    "memry", "name='a'\nkernel='/k'\nmemory=64\n", "=", " = ", "+=",
    "\n", ";", "#", "[", "]", ",", "'", "\"", "\\", "[ '", "' ]", "'a'", "\"b\"", "64", "-1", "0x10", "99999999999999999999",
    "'destroy'", "'coredump-restart'", "'rename-restart'", "'soft-reset'", "'pv'", "'hvm'", "/d,raw,xvda,w",
    "phy:/dev/x,xvdb,r", "format=", "vdev=", "access=", "target=", "devtype=cdrom", "mac=00:16:3e:00:00:01", "bridge=",
    "ip=", "rate=10Mb/s", "script=", "type=ioemu", "xvd", "0-3,^2", "nodes:0", "all", "{", "}", ":", "{\"", "\":",
    "null", "true", "[]", "{}", "\"name\":\"a\",\"kernel\":\"/k\",\"memory\":64",
    "00000000-0000-0000-0000-000000000000",
};
#define PIECES (sizeof(pieces) / sizeof(pieces[0]))

/* The text that the input stands for: memory to free. */
static char *expand(const uint8_t *data, size_t size, size_t *length)
{
    char *text = NULL;
    FILE *stream = open_memstream(&text, length);

    for (size_t i = 0; i < size; i++) {
        if (data[i] % 8 == 1 && i + 1 < size)
            fputs(keys[data[++i] % KEYS], stream);
        else if (data[i] % 2)
            fputs(pieces[data[i] / 2 % PIECES], stream);
        else
            fputc(data[i] / 2 * 2 + (i % 2), stream);
    }
    fclose(stream);
    return text;
}

/* What the host can do is not asked here. */
bool disk_server_possible(const struct disk_config *disk, struct failure *failure)
{
    (void)disk;
    (void)failure;
    return true;
}

static void check_failure(const struct failure *failure)
{
    if (!*failure->what || !*failure->why || !*failure->remedy)
        abort();
}

/* What the daemon makes of an object. */
static void try_daemon(json_t *object)
{
    struct failure failure;
    struct config *config;

    failure_what(&failure, "cannot create the domain");
    config = json_is_object(object) ? config_parse(object, &failure) : NULL;
    if (config)
        config_free(config);
    else if (json_is_object(object))
        check_failure(&failure);
    json_decref(object);
}

static void try_file(const char *text, size_t length, char *const *settings, size_t count)
{
    int fd = memfd_create("config", 0);
    struct failure failure;
    char path[64];
    json_t *config;

    if (fd < 0 || write(fd, text, length) != (ssize_t)length)
        abort();
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    config = config_read(path, settings, count, &failure);
    close(fd);
    if (config)
        try_daemon(config);
    else
        check_failure(&failure);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t length, half;
    char *text = expand(data, size, &length), *setting;

    half = length / 2;
    try_daemon(json_loadb(text, length, 0, NULL));
    try_file(text, length, NULL, 0);
    /* The second half as a setting, which ends at a NUL as arguments do. */
    setting = strndup(text + half, length - half);
    try_file(text, half, &setting, 1);
    free(setting);
    free(text);
    return 0;
}
