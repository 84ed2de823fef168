/* SPDX-License-Identifier: MIT */
/*
 * Handing traps and events to a paravirtualized guest: builds the frame that the public ABI describes on
 * the stack of the guest's kernel and points the guest's registers at its handler.
 *
 * Frame, from the new stack pointer up: rcx, r11, [error code | ds, es, fs, gs], rip, cs with the event
 * mask in its fifth byte, rflags (IF is the inverse of the event mask), rsp, ss. See xen/arch-x86/xen.h,
 * struct trap_info and struct vcpu_guest_context, and xen/callback.h.
 */
#include <domus/arch.h>
#include <domus/domain.h>
#include <domus/guest_access.h>
#include <domus/hypercall.h>
#include <domus/lib.h>
#include <domus/sched.h>
#include <domus/trace.h>
#include <asm/processor.h>
#include <asm/pv_mm.h>
#include <asm/traps.h>
#include <xen/callback.h>
#include <xen/nmi.h>

/* What kind of frame a handler expects between r11 and rip. */
enum frame_kind { FRAME_PLAIN, FRAME_ERROR_CODE, FRAME_FAILSAFE };

struct bounce {
    unsigned long address;
    enum frame_kind kind;
    u32 error_code;
    const u16 *segments;                /* FRAME_FAILSAFE: ds, es, fs, gs */
    bool mask_events;
};

/* Flags that a handler starts with cleared. */
#define HANDLER_CLEARS                                                                              \
    (X86_EFLAGS_AC | X86_EFLAGS_VM | X86_EFLAGS_RF | X86_EFLAGS_NT | X86_EFLAGS_TF | X86_EFLAGS_IOPL)

#define MAX_FRAME_WORDS 12

bool guest_kernel_mode(const struct vcpu *v, const struct cpu_user_regs *regs)
{
    return guest_mode(regs) && (v->arch.flags & VF_KERNEL_MODE);
}

void pv_toggle_guest_mode(struct vcpu *v)
{
    if (v->arch.flags & VF_KERNEL_MODE)
        v->arch.flags &= ~VF_KERNEL_MODE;
    else
        v->arch.flags |= VF_KERNEL_MODE;
    asm volatile("swapgs" : : : "memory");
    write_cr3(v->arch.flags & VF_KERNEL_MODE ? v->arch.cr3_kernel : v->arch.cr3_user);
}

/* Fills frame for regs; returns its length in words. */
static unsigned int make_frame(struct vcpu *v, const struct cpu_user_regs *regs, const struct bounce *b,
                               bool from_kernel, u64 frame[MAX_FRAME_WORDS])
{
    u8 mask = READ_ONCE(v->vcpu_info->evtchn_upcall_mask);
    u64 flags = regs->rflags & ~(u64)(X86_EFLAGS_IF | X86_EFLAGS_IOPL);
    unsigned int n = 0;

    if (mask == 0)
        flags |= X86_EFLAGS_IF;
    frame[n++] = regs->rcx;
    frame[n++] = regs->r11;
    if (b->kind == FRAME_ERROR_CODE) {
        frame[n++] = b->error_code;
    } else if (b->kind == FRAME_FAILSAFE) {
        for (unsigned int i = 0; i < 4; i++)
            frame[n++] = b->segments[i];
    }
    frame[n++] = regs->rip;
    /* The guest's kernel runs in ring 3 as well: a zero RPL tells it that the trap came from itself. */
    frame[n++] = (u64)(from_kernel ? regs->cs & ~3u : regs->cs) | (u64)mask << 32;
    frame[n++] = flags;
    frame[n++] = regs->rsp;
    frame[n++] = regs->ss;
    return n;
}

static bool stack_range_ok(unsigned long sp)
{
    return guest_address_ok(sp) && guest_address_ok(sp - MAX_FRAME_WORDS * 8);
}

