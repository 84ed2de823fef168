/* SPDX-License-Identifier: MIT */
/*
 * The hypercall table of 64-bit paravirtualized guests, how a hypercall is stopped and started again, the hypercall page,
 * and the small hypercalls that concern one CPU register each.
 */
#include <domus/domain.h>
#include <domus/hypercall.h>
#include <domus/lib.h>
#include <domus/softirq.h>
#include <domus/string.h>
#include <asm/processor.h>
#include <asm/segments.h>
#include <asm/trace.h>
#include <asm/traps.h>
#include <xen/xen.h>

/*
 * Arguments arrive in registers, so a handler with fewer, or narrower, ones ignores the rest. The cast goes by way of
 * void * because each handler has a type of its own. Empty rows answer -ENOSYS; iret never comes here (x86/entry.S).
 */
#define ROW(name, fn) [__HYPERVISOR_##name] = (hypercall_fn *)(void *)(fn)

hypercall_fn *const hypercall_table[NR_HYPERCALLS] = {
    ROW(set_trap_table, do_set_trap_table),
    ROW(mmu_update, do_mmu_update),
    ROW(set_gdt, do_set_gdt),
    ROW(stack_switch, do_stack_switch),
    ROW(set_callbacks, do_set_callbacks),
    ROW(fpu_taskswitch, do_fpu_taskswitch),
    ROW(sched_op_compat, do_sched_op_compat),
    ROW(platform_op, do_platform_op),
    ROW(set_debugreg, do_set_debugreg),
    ROW(get_debugreg, do_get_debugreg),
    ROW(update_descriptor, do_update_descriptor),
    ROW(memory_op, do_memory_op),
    ROW(multicall, do_multicall),
    ROW(update_va_mapping, do_update_va_mapping),
    ROW(set_timer_op, do_set_timer_op),
    ROW(event_channel_op_compat, do_event_channel_op_compat),
    ROW(xen_version, do_xen_version),
    ROW(console_io, do_console_io),
    ROW(grant_table_op, do_grant_table_op),
    ROW(vm_assist, do_vm_assist),
    ROW(update_va_mapping_otherdomain, do_update_va_mapping_otherdomain),
    ROW(vcpu_op, do_vcpu_op),
    ROW(set_segment_base, do_set_segment_base),
    ROW(mmuext_op, do_mmuext_op),
    ROW(nmi_op, do_nmi_op),
    ROW(sched_op, do_sched_op),
    ROW(callback_op, do_callback_op),
    ROW(event_channel_op, do_event_channel_op),
    ROW(physdev_op, do_physdev_op),
    ROW(hvm_op, do_hvm_op),
    ROW(sysctl, do_sysctl),
    ROW(domctl, do_domctl),
    ROW(hypfs_op, do_hypfs_op),
    ROW(arch_0, do_mca),
};

/* ---- Preemption ---- */

/* Something waits that only the way out serves: softirqs, or an event for this guest. */
bool hypercall_preempt_check(void)
{
    const struct vcpu *v = current;

    return READ_ONCE(get_cpu_info()->softirq_pending) != 0 ||
           (READ_ONCE(v->vcpu_info->evtchn_upcall_pending) && !READ_ONCE(v->vcpu_info->evtchn_upcall_mask));
}

#define SYSCALL_INSN_LENGTH 2

static u64 *argument_register(struct cpu_user_regs *regs, unsigned int n)
{
    u64 *const reg[6] = { &regs->rdi, &regs->rsi, &regs->rdx, &regs->r10, &regs->r8, &regs->r9 };

    return reg[n];
}

/*
 * Makes the guest run hypercall op again with these nargs arguments. Outside a multicall the guest's registers are set and
 * its instruction pointer moved back to the SYSCALL; inside one, arch_multicall_call passes them on. The caller returns
 * what this returns.
 */
