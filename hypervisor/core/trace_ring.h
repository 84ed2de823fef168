/* SPDX-License-Identifier: MIT */
/* One CPU's ring of trace records. core/trace_ring.c. */
#ifndef CORE_TRACE_RING_H
#define CORE_TRACE_RING_H

#include <domus/types.h>

struct t_buf;

/* All but the pages belongs to the hypervisor alone. */
struct trace_ring {
    void *const *page;          /* the ring's, in order; the first begins with struct t_buf */
    uint32_t size;              /* bytes for records */
    uint32_t prod;              /* where the next record goes: 0 .. 2 * size - 1 */
    uint32_t lost;              /* records that found no room since the last that did */
    uint64_t lost_since;        /* time of the first of them */
};

/* Who runs: named in the record that counts lost ones. */
struct trace_context {
    uint64_t time;
    uint16_t domain, vcpu;
};

/* Makes nr_pages zeroed pages a ring that is empty. */
void trace_ring_init(struct trace_ring *ring, void *const *page, uint32_t nr_pages);
/*
 * Appends a record of nr words; true if that made the ring half full. Who empties the ring may write anything into its
 * pages at any time: nothing but the consumer's index is read from them, and one that makes no sense counts as full.
 */
bool trace_ring_write(struct trace_ring *ring, const struct trace_context *context, uint32_t event,
                      const uint32_t *words, unsigned int nr);
/* Forgets how many were lost. */
void trace_ring_forget_lost(struct trace_ring *ring);

#endif
