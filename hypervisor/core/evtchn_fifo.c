/* SPDX-License-Identifier: MIT */
/*
 * Event channels, FIFO ABI: an array of event words that the guest provides page by page, linked
 * into queues, one for each vCPU and priority, whose heads are in the vCPU's control block.
 *
 * The guest may write any word at any time. The hypervisor trusts only what it keeps itself: the
 * tail of each queue. A tail whose word is not linked any more has been consumed by the guest, and
 * with it the whole queue.
 * Specification: xen/event_channel.h; "FIFO-based Event Channel ABI" design.
 */
#include "evtchn.h"

#include <domus/dirty_log.h>
#include <domus/xmalloc.h>
#include <asm/mm.h>

#define WORDS_PER_PAGE  (PAGE_SIZE / sizeof(event_word_t))
#define MAX_PAGES       (EVTCHN_FIFO_NR_CHANNELS / WORDS_PER_PAGE)
#define LINK_TRIES      16      /* guest writes in between are endured this often */

#define PENDING         (1u << EVTCHN_FIFO_PENDING)
#define MASKED          (1u << EVTCHN_FIFO_MASKED)
#define LINKED          (1u << EVTCHN_FIFO_LINKED)
#define BUSY            (1u << EVTCHN_FIFO_BUSY)

struct fifo_queue {
    spinlock_t lock;            /* (irq) */
    u32 tail;                   /* port linked last; 0: queue is empty for sure */
};

struct evtchn_fifo_vcpu {
    struct evtchn_fifo_control_block *control;  /* in control_page; NULL: not set up by the guest yet */
    struct page_info *control_page;             /* referenced, writable type held */
    struct fifo_queue queue[EVTCHN_FIFO_MAX_QUEUES];
};

struct evtchn_fifo_domain {
    unsigned int nr_words;                      /* valid entries of the array; only grows */
    event_word_t *array[MAX_PAGES];             /* pages, referenced, writable type held */
};

static event_word_t *event_word(const struct domain *d, u32 port)
{
    const struct evtchn_fifo_domain *fifo = d->evtchn.fifo;

    if (port >= smp_load_acquire(&fifo->nr_words))
        return NULL;
    port = (u32)array_index_nospec(port, EVTCHN_FIFO_NR_CHANNELS);
    return fifo->array[port / WORDS_PER_PAGE] + port % WORDS_PER_PAGE;
}

static event_word_t read_word(const event_word_t *word)
{
    return __atomic_load_n(word, __ATOMIC_SEQ_CST);
}

/*
 * Make the word, if it still is linked, point to port. BUSY asks a guest that keeps changing the
 * word to hold back. False if it is not linked, or the guest did not hold back: it then loses what
 * was queued before, which harms nobody else.
 */
static bool link_behind(event_word_t *word, u32 port)
{
    event_word_t old = read_word(word);

    for (unsigned int i = 0; i < LINK_TRIES; i++) {
        event_word_t new = (old & ~(BUSY | (event_word_t)EVTCHN_FIFO_LINK_MASK)) | port;

        if (!(old & LINKED))
            break;
        if (__atomic_compare_exchange_n(word, &old, new, false, __ATOMIC_SEQ_CST,
                                        __ATOMIC_SEQ_CST))
            return true;
        if (i == LINK_TRIES / 4)
            old = fetch_or(word, BUSY) | BUSY;
    }
    if (old & BUSY)
        (void)fetch_and(word, ~BUSY);
    return false;
}

static struct fifo_queue *queue_by_number(const struct domain *d, u32 number)
{
    return &d->vcpu[number / EVTCHN_FIFO_MAX_QUEUES]->evtchn_fifo
                ->queue[number % EVTCHN_FIFO_MAX_QUEUES];
}

/* The queue that the channel was linked on last, as it stands once both queues are locked. */
static struct fifo_queue *lock_queues(const struct domain *d, const struct evtchn *chn,
                                      struct fifo_queue *q)
{
    for (;;) {
        u32 last = READ_ONCE(chn->last_queue);
        struct fifo_queue *old = queue_by_number(d, last);

        if (old < q) {
            spin_lock(&old->lock);
            spin_lock_same_rank(&q->lock);
        } else {
            spin_lock(&q->lock);
            if (old != q)
                spin_lock_same_rank(&old->lock);
        }
        if (READ_ONCE(chn->last_queue) == last)
            return old;
        spin_unlock(&q->lock);
        if (old != q)
            spin_unlock(&old->lock);
    }
}

