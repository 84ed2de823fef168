/* SPDX-License-Identifier: MIT */
/* Domains of the fake machine, the memory that they name in hypercalls, and the hypercalls' restarts. */
#include <stdlib.h>

#include <asm/current.h>
#include <domus/arch.h>
#include <domus/grant.h>
#include <domus/guest_access.h>
#include <domus/irq.h>
#include <domus/sched.h>
#include <domus/softirq.h>
#include <domus/string.h>
#include <host.h>

#define MAX_DOMAINS 64

struct domain *dom0;
static struct domain *domains[MAX_DOMAINS];
unsigned int host_domains_freed;

_Thread_local char host_guest[HOST_GUEST_BYTES] __aligned(4096);

unsigned int host_preempt_every, host_continuations;
unsigned int host_pirqs_bound;
int host_pirq_bind_error;

/* ---- Domains ---- */

static struct vcpu *make_vcpu(struct domain *d, unsigned int id)
{
    struct vcpu *v = calloc(1, sizeof(*v));

    v->vcpu_id = id;
    v->domain = d;
    v->vcpu_info = &d->shared_info->vcpu_info[id];
    evtchn_vcpu_init(v);
    return v;
}

struct domain *host_domain_create(domid_t id, unsigned int nr_vcpus, bool privileged)
{
    struct domain *d = calloc(1, sizeof(*d));

    BUG_ON(id >= MAX_DOMAINS || domains[id] || nr_vcpus > XEN_LEGACY_MAX_VCPUS);
    d->domain_id = id;
    d->is_privileged = privileged;
    d->nr_pirqs = 64;
    atomic_set(&d->refcnt, 1);
    d->shared_info = calloc(1, sizeof(*d->shared_info));
    d->max_vcpus = nr_vcpus;
    d->vcpu = calloc(nr_vcpus, sizeof(*d->vcpu));
    for (unsigned int i = 0; i < nr_vcpus; i++)
        d->vcpu[i] = make_vcpu(d, i);
    BUG_ON(evtchn_init(d, ~0u) || grant_table_init(d, 4, 4));

    domains[id] = d;
    if (!host_current)
        host_run(d->vcpu[0]);
    if (id == 0)
        dom0 = d;
    return d;
}

static void free_domain(struct domain *d)
{
    domains[d->domain_id] = NULL;
    if (dom0 == d)
        dom0 = NULL;
    if (host_current && host_current->domain == d)
        host_current = NULL;
    evtchn_destroy_final(d);
    grant_table_destroy(d);
    for (unsigned int i = 0; i < d->max_vcpus; i++) {
        evtchn_vcpu_destroy(d->vcpu[i]);
        free(d->vcpu[i]);
    }
    free(d->vcpu);
    free(d->shared_info);
    free(d);
    host_domains_freed++;
}

void host_domain_destroy(struct domain *d)
{
    d->is_dying = DOMDYING_DYING;
    while (evtchn_destroy(d) == -ERESTART)
        host_continuations++;
    while (grant_table_release_mappings(d) == -ERESTART)
        host_continuations++;
    for (unsigned long mfn = HOST_FIRST_MFN; mfn < max_page; mfn++)
        if (mfn_to_page(_mfn(mfn))->owner == d)
            host_domain_remove_page(mfn_to_page(_mfn(mfn)));
    d->is_dying = DOMDYING_DEAD;
    put_domain(d);
}

void host_run(struct vcpu *v)
{
    host_current = v;
    __cpumask_set_cpu(host_cpu, &v->domain->arch.dirty_cpumask);
}

void get_knownalive_domain(struct domain *d)
{
    BUG_ON(atomic_inc_return(&d->refcnt) < 2);
}

bool get_domain(struct domain *d)
{
    get_knownalive_domain(d);
    return true;
}

void put_domain(struct domain *d)
{
    int left = atomic_dec_return(&d->refcnt);

    BUG_ON(left < 0);
    if (!left)
        free_domain(d);
}

