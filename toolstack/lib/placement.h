/* SPDX-License-Identifier: MIT */
/*
 * Where virtual CPUs run: affinity, CPU pools, parameters of the scheduler. Wrappers of hypercalls as in hypercall.h,
 * with the same contract; the errors of pool operations stand in public/sysctl.h.
 */
#ifndef DOMUS_PLACEMENT_H
#define DOMUS_PLACEMENT_H

#include <stdint.h>

#include "cpu_map.h"
#include "hypercall.h"

/* The masks that were set, whether or not all their CPUs are in the domain's pool. */
int hv_vcpu_get_affinity(uint32_t domid, uint32_t vcpu, struct cpu_map *hard, struct cpu_map *soft);

/*
 * Set one or both masks; NULL leaves that one. `force` also undoes a pinning that the guest itself asked for
 * (SCHEDOP_pin_override). -EINVAL: none of the CPUs is in the domain's pool.
 */
int hv_vcpu_set_affinity(uint32_t domid, uint32_t vcpu, const struct cpu_map *hard, const struct cpu_map *soft,
                         bool force);

/* As hv_domain_sched_set (hypercall.h), a negative number leaves the weight or the cap as it is. */
int hv_domain_sched_adjust(uint32_t domid, int weight, int cap);

struct cpu_pool {
    uint32_t id;
    uint32_t scheduler;
    uint32_t domains;
    struct cpu_map cpus;
};

/* The first pool with a number of at least `from`; -ENOENT: there is none. */
int hv_pool_info(uint32_t from, struct cpu_pool *pool);
/* CPUs in no pool. */
int hv_pool_free_cpus(struct cpu_map *cpus);
/* An empty pool with the host's scheduler; returns its number. */
int hv_pool_create(void);
/* -EBUSY: it has domains, or is pool 0. */
int hv_pool_destroy(uint32_t id);
int hv_pool_add_cpu(uint32_t id, uint32_t cpu);
int hv_pool_remove_cpu(uint32_t id, uint32_t cpu);
int hv_pool_move_domain(uint32_t id, uint32_t domid);

/* Parameters of a pool's credit scheduler: time slice in ms, rate limit in microseconds. -ESRCH: no such pool. */
int hv_pool_sched_get(uint32_t id, struct xen_sysctl_credit_schedule *params);
int hv_pool_sched_set(uint32_t id, struct xen_sysctl_credit_schedule *params);

/* Core, socket and node of each CPU, `max` at most; how many CPUs there are. */
int hv_cpu_topology(struct xen_sysctl_cputopo *cpus, unsigned int max);
/* Memory of each NUMA node and, row by row, the distances between them, `max` nodes at most; how many there are. */
int hv_numa_info(struct xen_sysctl_meminfo *nodes, uint32_t *distances, unsigned int max);
/* The NUMA node of each CPU, `max` at most; how many CPUs there are. */
int hv_cpu_nodes(uint32_t *nodes, unsigned int max);

#endif
