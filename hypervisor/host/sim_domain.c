/* SPDX-License-Identifier: MIT */
/* Domains with no more than the scheduler needs, and the rest of the hypervisor as it sees it. */
#include <asm/current.h>
#include <domus/arch.h>
#include <domus/event.h>
#include <domus/keyhandler.h>
#include <domus/sched.h>
#include <domus/softirq.h>
#include <domus/string.h>
#include <domus/tasklet.h>
#include <domus/xmalloc.h>
#include <sim.h>
#include "../core/sched_queue.h"

struct domain *dom0, *idle_domain;
LIST_HEAD(domain_list);
DEFINE_RWLOCK(domlist_lock, RANK_DOMLIST);

struct domain *sim_domain[SIM_MAX_DOMAINS];
unsigned int sim_nr_domains;
bool sim_port_pending, sim_interrupted;

/* ---- Domains ---- */

static void nothing(void *data __unused)
{
}

struct vcpu *vcpu_create(struct domain *d, unsigned int id)
{
    struct vcpu *v = xzalloc(struct vcpu);

    v->vcpu_id = id;
    v->domain = d;
    d->vcpu[id] = v;
    if (d != idle_domain)
        set_bit(VPF_DOWN, &v->pause_flags);
    BUG_ON(sched_init_vcpu(v));
    init_timer(&v->singleshot_timer, nothing, v, v->processor);
    init_timer(&v->periodic_timer, nothing, v, v->processor);
    init_timer(&v->poll_timer, nothing, v, v->processor);
    return v;
}

static struct domain *make_domain(domid_t id, unsigned int vcpus)
{
    struct domain *d = xzalloc(struct domain);

    d->domain_id = id;
    atomic_set(&d->refcnt, 1);
    d->vcpu = xzalloc_array(struct vcpu *, vcpus);
    d->max_vcpus = vcpus;
    return d;
}

void domain_init_special(void)
{
    idle_domain = make_domain(DOMID_IDLE, NR_CPUS);
}

struct domain *sim_hogs(unsigned int vcpus, unsigned int weight, unsigned int cap)
{
    struct xen_domctl_scheduler_op op = {
        .sched_id = XEN_SCHEDULER_CREDIT,
        .cmd = XEN_DOMCTL_SCHEDOP_putinfo,
        .u.credit = { .weight = (uint16_t)weight, .cap = (uint16_t)cap },
    };
    struct domain *d = make_domain((domid_t)(sim_nr_domains + 1), vcpus);

    BUG_ON(sim_nr_domains == SIM_MAX_DOMAINS || sched_init_domain(d, 0));
    list_add_tail(&d->list, &domain_list);
    sim_domain[sim_nr_domains++] = d;
    for (unsigned int i = 0; i < vcpus; i++)
        vcpu_create(d, i);
    BUG_ON(sched_adjust_domain(d, &op));
    for (unsigned int i = 0; i < vcpus; i++) {
        clear_bit(VPF_DOWN, &d->vcpu[i]->pause_flags);
        vcpu_wake(d->vcpu[i]);
    }
    return d;
}

static void free_domain(struct domain *d)
{
    struct vcpu *v;

    for_each_vcpu(d, v) {
        BUG_ON(v->is_running && d != idle_domain);
        sched_destroy_vcpu(v);
        xfree(v);
    }
    sched_destroy_domain(d);
    xfree(d->vcpu);
    xfree(d);
}

void sim_sched_start(unsigned int nr_cpus)
{
    sim_nr_domains = 0;
    INIT_LIST_HEAD(&domain_list);
    memset(idle_vcpu, 0, sizeof(idle_vcpu));
    timer_init();
    tasklet_subsys_init();
    scheduler_init();
    for (unsigned int cpu = 1; cpu < nr_cpus; cpu++)
        BUG_ON(sched_cpu_prepare(cpu));
}

void sim_sched_end(void)
{
    for (unsigned int i = 0; i < sim_nr_domains; i++)
        free_domain(sim_domain[i]);
    free_domain(idle_domain);
    xfree(pool0);
}

void domain_pause(struct domain *d)
{
    struct vcpu *v;

    atomic_inc(&d->pause_count);
    for_each_vcpu(d, v)
        vcpu_sleep_nosync(v);
}

void domain_unpause(struct domain *d)
{
    struct vcpu *v;

    if (!atomic_dec_and_test(&d->pause_count))
        return;
    for_each_vcpu(d, v)
        vcpu_wake(v);
}

struct domain *get_domain_by_id(domid_t id)
{
    return id && id <= sim_nr_domains ? sim_domain[id - 1] : NULL;
}

struct domain *get_remote_domain(domid_t id __unused, int *err)
{
    *err = -ESRCH;
    return NULL;
}

void put_domain(struct domain *d __unused)
{
}

void domain_shutdown(struct domain *d __unused, int reason __unused)
{
}

void domain_keys_init(void)
{
}

void register_keyhandler(char key __unused, keyhandler_fn *fn __unused, const char *desc __unused)
{
}

/* ---- Events and memory of guests ---- */

void evtchn_move_pirqs(struct vcpu *v __unused)
{
}

bool vcpu_events_pending(const struct vcpu *v __unused)
{
    return false;
}

bool arch_vcpu_interrupted(const struct vcpu *v __unused)
{
    return sim_interrupted;
}

void vcpu_periodic_tick(struct vcpu *v __unused)
{
}

bool evtchn_port_valid(const struct domain *d __unused, unsigned int port)
{
    return port < SIM_PORTS;
}

bool evtchn_port_pending(const struct domain *d __unused, unsigned int port)
{
    return port == SIM_PORT && sim_port_pending;
}

bool guest_range_ok(const void *guest __unused, size_t n __unused)
{
    return true;
}

unsigned long arch_copy_to_guest(void *guest, const void *src, size_t n)
{
    memcpy(guest, src, n);
    return 0;
}

unsigned long arch_copy_from_guest(void *dst, const void *guest, size_t n)
{
    memcpy(dst, guest, n);
    return 0;
}

unsigned long arch_clear_guest(void *guest, size_t n)
{
    memset(guest, 0, n);
    return 0;
}
