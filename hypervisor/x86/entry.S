/* SPDX-License-Identifier: MIT */
/*
 * Every way into the hypervisor and back to a guest.
 *
 * Frames: struct cpu_user_regs at the top of the CPU's stack block (asm/current.h) on entry from a guest,
 * somewhere below on entry from the hypervisor itself. GS and FS are the guest's throughout.
 *
 * Three paths never call C in the common case: a system call and a page fault of the guest's user space, which are
 * bounced to the guest's kernel, and the kernel's HYPERVISOR_iret. They run with interrupts off from end to end;
 * whatever they find out of the ordinary goes the slow way through C.
 *
 * SMAP: stac and clac are three-byte no-ops here, which patch_smap_sites() replaces if the CPU has SMAP.
 */
#include <asm/config.h>
#include <asm/desc.h>
#include <asm/processor.h>
#include <asm/traps.h>
#include <asm/extable.h>
#include <asm-offsets.h>
#include <xen/xen.h>

/* Offset of a cpu_info field from a stack pointer that points at guest_regs. */
#define INFO(field) (CPUINFO_##field - CPUINFO_guest_regs)
/* Offset of a guest_regs field, or of cpu_info, once rip, cs, rflags, rsp and ss are pushed. */
#define AT_RIP(offset) ((offset) - UREGS_rip)

.macro ASM_STAC
661:    .byte 0x0f, 0x1f, 0x00
        .pushsection .smap_stac, "a"
        .quad 661b
        .popsection
.endm

.macro ASM_CLAC
661:    .byte 0x0f, 0x1f, 0x00
        .pushsection .smap_clac, "a"
        .quad 661b
        .popsection
.endm

.macro SAVE_ALL
        push %rdi
        push %rsi
        push %rdx
        push %rcx
        push %rax
        push %r8
        push %r9
        push %r10
        push %r11
        push %rbx
        push %rbp
        push %r12
        push %r13
        push %r14
        push %r15
.endm

/* Leaves the stack pointer at error_code. */
.macro RESTORE_ALL
        pop %r15
        pop %r14
        pop %r13
        pop %r12
        pop %rbp
        pop %rbx
        pop %r11
        pop %r10
        pop %r9
        pop %r8
        pop %rax
        pop %rcx
        pop %rdx
        pop %rsi
        pop %rdi
.endm

        .text

/* ---- System calls of the guest ----
 *
 * The CPU's stub page (x86/traps.c) has switched to this CPU's stack and pushed ss and rsp.
 * rcx: return address, r11: rflags. Interrupts, TF, DF, NT and AC are off (SFMASK).
 */
        .globl lstar_enter
lstar_enter:
        push %r11
        pushq $FLAT_KERNEL_CS64
        push %rcx
        mov  AT_RIP(CPUINFO_current)(%rsp), %r11
        testb $VF_KERNEL_MODE, VCPU_flags(%r11)
        jnz  hypercall_enter

        /* User space calls its kernel. entry_sp is zero unless the guest's kernel stack is usable. */
        mov  VCPU_entry_sp(%r11), %rcx
        test %rcx, %rcx
        jz   syscall_slow
        testb $CBF_SYSCALL_MASKS_EVENTS, VCPU_callback_flags(%r11)
        jz   syscall_slow
        mov  VCPU_cr3_kernel(%r11), %rcx
        mov  %rcx, %cr3
        swapgs
        orl  $VF_KERNEL_MODE, VCPU_flags(%r11)

        /* The guest sees IF as the inverse of its event mask. */
        push %rax
        mov  VCPU_vcpu_info(%r11), %rax
        mov  24(%rsp), %rcx
        and  $~(X86_EFLAGS_IF | X86_EFLAGS_IOPL), %ecx
        cmpb $0, VCPUINFO_upcall_mask(%rax)
        movb $1, VCPUINFO_upcall_mask(%rax)
        mov  VCPU_entry_sp(%r11), %rax
        jne  1f
        or   $X86_EFLAGS_IF, %ecx
1:
        /* Frame of the public ABI: rcx, r11, rip, cs, rflags, rsp, ss. */
        ASM_STAC
2:      mov  %rcx, -24(%rax)                    /* rflags */
3:      mov  %rcx, -48(%rax)                    /* r11 */
        mov  8(%rsp), %rcx
