/* SPDX-License-Identifier: MIT */
/* Exceptions, software interrupts, system calls, iret, segment bases, debug registers and descriptor tables. */
#include "kernel.h"
#include <xen/version.h>

/* ---- Pieces of code to run in kernel or user mode ---- */

#define CODE(name, text) \
    extern char name[]; \
    asm(".pushsection .text\n.balign 16\n" #name ":\n" text "\nret\n.popsection")

CODE(code_ud2, "ud2");
CODE(code_divide, "xor %edx, %edx; mov $1, %eax; xor %ecx, %ecx; div %ecx");
CODE(code_int3, "int3");
CODE(code_int6, "int $6");
CODE(code_int20, "int $0x20");
CODE(code_int80, "int $0x80");
CODE(code_syscall, "syscall");
CODE(code_read_10, "mov 0x10, %rax");
CODE(code_write_10, "mov %rax, 0x10");
CODE(code_read_hypervisor, "mov $0xffff830000000000, %rax; mov (%rax), %rax");
CODE(code_write_m2p, "mov $0xffff800000000000, %rax; movq $0, (%rax)");
CODE(code_read_noncanonical, "mov $0x800000000000, %rax; mov (%rax), %rax");
CODE(code_bad_stack_syscall, "mov $0x800000000000, %rsp; syscall");
CODE(code_hypervisor_stack_syscall, "mov $0xffff830000000000, %rsp; syscall");
CODE(code_hypervisor_stack_ud2, "mov $0xffff830000000000, %rsp; ud2");
CODE(code_hlt, "hlt");
CODE(code_cli, "cli");
CODE(code_in, "mov $0x61, %dx; in %dx, %al");
CODE(code_out, "mov $0xed, %dx; xor %eax, %eax; out %al, %dx");
CODE(code_rdmsr, "mov $0xdeadbeef, %ecx; rdmsr");
CODE(code_wrmsr_lstar, "mov $0xc0000082, %ecx; xor %eax, %eax; xor %edx, %edx; wrmsr");
CODE(code_lgdt, "lgdt (%rsp)");
CODE(code_ltr, "xor %eax, %eax; ltr %ax");
CODE(code_mov_cr3, "mov %cr3, %rax");
CODE(code_load_cr3, "xor %eax, %eax; mov %rax, %cr3");
CODE(code_swapgs, "swapgs");
CODE(code_sysret, "sysretq");
CODE(code_vmmcall, "vmmcall");
CODE(code_invlpg, "invlpg (%rsp)");
CODE(code_jump_hypervisor, "mov $0xffff82d040200000, %rax; jmp *%rax");

static int run_kernel(char *code)
{
    return guarded(call_at, (unsigned long)code, 0);
}

/* ---- Exceptions of the kernel ---- */

static void kernel_exceptions(void)
{
    check_eq(run_kernel(code_ud2), 6);
    check_eq(last_trap.rip, code_ud2);
    check_eq(last_trap.cs & 3, 0);
    check_eq(run_kernel(code_divide), 0);
    check_eq(run_kernel(code_int3), 3);
    check_eq(last_trap.rip, code_int3 + 1);
    check_eq(run_kernel(code_lgdt), 13);
    check_eq(last_trap.error_code, 0);
    check_eq(run_kernel(code_ltr), 13);
    check_eq(run_kernel(code_rdmsr), 13);
    check_eq(run_kernel(code_swapgs), 13);
    check_eq(run_kernel(code_sysret), 13);
}

static void flags_of_frames(void)
{
    shared_info->vcpu_info[0].evtchn_upcall_mask = 0;
    run_kernel(code_ud2);
    check(last_trap.rflags & 0x200);
    check_eq(last_trap.saved_upcall_mask & 0xff, 0);
    shared_info->vcpu_info[0].evtchn_upcall_mask = 1;
    run_kernel(code_ud2);
    check(!(last_trap.rflags & 0x200));
    check_eq(last_trap.saved_upcall_mask & 0xff, 1);
    shared_info->vcpu_info[0].evtchn_upcall_mask = 0;
    check_eq(last_trap.rflags & 0x3000, 0);
}

static void kernel_page_faults(void)
{
    char *page = alloc_page();

    check_eq(guarded(read_at, 0x10, 0), 14);
    check_eq(last_trap.error_code, 0);
    check_eq(last_trap.cr2, 0x10);
    check_eq(guarded(write_at, 0x18, 0), 14);
    check_eq(last_trap.error_code, 2);
    check_eq(last_trap.cr2, 0x18);
    check_eq(set_pte((unsigned long)page, mfn_of(page) << PAGE_SHIFT | PTE_RO), 0);
    check_eq(guarded(read_at, (unsigned long)page, 0), TRAP_NONE);
    check_eq(guarded(write_at, (unsigned long)page, 0), 14);
    check_eq(last_trap.error_code, 3);
    check_eq(last_trap.cr2, page);
    check_eq(set_pte((unsigned long)page, mfn_of(page) << PAGE_SHIFT | PTE_DATA | PTE_NX), 0);
    page[0] = (char)0xc3;
    check_eq(guarded(call_at, (unsigned long)page, 0), 14);
    check_eq(last_trap.error_code, 0x11);
    check_eq(set_pte((unsigned long)page, mfn_of(page) << PAGE_SHIFT | PTE_DATA), 0);
    check_eq(guarded(call_at, (unsigned long)page, 0), TRAP_NONE);
    check_eq(guarded(read_at, NON_CANONICAL, 0), 13);
    check_eq(last_trap.error_code, 0);
    check_eq(guarded(call_at, 0xffffffffffff0000, 0), 14);
}

static void hypervisor_memory_is_closed(void)
{
    static const unsigned long addresses[] = {
        HV_SECRET, HV_START + (256UL << 30), 0xffff820000000000, 0xffff82d040200000, 0xffff82ffffffffff - 7,
        0xffff840000000000, HV_END - 8,
    };

    for (unsigned int i = 0; i < ARRAY_SIZE(addresses); i++) {
        check_eq(guarded(read_at, addresses[i], 0), 14);
        check_eq(last_trap.cr2, addresses[i]);
        check_eq(guarded(write_at, addresses[i], 0), 14);
        check_eq(last_trap.error_code & 6, 2);
        check_eq(guarded(call_at, addresses[i], 0), 14);
    }
    check_eq(run_kernel(code_jump_hypervisor), 14);
}

/* ---- Software interrupts ---- */

static void software_interrupts(void)
{
    extern char syscall_entry[];
    struct trap_info table[2] = {
        { .vector = 0x80, .flags = 3, .cs = FLAT_KERNEL_CS, .address = (unsigned long)syscall_entry },
    };

    /* The entry of vector 6 is not open to software, vector 0x20 has none. */
    check_eq(run_kernel(code_int20), 13);
    check_eq(last_trap.rip, code_int20);
    check_eq(run_user((unsigned long)code_int6), 13);
    check_eq(last_trap.rip, code_int6);
    check_eq(run_user((unsigned long)code_int20), 13);
    check_eq(HCALL(set_trap_table, table, 0, 0, 0, 0), 0);
    check_eq(run_kernel(code_int80), TRAP_SYSCALL);
    check_eq(last_trap.rip, code_int80 + 2);
    check_eq(run_user((unsigned long)code_int80), TRAP_SYSCALL);
    check_eq(last_trap.rip, code_int80 + 2);
    check_eq(last_trap.cs & 3, 3);
}

static void bad_trap_tables(void)
{
    struct trap_info table[2] = { { .vector = 0x90, .cs = FLAT_KERNEL_CS, .address = NON_CANONICAL } };

    check_eq(HCALL(set_trap_table, table, 0, 0, 0, 0), -XEN_EINVAL);
    check_eq(HCALL(set_trap_table, UNMAPPED, 0, 0, 0, 0), -XEN_EFAULT);
    check_eq(HCALL(set_trap_table, HV_SECRET, 0, 0, 0, 0), -XEN_EFAULT);
    check_eq(HCALL(set_trap_table, NON_CANONICAL, 0, 0, 0, 0), -XEN_EFAULT);
    check_eq(HCALL(set_trap_table, ~7UL, 0, 0, 0, 0), -XEN_EFAULT);
    check_eq(run_kernel(code_ud2), 6);
}

static void bad_callbacks(void)
{
    struct callback_register r = { .type = 1000, .address = (unsigned long)bad_callbacks };

    check_eq(HCALL(callback_op, CALLBACKOP_register, &r, 0, 0, 0), -XEN_ENOSYS);
    r.type = CALLBACKTYPE_event;
    r.address = NON_CANONICAL;
    check_eq(HCALL(callback_op, CALLBACKOP_register, &r, 0, 0, 0), -XEN_EINVAL);
    check_eq(HCALL(callback_op, CALLBACKOP_register, HV_SECRET, 0, 0, 0), -XEN_EFAULT);
    check_eq(HCALL(callback_op, CALLBACKOP_unregister, &r, 0, 0, 0), -XEN_EINVAL);
    check_eq(HCALL(callback_op, 77, &r, 0, 0, 0), -XEN_ENOSYS);
    check_eq(HCALL(nmi_op, XENNMI_register_callback, UNMAPPED, 0, 0, 0), -XEN_EFAULT);
    check_eq(HCALL(nmi_op, 55, 0, 0, 0, 0), -XEN_ENOSYS);
}

/* ---- User mode ---- */

static void user_mode(void)
{
    check_eq(run_user((unsigned long)code_syscall), TRAP_SYSCALL);
    check_eq(last_trap.rip, code_syscall + 2);
    check_eq(last_trap.cs & 3, 3);
    check_eq(last_trap.rsp, user_stack_end);
    check_eq(run_user((unsigned long)code_ud2), 6);
    check_eq(last_trap.rip, code_ud2);
    check_eq(last_trap.cs & 3, 3);
    check_eq(run_user((unsigned long)code_int3), 3);
    check_eq(run_user((unsigned long)code_divide), 0);
    check_eq(run_user((unsigned long)code_read_10), 14);
    check_eq(last_trap.error_code, 4);
    check_eq(last_trap.cr2, 0x10);
    check_eq(run_user((unsigned long)code_write_10), 14);
    check_eq(last_trap.error_code, 6);
    check_eq(run_user((unsigned long)code_read_noncanonical), 13);
}

/* Whatever a user's page fault finds in the registers reaches the kernel, by the short way in (4: masks events) and the long. */
#define ODD_FLAGS 0x40cd7UL             /* AC, OF, DF, SF, ZF, AF, PF, CF */
asm(".pushsection .text\n code_fault_with_registers: pushq $0x40cd7; popfq\n"
    "mov $0x1111111111111111, %rax; mov $0x2222222222222222, %rcx; mov $0x3333333333333333, %rdx\n"
    "mov $0x4444444444444444, %rbx; mov $0x5555555555555555, %rbp; mov $0x6666666666666666, %rsi\n"
    "mov $0x7777777777777777, %rdi; mov $0x8888888888888888, %r8; mov $0x9999999999999999, %r9\n"
    "mov $0xaaaaaaaaaaaaaaaa, %r10; mov $0xbbbbbbbbbbbbbbbb, %r11; mov $0xcccccccccccccccc, %r12\n"
    "mov $0xdddddddddddddddd, %r13; mov $0xeeeeeeeeeeeeeeee, %r14; mov $0x0f0f0f0f0f0f0f0f, %r15\n"
    "code_faulting_store: mov %rax, 0x10\n ret\n .popsection");
extern char code_fault_with_registers[], code_faulting_store[];

static void check_fault_frame(void)
{
    const struct trap_frame *f = &last_trap.frame;
    const uint64_t values[] = { f->rax, f->rcx, f->rdx, f->rbx, f->rbp, f->rsi, f->rdi, f->r8, f->r9, f->r10, f->r11,
                                f->r12, f->r13, f->r14 };

    for (unsigned int i = 0; i < ARRAY_SIZE(values); i++)
        check_eq(values[i], (i + 1) * 0x1111111111111111UL);
    check_eq(f->r15, 0x0f0f0f0f0f0f0f0f);
    check_eq(f->error_code, 6);
    check_eq(f->rip, code_faulting_store);
    check_eq(f->cs, FLAT_USER_CS);
    check_eq(f->rflags & ~0x10000UL, ODD_FLAGS | 0x202);       /* RF may be set: the instruction is to be tried again */
    check_eq(f->rsp, user_stack_end);
    check_eq(f->ss, FLAT_USER_SS);
    check_eq(last_trap.cr2, 0x10);
}

static void user_page_fault_frames(void)
{
    struct trap_info table[2] = { { .vector = 14, .cs = FLAT_KERNEL_CS, .address = trap_stubs[14] } };

    for (unsigned int flags = 0; flags <= 4; flags += 4) {
        table[0].flags = (uint8_t)flags;
        check_eq(HCALL(set_trap_table, table, 0, 0, 0, 0), 0);
        check_eq(run_user((unsigned long)code_fault_with_registers), 14);
        check_fault_frame();
        check_eq(last_trap.frame.cs >> 32, 0);
    }
}

/* A user that runs with events masked: the frame tells, and the mask stays. */
static void user_page_fault_with_events_masked(void)
{
    check_eq(run_user_with_flags((unsigned long)code_read_10, 0x002), 14);
    check_eq(last_trap.error_code, 4);
    check_eq(last_trap.saved_upcall_mask & 0xff, 1);
    check(!(last_trap.rflags & 0x200));
    check_eq(run_user((unsigned long)code_read_10), 14);
    check_eq(last_trap.saved_upcall_mask & 0xff, 0);
    check(last_trap.rflags & 0x200);
}

static void user_page_fault_on_instruction(void)
{
    char *page = alloc_page();

    page[0] = (char)0xc3;
    check_eq(set_pte((unsigned long)page, mfn_of(page) << PAGE_SHIFT | PTE_DATA | PTE_NX), 0);
    check_eq(run_user((unsigned long)page), 14);
    check_eq(last_trap.error_code, 0x15);
    check_eq(last_trap.cr2, page);
    check_eq(last_trap.rip, page);
    check_eq(set_pte((unsigned long)page, mfn_of(page) << PAGE_SHIFT | PTE_RO), 0);
    check_eq(run_user((unsigned long)code_write_10), 14);
    check_eq(last_trap.error_code, 6);
}

static void user_cannot_reach_hypervisor(void)
{
    check_eq(run_user((unsigned long)code_read_hypervisor), 14);
    check_eq(last_trap.cr2, HV_SECRET);
    check_eq(last_trap.error_code & 6, 4);
    check_eq(run_user((unsigned long)code_write_m2p), 14);
    check_eq(last_trap.error_code & 6, 6);
    check_eq(run_user((unsigned long)code_jump_hypervisor), 14);
}

static void user_has_no_privilege(void)
{
    static char *const codes[] = {
        code_hlt, code_cli, code_in, code_out, code_rdmsr, code_wrmsr_lstar, code_lgdt, code_ltr, code_mov_cr3,
        code_load_cr3, code_swapgs, code_sysret, code_invlpg,
    };

    for (unsigned int i = 0; i < ARRAY_SIZE(codes); i++) {
        if (run_user((unsigned long)codes[i]) != 13)
            fail(__FILE__, __LINE__, "code %u gave trap %d", i, last_trap.vector);
        check(last_trap.rip >= (unsigned long)codes[i] && last_trap.rip < (unsigned long)codes[i] + 16);
    }
    check_eq(run_user((unsigned long)code_vmmcall), 6);
}

static void user_stack_is_not_used(void)
{
    check_eq(run_user((unsigned long)code_bad_stack_syscall), TRAP_SYSCALL);
    check_eq(last_trap.rsp, NON_CANONICAL);
    check_eq(run_user((unsigned long)code_hypervisor_stack_syscall), TRAP_SYSCALL);
    check_eq(last_trap.rsp, HV_SECRET);
    check_eq(run_user((unsigned long)code_hypervisor_stack_ud2), 6);
    check_eq(last_trap.rsp, HV_SECRET);
}

/* A hypercall that uses the stack pointer for nothing. */
static void hypercall_on_no_stack(unsigned long sp, unsigned long result)
{
    asm volatile("mov %%rsp, %%rbx\n mov %[sp], %%rsp\n syscall\n mov %%rbx, %%rsp\n mov %%rax, (%[result])"
                 : : [sp] "r"(sp), [result] "r"(result), "a"(__HYPERVISOR_xen_version), "D"(XENVER_version), "S"(0)
                 : "memory", "rbx", "rcx", "r11", "cc");
}

static void kernel_stack_of_hypercalls(void)
{
    static const unsigned long stacks[] = { 0, NON_CANONICAL, HV_SECRET, UNMAPPED };
    long result;

    shared_info->vcpu_info[0].evtchn_upcall_mask = 1;
    for (unsigned int i = 0; i < ARRAY_SIZE(stacks); i++) {
        result = 0;
        hypercall_on_no_stack(stacks[i], (unsigned long)&result);
        check_eq(result, 4 << 16 | 17);
    }
    shared_info->vcpu_info[0].evtchn_upcall_mask = 0;
}

/* A system call at the very end of user space returns to an address that is not canonical. */
static void syscall_at_the_end_of_user_space(void)
{
    unsigned long va = NON_CANONICAL - PAGE_SIZE;
    unsigned char *page = alloc_page();

    page[4094] = 0x0f;
    page[4095] = 0x05;
    check_eq(map_page(va, mfn_of(page) << PAGE_SHIFT | PTE_DATA), 0);
    check_eq(guarded(call_at, va + 4094, 0), 13);
    check_eq(run_user(va + 4094), TRAP_SYSCALL);
    check_eq(last_trap.rip, NON_CANONICAL);
    check_eq(run_kernel(code_ud2), 6);
    check_eq(set_pte(va, 0), 0);
}

/* ---- iret ---- */

static void bad_iret_frames(void)
{
    struct iret_frame good = { .rip = (unsigned long)code_ud2, .cs = FLAT_KERNEL_CS, .rflags = 0x202,
                               .rsp = (unsigned long)kernel_stack_end - 64, .ss = FLAT_KERNEL_SS };
    struct iret_frame f = good;
    static const uint16_t bad_cs[] = { 0x0003, 0x0013, 0x1233, 0xfff3, 0xffff, 0xe00b, 0xe013, 0xe02b };

    check_eq(guarded(iret_to, (unsigned long)&f, 0), 6);
    check_eq(last_trap.rip, code_ud2);
    f.rip = NON_CANONICAL;
    check_eq(guarded(iret_to, (unsigned long)&f, 0), 13);
    f.rip = ~0xffffUL << 40;
    check_eq(guarded(iret_to, (unsigned long)&f, 0), 13);
    f.rip = HV_SECRET;
    check_eq(guarded(iret_to, (unsigned long)&f, 0), 14);
    check_eq(last_trap.cr2, HV_SECRET);
    for (unsigned int i = 0; i < ARRAY_SIZE(bad_cs); i++) {
        f = good;
        f.cs = bad_cs[i];
        check(guarded(iret_to, (unsigned long)&f, 0) != TRAP_NONE);
        f = good;
        f.ss = bad_cs[i];
        check(guarded(iret_to, (unsigned long)&f, 0) != TRAP_NONE);
    }
    f = good;
    f.rflags = ~0UL & ~0x100UL;
    check_eq(guarded(iret_to, (unsigned long)&f, 0), 6);
    check_eq(last_trap.rflags & 0x20000, 0);
    check_eq(run_kernel(code_ud2), 6);
}

static void iret_flags_are_safe(void)
{
    struct iret_frame f = { .rip = (unsigned long)code_ud2, .cs = FLAT_KERNEL_CS, .rflags = 0x3202,
                            .rsp = (unsigned long)kernel_stack_end - 64, .ss = FLAT_KERNEL_SS };

    check_eq(guarded(iret_to, (unsigned long)&f, 0), 6);
    check_eq(last_trap.rflags & 0x200, 0x200);
    f.rflags = 0x2;
    check_eq(guarded(iret_to, (unsigned long)&f, 0), 6);
    check_eq(last_trap.rflags & 0x200, 0);
    shared_info->vcpu_info[0].evtchn_upcall_mask = 0;
}

/* ---- Segments ---- */

static void segment_bases(void)
{
    static const unsigned long bad[] = { NON_CANONICAL, 0x8000000000000000, 0xfffe000000000000 };
    uint64_t base = 0;

    for (unsigned int which = SEGBASE_FS; which <= SEGBASE_GS_KERNEL; which++) {
        for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++)
            check_eq(HCALL(set_segment_base, which, bad[i], 0, 0, 0), -XEN_EINVAL);
        check_eq(HCALL(set_segment_base, which, 0x123456789000, 0, 0, 0), 0);
    }
    check_eq(HCALL(set_segment_base, SEGBASE_GS_USER_SEL, 0, 0, 0, 0), 0);
    check(HCALL(set_segment_base, 17, 0, 0, 0, 0) < 0);
    /* MSR_FS_BASE by rdmsr and wrmsr. */
    check_eq(HCALL(set_segment_base, SEGBASE_FS, 0x123456789000, 0, 0, 0), 0);
    asm volatile("rdmsr; shl $32, %%rdx; or %%rdx, %%rax" : "=a"(base) : "c"(0xc0000100) : "rdx", "cc");
    check_eq(base, 0x123456789000);
    asm volatile("rdmsr; shl $32, %%rdx; or %%rdx, %%rax" : "=a"(base) : "c"(0xc0000101) : "rdx", "cc");
    check_eq(base, 0x123456789000);
    HCALL(set_segment_base, SEGBASE_FS, 0, 0, 0, 0);
    HCALL(set_segment_base, SEGBASE_GS_KERNEL, 0, 0, 0, 0);
}