/* Sends the guest to b->address. Crashes it if its kernel has no stack to put the frame on. */
static void bounce(struct vcpu *v, const struct bounce *b)
{
    struct cpu_user_regs *regs = guest_cpu_user_regs();
    bool from_kernel = v->arch.flags & VF_KERNEL_MODE;
    u64 frame[MAX_FRAME_WORDS];
    unsigned int words;
    unsigned long sp;

    if (!guest_address_ok(b->address) || b->address == 0) {
        domain_crash(v->domain, "no handler for a trap, or one at a bad address (%#lx)\n", b->address);
        return;
    }
    words = make_frame(v, regs, b, from_kernel, frame);
    if (!from_kernel) {
        local_irq_disable();
        pv_toggle_guest_mode(v);
    }
    sp = (from_kernel ? regs->rsp : v->arch.kernel_sp) & ~15UL;
    if (!stack_range_ok(sp) || copy_to_guest((void *)(sp - words * 8), frame, words * 8)) {
        domain_crash(v->domain, "cannot push a trap frame on the guest kernel's stack at %#lx\n", sp);
        return;
    }
    if (b->mask_events)
        v->vcpu_info->evtchn_upcall_mask = 1;
    regs->rip = b->address;
    regs->rsp = sp - words * 8;
    regs->cs = FLAT_KERNEL_CS;
    regs->ss = FLAT_KERNEL_SS;
    regs->rflags = (regs->rflags & ~(u64)HANDLER_CLEARS) | X86_EFLAGS_IF;
    regs->entry_vector |= ENTRY_SYSCALL;
}

static void bounce_trap(struct vcpu *v, unsigned int vector, enum frame_kind kind, u32 error_code)
{
    const struct pv_trap *t = &v->arch.trap[vector];
    struct bounce b = {
        .address = t->address,
        .kind = kind,
        .error_code = error_code,
        .mask_events = t->flags & PV_TRAP_MASK_EVENTS,
    };

    if (b.address == 0) {
        domain_crash(v->domain, "exception %u (error code %#x) at rip %#lx, but the guest has no handler for it\n",
                     vector, error_code, (unsigned long)guest_cpu_user_regs()->rip);
        return;
    }
    bounce(v, &b);
}

/* Vectors for which the CPU pushes an error code. */
#define ERROR_CODE_VECTORS                                                                          \
    (1u << X86_EXC_DF | 1u << X86_EXC_TS | 1u << X86_EXC_NP | 1u << X86_EXC_SS | 1u << X86_EXC_GP | \
     1u << X86_EXC_PF | 1u << X86_EXC_AC)

void pv_inject_hw_exception(unsigned int vector, u32 error_code)
{
    bool has_code = ERROR_CODE_VECTORS & 1u << vector;

    trace(TRC_PV_TRAP | TRC_64_FLAG, TRACE_64(guest_cpu_user_regs()->rip),
          vector | (u32)has_code << 15 | error_code << 16);
    bounce_trap(current, vector, has_code ? FRAME_ERROR_CODE : FRAME_PLAIN, error_code);
}

void pv_inject_page_fault(u32 error_code, unsigned long cr2)
{
    struct vcpu *v = current;

    trace(TRC_PV_PAGE_FAULT | TRC_64_FLAG, TRACE_64(guest_cpu_user_regs()->rip), TRACE_64(cr2), error_code);
    /* The guest's kernel is no user to the guest. */
    if (v->arch.flags & VF_KERNEL_MODE)
        error_code &= ~PFEC_USER;
    v->vcpu_info->arch.cr2 = cr2;
    bounce_trap(v, X86_EXC_PF, FRAME_ERROR_CODE, error_code);
}

void pv_inject_sw_interrupt(unsigned int vector, unsigned int insn_length)
{
    struct vcpu *v = current;
    const struct pv_trap *t = &v->arch.trap[vector];
    unsigned int cpl = v->arch.flags & VF_KERNEL_MODE ? 0 : 3;

    if (t->address == 0 || (t->flags & PV_TRAP_DPL_MASK) < cpl) {
        pv_inject_hw_exception(X86_EXC_GP, vector * 8 + 2);
        return;
    }
    guest_cpu_user_regs()->rip += insn_length;
    bounce_trap(v, vector, FRAME_PLAIN, 0);
}

static bool nmi_deliverable(const struct vcpu *v)
{
    return (READ_ONCE(v->arch.async) & (ASYNC_NMI_PENDING | ASYNC_NMI_MASKED)) == ASYNC_NMI_PENDING;
}

bool arch_vcpu_interrupted(const struct vcpu *v)
{
    return nmi_deliverable(v);
}

void pv_send_nmi(struct vcpu *v)
{
    __atomic_fetch_or(&v->arch.async, ASYNC_NMI_PENDING, __ATOMIC_SEQ_CST);
    vcpu_unblock(v);
    vcpu_kick(v);
}

/* ---- Called from entry.S ---- */

void pv_syscall(struct cpu_user_regs *regs);
void pv_syscall32(struct cpu_user_regs *regs);
void pv_deliver_event(struct cpu_user_regs *regs);
bool pv_deliver_async(struct cpu_user_regs *regs);
void pv_bounce_stack_fault(void);
void pv_crash_current(const char *why);

