/* SPDX-License-Identifier: MIT */
/* Extended vCPU state for the tools: save and restore. <xen/domctl.h>; Intel SDM vol. 1, chapter 13. */
#include <domus/domain.h>
#include <domus/guest_access.h>
#include <domus/lib.h>
#include <domus/string.h>
#include <domus/xmalloc.h>
#include <asm/cpuid.h>
#include <asm/fpu.h>
#include <asm/msr.h>
#include <asm/traps.h>
#include <asm/vcpu_state.h>
#include <xen/domctl.h>

/* ---- Callbacks ---- */

long vcpu_get_ext_context(struct vcpu *v, struct xen_domctl_ext_vcpucontext *op)
{
    op->size = sizeof(*op);
    op->sysenter_callback_eip = v->arch.sysenter_callback;
    op->sysenter_callback_cs = v->arch.sysenter_cs;
    op->sysenter_disables_events = !!(v->arch.callback_flags & CBF_SYSENTER_MASKS_EVENTS);
    op->syscall32_callback_eip = v->arch.syscall32_callback;
    op->syscall32_callback_cs = v->arch.syscall32_cs;
    op->syscall32_disables_events = !!(v->arch.callback_flags & CBF_SYSCALL32_MASKS_EVENTS);
    memset(&op->vmce, 0, sizeof(op->vmce));
    return 0;
}

long vcpu_set_ext_context(struct vcpu *v, const struct xen_domctl_ext_vcpucontext *op)
{
    if (op->size < offsetof(struct xen_domctl_ext_vcpucontext, mcg_cap))
        return -EINVAL;
    if (!guest_address_ok(op->sysenter_callback_eip) || !guest_address_ok(op->syscall32_callback_eip))
        return -EINVAL;
    v->arch.sysenter_callback = op->sysenter_callback_eip;
    v->arch.sysenter_cs = op->sysenter_callback_cs;
    v->arch.syscall32_callback = op->syscall32_callback_eip;
    v->arch.syscall32_cs = op->syscall32_callback_cs;
    v->arch.callback_flags &= ~(unsigned int)(CBF_SYSENTER_MASKS_EVENTS | CBF_SYSCALL32_MASKS_EVENTS);
    if (op->sysenter_disables_events)
        v->arch.callback_flags |= CBF_SYSENTER_MASKS_EVENTS;
    if (op->syscall32_disables_events)
        v->arch.callback_flags |= CBF_SYSCALL32_MASKS_EVENTS;
    return 0;
}

/* ---- XSAVE state ---- */

/* The record: XCR0, its accumulated value, then the area. */
#define EXTSTATE_HEADER (2 * sizeof(u64))

static u64 accumulated(const struct vcpu *v)
{
    return v->arch.xcr0_accum | XSTATE_FP_SSE;
}

long vcpu_get_extstate(struct vcpu *v, struct xen_domctl_vcpuextstate *op)
{
    u64 header[2] = { v->arch.xcr0, accumulated(v) };
    u64 size = EXTSTATE_HEADER + xstate_size(accumulated(v));
    u8 *buffer = (u8 *)op->buffer.p;

    if (!buffer || (op->size == 0 && op->xfeature_mask == 0)) {
        /* A question for the size: the vCPU may come to use more before its state is asked for. */
        op->xfeature_mask = xfeature_mask;
        op->size = xfeature_mask ? EXTSTATE_HEADER + xsave_size : 0;
        return 0;
    }
    /* Without XSAVE there is nothing to get: all is in struct vcpu_guest_context. */
    if (xfeature_mask == 0 || op->size < size || op->xfeature_mask != xfeature_mask)
        return -EINVAL;
    if (copy_to_guest(buffer, header, sizeof(header)) ||
        copy_to_guest(buffer + EXTSTATE_HEADER, v->arch.xsave, size - EXTSTATE_HEADER))
        return -EFAULT;
    op->size = size;
    return 0;
}

/* Whether XRSTOR takes the area: it faults on reserved bits and on components that XCR0 does not enable. */
static bool area_ok(const struct xsave_area *area, u64 xcr0_accum)
{
    return !(area->xstate_bv & ~xcr0_accum) && area->xcomp_bv == 0 && mem_is_zero(area->reserved, sizeof(area->reserved));
}

long vcpu_set_extstate(struct vcpu *v, const struct xen_domctl_vcpuextstate *op)
{
    const u8 *buffer = (const u8 *)op->buffer.p;
    struct xsave_area *area;
    u64 header[2], length;
    long rc = 0;

    if (xfeature_mask == 0)
        return -EOPNOTSUPP;
    if (op->size < EXTSTATE_HEADER || op->size > EXTSTATE_HEADER + xsave_size)
        return -EINVAL;
    if (copy_from_guest(header, buffer, sizeof(header)))
        return -EFAULT;
    if (op->size == EXTSTATE_HEADER && header[0] == 0 && header[1] == 0)
        return 0;                       /* the vCPU had used nothing yet */
    if (op->size < EXTSTATE_HEADER + XSAVE_MIN_SIZE)
        return -EINVAL;
    if (!xcr0_valid(header[0]) || !xcr0_valid(header[1]) || (header[0] & ~header[1]))
        return -EINVAL;
    length = op->size - EXTSTATE_HEADER;
    if (length < xstate_size(header[1]))
        return -EINVAL;
    area = xzalloc_bytes(xsave_size);
    if (!area)
        return -ENOMEM;
    if (copy_from_guest(area, buffer + EXTSTATE_HEADER, length)) {
        rc = -EFAULT;
    } else if (!area_ok(area, header[1] | XSTATE_FP_SSE)) {
        rc = -EINVAL;
    } else {
        memcpy(v->arch.xsave, area, xsave_size);
        fpu_sanitise_legacy(v);
        v->arch.xcr0 = header[0];
        v->arch.xcr0_accum = header[1];
    }
    xfree(area);
    return rc;
}

/* ---- MSRs ---- */

#define MAX_SAVED_MSRS 1

long vcpu_get_msrs(struct vcpu *v, struct xen_domctl_vcpu_msrs *op)
{
    const struct xen_domctl_vcpu_msr aux = { .index = MSR_TSC_AUX, .value = v->arch.tsc_aux };
    u32 offered = op->msr_count;

    if (!op->msrs.p) {
        op->msr_count = MAX_SAVED_MSRS;
        return 0;
    }
    op->msr_count = aux.value ? 1 : 0;
    if (offered < op->msr_count)
        return -ENOBUFS;
    if (op->msr_count && copy_to_guest_offset(op->msrs.p, 0, &aux, 1))
        return -EFAULT;
    return 0;
}

/* On an error msr_count tells which one was refused. */
long vcpu_set_msrs(struct vcpu *v, struct xen_domctl_vcpu_msrs *op)
{
    for (u32 i = 0; i < op->msr_count; i++) {
        struct xen_domctl_vcpu_msr msr;

        if (copy_from_guest_offset(&msr, op->msrs.p, i, 1))
            return -EFAULT;
        if (msr.reserved == 0 && msr.index == MSR_TSC_AUX && vcpu_has_feature(v, XEN_X86_FEATURE_RDTSCP) &&
            msr.value >> 32 == 0) {
            v->arch.tsc_aux = msr.value;
        } else if (msr.reserved || msr.index != MSR_MISC_FEATURES_ENABLES || msr.value) {
            op->msr_count = i;
            return -EINVAL;
        }
    }
    return 0;
}