4:      mov  %rcx, -40(%rax)                    /* rip */
5:      mov  %rcx, -56(%rax)                    /* rcx */
6:      movq $FLAT_USER_CS64, -32(%rax)         /* cs; its upper half, the event mask, stays zero */
        mov  32(%rsp), %rcx
7:      mov  %rcx, -16(%rax)                    /* rsp */
8:      movq $FLAT_USER_SS64, -8(%rax)          /* ss */
        ASM_CLAC

        mov  VCPU_syscall_callback(%r11), %rcx  /* checked when it was set */
        mov  24(%rsp), %r11
        and  $~(X86_EFLAGS_AC | X86_EFLAGS_VM | X86_EFLAGS_RF | X86_EFLAGS_NT | X86_EFLAGS_TF), %r11d
        or   $X86_EFLAGS_IF, %r11d
        mov  %rax, 32(%rsp)
        pop  %rax
        mov  24(%rsp), %rsp
        lea  -56(%rsp), %rsp
        sysretq

9:      ASM_CLAC                                /* the kernel's stack cannot be written */
        pop  %rax
        call build_syscall_frame
        call pv_bounce_stack_fault
        jmp  ret_to_guest
        .irp fault, 2b, 3b, 4b, 5b, 6b, 7b, 8b
        _ASM_EXTABLE \fault, 9b
        .endr

syscall_slow:
        call build_syscall_frame
        mov  %rsp, %rdi
        call pv_syscall
        jmp  ret_to_guest

/* Completes a frame of which rip to ss are pushed; called, so the return address lies on top. */
build_syscall_frame:
        popq %r11
        mov  (%rsp), %rcx
        pushq $0
        movl $ENTRY_SYSCALL, 4(%rsp)
        push %rdi
        push %rsi
        push %rdx
        push %rcx
        push %rax
        push %r8
        push %r9
        push %r10
        pushq 88(%rsp)                          /* rflags, as SYSCALL leaves them in r11 */
        push %rbx
        push %rbp
        push %r12
        push %r13
        push %r14
        push %r15
        jmp  *%r11

/* ---- Hypercalls: SYSCALL by the guest's kernel. rax: number; rdi, rsi, rdx, r10, r8, r9: arguments. ---- */

hypercall_enter:
        cmp  $__HYPERVISOR_iret, %rax
        je   hypercall_iret
        pushq $0
        movl $ENTRY_SYSCALL, 4(%rsp)
        mov  24(%rsp), %r11                     /* the guest must not see our pointer */
        SAVE_ALL
        sti
        cmp  $NR_HYPERCALLS, %rax
        jae  1f
        .if NR_HYPERCALLS & (NR_HYPERCALLS - 1)
        .error "NR_HYPERCALLS is not a power of two"
        .endif
        and  $(NR_HYPERCALLS - 1), %eax         /* under speculation too */
        mov  %r10, %rcx
        mov  hypercall_rows(%rip), %r10         /* hypercall_table, or the one that traces */
        mov  (%r10,%rax,8), %r10
        test %r10, %r10
        jz   1f
        call *%r10
        mov  %rax, UREGS_rax(%rsp)
        jmp  ret_to_guest
1:      movq $-38, UREGS_rax(%rsp)              /* -ENOSYS */
        jmp  ret_to_guest

/*
 * HYPERVISOR_iret. On the guest's stack: rax, r11, rcx, flags, rip, cs, rflags, rsp, ss (struct
 * iret_context). r11: current. A frame that cannot be read costs the guest its life, as no state is left
 * to return to.
 */
hypercall_iret:
        mov  24(%rsp), %rax                     /* guest's rsp */
        mov  %rax, %rcx
        shr  $43, %rcx
        cmp  $(HYPERVISOR_SPACE_START >> 43), %ecx
        je   iret_bad_frame                     /* in the hypervisor's slots */
        ASM_STAC
1:      pushq 8(%rax)                           /* r11 */
2:      pushq 16(%rax)                          /* rcx */
3:      pushq (%rax)                            /* rax */
4:      mov  32(%rax), %rcx
        mov  %rcx, 24(%rsp)                     /* rip */
