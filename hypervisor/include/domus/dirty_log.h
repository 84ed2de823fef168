/* SPDX-License-Identifier: MIT */
/*
 * The log of the pages that a domain has had written since somebody last asked, for saving it while it
 * runs. It knows pages by the number that the guest gives them. xen/domctl.h, XEN_DOMCTL_shadow_op.
 */
#ifndef DOMUS_DIRTY_LOG_H
#define DOMUS_DIRTY_LOG_H

#include <domus/domain.h>

struct dirty_log;

/* A clean log for pages 0 to nr_pages - 1, without memory for its bits yet: dirty_log_populate. NULL:
 * no memory. */
struct dirty_log *dirty_log_new(unsigned long nr_pages);
/* Gets that memory. 0, -ENOMEM, -ERESTART (call again). */
int dirty_log_populate(struct dirty_log *log);
/* Frees a log that nobody can find any more. 0, or -ERESTART: call again. */
int dirty_log_free(struct dirty_log *log);

/*
 * Notes that frame mfn of d's has been written, or means something else now. d has a log. Any context
 * but NMI. Interrupts are off while it uses d->dirty_log, so that who has set that to NULL may free the
 * log once every CPU has taken an interrupt.
 */
void dirty_log_mark(struct domain *d, mfn_t mfn);
/* The same if d has a log: for whoever changes a page of d's by other means than d's own mappings. */
static inline void mark_dirty(struct domain *d, mfn_t mfn)
{
    if (unlikely(READ_ONCE(d->dirty_log) != NULL))
        dirty_log_mark(d, mfn);
}
/* Whether that has been noted, or never will be: the frame has no number that the log covers. The
 * caller keeps the log from being freed. */
bool dirty_log_marked(const struct dirty_log *log, mfn_t mfn);

/* Writes since the log was cleaned: how many pages were clean before. */
unsigned long dirty_log_count(const struct dirty_log *log);

/* Whose reading it is: nobody has the same here at a time. */
struct dirty_reader {
    unsigned long space;        /* the caller's address space */
    unsigned long record;       /* the address there that describes the operation */
    u32 op;
};

/*
 * Writes the bits of pages 0 to nr_pages - 1 to the guest's bitmap (NULL: nowhere), zero where the log does
 * not reach, and with clean makes those pages clean, and the count zero. Bits set meanwhile are not lost.
 * 0, -EFAULT (pages not written yet stay dirty), -ERESTART (call again, with the same arguments), -EBUSY (another reader
 * is half-way). Domctl lock held.
 */
int dirty_log_read(struct dirty_log *log, const struct dirty_reader *reader, bool clean, void *bitmap,
                   unsigned long nr_pages);

#endif
