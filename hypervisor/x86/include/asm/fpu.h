/* SPDX-License-Identifier: MIT */
/* FPU and extended state of a vCPU: saved and restored at every vCPU switch. Intel SDM vol. 1, chapter 13. */
#ifndef ASM_FPU_H
#define ASM_FPU_H

#include <domus/types.h>

struct vcpu;

#define XSTATE_FP  (1UL << 0)
#define XSTATE_SSE (1UL << 1)
#define XSTATE_YMM (1UL << 2)
#define XSTATE_FP_SSE (XSTATE_FP | XSTATE_SSE)

/* The standard format of XSAVE; without XSAVE only fxsave is used. 64-byte aligned. */
struct xsave_area {
    u8 fxsave[512];
    u64 xstate_bv, xcomp_bv;
    u64 reserved[6];
    u8 extended[];
};
#define XSAVE_MIN_SIZE sizeof(struct xsave_area)

/* State components that all CPUs have and guests may use; 0 without XSAVE. */
extern u64 xfeature_mask;
/* Bytes of an area for all of xfeature_mask. */
extern unsigned int xsave_size;

void fpu_init_boot(void);               /* sets xfeature_mask, xsave_size */
void fpu_init_cpu(void);                /* XCR0 and FPU of this CPU */
/* No exception is pending and all are masked: what code that is not a guest's expects. What was there has been saved. */
void fpu_reset_registers(void);
int vcpu_fpu_create(struct vcpu *v);    /* -ENOMEM */
void vcpu_fpu_destroy(struct vcpu *v);
void vcpu_fpu_reset(struct vcpu *v);    /* as after power-on; v does not run */
/* The registers hold the state of the vCPU that runs here. IRQs off. */
void vcpu_fpu_save(struct vcpu *v);
void vcpu_fpu_restore(struct vcpu *v);
/* A legacy image from outside was copied in: clears what would make restoring it fault. */
void fpu_sanitise_legacy(struct vcpu *v);
/* XSETBV by a guest: whether value is valid for XCR0. */
bool xcr0_valid(u64 value);
/* The running vCPU's new XCR0, checked. */
void vcpu_set_xcr0(struct vcpu *v, u64 value);

#endif
