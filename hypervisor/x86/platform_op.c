/* SPDX-License-Identifier: MIT */
/* HYPERVISOR_platform_op: dom0's requests about the machine as a whole. <xen/platform.h>. */
#include <domus/cpumask.h>
#include <domus/domain.h>
#include <domus/guest_access.h>
#include <domus/hypercall.h>
#include <domus/lib.h>
#include <domus/string.h>
#include <domus/time.h>
#include <asm/cpufeature.h>
#include <asm/current.h>
#include <asm/efi.h>
#include <asm/machine.h>
#include <asm/smp.h>
#include <asm/symbols.h>
#include <xen/platform.h>

static unsigned int highest_present_cpu(void)
{
    unsigned int cpu, highest = 0;

    for_each_cpu(cpu, &cpu_present_map)
        highest = cpu;
    return highest;
}

static bool cpu_is_present(unsigned int cpu)
{
    return cpu < NR_CPUS && cpumask_test_cpu(cpu, &cpu_present_map);
}

static long set_time(uint64_t secs, uint32_t nsecs, uint64_t system_time)
{
    if (nsecs >= 1000000000u)
        return -EINVAL;
    do_settime(secs, nsecs, (s_time_t)system_time);
    return 0;
}

/* The BIOS's view of disks and displays is not kept: a loader's protocols do not pass it on. */
static long firmware_info(struct xenpf_firmware_info *info)
{
    switch (info->type) {
    case XEN_FW_DISK_INFO:
    case XEN_FW_DISK_MBR_SIGNATURE:
    case XEN_FW_VBEDDC_INFO:
        return -ESRCH;
    case XEN_FW_EFI_INFO:
        return efi_firmware_info(info->index, &info->u.efi_info);
    case XEN_FW_KBD_SHIFT_FLAGS:
        if (info->index != 0)
            return -ESRCH;
        info->u.kbd_shift_flags = 0;
        return 0;
    default:
        return -EINVAL;
    }
}

static bool is_acpi_id(uint32_t id)
{
    unsigned int cpu;

    for_each_cpu(cpu, &cpu_present_map)
        if (cpu_to_acpiid[cpu] == id)
            return true;
    return false;
}

/* Processor power states are not managed here; what dom0 tells ACPI of its own ability stays as it is. */
static long processor_pminfo(const struct xenpf_set_processor_pminfo *info)
{
    if (info->type != XEN_PM_PDC && !is_acpi_id(info->id))
        return -EINVAL;
    switch (info->type) {
    case XEN_PM_PDC:
        return info->u.pdc.p ? 0 : -EINVAL;
    case XEN_PM_CX:
    case XEN_PM_PX:
    case XEN_PM_TX:
        return -ENOSYS;
    default:
        return -EINVAL;
    }
}

static long cpu_info(struct xenpf_pcpuinfo *info)
{
    unsigned int cpu = info->xen_cpuid;

    info->max_present = highest_present_cpu();
    info->apic_id = info->acpi_id = ~0u;
    info->flags = XEN_PCPU_FLAGS_INVALID;
    if (cpu_is_present(cpu)) {
        info->apic_id = cpu_to_apicid[cpu];
        info->acpi_id = cpu_to_acpiid[cpu];
        info->flags = cpumask_test_cpu(cpu, &cpu_online_map) ? XEN_PCPU_FLAGS_ONLINE : 0;
    }
    return 0;
}

static long cpu_version(struct xenpf_pcpu_version *version)
{
    bool online = cpu_is_present(version->xen_cpuid) && cpumask_test_cpu(version->xen_cpuid, &cpu_online_map);

    version->max_present = highest_present_cpu();
    memset(version->vendor_id, 0, sizeof(version->vendor_id));
    version->family = version->model = version->stepping = 0;
    if (online) {
        memcpy(version->vendor_id, boot_cpu.vendor_id, sizeof(version->vendor_id));
        version->family = boot_cpu.family;
        version->model = boot_cpu.model;
        version->stepping = boot_cpu.stepping;
    }
    return 0;
}

/* As sysctl's, but to ask for what is already so is fine, and CPU 0 is refused by a name of its own. */
static long cpu_set_online(unsigned int cpu, bool online)
{
    long rc;

    if (cpu == 0 && !online)
        return -EOPNOTSUPP;
    rc = online ? cpu_up(cpu) : cpu_down(cpu);
    return rc == -EEXIST ? 0 : rc;
}

/* CPUs and memory cannot be added: what is there, or is nonsense, is refused by its name. */
static long cpu_hotadd(const struct xenpf_cpu_hotadd *op)
{
    unsigned int cpu;

    for_each_cpu(cpu, &cpu_present_map)
        if (cpu_to_apicid[cpu] == op->apic_id)
            return cpu_to_acpiid[cpu] == op->acpi_id ? -EEXIST : -EINVAL;
    return op->apic_id == BAD_APICID ? -EINVAL : -EOPNOTSUPP;
}

