/* SPDX-License-Identifier: MIT */
/*
 * Exceptions: which are the guest's own and go to its kernel, which the hypervisor serves, and which it
 * brought about itself and expected (exception table) or not (the end).
 */
#include <domus/domain.h>
#include <domus/guest_access.h>
#include <domus/lib.h>
#include <domus/string.h>
#include <asm/cpufeature.h>
#include <asm/desc.h>
#include <asm/irq.h>
#include <asm/machine.h>
#include <asm/mce.h>
#include <asm/mm_init.h>
#include <asm/processor.h>
#include <asm/segments.h>
#include <asm/pv_mm.h>
#include <asm/pv_shadow.h>
#include <asm/symbols.h>
#include <asm/traps.h>

extern const char iret_hypercall_iretq[];
extern const u64 __start_smap_stac[], __stop_smap_stac[], __start_smap_clac[], __stop_smap_clac[];

/* Selector error codes: the fault concerns an IDT gate, so the guest executed INT n. */
#define SELECTOR_ERROR_IDT 2u

static bool is_guest_iret(const struct cpu_user_regs *regs)
{
    return regs->rip == (unsigned long)restore_guest_iretq || regs->rip == (unsigned long)iret_hypercall_iretq;
}

/*
 * An IRET to the guest faulted: the general registers already hold the guest's values, so they are in the frame of this
 * fault; what IRET would have loaded is still in guest_regs. Makes guest_regs whole again. The fault's frame overlaps it,
 * hence the copy.
 */
static struct cpu_user_regs *take_back_guest_regs(const struct cpu_user_regs *fault)
{
    struct cpu_user_regs saved = *fault;
    struct cpu_user_regs *regs = guest_cpu_user_regs();

    memcpy(regs, &saved, offsetof(struct cpu_user_regs, error_code));
    regs->error_code = 0;
    regs->entry_vector = 0;
    return regs;
}

/* What IRET was to load cannot be loaded: the guest's failsafe callback gets it. */
static void guest_iret_fault(const struct cpu_user_regs *fault)
{
    u16 segments[4];

    read_selectors(segments);
    pv_failsafe(take_back_guest_regs(fault), segments);
    reset_stack_and_jump(ret_to_guest);
}

/* A fault inside the hypervisor that was provided for: true. */
static bool fixup_exception(struct cpu_user_regs *regs)
{
    unsigned long fixup;

    if (is_guest_iret(regs))
        guest_iret_fault(regs);
    fixup = search_exception_table(regs->rip);
    if (fixup == 0)
        return false;
    regs->rip = fixup;
    return true;
}

/* Exceptions that the hypervisor has no interest in: the guest's, or expected, or fatal. */
static void do_trap(struct cpu_user_regs *regs)
{
    if (guest_mode(regs))
        pv_inject_hw_exception(regs->entry_vector, regs->error_code);
    else if (!fixup_exception(regs))
        fatal_trap(regs);
}

static void do_debug(struct cpu_user_regs *regs)
{
    unsigned long dr6 = read_dr6();
    struct vcpu *v = current;

    /* Hardware does not clear DR6. */
    write_dr6(0xffff0ff0);
    if (!guest_mode(regs)) {
        /* Breakpoints that the guest put on its own memory, hit while the hypervisor reads that: not its business. */
        regs->rflags &= ~(u64)X86_EFLAGS_TF;
        return;
    }
    v->arch.dr[6] |= dr6 & 0xe00f;
    pv_inject_hw_exception(X86_EXC_DB, 0);
}

/* CR0.TS is set only if the guest asked for it, and only until this trap. */
static void do_device_not_available(struct cpu_user_regs *regs)
{
    if (!guest_mode(regs))
        fatal_trap(regs);
    clts();
    current->arch.cr0 &= ~(unsigned long)X86_CR0_TS;
    pv_inject_hw_exception(X86_EXC_NM, 0);
}

static void do_int3(struct cpu_user_regs *regs)
{
    if (!guest_mode(regs)) {
        if (!fixup_exception(regs))
            fatal_trap(regs);
        return;
    }
    pv_inject_sw_interrupt(X86_EXC_BP, 0);
}

static void do_overflow(struct cpu_user_regs *regs)
{
    if (guest_mode(regs))
        pv_inject_sw_interrupt(X86_EXC_OF, 0);
    else
        fatal_trap(regs);
}

static void do_invalid_op(struct cpu_user_regs *regs)
{
    if (!guest_mode(regs)) {
        if (!fixup_exception(regs))
            fatal_trap(regs);
        return;
    }
    if (!pv_emulate_forced_prefix(regs))
        pv_inject_hw_exception(X86_EXC_UD, 0);
}