struct domain *get_domain_by_id(domid_t id)
{
    struct domain *d = id < MAX_DOMAINS ? domains[id] : NULL;

    if (d)
        get_knownalive_domain(d);
    return d;
}

struct domain *get_domain_any(domid_t id)
{
    return get_domain_by_id(id == DOMID_SELF ? current->domain->domain_id : id);
}

struct domain *get_remote_domain(domid_t id, int *err)
{
    struct domain *d = get_domain_any(id);

    *err = d ? 0 : -ESRCH;
    if (d && d != current->domain && !is_priv_for(current->domain, d)) {
        put_domain(d);
        *err = -EPERM;
        d = NULL;
    }
    return d;
}

/* ---- What running guests and interrupts do elsewhere ---- */

void vcpu_kick(struct vcpu *v)
{
    (void)fetch_add(&v->arch.kicks, 1);
}

void vcpu_unblock(struct vcpu *v)
{
    (void)fetch_add(&v->arch.unblocks, 1);
}

void sched_poll_notify(struct domain *d, unsigned int port __unused)
{
    (void)fetch_add(&d->arch.poll_notifies, 1);
}

int arch_pirq_bind(struct vcpu *v __unused, unsigned int pirq __unused, bool share __unused)
{
    if (host_pirq_bind_error)
        return host_pirq_bind_error;
    host_pirqs_bound++;
    return 0;
}

void arch_pirq_unbind(struct domain *d __unused, unsigned int pirq __unused)
{
    if (!host_pirq_bind_error)
        host_pirqs_bound--;
}

void pirq_set_affinity(struct domain *d __unused, unsigned int pirq __unused,
                       unsigned int cpu __unused)
{
}

void raise_softirq(unsigned int nr __unused)
{
}

/* ---- Guest memory ---- */

/* How many of the bytes at guest address p are there. */
static size_t reachable(const void *p, size_t bytes)
{
    unsigned long at = (unsigned long)p - (unsigned long)host_guest;

    return at >= HOST_GUEST_BYTES ? 0 : min(bytes, HOST_GUEST_BYTES - at);
}

bool guest_range_ok(const void *guest, size_t bytes)
{
    return reachable(guest, bytes) == bytes;
}

unsigned long arch_copy_from_guest(void *dst, const void *guest, size_t bytes)
{
    size_t n = reachable(guest, bytes);

    memcpy(dst, guest, n);
    return bytes - n;
}

unsigned long arch_copy_to_guest(void *guest, const void *src, size_t bytes)
{
    size_t n = reachable(guest, bytes);

    memcpy(guest, src, n);
    return bytes - n;
}

unsigned long arch_clear_guest(void *guest, size_t bytes)
{
    size_t n = reachable(guest, bytes);

    memset(guest, 0, n);
    return bytes - n;
}

/* ---- Hypercalls ---- */

static _Thread_local unsigned long continuation[6];
static _Thread_local bool continued;

bool hypercall_preempt_check(void)
{
    static _Thread_local unsigned int looks;

    return host_preempt_every && ++looks % host_preempt_every == 0;
}

long hypercall_create_continuation(unsigned int op __unused, unsigned int nargs, ...)
{
    va_list args;

    va_start(args, nargs);
    for (unsigned int i = 0; i < nargs; i++)
        continuation[i] = va_arg(args, unsigned long);
    va_end(args);
    continued = true;
    host_continuations++;
    return 0;
}

long host_event_op(int cmd, void *arg)
{
    long rc;

    continued = false;
    rc = do_event_channel_op(cmd, (guest_ptr_t)arg);
    while (continued) {
        continued = false;
        rc = do_event_channel_op((int)continuation[0], continuation[1]);
    }
    return rc;
}

long host_grant_op(unsigned int cmd, void *array, unsigned int count)
{
    long rc;

    continued = false;
    rc = do_grant_table_op(cmd, (guest_ptr_t)array, count);
    while (continued) {
        continued = false;
        rc = do_grant_table_op((unsigned int)continuation[0], continuation[1],
                               (unsigned int)continuation[2]);
    }
    return rc;
}
