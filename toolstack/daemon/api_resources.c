/* SPDX-License-Identifier: MIT */
/*
 * Requests about what a running domain has of the machine: memory, virtual CPUs, where those run and how much.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon.h"
#include "domain_set.h"
#include "events.h"
#include "host.h"
#include "lib/alloc.h"
#include "memory.h"
#include "place.h"
#include "pools.h"
#include "session.h"

/* How many CPUs at most a list of them can name in a reply. */
#define LIST_SIZE 512

static void refuse(struct session *session, struct failure *failure, int rc)
{
    failure_why(failure, "the hypervisor refuses: %s", strerror(-rc));
    failure_remedy(failure, "see the hypervisor's messages (domus dmesg)");
    session_fail(session, failure);
}

/* A member that has to be a whole number of at least `least`: false after a failure was sent. */
static bool take_number(struct session *session, const json_t *request, const char *key, json_int_t least,
                        json_int_t *value)
{
    const json_t *number = json_object_get(request, key);
    struct failure failure;

    *value = json_integer_value(number);
    if (json_is_integer(number) && *value >= least)
        return true;
    failure_what(&failure, "cannot do what the request asks for");
    failure_why(&failure, "its %s is no number of at least %lld", key, (long long)least);
    failure_remedy(&failure, "see docs/control-protocol.md");
    session_fail(session, &failure);
    return false;
}

/* The same for a text. */
static const char *take_text(struct session *session, const json_t *request, const char *key)
{
    const char *text = json_string_value(json_object_get(request, key));
    struct failure failure;

    if (text)
        return text;
    failure_what(&failure, "cannot do what the request asks for");
    failure_why(&failure, "its %s is no text", key);
    failure_remedy(&failure, "see docs/control-protocol.md");
    session_fail(session, &failure);
    return NULL;
}

/* --- memory ------------------------------------------------------------------------------------------------------ */

static void change_memory(struct session *session, json_t *request, const char *verb,
                          bool (*set)(int domid, struct domain *domain, uint64_t kib, struct failure *failure))
{
    struct subject subject;
    struct failure failure;
    json_int_t kib;

    if (!take_number(session, request, "memory_kib", 1, &kib) ||
        !session_find_standing(session, request, verb, &subject, &failure))
        return;
    /* Configurations and records count MiB. */
    kib = kib > (json_int_t)CONFIG_MEMORY_MAX_KIB ? (json_int_t)CONFIG_MEMORY_MAX_KIB + 1024 : (kib + 1023) & ~1023LL;
    if (set(subject.domid, subject.domain, kib, &failure))
        session_send(session, json_pack("{s:b, s:i, s:I}", "ok", 1, "domid", subject.domid, "memory_kib", kib));
    else
        session_fail(session, &failure);
}

static void op_mem_set(struct session *session, json_t *request)
{
    change_memory(session, request, "set the memory of", memory_set_target);
}

static void op_mem_max(struct session *session, json_t *request)
{
    change_memory(session, request, "set the maximum memory of", memory_set_max);
}

/* --- virtual CPUs ------------------------------------------------------------------------------------------------ */

/* Which virtual CPUs are to be online: the guest sees it in the store and acts. */
static void put_availability(int domid, unsigned int online, unsigned int max)
{
    char path[64];

    for (unsigned int i = 0; i < max; i++) {
        snprintf(path, sizeof(path), "/local/domain/%d/cpu/%u/availability", domid, i);
        store_put(the_store, path, i < online ? "online" : "offline");
    }
}