/*
 * INT n in the guest: ring 3 may not use our gates, so it arrives as #GP. The vector is read from the instruction: not
 * every CPU and emulator gives it in the error code alike. False if the instruction is no INT n.
 */
static bool guest_int_n(struct cpu_user_regs *regs)
{
    u8 insn[2];

    if (copy_from_guest(insn, (const void *)regs->rip, sizeof(insn)) || insn[0] != 0xcd)
        return false;
    pv_inject_sw_interrupt(insn[1], 2);
    return true;
}

static void do_general_protection(struct cpu_user_regs *regs)
{
    if (!guest_mode(regs)) {
        if (!fixup_exception(regs))
            fatal_trap(regs);
        return;
    }
    local_irq_enable();
    if ((regs->error_code & SELECTOR_ERROR_IDT) && guest_int_n(regs))
        return;
    if (regs->error_code == 0 && pv_emulate_privileged(regs))
        return;
    pv_inject_hw_exception(X86_EXC_GP, regs->error_code);
}

/* ---- Page faults ---- */

/*
 * Whether the current page tables permit the hypervisor the access that faulted: the TLB was behind them, as when
 * another CPU has just allowed more. The access may simply be tried again.
 */
static bool spurious_fault(unsigned long addr, u32 error_code)
{
    u64 needed = error_code & PFEC_WRITE ? _PAGE_PRESENT | _PAGE_RW : _PAGE_PRESENT;
    u64 table = read_cr3();

    if (error_code & (PFEC_RESERVED | PFEC_PROT_KEY | PFEC_INSN))
        return false;
    for (unsigned int level = 4;; level--) {
        const pte_t *ptes = maddr_to_virt(table & PTE_ADDR_MASK);
        pte_t pte = pte_read(&ptes[pt_index(addr, level)]);

        if ((pte.v & needed) != needed)
            return false;
        if (level == 1 || (level < 4 && pte_large(pte)))
            return true;
        table = pte.v;
    }
}

static bool is_ldt_window(unsigned long addr)
{
    unsigned long ldt = LDT_VIRT(smp_processor_id());

    return addr >= ldt && addr < ldt + GUEST_LDT_PAGES * PAGE_SIZE;
}

/* An LDT access in this CPU's window at addr; true: the page is mapped now, try again. */
static bool descriptor_window_fault(unsigned long addr)
{
    return is_ldt_window(addr) && pv_map_ldt_page(current, addr - LDT_VIRT(smp_processor_id()));
}

/*
 * The same for a fault inside the hypervisor: a selector of the guest is being loaded. Interrupts on meanwhile, as the page
 * may take a flush of other CPUs, which may be here as well. Where it was IRET, softirqs and events may have come up by
 * now, so the way out begins anew.
 */
static bool hypervisor_ldt_fault(const struct cpu_user_regs *regs, unsigned long addr)
{
    bool mapped;

    if (!is_ldt_window(addr))
        return false;
    local_irq_enable();
    mapped = descriptor_window_fault(addr);
    local_irq_disable();
    if (mapped && is_guest_iret(regs)) {
        take_back_guest_regs(regs);
        reset_stack_and_jump(ret_to_guest);
    }
    return mapped;
}

/* Whether addr is the guest's to use, and its domain runs on shadow page tables. */
static inline bool is_shadowed(const struct vcpu *v, unsigned long addr)
{
    return unlikely(v->domain->dirty_log != NULL) && !is_hypervisor_address(addr);
}

/*
 * A shadow's entry is missing where the hypervisor itself uses the guest's memory. Interrupts may have been off; what
 * came up meanwhile is not to wait until the guest's next entry, so an interrupt is left for the guest's first instruction.
 */
static bool hypervisor_shadow_fault(const struct cpu_user_regs *regs, unsigned long addr)
{
    struct vcpu *v = current;
    u32 error_code = regs->error_code;
    bool served;

    if (!is_shadowed(v, addr) || (error_code & PFEC_RESERVED) || search_exception_table(regs->rip) == 0)
        return false;
    /* Where SMAP does not stand in the way, what the guest may do is not refused. Another CPU may have filled the
     * entry, and one more emptied it since, so that spurious_fault() would find nothing. */
    if (regs->rflags & X86_EFLAGS_AC || !cpu_has_smap)
        error_code |= PFEC_USER;
    local_irq_enable();
    served = shadow_fault(v, addr, error_code);
    local_irq_disable();
    if (!(regs->rflags & X86_EFLAGS_IF))
        smp_send_event_check(smp_processor_id());
    return served;
}

