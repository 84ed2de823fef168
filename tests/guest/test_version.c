/* SPDX-License-Identifier: MIT */
/* xen_version, what only other kinds of guests have, and hypercalls that do not exist. */
#include <xen/features.h>
#include "kernel.h"
#include <xen/hvm/hvm_op.h>              /* wants stdint.h before it */

static void version_is_4_17(void)
{
    check_eq(HCALL(xen_version, XENVER_version, 0, 0, 0, 0), 4 << 16 | 17);
}

static void pagesize(void)
{
    check_eq(HCALL(xen_version, XENVER_pagesize, 0, 0, 0, 0), PAGE_SIZE);
}

static void capabilities_name_our_abi(void)
{
    xen_capabilities_info_t caps;

    check_eq(HCALL(xen_version, XENVER_capabilities, caps, 0, 0, 0), 0);
    check(memcmp(caps, "xen-3.0-x86_64", 14) == 0);
}

static void platform_parameters(void)
{
    xen_platform_parameters_t p;

    check_eq(HCALL(xen_version, XENVER_platform_parameters, &p, 0, 0, 0), 0);
    check_eq(p.virt_start, HV_START);
}

static void features(void)
{
    struct xen_feature_info info = { .submap_idx = 0 };

    check_eq(HCALL(xen_version, XENVER_get_features, &info, 0, 0, 0), 0);
    check(info.submap & 1u << XENFEAT_mmu_pt_update_preserve_ad);
    check(info.submap & 1u << XENFEAT_dom0);
    info.submap_idx = 1000;
    check_eq(HCALL(xen_version, XENVER_get_features, &info, 0, 0, 0), -XEN_EINVAL);
}

static void bad_pointers(void)
{
    check_eq(HCALL(xen_version, XENVER_capabilities, 0x1000, 0, 0, 0), -XEN_EFAULT);
    check_eq(HCALL(xen_version, XENVER_capabilities, HV_SECRET, 0, 0, 0), -XEN_EFAULT);
    check_eq(HCALL(xen_version, XENVER_capabilities, 0x0000800000000000, 0, 0, 0), -XEN_EFAULT);
    check_eq(HCALL(xen_version, XENVER_capabilities, ~0UL, 0, 0, 0), -XEN_EFAULT);
}

static void unknown_hypercalls(void)
{
    check_eq(HCALL(xen_version, 999, 0, 0, 0, 0), -XEN_ENOSYS);
    check_eq(hypercall(63, 0, 0, 0, 0, 0), -XEN_ENOSYS);
    check_eq(hypercall(100, 0, 0, 0, 0, 0), -XEN_ENOSYS);
}

/* Tools ask any guest's. */
static void no_parameters_of_a_paravirtualized_guest(void)
{
    struct xen_hvm_param param = { .domid = DOMID_SELF };

    check_eq(HCALL(hvm_op, HVMOP_get_param, &param, 0, 0, 0), -XEN_EINVAL);
    check_eq(HCALL(hvm_op, HVMOP_set_param, &param, 0, 0, 0), -XEN_EINVAL);
    param.domid = 0x7000;
    check_eq(HCALL(hvm_op, HVMOP_get_param, &param, 0, 0, 0), -XEN_ESRCH);
    check_eq(HCALL(hvm_op, HVMOP_get_param, HV_SECRET, 0, 0, 0), -XEN_EFAULT);
    check_eq(HCALL(hvm_op, 77, &param, 0, 0, 0), -XEN_ENOSYS);
}

TESTS({ "version is 4.17", version_is_4_17 }, { "page size", pagesize },
      { "capabilities name our ABI", capabilities_name_our_abi }, { "platform parameters", platform_parameters },
      { "features", features }, { "bad pointers", bad_pointers }, { "unknown hypercalls", unknown_hypercalls },
      { "no parameters of a paravirtualized guest", no_parameters_of_a_paravirtualized_guest });