5:      mov  40(%rax), %rcx
        mov  %rcx, 32(%rsp)                     /* cs */
6:      mov  64(%rax), %rcx
        mov  %rcx, 56(%rsp)                     /* ss */
7:      mov  48(%rax), %rcx                     /* rflags */
8:      mov  56(%rax), %rax
        mov  %rax, 48(%rsp)                     /* rsp */
        ASM_CLAC

        mov  VCPU_vcpu_info(%r11), %rax
        bt   $9, %ecx                           /* IF is the inverse of the event mask */
        setnc VCPUINFO_upcall_mask(%rax)
        and  $~(X86_EFLAGS_IOPL | X86_EFLAGS_VM), %ecx
        or   $(X86_EFLAGS_IF | X86_EFLAGS_MBS), %ecx
        mov  %rcx, 40(%rsp)

        mov  32(%rsp), %ecx
        and  $3, %ecx
        cmp  $3, %ecx
        jne  9f
        mov  VCPU_cr3_user(%r11), %rcx          /* to user space */
        test %rcx, %rcx
        jz   iret_no_user_space
        mov  %rcx, %cr3
        swapgs
        andl $~VF_KERNEL_MODE, VCPU_flags(%r11)
        jmp  10f
9:      orb  $3, 32(%rsp)
10:     orb  $3, 56(%rsp)

        cmpl $0, VCPU_async_state(%r11)
        jne  iret_leaves_nmi
        cmpb $0, VCPUINFO_upcall_pending(%rax)
        jne  11f
12:     pop  %rax
        pop  %rcx
        pop  %r11
        .globl iret_hypercall_iretq
iret_hypercall_iretq:
        iretq

11:     cmpb $0, VCPUINFO_upcall_mask(%rax)
        jne  12b
iret_long:
        pop  %rax                               /* an event or an NMI waits: deliver it on the long way out */
        pop  %rcx
        pop  %r11
        pushq $0
        SAVE_ALL
        jmp  ret_to_guest

iret_leaves_nmi:
        lock andl $~ASYNC_NMI_MASKED, VCPU_async_state(%r11)
        jmp  iret_long

iret_frame_fault:
        ASM_CLAC
iret_bad_frame:
        call stack_to_guest_rip
        call build_syscall_frame
        lea  iret_frame_message(%rip), %rdi
        call pv_crash_current
        jmp  ret_to_guest
iret_no_user_space:
        call stack_to_guest_rip
        call build_syscall_frame
        lea  iret_user_message(%rip), %rdi
        call pv_crash_current
        jmp  ret_to_guest

        .irp fault, 1b, 2b, 3b, 4b, 5b, 6b, 7b, 8b
        _ASM_EXTABLE \fault, iret_frame_fault
        .endr

/* Points the stack at guest_regs.rip, wherever in the block it was; called. Uses rcx. */
stack_to_guest_rip:
        pop  %rcx
        or   $(STACK_SIZE - 1), %rsp
        lea  1 - CPUINFO_sizeof + CPUINFO_guest_regs + UREGS_rip(%rsp), %rsp
        jmp  *%rcx

        .pushsection .rodata
iret_frame_message: .asciz "HYPERVISOR_iret: its stack frame cannot be read\n"
iret_user_message:  .asciz "HYPERVISOR_iret to user space, but no user page table is installed\n"
        .popsection

/* SYSCALL by 32-bit user space. */
        .globl cstar_enter
cstar_enter:
        push %r11
        pushq $FLAT_USER_CS32
        push %rcx
        call build_syscall_frame
        movl $0, UREGS_entry_vector(%rsp)       /* SYSRET cannot go back there */
        mov  %rsp, %rdi
        call pv_syscall32
        jmp  ret_to_guest

/* ---- The way out to the guest. Stack: guest_regs, complete. ---- */

        .globl ret_to_guest
ret_to_guest:
        cli
        cmpl $0, INFO(softirq_pending)(%rsp)
        jne  process_softirqs
        mov  INFO(current)(%rsp), %rbx
        cmpl $0, VCPU_async_state(%rbx)
        jne  deliver_async
        mov  VCPU_vcpu_info(%rbx), %rax
        cmpb $0, VCPUINFO_upcall_pending(%rax)
        jne  deliver_event
