/* SPDX-License-Identifier: MIT */
/*
 * Allocation that does not return NULL. What guests and clients can make the daemon keep is bounded by quotas, so that
 * running out of memory means that dom0 is out of memory: the process then ends, and its successor finds its state in
 * the journal.
 */
#ifndef DOMUS_ALLOC_H
#define DOMUS_ALLOC_H

#include <stddef.h>

void *xmalloc(size_t size) __attribute__((malloc, returns_nonnull));
void *xcalloc(size_t count, size_t size) __attribute__((malloc, returns_nonnull));
void *xrealloc(void *old, size_t size) __attribute__((returns_nonnull));
void *xmemdup(const void *data, size_t size) __attribute__((malloc, returns_nonnull));
char *xstrdup(const char *text) __attribute__((malloc, returns_nonnull));
char *xasprintf(const char *format, ...) __attribute__((format(printf, 1, 2), returns_nonnull));

#endif
