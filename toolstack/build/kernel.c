/* SPDX-License-Identifier: MIT */
/*
 * Opens kernel files; see kernel.h. The original is read once into memory, for whoever owns it may be writing to it. It
 * is then unpacked, or found in the cache.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "build/cache.h"
#include "build/kernel.h"
#include "build/payload.h"
#include "build/refuse.h"

/* A file read whole. */
struct bytes {
    uint8_t *data;
    size_t size;
};

static int open_original(const char *path, struct stat *status, struct failure *failure)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0) {
        int error = errno;

        refuse(failure,
               error == ENOENT ? "correct kernel= in the configuration, or put the kernel there"
                               : "make the file readable for root in dom0",
               "%s", strerror(error));
        return -1;
    }
    if (fstat(fd, status) < 0 || !S_ISREG(status->st_mode)) {
        refuse(failure, "name a kernel file in kernel=", "it is not a regular file");
    } else if (status->st_size > (off_t)KERNEL_SIZE_MAX) {
        refuse(failure, "name a kernel file in kernel=", "it is %lld MiB long, too much for a kernel",
               (long long)status->st_size >> 20);
    } else {
        return fd;
    }
    close(fd);
    return -1;
}

static int read_all(int fd, size_t size, struct bytes *bytes, struct failure *failure)
{
    bytes->size = 0;
    bytes->data = malloc(size ? size : 1);
    if (!bytes->data)
        return refuse(failure, "free some of dom0's memory", "out of memory reading it");
    while (bytes->size < size) {
        ssize_t got = read(fd, bytes->data + bytes->size, size - bytes->size);

        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            refuse(failure, "check dom0's disk and its log", "reading it failed: %s", strerror(errno));
            free(bytes->data);
            return -1;
        }
        if (got == 0)
            break;
        bytes->size += got;
    }
    return 0;
}

/* Unpack `original` into a new file, which the cache keeps if it can. Returns a descriptor, or -1. */
static int unpack(const struct bytes *original, struct cache *cache, const struct cache_key *key,
                  struct failure *failure)
{
    struct payload payload;
    int fd;

    if (payload_find(original->data, original->size, &payload, failure) < 0)
        return -1;
    fd = cache_new_file(cache);
    if (fd < 0)
        fd = memfd_create("domus-kernel", MFD_CLOEXEC);
    if (fd < 0)
        return refuse(failure, "free some of dom0's memory", "no room to unpack it: %s", strerror(errno));
    if (payload_unpack(&payload, fd, KERNEL_SIZE_MAX, failure) < 0) {
        close(fd);
        return -1;
    }
    cache_keep(cache, fd, key);
    return fd;
}

static int map_unpacked(int fd, struct kernel *kernel, struct failure *failure)
{
    struct stat status;
    void *data;

    if (fstat(fd, &status) < 0 || status.st_size == 0) {
        return refuse(failure, "give a Linux bzImage (vmlinuz), or an ELF kernel with Xen notes",
                      "it unpacks to nothing");
    }
    data = mmap(NULL, status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (data == MAP_FAILED)
        return refuse(failure, "free some of dom0's memory", "it cannot be mapped: %s", strerror(errno));
    kernel->data = data;
    kernel->size = status.st_size;
    return 0;
}

int kernel_open(const char *path, const char *cache_path, struct kernel *kernel, struct failure *failure)
{
    struct cache cache;
    struct cache_key key;
    struct stat status;
    struct bytes original;
    int unpacked, failed = -1;
    int fd = open_original(path, &status, failure);

    if (fd < 0)
        return -1;
    cache_open(&cache, cache_path);
    unpacked = cache_find_file(&cache, &status);
    if (unpacked < 0 && read_all(fd, status.st_size, &original, failure) == 0) {
        cache_key_of(original.data, original.size, &key);
        unpacked = cache_find_content(&cache, &key);
        if (unpacked < 0)
            unpacked = unpack(&original, &cache, &key, failure);
        if (unpacked >= 0)
            cache_name_file(&cache, fd, &status, &key);
        free(original.data);
    }
    if (unpacked >= 0) {
        failed = map_unpacked(unpacked, kernel, failure);
        close(unpacked);
    }
    cache_close(&cache);
    close(fd);
    return failed;
}

void kernel_close(struct kernel *kernel) { munmap((void *)kernel->data, kernel->size); }