static void write_msr(unsigned long msr, unsigned long value)
{
    asm volatile("wrmsr" : : "c"(msr), "a"(value), "d"(value >> 32) : "memory");
}

static void msr_segment_bases(void)
{
    check_eq(guarded(write_msr, 0xc0000100, 0x1000), TRAP_NONE);
    check_eq(guarded(write_msr, 0xc0000100, NON_CANONICAL), 13);
    check_eq(guarded(write_msr, 0xc0000101, NON_CANONICAL), 13);
    check_eq(guarded(write_msr, 0xc0000102, NON_CANONICAL), 13);
    check_eq(guarded(write_msr, 0xc0000100, 0), TRAP_NONE);
}

static void use_fsgsbase(unsigned long value, unsigned long result)
{
    unsigned long fs, gs;

    asm volatile("wrfsbase %2\n wrgsbase %2\n rdfsbase %0\n rdgsbase %1" : "=&r"(fs), "=&r"(gs) : "r"(value));
    *(unsigned long *)result = fs == value && gs == value;
}

static bool cpu_has_fsgsbase(void)
{
    uint32_t a = 7, b, c = 0, d;

    asm volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
    return b & 1;
}

static void fsgsbase(void)
{
    unsigned long same = 0;

    if (!cpu_has_fsgsbase()) {
        check_eq(guarded(use_fsgsbase, 0, (unsigned long)&same), 6);
        return;
    }
    asm volatile("mov %%cr4, %%rax; or $0x10000, %%eax; mov %%rax, %%cr4" : : : "rax", "cc");
    check_eq(guarded(use_fsgsbase, 0xffff880000001000, (unsigned long)&same), TRAP_NONE);
    check(same);
    check_eq(guarded(use_fsgsbase, HV_SECRET, (unsigned long)&same), TRAP_NONE);
    check_eq(guarded(use_fsgsbase, 0, (unsigned long)&same), TRAP_NONE);
}

