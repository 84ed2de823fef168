/* SPDX-License-Identifier: MIT */
/* Entry, Xen notes, hypercall page and trap stubs of the test kernels. */
#include <xen/elfnote.h>

        .macro NOTE type, value:vararg
        .pushsection .note.Xen, "a", @note
        .align 4
        .long 2f - 1f, 4f - 3f, \type
1:      .asciz "Xen"
2:      .align 4
3:      \value
4:      .align 4
        .popsection
        .endm

        NOTE XEN_ELFNOTE_GUEST_OS,       .asciz "domus-test"
        NOTE XEN_ELFNOTE_GUEST_VERSION,  .asciz "1"
        NOTE XEN_ELFNOTE_LOADER,         .asciz "generic"
        NOTE XEN_ELFNOTE_XEN_VERSION,    .asciz "xen-3.0"
        NOTE XEN_ELFNOTE_VIRT_BASE,      .quad 0xffffffff80000000
        NOTE XEN_ELFNOTE_ENTRY,          .quad _start
        NOTE XEN_ELFNOTE_HYPERCALL_PAGE, .quad hypercall_page
        NOTE XEN_ELFNOTE_FEATURES,       .asciz "!writable_page_tables|pae_pgdir_above_4gb"
        NOTE XEN_ELFNOTE_PAE_MODE,       .asciz "yes"

        .text
        .globl _start
_start:
        cld
        lea  boot_stack_end(%rip), %rsp
        mov  %rsi, %rdi
        call test_main
1:      jmp  1b

        .balign 4096
        .globl hypercall_page
hypercall_page:
        .skip 4096

/*
 * Trap stubs. The frame from the hypervisor: rcx, r11, [error code], rip, cs, rflags, rsp, ss. The stub leaves: struct
 * trap_frame of kernel.h.
 */
        .macro STUB vector
stub_\vector:
        pop  %rcx
        pop  %r11
        .if !((1 << \vector) & 0x27d00)
        pushq $0
        .endif
        pushq $\vector
        jmp  trap_common
        .endm
        .altmacro
        .set n, 0
        .rept 32
        STUB %n
        .set n, n + 1
        .endr

trap_common:
        cld
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
        mov  %rsp, %rdi
        call trap_handler
        pop  %r15
        pop  %r14
        pop  %r13
        pop  %r12
        pop  %rbp
        pop  %rbx
        pop  %r11
        pop  %r10
        pop  %r9
        pop  %r8
        pop  %rax
        pop  %rcx
        pop  %rdx
        pop  %rsi
        pop  %rdi
        add  $16, %rsp
        pushq $0
        jmp  hypercall_page + 23 * 32

/* Events: counted by event_handler. */
        .globl event_entry
event_entry:
        pop  %rcx
        pop  %r11
        pushq $0
        pushq $32
        jmp  trap_common

/* The failsafe callback, after ds, es, fs, gs. */
        .globl failsafe_entry
failsafe_entry:
        pop  %rcx
        pop  %r11
        add  $32, %rsp
        pushq $0
        pushq $33
        jmp  trap_common

/* An NMI: counted. */
        .globl nmi_entry
nmi_entry:
        pop  %rcx
        pop  %r11
        pushq $0
        pushq $35
        jmp  trap_common

/* A system call of code that runs as user: ends user_run() with 34. */
        .globl syscall_entry
syscall_entry:
        pop  %rcx
        pop  %r11
        pushq $0
        pushq $34
        jmp  trap_common

/* long guarded_call(fn, a, b): fn(a, b); a trap inside makes it return after trap_handler has recorded it. */
        .globl guarded_call, guarded_return
guarded_call:
        push %rbx
        push %rbp
        push %r12
        push %r13
        push %r14
        push %r15
        mov  %rsp, guarded_sp(%rip)
        mov  %rdi, %rax
        mov  %rsi, %rdi
        mov  %rdx, %rsi
        call *%rax
guarded_return:
        mov  guarded_sp(%rip), %rsp
        movq $0, guarded_sp(%rip)
        pop  %r15
        pop  %r14
        pop  %r13
        pop  %r12
        pop  %rbp
        pop  %rbx
        ret

/* void iret_to(frame, unused): the hypercall page pushes the first three words of the frame. */
        .globl iret_to
iret_to:
        lea  24(%rdi), %rsp
        jmp  hypercall_page + 23 * 32

        .section .rodata
        .globl trap_stubs
trap_stubs:
        .macro STUB_ADDRESS vector
        .quad stub_\vector
        .endm
        .set n, 0
        .rept 32
        STUB_ADDRESS %n
        .set n, n + 1
        .endr

        .bss
        .globl guarded_sp
guarded_sp: .skip 8
        .balign 4096
        .globl boot_stack_end
        .skip 16384
boot_stack_end:
/* Entered from user mode: the stack of the boot is in use below. */
        .globl kernel_stack_end, user_stack_end
        .skip 8192
kernel_stack_end:
        .skip 4096
user_stack_end:
        .section .note.GNU-stack, "", @progbits
