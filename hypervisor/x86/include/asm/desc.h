/* SPDX-License-Identifier: MIT */
/*
 * Segment descriptors, GDT, IDT and TSS. The hypervisor's own descriptors lie in the last two pages of every GDT, which
 * the public ABI reserves (FIRST_RESERVED_GDT_ENTRY); their first ones are those that guests know as FLAT_RING3_*.
 */
#ifndef ASM_DESC_H
#define ASM_DESC_H

#include <asm/config.h>

#define HYPERVISOR_CS   0xe008
#define HYPERVISOR_DS   0x0000      /* null is as good as any in long mode */
#define HYPERVISOR_SS   0x0000
#define HYPERVISOR_DS32 0xe010
#define GUEST_CS32_SELECTOR 0xe023
#define GUEST_DS32_SELECTOR 0xe02b
#define GUEST_CS64_SELECTOR 0xe033
#define TSS_SELECTOR    0xe040
#define LDT_SELECTOR    0xe050
#define PERCPU_SELECTOR 0xe060      /* its limit is the CPU's number: LSL reads it from ring 3 */

#define GDT_LIMIT       0xffff

#ifndef __ASSEMBLY__

#include <domus/types.h>

struct __attribute__((packed)) desc_ptr {
    u16 limit;
    u64 base;
};

struct __attribute__((packed)) tss64 {
    u32 reserved0;
    u64 rsp0, rsp1, rsp2;
    u64 reserved1;
    u64 ist[7];
    u64 reserved2;
    u16 reserved3, iomap_base;
};

struct idt_entry {
    u64 low, high;
};

extern struct idt_entry idt_table[256];
/* Entry stubs, one a vector: x86/entry.S. */
extern const unsigned long idt_entry_points[256];

/* Fills the IDT from idt_entry_points; the boot CPU, once. */
void idt_init(void);
/* Makes cpu's window with its own descriptors and stub page: before that CPU runs. 0 or -ENOMEM. */
int desc_prepare_cpu(unsigned int cpu);
/* Loads GDT, IDT, TSS of this CPU, whose stack block and window exist. */
void desc_init_cpu(unsigned int cpu);
/* Points this CPU's LDTR to nr entries at LDT_VIRT; 0: no LDT. */
void load_ldt(unsigned int nr_entries);
/* Page-table entries of cpu's window: PERCPU_WINDOW_PTES from PERCPU_WINDOW(cpu) on. Whoever changes one flushes it. */
struct pte;
struct pte *percpu_window_ptes(unsigned int cpu);
/* A writable alias of cpu's page of entry stubs, which runs at STUB_VIRT(cpu). */
void *percpu_stub_page(unsigned int cpu);

#endif /* __ASSEMBLY__ */
#endif
