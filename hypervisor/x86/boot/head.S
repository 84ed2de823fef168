/* SPDX-License-Identifier: MIT */
/*
 * From the boot loader to C. All three protocols (multiboot1, multiboot2, PVH) enter in 32-bit protected mode without
 * paging, with a magic number in EAX (PVH: none) and the address of their information in EBX. Other CPUs enter in real
 * mode by a start-up IPI. Both ways lead through the same steps into long mode at the hypervisor's virtual address.
 */
#include <asm/config.h>
#include <asm/msr.h>
#include <asm/page.h>
#include <asm/processor.h>
#include "multiboot.h"

#define PHYS(sym) ((sym) - HV_VIRT_START)
/* Selectors of the boot GDT. */
#define BOOT_CS32 0x08
#define BOOT_CS64 0x10
#define BOOT_DS   0x18

    .section .text.head, "ax", @progbits
    .code32

/* Multiboot 0.6.96, section 3.1: with addresses, so that the file format does not matter. */
#define MB1_FLAGS (MB1_PAGE_ALIGN | MB1_MEMORY_INFO | MB1_ADDRESSES)
    .balign 4
multiboot1_header:
    .long MB1_HEADER_MAGIC
    .long MB1_FLAGS
    .long -(MB1_HEADER_MAGIC + MB1_FLAGS)
    .long PHYS(multiboot1_header)
    .long PHYS(_start)
    .long PHYS(__load_end)
    .long PHYS(_end)
    .long PHYS(start_multiboot)

/* Multiboot2 2.0, section 3.1. */
    .balign 8
multiboot2_header:
    .long MB2_HEADER_MAGIC
    .long 0                                 /* i386, protected mode */
    .long multiboot2_header_end - multiboot2_header
    .long -(MB2_HEADER_MAGIC + multiboot2_header_end - multiboot2_header)
    .balign 8
1:  .short MB2_HEADER_TAG_INFORMATION, 0
    .long 2f - 1b
    .long MB2_TAG_MMAP
2:  .balign 8
    .short MB2_HEADER_TAG_ENTRY_ADDRESS, 0
    .long 12
    .long PHYS(start_multiboot)
    .balign 8
    .short MB2_HEADER_TAG_MODULE_ALIGN, 0
    .long 8
    .balign 8
    .short MB2_HEADER_TAG_END, 0
    .long 8
multiboot2_header_end:

/* PVH: xen/include/public/arch-x86/hvm/start_info.h; the note is of type XEN_ELFNOTE_PHYS32_ENTRY. */
    .pushsection .note.Xen, "a", @note
    .balign 4
    .long 4, 8, 18
    .asciz "Xen"
    .quad PHYS(start_pvh)
    .popsection

    .globl start_multiboot
start_pvh:
    mov $PVH_BOOT_MAGIC, %eax
start_multiboot:
    cli
    cld
    lgdtl PHYS(boot_gdtr)
    ljmpl $BOOT_CS32, $PHYS(1f)
1:  mov $BOOT_DS, %ecx
    mov %ecx, %ds
    mov %ecx, %es
    mov %ecx, %ss
    mov %eax, %edi                          /* magic and information: arguments of start_hypervisor */
    mov %ebx, %esi

    /* Long mode and NX are required. */
    mov $0x80000000, %eax
    cpuid
    cmp $0x80000001, %eax
    jb no_long_mode
    mov $0x80000001, %eax
    cpuid
    bt $29, %edx
    jnc no_long_mode
    bt $20, %edx
    jnc no_long_mode

    mov $PHYS(start64_boot_cpu), %ebp
    jmp enter_long_mode

/* Another CPU arrives here from the trampoline, in protected mode. */
start32_secondary:
    mov $BOOT_DS, %ecx
    mov %ecx, %ds
    mov %ecx, %es
    mov %ecx, %ss
    mov $PHYS(start64_secondary), %ebp

