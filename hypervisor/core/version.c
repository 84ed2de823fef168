/* SPDX-License-Identifier: MIT */
/*
 * HYPERVISOR_xen_version and HYPERVISOR_vm_assist: what a guest learns of the interface, and what
 * it may choose. Interface: <xen/version.h>, <xen/features.h>, VMASST_* in <xen/xen.h>.
 */
#include <domus/domain.h>
#include <domus/guest_access.h>
#include <domus/hypercall.h>
#include <domus/lib.h>
#include <domus/param.h>
#include <domus/string.h>
#include <domus/version.h>
#include <asm/current.h>
#include <xen/features.h>
#include <xen/version.h>

static uint32_t features(const struct domain *d)
{
    uint32_t map = BIT(XENFEAT_mmu_pt_update_preserve_ad) | BIT(XENFEAT_highmem_assist) |
                   BIT(XENFEAT_gnttab_map_avail_bits) | BIT(XENFEAT_memory_op_vnode_supported);

    if (test_bit(VMASST_TYPE_pae_extended_cr3, &d->vm_assist))
        map |= BIT(XENFEAT_pae_pgdir_above_4gb);
    if (d == dom0)
        map |= BIT(XENFEAT_dom0);
    return map;
}

static long get_features(void *arg)
{
    struct xen_feature_info info;

    if (copy_from_guest(&info, arg, sizeof(info)))
        return -EFAULT;
    if (info.submap_idx >= XENFEAT_NR_SUBMAPS)
        return -EINVAL;
    info.submap = features(current->domain);
    return copy_to_guest(arg, &info, sizeof(info));
}

/* A text of fixed size. */
static long give_text(void *arg, const char *text, size_t size)
{
    size_t len = min(strlen(text), size - 1);

    if (copy_to_guest(arg, text, len))
        return -EFAULT;
    return clear_guest((char *)arg + len, size - len);
}

static long give_compile_info(void *arg)
{
    struct xen_compile_info info;

    memset(&info, 0, sizeof(info));
    strlcpy(info.compiler, DOMUS_COMPILER, sizeof(info.compiler));
    strlcpy(info.compile_by, COMPILED_BY, sizeof(info.compile_by));
    strlcpy(info.compile_date, DOMUS_COMPILE_DATE, sizeof(info.compile_date));
    return copy_to_guest(arg, &info, sizeof(info));
}

long do_xen_version(int cmd, guest_ptr_t arg)
{
    const struct domain *d = current->domain;
    void *p = (void *)arg;
    xen_platform_parameters_t params = { .virt_start = HYPERVISOR_VIRT_START };

    switch (cmd) {
    case XENVER_version:
        return INTERFACE_MAJOR << 16 | INTERFACE_MINOR;
    case XENVER_extraversion:
        return give_text(p, INTERFACE_EXTRA, sizeof(xen_extraversion_t));
    case XENVER_compile_info:
        return give_compile_info(p);
    case XENVER_capabilities:
        return give_text(p, "xen-3.0-x86_64 ", sizeof(xen_capabilities_info_t));
    case XENVER_changeset:
        return give_text(p, CHANGESET, sizeof(xen_changeset_info_t));
    case XENVER_platform_parameters:
        return copy_to_guest(p, &params, sizeof(params));
    case XENVER_get_features:
        return get_features(p);
    case XENVER_pagesize:
        return p ? -EINVAL : (long)PAGE_SIZE;
    case XENVER_guest_handle:
        return copy_to_guest(p, d->handle, sizeof(d->handle));
    case XENVER_commandline:
        return give_text(p, d->is_privileged ? saved_cmdline : "<denied>",
                         sizeof(xen_commandline_t));
    case XENVER_build_id:
        return d->is_privileged ? -ENODATA : -EPERM;
    default:
        return -ENOSYS;
    }
}

long do_vm_assist(unsigned int cmd, unsigned int type)
{
    struct domain *d = current->domain;

    if (type >= BITS_PER_LONG || !(PV_VM_ASSIST_MASK & BIT(type)))
        return -EINVAL;
    switch (cmd) {
    case VMASST_CMD_enable:
        set_bit(type, &d->vm_assist);
        return 0;
    case VMASST_CMD_disable:
        clear_bit(type, &d->vm_assist);
        return 0;
    default:
        return -ENOSYS;
    }
}