static void load_fs(unsigned long selector, unsigned long unused)
{
    (void)unused;
    asm volatile("mov %w0, %%fs" : : "r"(selector));
}

static void bad_selectors(void)
{
    check_eq(guarded(load_fs, 0x1230, 0), 13);
    check_eq(guarded(load_fs, 0xfff8, 0), 13);
    check_eq(guarded(load_fs, 0xe008, 0), 13);
    check_eq(guarded(load_fs, 0, 0), TRAP_NONE);
}

/* ---- Debug registers ---- */

static void debug_registers(void)
{
    for (unsigned int i = 0; i < 4; i++) {
        check_eq(HCALL(set_debugreg, i, 0x1000 * i, 0, 0, 0), 0);
        check_eq(HCALL(get_debugreg, i, 0, 0, 0, 0), 0x1000 * i);
        check_eq(HCALL(set_debugreg, i, HV_SECRET, 0, 0, 0), -XEN_EPERM);
        check_eq(HCALL(set_debugreg, i, NON_CANONICAL, 0, 0, 0), -XEN_EPERM);
        check_eq(HCALL(get_debugreg, i, 0, 0, 0, 0), 0x1000 * i);
    }
    check(HCALL(set_debugreg, 8, 0, 0, 0, 0) < 0);
    check(HCALL(get_debugreg, 8, 0, 0, 0, 0) < 0);
    /* General detect is not for guests. */
    (void)HCALL(set_debugreg, 7, 1 << 13, 0, 0, 0);
    check_eq(HCALL(get_debugreg, 7, 0, 0, 0, 0) & 1 << 13, 0);
    /* The processor takes no upper halves. */
    (void)HCALL(set_debugreg, 7, 0xffffffff00000400, 0, 0, 0);
    (void)HCALL(set_debugreg, 6, 0xffffffff00000000, 0, 0, 0);
    check_eq(HCALL(get_debugreg, 7, 0, 0, 0, 0) >> 32, 0);
    check_eq(HCALL(set_debugreg, 7, 0x400, 0, 0, 0), 0);
}

