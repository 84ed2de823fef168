/* SPDX-License-Identifier: MIT */
/*
 * Hypercalls about where virtual CPUs run; see placement.h.
 */
#include "placement.h"

#include <errno.h>
#include <string.h>

/* Let `bitmap` be `map`, by way of memory that the hypervisor can reach. */
static struct cpu_map *bounce(struct xenctl_bitmap *bitmap, const struct cpu_map *map)
{
    struct cpu_map *copy = hv_buf_alloc(sizeof(*copy));

    if (!copy)
        return NULL;
    if (map)
        *copy = *map;
    set_xen_guest_handle(bitmap->bitmap, copy->bytes);
    bitmap->nr_bits = CPU_MAP_BITS;
    return copy;
}

int hv_vcpu_get_affinity(uint32_t domid, uint32_t vcpu, struct cpu_map *hard, struct cpu_map *soft)
{
    struct xen_domctl op = {
        .cmd = XEN_DOMCTL_getvcpuaffinity, .domain = domid,
        .u.vcpuaffinity = { .vcpu = vcpu, .flags = XEN_VCPUAFFINITY_HARD | XEN_VCPUAFFINITY_SOFT },
    };
    struct cpu_map *hard_out = bounce(&op.u.vcpuaffinity.cpumap_hard, NULL);
    struct cpu_map *soft_out = bounce(&op.u.vcpuaffinity.cpumap_soft, NULL);
    int rc = hard_out && soft_out ? hv_domctl(&op) : -ENOMEM;

    if (rc == 0) {
        *hard = *hard_out;
        *soft = *soft_out;
    }
    if (hard_out)
        hv_buf_free(hard_out, sizeof(*hard_out));
    if (soft_out)
        hv_buf_free(soft_out, sizeof(*soft_out));
    return rc;
}

int hv_vcpu_set_affinity(uint32_t domid, uint32_t vcpu, const struct cpu_map *hard, const struct cpu_map *soft,
                         bool force)
{
    struct xen_domctl op = {
        .cmd = XEN_DOMCTL_setvcpuaffinity, .domain = domid,
        .u.vcpuaffinity = {
            .vcpu = vcpu,
            .flags = (hard ? XEN_VCPUAFFINITY_HARD : 0) | (soft ? XEN_VCPUAFFINITY_SOFT : 0) |
                     (force ? XEN_VCPUAFFINITY_FORCE : 0),
        },
    };
    struct cpu_map *hard_copy = bounce(&op.u.vcpuaffinity.cpumap_hard, hard);
    struct cpu_map *soft_copy = bounce(&op.u.vcpuaffinity.cpumap_soft, soft);
    int rc = hard_copy && soft_copy ? hv_domctl(&op) : -ENOMEM;

    if (hard_copy)
        hv_buf_free(hard_copy, sizeof(*hard_copy));
    if (soft_copy)
        hv_buf_free(soft_copy, sizeof(*soft_copy));
    return rc;
}

int hv_domain_sched_adjust(uint32_t domid, int weight, int cap)
{
    uint16_t old_weight, old_cap;
    int rc = hv_domain_sched_get(domid, &old_weight, &old_cap);

    if (rc)
        return rc;
    return hv_domain_sched_set(domid, weight < 0 ? old_weight : weight, cap < 0 ? old_cap : cap);
}

/* --- pools --------------------------------------------------------------------------------------------------- */

static int pool_op(uint32_t cmd, struct xen_sysctl_cpupool_op *arguments)
{
    struct xen_sysctl op = { .cmd = XEN_SYSCTL_cpupool_op, .u.cpupool_op = *arguments };
    int rc;

    op.u.cpupool_op.op = cmd;
    rc = hv_sysctl(&op);
    *arguments = op.u.cpupool_op;
    return rc;
}

/* An operation that tells CPUs. */
static int pool_query(uint32_t cmd, struct xen_sysctl_cpupool_op *arguments, struct cpu_map *cpus)
{
    struct cpu_map *out = bounce(&arguments->cpumap, NULL);
    int rc;

    if (!out)
        return -ENOMEM;
    rc = pool_op(cmd, arguments);
    if (rc == 0)
        *cpus = *out;
    hv_buf_free(out, sizeof(*out));
    return rc;
}

int hv_pool_info(uint32_t from, struct cpu_pool *pool)
{
    struct xen_sysctl_cpupool_op op = { .cpupool_id = from };
    int rc = pool_query(XEN_SYSCTL_CPUPOOL_OP_INFO, &op, &pool->cpus);

    pool->id = op.cpupool_id;
    pool->scheduler = op.sched_id;
    pool->domains = op.n_dom;
    return rc;
}

int hv_pool_free_cpus(struct cpu_map *cpus)
{
    struct xen_sysctl_cpupool_op op = { .cpupool_id = 0 };

    return pool_query(XEN_SYSCTL_CPUPOOL_OP_FREEINFO, &op, cpus);
}