/* Put the channel, whose word is not linked, at the end of v's queue of its priority. */
static void enqueue(struct vcpu *v, struct evtchn *chn, event_word_t *word)
{
    struct domain *d = v->domain;
    unsigned int priority = READ_ONCE(chn->priority);
    struct evtchn_fifo_vcpu *fv = v->evtchn_fifo;
    struct evtchn_fifo_control_block *control = fv ? smp_load_acquire(&fv->control) : NULL;
    bool behind = false, linked;
    struct fifo_queue *q, *old;

    if (!control)               /* a guest must set up the control block before it unmasks anything */
        return;

    q = &fv->queue[priority];
    old = lock_queues(d, chn, q);
    linked = fetch_or(word, LINKED) & LINKED;
    if (!linked) {
        /* It was not linked: a queue that ends in it has been consumed to the end. */
        if (old->tail == chn->port)
            old->tail = 0;
        if (q->tail == chn->port)
            q->tail = 0;
        if (q->tail)
            behind = link_behind(event_word(d, q->tail), chn->port);
        if (!behind)
            WRITE_ONCE(control->head[priority], chn->port);
        q->tail = chn->port;
        WRITE_ONCE(chn->last_queue, v->vcpu_id * EVTCHN_FIFO_MAX_QUEUES + priority);
    }
    spin_unlock(&q->lock);
    if (old != q)
        spin_unlock(&old->lock);

    if (!linked && !behind && !(fetch_or(&control->ready, 1u << priority) & (1u << priority)))
        vcpu_mark_events_pending(v);
}

static void set_pending(struct vcpu *v, struct evtchn *chn)
{
    event_word_t *word = event_word(v->domain, chn->port);

    if (!word) {
        WRITE_ONCE(chn->raised_early, true);
        smp_mb();
        word = event_word(v->domain, chn->port);
        if (!word)
            return;     /* whoever makes it finds the flag */
    }
    if (!((fetch_or(word, PENDING) | PENDING) & (MASKED | LINKED)))
        enqueue(v, chn, word);
}

static void clear_pending(struct domain *d, struct evtchn *chn)
{
    event_word_t *word = event_word(d, chn->port);

    /* It stays linked: the guest takes it out of its queue when it comes to it. */
    if (word)
        (void)fetch_and(word, ~PENDING);
}

static void unmask(struct vcpu *v, struct evtchn *chn)
{
    event_word_t *word = event_word(v->domain, chn->port);

    if (word && (fetch_and(word, ~MASKED) & (PENDING | LINKED)) == PENDING)
        enqueue(v, chn, word);
}

static bool is_pending(const struct domain *d, const struct evtchn *chn)
{
    const event_word_t *word = event_word(d, chn->port);

    return word ? (read_word(word) & PENDING) != 0 : chn->raised_early;
}

static bool is_busy(const struct domain *d, const struct evtchn *chn)
{
    const event_word_t *word = event_word(d, chn->port);

    return word && (read_word(word) & LINKED);
}

static int set_priority(struct evtchn *chn, unsigned int priority)
{
    if (priority > EVTCHN_FIFO_PRIORITY_MIN)
        return -EINVAL;
    WRITE_ONCE(chn->priority, (u8)priority);
    return 0;
}

const struct evtchn_ops evtchn_fifo_ops = {
    .max_ports = EVTCHN_FIFO_NR_CHANNELS,
    .set_pending = set_pending,
    .clear_pending = clear_pending,
    .unmask = unmask,
    .is_pending = is_pending,
    .is_busy = is_busy,
    .set_priority = set_priority,
};

/* ---- Setting up ---- */

/* A page of d's that the hypervisor may write until put_page_and_type; NULL if gfn is none. */
static struct page_info *get_writable_page(struct domain *d, u64 gfn)
{
    struct page_info *pg = get_page_from_mfn(_mfn(gfn), d);

    if (pg && !get_page_type(pg, PGT_writable_page)) {
        put_page(pg);
        pg = NULL;
    }
    return pg;
}

static int make_vcpu_queues(struct vcpu *v)
{
    struct evtchn_fifo_vcpu *fv = v->evtchn_fifo;

    if (fv)
        return 0;
    fv = xzalloc(struct evtchn_fifo_vcpu);
    if (!fv)
        return -ENOMEM;
    for (unsigned int i = 0; i < EVTCHN_FIFO_MAX_QUEUES; i++)
        spin_lock_init(&fv->queue[i].lock, RANK_EVENT_QUEUE);
    v->evtchn_fifo = fv;
    return 0;
}

/*
 * Events pending in the 2-level bitmap are raised when their word comes; d->evtchn.lock is held. The ABI has changed: who
 * sets a bit later sees that (evtchn_raise).
 */
static void carry_over_pending(struct domain *d)
{
    for (unsigned int port = 1; port < min(d->evtchn.valid_ports,
                                           (unsigned int)EVTCHN_2L_NR_CHANNELS); port++) {
        struct evtchn *chn = evtchn_from_port(d, port);
        unsigned long flags;

        spin_lock_irqsave(&chn->lock, flags);
        chn->last_queue = 0;
        if (chn->state != ECS_FREE && test_bit(port, d->shared_info->evtchn_pending))
            WRITE_ONCE(chn->raised_early, true);
        spin_unlock_irqrestore(&chn->lock, flags);
    }
}

