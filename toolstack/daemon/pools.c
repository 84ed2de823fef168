/* SPDX-License-Identifier: MIT */
/*
 * CPU pools: see pools.h.
 */
#include "pools.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "daemon.h"

#define NAME_PATH "/local/pool/%u/name"

static const char *const scheduler_names[] = {
    [XEN_SCHEDULER_CREDIT] = "credit", [XEN_SCHEDULER_CREDIT2] = "credit2", [XEN_SCHEDULER_ARINC653] = "arinc653",
    [XEN_SCHEDULER_RTDS] = "rtds", [XEN_SCHEDULER_NULL] = "null",
};

static int refuse(struct failure *failure, int rc, const char *remedy)
{
    failure_why(failure, "the hypervisor refuses: %s", strerror(-rc));
    failure_remedy(failure, "%s", remedy);
    return -1;
}

/* --- CPUs of the host -------------------------------------------------------------------------------------------- */

unsigned int host_cpu_count(void)
{
    struct xen_sysctl_physinfo info;

    return hv_physinfo(&info) ? 1 : info.max_cpu_id + 1;
}

bool host_cpu_list(const char *text, struct cpu_map *map, struct failure *failure)
{
    static uint32_t nodes[CPU_MAP_BITS];
    bool by_node = strstr(text, "node") && hv_cpu_nodes(nodes, CPU_MAP_BITS) > 0;
    char why[200];

    if (cpu_map_parse(map, text, host_cpu_count(), by_node ? nodes : NULL, why, sizeof(why)))
        return true;
    failure_why(failure, "%s", why);
    failure_remedy(failure, "write numbers and ranges of CPUs, for example 0-3,^2, or all");
    return false;
}

/* --- names ------------------------------------------------------------------------------------------------------- */

void pool_name(uint32_t id, char *name, size_t size)
{
    char path[48];
    const char *value;

    snprintf(path, sizeof(path), NAME_PATH, id);
    value = store_get(the_store, path);
    if (value && value[0])
        snprintf(name, size, "%s", value);
    else
        snprintf(name, size, "Pool-%u", id);
}

static void put_name(uint32_t id, const char *name)
{
    char path[48];

    snprintf(path, sizeof(path), NAME_PATH, id);
    store_put(the_store, path, "%s", name);
}

static void remove_name(uint32_t id)
{
    char path[32];

    snprintf(path, sizeof(path), "/local/pool/%u", id);
    store_remove(the_store, path);
}

static int find_by_name(const char *name)
{
    struct cpu_pool pool;
    char other[128];

    for (uint32_t id = 0; hv_pool_info(id, &pool) == 0; id = pool.id + 1) {
        pool_name(pool.id, other, sizeof(other));
        if (!strcmp(other, name))
            return pool.id;
    }
    return -1;
}

int pool_find(const char *name, struct failure *failure)
{
    int id = find_by_name(name);
    struct cpu_pool pool;
    unsigned long number;
    char *end;

    if (id >= 0)
        return id;
    number = strtoul(name, &end, 10);
    if (name[0] >= '0' && name[0] <= '9' && !*end && number < INT32_MAX && hv_pool_info(number, &pool) == 0 &&
        pool.id == number)
        return pool.id;
    failure_why(failure, "there is no CPU pool %.100s", name);
    failure_remedy(failure, "see which there are: domus cpupool-list");
    return -1;
}

static bool name_good(const char *name, struct failure *failure)
{
    if (!config_name_valid(name)) {
        failure_why(failure, "%.100s cannot be the name of a CPU pool", name);
        failure_remedy(failure, "use 1 to 63 letters, digits and . _ + -, not digits alone");
        return false;
    }
    if (find_by_name(name) >= 0) {
        failure_why(failure, "there is a CPU pool %s already", name);
        failure_remedy(failure, "choose another name");
        return false;
    }
    return true;
}

/* --- description ------------------------------------------------------------------------------------------------- */