int hv_pool_create(void)
{
    struct xen_sysctl_cpupool_op op = { .cpupool_id = XEN_SYSCTL_CPUPOOL_PAR_ANY };
    int rc = hv_sched_id(&op.sched_id);

    if (rc == 0)
        rc = pool_op(XEN_SYSCTL_CPUPOOL_OP_CREATE, &op);
    return rc ? rc : (int)op.cpupool_id;
}

int hv_pool_destroy(uint32_t id)
{
    return pool_op(XEN_SYSCTL_CPUPOOL_OP_DESTROY, &(struct xen_sysctl_cpupool_op){ .cpupool_id = id });
}

int hv_pool_add_cpu(uint32_t id, uint32_t cpu)
{
    return pool_op(XEN_SYSCTL_CPUPOOL_OP_ADDCPU, &(struct xen_sysctl_cpupool_op){ .cpupool_id = id, .cpu = cpu });
}

int hv_pool_remove_cpu(uint32_t id, uint32_t cpu)
{
    return pool_op(XEN_SYSCTL_CPUPOOL_OP_RMCPU, &(struct xen_sysctl_cpupool_op){ .cpupool_id = id, .cpu = cpu });
}

int hv_pool_move_domain(uint32_t id, uint32_t domid)
{
    return pool_op(XEN_SYSCTL_CPUPOOL_OP_MOVEDOMAIN,
                   &(struct xen_sysctl_cpupool_op){ .cpupool_id = id, .domid = domid });
}

static int pool_sched(uint32_t cmd, uint32_t id, struct xen_sysctl_credit_schedule *params)
{
    struct xen_sysctl op = {
        .cmd = XEN_SYSCTL_scheduler_op,
        .u.scheduler_op = { .cpupool_id = id, .cmd = cmd, .u.sched_credit = *params },
    };
    int rc = hv_sched_id(&op.u.scheduler_op.sched_id);

    if (rc == 0 && op.u.scheduler_op.sched_id != XEN_SCHEDULER_CREDIT)
        rc = -EOPNOTSUPP;
    if (rc == 0)
        rc = hv_sysctl(&op);
    if (rc == 0)
        *params = op.u.scheduler_op.u.sched_credit;
    return rc;
}

int hv_pool_sched_get(uint32_t id, struct xen_sysctl_credit_schedule *params)
{
    memset(params, 0, sizeof(*params));
    return pool_sched(XEN_SYSCTL_SCHEDOP_getinfo, id, params);
}

int hv_pool_sched_set(uint32_t id, struct xen_sysctl_credit_schedule *params)
{
    return pool_sched(XEN_SYSCTL_SCHEDOP_putinfo, id, params);
}

int hv_cpu_topology(struct xen_sysctl_cputopo *cpus, unsigned int max)
{
    size_t size = max * sizeof(*cpus);
    struct xen_sysctl_cputopo *table = hv_buf_alloc(size);
    struct xen_sysctl op = { .cmd = XEN_SYSCTL_cputopoinfo, .u.cputopoinfo = { .num_cpus = max } };
    int rc;

    if (!table)
        return -ENOMEM;
    set_xen_guest_handle(op.u.cputopoinfo.cputopo, table);
    rc = hv_sysctl(&op);
    if (rc == 0) {
        rc = op.u.cputopoinfo.num_cpus < max ? op.u.cputopoinfo.num_cpus : max;
        memcpy(cpus, table, rc * sizeof(*cpus));
    }
    hv_buf_free(table, size);
    return rc;
}

int hv_cpu_nodes(uint32_t *nodes, unsigned int max)
{
    static struct xen_sysctl_cputopo cpus[CPU_MAP_BITS];
    int count = hv_cpu_topology(cpus, max < CPU_MAP_BITS ? max : CPU_MAP_BITS);

    for (int i = 0; i < count; i++)
        nodes[i] = cpus[i].node == XEN_INVALID_NODE_ID ? 0 : cpus[i].node;
    return count;
}

int hv_numa_info(struct xen_sysctl_meminfo *nodes, uint32_t *distances, unsigned int max)
{
    size_t nodes_size = max * sizeof(*nodes), size = nodes_size + max * max * sizeof(*distances);
    struct xen_sysctl op = { .cmd = XEN_SYSCTL_numainfo, .u.numainfo = { .num_nodes = max } };
    uint8_t *table = hv_buf_alloc(size);
    int rc;

    if (!table)
        return -ENOMEM;
    set_xen_guest_handle(op.u.numainfo.meminfo, (struct xen_sysctl_meminfo *)table);
    set_xen_guest_handle(op.u.numainfo.distance, (uint32_t *)(table + nodes_size));
    rc = hv_sysctl(&op);
    if (rc == 0) {
        rc = op.u.numainfo.num_nodes < max ? op.u.numainfo.num_nodes : max;
        memcpy(nodes, table, rc * sizeof(*nodes));
        memcpy(distances, table + nodes_size, (size_t)rc * rc * sizeof(*distances));
    }
    hv_buf_free(table, size);
    return rc;
}
