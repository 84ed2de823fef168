/* SPDX-License-Identifier: MIT */
/*
 * State of a vCPU that struct vcpu_guest_context has no room for, as the tools save and restore it; x86/vcpu_state.c.
 * v is paused. Errors: -EINVAL for values that no vCPU can have, -EFAULT, -ENOBUFS, -ENOMEM.
 */
#ifndef ASM_VCPU_STATE_H
#define ASM_VCPU_STATE_H

struct vcpu;
struct xen_domctl_ext_vcpucontext;
struct xen_domctl_vcpuextstate;
struct xen_domctl_vcpu_msrs;

/* Callbacks for SYSENTER and 32-bit SYSCALL, machine-check abilities. */
long vcpu_get_ext_context(struct vcpu *v, struct xen_domctl_ext_vcpucontext *op);
long vcpu_set_ext_context(struct vcpu *v, const struct xen_domctl_ext_vcpucontext *op);
/* XCR0, all components used since boot, and the XSAVE area in its standard format. */
long vcpu_get_extstate(struct vcpu *v, struct xen_domctl_vcpuextstate *op);
long vcpu_set_extstate(struct vcpu *v, const struct xen_domctl_vcpuextstate *op);
/* MSRs that are not zero. */
long vcpu_get_msrs(struct vcpu *v, struct xen_domctl_vcpu_msrs *op);
long vcpu_set_msrs(struct vcpu *v, struct xen_domctl_vcpu_msrs *op);

#endif