static void op_vcpu_set(struct session *session, json_t *request)
{
    struct xen_domctl_getdomaininfo info;
    struct subject subject;
    struct failure failure;
    json_int_t count;
    int rc;

    if (!take_number(session, request, "vcpus", 1, &count) ||
        !session_find_standing(session, request, "set the virtual CPUs of", &subject, &failure))
        return;
    rc = hv_domain_info(subject.domid, &info);
    if (rc) {
        refuse(session, &failure, rc);
        return;
    }
    if (count > info.max_vcpu_id + 1) {
        failure_why(&failure, "it was made for at most %u virtual CPUs", info.max_vcpu_id + 1);
        failure_remedy(&failure, subject.domid ? "put maxvcpus=%lld into its configuration and create it again"
                                               : "start the hypervisor with dom0_max_vcpus=%lld", (long long)count);
        session_fail(session, &failure);
        return;
    }
    put_availability(subject.domid, count, info.max_vcpu_id + 1);
    if (subject.domain) {
        subject.domain->config->vcpus = count;
        json_object_set_new(subject.domain->object, "maxvcpus", json_integer(subject.domain->config->max_vcpus));
        json_object_set_new(subject.domain->object, "vcpus", json_integer(count));
        domain_save(subject.domain);
        event_tell(subject.domain, "vcpus", json_pack("{s:I}", "vcpus", count));
    }
    session_send(session, json_pack("{s:b, s:i, s:I}", "ok", 1, "domid", subject.domid, "vcpus", count));
}

static const char *vcpu_state(const struct xen_domctl_getdomaininfo *domain, const struct xen_domctl_getvcpuinfo *vcpu)
{
    if (!vcpu->online)
        return "offline";
    if (domain->flags & XEN_DOMINF_paused)
        return "paused";
    if (vcpu->running)
        return "running";
    return vcpu->blocked ? "blocked" : "runnable";
}

static void describe_vcpus(const struct xen_domctl_getdomaininfo *info, unsigned int cpus, json_t *array)
{
    for (uint32_t i = 0; i <= info->max_vcpu_id; i++) {
        struct cpu_map hard = { { 0 } }, soft = { { 0 } };
        char hard_text[LIST_SIZE], soft_text[LIST_SIZE];
        struct xen_domctl_getvcpuinfo vcpu;
        json_t *object;

        if (hv_vcpu_info(info->domain, i, &vcpu) || hv_vcpu_get_affinity(info->domain, i, &hard, &soft))
            continue;
        cpu_map_format(&hard, cpus, hard_text, sizeof(hard_text));
        cpu_map_format(&soft, cpus, soft_text, sizeof(soft_text));
        object = json_pack("{s:i, s:s, s:i, s:s, s:I, s:s, s:s}", "domid", (int)info->domain, "name",
                           host_domain_name(info->domain), "vcpu", (int)i, "state", vcpu_state(info, &vcpu),
                           "cpu_time_ns", (json_int_t)vcpu.cpu_time, "hard", hard_text, "soft", soft_text);
        if (vcpu.online)
            json_object_set_new(object, "cpu", json_integer(vcpu.cpu));
        json_array_append_new(array, object);
    }
}

static void op_vcpus(struct session *session, json_t *request)
{
    unsigned int cpus = host_cpu_count();
    json_t *array;
    struct subject subject = { .domid = -1 };
    struct failure failure;
    struct domain_set set;

    if (json_object_get(request, "domain") &&
        !session_find_standing(session, request, "list the virtual CPUs of", &subject, &failure))
        return;
    array = json_array();
    domain_set_read(&set);
    for (int i = 0; i < set.count; i++)
        if (subject.domid < 0 || set.list[i].domain == subject.domid)
            describe_vcpus(&set.list[i], cpus, array);
    domain_set_free(&set);
    session_send(session, json_pack("{s:b, s:o}", "ok", 1, "vcpus", array));
}

/* "all" or a number below `count`: the range of virtual CPUs that is meant. */
static bool take_vcpu(const json_t *request, unsigned int count, unsigned int *first, unsigned int *last,
                      struct failure *failure)
{
    const json_t *vcpu = json_object_get(request, "vcpu");
    const char *text = json_string_value(vcpu);

    *first = 0;
    *last = count - 1;
    if (text && !strcmp(text, "all"))
        return true;
    if (json_is_integer(vcpu) && json_integer_value(vcpu) >= 0 && json_integer_value(vcpu) < count) {
        *first = *last = json_integer_value(vcpu);
        return true;
    }
    failure_why(failure, "it has no such virtual CPU");
    failure_remedy(failure, "name one from 0 to %u, or all", count - 1);
    return false;
}

/* A list of CPUs that the request may leave out: *map is NULL then. False with *failure set. */
static bool take_cpus(const json_t *request, const char *key, struct cpu_map *space, const struct cpu_map **map,
                      struct failure *failure)
{
    const char *text = json_string_value(json_object_get(request, key));

