/* SPDX-License-Identifier: MIT */
/*
 * The log of written pages: a bitmap in pieces of one page each, all of them there before the log is
 * used, so that marking takes no lock and no memory.
 */
#include <domus/dirty_log.h>

#include <domus/arch.h>
#include <domus/bitmap.h>
#include <domus/guest_access.h>
#include <domus/heap.h>
#include <domus/hypercall.h>
#include <domus/lib.h>
#include <domus/xmalloc.h>

#define LEAF_BITS       (PAGE_SIZE * BITS_PER_BYTE)
/* Leaves made or freed, and bits copied to the reader, between two looks for other work. */
#define LEAVES_A_SLICE  64
#define BITS_A_SLICE    LEAF_BITS
/* Copied by way of the stack. */
#define CHUNK_WORDS     32
#define CHUNK_BITS      ((unsigned long)CHUNK_WORDS * BITS_PER_LONG)

struct dirty_log {
    unsigned long nr_pages, nr_leaves;
    unsigned long populated;            /* leaves that are there: the first ones */
    unsigned long count;                /* atomic */
    /* Domctl lock: a reading that was preempted, whose it is, and where it goes on. */
    bool reading;
    struct dirty_reader reader;
    unsigned long next;
    unsigned long *leaf[];
};

/* ---- Life ---- */

struct dirty_log *dirty_log_new(unsigned long nr_pages)
{
    unsigned long nr_leaves = DIV_ROUND_UP(nr_pages, LEAF_BITS);
    struct dirty_log *log = xzalloc_bytes(sizeof(*log) + nr_leaves * sizeof(log->leaf[0]));

    if (log) {
        log->nr_pages = nr_pages;
        log->nr_leaves = nr_leaves;
    }
    return log;
}

int dirty_log_populate(struct dirty_log *log)
{
    for (unsigned int n = 0; log->populated < log->nr_leaves; n++) {
        unsigned long *leaf;

        if (n && n % LEAVES_A_SLICE == 0 && hypercall_preempt_check())
            return -ERESTART;
        leaf = alloc_heap_pages(0, MEMF_zero);
        if (!leaf)
            return -ENOMEM;
        log->leaf[log->populated++] = leaf;
    }
    return 0;
}

int dirty_log_free(struct dirty_log *log)
{
    for (unsigned int n = 0; log->populated; n++) {
        if (n && n % LEAVES_A_SLICE == 0 && hypercall_preempt_check())
            return -ERESTART;
        free_heap_pages(log->leaf[--log->populated], 0);
    }
    xfree(log);
    return 0;
}

/* ---- Marking ---- */

/* The leaf with the bit of a page, whose number the guest chose; NULL: the log does not cover it. */
static unsigned long *leaf_of(const struct dirty_log *log, unsigned long page)
{
    return page < log->nr_pages ? log->leaf[array_index_nospec(page, log->nr_pages) / LEAF_BITS] : NULL;
}

void dirty_log_mark(struct domain *d, mfn_t mfn)
{
    unsigned long page = get_gpfn_from_mfn(mfn), flags;
    struct dirty_log *log;

    local_irq_save(flags);
    log = READ_ONCE(d->dirty_log);
    if (log) {
        unsigned long *leaf = leaf_of(log, page);

        /* Most pages are marked again and again: a look is cheaper than a change. */
        if (leaf && !test_bit(page % LEAF_BITS, leaf) && !test_and_set_bit(page % LEAF_BITS, leaf))
            (void)fetch_add(&log->count, 1);
    }
    local_irq_restore(flags);
}

bool dirty_log_marked(const struct dirty_log *log, mfn_t mfn)
{
    unsigned long page = get_gpfn_from_mfn(mfn);
    const unsigned long *leaf = leaf_of(log, page);

    return !leaf || test_bit(page % LEAF_BITS, leaf);
}

unsigned long dirty_log_count(const struct dirty_log *log)
{
    return READ_ONCE(log->count);
}

/* ---- Reading ---- */

/* The words of the log from bit `first` on, which is the first of a chunk; NULL: the log ends before. */
static unsigned long *chunk_words(struct dirty_log *log, unsigned long first)
{
    return first < log->nr_pages ? log->leaf[first / LEAF_BITS] + first % LEAF_BITS / BITS_PER_LONG : NULL;
}

/* nr bits from `first` on, which lie in one leaf. */
static int read_chunk(struct dirty_log *log, bool clean, char *bitmap, unsigned long first, unsigned long nr)
{
    unsigned long copy[CHUNK_WORDS] = { 0 }, *words = chunk_words(log, first);
    unsigned long nr_words = DIV_ROUND_UP(nr, BITS_PER_LONG);

    for (unsigned long i = 0; words && i < nr_words; i++)
        copy[i] = READ_ONCE(words[i]);
    if (nr % BITS_PER_LONG)
        copy[nr_words - 1] &= BIT(nr % BITS_PER_LONG) - 1;
    if (bitmap && copy_to_guest((void *)((unsigned long)bitmap + first / BITS_PER_BYTE), copy,
                                DIV_ROUND_UP(nr, BITS_PER_BYTE)))
        return -EFAULT;
    for (unsigned long i = 0; clean && words && i < nr_words; i++) {
        if (copy[i])
            (void)fetch_and(&words[i], ~copy[i]);
    }
    return 0;
}

static bool same_reader(const struct dirty_reader *a, const struct dirty_reader *b)
{
    return a->space == b->space && a->record == b->record && a->op == b->op;
}

int dirty_log_read(struct dirty_log *log, const struct dirty_reader *reader, bool clean, void *bitmap,
                   unsigned long nr_pages)
{
    bool progress = false;
    int rc = 0;

    if (log->reading && !same_reader(&log->reader, reader))
        return -EBUSY;
    if (!log->reading)
        log->next = 0;
    log->reading = true;
    log->reader = *reader;
    while (!rc && log->next < nr_pages) {
        unsigned long nr = min(nr_pages - log->next, CHUNK_BITS);

        if (progress && log->next % BITS_A_SLICE == 0 && hypercall_preempt_check())
            return -ERESTART;
        rc = read_chunk(log, clean, bitmap, log->next, nr);
        log->next += nr;
        progress = true;
    }
    log->reading = false;
    if (!rc && clean)
        log->count = 0;
    return rc;
}
