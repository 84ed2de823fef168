/* SPDX-License-Identifier: MIT */
/*
 * Ticket spinlocks and reader-writer locks. Not recursive. A lock taken in interrupt context is
 * taken with interrupts off everywhere. Debug builds check the order (domus/lock_order.h), that
 * each lock is used alike with regard to interrupts, and that the releaser is the holder.
 */
#ifndef DOMUS_SPINLOCK_H
#define DOMUS_SPINLOCK_H

#include <domus/atomic.h>
#include <domus/lib.h>
#include <domus/lock_order.h>
#include <asm/processor.h>      /* local_irq_* and cpu_relax */

struct lock_debug {
#ifdef DEBUG
    u8 rank;                    /* enum lock_rank */
    u8 irq_use;                 /* LOCK_SEEN_* */
    u16 holder;                 /* CPU number + 1, or 0; spinlocks and write locks only */
#endif
};

typedef union { u32 both; struct { u16 head, tail; }; } spin_ticket_t;

typedef struct spinlock {
    spin_ticket_t ticket;
    struct lock_debug debug;
} spinlock_t;

/* Bit 31: a writer holds it; bit 30: a writer waits (new readers hold back); below: readers. */
typedef struct rwlock {
    u32 state;
    struct lock_debug debug;
} rwlock_t;

#ifdef DEBUG
#define LOCK_DEBUG_INIT(r)      { .rank = (r) }
#else
#define LOCK_DEBUG_INIT(r)      { }
#endif
#define SPINLOCK_INIT(r)        { .debug = LOCK_DEBUG_INIT(r) }
#define RWLOCK_INIT(r)          { .debug = LOCK_DEBUG_INIT(r) }
#define DEFINE_SPINLOCK(name, r) spinlock_t name = SPINLOCK_INIT(r)
#define DEFINE_RWLOCK(name, r)   rwlock_t name = RWLOCK_INIT(r)

static inline void spin_lock_init(spinlock_t *l, enum lock_rank rank)
{
    *l = (spinlock_t)SPINLOCK_INIT(rank);
    (void)rank;
}

static inline void rwlock_init(rwlock_t *l, enum lock_rank rank)
{
    *l = (rwlock_t)RWLOCK_INIT(rank);
    (void)rank;
}

#ifdef DEBUG
/* Before taking; after having taken (pushes on the CPU's stack of held locks); before releasing. */
void lock_check(struct lock_debug *d, bool same_rank_ok, bool irqs_were_on);
void lock_acquired(struct lock_debug *d, bool exclusive);
void lock_release(struct lock_debug *d, bool exclusive);
/* The checks start when the boot CPU has left its first steps, and end in a panic. */
void lock_checks_enable(bool on);
#else
static inline void lock_checks_enable(bool on __unused) { }
static inline void lock_check(struct lock_debug *d __unused, bool same __unused, bool on __unused)
{
}
static inline void lock_acquired(struct lock_debug *d __unused, bool exclusive __unused) { }
static inline void lock_release(struct lock_debug *d __unused, bool exclusive __unused) { }
#endif

void spin_lock_wait(spinlock_t *l, u16 ticket);
void read_lock_wait(rwlock_t *l);
void write_lock_wait(rwlock_t *l);

static inline void spin_ticket_take(spinlock_t *l)
{
    u16 mine = __atomic_fetch_add(&l->ticket.tail, 1, __ATOMIC_ACQUIRE);

    if (unlikely(READ_ONCE(l->ticket.head) != mine))
        spin_lock_wait(l, mine);
    __atomic_thread_fence(__ATOMIC_ACQUIRE);
    lock_acquired(&l->debug, true);
}

static inline void spin_lock(spinlock_t *l)
{
    lock_check(&l->debug, false, local_irq_is_enabled());
    spin_ticket_take(l);
}

/* The second lock of one rank, in the order that the rank's comment gives. */
static inline void spin_lock_same_rank(spinlock_t *l)
{
    lock_check(&l->debug, true, local_irq_is_enabled());
    spin_ticket_take(l);
}

static inline void spin_unlock(spinlock_t *l)
{
    lock_release(&l->debug, true);
    __atomic_store_n(&l->ticket.head, (u16)(l->ticket.head + 1), __ATOMIC_RELEASE);
}

static inline bool spin_trylock(spinlock_t *l)
{
    spin_ticket_t old, new;

    old.both = READ_ONCE(l->ticket.both);
    if (old.head != old.tail)
        return false;
    new = old;
    new.tail++;
    if (!__atomic_compare_exchange_n(&l->ticket.both, &old.both, new.both, false,
                                     __ATOMIC_ACQUIRE, __ATOMIC_RELAXED))
        return false;
    lock_acquired(&l->debug, true);
    return true;
}

static inline bool spin_is_locked(const spinlock_t *l)
{
    spin_ticket_t now;

    now.both = READ_ONCE(l->ticket.both);
    return now.head != now.tail;
}

static inline void spin_lock_irq(spinlock_t *l)
{
    local_irq_disable();
    spin_lock(l);
}

static inline void spin_unlock_irq(spinlock_t *l)
{
    spin_unlock(l);
    local_irq_enable();
}

#define spin_lock_irqsave(l, flags)         \
    do {                                    \
        local_irq_save(flags);              \
        spin_lock(l);                       \
    } while (0)

#define spin_unlock_irqrestore(l, flags)    \
    do {                                    \
        spin_unlock(l);                     \
        local_irq_restore(flags);           \
    } while (0)

/* Wait until whoever holds the lock now has released it. */
static inline void spin_barrier(spinlock_t *l)
{
    smp_mb();
    while (spin_is_locked(l))
        cpu_relax();
    smp_mb();
}

#define RW_WRITER   0x80000000u
#define RW_WAITING  0x40000000u

static inline void read_lock(rwlock_t *l)
{
    u32 old;

    lock_check(&l->debug, false, local_irq_is_enabled());
    old = __atomic_fetch_add(&l->state, 1, __ATOMIC_ACQUIRE);
    if (unlikely(old & (RW_WRITER | RW_WAITING)))
        read_lock_wait(l);
    lock_acquired(&l->debug, false);
}

static inline void read_unlock(rwlock_t *l)
{
    lock_release(&l->debug, false);
    (void)__atomic_fetch_sub(&l->state, 1, __ATOMIC_RELEASE);
}

static inline void write_lock(rwlock_t *l)
{
    u32 free = 0;

    lock_check(&l->debug, false, local_irq_is_enabled());
    if (unlikely(!__atomic_compare_exchange_n(&l->state, &free, RW_WRITER, false,
                                              __ATOMIC_ACQUIRE, __ATOMIC_RELAXED)))
        write_lock_wait(l);
    lock_acquired(&l->debug, true);
}

static inline void write_unlock(rwlock_t *l)
{
    lock_release(&l->debug, true);
    (void)__atomic_fetch_and(&l->state, ~RW_WRITER, __ATOMIC_RELEASE);
}

#endif
