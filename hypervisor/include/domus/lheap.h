/* SPDX-License-Identifier: MIT */
/*
 * Leftist heap: an intrusive priority queue by a 64-bit key, smallest first. Insertion and removal
 * of any node take O(log n) at worst and allocate nothing. Used for timers and run queues. Keys
 * may wrap around: their order is that of their distance, which must stay below 2^63.
 */
#ifndef DOMUS_LHEAP_H
#define DOMUS_LHEAP_H

#include <domus/types.h>

struct lheap_node {
    int64_t key;
    struct lheap_node *left, *right, *parent;
    unsigned int rank;          /* length of the path along right links; left's is never less */
};

static inline bool lheap_before(int64_t a, int64_t b)
{
    return (int64_t)((uint64_t)a - (uint64_t)b) < 0;
}

struct lheap {
    struct lheap_node *root;    /* the smallest; NULL: empty */
};

static inline struct lheap_node *lheap_first(const struct lheap *h) { return h->root; }

/* node->key is set by the caller and does not change while it is in the heap. Equal keys: the one
 * inserted first need not come first. */
void lheap_insert(struct lheap *h, struct lheap_node *node);
void lheap_remove(struct lheap *h, struct lheap_node *node);

/* The node that follows in a walk over all of the heap, parents before children; NULL at the end. */
struct lheap_node *lheap_next(const struct lheap_node *node);

#endif