static uint64_t watched;

static void data_breakpoint(void)
{
    check_eq(HCALL(set_debugreg, 0, &watched, 0, 0, 0), 0);
    check_eq(HCALL(set_debugreg, 7, 0x000d0401, 0, 0, 0), 0);
    check_eq(guarded(write_at, (unsigned long)&watched, 1), 1);
    check_eq(HCALL(get_debugreg, 6, 0, 0, 0, 0) & 15, 1);
    check_eq(HCALL(set_debugreg, 7, 0x400, 0, 0, 0), 0);
    check_eq(guarded(write_at, (unsigned long)&watched, 2), TRAP_NONE);
    check_eq(HCALL(set_debugreg, 6, 0xffff0ff0, 0, 0, 0), 0);
}

/*
 * A breakpoint on what MOV to SS reads waits for the instruction after it. After SYSCALL that is inside the hypervisor,
 * on the stack pointer of the guest: the hypervisor drops it, unless the processor does not wait.
 */
static void load_ss_and_call(unsigned long selector_at, unsigned long unused)
{
    long result = __HYPERVISOR_xen_version;

    (void)unused;
    asm volatile("mov (%1), %%ss\n syscall" : "+a"(result) : "r"(selector_at), "D"(XENVER_version), "S"(0)
                 : "rcx", "r11", "memory");
    check(result > 0);
}

