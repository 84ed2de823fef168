/* SPDX-License-Identifier: MIT */
/* The fake architecture's controls, for tests: a machine, domains with pages, hypercalls by a guest. */
#ifndef HOST_H
#define HOST_H

#include <domus/domain.h>
#include <domus/hypercall.h>

/* Frames from here on are RAM. */
#define HOST_FIRST_MFN 0x100UL

/* A machine with RAM up to frame max; nothing is given to the heap yet. One at a time. */
void host_machine_create(unsigned long max);
void host_machine_destroy(void);

/* A domain with vCPUs, event channels and grant table; vCPU 0 of the first one becomes current. */
struct domain *host_domain_create(domid_t id, unsigned int nr_vcpus, bool privileged);
/* Kill it as domain_kill does, and drop the creator's reference. */
void host_domain_destroy(struct domain *d);
/* Domains whose last reference has gone. */
extern unsigned int host_domains_freed;
/* Run as this vCPU. */
void host_run(struct vcpu *v);

/* A page of ordinary memory for d. */
struct page_info *host_domain_add_page(struct domain *d);
void host_domain_remove_page(struct page_info *pg);

/* The only memory that a running guest may name in a hypercall; anything else faults. */
#define HOST_GUEST_BYTES 65536
extern _Thread_local char host_guest[HOST_GUEST_BYTES];

/* Every n-th look for other work finds some; 0: never. */
extern unsigned int host_preempt_every;
extern unsigned int host_continuations;

/* Hypercalls, restarted as a guest would. */
long host_event_op(int cmd, void *arg);
/* The same with an argument of the test's own, which goes through guest memory, both ways. */
#define EVENT_OP(cmd, arg)                                  \
    ({                                                      \
        memcpy(host_guest, &(arg), sizeof(arg));            \
        long rc_ = host_event_op(cmd, host_guest);          \
        memcpy(&(arg), host_guest, sizeof(arg));            \
        rc_;                                                \
    })
long host_grant_op(unsigned int cmd, void *array, unsigned int count);

/* Addresses below this can be given to grant mappings, above they fail. */
#define HOST_MAP_ADDRS 4096u
/* Whether addr is mapped, and to what. */
struct page_info *host_mapped_at(u64 addr);
/* As when page tables are torn down: entries and their references go, the hypervisor is not told. */
void host_drop_mappings(void);

/* Interrupts bound by arch_pirq_bind; the next bind fails with this if it is not 0. */
extern unsigned int host_pirqs_bound;
extern int host_pirq_bind_error;

/* printk's output, cut at its size. */
extern char host_log[4096];
void host_log_clear(void);

#endif
