/* SPDX-License-Identifier: MIT */
/*
 * Event channels: state per domain, and what other parts of the hypervisor call.
 * Public interface: xen/event_channel.h. Implemented in core/evtchn*.c.
 */
#ifndef DOMUS_EVENT_H
#define DOMUS_EVENT_H

#include <domus/types.h>
#include <domus/spinlock.h>
#include <domus/atomic.h>
#include <xen/xen.h>
#include <xen/event_channel.h>

struct domain;
struct vcpu;
struct evtchn;
struct evtchn_ops;

#define EVTCHN_BUCKET_PORTS 64
#define EVTCHN_BUCKETS(max_port) ((max_port) / EVTCHN_BUCKET_PORTS + 1)

/*
 * Lives in struct domain. A struct evtchn, once made, stays until evtchn_destroy_final; its own lock
 * guards its state, so ports can be looked up with no lock.
 */
struct evtchn_domain {
    spinlock_t lock;                    /* allocation of ports, PIRQ bindings, change of the ABI */
    struct evtchn **bucket;             /* [EVTCHN_BUCKETS(max_port)]; entries set once */
    unsigned int valid_ports;           /* ports below this have a struct; only grows; read without lock */
    unsigned int free_hint;             /* no port below this is free */
    unsigned int active;                /* ports in use; under lock, read without */
    unsigned int max_port;              /* highest allowed; createdomain's max_evtchn_port */
    const struct evtchn_ops *ops;       /* 2-level or FIFO */
    struct evtchn_fifo_domain *fifo;
    unsigned int teardown_next;         /* evtchn_destroy and evtchn_reset go on here; 0: none under way */
    u32 *pirq_port;                     /* [d->nr_pirqs]: port bound to it, or 0; made for the first one */
    unsigned int pirq_limit;            /* entries of pirq_port from here on are 0 */
};

/* max_port: highest port number the domain may have. 0 or -ENOMEM. */
int evtchn_init(struct domain *d, unsigned int max_port);
int evtchn_destroy(struct domain *d);           /* closes every port; -ERESTART when preempted */
void evtchn_destroy_final(struct domain *d);    /* frees the structures */
void evtchn_vcpu_init(struct vcpu *v);
void evtchn_vcpu_destroy(struct vcpu *v);
/* Closes all ports of a domain that goes on living, and returns it to the 2-level ABI. resuming: called
 * again after -ERESTART. -EBUSY, -EINVAL if the two do not match what is under way. */
int evtchn_reset(struct domain *d, bool resuming);

/* VIRQs. Global ones go to the vCPU that the domain bound them on. */
void send_guest_vcpu_virq(struct vcpu *v, uint32_t virq);
void send_guest_global_virq(struct domain *d, uint32_t virq);
/* Host-wide VIRQ to whoever handles it: dom0 unless XEN_DOMCTL_set_virq_handler said otherwise. */
void send_global_virq(uint32_t virq);
int set_global_virq_handler(struct domain *d, uint32_t virq);

/* A physical interrupt for d's PIRQ. Returns false if nothing is bound there. Any context. */
bool send_guest_pirq(struct domain *d, unsigned int pirq);

/* Notify a local port, as EVTCHNOP_send does. */
int evtchn_send(struct domain *d, unsigned int port);

/* Whether port is a port of d; whether it is pending (false if it is not a port). For SCHEDOP_poll. */
bool evtchn_port_valid(const struct domain *d, unsigned int port);
bool evtchn_port_pending(const struct domain *d, unsigned int port);

/* Marks the pages of d's queues in its log of written pages, which it has: events are linked there at any moment. */
void evtchn_mark_dirty(struct domain *d);

/* Physical interrupts bound to v follow it: called when v changed CPU, with no interrupt's lock held. */
void evtchn_move_pirqs(struct vcpu *v);

/* Events for v are pending and unmasked: it should be woken (VPF_BLOCKED cleared, kicked).
 * Sets evtchn_upcall_pending; core/evtchn.c. */
void vcpu_mark_events_pending(struct vcpu *v);
bool vcpu_events_pending(const struct vcpu *v);   /* pending and not masked by evtchn_upcall_mask */

/* Allocate an unbound channel inside the hypervisor's builder for dom0: not needed by guests. */
int evtchn_alloc_unbound(struct domain *d, domid_t remote, unsigned int *port);

#endif
