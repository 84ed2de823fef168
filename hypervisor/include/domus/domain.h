/* SPDX-License-Identifier: MIT */
/*
 * Domains and their virtual CPUs: the two objects that every other part of the core hangs on.
 * Fields are grouped under the lock that guards them.
 */
#ifndef DOMUS_DOMAIN_H
#define DOMUS_DOMAIN_H

#include <domus/types.h>
#include <domus/list.h>
#include <domus/spinlock.h>
#include <domus/atomic.h>
#include <domus/bitmap.h>
#include <domus/cpumask.h>
#include <domus/timer.h>
#include <domus/tasklet.h>
#include <domus/rangeset.h>
#include <domus/event.h>
#include <xen/xen.h>
#include <xen/vcpu.h>
#include <xen/sched.h>
#include <xen/domctl.h>
#include <asm/domain.h>

#define MAX_VCPUS_PER_DOMAIN 512

struct sched_unit;   /* core/sched*.c */
struct cpupool;
struct grant_table;  /* core/grant*.c */
struct dirty_log;
struct evtchn;

/* Why a vCPU must not run; bits of vcpu.pause_flags, set and cleared atomically. */
enum {
    VPF_BLOCKED,     /* SCHEDOP_block, poll: until an event arrives */
    VPF_DOWN,        /* not brought up yet, or VCPUOP_down */
    VPF_POLLING,     /* in SCHEDOP_poll; vcpu.poll_evtchn says for what */
};

struct vcpu {
    unsigned int vcpu_id;
    struct domain *domain;
    unsigned int processor;             /* guarded by the run queue lock of that CPU */

    /* In a page of the guest's, or in shared_info, or a dummy until the guest has set one up. */
    struct vcpu_info *vcpu_info;
    mfn_t vcpu_info_mfn;                /* page held by VCPUOP_register_vcpu_info, else INVALID_MFN */

    /* Scheduler: under the run queue lock of ->processor, but for the atomics. */
    struct sched_unit *sched;           /* private to the scheduler */
    unsigned long pause_flags;          /* VPF_*, atomic bit operations */
    atomic_t pause_count;               /* vcpu_pause/vcpu_unpause nest */
    int controller_pause_count;         /* by gdbsx domctls, under the domctl lock */
    bool paused_for_shutdown;           /* under domain.shutdown_lock */
    bool is_running;                    /* on a physical CPU or its state is still there */
    bool is_initialised;                /* has had its start-of-day state set */
    cpumask_t hard_affinity, soft_affinity;
    struct vcpu_runstate_info runstate;
    unsigned long runstate_guest;       /* guest virtual address of its copy; 0: none */
    unsigned long time_info_guest;      /* VCPUOP_register_vcpu_time_memory_area; 0: none */

    /* Timers of the guest. */
    uint64_t periodic_period;           /* ns; 0: off */
    uint64_t periodic_last_event;       /* ns since boot */
    struct timer periodic_timer;
    struct timer singleshot_timer;
    struct timer poll_timer;

    /* Event channels. */
    uint32_t virq_to_evtchn[NR_VIRQS];  /* 0: unbound; under evtchn.lock */
    int poll_evtchn;                    /* port of the last poll; -1: several */
    struct evtchn_fifo_vcpu *evtchn_fifo;

    /* Hypercall continuation: set by hypercall_create_continuation, consumed on the way out. */
    bool hcall_preempted;
    bool in_multicall;                  /* a multicall's inner call runs now */

    struct arch_vcpu arch;
};

enum domain_dying { DOMDYING_ALIVE, DOMDYING_DYING, DOMDYING_DEAD };

struct domain {
    domid_t domain_id;
    struct list_head list;              /* all domains, by id; under domlist_lock; then the reaper's */
    atomic_t refcnt;                    /* get_domain/put_domain; the last put frees */
    bool is_privileged;                 /* dom0: may use domctl, sysctl, platform and so on */
    bool is_special;                    /* dom_io, dom_xen, idle: owns no vCPU a guest could use */
    xen_domain_handle_t handle;
    uint32_t createflags;               /* XEN_DOMCTL_CDF_* */
    uint32_t ssid;
    struct domain *target;              /* may be acted on as dom0 acts on all; NULL: none */

    spinlock_t lock;                    /* first contexts and shared records of vCPUs being set */
    unsigned int max_vcpus;
    struct vcpu **vcpu;                 /* [max_vcpus]; an entry is set once and stays */
    struct shared_info *shared_info;    /* one page, owned by the domain */