static void breakpoint_before_syscall(void)
{
    static uint64_t selector = FLAT_KERNEL_SS;
    int trap;

    check_eq(HCALL(set_debugreg, 0, &selector, 0, 0, 0), 0);
    check_eq(HCALL(set_debugreg, 7, 0x00070401, 0, 0, 0), 0);
    trap = guarded(load_ss_and_call, (unsigned long)&selector, 0);
    check(trap == TRAP_NONE || trap == 1);
    check_eq(HCALL(set_debugreg, 7, 0x400, 0, 0, 0), 0);
    check_eq(HCALL(set_debugreg, 6, 0xffff0ff0, 0, 0, 0), 0);
}

static void single_step(void)
{
    struct iret_frame f = { .rip = (unsigned long)code_divide, .cs = FLAT_KERNEL_CS, .rflags = 0x302,
                            .rsp = (unsigned long)kernel_stack_end - 64, .ss = FLAT_KERNEL_SS };

    check_eq(guarded(iret_to, (unsigned long)&f, 0), 1);
    check_eq(last_trap.rip, code_divide + 2);
    check(last_trap.rflags & 0x100);
}

/* ---- Descriptor tables ---- */

#define DESC_DATA 0x00cff3000000ffffUL          /* flat, writable, DPL 3 */
#define DESC_CODE 0x00affb000000ffffUL          /* flat, 64-bit, DPL 3 */
#define DESC_CALL_GATE 0x0000ec00e0080000UL     /* to the hypervisor's code, DPL 3 */
#define DESC_TSS 0x0000890000000067UL
#define DESC_LDT 0x000082000000ffffUL
#define DESC_KERNEL_CODE 0x00af9b000000ffffUL   /* DPL 0 */

