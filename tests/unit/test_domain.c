/* SPDX-License-Identifier: MIT */
/*
 * The end of a domain (core/domain.c): in what order it gives back what it holds, and when its number is free again. The
 * parts that it is made of are stand-ins here, which try what others may do up to then.
 */
#include "unit.h"

#include <asm/current.h>
#include <domus/arch.h>
#include <domus/event.h>
#include <domus/grant.h>
#include <domus/sched.h>
#include <domus/tasklet.h>
#include <domus/trace.h>
#include <domus/vnuma.h>
#include <domus/xmalloc.h>

#define VCPUS 3

static struct xen_domctl_createdomain config = { .max_vcpus = VCPUS };
static struct vcpu_info *record[VCPUS];     /* the guest's, while the hypervisor holds their pages */
static unsigned int restarts, relinquished;
static struct tasklet *scheduled;

/* ---- Stand-ins ---- */

uint32_t trace_events;

void trace_write(uint32_t event __unused, const uint32_t *words __unused, unsigned int nr __unused)
{
}

/* Until it has closed the channels, others send events. Preempted once. */
int evtchn_destroy(struct domain *d)
{
    struct vcpu *v;

    for_each_vcpu(d, v)
        record[v->vcpu_id]->evtchn_upcall_pending = 1;
    return restarts++ ? 0 : -ERESTART;
}

void unmap_vcpu_info(struct vcpu *v)
{
    free(record[v->vcpu_id]);
    record[v->vcpu_id] = NULL;
}

int grant_table_release_mappings(struct domain *d __unused)
{
    return 0;
}

/* The pages of the records can only be freed if nobody holds them. */
int arch_domain_relinquish(struct domain *d)
{
    for (unsigned int i = 0; i < d->max_vcpus; i++)
        assert_null(record[i]);
    relinquished++;
    return 0;
}

/* Until it is gone, a cap's timer wakes vCPUs. */
void sched_destroy_domain(struct domain *d)
{
    struct vcpu *v;

    for_each_vcpu(d, v)
        v->pause_flags |= BIT(VPF_DOWN);
}

int evtchn_init(struct domain *d __unused, unsigned int max_port __unused) { return 0; }
void evtchn_destroy_final(struct domain *d __unused) { }
void evtchn_vcpu_init(struct vcpu *v __unused) { }
void evtchn_vcpu_destroy(struct vcpu *v __unused) { }
int grant_table_init(struct domain *d __unused, int frames __unused, int maptrack __unused) { return 0; }
void grant_table_destroy(struct domain *d __unused) { }
int sched_init_domain(struct domain *d __unused, unsigned int pool __unused) { return 0; }
int sched_init_vcpu(struct vcpu *v __unused) { return 0; }
void sched_destroy_vcpu(struct vcpu *v __unused) { }
void vcpu_timers_init(struct vcpu *v __unused) { }
void watchdog_domain_init(struct domain *d __unused) { }
void watchdog_domain_destroy(struct domain *d __unused) { }
void vnuma_destroy(struct vnuma_info *info __unused) { }
int arch_domain_create(struct domain *d __unused, const struct xen_domctl_createdomain *c __unused) { return 0; }
void arch_domain_destroy(struct domain *d __unused) { }
int arch_vcpu_create(struct vcpu *v __unused) { return 0; }
void arch_vcpu_destroy(struct vcpu *v __unused) { }
int domain_claim_pages(struct domain *d __unused, unsigned long nr __unused) { return 0; }
void send_global_virq(uint32_t virq __unused) { }

void domain_pause(struct domain *d)
{
    atomic_inc(&d->pause_count);
}

void tasklet_schedule(struct tasklet *t)
{
    scheduled = t;
}

void tasklet_schedule_on_cpu(struct tasklet *t, unsigned int cpu)
{
    host_cpu = cpu;
    scheduled = t;
}

/* ---- Tests ---- */

static struct domain *make_domain(domid_t id)
{
    int rc;
    struct domain *d = domain_create(id, &config, id == 0, &rc);

    assert_non_null(d);
    for (unsigned int i = 0; i < VCPUS; i++) {
        assert_non_null(vcpu_create(d, i));
        if (id)
            record[i] = calloc(1, sizeof(*record[i]));
    }
    return d;
}

static void run_reaper(void)
{
    while (scheduled) {
        struct tasklet *t = scheduled;

        scheduled = NULL;
        t->fn(t->data);
    }
}

static void death(void **state)
{
    struct domain *d;

    (void)state;
    nr_cpu_ids = 2;
    __cpumask_set_cpu(0, &cpu_online_map);
    __cpumask_set_cpu(1, &cpu_online_map);
    host_current = make_domain(0)->vcpu[0];
    d = make_domain(5);
    assert_ptr_equal(get_domain_by_id(5), d);   /* as if a page of it were mapped */

    assert_int_equal(domain_kill(d), -ERESTART);
    assert_int_equal(domain_kill(d), 0);
    assert_int_equal(domain_kill(d), 0);
    assert_int_equal(relinquished, 1);
    assert_null(scheduled);
    assert_int_equal(domain_free_id(5), 6);

    put_domain(d);
    assert_non_null(scheduled);
    assert_null(get_domain_by_id(5));
    run_reaper();
    assert_int_equal(domain_free_id(5), 5);

    assert_int_equal(domain_kill(dom0), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(death) };

    return cmocka_run_group_tests_name("domain", tests, NULL, NULL);
}
