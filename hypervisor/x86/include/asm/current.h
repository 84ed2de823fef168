/* SPDX-License-Identifier: MIT */
/*
 * What a physical CPU knows about itself, at the top of its stack block: found by masking the stack pointer, since GS and
 * FS are the guest's at all times.
 */
#ifndef ASM_CURRENT_H
#define ASM_CURRENT_H

#include <asm/config.h>
#ifndef __ASSEMBLY__
#include <domus/types.h>
#include <xen/xen.h>

struct vcpu;

struct cpu_info {
    struct cpu_user_regs guest_regs;    /* pushed on entry from a guest; ss is the last word that the CPU pushes */
    unsigned int processor_id;
    u32 softirq_pending;                /* bit n: soft interrupt n (domus/softirq.h); set atomically, also by others */
    struct vcpu *current_vcpu;
    unsigned long per_cpu_offset;
    unsigned long cr4;                  /* what CR4 holds: saves reading it */
    unsigned long scratch;              /* for entry code */
    unsigned long pad;
};

/* The CPU aligns a frame that it pushes to 16 bytes, and the frame must end where guest_regs.es begins. */
_Static_assert(sizeof(struct cpu_info) % 16 == 8, "struct cpu_info must leave the trap frame aligned");

static inline struct cpu_info *stack_cpu_info(unsigned long any_rsp)
{
    return (struct cpu_info *)((any_rsp & ~(STACK_SIZE - 1)) + STACK_SIZE - sizeof(struct cpu_info));
}

/* Another CPU's, once its stack is there. */
extern void *cpu_stack[NR_CPUS];
static inline struct cpu_info *cpu_info_of(unsigned int cpu) { return stack_cpu_info((unsigned long)cpu_stack[cpu]); }

static inline struct cpu_info *get_cpu_info(void)
{
    unsigned long rsp;

    asm("mov %%rsp, %0" : "=r"(rsp));
    return stack_cpu_info(rsp);
}

#define current              (get_cpu_info()->current_vcpu)
#define smp_processor_id()   (get_cpu_info()->processor_id)
#define guest_cpu_user_regs() (&get_cpu_info()->guest_regs)
#define set_current(v)       (get_cpu_info()->current_vcpu = (v))

/* Whether regs were pushed on entry from the guest, not by a trap inside the hypervisor. */
#define guest_mode(r)        (((r)->cs & 3) == 3)

/* Continues in fn on an empty stack: nothing on this stack is needed any more. */
#define reset_stack_and_jump(fn)                                                                                      \
    do {                                                                                                              \
        asm volatile("mov %0, %%rsp\n jmp %P1" : : "r"(guest_cpu_user_regs()), "i"(fn) : "memory");                   \
        __builtin_unreachable();                                                                                      \
    } while (0)

#endif /* __ASSEMBLY__ */
#endif