/* A system call of 64-bit user space that the fast path left alone. */
void pv_syscall(struct cpu_user_regs *regs)
{
    struct vcpu *v = current;
    struct bounce b = {
        .address = v->arch.syscall_callback,
        .mask_events = v->arch.callback_flags & CBF_SYSCALL_MASKS_EVENTS,
    };

    if (b.address == 0) {
        regs->rip -= 2;
        pv_inject_hw_exception(X86_EXC_UD, 0);
        return;
    }
    bounce(v, &b);
}

/* SYSCALL by 32-bit user space, or by a kernel that runs in a 32-bit code segment (refused). */
void pv_syscall32(struct cpu_user_regs *regs)
{
    struct vcpu *v = current;
    struct bounce b = {
        .address = v->arch.syscall32_callback,
        .mask_events = v->arch.callback_flags & CBF_SYSCALL32_MASKS_EVENTS,
    };

    regs->entry_vector = 0;
    if (b.address == 0 || (v->arch.flags & VF_KERNEL_MODE)) {
        regs->rip -= 2;
        pv_inject_hw_exception(X86_EXC_UD, 0);
        return;
    }
    bounce(v, &b);
}

/* Events are pending and not masked. */
void pv_deliver_event(struct cpu_user_regs *regs)
{
    struct vcpu *v = current;
    struct bounce b = { .address = v->arch.event_callback, .mask_events = true };

    (void)regs;
    bounce(v, &b);
}

/* An NMI is pending or being handled. Returns true if the frame may have changed. */
bool pv_deliver_async(struct cpu_user_regs *regs)
{
    struct vcpu *v = current;

    (void)regs;
    if (!nmi_deliverable(v))
        return false;
    __atomic_fetch_and(&v->arch.async, ~ASYNC_NMI_PENDING, __ATOMIC_SEQ_CST);
    if (v->arch.trap[X86_EXC_NMI].address == 0)
        return true;
    __atomic_fetch_or(&v->arch.async, ASYNC_NMI_MASKED, __ATOMIC_SEQ_CST);
    bounce_trap(v, X86_EXC_NMI, FRAME_PLAIN, 0);
    return true;
}

void pv_bounce_stack_fault(void)
{
    struct vcpu *v = current;

    domain_crash(v->domain, "cannot push a frame on the guest kernel's stack at %#lx\n",
                 v->arch.entry_sp);
}

void pv_crash_current(const char *why)
{
    domain_crash(current->domain, "%s", why);
}

void pv_failsafe(struct cpu_user_regs *regs, const u16 segments[4])
{
    struct vcpu *v = current;
    struct bounce b = {
        .address = v->arch.failsafe_callback,
        .kind = FRAME_FAILSAFE,
        .segments = segments,
        .mask_events = v->arch.callback_flags & CBF_FAILSAFE_MASKS_EVENTS,
    };

    regs->entry_vector = 0;
    bounce(v, &b);
}

/* ---- Hypercalls that register the handlers ---- */

/*
 * HYPERVISOR_set_trap_table (xen/xen.h): traps points to an array of struct trap_info that ends with a zero
 * address; NULL clears the table. -EFAULT leaves the entries before the bad one set.
 */
long do_set_trap_table(guest_ptr_t traps)
{
    struct vcpu *v = current;
    struct trap_info info;

    if (traps == 0) {
        memset(v->arch.trap, 0, 256 * sizeof(*v->arch.trap));
        pv_update_entry(v);
        return 0;
    }
    /* At most one turn a vector is needed: a longer list only repeats itself. */
    for (unsigned int n = 0; n < 257; n++, traps += sizeof(info)) {
        if (copy_from_guest(&info, (const void *)traps, sizeof(info)))
            return -EFAULT;
        if (info.address == 0)
            return 0;
        if (!guest_address_ok(info.address))
            return -EINVAL;
        v->arch.trap[info.vector] = (struct pv_trap){
            .address = info.address,
            .cs = info.cs,
            .flags = info.flags & (PV_TRAP_DPL_MASK | PV_TRAP_MASK_EVENTS),
        };
        if (info.vector == X86_EXC_PF)
            pv_update_entry(v);
    }
    return 0;
}

/* Callbacks for NMIs and the entry of the trap table are one: Linux sets only the latter. */
static void set_nmi_callback(struct vcpu *v, unsigned long address)
{
    v->arch.trap[X86_EXC_NMI] = (struct pv_trap){
        .address = address, .cs = FLAT_KERNEL_CS, .flags = PV_TRAP_MASK_EVENTS,
    };
}

