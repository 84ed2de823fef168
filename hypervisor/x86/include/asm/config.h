/* SPDX-License-Identifier: MIT */
/*
 * The virtual layout and the sizes that assembly, C and the linker script share.
 *
 * Slots are entries of the fourth-level page table, 512 GiB each. The public ABI reserves 256 to 271 for the hypervisor
 * (HYPERVISOR_VIRT_START and MACH2PHYS_VIRT_START in <xen/arch-x86/xen-x86_64.h>); all others are the guest's.
 */
#ifndef ASM_CONFIG_H
#define ASM_CONFIG_H

#ifdef __ASSEMBLY__
#define CONST(x) x
#else
#define CONST(x) x##UL
#endif

#define PAGE_SHIFT 12
#define PAGE_SIZE  (CONST(1) << PAGE_SHIFT)
#define PAGE_MASK  (~(PAGE_SIZE - 1))

#define HV_FIRST_SLOT 256
#define HV_LAST_SLOT  271

#define RO_M2P_VIRT_START    CONST(0xffff800000000000)  /* slot 256: frame to pseudo-physical, guests may read it */
#define RW_M2P_VIRT_START    CONST(0xffff808000000000)  /* slot 257: the same, written by the hypervisor */
#define IOREMAP_VIRT_START   CONST(0xffff810000000000)  /* slot 258 */
#define PERCPU_VIRT_START    CONST(0xffff818000000000)  /* slot 259: windows of each CPU */
#define FRAMETABLE_VIRT_START CONST(0xffff820000000000) /* slot 260: struct page_info[] */
#define HV_VIRT_START        CONST(0xffff828000000000)  /* slot 261: the image; physical = virtual - this */
#define DIRECTMAP_VIRT_START CONST(0xffff830000000000)  /* slots 262 to 271: all RAM */
#define DIRECTMAP_VIRT_END   CONST(0xffff880000000000)
#define DIRECTMAP_SIZE       (DIRECTMAP_VIRT_END - DIRECTMAP_VIRT_START)
#define IOREMAP_VIRT_SIZE    (CONST(1) << 30)
#define HYPERVISOR_SPACE_START RO_M2P_VIRT_START
#define HYPERVISOR_SPACE_END DIRECTMAP_VIRT_END

/* Where the image is loaded. */
#define HV_LOAD_PHYS         CONST(0x200000)

#define NR_CPUS 256

/*
 * A CPU's window in slot 259: the GDT and LDT of the guest that runs there, the hypervisor's own descriptors, and code
 * that must be reached without any register to address memory by (SYSCALL entry).
 */
#define PERCPU_WINDOW_SHIFT  18
#define PERCPU_WINDOW_SIZE   (CONST(1) << PERCPU_WINDOW_SHIFT)
#define PERCPU_WINDOW_PTES   (PERCPU_WINDOW_SIZE >> PAGE_SHIFT)
#define WINDOW_GDT_PAGE      0      /* 14 frames of the guest's GDT */
#define WINDOW_HV_GDT_PAGE   14     /* FIRST_RESERVED_GDT_PAGE: the hypervisor's own descriptors */
#define WINDOW_LDT_PAGE      16     /* 16 frames of the guest's LDT */
#define WINDOW_STUB_PAGE     32     /* entry stubs: executable, not writable */
#define PERCPU_WINDOW(cpu)   (PERCPU_VIRT_START + (CONST(1) * (cpu) << PERCPU_WINDOW_SHIFT))
#define GDT_VIRT(cpu)        PERCPU_WINDOW(cpu)
#define LDT_VIRT(cpu)        (PERCPU_WINDOW(cpu) + WINDOW_LDT_PAGE * PAGE_SIZE)
#define STUB_VIRT(cpu)       (PERCPU_WINDOW(cpu) + WINDOW_STUB_PAGE * PAGE_SIZE)

/*
 * Stacks: one block a CPU, aligned to its size so that masking the stack pointer finds it. From the bottom: one page
 * each for #DF, NMI, #MC and #DB, a guard page, the ordinary stack, and struct cpu_info at the very top.
 */
#define STACK_ORDER 4
#define STACK_SIZE  (PAGE_SIZE << STACK_ORDER)

/* Interrupt stack table indexes, as in the IDT; stack n is page n - 1 of the block. */
#define IST_NONE 0
#define IST_DF   1
#define IST_NMI  2
#define IST_MCE  3
#define IST_DB   4
#define STACK_GUARD_PAGE 4
/* Room for struct cpu_info at the top while its size is not known to assembly. */
#define CPU_INFO_RESERVE 512

#endif
