/* SPDX-License-Identifier: MIT */
/*
 * Traps: the way into the hypervisor (x86/entry.S, x86/traps.c) and the way to hand a trap on to a
 * paravirtualized guest (x86/pv/callback.c).
 */
#ifndef ASM_TRAPS_H
#define ASM_TRAPS_H

/* entry_vector of a frame that SYSCALL made: rcx and r11 are free, so that SYSRET may leave it. */
#define ENTRY_SYSCALL 0x100

/* Size of hypercall_table. */
#define NR_HYPERCALLS 64

/* arch_vcpu.flags */
#define VF_KERNEL_MODE 0x1              /* the guest's kernel runs, not its user space */

/* arch_vcpu.callback_flags: entry through that callback masks events. */
#define CBF_SYSCALL_MASKS_EVENTS  0x1
#define CBF_FAILSAFE_MASKS_EVENTS 0x2
#define CBF_SYSENTER_MASKS_EVENTS 0x4
#define CBF_SYSCALL32_MASKS_EVENTS 0x8

/* arch_vcpu.async: pending until delivered; masked from then until the guest's iret. */
#define ASYNC_NMI_PENDING 0x1
#define ASYNC_NMI_MASKED  0x2

#ifndef __ASSEMBLY__

#include <domus/types.h>
#include <asm/current.h>

struct vcpu;

/* The guest that runs here is in its kernel (all of a PV guest is in ring 3). */
bool guest_kernel_mode(const struct vcpu *v, const struct cpu_user_regs *regs);

/* ---- Handing a trap to the guest; current vCPU, on its way out ---- */

/* Raises hardware exception vector in the guest, with error_code where the vector has one. */
void pv_inject_hw_exception(unsigned int vector, u32 error_code);
/* Raises #PF; error_code as the CPU gave it. Sets the guest's CR2. */
void pv_inject_page_fault(u32 error_code, unsigned long cr2);
/* Raises vector as INT n, INT3 or INTO would: only if the guest's table permits it from where it runs. */
void pv_inject_sw_interrupt(unsigned int vector, unsigned int insn_length);

/*
 * A #GP with error code 0 from the guest: true if it was a privileged instruction that has been carried out, or for
 * which another exception has been raised. x86/pv/emul_priv.c. Interrupts on.
 */
bool pv_emulate_privileged(struct cpu_user_regs *regs);
/* A #UD from the guest: true if it was the public ABI's forced CPUID prefix, and has been served. */
bool pv_emulate_forced_prefix(struct cpu_user_regs *regs);

/* Sends v an NMI, which its kernel gets when it runs next: now, if it blocks. Any context but NMI. */
void pv_send_nmi(struct vcpu *v);

/* Whether addr may be a guest's code or stack: canonical and outside the hypervisor's slots. */
static inline bool guest_address_ok(unsigned long addr)
{
    return (addr < 0x0000800000000000UL) || (addr >= HYPERVISOR_SPACE_END);
}

/*
 * The guest's registers cannot be loaded: IRET or a segment selector faulted. The kernel's failsafe callback sorts out
 * which: segments (ds, es, fs, gs) differ from what it finds loaded if it was a selector. regs are the current vCPU's.
 */
void pv_failsafe(struct cpu_user_regs *regs, const u16 segments[4]);

/* Recomputes what entry code relies on, after kernel_sp, syscall_callback, the trap table or the domain's dirty_log
 * changed. */
void pv_update_entry(struct vcpu *v);

/* Switches between the guest's kernel and user: address space and GS base. Interrupts off. */
void pv_toggle_guest_mode(struct vcpu *v);

/* Hypercalls by number; an empty row answers -ENOSYS. x86/pv/hypercall.c. */
typedef long hypercall_fn(unsigned long, unsigned long, unsigned long, unsigned long, unsigned long, unsigned long);
extern hypercall_fn *const hypercall_table[NR_HYPERCALLS];

/* Fills a page with the stubs of the hypercall page of a 64-bit PV guest. */
void pv_fill_hypercall_page(void *page);

/* Makes SYSCALL of this CPU enter the hypervisor: MSRs and stub page. x86/traps.c; once a CPU. */
void syscall_init_cpu(unsigned int cpu);
/* Turns the places marked by ASM_STAC and ASM_CLAC into these instructions. Boot CPU, if it has SMAP. */
void patch_smap_sites(void);

/* Assembly, x86/entry.S. */
void ret_to_guest(void) __attribute__((noreturn));
void lstar_enter(void);
void cstar_enter(void);
extern const char restore_guest_iretq[];

#endif /* __ASSEMBLY__ */
#endif