static long mem_hotadd(const struct xenpf_mem_hotadd *op)
{
    return op->spfn >= op->epfn ? -EINVAL : -EOPNOTSUPP;
}

/* Symbols of the hypervisor, one by one; symnum says which, and then which is next. */
static long get_symbol(struct xenpf_symdata *op)
{
    unsigned long address;
    uint32_t length, nr;
    const char *name = symbol_by_number(op->symnum, &address, &nr);

    if (!name)
        return op->symnum > nr ? -ERANGE : 0;   /* symnum stays: that was the last one */
    length = (uint32_t)strlen(name) + 1;
    if (copy_to_guest(op->name.p, name, min(length, op->namelen)))
        return -EFAULT;
    op->namelen = length;
    op->symnum++;
    op->type = 't';
    op->address = address;
    return 0;
}

static long platform_quirk(uint32_t quirk)
{
    switch (quirk) {
    case QUIRK_NOIRQBALANCING:
    case QUIRK_IOAPIC_BAD_REGSEL:
    case QUIRK_IOAPIC_GOOD_REGSEL:
        return 0;       /* none of them changes how the hypervisor drives interrupt controllers */
    default:
        return -EINVAL;
    }
}

static long core_parking(struct xenpf_core_parking *op)
{
    switch (op->type) {
    case XEN_CORE_PARKING_SET:
        return core_parking_set(op->idle_nums);
    case XEN_CORE_PARKING_GET:
        op->idle_nums = core_parking_get();
        return 0;
    default:
        return -EINVAL;
    }
}

/* One request; answers go into op. */
static long dispatch(struct xen_platform_op *op)
{
    switch (op->cmd) {
    case XENPF_settime32:
        return set_time(op->u.settime32.secs, op->u.settime32.nsecs, op->u.settime32.system_time);
    case XENPF_settime64:
        if (op->u.settime64.mbz)
            return -EINVAL;
        return set_time(op->u.settime64.secs, op->u.settime64.nsecs, op->u.settime64.system_time);
    case XENPF_platform_quirk:
        return platform_quirk(op->u.platform_quirk.quirk_id);
    case XENPF_firmware_info:
        return firmware_info(&op->u.firmware_info);
    case XENPF_efi_runtime_call:
        return efi_runtime_call(&op->u.efi_runtime_call);
    case XENPF_enter_acpi_sleep:
        return acpi_enter_sleep(&op->u.enter_acpi_sleep);
    case XENPF_set_processor_pminfo:
        return processor_pminfo(&op->u.set_pminfo);
    case XENPF_get_cpuinfo:
        return cpu_info(&op->u.pcpu_info);
    case XENPF_get_cpu_version:
        return cpu_version(&op->u.pcpu_version);
    case XENPF_cpu_online:
        return cpu_set_online(op->u.cpu_ol.cpuid, true);
    case XENPF_cpu_offline:
        return cpu_set_online(op->u.cpu_ol.cpuid, false);
    case XENPF_core_parking:
        return core_parking(&op->u.core_parking);
    case XENPF_add_memtype:
        return platform_add_memtype(&op->u.add_memtype);
    case XENPF_del_memtype:
        return platform_del_memtype(&op->u.del_memtype);
    case XENPF_read_memtype:
        return platform_read_memtype(&op->u.read_memtype);
    case XENPF_microcode_update:
        return -EINVAL;         /* no blob is known to be good: microcode is left to the firmware */
    case XENPF_cpu_hotadd:
        return cpu_hotadd(&op->u.cpu_add);
    case XENPF_mem_hotadd:
        return mem_hotadd(&op->u.mem_add);
    case XENPF_get_symbol:
        return get_symbol(&op->u.symdata);
    default:
        return -ENOSYS;
    }
}

long do_platform_op(guest_ptr_t u_op)
{
    struct xen_platform_op op;
    long rc;

    if (!current->domain->is_privileged)
        return -EPERM;
    if (copy_from_guest(&op, (const void *)u_op, sizeof(op)))
        return -EFAULT;
    if (op.interface_version != XENPF_INTERFACE_VERSION)
        return -EACCES;
    /* Its result is a count, and the argument stays as it is. */
    if (op.cmd == XENPF_resource_op)
        return platform_resource_op(&op.u.resource_op);
    rc = dispatch(&op);
    if (rc == -ERESTART)
        return hypercall_create_continuation(__HYPERVISOR_platform_op, 1, u_op);
    if (rc == 0 && copy_to_guest((void *)u_op, &op, sizeof(op)))
        return -EFAULT;
    return rc;
}
