/* SPDX-License-Identifier: MIT */
/*
 * Domains: creation, lookup, and the end of their life.
 *
 * Lookup by id takes no lock: it reads the table and takes a reference, which fails once the count
 * has been zero. So that nobody reads a freed domain in between, the reaper takes a dead domain out
 * of the table, then runs once on every CPU, and only then frees it: whoever had read the table
 * before has left the hypervisor or is at least past the lookup, for soft interrupts run only on
 * the way out.
 *
 * A domain dies in slices: domain_kill() gives back all that it holds and is restarted as often as
 * it takes. What remains are references of others (mapped pages); the last put wakes the reaper.
 */
#include <domus/arch.h>
#include <domus/event.h>
#include <domus/grant.h>
#include <domus/hypercall.h>
#include <domus/lib.h>
#include <domus/sched.h>
#include <domus/softirq.h>
#include <domus/string.h>
#include <domus/trace.h>
#include <domus/vnuma.h>
#include <domus/xmalloc.h>
#include <asm/current.h>

LIST_HEAD(domain_list);
DEFINE_RWLOCK(domlist_lock, RANK_DOMLIST);
struct domain *dom0, *dom_xen, *dom_io, *idle_domain;
struct vcpu_info dummy_vcpu_info;

static struct domain *domain_table[DOMID_FIRST_RESERVED];
static DECLARE_BITMAP(domain_ids, DOMID_FIRST_RESERVED);

/* ---- References and lookup ---- */

bool get_domain(struct domain *d)
{
    int count = atomic_read(&d->refcnt);

    do {
        if (count <= 0)
            return false;
    } while (!__atomic_compare_exchange_n(&d->refcnt.counter, &count, count + 1, false,
                                          __ATOMIC_SEQ_CST, __ATOMIC_RELAXED));
    return true;
}

void get_knownalive_domain(struct domain *d)
{
    ASSERT(atomic_read(&d->refcnt) > 0);
    atomic_inc(&d->refcnt);
}

struct domain *get_domain_by_id(domid_t domid)
{
    struct domain *d;

    if (domid >= DOMID_FIRST_RESERVED)
        return NULL;
    d = smp_load_acquire(&domain_table[array_index_nospec(domid, DOMID_FIRST_RESERVED)]);
    return d && get_domain(d) ? d : NULL;
}

struct domain *get_domain_any(domid_t domid)
{
    if (domid != DOMID_SELF)
        return get_domain_by_id(domid);
    get_knownalive_domain(current->domain);
    return current->domain;
}

struct domain *get_remote_domain(domid_t domid, int *err)
{
    struct domain *d = get_domain_any(domid);

    *err = d ? 0 : -ESRCH;
    if (d && d != current->domain && !is_priv_for(current->domain, d)) {
        put_domain(d);
        *err = -EPERM;
        d = NULL;
    }
    return d;
}

struct domain *domain_next(unsigned int from)
{
    for (unsigned long id = from;; id++) {
        struct domain *d;

        id = find_next_bit(domain_ids, DOMID_FIRST_RESERVED, id);
        if (id >= DOMID_FIRST_RESERVED)
            return NULL;
        d = get_domain_by_id((domid_t)id);
        if (d)
            return d;
    }
}

domid_t domain_free_id(unsigned int from)
{
    unsigned long id = find_next_zero_bit(domain_ids, DOMID_FIRST_RESERVED, from);

    return id < DOMID_FIRST_RESERVED ? (domid_t)id : DOMID_INVALID;
}

/* ---- The reaper ---- */

static DEFINE_SPINLOCK(reaper_lock, RANK_LEAF);
static struct domain *reaper_new;       /* chained by target; under reaper_lock */
static struct domain *reaper_batch;     /* the reaper's own */
static cpumask_t reaper_cpus;           /* still to be visited before the batch is freed */
static void reap(void *unused);
static struct tasklet reaper = TASKLET_INIT(reaper, reap, NULL);

static void unlink_domain(struct domain *d)
{
    write_lock(&domlist_lock);
    list_del(&d->list);
    domain_table[d->domain_id] = NULL;
    clear_bit(d->domain_id, domain_ids);
    write_unlock(&domlist_lock);
}

static void free_vcpu(struct vcpu *v)
{
    sched_destroy_vcpu(v);
    evtchn_vcpu_destroy(v);
    arch_vcpu_destroy(v);
    xfree(v);
}

/* Nothing refers to d any more, or it is the half of one whose creation failed. */
static void free_domain(struct domain *d)
{
    watchdog_domain_destroy(d);
    if (d->grant_table)
        grant_table_destroy(d);
    sched_destroy_domain(d);            /* first: its timer goes through the vCPUs */
    for (unsigned int i = 0; d->vcpu && i < d->max_vcpus; i++)
        if (d->vcpu[i])
            free_vcpu(d->vcpu[i]);
    if (d->evtchn.bucket)
        evtchn_destroy_final(d);
    arch_domain_destroy(d);
    vnuma_destroy(d->vnuma);
    rangeset_destroy(d->iomem_caps);
    rangeset_destroy(d->irq_caps);
    xfree(d->console_buf);
    xfree(d->vcpu);
    xfree(d);
}

