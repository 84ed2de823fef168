/* SPDX-License-Identifier: MIT */
/* The waiting halves of the locks, and the checks of debug builds: order, interrupts, holder. */
#include <domus/spinlock.h>
#include <domus/percpu.h>
#include <domus/string.h>
#include <asm/current.h>

void spin_lock_wait(spinlock_t *l, u16 ticket)
{
    while (READ_ONCE(l->ticket.head) != ticket)
        cpu_relax();
}

/* The caller has counted itself in already; it stays counted out while a writer holds or waits. */
void read_lock_wait(rwlock_t *l)
{
    u32 old;

    do {
        (void)__atomic_fetch_sub(&l->state, 1, __ATOMIC_RELAXED);
        while (READ_ONCE(l->state) & (RW_WRITER | RW_WAITING))
            cpu_relax();
        old = __atomic_fetch_add(&l->state, 1, __ATOMIC_ACQUIRE);
    } while (old & (RW_WRITER | RW_WAITING));
}

void write_lock_wait(rwlock_t *l)
{
    for (;;) {
        u32 expected = RW_WAITING;

        (void)__atomic_fetch_or(&l->state, RW_WAITING, __ATOMIC_RELAXED);
        if (__atomic_compare_exchange_n(&l->state, &expected, RW_WRITER, false, __ATOMIC_ACQUIRE,
                                        __ATOMIC_RELAXED))
            return;
        cpu_relax();
    }
}

#ifdef DEBUG

#define MAX_HELD            16
#define LOCK_SEEN_IRQS_ON   1
#define LOCK_SEEN_IRQS_OFF  2

/* The locks that a CPU holds, in the order taken; irqs_off: so when the lock was taken. */
struct held_locks {
    unsigned int nr;
    struct {
        const struct lock_debug *lock;
        bool irqs_off;
    } held[MAX_HELD];
};

static DEFINE_PER_CPU(struct held_locks, held_locks);
static bool checks_on __read_mostly;

void lock_checks_enable(bool on)
{
    checks_on = on;
}

static void complain(const struct lock_debug *d, const char *what)
{
    checks_on = false;
    panic("Lock of rank %u: %s\n", d->rank, what);
}

/*
 * A lock that is taken with interrupts on must never be taken with interrupts off or by an
 * interrupt handler. Given that, locks of the first kind are always taken before those of the
 * second, so the ranks of an interrupted CPU's locks of the first kind do not bind its handler.
 */
void lock_check(struct lock_debug *d, bool same_rank_ok, bool irqs_on)
{
    const struct held_locks *h = &this_cpu(held_locks);

    if (!checks_on)
        return;

    d->irq_use |= irqs_on ? LOCK_SEEN_IRQS_ON : LOCK_SEEN_IRQS_OFF;
    if (d->irq_use == (LOCK_SEEN_IRQS_ON | LOCK_SEEN_IRQS_OFF))
        complain(d, "taken both with interrupts on and off");

    for (unsigned int i = 0; i < h->nr; i++) {
        const struct lock_debug *other = h->held[i].lock;

        if (other == d)
            complain(d, "taken twice");
        if (!irqs_on && !h->held[i].irqs_off)
            continue;
        if (other->rank > d->rank)
            complain(d, "taken under a lock of a later rank");
        if (other->rank == d->rank && !same_rank_ok)
            complain(d, "taken under another of the same rank");
    }
}

void lock_acquired(struct lock_debug *d, bool exclusive)
{
    struct held_locks *h;
    bool irqs_on = local_irq_is_enabled();
    unsigned long flags;

    if (exclusive)
        d->holder = (u16)(smp_processor_id() + 1);

    local_irq_save(flags);
    h = &this_cpu(held_locks);
    if (h->nr < MAX_HELD) {
        h->held[h->nr].lock = d;
        h->held[h->nr].irqs_off = !irqs_on;
        h->nr++;
    }
    local_irq_restore(flags);
}

void lock_release(struct lock_debug *d, bool exclusive)
{
    struct held_locks *h;
    unsigned long flags;

    if (exclusive) {
        if (checks_on && d->holder != smp_processor_id() + 1)
            complain(d, "released by a CPU that does not hold it");
        d->holder = 0;
    }

    local_irq_save(flags);
    h = &this_cpu(held_locks);
    for (unsigned int i = h->nr; i--; ) {
        if (h->held[i].lock == d) {
            memmove(&h->held[i], &h->held[i + 1], (h->nr - i - 1) * sizeof(h->held[0]));
            h->nr--;
            break;
        }
    }
    local_irq_restore(flags);
}

#endif /* DEBUG */