    /* Memory: under page_alloc_lock. */
    spinlock_t page_alloc_lock;
    struct list_head page_list;         /* struct page_info.list of ordinary pages */
    struct list_head xenpage_list;      /* pages of ours shared with it */
    unsigned int tot_pages;
    unsigned int xenheap_pages;
    unsigned int max_pages;
    unsigned int outstanding_claims;    /* pages staked, not yet allocated */

    struct dirty_log *dirty_log;        /* core/dirty_log.c; NULL: nobody wants to know what is written */

    /* Life: under shutdown_lock (irq), but reading a flag alone needs none. */
    spinlock_t shutdown_lock;
    bool is_shutting_down;
    bool is_shut_down;
    int shutdown_code;                  /* SHUTDOWN_*; -1: none */
    enum domain_dying is_dying;
    unsigned int relinquish_stage;      /* where domain_relinquish goes on after preemption */
    int controller_pause_count;         /* under the domctl lock */
    atomic_t pause_count;
    bool creation_finished;             /* first unpause has happened */
    bool debugger_attached;
    unsigned int suspend_port;          /* XEN_DOMCTL_subscribe: port of ours to signal; 0: none */

    struct evtchn_domain evtchn;        /* core/evtchn*.c; locks in there */
    struct grant_table *grant_table;
    struct cpupool *cpupool;
    void *sched_priv;                   /* scheduler's own per-domain data */

    /* What hardware it may touch. */
    struct rangeset *iomem_caps;        /* machine frame numbers */
    struct rangeset *irq_caps;          /* PIRQ numbers */
    struct arch_pirq *pirqs;            /* x86/pirq.c */
    unsigned int nr_pirqs;

    unsigned long vm_assist;            /* bits of VMASST_TYPE_* */
    int64_t time_offset_seconds;
    unsigned long watchdog_inuse_map;   /* atomic bit operations */
    struct timer watchdog_timer[2];
    atomic_t nr_polling;                /* vCPUs in SCHEDOP_poll */
    struct vnuma_info *vnuma;           /* core/vnuma.c; NULL: none; under vnuma_lock */
    spinlock_t vnuma_lock;
    void *console_buf;                  /* output line and its limit: core/console_io.c */
    spinlock_t console_lock;            /* guards it */

    struct arch_domain arch;
};

/* All domains that have been published; read with domlist_read_lock, see core/domain.c. */
extern struct list_head domain_list;
extern rwlock_t domlist_lock;
extern struct domain *dom0, *dom_xen, *dom_io, *idle_domain;

#define for_each_domain(d) list_for_each_entry(d, &domain_list, list)
#define for_each_vcpu(d, v)                                                            \
    for (unsigned int i_ = 0; i_ < (d)->max_vcpus; i_++)                               \
        if (((v) = (d)->vcpu[i_]) == NULL) {} else

/* The vCPU of that number, or NULL: id may be anything. */
static inline struct vcpu *domain_vcpu(const struct domain *d, unsigned int id)
{
    return id < d->max_vcpus ? d->vcpu[array_index_nospec(id, d->max_vcpus)] : NULL;
}

static inline bool is_idle_vcpu(const struct vcpu *v) { return v->domain == idle_domain; }
static inline bool is_idle_domain(const struct domain *d) { return d == idle_domain; }

/* Creation. config may be NULL for special domains. Returns NULL and sets *err (negative errno). */
struct domain *domain_create(domid_t domid, const struct xen_domctl_createdomain *config,
                             bool privileged, int *err);
struct vcpu *vcpu_create(struct domain *d, unsigned int vcpu_id);
/* Boot: the idle domain, dom_xen (owner of the hypervisor's pages that guests may map) and dom_io
 * (owner of device memory). By scheduler_init(). */
void domain_init_special(void);

/* Looks a domain up and takes a reference; NULL if none or dying-and-dead. put_domain releases. */
struct domain *get_domain_by_id(domid_t domid);
/* As above, but DOMID_SELF means the caller's. */
struct domain *get_domain_any(domid_t domid);
/* The domain that a remote operation by the caller may act on, referenced; NULL with *err set:
 * -ESRCH none such, -EPERM not privileged over it. DOMID_SELF is the caller. */