    *map = text ? space : NULL;
    return !text || host_cpu_list(text, space, failure);
}

/*
 * What virtual CPUs `first` to `last` of the domain are pinned to holds for its next start, too: `key` of its
 * configuration becomes an array with a list for each.
 */
static void remember_pins(struct domain *domain, const char *key, json_t **lists, unsigned int first,
                          unsigned int last, const char *list)
{
    json_t *array;

    if (!list)
        return;
    array = json_array();
    for (unsigned int i = 0; i < domain->config->max_vcpus; i++) {
        const char *old = place_list(*lists, i);

        json_array_append_new(array, json_string(i >= first && i <= last ? list : old ? old : "all"));
    }
    json_object_set(domain->object, key, array);
    json_decref(*lists);
    *lists = array;
    domain_save(domain);
}

static void op_vcpu_pin(struct session *session, json_t *request)
{
    bool force = json_is_true(json_object_get(request, "force"));
    struct cpu_map hard_space, soft_space;
    const struct cpu_map *hard, *soft;
    struct xen_domctl_getdomaininfo info;
    struct subject subject;
    struct failure failure;
    unsigned int first, last;
    int rc = 0;

    if (!session_find_standing(session, request, "pin virtual CPUs of", &subject, &failure))
        return;
    rc = hv_domain_info(subject.domid, &info);
    if (rc) {
        refuse(session, &failure, rc);
        return;
    }
    if (!take_vcpu(request, info.max_vcpu_id + 1, &first, &last, &failure) ||
        !take_cpus(request, "hard", &hard_space, &hard, &failure) ||
        !take_cpus(request, "soft", &soft_space, &soft, &failure)) {
        session_fail(session, &failure);
        return;
    }
    for (unsigned int vcpu = first; vcpu <= last && rc == 0; vcpu++)
        rc = hv_vcpu_set_affinity(subject.domid, vcpu, hard, soft, force);
    if (rc == -EINVAL) {
        failure_why(&failure, "none of these CPUs is in its CPU pool");
        failure_remedy(&failure, "see which are: domus cpupool-list -c");
        session_fail(session, &failure);
    } else if (rc) {
        refuse(session, &failure, rc);
    } else {
        if (subject.domain) {
            remember_pins(subject.domain, "cpus", &subject.domain->config->cpus, first, last,
                          json_string_value(json_object_get(request, "hard")));
            remember_pins(subject.domain, "cpus_soft", &subject.domain->config->cpus_soft, first, last,
                          json_string_value(json_object_get(request, "soft")));
        }
        session_send_domid(session, subject.domid);
    }
}

/* --- scheduling -------------------------------------------------------------------------------------------------- */

static json_t *describe_scheduling(const struct xen_domctl_getdomaininfo *info)
{
    uint16_t weight, cap;
    char pool[128];

    if (hv_domain_sched_get(info->domain, &weight, &cap))
        return NULL;
    pool_name(info->cpupool, pool, sizeof(pool));
    return json_pack("{s:i, s:s, s:i, s:i, s:i, s:s}", "domid", (int)info->domain, "name",
                     host_domain_name(info->domain), "weight", weight, "cap", cap, "pool_id", (int)info->cpupool, "pool",
                     pool);
}

/* A number that a request may leave out: -1 then, -2 if it is none or too large. */
static int optional_number(const json_t *request, const char *key, int max)
{
    const json_t *number = json_object_get(request, key);

    if (!number)
        return -1;
    return json_is_integer(number) && json_integer_value(number) >= 0 && json_integer_value(number) <= max
               ? (int)json_integer_value(number) : -2;
}

/* What is set (not negative) also holds for the domain's next start. */
static void remember_scheduling(struct domain *domain, int weight, int cap)
{
    if (weight >= 0) {
        domain->config->cpu_weight = weight;
        json_object_set_new(domain->object, "cpu_weight", json_integer(weight));
    }
    if (cap >= 0) {
        domain->config->cap = cap;
        json_object_set_new(domain->object, "cap", json_integer(cap));
    }
    if (weight >= 0 || cap >= 0)
        domain_save(domain);
}