static void reap(void *unused __unused)
{
    struct domain *d;
    unsigned long flags;
    unsigned int cpu;

    if (!reaper_batch) {
        spin_lock_irqsave(&reaper_lock, flags);
        reaper_batch = reaper_new;
        reaper_new = NULL;
        spin_unlock_irqrestore(&reaper_lock, flags);
        if (!reaper_batch)
            return;
        for (d = reaper_batch; d; d = d->target)
            unlink_domain(d);
        reaper_cpus = cpu_online_map;
    }
    cpumask_clear_cpu(smp_processor_id(), &reaper_cpus);
    /* One that has gone off line since has finished all that it was at. */
    cpumask_and(&reaper_cpus, &reaper_cpus, &cpu_online_map);
    cpu = cpumask_first(&reaper_cpus);
    if (cpu < NR_CPUS) {
        tasklet_schedule_on_cpu(&reaper, cpu);
        return;
    }
    while ((d = reaper_batch) != NULL) {
        reaper_batch = d->target;
        free_domain(d);
    }
    send_global_virq(VIRQ_DOM_EXC);
    if (READ_ONCE(reaper_new))
        tasklet_schedule(&reaper);
}

void put_domain(struct domain *d)
{
    unsigned long flags;

    if (!atomic_dec_and_test(&d->refcnt))
        return;
    /* domain_kill() has given the target back; the field is free. */
    spin_lock_irqsave(&reaper_lock, flags);
    d->target = reaper_new;
    reaper_new = d;
    spin_unlock_irqrestore(&reaper_lock, flags);
    tasklet_schedule(&reaper);
}

/* ---- Creation ---- */

static int check_config(const struct xen_domctl_createdomain *config)
{
    if (config->flags & ~(uint32_t)(XEN_DOMCTL_CDF_MAX | (XEN_DOMCTL_CDF_MAX - 1)))
        return -EINVAL;
    if (config->grant_opts & ~(uint32_t)XEN_DOMCTL_GRANT_version_mask ||
        XEN_DOMCTL_GRANT_version(config->grant_opts) > 2)
        return -EINVAL;
    if (config->max_vcpus < 1 || config->max_vcpus > MAX_VCPUS_PER_DOMAIN)
        return -EINVAL;
    if (config->iommu_opts & ~(uint32_t)XEN_DOMCTL_IOMMU_MAX ||
        (config->iommu_opts && !(config->flags & XEN_DOMCTL_CDF_iommu)))
        return -EINVAL;
    return config->vmtrace_size ? -EOPNOTSUPP : 0;
}

static struct domain *alloc_domain(domid_t domid)
{
    struct domain *d = xzalloc(struct domain);

    if (!d)
        return NULL;
    d->domain_id = domid;
    atomic_set(&d->refcnt, 1);
    d->shutdown_code = -1;
    INIT_LIST_HEAD(&d->list);
    INIT_LIST_HEAD(&d->page_list);
    INIT_LIST_HEAD(&d->xenpage_list);
    spin_lock_init(&d->lock, RANK_DOMAIN);
    spin_lock_init(&d->page_alloc_lock, RANK_PAGE_ALLOC);
    spin_lock_init(&d->shutdown_lock, RANK_SHUTDOWN);
    spin_lock_init(&d->console_lock, RANK_GUEST_CONSOLE);
    spin_lock_init(&d->vnuma_lock, RANK_LEAF);
    return d;
}

/* What only domains that run something have. */
static int init_running_domain(struct domain *d, const struct xen_domctl_createdomain *config)
{
    int rc;

    memcpy(d->handle, config->handle, sizeof(d->handle));
    d->createflags = config->flags;
    d->ssid = config->ssidref;
    d->max_pages = d->is_privileged ? UINT32_MAX : 0;   /* until XEN_DOMCTL_max_mem */
    /* It starts paused by its creator. */
    d->controller_pause_count = 1;
    atomic_inc(&d->pause_count);

    d->vcpu = xzalloc_array(struct vcpu *, config->max_vcpus);
    d->iomem_caps = rangeset_new("I/O memory");
    d->irq_caps = rangeset_new("interrupts");
    if (!d->vcpu || !d->iomem_caps || !d->irq_caps)
        return -ENOMEM;
    d->max_vcpus = config->max_vcpus;
    watchdog_domain_init(d);
    rc = sched_init_domain(d, config->cpupool_id);
    if (!rc)
        rc = evtchn_init(d, config->max_evtchn_port);
    if (!rc)
        rc = grant_table_init(d, config->max_grant_frames, config->max_maptrack_frames);
    return rc;
}

