/* SPDX-License-Identifier: MIT */
/*
 * The journal's file. It is written with write(2) and never synced: it has to outlive the process, not the host, whose
 * end is the end of all domains. A file that has grown large is replaced by a snapshot; a file whose end could not be
 * written properly as well, for nothing behind a torn batch counts.
 */
#include "store_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon.h"
#include "lib/alloc.h"
#include "lib/bytes.h"
#include "lib/log.h"

#define STORE_FILE RUN_DIR "/store"
#define STORE_FILE_NEW RUN_DIR "/store.new"

/* Replace the file when it is larger than this and than a few times the snapshot that it began with. */
#define FILE_SIZE_MIN (4UL << 20)
#define FILE_GROWTH 3

static int file = -1;
static size_t size, snapshot_size;

static int write_all(int fd, const char *data, size_t length)
{
    while (length > 0) {
        ssize_t wrote = write(fd, data, length);

        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote < 0)
            return -errno;
        data += wrote;
        length -= wrote;
    }
    return 0;
}

/* Begin a new file with a snapshot of the store. */
static int begin_file(void)
{
    size_t length;
    const void *snapshot = store_snapshot(the_store, &length);
    int fd = open(STORE_FILE_NEW, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    int rc = fd < 0 ? -errno : write_all(fd, snapshot, length);

    if (rc == 0 && rename(STORE_FILE_NEW, STORE_FILE) < 0)
        rc = -errno;
    if (rc) {
        if (fd >= 0)
            close(fd);
        unlink(STORE_FILE_NEW);
        return rc;
    }
    if (file >= 0)
        close(file);
    file = fd;
    size = snapshot_size = length;
    return 0;
}

int store_file_open(void)
{
    struct bytes content = { 0 };
    int fd = open(STORE_FILE, O_RDONLY | O_CLOEXEC);
    char buffer[65536];
    ssize_t got;
    size_t used;
    int rc;

    if (fd < 0 && errno != ENOENT)
        return -errno;
    while (fd >= 0 && (got = read(fd, buffer, sizeof(buffer))) != 0) {
        if (got < 0 && errno != EINTR) {
            rc = -errno;
            close(fd);
            bytes_clear(&content);
            return rc;
        }
        if (got > 0)
            bytes_append(&content, buffer, got);
    }
    if (fd >= 0)
        close(fd);
    used = store_replay(the_store, bytes_front(&content), bytes_length(&content));
    if (used < bytes_length(&content))
        log_warn("store: %zu bytes at the end of %s were not written whole and are left out",
                 bytes_length(&content) - used, STORE_FILE);
    bytes_clear(&content);
    return begin_file();
}

void store_file_write(void)
{
    static bool complained;
    size_t length;
    const void *batch = store_journal(the_store, &length);
    int rc = 0;

    if (length == 0)
        return;
    if (file >= 0)
        rc = write_all(file, batch, length);
    size += length;
    if (rc || file < 0 || (size > FILE_SIZE_MIN && size > FILE_GROWTH * snapshot_size)) {
        if (file >= 0 && rc) {
            close(file);
            file = -1;
        }
        rc = begin_file();
    }
    if (rc && !complained)
        log_error("store: %s cannot be written (%s): a restart of the daemon would lose changes", STORE_FILE,
                  strerror(-rc));
    complained = rc != 0;
}
