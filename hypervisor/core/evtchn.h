/* SPDX-License-Identifier: MIT */
/* Event channels inside: one channel, and what differs between the 2-level and the FIFO ABI. */
#ifndef CORE_EVTCHN_H
#define CORE_EVTCHN_H

#include <domus/domain.h>
#include <domus/event.h>

enum evtchn_state {
    ECS_FREE,
    ECS_RESERVED,               /* port 0: never given out */
    ECS_UNBOUND,                /* waits for u.remote_domid to bind */
    ECS_INTERDOMAIN,
    ECS_PIRQ,
    ECS_VIRQ,
    ECS_IPI,
};

/*
 * State, and the member of u that goes with it, change only with lock held; for ECS_INTERDOMAIN both
 * ends' locks, so either end's lock keeps the pair together and the remote domain alive.
 */
struct evtchn {
    spinlock_t lock;            /* (irq) */
    u32 port;
    u8 state;                   /* enum evtchn_state */
    u8 priority;                /* FIFO: EVTCHN_FIFO_PRIORITY_* */
    bool raised_early;          /* FIFO: raised while the guest had no event word for it */
    u16 notify_vcpu_id;         /* a vCPU that exists, or 0 */
    u32 last_queue;             /* FIFO: where it was linked last: vCPU number * queues + priority */
    union {
        domid_t remote_domid;
        struct {
            struct domain *dom;
            u32 port;
        } remote;
        u32 pirq;
        u32 virq;
    } u;
};

/*
 * The part of an event that the guest sees. set_pending, clear_pending and unmask are called with a
 * lock held that keeps the channel from being closed: its own, or that of its other end.
 * v: the vCPU to notify.
 */
struct evtchn_ops {
    unsigned int max_ports;
    void (*set_pending)(struct vcpu *v, struct evtchn *chn);
    void (*clear_pending)(struct domain *d, struct evtchn *chn);
    void (*unmask)(struct vcpu *v, struct evtchn *chn);
    bool (*is_pending)(const struct domain *d, const struct evtchn *chn);
    /* A free port that the guest has not taken out of its queues yet. */
    bool (*is_busy)(const struct domain *d, const struct evtchn *chn);
    int (*set_priority)(struct evtchn *chn, unsigned int priority);
};

/* The channel's lock is held. */
static inline bool evtchn_in_use(const struct evtchn *chn)
{
    return chn->state != ECS_FREE && chn->state != ECS_RESERVED;
}

extern const struct evtchn_ops evtchn_2l_ops, evtchn_fifo_ops;

/* The channel of a port, or NULL if there is none (yet): port may be anything. No lock needed. */
struct evtchn *evtchn_from_port(const struct domain *d, unsigned int port);

/* Raise the event of d's channel. Locks as for evtchn_ops.set_pending. */
void evtchn_raise(struct domain *d, struct evtchn *chn);

/* Find a port that is free and make sure it has a struct: the channel, still ECS_FREE, or an error
 * pointer: -EINVAL (dying), -ENOSPC, -ENOMEM. d->evtchn.lock is held until the state is set. */
struct evtchn *evtchn_get_free(struct domain *d);
/* Give a channel from evtchn_get_free its state; set u first. */
void evtchn_set_state(struct domain *d, struct evtchn *chn, enum evtchn_state state);
/* Close a port of d: 0, or -EINVAL if it is none or not in use. No lock is held. */
int evtchn_close_port(struct domain *d, unsigned int port);
/* The same with d->evtchn.lock held; *rd, if set, is to be put once it is not. Of an interdomain channel
 * the other end may change the state meanwhile: -EAGAIN, to be tried again. */
int evtchn_close_locked(struct domain *d, struct evtchn *chn, struct domain **rd);

/* Take the locks of both channels, in order; they may be the same one. Interrupts off. */
void evtchn_lock_pair(struct evtchn *a, struct evtchn *b);
void evtchn_unlock_pair(struct evtchn *a, struct evtchn *b);

/* True for virtual interrupts that a domain has one of, false for those of each vCPU. */
bool virq_is_global(unsigned int virq);

/* FIFO ABI: the operations of its own; see xen/event_channel.h. */
int evtchn_fifo_init_control(struct domain *d, struct evtchn_init_control *arg);
int evtchn_fifo_expand_array(struct domain *d, const struct evtchn_expand_array *arg);
/* Back to the 2-level ABI; every port is closed; d->evtchn.lock is held. */
void evtchn_fifo_destroy(struct domain *d);

#endif
