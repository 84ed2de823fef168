/* SPDX-License-Identifier: MIT */
/*
 * The cache of unpacked kernels: a folder of files named by the SHA-512 of what they were unpacked from. A symbolic
 * link beside them, named by a kernel file's identity on disk (device, inode, size, times), leads to its result without
 * the file being read and hashed again.
 *
 * A folder of checked ramdisks has empty files only, named by the identity of a ramdisk found whole.
 *
 * Every failure here only means that the work is done once more.
 */
#ifndef DOMUS_BUILD_CACHE_H
#define DOMUS_BUILD_CACHE_H

#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

struct cache {
    int folder;
};

/* The hash in hexadecimal. */
struct cache_key {
    char name[129];
};

/* Open the folder `path`, making it if need be. The cache is then usable in any case, if only to find nothing. */
void cache_open(struct cache *cache, const char *path);
void cache_close(struct cache *cache);

void cache_key_of(const uint8_t *data, size_t size, struct cache_key *key);

/* A descriptor of what is kept for the file that *status describes, or for what *key names; -1 if not there. */
int cache_find_file(const struct cache *cache, const struct stat *status);
int cache_find_content(const struct cache *cache, const struct cache_key *key);

/* A new file in the folder, without a name yet, open for writing; -1 if that cannot be. */
int cache_new_file(const struct cache *cache);

/* Name the file `fd` that cache_new_file gave, now complete; the least recently used kernels make room for it. */
void cache_keep(const struct cache *cache, int fd, const struct cache_key *key);

/* Remember that the file open as `fd` holds what *key names, unless it has changed since *before was read. */
void cache_name_file(const struct cache *cache, int fd, const struct stat *before, const struct cache_key *key);

/* Remember the file open as `fd` itself, unless it has changed since *before was read; the least recently used go. */
void cache_mark_file(const struct cache *cache, int fd, const struct stat *before);

#endif
