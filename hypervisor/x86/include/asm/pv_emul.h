/* SPDX-License-Identifier: MIT */
/*
 * Emulation for paravirtualized guests of what ring 3 may not do: ports, control and debug registers, MSRs, CPUID.
 * The entry points, pv_emulate_privileged() and pv_emulate_forced_prefix(), are in asm/traps.h.
 */
#ifndef ASM_PV_EMUL_H
#define ASM_PV_EMUL_H

#include <domus/types.h>

struct vcpu;
struct domain;
struct cpuid_leaf;

/* ---- Ports: x86/pv/emul_io.c ---- */

/* Whether the guest's own rules (IOPL, I/O bitmap) let code in its present mode use these ports; bytes 1, 2 or 4. v is the
 * current vCPU, interrupts are on. */
bool pv_io_allowed(struct vcpu *v, unsigned int port, unsigned int bytes);
/* The access itself: what the domain may not touch reads as ones and is not written. */
u32 pv_io_read(struct domain *d, unsigned int port, unsigned int bytes);
void pv_io_write(struct domain *d, unsigned int port, unsigned int bytes, u32 value);

/* ---- Registers ---- */

/* CPUID as v sees it. x86/cpuid.c. */
void guest_cpuid(const struct vcpu *v, u32 leaf, u32 subleaf, struct cpuid_leaf *res);
/* MSRs of the running vCPU, which is in its kernel; false: #GP. x86/pv/msr.c. */
bool guest_rdmsr(struct vcpu *v, u32 msr, u64 *value);
bool guest_wrmsr(struct vcpu *v, u32 msr, u64 value);
/*
 * Debug registers 0 to 3, 6 and 7; x86/pv/debugreg.c. Whether a guest may set a register to a value; to set it, of a vCPU that
 * is not loaded in the CPU; all as after a reset; to take them into the CPU when v comes, and out when it goes.
 */
bool pv_debugreg_valid(unsigned int reg, unsigned long value);
void pv_store_debugreg(struct vcpu *v, unsigned int reg, unsigned long value);
void pv_reset_debugregs(struct vcpu *v);
void pv_load_debugregs(const struct vcpu *v);
void pv_unload_debugregs(const struct vcpu *v);
/* CR4 as v sees it when it asks for value: bits that it may not choose are the hypervisor's. */
unsigned long pv_guest_cr4(const struct vcpu *v, unsigned long value);

#endif