static void *read_only_page(void)
{
    void *page = alloc_page();

    check_eq(set_pte((unsigned long)page, mfn_of(page) << PAGE_SHIFT | PTE_RO), 0);
    return page;
}

static void gdt(void)
{
    uint64_t *table = alloc_page(), *bad = alloc_page();
    unsigned long frames[16] = { mfn_of(table) };
    uint64_t at = mfn_of(table) << PAGE_SHIFT;

    table[1] = DESC_DATA;
    table[2] = DESC_CODE;
    bad[1] = DESC_TSS;
    /* A descriptor table cannot be writable at the same time. */
    check_eq(HCALL(set_gdt, frames, 512, 0, 0, 0), -XEN_EINVAL);
    check_eq(set_pte((unsigned long)table, mfn_of(table) << PAGE_SHIFT | PTE_RO), 0);
    check_eq(set_pte((unsigned long)bad, mfn_of(bad) << PAGE_SHIFT | PTE_RO), 0);
    check_eq(HCALL(set_gdt, frames, 512, 0, 0, 0), 0);
    check(set_pte((unsigned long)table, mfn_of(table) << PAGE_SHIFT | PTE_DATA) != 0);
    check_eq(guarded(load_fs, 0x0b, 0), TRAP_NONE);
    check_eq(guarded(load_fs, 0x1b, 0), 13);
    check_eq(HCALL(update_descriptor, at + 24, DESC_DATA, 0, 0, 0), 0);
    check_eq(table[3], DESC_DATA);
    check_eq(guarded(load_fs, 0x1b, 0), TRAP_NONE);
    check_eq(guarded(load_fs, 0, 0), TRAP_NONE);
    check_eq(HCALL(update_descriptor, at + 32, DESC_TSS, 0, 0, 0), -XEN_EINVAL);
    check_eq(HCALL(update_descriptor, at + 32, DESC_LDT, 0, 0, 0), -XEN_EINVAL);
    check_eq(table[4], 0);
    /* Descriptors of ring 0 are pushed out to ring 3 or refused, never entered as they are. */
    (void)HCALL(update_descriptor, at + 40, DESC_KERNEL_CODE, 0, 0, 0);
    check(table[5] == 0 || (table[5] >> 45 & 3) == 3);
    /* Likewise a gate: its target's ring. */
    (void)HCALL(update_descriptor, at + 48, DESC_CALL_GATE, 0, 0, 0);
    check(table[6] == 0 || (table[6] >> 16 & 3) == 3);
    check_eq(HCALL(update_descriptor, at + 33, DESC_DATA, 0, 0, 0), -XEN_EINVAL);
    check_eq(HCALL(update_descriptor, 0xfffffffff000, DESC_DATA, 0, 0, 0), -XEN_EINVAL);
    check_eq(HCALL(update_descriptor, HV_SECRET, DESC_DATA, 0, 0, 0), -XEN_EINVAL);
    frames[0] = mfn_of(bad);
    check_eq(HCALL(set_gdt, frames, 512, 0, 0, 0), -XEN_EINVAL);
    check_eq(guarded(load_fs, 0x0b, 0), TRAP_NONE);
    check_eq(guarded(load_fs, 0, 0), TRAP_NONE);
    check_eq(HCALL(set_gdt, frames, 0, 0, 0, 0), 0);
    check_eq(guarded(load_fs, 0x0b, 0), 13);
    check_eq(set_pte((unsigned long)table, mfn_of(table) << PAGE_SHIFT | PTE_DATA), 0);
}

