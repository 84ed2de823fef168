/* SPDX-License-Identifier: MIT */
/*
 * Small objects: slabs of one size each, and whole pages for what is larger. A slab is an aligned
 * block of pages, objects from its start, so that an object whose size is a power of two is aligned
 * to it; the slab's own record is at its end. The page_info of each page says which it is
 * (free_order, which pages in use elsewhere do not have): order of a large block, or SLAB + class.
 */
#include <domus/heap.h>
#include <domus/list.h>
#include <domus/spinlock.h>
#include <domus/string.h>
#include <domus/xmalloc.h>

#define SLAB            0x100UL
#define LARGE           0x200UL
#define KIND_MASK       0xff00UL

struct slab {
    struct list_head list;      /* in partial, or self-linked when full */
    void *free;                 /* objects, linked through their first word */
    u16 in_use;
    u16 class;
};

struct slab_class {
    spinlock_t lock;
    u16 size;                   /* bytes of an object */
    u16 order;                  /* pages of a slab */
    struct list_head partial;   /* slabs with free objects */
};

#define CLASS(n, sz, ord) \
    [n] = { SPINLOCK_INIT(RANK_XMALLOC), sz, ord, LIST_HEAD_INIT(classes[n].partial) }

static struct slab_class classes[] = {
    CLASS(0, 16, 0),   CLASS(1, 32, 0),   CLASS(2, 64, 0),   CLASS(3, 96, 0),
    CLASS(4, 128, 0),  CLASS(5, 192, 0),  CLASS(6, 256, 0),  CLASS(7, 384, 0),
    CLASS(8, 512, 1),  CLASS(9, 768, 1),  CLASS(10, 1024, 2), CLASS(11, 1536, 2),
    CLASS(12, 2048, 2),
};

static struct slab *slab_of(void *base, const struct slab_class *c)
{
    return (struct slab *)((char *)base + (PAGE_SIZE << c->order)) - 1;
}

static void *slab_base(void *object, const struct slab_class *c)
{
    return (void *)ROUNDDOWN((unsigned long)object, PAGE_SIZE << c->order);
}

/* A fresh slab of class c, all of it free and not listed yet; NULL if there is no memory. */
static struct slab *slab_create(struct slab_class *c)
{
    char *base = alloc_heap_pages(c->order, MEMF_no_scrub);
    struct page_info *pg;
    struct slab *s;

    if (!base)
        return NULL;
    pg = virt_to_page(base);
    for (unsigned int i = 0; i < 1u << c->order; i++)
        pg[i].free_order = SLAB | (unsigned long)(c - classes);

    s = slab_of(base, c);
    s->free = NULL;
    s->in_use = 0;
    s->class = (u16)(c - classes);
    for (size_t n = ((char *)s - base) / c->size; n--; ) {
        void **object = (void **)(base + n * c->size);

        *object = s->free;
        s->free = object;
    }
    return s;
}

static void *slab_take(struct slab *s)
{
    void **object = s->free;

    s->free = *object;
    s->in_use++;
    if (!s->free)
        list_del_init(&s->list);
    return object;
}

static void *slab_alloc(struct slab_class *c)
{
    unsigned long flags;
    struct slab *s, *fresh = NULL;
    void *object;

    spin_lock_irqsave(&c->lock, flags);
    if (list_empty(&c->partial)) {
        spin_unlock_irqrestore(&c->lock, flags);
        fresh = slab_create(c);
        if (!fresh)
            return NULL;
        spin_lock_irqsave(&c->lock, flags);
        list_add(&fresh->list, &c->partial);
    }
    s = list_first_entry(&c->partial, struct slab, list);
    object = slab_take(s);
    spin_unlock_irqrestore(&c->lock, flags);
    return object;
}

static void slab_free(struct slab_class *c, void *object)
{
    void *base = slab_base(object, c);
    struct slab *s = slab_of(base, c);
    bool empty;
    unsigned long flags;

    BUG_ON((size_t)((char *)object - (char *)base) % c->size || (char *)object >= (char *)s);
#ifdef DEBUG
    memset(object, 0x6b, c->size);
#endif

    spin_lock_irqsave(&c->lock, flags);
    BUG_ON(!s->in_use);
    if (!s->free)
        list_add(&s->list, &c->partial);
    *(void **)object = s->free;
    s->free = object;
    /* One empty slab stays, so that a lone object does not make and unmake a slab each time. */
    empty = --s->in_use == 0 && !list_is_singular(&c->partial);
    if (empty)
        list_del(&s->list);
    spin_unlock_irqrestore(&c->lock, flags);

    if (empty)
        free_heap_pages(base, c->order);
}

static void *large_alloc(size_t size)
{
    unsigned int order = get_order_from_bytes(size);
    void *p = alloc_heap_pages(order, MEMF_no_scrub);

    if (p)
        virt_to_page(p)->free_order = LARGE | order;
    return p;
}

void *xmalloc_bytes(size_t size)
{
    void *p = NULL;

    if (!size)
        size = 1;
    if (size > PAGE_SIZE << MAX_ORDER)
        return NULL;
    for (unsigned int i = 0; i < ARRAY_SIZE(classes); i++) {
        if (size <= classes[i].size) {
            p = slab_alloc(&classes[i]);
            break;
        }
    }
    /* Also when memory is too scattered for a slab of several pages. */
    return p ? p : large_alloc(size);
}

void *xzalloc_bytes(size_t size)
{
    void *p = xmalloc_bytes(size);

    if (p)
        memset(p, 0, size);
    return p;
}

void *xmalloc_array_bytes(size_t size, size_t nr, bool zero)
{
    size_t bytes;

    if (__builtin_mul_overflow(size, nr, &bytes))
        return NULL;
    return zero ? xzalloc_bytes(bytes) : xmalloc_bytes(bytes);
}

void xfree(void *p)
{
    struct page_info *pg;
    unsigned long kind;

    if (!p)
        return;
    pg = virt_to_page(p);
    kind = pg->free_order;
    if ((kind & KIND_MASK) == SLAB) {
        slab_free(&classes[kind & ~KIND_MASK], p);
    } else {
        BUG_ON((kind & KIND_MASK) != LARGE || !IS_ALIGNED((unsigned long)p, PAGE_SIZE));
        free_pages(pg, (unsigned int)(kind & ~KIND_MASK));
    }
}
