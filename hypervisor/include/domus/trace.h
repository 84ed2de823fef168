/* SPDX-License-Identifier: MIT */
/*
 * Trace buffers: each CPU writes what happens on it into a ring of its own, which tools in dom0 (xentrace) map and
 * empty. Records and rings are those of <xen/trace.h>; tools control them by XEN_SYSCTL_tbuf_op. With tracing off a
 * trace point costs one test of a word that hardly ever changes. core/trace.c, core/trace_ring.c, core/trace_op.c.
 */
#ifndef DOMUS_TRACE_H
#define DOMUS_TRACE_H

#include <domus/cpumask.h>
#include <domus/lib.h>
#include <domus/types.h>
#include <xen/sysctl.h>
#include <xen/trace.h>

/* Classes and subclasses that are wanted (TRC_*); 0 while tracing is off. */
extern uint32_t trace_events;

/* Whether a record of this event is wanted: its class, and its subclass. */
static inline bool trace_wanted(uint32_t event)
{
    uint32_t both = READ_ONCE(trace_events) & event;

    return unlikely(both >> TRC_CLS_SHIFT) && ((both >> TRC_SUBCLS_SHIFT) & 0xf) != 0;
}

/*
 * Appends a record with the time and nr (at most TRACE_EXTRA_MAX) words to this CPU's ring; counted as lost if there is
 * no room. Any context but NMI and machine check; takes no lock but the ring's, a leaf.
 */
void trace_write(uint32_t event, const uint32_t *words, unsigned int nr);

/* trace(event, word...): a record if somebody wants it. The words are evaluated only then. */
#define trace(event, ...)                                           \
    do {                                                            \
        if (trace_wanted(event)) {                                  \
            const uint32_t words_[] = { __VA_ARGS__ };              \
                                                                    \
            BUILD_BUG_ON(ARRAY_SIZE(words_) > TRACE_EXTRA_MAX);     \
            trace_write(event, words_, ARRAY_SIZE(words_));         \
        }                                                           \
    } while (0)
/* The two words of a 64-bit value. */
#define TRACE_64(value) (uint32_t)(uint64_t)(value), (uint32_t)((uint64_t)(value) >> 32)

/* For core/trace_op.c. What is written from now on, and by which CPUs. */
void trace_set_events(uint32_t events);
void trace_set_cpus(const cpumask_t *cpus);
/* A CPU's ring: its pages, zeroed, before anything is traced. After the last event: waits for who may still write one,
 * and forgets how many were lost. */
void trace_init_cpu(unsigned int cpu, void *const *page, uint32_t nr_pages);
void trace_stop_cpu(unsigned int cpu);

/*
 * XEN_SYSCTL_tbuf_op; the control lock is held. Errors: -EINVAL no such request, no buffers to enable, or another size
 * than they have; -EBUSY they have that size; -ENOMEM; -EFAULT; -ERESTART when preempted.
 */
long sysctl_trace(struct xen_sysctl_tbuf_op *op);
/* Boot. */
void trace_init(void);

#endif