static void bad_gdts(void)
{
    unsigned long frames[16] = { ~0UL, 0 };

    check_eq(HCALL(set_gdt, frames, 1, 0, 0, 0), -XEN_EINVAL);
    frames[0] = 0xffffffff;
    check_eq(HCALL(set_gdt, frames, 1, 0, 0, 0), -XEN_EINVAL);
    frames[0] = mfn_of((void *)start_info->pt_base);
    check_eq(HCALL(set_gdt, frames, 1, 0, 0, 0), -XEN_EINVAL);
    frames[0] = mfn_of(read_only_page());
    check_eq(HCALL(set_gdt, frames, FIRST_RESERVED_GDT_ENTRY + 1, 0, 0, 0), -XEN_EINVAL);
    check_eq(HCALL(set_gdt, frames, ~0UL, 0, 0, 0), -XEN_EINVAL);
    check_eq(HCALL(set_gdt, UNMAPPED, 1, 0, 0, 0), -XEN_EFAULT);
    check_eq(HCALL(set_gdt, HV_SECRET, 1, 0, 0, 0), -XEN_EFAULT);
    check_eq(HCALL(set_gdt, ~0UL, 1024, 0, 0, 0), -XEN_EFAULT);
}

static void ldt(void)
{
    uint64_t *table = alloc_page();
    struct mmuext_op op = { .cmd = MMUEXT_SET_LDT, .arg1.linear_addr = (unsigned long)table, .arg2.nr_ents = 512 };

    table[1] = DESC_DATA;
    check_eq(set_pte((unsigned long)table, mfn_of(table) << PAGE_SHIFT | PTE_RO), 0);
    check_eq(HCALL(mmuext_op, &op, 1, 0, DOMID_SELF, 0), 0);
    check_eq(guarded(load_fs, 0x0f, 0), TRAP_NONE);
    check_eq(guarded(load_fs, 0x17, 0), 13);
    check_eq(guarded(load_fs, 0x100f, 0), 13);
    check(set_pte((unsigned long)table, mfn_of(table) << PAGE_SHIFT | PTE_DATA) != 0);
    check_eq(guarded(load_fs, 0, 0), TRAP_NONE);
    op.arg2.nr_ents = 8193;
    check_eq(HCALL(mmuext_op, &op, 1, 0, DOMID_SELF, 0), -XEN_EINVAL);
    op.arg2.nr_ents = 1;
    op.arg1.linear_addr = HV_SECRET;
    check_eq(HCALL(mmuext_op, &op, 1, 0, DOMID_SELF, 0), -XEN_EINVAL);
    op.arg1.linear_addr = (unsigned long)table + 8;
    check_eq(HCALL(mmuext_op, &op, 1, 0, DOMID_SELF, 0), -XEN_EINVAL);
    op.arg1.linear_addr = 0;
    op.arg2.nr_ents = 0;
    check_eq(HCALL(mmuext_op, &op, 1, 0, DOMID_SELF, 0), 0);
    check_eq(guarded(load_fs, 0x0f, 0), 13);
}

