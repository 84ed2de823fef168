/* SPDX-License-Identifier: MIT */
/*
 * Descriptor tables of each CPU. The GDT is the CPU's window: 14 pages of the guest's, then ours. One IDT serves all CPUs
 * and all guests, since traps reach guests by software.
 */
#include <domus/errno.h>
#include <domus/heap.h>
#include <domus/lib.h>
#include <domus/percpu.h>
#include <domus/string.h>
#include <asm/current.h>
#include <asm/desc.h>
#include <asm/mm_init.h>
#include <asm/processor.h>
#include <asm/smp.h>
#include <xen/xen.h>

struct idt_entry idt_table[256] __aligned(PAGE_SIZE) __section(".bss.page_aligned");

static DEFINE_PER_CPU(struct tss64, tss) __aligned(128);
static DEFINE_PER_CPU(u64 *, hv_gdt);          /* the page of our own descriptors, in the direct map */
static DEFINE_PER_CPU(void *, stub_page);
static DEFINE_PER_CPU(struct pte *, window);

/* Index of a selector in our page of the GDT. */
#define HV_GDT_INDEX(selector) (((selector) >> 3) - FIRST_RESERVED_GDT_ENTRY)

/* Type and flags bits of descriptors, as in the high word. */
#define DESC_TSS_AVAILABLE 0x89UL
#define DESC_LDT           0x82UL

void *percpu_stub_page(unsigned int cpu)
{
    return per_cpu(stub_page, cpu);
}

struct pte *percpu_window_ptes(unsigned int cpu)
{
    return per_cpu(window, cpu);
}

/* A 16-byte system descriptor. */
static void set_system_descriptor(u64 *gdt, unsigned int selector, unsigned long base, u32 limit, u64 type)
{
    u64 *desc = &gdt[HV_GDT_INDEX(selector)];

    desc[1] = base >> 32;
    desc[0] = (limit & 0xffff) | (base & 0xffffff) << 16 | type << 40 | (u64)(limit >> 16 & 0xf) << 48 |
              (base >> 24 & 0xff) << 56;
}

static void fill_hv_gdt(u64 *gdt, unsigned int cpu)
{
    gdt[HV_GDT_INDEX(HYPERVISOR_CS)] = 0x00af9b000000ffff;
    gdt[HV_GDT_INDEX(HYPERVISOR_DS32)] = 0x00cf93000000ffff;
    gdt[HV_GDT_INDEX(GUEST_CS32_SELECTOR)] = 0x00cffb000000ffff;
    gdt[HV_GDT_INDEX(GUEST_DS32_SELECTOR)] = 0x00cff3000000ffff;
    gdt[HV_GDT_INDEX(GUEST_CS64_SELECTOR)] = 0x00affb000000ffff;
    gdt[HV_GDT_INDEX(PERCPU_SELECTOR)] = 0x0000f30000000000 | (cpu & 0xffff);
}

int desc_prepare_cpu(unsigned int cpu)
{
    struct pte *ptes = hv_pte(PERCPU_WINDOW(cpu));
    u64 *gdt = alloc_heap_pages(1, MEMF_zero);
    void *stub = alloc_heap_pages(0, MEMF_zero);

    if (!ptes || !gdt || !stub) {
        free_heap_pages(gdt, 1);
        free_heap_pages(stub, 0);
        return -ENOMEM;
    }
    fill_hv_gdt(gdt, cpu);
    for (unsigned int i = 0; i < 2; i++)
        ptes[WINDOW_HV_GDT_PAGE + i] = pte_from_maddr(virt_to_maddr(gdt) + i * PAGE_SIZE, PAGE_HV_RW);
    ptes[WINDOW_STUB_PAGE] = pte_from_maddr(virt_to_maddr(stub), PAGE_HV_RX);
    per_cpu(hv_gdt, cpu) = gdt;
    per_cpu(stub_page, cpu) = stub;
    per_cpu(window, cpu) = ptes;
    return 0;
}

static void load_gdt(unsigned int cpu)
{
    struct desc_ptr gdtr = { GDT_LIMIT, GDT_VIRT(cpu) };

    asm volatile("lgdt %0\n"
                 "push %1\n"
                 "lea 1f(%%rip), %%rax\n"
                 "push %%rax\n"
                 "lretq\n"
                 "1:\n"
                 "mov %2, %%ds\n mov %2, %%es\n mov %2, %%fs\n mov %2, %%gs\n mov %2, %%ss\n"
                 :
                 : "m"(gdtr), "i"(HYPERVISOR_CS), "r"(HYPERVISOR_DS)
                 : "rax", "memory");
}

static void load_tss(unsigned int cpu)
{
    struct tss64 *t = &per_cpu(tss, cpu);
    unsigned long stack = (unsigned long)cpu_stack[cpu];

    t->rsp0 = (unsigned long)&get_cpu_info()->guest_regs.es;
    t->ist[IST_DF - 1] = stack + IST_DF * PAGE_SIZE;
    t->ist[IST_NMI - 1] = stack + IST_NMI * PAGE_SIZE;
    t->ist[IST_MCE - 1] = stack + IST_MCE * PAGE_SIZE;
    t->ist[IST_DB - 1] = stack + IST_DB * PAGE_SIZE;
    t->iomap_base = sizeof(*t);
    set_system_descriptor(per_cpu(hv_gdt, cpu), TSS_SELECTOR, (unsigned long)t, sizeof(*t) - 1, DESC_TSS_AVAILABLE);
    asm volatile("ltr %w0" : : "r"(TSS_SELECTOR));
}

void load_ldt(unsigned int nr_entries)
{
    unsigned int cpu = smp_processor_id();

    if (nr_entries) {
        set_system_descriptor(per_cpu(hv_gdt, cpu), LDT_SELECTOR, LDT_VIRT(cpu), nr_entries * 8 - 1, DESC_LDT);
        asm volatile("lldt %w0" : : "r"(LDT_SELECTOR) : "memory");
    } else {
        asm volatile("lldt %w0" : : "r"(0) : "memory");
    }
}

void desc_init_cpu(unsigned int cpu)
{
    struct desc_ptr idtr = { sizeof(idt_table) - 1, (unsigned long)idt_table };

    load_gdt(cpu);
    load_tss(cpu);
    load_ldt(0);
    asm volatile("lidt %0" : : "m"(idtr));
}

static void set_gate(unsigned int vector, unsigned long handler, unsigned int dpl, unsigned int ist)
{
    idt_table[vector].high = handler >> 32;
    idt_table[vector].low = (handler & 0xffff) | (u64)HYPERVISOR_CS << 16 | (u64)ist << 32 | 0xeUL << 40 |
                            (u64)dpl << 45 | 1UL << 47 | (handler >> 16 & 0xffff) << 48;
}

void __init idt_init(void)
{
    for (unsigned int vector = 0; vector < ARRAY_SIZE(idt_table); vector++) {
        unsigned int ist = IST_NONE, dpl = 0;

        if (vector == X86_EXC_DF)
            ist = IST_DF;
        else if (vector == X86_EXC_NMI)
            ist = IST_NMI;
        else if (vector == X86_EXC_MC)
            ist = IST_MCE;
        else if (vector == X86_EXC_DB)
            ist = IST_DB;
        else if (vector == X86_EXC_BP || vector == X86_EXC_OF)
            dpl = 3;
        set_gate(vector, idt_entry_points[vector], dpl, ist);
    }
}