static json_t *describe(const struct cpu_pool *pool, unsigned int cpus)
{
    struct xen_sysctl_credit_schedule schedule = { .tslice_ms = 0 };
    json_t *list = json_array(), *object;
    char name[128], text[512];

    pool_name(pool->id, name, sizeof(name));
    hv_pool_sched_get(pool->id, &schedule);
    for (unsigned int cpu = 0; cpu < cpus; cpu++)
        if (cpu_map_has(&pool->cpus, cpu))
            json_array_append_new(list, json_integer(cpu));
    cpu_map_format(&pool->cpus, cpus, text, sizeof(text));
    object = json_pack("{s:i, s:s, s:s, s:i, s:s, s:o, s:i, s:i, s:i}", "id", (int)pool->id, "name", name, "scheduler",
                       pool->scheduler < sizeof(scheduler_names) / sizeof(scheduler_names[0])
                           ? scheduler_names[pool->scheduler] : "unknown",
                       "domains", (int)pool->domains, "cpus", text, "cpu_list", list, "tslice_ms",
                       (int)schedule.tslice_ms, "ratelimit_us", (int)schedule.ratelimit_us, "migration_delay_us",
                       (int)schedule.vcpu_migr_delay_us);
    return object ? object : json_object();
}

json_t *pools_describe(void)
{
    unsigned int cpus = host_cpu_count();
    json_t *array = json_array();
    struct cpu_pool pool;

    for (uint32_t id = 0; hv_pool_info(id, &pool) == 0; id = pool.id + 1)
        json_array_append_new(array, describe(&pool, cpus));
    return array;
}

/* --- changes ----------------------------------------------------------------------------------------------------- */

/* The pool that has the CPU, or -1. */
static int owner_of(unsigned int cpu)
{
    struct cpu_pool pool;

    for (uint32_t id = 0; hv_pool_info(id, &pool) == 0; id = pool.id + 1)
        if (cpu_map_has(&pool.cpus, cpu))
            return pool.id;
    return -1;
}

/* All of `cpus` are in no pool. */
static bool all_free(const struct cpu_map *cpus, struct failure *failure)
{
    char name[128];

    for (unsigned int cpu = 0; cpu < CPU_MAP_BITS; cpu++) {
        int owner = cpu_map_has(cpus, cpu) ? owner_of(cpu) : -1;

        if (owner >= 0) {
            pool_name(owner, name, sizeof(name));
            failure_why(failure, "CPU %u belongs to pool %s", cpu, name);
            failure_remedy(failure, "take it out of there first: domus cpupool-cpu-remove %s %u", name, cpu);
            return false;
        }
    }
    return true;
}

static int add_cpus(uint32_t id, const struct cpu_map *cpus, struct failure *failure)
{
    for (unsigned int cpu = 0; cpu < CPU_MAP_BITS; cpu++) {
        int rc = cpu_map_has(cpus, cpu) ? hv_pool_add_cpu(id, cpu) : 0;

        if (rc)
            return refuse(failure, rc, "see which CPUs are free: domus cpupool-list -c");
    }
    return 0;
}

static int remove_cpus(uint32_t id, const struct cpu_map *cpus, struct failure *failure)
{
    for (unsigned int cpu = 0; cpu < CPU_MAP_BITS; cpu++) {
        int rc = cpu_map_has(cpus, cpu) ? hv_pool_remove_cpu(id, cpu) : 0;

        if (rc == -EBUSY) {
            failure_why(failure, "CPU %u is the pool's last, and the pool has domains", cpu);
            failure_remedy(failure, "move them to another pool first: domus cpupool-migrate");
            return -1;
        }
        if (rc == -ENODEV) {
            failure_why(failure, "CPU %u is not in that pool", cpu);
            failure_remedy(failure, "see which are: domus cpupool-list -c");
            return -1;
        }
        if (rc)
            return refuse(failure, rc, "try again in a moment");
    }
    return 0;
}

