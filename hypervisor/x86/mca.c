/* SPDX-License-Identifier: MIT */
/*
 * HYPERVISOR_mca: dom0 fetches hardware errors that the machine survived, to log them.
 * Specification: xen/arch-x86/xen-mca.h; user: Linux's drivers/xen/mcelog.c.
 */
#include <asm/cpufeature.h>
#include <asm/mce.h>
#include <asm/smp.h>
#include <domus/domain.h>
#include <domus/event.h>
#include <domus/guest_access.h>
#include <domus/hypercall.h>
#include <domus/lib.h>
#include <domus/softirq.h>
#include <domus/string.h>
#include <asm/current.h>
#include <xen/arch-x86/xen-mca.h>

#define MCA_SOFTIRQ     ARCH_SOFTIRQ_1
#define QUEUE_SIZE      32      /* a power of two */

/*
 * Guarded by `busy`, a flag and no spinlock: a machine check may interrupt whoever holds it, and
 * then must not wait.
 */
static struct {
    bool busy;
    u32 start, end;
    struct mce_error error[QUEUE_SIZE];
} queue;

static bool queue_enter(void)
{
    return !__atomic_exchange_n(&queue.busy, true, __ATOMIC_ACQUIRE);
}

static void queue_leave(void)
{
    __atomic_store_n(&queue.busy, false, __ATOMIC_RELEASE);
}

void mca_report(const struct mce_error *error)
{
    if (!queue_enter())
        return;
    if (queue.end - queue.start < QUEUE_SIZE)
        queue.error[queue.end++ % QUEUE_SIZE] = *error;
    queue_leave();
    raise_softirq(MCA_SOFTIRQ);
}

static void tell_dom0(void)
{
    send_global_virq(VIRQ_MCA);
}

void __init mca_init(void)
{
    open_softirq(MCA_SOFTIRQ, tell_dom0);
}

static bool queue_take(struct mce_error *error)
{
    bool found = false;

    if (!queue_enter())
        return false;
    if (queue.start != queue.end) {
        *error = queue.error[queue.start++ % QUEUE_SIZE];
        found = true;
    }
    queue_leave();
    return found;
}

/* One error as a global entry, which says where, and a bank entry, which says what. */
static void fill_info(mc_info_t *info, const struct mce_error *error)
{
    struct mcinfo_global *global = (struct mcinfo_global *)info->mi_data;
    struct mcinfo_bank *bank = (struct mcinfo_bank *)(global + 1);

    BUILD_BUG_ON(sizeof(*global) + sizeof(*bank) > sizeof(info->mi_data));
    memset(info, 0, sizeof(*info));
    info->mi_nentries = 2;
    *global = (struct mcinfo_global){
        .common = { .type = MC_TYPE_GLOBAL, .size = sizeof(*global) },
        .mc_domid = DOMID_INVALID,
        .mc_vcpuid = XEN_MC_VCPUID_INVALID,
        .mc_apicid = cpu_to_apicid[error->cpu],
        .mc_flags = error->polled ? MC_FLAG_CORRECTABLE | MC_FLAG_POLLED : MC_FLAG_MCE,
        .mc_gstatus = error->global_status,
    };
    *bank = (struct mcinfo_bank){
        .common = { .type = MC_TYPE_BANK, .size = sizeof(*bank) },
        .mc_bank = (uint16_t)error->bank,
        .mc_domid = DOMID_INVALID,
        .mc_status = error->status,
        .mc_addr = error->addr,
        .mc_misc = error->misc,
    };
}

/* An acknowledgement asks for nothing: an error leaves the queue when it is fetched. */
static long fetch(xen_mc_fetch_t *op)
{
    struct mce_error error;
    mc_info_t info;

    switch (op->flags) {
    case XEN_MC_NONURGENT | XEN_MC_ACK:
    case XEN_MC_URGENT | XEN_MC_ACK:
        op->flags = XEN_MC_OK;
        return 0;
    case XEN_MC_NONURGENT:
    case XEN_MC_URGENT:
        break;
    default:
        return -EINVAL;
    }
    op->fetch_id = 0;
    if (!queue_take(&error)) {
        op->flags = XEN_MC_NODATA;
        return 0;
    }
    fill_info(&info, &error);
    op->flags = XEN_MC_OK;
    return copy_to_guest(op->data.p, &info, sizeof(info));
}

static void fill_cpu(xen_mc_logical_cpu_t *info, unsigned int cpu)
{
    memset(info, 0, sizeof(*info));
    info->mc_cpunr = cpu;
    info->mc_chipid = cpu;
    info->mc_apicid = cpu_to_apicid[cpu];
    info->mc_ncores = info->mc_ncores_active = info->mc_nthreads = 1;
    info->mc_cpuid_level = (int32_t)boot_cpu.max_leaf;
    info->mc_family = boot_cpu.family;
    info->mc_model = boot_cpu.model;
    info->mc_step = boot_cpu.stepping;
    /* As Linux numbers them: 0 Intel, 2 AMD, 0xff others. */
    info->mc_vendor = boot_cpu.vendor == VENDOR_INTEL ? 0 : boot_cpu.vendor == VENDOR_AMD ? 2
                                                                                          : 0xff;
    strlcpy(info->mc_vendorid, boot_cpu.vendor_id, sizeof(info->mc_vendorid));
    strlcpy(info->mc_brandid, boot_cpu.model_name, sizeof(info->mc_brandid));
}

/* With no buffer, or a count that does not fit, only the number of CPUs is told. */
static long physical_cpus(xen_mc_physcpuinfo_t *op)
{
    unsigned int cpu, n = 0;
    xen_mc_logical_cpu_t info;

    if (op->info.p) {
        for_each_online_cpu(cpu) {
            if (n == op->ncpus)
                break;
            fill_cpu(&info, cpu);
            if (copy_to_guest_offset(op->info.p, n, &info, 1))
                return -EFAULT;
            n++;
        }
        op->ncpus = n;
        return 0;
    }
    op->ncpus = num_online_cpus();
    return 0;
}

long do_mca(guest_ptr_t arg)
{
    struct xen_mc op;
    long ret;

    if (!current->domain->is_privileged)
        return -EPERM;
    if (copy_from_guest(&op, (const void *)arg, sizeof(op)))
        return -EFAULT;
    if (op.interface_version != XEN_MCA_INTERFACE_VERSION)
        return -EACCES;
    switch (op.cmd) {
    case XEN_MC_fetch:
        ret = fetch(&op.u.mc_fetch);
        break;
    case XEN_MC_physcpuinfo:
        ret = physical_cpus(&op.u.mc_physcpuinfo);
        break;
    default:
        return -ENOSYS;
    }
    return ret ? ret : copy_to_guest((void *)arg, &op, sizeof(op));
}
