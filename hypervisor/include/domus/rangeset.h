/* SPDX-License-Identifier: MIT */
/*
 * Sets of numbers kept as ranges: the frames, ports and interrupts that a domain may touch. Ranges
 * are inclusive at both ends. Each set has a lock of its own.
 */
#ifndef DOMUS_RANGESET_H
#define DOMUS_RANGESET_H

#include <domus/types.h>

struct rangeset;

/* `name` must outlive the set; for messages. NULL: no memory. */
struct rangeset *rangeset_new(const char *name);
void rangeset_destroy(struct rangeset *r);      /* NULL is fine */

/* 0 or -ENOMEM, -EINVAL (first > last); then nothing has changed. */
int rangeset_add_range(struct rangeset *r, unsigned long first, unsigned long last);
int rangeset_remove_range(struct rangeset *r, unsigned long first, unsigned long last);

/* A NULL set is empty. */
bool rangeset_contains_range(struct rangeset *r, unsigned long first, unsigned long last);
bool rangeset_overlaps_range(struct rangeset *r, unsigned long first, unsigned long last);
bool rangeset_is_empty(struct rangeset *r);

/* The first range that ends at or after *first: its ends in *first and *last. false: there is none. */
bool rangeset_next(struct rangeset *r, unsigned long *first, unsigned long *last);
/* To the console, a line a range. */
void rangeset_print(struct rangeset *r);

static inline int rangeset_add_singleton(struct rangeset *r, unsigned long n)
{
    return rangeset_add_range(r, n, n);
}

static inline int rangeset_remove_singleton(struct rangeset *r, unsigned long n)
{
    return rangeset_remove_range(r, n, n);
}

static inline bool rangeset_contains_singleton(struct rangeset *r, unsigned long n)
{
    return rangeset_contains_range(r, n, n);
}

#endif
