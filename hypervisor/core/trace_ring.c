/* SPDX-License-Identifier: MIT */
/*
 * One CPU's ring of trace records: <xen/trace.h>. Indices run to twice the size, so that a full ring differs from an
 * empty one. No record goes past the ring's end: what is left there is filled by one that says so. Pages need not
 * follow each other in memory.
 */
#include "trace_ring.h"

#include <domus/atomic.h>
#include <domus/lib.h>
#include <domus/string.h>
#include <asm/page.h>
#include <xen/trace.h>

struct record {
    uint32_t header;
    uint32_t body[2 + TRACE_EXTRA_MAX];
};

static struct t_buf *shared_header(const struct trace_ring *ring)
{
    return ring->page[0];
}

void trace_ring_init(struct trace_ring *ring, void *const *page, uint32_t nr_pages)
{
    *ring = (struct trace_ring){
        .page = page,
        .size = nr_pages * (uint32_t)PAGE_SIZE - (uint32_t)sizeof(struct t_buf),
    };
}

void trace_ring_forget_lost(struct trace_ring *ring)
{
    ring->lost = 0;
}

static uint32_t used(const struct trace_ring *ring)
{
    uint32_t cons = READ_ONCE(shared_header(ring)->cons), bytes;

    if (cons >= 2 * ring->size)
        return ring->size;
    bytes = ring->prod >= cons ? ring->prod - cons : ring->prod + 2 * ring->size - cons;
    return min(bytes, ring->size);
}

static uint32_t offset(const struct trace_ring *ring)
{
    return ring->prod >= ring->size ? ring->prod - ring->size : ring->prod;
}

static void put(struct trace_ring *ring, const void *data, uint32_t bytes)
{
    const char *from = data;
    uint32_t at = offset(ring) + (uint32_t)sizeof(struct t_buf);

    ring->prod += bytes;
    if (ring->prod >= 2 * ring->size)
        ring->prod -= 2 * ring->size;
    while (bytes) {
        uint32_t in_page = at % (uint32_t)PAGE_SIZE, n = min(bytes, (uint32_t)PAGE_SIZE - in_page);

        memcpy((char *)ring->page[at / PAGE_SIZE] + in_page, from, n);
        from += n;
        at += n;
        bytes -= n;
    }
}

static uint32_t header(uint32_t event, unsigned int nr, bool timed)
{
    return event | nr << TRACE_EXTRA_SHIFT | (timed ? (uint32_t)TRC_HD_CYCLE_FLAG : 0);
}

/* Fills the ring up to its end: at most TRACE_EXTRA_MAX words and a time fit after the header. */
static void put_filler(struct trace_ring *ring, uint32_t bytes)
{
    unsigned int words = bytes / sizeof(uint32_t) - 1;
    bool timed = words > TRACE_EXTRA_MAX;
    struct record filler = { .header = header(TRC_TRACE_WRAP_BUFFER, timed ? words - 2 : words, timed) };

    put(ring, &filler, bytes);
}

/* *room: bytes free. */
static bool append(struct trace_ring *ring, uint32_t *room, uint64_t time, uint32_t event, const uint32_t *words,
                   unsigned int nr)
{
    uint32_t bytes = (uint32_t)sizeof(uint32_t) * (3 + nr), to_end = ring->size - offset(ring);
    uint32_t filler = bytes > to_end ? to_end : 0;
    struct record r = { header(event, nr, true), { (uint32_t)time, (uint32_t)(time >> 32) } };

    if (*room < filler + bytes)
        return false;
    *room -= filler + bytes;
    if (filler)
        put_filler(ring, filler);
    memcpy(&r.body[2], words, nr * sizeof(uint32_t));
    put(ring, &r, bytes);
    return true;
}

/* The records that were lost come first. */
static bool append_lost(struct trace_ring *ring, uint32_t *room, const struct trace_context *c)
{
    const uint32_t words[] = { ring->lost, c->domain | (uint32_t)c->vcpu << 16, (uint32_t)ring->lost_since,
                               (uint32_t)(ring->lost_since >> 32) };

    if (!append(ring, room, c->time, TRC_LOST_RECORDS, words, ARRAY_SIZE(words)))
        return false;
    ring->lost = 0;
    return true;
}

bool trace_ring_write(struct trace_ring *ring, const struct trace_context *c, uint32_t event, const uint32_t *words,
                      unsigned int nr)
{
    uint32_t room = ring->size - used(ring), half = ring->size / 2, before = room;

    if ((ring->lost && !append_lost(ring, &room, c)) || !append(ring, &room, c->time, event, words, nr)) {
        if (!ring->lost++)
            ring->lost_since = c->time;
    }
    smp_wmb();          /* who sees the index sees the records */
    WRITE_ONCE(shared_header(ring)->prod, ring->prod);
    return before > half && room <= half;
}