TESTS({ "exceptions of the kernel", kernel_exceptions }, { "flags of frames", flags_of_frames },
      { "page faults of the kernel", kernel_page_faults },
      { "hypervisor's memory is closed", hypervisor_memory_is_closed }, { "user mode", user_mode },
      { "frames of a user's page faults", user_page_fault_frames },
      { "user's page fault with events masked", user_page_fault_with_events_masked },
      { "user's page fault on an instruction", user_page_fault_on_instruction },
      { "software interrupts", software_interrupts }, { "bad trap tables", bad_trap_tables },
      { "bad callbacks", bad_callbacks }, { "user cannot reach the hypervisor", user_cannot_reach_hypervisor },
      { "user has no privilege", user_has_no_privilege }, { "user's stack is not used", user_stack_is_not_used },
      { "hypercalls on no stack", kernel_stack_of_hypercalls },
      { "system call at the end of user space", syscall_at_the_end_of_user_space },
      { "bad iret frames", bad_iret_frames }, { "flags by iret", iret_flags_are_safe },
      { "segment bases", segment_bases }, { "segment bases by MSR", msr_segment_bases },
      { "FSGSBASE instructions", fsgsbase }, { "bad selectors", bad_selectors },
      { "debug registers", debug_registers }, { "data breakpoint", data_breakpoint },
      { "breakpoint before a system call", breakpoint_before_syscall }, { "single step", single_step },
      { "GDT", gdt }, { "bad GDTs", bad_gdts }, { "LDT", ldt });