/* EBP: where to go on in 64-bit mode. Keeps EDI and ESI. */
enter_long_mode:
    xor %ecx, %ecx
    mov %ecx, %fs
    mov %ecx, %gs
    mov $(X86_CR4_PAE), %ecx
    mov %ecx, %cr4
    mov $PHYS(boot_l4), %ecx
    mov %ecx, %cr3
    mov $MSR_EFER, %ecx
    xor %edx, %edx
    mov $(EFER_SCE | EFER_LME | EFER_NX), %eax
    wrmsr
    mov $(X86_CR0_PG | X86_CR0_WP | X86_CR0_NE | X86_CR0_ET | X86_CR0_MP | X86_CR0_PE), %eax
    mov %eax, %cr0
    ljmpl $BOOT_CS64, $PHYS(start64)

no_long_mode:
    mov $PHYS(no_long_mode_text), %esi
    mov $0x3f8, %edx
1:  lodsb
    test %al, %al
    jz 2f
    outb %al, %dx
    jmp 1b
2:  hlt
    jmp 2b

    .code64
start64:
    mov $HV_VIRT_START, %rax
    add %rax, %rbp
    lgdt boot_gdtr64(%rip)
    jmp *%rbp

start64_boot_cpu:
    lea cpu0_stack + STACK_SIZE - CPU_INFO_RESERVE(%rip), %rsp
    xor %ebp, %ebp
    call *start_hypervisor_address(%rip)
    ud2

start64_secondary:
    mov ap_boot_stack(%rip), %rsp
    xor %ebp, %ebp
    call start_secondary
    ud2

/* What a start-up IPI runs, copied below 1 MiB: CS is its page, IP 0. */
    .code16
    .balign 16
    .globl trampoline_start, trampoline_end
trampoline_start:
    cli
    cld
    mov %cs, %ax
    mov %ax, %ds
    lgdtl trampoline_gdtr - trampoline_start
    mov $(X86_CR0_ET | X86_CR0_PE), %eax
    mov %eax, %cr0
    ljmpl $BOOT_CS32, $PHYS(start32_secondary)
    .balign 4
trampoline_gdtr:
    .short boot_gdt_end - boot_gdt - 1
    .long PHYS(boot_gdt)
trampoline_end:

    .code64
    .section .rodata, "a", @progbits
no_long_mode_text:
    .asciz "Domus: this CPU has no 64-bit mode or no NX\r\n"

    .data
    .balign 8
/* Called through memory, since code that stays must not refer to code that is freed: the linker checks that. */
start_hypervisor_address:
    .quad start_hypervisor
boot_gdt:
    .quad 0
    .quad 0x00cf9b000000ffff                /* 32-bit code */
    .quad 0x00af9b000000ffff                /* 64-bit code */
    .quad 0x00cf93000000ffff                /* data */
boot_gdt_end:
boot_gdtr:
    .short boot_gdt_end - boot_gdt - 1
    .long PHYS(boot_gdt)
    .balign 8
boot_gdtr64:
    .short boot_gdt_end - boot_gdt - 1
    .quad boot_gdt

/*
 * Page tables to start on: the first 4 GiB by 2 MiB pages, at address 0 and in the direct map, and the image at its
 * virtual address. Other CPUs start on them too.
 */
#define BOOT_TABLE (_PAGE_PRESENT | _PAGE_RW | _PAGE_ACCESSED)
#define BOOT_PAGE  (_PAGE_PRESENT | _PAGE_RW | _PAGE_ACCESSED | _PAGE_DIRTY | _PAGE_PSE)

    .section .data.page_aligned, "aw", @progbits
    .balign 4096
    .globl boot_l4
boot_l4:
    .quad PHYS(boot_l3) + BOOT_TABLE
    .fill 260, 8, 0
    .quad PHYS(boot_l3) + BOOT_TABLE        /* 261: the image */
    .quad PHYS(boot_l3) + BOOT_TABLE        /* 262: the direct map */
    .fill 249, 8, 0
boot_l3:
    .set i, 0
    .rept 4
    .quad PHYS(boot_l2) + i * 4096 + BOOT_TABLE
    .set i, i + 1
    .endr
    .fill 508, 8, 0
boot_l2:
    .set i, 0
    .rept 4 * 512
    .quad i * 0x200000 + BOOT_PAGE
    .set i, i + 1
    .endr

    .section .bss.stack_aligned, "aw", @nobits
    .balign STACK_SIZE
    .globl cpu0_stack
cpu0_stack:
    .skip STACK_SIZE
