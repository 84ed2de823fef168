/* SPDX-License-Identifier: MIT */
/*
 * Every hypercall's handler, and the means to stop and restart one.
 * Numbers and argument meaning: xen/xen.h and the header of each family. Arguments that are
 * addresses are guest virtual addresses: only copy_from_guest/copy_to_guest may touch them.
 * Each returns the value that the guest sees: a count, 0, or a negative errno.
 */
#ifndef DOMUS_HYPERCALL_H
#define DOMUS_HYPERCALL_H

#include <domus/types.h>

struct vcpu;
struct domain;

typedef unsigned long guest_ptr_t;   /* untrusted address in the calling guest */

/* core/ */
long do_memory_op(unsigned long cmd, guest_ptr_t arg);
long do_multicall(guest_ptr_t call_list, unsigned int nr_calls);
long do_xen_version(int cmd, guest_ptr_t arg);
long do_console_io(unsigned int cmd, unsigned int count, guest_ptr_t buffer);
long do_grant_table_op(unsigned int cmd, guest_ptr_t uop, unsigned int count);
long do_vm_assist(unsigned int cmd, unsigned int type);
long do_vcpu_op(int cmd, unsigned int vcpuid, guest_ptr_t arg);
long do_sched_op(int cmd, guest_ptr_t arg);
long do_sched_op_compat(int cmd, unsigned long arg);
long do_set_timer_op(s_time_t timeout);
long do_event_channel_op(int cmd, guest_ptr_t arg);
long do_event_channel_op_compat(guest_ptr_t op);
long do_sysctl(guest_ptr_t u_sysctl);
long do_hypfs_op(unsigned int cmd, guest_ptr_t path, unsigned long path_len, guest_ptr_t buffer, unsigned long size);
long do_domctl(guest_ptr_t u_domctl);
/* x86/ */
long do_physdev_op(int cmd, guest_ptr_t arg);
long do_platform_op(guest_ptr_t op);
long do_hvm_op(unsigned int cmd, guest_ptr_t arg);
/* x86/pv/ */
long do_set_trap_table(guest_ptr_t traps);
long do_mmu_update(guest_ptr_t ureqs, unsigned int count, guest_ptr_t pdone, unsigned int foreigndom);
long do_set_gdt(guest_ptr_t frame_list, unsigned int entries);
long do_stack_switch(unsigned long ss, unsigned long esp);
long do_set_callbacks(unsigned long event, unsigned long failsafe, unsigned long syscall);
long do_fpu_taskswitch(int set);
long do_set_debugreg(int reg, unsigned long value);
long do_get_debugreg(int reg);
long do_update_descriptor(uint64_t maddr, uint64_t desc);
long do_update_va_mapping(unsigned long va, uint64_t val, unsigned long flags);
long do_update_va_mapping_otherdomain(unsigned long va, uint64_t val, unsigned long flags, domid_t domid);
long do_set_segment_base(unsigned int which, unsigned long base);
long do_mmuext_op(guest_ptr_t uops, unsigned int count, guest_ptr_t pdone, unsigned int foreigndom);
long do_nmi_op(unsigned int cmd, guest_ptr_t arg);
long do_callback_op(int cmd, guest_ptr_t arg);
long do_mca(guest_ptr_t arg);

/*
 * Preemption. A handler whose work grows with its arguments calls hypercall_preempt_check() now and
 * then; when it is true, it stores its progress in its arguments and returns
 *     hypercall_create_continuation(__HYPERVISOR_xxx, nargs, arg1, arg2, ...)
 * (each argument an unsigned long) which makes the guest execute the same hypercall again, or, inside
 * a multicall, makes the multicall continue there. x86/pv/hypercall.c.
 */
bool hypercall_preempt_check(void);
long hypercall_create_continuation(unsigned int op, unsigned int nargs, ...);

/* Runs one entry of a multicall: args[0..5], result to *result. Arch part; x86/pv/hypercall.c.
 * Returns 0, or 1 if that call was preempted and args/op were rewritten for its restart. */
struct multicall_entry;
int arch_multicall_call(struct multicall_entry *call);

/* Arch parts of core families; return -ENOSYS for what they don't know. */
long arch_memory_op(unsigned long cmd, guest_ptr_t arg);            /* x86/arch_memory_op.c */
/* memory_op on what only guests with translated frames have: error, or -EFAULT, -ESRCH, -EPERM. core/memory.c. */
long refuse_translated(guest_ptr_t arg, int error);
struct xen_domctl;
struct xen_sysctl;
long arch_do_domctl(struct xen_domctl *op, struct domain *d, guest_ptr_t u_domctl, bool *copyback);
long arch_do_sysctl(struct xen_sysctl *op, guest_ptr_t u_sysctl, bool *copyback);
long arch_do_vcpu_op(int cmd, struct vcpu *v, guest_ptr_t arg);

#endif