struct domain *get_remote_domain(domid_t domid, int *err);
/* The domain with the lowest id from `from` on, referenced; NULL: none. For going through all. */
struct domain *domain_next(unsigned int from);
/* An id from `from` on that is not in use; DOMID_INVALID: none. Only the domctl lock keeps it free. */
domid_t domain_free_id(unsigned int from);
/* References: get_domain is false if d is past its last; known alive: a reference is held already.
 * Any context but NMI. Looking a domain up takes no lock. */
void get_knownalive_domain(struct domain *d);
bool get_domain(struct domain *d);
void put_domain(struct domain *d);

/* Whether the caller's domain may control d: dom0, or the stub domain of d. */
static inline bool is_priv_for(const struct domain *caller, const struct domain *d)
{
    return caller->is_privileged || caller->target == d;
}

/* Life cycle. */
int domain_kill(struct domain *d);           /* domctl destroy; -ERESTART when preempted */
void domain_shutdown(struct domain *d, int reason);
void domain_resume(struct domain *d);
void domain_pause(struct domain *d);         /* waits until no vCPU of d runs; not for the caller's own */
void domain_pause_nosync(struct domain *d);
void domain_unpause(struct domain *d);
int domain_pause_by_controller(struct domain *d);
int domain_unpause_by_controller(struct domain *d);
void vcpu_pause(struct vcpu *v);
void vcpu_pause_nosync(struct vcpu *v);
void vcpu_unpause(struct vcpu *v);
/* Back to before its first context; -ERESTART when preempted. v is paused, and d->lock is held. */
int vcpu_reset(struct vcpu *v);
/* Sets v's registers and the rest, and whether it is up (VGCF_online). v does not run, d->lock is
 * held. Errors of arch_set_info_guest(). */
int vcpu_set_context(struct vcpu *v, const struct vcpu_guest_context *c);

/* Crashes the guest alone; prints why. Safe from any context that is not holding shutdown_lock. */
void domain_crash(struct domain *d, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Registers the console keys of the files about domains. */
void domain_keys_init(void);

/* VCPUOP_register_vcpu_info: moves the vCPU's info into the guest's frame gfn at offset. */
int map_vcpu_info(struct vcpu *v, unsigned long gfn, unsigned int offset);
void unmap_vcpu_info(struct vcpu *v);

/* Memory of a domain; core/domain_pages.c. alloc_domain_pages: 2^order pages, the domain's own from
 * now on; NULL: its limit, others' claims, or no memory. gpfn: the domain's number of the first, or
 * INVALID_M2P_ENTRY. assign_pages: the same for pages that alloc_pages gave: -EINVAL (dying), -E2BIG
 * (limit). */
struct page_info *alloc_domain_pages(struct domain *d, unsigned int order, unsigned int memflags, unsigned long gpfn);
int assign_pages(struct page_info *pg, unsigned int nr, struct domain *d);
/* Tells the machine-to-physical table that nr pages are gpfn and up, or all INVALID_M2P_ENTRY. They
 * are nobody's yet: what is a domain's may be freed, and another's, at any moment. */
void number_pages(struct page_info *pg, unsigned int nr, unsigned long gpfn);
/* Exchange of pages. take_page: pg, of which the caller holds a reference, leaves d if nobody else
 * has one or a type of it; tot_pages stays, and the reference is gone. give_pages: nr pages that
 * belong to nobody take its place; false, and they are not counted any more: d is dying. */
bool take_page(struct domain *d, struct page_info *pg);
bool give_pages(struct domain *d, struct page_info *pg, unsigned int nr);
/* Lets go of a page for good: drops the reference of being d's. The caller holds one of its own. */
void drop_allocated_ref(struct page_info *pg);
/* XENMEM_claim_pages: stakes memory for d up to nr pages in all; 0 ends the claim. */
int domain_claim_pages(struct domain *d, unsigned long nr);
/* Pages staked by all domains. */
unsigned long total_claims(void);
/* Called by put_page when the last reference goes. */
void free_domain_page(struct page_info *pg);
/*
 * Frees at most max pages at the head of d's list, up to the first that anyone but d holds a reference of, d's own
 * mappings included. d is dying. Returns how many. Takes page_alloc_lock and the heap's.
 */
unsigned int free_unused_pages(struct domain *d, unsigned int max);
/* Frees a page that share_page_with_guest() gave, which nobody may have mapped any more. */
void free_shared_page(struct page_info *pg);

/* The record of NULL targets until the guest registers its own, so that no path tests a pointer. */
extern struct vcpu_info dummy_vcpu_info;

#endif
