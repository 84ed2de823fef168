/* SPDX-License-Identifier: MIT */
/*
 * The caches of unpacked kernels and of checked ramdisks; see cache.h.
 *
 * A name by identity is trusted as far as the change time is: it cannot be set by a user, only by the clock.
 * A file changed within the last two seconds gets no such name, for it may change again unnoticed at the same time.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <sha2.h>

#include "build/cache.h"

#define FILES_KEPT      8
#define SETTLED_SECONDS 2
#define IDENTITY_MAX    160

static int make_folder(const char *path)
{
    char partial[256];
    size_t length = strlen(path);

    if (length >= sizeof(partial))
        return -1;
    for (size_t i = 1; i <= length; i++) {
        if (path[i] != '/' && path[i] != '\0')
            continue;
        memcpy(partial, path, i);
        partial[i] = '\0';
        if (mkdir(partial, i == length ? 0700 : 0755) < 0 && errno != EEXIST)
            return -1;
    }
    return 0;
}

void cache_open(struct cache *cache, const char *path)
{
    cache->folder = open(path, O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    if (cache->folder < 0 && errno == ENOENT && make_folder(path) == 0)
        cache->folder = open(path, O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
}

void cache_close(struct cache *cache)
{
    if (cache->folder >= 0)
        close(cache->folder);
}

void cache_key_of(const uint8_t *data, size_t size, struct cache_key *key) { SHA512Data(data, size, key->name); }

static void identity_of(const struct stat *status, char identity[IDENTITY_MAX])
{
    snprintf(identity, IDENTITY_MAX, "file-%llx-%llx-%llx-%lld.%09ld-%lld.%09ld", (unsigned long long)status->st_dev,
             (unsigned long long)status->st_ino, (unsigned long long)status->st_size, (long long)status->st_mtim.tv_sec,
             status->st_mtim.tv_nsec, (long long)status->st_ctim.tv_sec, status->st_ctim.tv_nsec);
}

/* Open a name of the cache and mark it as just used. */
static int open_used(const struct cache *cache, const char *name)
{
    int fd = cache->folder < 0 ? -1 : openat(cache->folder, name, O_RDONLY | O_CLOEXEC);

    if (fd >= 0)
        futimens(fd, NULL);
    return fd;
}

int cache_find_file(const struct cache *cache, const struct stat *status)
{
    char identity[IDENTITY_MAX];

    identity_of(status, identity);
    return open_used(cache, identity);
}

int cache_find_content(const struct cache *cache, const struct cache_key *key) { return open_used(cache, key->name); }

int cache_new_file(const struct cache *cache)
{
    return cache->folder < 0 ? -1 : openat(cache->folder, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
}

/*
 * One pass over the folder: unlink links that lead nowhere, and count the files. Returns how many there are, and in
 * `oldest` the name of the least recently used.
 */
static unsigned int survey(DIR *listing, char oldest[256])
{
    struct timespec when = {0};
    struct dirent *entry;
    unsigned int files = 0;

    rewinddir(listing);
    while ((entry = readdir(listing)) != NULL) {
        struct stat status;

        if (entry->d_name[0] == '.')
            continue;
        if (fstatat(dirfd(listing), entry->d_name, &status, 0) < 0) {
            unlinkat(dirfd(listing), entry->d_name, 0);
        } else if (entry->d_type == DT_REG) {
            if (files++ == 0 || status.st_mtim.tv_sec < when.tv_sec) {
                when = status.st_mtim;
                snprintf(oldest, 256, "%s", entry->d_name);
            }
        }
    }
    return files;
}

static void make_room(const struct cache *cache)
{
    int folder = openat(cache->folder, ".", O_DIRECTORY | O_CLOEXEC);
    DIR *listing = folder < 0 ? NULL : fdopendir(folder);
    char oldest[256];

    if (!listing) {
        if (folder >= 0)
            close(folder);
        return;
    }
    while (survey(listing, oldest) >= FILES_KEPT && unlinkat(folder, oldest, 0) == 0) {
    }
    closedir(listing);
}

void cache_keep(const struct cache *cache, int fd, const struct cache_key *key)
{
    char self[64];

    /* Its name must not lead to half of it when the power fails. */
    if (cache->folder < 0 || fdatasync(fd) < 0)
        return;
    make_room(cache);
    snprintf(self, sizeof(self), "/proc/self/fd/%d", fd);
    linkat(AT_FDCWD, self, cache->folder, key->name, AT_SYMLINK_FOLLOW);
}

/* The identity of the file open as `fd`, if it has not changed since *before was read and lately not at all. */
static bool settled_identity(int fd, const struct stat *before, char identity[IDENTITY_MAX])
{
    char now[IDENTITY_MAX];
    struct stat status;

    if (fstat(fd, &status) < 0)
        return false;
    identity_of(before, identity);
    identity_of(&status, now);
    return strcmp(identity, now) == 0 && time(NULL) - status.st_ctim.tv_sec > SETTLED_SECONDS;
}

void cache_name_file(const struct cache *cache, int fd, const struct stat *before, const struct cache_key *key)
{
    char identity[IDENTITY_MAX];

    if (cache->folder >= 0 && settled_identity(fd, before, identity))
        symlinkat(key->name, cache->folder, identity);
}

void cache_mark_file(const struct cache *cache, int fd, const struct stat *before)
{
    char identity[IDENTITY_MAX];
    int marker;

    if (cache->folder < 0 || !settled_identity(fd, before, identity))
        return;
    make_room(cache);
    marker = openat(cache->folder, identity, O_CREAT | O_WRONLY | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (marker >= 0)
        close(marker);
}