/* First use by the domain: all vCPUs get queues, for an event may be linked on any. */
static int switch_to_fifo(struct domain *d)
{
    struct evtchn_fifo_domain *fifo;
    struct vcpu *v;

    for_each_vcpu(d, v)
        if (make_vcpu_queues(v))
            return -ENOMEM;
    fifo = xzalloc(struct evtchn_fifo_domain);
    if (!fifo)
        return -ENOMEM;

    d->evtchn.fifo = fifo;
    smp_store_release(&d->evtchn.ops, &evtchn_fifo_ops);
    smp_mb();
    carry_over_pending(d);
    return 0;
}

int evtchn_fifo_init_control(struct domain *d, struct evtchn_init_control *arg)
{
    struct vcpu *v = domain_vcpu(d, arg->vcpu);
    struct page_info *pg;
    int rc = 0;

    if (!v)
        return -ENOENT;
    if (arg->offset > PAGE_SIZE - sizeof(struct evtchn_fifo_control_block) || arg->offset % 8)
        return -EINVAL;
    pg = get_writable_page(d, arg->control_gfn);
    if (!pg)
        return -EINVAL;

    spin_lock(&d->evtchn.lock);
    if (!d->evtchn.fifo)
        rc = switch_to_fifo(d);
    if (!rc)
        rc = make_vcpu_queues(v);
    if (!rc && v->evtchn_fifo->control)
        rc = -EINVAL;
    if (!rc) {
        v->evtchn_fifo->control_page = pg;
        smp_store_release(&v->evtchn_fifo->control,
                          (void *)((char *)page_to_virt(pg) + arg->offset));
        arg->link_bits = EVTCHN_FIFO_LINK_BITS;
    }
    spin_unlock(&d->evtchn.lock);

    if (rc)
        put_page_and_type(pg);
    return rc;
}

/* Raise what was sent to the ports of a page before it was there; d->evtchn.lock is held. */
static void raise_early_events(struct domain *d, unsigned int first)
{
    for (unsigned int port = first; port < first + WORDS_PER_PAGE; port++) {
        struct evtchn *chn = evtchn_from_port(d, port);
        unsigned long flags;

        if (!chn)
            return;
        spin_lock_irqsave(&chn->lock, flags);
        if (chn->raised_early) {
            chn->raised_early = false;
            evtchn_raise(d, chn);
        }
        spin_unlock_irqrestore(&chn->lock, flags);
    }
}

int evtchn_fifo_expand_array(struct domain *d, const struct evtchn_expand_array *arg)
{
    struct page_info *pg = get_writable_page(d, arg->array_gfn);
    struct evtchn_fifo_domain *fifo;
    int rc = 0;

    if (!pg)
        return -EINVAL;

    spin_lock(&d->evtchn.lock);
    fifo = d->evtchn.fifo;
    if (!fifo) {
        rc = -EOPNOTSUPP;
    } else if (fifo->nr_words == EVTCHN_FIFO_NR_CHANNELS) {
        rc = -ENOSPC;
    } else {
        unsigned int first = fifo->nr_words;

        fifo->array[first / WORDS_PER_PAGE] = page_to_virt(pg);
        smp_store_release(&fifo->nr_words, first + (unsigned int)WORDS_PER_PAGE);
        smp_mb();
        raise_early_events(d, first);
    }
    spin_unlock(&d->evtchn.lock);

    if (rc)
        put_page_and_type(pg);
    return rc;
}

void evtchn_mark_dirty(struct domain *d)
{
    const struct evtchn_fifo_domain *fifo;
    const struct vcpu *v;

    spin_lock(&d->evtchn.lock);
    fifo = d->evtchn.fifo;
    for_each_vcpu(d, v) {
        if (v->evtchn_fifo && v->evtchn_fifo->control_page)
            mark_dirty(d, page_to_mfn(v->evtchn_fifo->control_page));
    }
    for (unsigned int i = 0; fifo && i < fifo->nr_words / WORDS_PER_PAGE; i++)
        mark_dirty(d, virt_to_mfn(fifo->array[i]));
    spin_unlock(&d->evtchn.lock);
}

void evtchn_fifo_destroy(struct domain *d)
{
    struct evtchn_fifo_domain *fifo = d->evtchn.fifo;
    struct vcpu *v;

    if (!fifo)
        return;
    d->evtchn.ops = &evtchn_2l_ops;
    d->evtchn.fifo = NULL;

    for_each_vcpu(d, v) {
        if (v->evtchn_fifo && v->evtchn_fifo->control_page)
            put_page_and_type(v->evtchn_fifo->control_page);
        XFREE(v->evtchn_fifo);
    }
    for (unsigned int i = 0; i < fifo->nr_words / WORDS_PER_PAGE; i++)
        put_page_and_type(virt_to_page(fifo->array[i]));
    xfree(fifo);
}
