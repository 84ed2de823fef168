/* SPDX-License-Identifier: MIT */
/* Entry, Xen notes and hypercall page of the tiny guest. */
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

        NOTE XEN_ELFNOTE_GUEST_OS,       .asciz "domus-tiny"
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
        lea  stack_end(%rip), %rsp
        mov  %rsi, %rdi
        call tiny_main
1:      jmp  1b

/* long hypercall(unsigned int number, unsigned long a, unsigned long b, unsigned long c) */
        .globl hypercall
hypercall:
        mov  %edi, %eax
        shl  $5, %eax
        lea  hypercall_page(%rip), %r11
        add  %rax, %r11
        mov  %rsi, %rdi
        mov  %rdx, %rsi
        mov  %rcx, %rdx
        jmp  *%r11

        .balign 4096
        .globl hypercall_page
hypercall_page:
        .skip 4096

        .bss
        .balign 16
        .skip 4096
stack_end:
        .section .note.GNU-stack, "", @progbits