/*
 * QEMU before version 8 reads the stack of an IRET in ring 3 as a supervisor would, so SMAP stops a PV kernel's own
 * IRETQ with an error code that no ring 3 access can have. Served here: IRET to the same ring.
 */
static bool emulate_guest_iret(struct cpu_user_regs *regs)
{
    u8 insn[2];
    u64 frame[5];               /* rip, cs, rflags, rsp, ss */
    const u64 user_flags = ~(u64)(X86_EFLAGS_IOPL | X86_EFLAGS_IF | X86_EFLAGS_VM | X86_EFLAGS_VIF | X86_EFLAGS_VIP);

    if (copy_from_guest(insn, (const void *)regs->rip, sizeof(insn)) || insn[0] != 0x48 || insn[1] != 0xcf)
        return false;
    if (copy_from_guest(frame, (const void *)regs->rsp, sizeof(frame)))
        return false;
    if ((frame[1] & 3) != 3 || (frame[4] & 3) != 3)
        return false;
    regs->rip = frame[0];
    regs->cs = frame[1];
    regs->rflags = (regs->rflags & ~user_flags) | (frame[2] & user_flags & 0x3fffff) | X86_EFLAGS_MBS;
    regs->rsp = frame[3];
    regs->ss = frame[4];
    regs->entry_vector = 0;     /* not by SYSRET: it loads fixed selectors */
    return true;
}

static void guest_page_fault(struct cpu_user_regs *regs, unsigned long addr)
{
    struct vcpu *v = current;
    u32 error_code = regs->error_code;

    local_irq_enable();
    if (is_shadowed(v, addr) && !(error_code & PFEC_RESERVED) && shadow_fault(v, addr, error_code))
        return;
    if ((error_code & (PFEC_PRESENT | PFEC_USER | PFEC_WRITE | PFEC_INSN)) == PFEC_PRESENT) {
        if (descriptor_window_fault(addr))
            return;
        if (cpu_has_smap && emulate_guest_iret(regs))
            return;
    }
    if (error_code & PFEC_RESERVED) {
        domain_crash(v->domain, "reserved bit set in the page tables for %#lx\n", addr);
        return;
    }
    if (addr >= HYPERVISOR_SPACE_START && addr < HYPERVISOR_SPACE_END) {
        if (!(error_code & PFEC_USER) && descriptor_window_fault(addr))
            return;
    } else if ((error_code & (PFEC_WRITE | PFEC_PRESENT)) == (PFEC_WRITE | PFEC_PRESENT) &&
               (v->arch.flags & VF_KERNEL_MODE) && pv_pt_write_fault(v, addr, regs)) {
        return;
    }
    pv_inject_page_fault(error_code, addr);
}

static void do_page_fault(struct cpu_user_regs *regs)
{
    unsigned long addr = read_cr2();

    if (guest_mode(regs)) {
        guest_page_fault(regs, addr);
        return;
    }
    if (hypervisor_ldt_fault(regs, addr) || hypervisor_shadow_fault(regs, addr))
        return;
    if ((regs->rflags & X86_EFLAGS_AC || !cpu_has_smap) && spurious_fault(addr, regs->error_code))
        return;
    if (!fixup_exception(regs))
        fatal_trap(regs);
}

static void do_double_fault(struct cpu_user_regs *regs)
{
    fatal_trap(regs);
}

/* No CPU that Domus sets up raises these. */
static void do_reserved(struct cpu_user_regs *regs)
{
    fatal_trap(regs);
}

typedef void trap_fn(struct cpu_user_regs *regs);

extern trap_fn *const exception_table[32];
trap_fn *const exception_table[32] = {
    [X86_EXC_DE] = do_trap,
    [X86_EXC_DB] = do_debug,
    [X86_EXC_NMI] = do_nmi,
    [X86_EXC_BP] = do_int3,
    [X86_EXC_OF] = do_overflow,
    [X86_EXC_BR] = do_trap,
    [X86_EXC_UD] = do_invalid_op,
    [X86_EXC_NM] = do_device_not_available,
    [X86_EXC_DF] = do_double_fault,
    [9] = do_reserved,
    [X86_EXC_TS] = do_trap,
    [X86_EXC_NP] = do_trap,
    [X86_EXC_SS] = do_trap,
    [X86_EXC_GP] = do_general_protection,
    [X86_EXC_PF] = do_page_fault,
    [15] = do_reserved,
    [X86_EXC_MF] = do_trap,
    [X86_EXC_AC] = do_trap,
    [X86_EXC_MC] = do_machine_check,
    [X86_EXC_XM] = do_trap,
    [20 ... 31] = do_reserved,
};

