/* SPDX-License-Identifier: MIT */
/* Offsets of structure fields that assembly uses: the Makefile turns each OFFSET line into a #define. */
#include <domus/domain.h>
#include <asm/current.h>
#include <asm/domain.h>
#include <asm/traps.h>

#define DEFINE(sym, value) asm volatile(".ascii \"==>" #sym " %0\"" : : "i"(value))
#define OFFSET(sym, type, member) DEFINE(sym, __builtin_offsetof(type, member))

void asm_offsets(void);

void asm_offsets(void)
{
    OFFSET(UREGS_r15, struct cpu_user_regs, r15);
    OFFSET(UREGS_r11, struct cpu_user_regs, r11);
    OFFSET(UREGS_rax, struct cpu_user_regs, rax);
    OFFSET(UREGS_rcx, struct cpu_user_regs, rcx);
    OFFSET(UREGS_rdi, struct cpu_user_regs, rdi);
    OFFSET(UREGS_error_code, struct cpu_user_regs, error_code);
    OFFSET(UREGS_entry_vector, struct cpu_user_regs, entry_vector);
    OFFSET(UREGS_rip, struct cpu_user_regs, rip);
    OFFSET(UREGS_cs, struct cpu_user_regs, cs);
    OFFSET(UREGS_es, struct cpu_user_regs, es);

    OFFSET(CPUINFO_guest_regs, struct cpu_info, guest_regs);
    OFFSET(CPUINFO_current, struct cpu_info, current_vcpu);
    OFFSET(CPUINFO_softirq_pending, struct cpu_info, softirq_pending);
    DEFINE(CPUINFO_sizeof, sizeof(struct cpu_info));

    OFFSET(VCPU_vcpu_info, struct vcpu, vcpu_info);
    OFFSET(VCPU_flags, struct vcpu, arch.flags);
    OFFSET(VCPU_cr3_kernel, struct vcpu, arch.cr3_kernel);
    OFFSET(VCPU_cr3_user, struct vcpu, arch.cr3_user);
    OFFSET(VCPU_entry_sp, struct vcpu, arch.entry_sp);
    OFFSET(VCPU_page_fault_entry, struct vcpu, arch.page_fault_entry);
    OFFSET(VCPU_syscall_callback, struct vcpu, arch.syscall_callback);
    OFFSET(VCPU_callback_flags, struct vcpu, arch.callback_flags);
    OFFSET(VCPU_async_state, struct vcpu, arch.async);

    OFFSET(VCPUINFO_upcall_pending, struct vcpu_info, evtchn_upcall_pending);
    OFFSET(VCPUINFO_upcall_mask, struct vcpu_info, evtchn_upcall_mask);
    OFFSET(VCPUINFO_cr2, struct vcpu_info, arch.cr2);
}