restore_guest:
        testl $ENTRY_SYSCALL, UREGS_entry_vector(%rsp)
        jz   restore_by_iret
        mov  UREGS_rip(%rsp), %rax              /* SYSRET to a non-canonical address faults in ring 0 */
        sar  $47, %rax
        inc  %eax
        cmp  $1, %eax
        ja   restore_by_iret
        cmpw $FLAT_KERNEL_CS64, UREGS_cs(%rsp)
        jne  restore_by_iret
        RESTORE_ALL
        mov  8(%rsp), %rcx
        mov  24(%rsp), %r11
        mov  32(%rsp), %rsp
        sysretq
restore_by_iret:
        RESTORE_ALL
        add  $8, %rsp
        .globl restore_guest_iretq
restore_guest_iretq:
        iretq

process_softirqs:
        sti
        call do_softirq
        jmp  ret_to_guest
deliver_event:
        cmpb $0, VCPUINFO_upcall_mask(%rax)
        jne  restore_guest
        mov  %rsp, %rdi
        call pv_deliver_event
        cmpl $0, INFO(softirq_pending)(%rsp)
        jne  process_softirqs
        jmp  restore_guest                      /* whatever the mask is: another vCPU may clear it again and again */
deliver_async:
        mov  %rsp, %rdi
        call pv_deliver_async                   /* true: the frame has changed */
        test %al, %al
        jnz  ret_to_guest
        mov  VCPU_vcpu_info(%rbx), %rax
        cmpb $0, VCPUINFO_upcall_pending(%rax)
        jne  deliver_event
        jmp  restore_guest

/* ---- Page faults of the guest's user space ----
 *
 * On the stack: error code and vector, rip, cs, rflags, rsp, ss. page_fault_entry is zero unless the handler masks
 * events and the kernel's stack is usable. To C go faults from the hypervisor or the guest's kernel, error codes
 * other than of a plain access by ring 3 (reserved bits, descriptor tables), and user space with events masked.
 */
page_fault_enter:
        testb $3, 16(%rsp)                      /* cs */
        jz   trap_enter
        push %r11
        push %rcx
        push %rax
        mov  32 + AT_RIP(CPUINFO_current)(%rsp), %r11
        testb $VF_KERNEL_MODE, VCPU_flags(%r11)
        jnz  page_fault_slow
        cmpq $0, VCPU_page_fault_entry(%r11)
        je   page_fault_slow
        mov  24(%rsp), %eax
        and  $~(PFEC_PRESENT | PFEC_WRITE | PFEC_INSN), %eax
        cmp  $PFEC_USER, %eax
        jne  page_fault_slow
        mov  VCPU_vcpu_info(%r11), %rcx
        cmpb $0, VCPUINFO_upcall_mask(%rcx)
        jne  page_fault_slow

        movb $1, VCPUINFO_upcall_mask(%rcx)
        mov  %cr2, %rax
        mov  %rax, VCPUINFO_cr2(%rcx)
        mov  VCPU_cr3_kernel(%r11), %rax
        mov  %rax, %cr3
        swapgs
        orl  $VF_KERNEL_MODE, VCPU_flags(%r11)

        /* Frame of the public ABI: rcx, r11, error code, rip, cs, rflags, rsp, ss. */
        mov  VCPU_entry_sp(%r11), %rax
        ASM_STAC
        mov  8(%rsp), %rcx
1:      mov  %rcx, -64(%rax)                    /* rcx */
        mov  16(%rsp), %rcx
2:      mov  %rcx, -56(%rax)                    /* r11 */
        mov  24(%rsp), %ecx
3:      mov  %rcx, -48(%rax)                    /* error code */
        mov  32(%rsp), %rcx
4:      mov  %rcx, -40(%rax)                    /* rip */
        movzwl 40(%rsp), %ecx
5:      mov  %rcx, -32(%rax)                    /* cs; the event mask in its upper half is zero */
        mov  48(%rsp), %ecx
        and  $~X86_EFLAGS_IOPL, %ecx            /* IF is set, as events are not masked */
6:      mov  %rcx, -24(%rax)                    /* rflags */
        mov  56(%rsp), %rcx
7:      mov  %rcx, -16(%rax)                    /* rsp */
        movzwl 64(%rsp), %ecx
