/* SPDX-License-Identifier: MIT */
/*
 * Range sets: a sorted array of ranges that neither overlap nor touch. Asking is a binary search.
 *
 * Adding or removing a range makes the array at most one longer; the memory for it is found before
 * the lock is taken, so that the lock is a leaf and questions may be asked in any context.
 */
#include <domus/lib.h>
#include <domus/rangeset.h>
#include <domus/spinlock.h>
#include <domus/string.h>
#include <domus/xmalloc.h>

struct range {
    unsigned long first, last;
};

struct rangeset {
    rwlock_t lock;
    unsigned int nr, room;      /* entries in use, allocated */
    struct range *range;
    const char *name;
};

struct rangeset *rangeset_new(const char *name)
{
    struct rangeset *r = xzalloc(struct rangeset);

    if (r) {
        rwlock_init(&r->lock, RANK_LEAF);
        r->name = name;
    }
    return r;
}

void rangeset_destroy(struct rangeset *r)
{
    if (r) {
        xfree(r->range);
        xfree(r);
    }
}

/* Index of the first range that ends at or after n; r->nr if there is none. Lock held. */
static unsigned int find(const struct rangeset *r, unsigned long n)
{
    unsigned int low = 0, high = r->nr;

    while (low < high) {
        unsigned int mid = low + (high - low) / 2;

        if (r->range[mid].last < n)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

/* Puts `count` ranges in place of `old` at index i; there is room. Lock held. */
static void splice(struct rangeset *r, unsigned int i, unsigned int old, const struct range *with,
                   unsigned int count)
{
    memmove(&r->range[i + count], &r->range[i + old], (r->nr - i - old) * sizeof(*r->range));
    if (count)
        memcpy(&r->range[i], with, count * sizeof(*with));
    r->nr += count - old;
}

/* Takes the write lock with room for one more range. 0 or -ENOMEM, then without the lock. */
static int write_lock_with_room(struct rangeset *r)
{
    for (;;) {
        unsigned int room;
        struct range *grown, *old;

        write_lock(&r->lock);
        if (r->nr < r->room)
            return 0;
        room = r->room;
        write_unlock(&r->lock);

        grown = xmalloc_array(struct range, room + 8);
        if (!grown)
            return -ENOMEM;
        write_lock(&r->lock);
        if (r->room == room) {
            old = r->range;
            if (r->nr)
                memcpy(grown, old, r->nr * sizeof(*grown));
            r->range = grown;
            r->room = room + 8;
        } else
            old = grown;
        write_unlock(&r->lock);
        xfree(old);
    }
}

int rangeset_add_range(struct rangeset *r, unsigned long first, unsigned long last)
{
    struct range add = { first, last };
    unsigned int i, end;
    int rc;

    if (first > last)
        return -EINVAL;
    rc = write_lock_with_room(r);
    if (rc)
        return rc;

    /* All ranges that overlap it or touch it become one with it. */
    i = find(r, first ? first - 1 : 0);
    for (end = i; end < r->nr && (last == ~0UL || r->range[end].first <= last + 1); end++) {
        add.first = min(add.first, r->range[end].first);
        add.last = max(add.last, r->range[end].last);
    }
    splice(r, i, end - i, &add, 1);
    write_unlock(&r->lock);
    return 0;
}

int rangeset_remove_range(struct rangeset *r, unsigned long first, unsigned long last)
{
    struct range rest[2];
    unsigned int i, end, nr = 0;
    int rc;

    if (first > last)
        return -EINVAL;
    rc = write_lock_with_room(r);
    if (rc)
        return rc;

    i = find(r, first);
    for (end = i; end < r->nr && r->range[end].first <= last; end++) {
        if (r->range[end].first < first)
            rest[nr++] = (struct range){ r->range[end].first, first - 1 };
        if (r->range[end].last > last)
            rest[nr++] = (struct range){ last + 1, r->range[end].last };
    }
    splice(r, i, end - i, rest, nr);
    write_unlock(&r->lock);
    return 0;
}

bool rangeset_contains_range(struct rangeset *r, unsigned long first, unsigned long last)
{
    unsigned int i;
    bool found;

    if (!r)
        return false;
    read_lock(&r->lock);
    i = find(r, first);
    found = i < r->nr && r->range[i].first <= first && r->range[i].last >= last;
    read_unlock(&r->lock);
    return found;
}

bool rangeset_overlaps_range(struct rangeset *r, unsigned long first, unsigned long last)
{
    unsigned int i;
    bool found;

    if (!r)
        return false;
    read_lock(&r->lock);
    i = find(r, first);
    found = i < r->nr && r->range[i].first <= last;
    read_unlock(&r->lock);
    return found;
}

bool rangeset_is_empty(struct rangeset *r)
{
    return !r || READ_ONCE(r->nr) == 0;
}

bool rangeset_next(struct rangeset *r, unsigned long *first, unsigned long *last)
{
    unsigned int i;
    bool found;

    read_lock(&r->lock);
    i = find(r, *first);
    found = i < r->nr;
    if (found) {
        *first = r->range[i].first;
        *last = r->range[i].last;
    }
    read_unlock(&r->lock);
    return found;
}

void rangeset_print(struct rangeset *r)
{
    read_lock(&r->lock);
    for (unsigned int i = 0; i < r->nr; i++)
        printk(LOG_INFO "    %s %lx-%lx\n", r->name, r->range[i].first, r->range[i].last);
    read_unlock(&r->lock);
}
