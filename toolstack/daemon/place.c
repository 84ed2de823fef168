/* SPDX-License-Identifier: MIT */
/*
 * Where a new domain runs. cpus= and cpus_soft= are one list of CPUs for all virtual CPUs, or an array with one for each;
 * those beyond its end may run anywhere.
 */
#include "place.h"

#include <errno.h>
#include <string.h>

#include "lib/placement.h"
#include "pools.h"

const char *place_list(const json_t *lists, unsigned int vcpu)
{
    return json_string_value(json_is_array(lists) ? json_array_get(lists, vcpu) : lists);
}

static bool check_lists(const json_t *lists, unsigned int vcpus, struct failure *failure)
{
    struct cpu_map map;
    const char *list;

    for (unsigned int i = 0; i < vcpus && (list = place_list(lists, i)) != NULL; i++)
        if (!host_cpu_list(list, &map, failure))
            return false;
    return true;
}

bool place_check(const struct config *config, struct failure *failure)
{
    return (!config->pool || pool_find(config->pool, failure) >= 0) &&
           check_lists(config->cpus, config->max_vcpus, failure) &&
           check_lists(config->cpus_soft, config->max_vcpus, failure);
}

static bool refused(struct failure *failure, const char *key, int rc)
{
    if (rc == -EINVAL) {
        failure_why(failure, "none of the CPUs of its %s is in its CPU pool", key);
        failure_remedy(failure, "see which are: domus cpupool-list -c");
    } else {
        failure_why(failure, "the hypervisor does not take its %s: %s", key, strerror(-rc));
        failure_remedy(failure, "leave it out of the configuration");
    }
    return false;
}

static bool pin(const struct config *config, int domid, struct failure *failure)
{
    for (unsigned int i = 0; i < config->max_vcpus; i++) {
        const char *hard = place_list(config->cpus, i), *soft = place_list(config->cpus_soft, i);
        struct cpu_map hard_map, soft_map;
        int rc;

        if ((hard && !host_cpu_list(hard, &hard_map, failure)) || (soft && !host_cpu_list(soft, &soft_map, failure)))
            return false;
        if (!hard && !soft)
            continue;
        rc = hv_vcpu_set_affinity(domid, i, hard ? &hard_map : NULL, soft ? &soft_map : NULL, false);
        if (rc)
            return refused(failure, hard ? "cpus" : "cpus_soft", rc);
    }
    return true;
}

bool place_domain(const struct config *config, int domid, struct failure *failure)
{
    int pool = config->pool ? pool_find(config->pool, failure) : -1, rc;

    if (config->pool && (pool < 0 || pool_migrate(pool, domid, failure) < 0))
        return false;
    if (!pin(config, domid, failure))
        return false;
    if (!config->cpu_weight && !config->cap)
        return true;
    rc = hv_domain_sched_adjust(domid, config->cpu_weight ? (int)config->cpu_weight : -1, config->cap);
    return rc == 0 || refused(failure, "cpu_weight and cap", rc);
}