int pool_create(const char *name, const char *cpus, struct failure *failure)
{
    struct cpu_map map;
    int id;

    if (!name_good(name, failure))
        return -1;
    if (!cpus) {
        hv_pool_free_cpus(&map);
        if (cpu_map_count(&map) == 0) {
            failure_why(failure, "all CPUs are in other pools");
            failure_remedy(failure, "take one out of its pool first: domus cpupool-cpu-remove POOL CPU");
            return -1;
        }
        for (unsigned int cpu = 0, found = 0; cpu < CPU_MAP_BITS; cpu++) {
            cpu_map_set(&map, cpu, cpu_map_has(&map, cpu) && !found);
            found += cpu_map_has(&map, cpu);
        }
    } else if (!host_cpu_list(cpus, &map, failure) || !all_free(&map, failure)) {
        return -1;
    }
    id = hv_pool_create();
    if (id < 0)
        return refuse(failure, id, "see the hypervisor's messages (domus dmesg)");
    put_name(id, name);
    if (add_cpus(id, &map, failure) < 0) {
        hv_pool_destroy(id);
        remove_name(id);
        return -1;
    }
    return id;
}

int pool_destroy(uint32_t id, struct failure *failure)
{
    int rc = hv_pool_destroy(id);

    if (rc == -EBUSY) {
        failure_why(failure, id == 0 ? "every host has that pool" : "it has domains");
        failure_remedy(failure, id == 0 ? "leave it" : "move them to another pool first: domus cpupool-migrate");
        return -1;
    }
    if (rc)
        return refuse(failure, rc, "see which pools there are: domus cpupool-list");
    remove_name(id);
    return 0;
}

int pool_rename(uint32_t id, const char *name, struct failure *failure)
{
    if (!name_good(name, failure))
        return -1;
    put_name(id, name);
    return 0;
}

int pool_change_cpus(uint32_t id, const char *cpus, bool add, struct failure *failure)
{
    struct cpu_map map;

    if (!host_cpu_list(cpus, &map, failure))
        return -1;
    if (!add)
        return remove_cpus(id, &map, failure);
    return all_free(&map, failure) ? add_cpus(id, &map, failure) : -1;
}

int pool_migrate(uint32_t id, int domid, struct failure *failure)
{
    int rc = hv_pool_move_domain(id, domid);

    if (rc == -EBUSY) {
        failure_why(failure, "the pool has no CPU");
        failure_remedy(failure, "give it one first: domus cpupool-cpu-add");
        return -1;
    }
    if (rc == -EINVAL && domid == 0) {
        failure_why(failure, "dom0 stays in pool 0");
        failure_remedy(failure, "give that pool other CPUs instead: domus cpupool-cpu-add, cpupool-cpu-remove");
        return -1;
    }
    return rc ? refuse(failure, rc, "see the domain's state: domus list") : 0;
}

static bool node_has_cpus(const uint32_t *nodes, int cpus, uint32_t node)
{
    for (int cpu = 0; cpu < cpus; cpu++)
        if (nodes[cpu] == node)
            return true;
    return false;
}

int pool_numa_split(struct failure *failure)
{
    static uint32_t nodes[CPU_MAP_BITS];
    int cpus = hv_cpu_nodes(nodes, CPU_MAP_BITS), rc;
    uint32_t home = cpus > 0 ? nodes[0] : 0, last = 0;
    struct cpu_pool pool;
    char name[32], list[32];

    if (cpus < 0)
        return refuse(failure, cpus, "see the hypervisor's messages (domus dmesg)");
    if (hv_pool_info(1, &pool) == 0) {
        failure_why(failure, "there are other CPU pools already");
        failure_remedy(failure, "destroy them first: domus cpupool-destroy");
        return -1;
    }
    snprintf(name, sizeof(name), "Pool-node%u", home);
    put_name(0, name);
    for (int cpu = 0; cpu < cpus; cpu++) {
        last = nodes[cpu] > last ? nodes[cpu] : last;
        rc = nodes[cpu] == home ? 0 : hv_pool_remove_cpu(0, cpu);
        if (rc)
            return refuse(failure, rc, "let dom0's virtual CPUs run on all CPUs first: domus vcpu-pin Domain-0 all all");
    }
    for (uint32_t node = 0; node <= last; node++) {
        snprintf(name, sizeof(name), "Pool-node%u", node);
        snprintf(list, sizeof(list), "nodes:%u", node);
        if (node != home && node_has_cpus(nodes, cpus, node) && pool_create(name, list, failure) < 0)
            return -1;
    }
    return 0;
}