/* ---- Set-up ---- */

static void patch_sites(const u64 *from, const u64 *to, u8 last_byte)
{
    for (; from < to; from++) {
        u8 *p = (u8 *)*from;

        p[0] = 0x0f;
        p[1] = 0x01;
        p[2] = last_byte;
    }
}

void patch_smap_sites(void)
{
    unsigned long flags, cr0 = read_cr0();

    if (!cpu_has_smap)
        return;
    local_irq_save(flags);
    write_cr0(cr0 & ~(unsigned long)X86_CR0_WP);
    patch_sites(__start_smap_stac, __stop_smap_stac, 0xcb);
    patch_sites(__start_smap_clac, __stop_smap_clac, 0xca);
    write_cr0(cr0);
    local_irq_restore(flags);
}

/*
 * Writes an entry stub: SYSCALL changes neither stack nor any register to find one by, so each CPU has code of its own,
 * which switches to that CPU's stack by a constant and pushes ss and rsp there. It runs at STUB_VIRT(cpu); the page that
 * follows there is the top of the CPU's stack block, where cpu_info.scratch keeps the guest's stack pointer meanwhile.
 */
static u8 *write_stub(u8 *p, unsigned long runs_at, unsigned long stack_top, unsigned long scratch_at,
                      u32 ss, void (*target)(void))
{
    u8 *start = p;
    s32 disp;

#define EMIT(type, value)                                                                           \
    do { type v_ = (value); memcpy(p, &v_, sizeof(v_)); p += sizeof(v_); } while (0)
#define EMIT_SCRATCH_DISP()                                                                         \
    do { disp = (s32)(scratch_at - (runs_at + (unsigned long)(p - start) + 4)); EMIT(s32, disp); } while (0)
    EMIT(u8, 0x48); EMIT(u8, 0x89); EMIT(u8, 0x25);             /* mov %rsp, scratch(%rip) */
    EMIT_SCRATCH_DISP();
    EMIT(u8, 0x48); EMIT(u8, 0xbc); EMIT(u64, stack_top);       /* movabs $stack_top, %rsp */
    EMIT(u8, 0x68); EMIT(u32, ss);                              /* push $ss */
    EMIT(u8, 0xff); EMIT(u8, 0x35);                             /* push scratch(%rip) */
    EMIT_SCRATCH_DISP();
    EMIT(u8, 0xff); EMIT(u8, 0x25); EMIT(u32, 0);               /* jmp *0(%rip) */
    EMIT(u64, (u64)target);
#undef EMIT
#undef EMIT_SCRATCH_DISP
    return p;
}

void syscall_init_cpu(unsigned int cpu)
{
    struct cpu_info *info = get_cpu_info();
    unsigned long stack_top = (unsigned long)&info->guest_regs.es;
    unsigned long data_page = STUB_VIRT(cpu) + PAGE_SIZE;
    unsigned long scratch = data_page + ((unsigned long)&info->scratch & ~PAGE_MASK);
    u8 *page = percpu_stub_page(cpu);
    pte_t *ptes = percpu_window_ptes(cpu);
    u8 *next;

    ptes[WINDOW_STUB_PAGE + 1] = pte_from_mfn(virt_to_mfn(info), PAGE_HV_RW);
    next = write_stub(page, STUB_VIRT(cpu), stack_top, scratch, FLAT_KERNEL_SS64, lstar_enter);
    next = page + ROUNDUP((unsigned long)(next - page), 64);
    write_stub(next, STUB_VIRT(cpu) + (unsigned long)(next - page), stack_top, scratch, FLAT_USER_SS32, cstar_enter);

    wrmsr(MSR_STAR, (u64)FLAT_RING3_CS32 << 48 | (u64)HYPERVISOR_CS << 32);
    wrmsr(MSR_LSTAR, STUB_VIRT(cpu));
    wrmsr(MSR_CSTAR, STUB_VIRT(cpu) + (unsigned long)(next - page));
    wrmsr(MSR_SYSCALL_MASK, X86_EFLAGS_VM | X86_EFLAGS_RF | X86_EFLAGS_NT | X86_EFLAGS_DF | X86_EFLAGS_IF | X86_EFLAGS_TF |
                          X86_EFLAGS_AC | X86_EFLAGS_IOPL);
    wrmsr_safe(MSR_SYSENTER_CS, 0);             /* SYSENTER in a guest faults: #GP, handed to it */
}