8:      mov  %rcx, -8(%rax)                     /* ss */
        ASM_CLAC

        mov  VCPU_page_fault_entry(%r11), %rcx
        mov  48(%rsp), %r11d
        and  $~(X86_EFLAGS_AC | X86_EFLAGS_VM | X86_EFLAGS_RF | X86_EFLAGS_NT | X86_EFLAGS_TF | X86_EFLAGS_IOPL), %r11d
        sub  $64, %rax
        mov  %rax, 56(%rsp)
        pop  %rax
        mov  48(%rsp), %rsp
        sysretq

page_fault_slow:
        pop  %rax
        pop  %rcx
        pop  %r11
        jmp  trap_enter

9:      ASM_CLAC                                /* the kernel's stack cannot be written */
        pop  %rax
        pop  %rcx
        pop  %r11
        SAVE_ALL
        call pv_bounce_stack_fault
        jmp  ret_to_guest
        .irp fault, 1b, 2b, 3b, 4b, 5b, 6b, 7b, 8b
        _ASM_EXTABLE \fault, 9b
        .endr

/* ---- Exceptions and interrupts ---- */

trap_enter:
        SAVE_ALL
        cld
        ASM_CLAC
        mov  %rsp, %rdi
        mov  UREGS_entry_vector(%rsp), %eax
        lea  exception_table(%rip), %rcx
        call *(%rcx,%rax,8)
        testb $3, UREGS_cs(%rsp)
        jnz  ret_to_guest
restore_hypervisor:
        RESTORE_ALL
        add  $8, %rsp
        iretq

irq_enter:
        SAVE_ALL
        cld
        ASM_CLAC
        mov  %rsp, %rdi
        call do_IRQ
        testb $3, UREGS_cs(%rsp)
        jnz  ret_to_guest
        jmp  restore_hypervisor

/*
 * #DF, NMI, #MC: on a stack of their own. They go back as they came, without softirqs or events:
 * what they raise is seen at the next ordinary exit.
 */
ist_enter:
        SAVE_ALL
        cld
        ASM_CLAC
        mov  %rsp, %rdi
        mov  UREGS_entry_vector(%rsp), %eax
        lea  exception_table(%rip), %rcx
        call *(%rcx,%rax,8)
        jmp  restore_hypervisor

/*
 * #DB has a stack of its own, as MOV to SS holds a breakpoint back until the instruction after it is done: after SYSCALL,
 * that is in ring 0 on the guest's stack pointer. From the guest it goes on on the ordinary stack.
 */
debug_enter:
        testb $3, 16(%rsp)                      /* cs */
        jz   ist_enter
        push %rax
        mov  %rsp, %rax
        or   $(STACK_SIZE - 1), %rsp
        lea  1 - CPUINFO_sizeof + CPUINFO_guest_regs + UREGS_es(%rsp), %rsp
        push 48(%rax)                           /* ss, rsp, rflags, cs, rip, vector */
        push 40(%rax)
        push 32(%rax)
        push 24(%rax)
        push 16(%rax)
        push 8(%rax)
        mov  (%rax), %rax
        jmp  trap_enter

        .macro ENTRY_STUB vector
        .balign 16
entry_\vector:
        .if (\vector < 32) && ((0x60227d00 >> (\vector % 32)) % 2) /* the CPU pushes an error code */
        .else
        pushq $0
        .endif
        movl $\vector, 4(%rsp)
        .if \vector == X86_EXC_NMI || \vector == X86_EXC_DF || \vector == X86_EXC_MC
        jmp ist_enter
        .elseif \vector == X86_EXC_DB
        jmp debug_enter
        .elseif \vector == X86_EXC_PF
        jmp page_fault_enter
        .elseif \vector < 32
        jmp trap_enter
        .else
        jmp irq_enter
        .endif
        .endm

        .altmacro
        .set vector, 0
        .rept 256
        ENTRY_STUB %vector
        .set vector, vector + 1
        .endr

        .section .rodata
        .balign 8
        .macro ENTRY_POINT vector
        .quad entry_\vector
        .endm
        .globl idt_entry_points
idt_entry_points:
        .set vector, 0
        .rept 256
        ENTRY_POINT %vector
        .set vector, vector + 1
        .endr