/* Weight and cap of one domain or of all. */
static void op_sched(struct session *session, json_t *request)
{
    int weight = optional_number(request, "weight", 65535), cap = optional_number(request, "cap", 65534), rc = 0;
    struct subject subject = { .domid = -1 };
    struct failure failure;
    struct domain_set set;
    json_t *array;

    if (json_object_get(request, "domain") && !session_find_standing(session, request, "schedule", &subject, &failure))
        return;
    if (weight == 0 || weight == -2 || cap == -2 || (subject.domid < 0 && (weight >= 0 || cap >= 0))) {
        failure_what(&failure, "cannot change how domains are scheduled");
        failure_why(&failure, weight == 0 || weight == -2 ? "its weight is not from 1 to 65535"
                              : cap == -2 ? "its cap is not from 0 to 65534" : "no domain is named");
        failure_remedy(&failure, "give a domain a weight relative to others (256 is usual), a cap in percent of one CPU");
        session_fail(session, &failure);
        return;
    }
    if (weight >= 0 || cap >= 0)
        rc = hv_domain_sched_adjust(subject.domid, weight, cap);
    if (rc == 0 && subject.domain)
        remember_scheduling(subject.domain, weight, cap);
    if (rc == -EINVAL) {
        failure_why(&failure, "a cap is in percent of one CPU, at most 100 for each virtual CPU that it has");
        failure_remedy(&failure, "give less, or 0 for none");
        session_fail(session, &failure);
        return;
    }
    if (rc) {
        refuse(session, &failure, rc);
        return;
    }
    array = json_array();
    domain_set_read(&set);
    for (int i = 0; i < set.count; i++)
        if (subject.domid < 0 || set.list[i].domain == subject.domid)
            json_array_append_new(array, describe_scheduling(&set.list[i]));
    domain_set_free(&set);
    session_send(session, json_pack("{s:b, s:o}", "ok", 1, "domains", array));
}

/* Find the pool of a request: its number, or -1 after a failure was sent. */
static int find_pool(struct session *session, const json_t *request, const char *verb, struct failure *failure)
{
    const char *name = take_text(session, request, "pool");
    int id;

    if (!name)
        return -1;
    failure_what(failure, "cannot %s CPU pool %.100s", verb, name);
    id = pool_find(name, failure);
    if (id < 0)
        session_fail(session, failure);
    return id;
}

/* Parameters of a pool's scheduler. */
static void op_sched_pool(struct session *session, json_t *request)
{
    int tslice = optional_number(request, "tslice_ms", 1000), limit = optional_number(request, "ratelimit_us", 500000);
    int delay = optional_number(request, "migration_delay_us", 100000), id, rc;
    struct xen_sysctl_credit_schedule schedule;
    struct failure failure;

    id = find_pool(session, request, "set the scheduler of", &failure);
    if (id < 0)
        return;
    rc = tslice == -2 || limit == -2 || delay == -2 ? -EINVAL : hv_pool_sched_get(id, &schedule);
    if (rc == 0) {
        schedule.tslice_ms = tslice >= 0 ? (uint32_t)tslice : schedule.tslice_ms;
        schedule.ratelimit_us = limit >= 0 ? (uint32_t)limit : schedule.ratelimit_us;
        schedule.vcpu_migr_delay_us = delay >= 0 ? (uint32_t)delay : schedule.vcpu_migr_delay_us;
        rc = hv_pool_sched_set(id, &schedule);
    }
    if (rc == -EINVAL) {
        failure_why(&failure, "a time slice is 1 to 1000 ms; the rate limit 0 or 100 to 500000 us, at most a "
                              "time slice; the migration delay 0 to 100000 us");
        failure_remedy(&failure, "give others; see what is set: domus sched -s");
        session_fail(session, &failure);
    } else if (rc) {
        refuse(session, &failure, rc);
    } else {
        session_send(session, json_pack("{s:b, s:i}", "ok", 1, "pool_id", id));
    }
}

/* --- pools ------------------------------------------------------------------------------------------------------- */

/* The outcome of a function of pools.h. */
static void send_pool(struct session *session, int rc, int id, const struct failure *failure)
{
    if (rc < 0)
        session_fail(session, failure);
    else
        session_send(session, json_pack("{s:b, s:i}", "ok", 1, "pool_id", id));
}