static void publish(struct domain *d)
{
    struct domain *next;

    write_lock(&domlist_lock);
    list_for_each_entry(next, &domain_list, list)
        if (next->domain_id > d->domain_id)
            break;
    list_add_tail(&d->list, &next->list);
    set_bit(d->domain_id, domain_ids);
    smp_store_release(&domain_table[d->domain_id], d);
    write_unlock(&domlist_lock);
}

struct domain *domain_create(domid_t domid, const struct xen_domctl_createdomain *config,
                             bool privileged, int *err)
{
    struct domain *d;
    int rc = config ? check_config(config) : 0;

    d = rc ? NULL : alloc_domain(domid);
    if (!d) {
        *err = rc ? rc : -ENOMEM;
        return NULL;
    }
    d->is_privileged = privileged;
    d->is_special = !config;
    if (config)
        rc = init_running_domain(d, config);
    if (!rc)
        rc = arch_domain_create(d, config);
    if (rc) {
        free_domain(d);
        *err = rc;
        return NULL;
    }
    if (config) {
        if (privileged && !dom0)
            dom0 = d;
        publish(d);
        trace(TRC_DOM0_DOM_ADD, domid);
    }
    *err = 0;
    return d;
}

struct vcpu *vcpu_create(struct domain *d, unsigned int vcpu_id)
{
    struct vcpu *v;

    if (vcpu_id >= d->max_vcpus || d->vcpu[vcpu_id])
        return NULL;
    v = xzalloc(struct vcpu);
    if (!v)
        return NULL;
    v->domain = d;
    v->vcpu_id = vcpu_id;
    v->vcpu_info = &dummy_vcpu_info;
    v->vcpu_info_mfn = INVALID_MFN;
    if (d->shared_info && vcpu_id < XEN_LEGACY_MAX_VCPUS)
        v->vcpu_info = &d->shared_info->vcpu_info[vcpu_id];
    if (!is_idle_domain(d)) {
        set_bit(VPF_DOWN, &v->pause_flags);
        evtchn_vcpu_init(v);
    }
    if (sched_init_vcpu(v)) {
        xfree(v);
        return NULL;
    }
    vcpu_timers_init(v);
    if (arch_vcpu_create(v)) {
        arch_vcpu_destroy(v);
        sched_destroy_vcpu(v);
        xfree(v);
        return NULL;
    }
    smp_store_release(&d->vcpu[vcpu_id], v);
    return v;
}

void __init domain_init_special(void)
{
    int rc;

    idle_domain = domain_create(DOMID_IDLE, NULL, false, &rc);
    dom_xen = domain_create(DOMID_XEN, NULL, false, &rc);
    dom_io = domain_create(DOMID_IO, NULL, false, &rc);
    if (!idle_domain || !dom_xen || !dom_io)
        panic("No memory for the special domains");
    idle_domain->vcpu = xzalloc_array(struct vcpu *, NR_CPUS);
    if (!idle_domain->vcpu)
        panic("No memory for idle vCPUs");
    idle_domain->max_vcpus = NR_CPUS;
}

/* ---- Death ---- */

/* Every channel is closed: nobody raises events for the vCPUs any more, and so writes to their records. */
static int let_go_of_records(struct domain *d)
{
    struct vcpu *v;

    for_each_vcpu(d, v)
        unmap_vcpu_info(v);
    return 0;
}

/* Steps of domain_kill(), each of which may be preempted; d->relinquish_stage counts those done. */
static int (*const kill_steps[])(struct domain *d) = {
    evtchn_destroy,
    let_go_of_records,
    grant_table_release_mappings,
    arch_domain_relinquish,
};

static void begin_dying(struct domain *d)
{
    unsigned long flags;

    domain_pause(d);
    spin_lock_irqsave(&d->shutdown_lock, flags);
    d->is_dying = DOMDYING_DYING;
    spin_unlock_irqrestore(&d->shutdown_lock, flags);
    /* Whoever allocates or binds has seen it, or is done. */
    spin_barrier(&d->page_alloc_lock);
    spin_barrier(&d->evtchn.lock);
    (void)domain_claim_pages(d, 0);
    watchdog_domain_destroy(d);
    if (d->target)
        put_domain(d->target);
    d->target = NULL;
}

int domain_kill(struct domain *d)
{
    if (d == current->domain)
        return -EINVAL;
    switch (d->is_dying) {
    case DOMDYING_ALIVE:
        trace(TRC_DOM0_DOM_REM, d->domain_id);
        begin_dying(d);
        fallthrough;
    case DOMDYING_DYING:
        while (d->relinquish_stage < ARRAY_SIZE(kill_steps)) {
            int rc = kill_steps[d->relinquish_stage](d);

            if (rc)
                return rc;
            d->relinquish_stage++;
        }
        d->is_dying = DOMDYING_DEAD;
        send_global_virq(VIRQ_DOM_EXC);
        put_domain(d);
        break;
    case DOMDYING_DEAD:
        break;
    }
    return 0;
}