static long register_callback(struct vcpu *v, const struct callback_register *reg)
{
    unsigned int flag = 0;

    if (!guest_address_ok(reg->address))
        return -EINVAL;
    switch (reg->type) {
    case CALLBACKTYPE_event:
        v->arch.event_callback = reg->address;
        break;
    case CALLBACKTYPE_failsafe:
        v->arch.failsafe_callback = reg->address;
        flag = CBF_FAILSAFE_MASKS_EVENTS;
        break;
    case CALLBACKTYPE_syscall:
        v->arch.syscall_callback = reg->address;
        flag = CBF_SYSCALL_MASKS_EVENTS;
        break;
    case CALLBACKTYPE_syscall32:
        v->arch.syscall32_callback = reg->address;
        flag = CBF_SYSCALL32_MASKS_EVENTS;
        break;
    case CALLBACKTYPE_sysenter:
        v->arch.sysenter_callback = reg->address;
        flag = CBF_SYSENTER_MASKS_EVENTS;
        break;
    case CALLBACKTYPE_nmi:
        set_nmi_callback(v, reg->address);
        break;
    default:
        return -ENOSYS;
    }
    if (reg->flags & CALLBACKF_mask_events)
        v->arch.callback_flags |= flag;
    else
        v->arch.callback_flags &= ~flag;
    pv_update_entry(v);
    return 0;
}

/* HYPERVISOR_callback_op (xen/callback.h). */
long do_callback_op(int cmd, guest_ptr_t arg)
{
    struct callback_register reg;
    struct callback_unregister unreg;

    switch (cmd) {
    case CALLBACKOP_register:
        if (copy_from_guest(&reg, (const void *)arg, sizeof(reg)))
            return -EFAULT;
        return register_callback(current, &reg);
    case CALLBACKOP_unregister:
        if (copy_from_guest(&unreg, (const void *)arg, sizeof(unreg)))
            return -EFAULT;
        if (unreg.type == CALLBACKTYPE_nmi) {
            set_nmi_callback(current, 0);
            return 0;
        }
        /* The others cannot be missing in a running kernel. */
        return unreg.type <= CALLBACKTYPE_syscall32 ? -EINVAL : -ENOSYS;
    default:
        return -ENOSYS;
    }
}

/* HYPERVISOR_set_callbacks: the older form for three of them. */
long do_set_callbacks(unsigned long event, unsigned long failsafe, unsigned long syscall)
{
    struct vcpu *v = current;

    if (!guest_address_ok(event) || !guest_address_ok(failsafe) || !guest_address_ok(syscall))
        return -EINVAL;
    v->arch.event_callback = event;
    v->arch.failsafe_callback = failsafe;
    v->arch.syscall_callback = syscall;
    pv_update_entry(v);
    return 0;
}

/* HYPERVISOR_nmi_op (xen/nmi.h): the NMI handler of a vCPU. */
long do_nmi_op(unsigned int cmd, guest_ptr_t arg)
{
    struct xennmi_callback cb;

    switch (cmd) {
    case XENNMI_register_callback:
        if (copy_from_guest(&cb, (const void *)arg, sizeof(cb)))
            return -EFAULT;
        if (!guest_address_ok(cb.handler_address))
            return -EINVAL;
        set_nmi_callback(current, cb.handler_address);
        return 0;
    case XENNMI_unregister_callback:
        set_nmi_callback(current, 0);
        return 0;
    default:
        return -ENOSYS;
    }
}

/*
 * Entry code trusts entry_sp and page_fault_entry and, where the former is set, syscall_callback. It bounces page faults
 * only to a handler that starts with events masked, so that it need not look at the flag; and none as long as the
 * domain runs on shadow page tables, whose faults are not all the guest's, or faults are traced. The last is found out
 * as late as this is called, which Linux's kernel makes happen whenever it switches processes.
 */
void pv_update_entry(struct vcpu *v)
{
    const struct pv_trap *t = &v->arch.trap[X86_EXC_PF];
    unsigned long sp = v->arch.kernel_sp & ~15UL;
    bool fit = stack_range_ok(sp) && sp != 0 && v->arch.syscall_callback != 0;

    v->arch.entry_sp = fit ? sp : 0;
    v->arch.page_fault_entry = fit && (t->flags & PV_TRAP_MASK_EVENTS) && !v->domain->dirty_log &&
                               !trace_wanted(TRC_PV_PAGE_FAULT) ? t->address : 0;
}

/* HYPERVISOR_stack_switch: where traps from user space push. ss is of no meaning in long mode. */
long do_stack_switch(unsigned long ss, unsigned long esp)
{
    struct vcpu *v = current;

    v->arch.kernel_ss = ss;
    v->arch.kernel_sp = esp;
    pv_update_entry(v);
    return 0;
}