static void op_pools(struct session *session, json_t *request)
{
    unsigned int cpus = host_cpu_count();
    struct cpu_map unused = { { 0 } };
    char text[LIST_SIZE];

    (void)request;
    hv_pool_free_cpus(&unused);
    cpu_map_format(&unused, cpus, text, sizeof(text));
    session_send(session, json_pack("{s:b, s:o, s:s}", "ok", 1, "pools", pools_describe(), "free_cpus", text));
}

static void op_pool_create(struct session *session, json_t *request)
{
    const char *name = take_text(session, request, "name");
    struct failure failure;
    int id;

    if (!name)
        return;
    failure_what(&failure, "cannot create CPU pool %.100s", name);
    id = pool_create(name, json_string_value(json_object_get(request, "cpus")), &failure);
    send_pool(session, id, id, &failure);
}

static void op_pool_destroy(struct session *session, json_t *request)
{
    struct failure failure;
    int id = find_pool(session, request, "destroy", &failure);

    if (id >= 0)
        send_pool(session, pool_destroy(id, &failure), id, &failure);
}

/* The domain is made again in that pool. */
static void remember_pool(struct domain *domain, const char *name)
{
    free(domain->config->pool);
    domain->config->pool = xstrdup(name);
    json_object_set_new(domain->object, "pool", json_string(name));
    domain_save(domain);
}

static void op_pool_rename(struct session *session, json_t *request)
{
    const char *name = take_text(session, request, "name");
    struct domain *domain;
    struct failure failure;
    int id = name ? find_pool(session, request, "rename", &failure) : -1, rc;
    char old[128];

    if (id < 0)
        return;
    pool_name(id, old, sizeof(old));
    rc = pool_rename(id, name, &failure);
    LIST_FOREACH(domain, &domains, link) {
        if (rc >= 0 && domain->config->pool && !strcmp(domain->config->pool, old))
            remember_pool(domain, name);
    }
    send_pool(session, rc, id, &failure);
}

static void change_pool_cpus(struct session *session, json_t *request, bool add)
{
    const char *cpus = take_text(session, request, "cpus");
    struct failure failure;
    int id = cpus ? find_pool(session, request, "change the CPUs of", &failure) : -1;

    if (id >= 0)
        send_pool(session, pool_change_cpus(id, cpus, add, &failure), id, &failure);
}

static void op_pool_cpu_add(struct session *session, json_t *request)
{
    change_pool_cpus(session, request, true);
}

static void op_pool_cpu_remove(struct session *session, json_t *request)
{
    change_pool_cpus(session, request, false);
}

static void op_pool_migrate(struct session *session, json_t *request)
{
    struct subject subject;
    struct failure failure;
    int id = find_pool(session, request, "move a domain to", &failure), rc;
    char name[128];

    if (id < 0 || !session_find_standing(session, request, "move", &subject, &failure))
        return;
    rc = pool_migrate(id, subject.domid, &failure);
    if (rc >= 0 && subject.domain) {
        pool_name(id, name, sizeof(name));
        remember_pool(subject.domain, name);
    }
    send_pool(session, rc, id, &failure);
}

static void op_pool_numa_split(struct session *session, json_t *request)
{
    struct failure failure;

    (void)request;
    failure_what(&failure, "cannot make a CPU pool of each NUMA node");
    send_pool(session, pool_numa_split(&failure), 0, &failure);
}

const struct operation resource_operations[] = {
    { "mem-set", op_mem_set },
    { "mem-max", op_mem_max },
    { "vcpu-set", op_vcpu_set },
    { "vcpus", op_vcpus },
    { "vcpu-pin", op_vcpu_pin },
    { "sched", op_sched },
    { "sched-pool", op_sched_pool },
    { "pools", op_pools },
    { "pool-create", op_pool_create },
    { "pool-destroy", op_pool_destroy },
    { "pool-rename", op_pool_rename },
    { "pool-cpu-add", op_pool_cpu_add },
    { "pool-cpu-remove", op_pool_cpu_remove },
    { "pool-migrate", op_pool_migrate },
    { "pool-numa-split", op_pool_numa_split },
    { 0 },
};