long hypercall_create_continuation(unsigned int op, unsigned int nargs, ...)
{
    struct vcpu *v = current;
    struct cpu_user_regs *regs = guest_cpu_user_regs();
    va_list args;

    BUG_ON(nargs > 6);
    v->hcall_preempted = true;
    va_start(args, nargs);
    for (unsigned int i = 0; i < nargs; i++) {
        unsigned long value = va_arg(args, unsigned long);

        if (v->in_multicall)
            v->arch.continuation_args[i] = value;
        else
            *argument_register(regs, i) = value;
    }
    va_end(args);
    v->arch.continuation_nargs = nargs;
    if (!v->in_multicall)
        regs->rip -= SYSCALL_INSN_LENGTH;
    return op;
}

int arch_multicall_call(struct multicall_entry *call)
{
    struct vcpu *v = current;
    hypercall_fn *fn = NULL;

    if (call->op < NR_HYPERCALLS)
        fn = hypercall_table[array_index_nospec(call->op, NR_HYPERCALLS)];
    if (fn == NULL) {
        call->result = (unsigned long)-ENOSYS;
        return 0;
    }
    trace_hypercall(TRC_PV_HYPERCALL_SUBCALL, (unsigned int)call->op, call->args);
    v->hcall_preempted = false;
    call->result = (unsigned long)fn(call->args[0], call->args[1], call->args[2], call->args[3], call->args[4],
                                     call->args[5]);
    if (!v->hcall_preempted)
        return 0;
    v->hcall_preempted = false;
    call->op = call->result;
    for (unsigned int i = 0; i < v->arch.continuation_nargs; i++)
        call->args[i] = v->arch.continuation_args[i];
    return 1;
}

/* ---- Hypercall page ---- */

#define STUB_SIZE 32

static const u8 stub_call[] = {
    0x51,                           /* push %rcx */
    0x41, 0x53,                     /* push %r11 */
    0xb8, 0, 0, 0, 0,               /* mov $number, %eax */
    0x0f, 0x05,                     /* syscall */
    0x41, 0x5b,                     /* pop %r11 */
    0x59,                           /* pop %rcx */
    0xc3,                           /* ret */
};
static const u8 stub_iret[] = {
    0x51,                           /* push %rcx */
    0x41, 0x53,                     /* push %r11 */
    0x50,                           /* push %rax */
    0xb8, 0, 0, 0, 0,               /* mov $number, %eax */
    0x0f, 0x05,                     /* syscall */
};

void pv_fill_hypercall_page(void *page)
{
    memset(page, 0xcc, PAGE_SIZE);
    for (u32 nr = 0; nr < PAGE_SIZE / STUB_SIZE; nr++) {
        u8 *stub = (u8 *)page + nr * STUB_SIZE;

        if (nr == __HYPERVISOR_iret) {
            memcpy(stub, stub_iret, sizeof(stub_iret));
            memcpy(stub + 5, &nr, sizeof(nr));
        } else {
            memcpy(stub, stub_call, sizeof(stub_call));
            memcpy(stub + 4, &nr, sizeof(nr));
        }
    }
}

/* ---- Registers ---- */

/* HYPERVISOR_fpu_taskswitch: sets or clears CR0.TS. */
long do_fpu_taskswitch(int set)
{
    struct vcpu *v = current;

    if (set) {
        v->arch.cr0 |= X86_CR0_TS;
        stts();
    } else {
        v->arch.cr0 &= ~(unsigned long)X86_CR0_TS;
        clts();
    }
    return 0;
}

/* HYPERVISOR_set_segment_base: FS and GS bases, and the user's GS selector. xen/arch-x86/xen-x86_64.h. */
long do_set_segment_base(unsigned int which, unsigned long base)
{
    bool ok;

    switch (which) {
    case SEGBASE_FS:
        if (!is_canonical_address(base))
            return -EINVAL;
        write_fs_base(base);
        return 0;
    case SEGBASE_GS_USER:
        if (!is_canonical_address(base))
            return -EINVAL;
        write_inactive_gs_base(base);
        return 0;
    case SEGBASE_GS_KERNEL:
        if (!is_canonical_address(base))
            return -EINVAL;
        write_gs_base(base);
        return 0;
    case SEGBASE_GS_USER_SEL:
        local_irq_disable();
        ok = load_inactive_gs(base);
        local_irq_enable();
        return ok ? 0 : -EINVAL;
    default:
        return -EINVAL;
    }
}
