/* SPDX-License-Identifier: MIT */
/* What ring 3 may not do and the hypervisor does for it: ports, control and debug registers, MSRs, CPUID. */
#include "kernel.h"

#define CODE(name, text) \
    extern char name[]; \
    asm(".pushsection .text\n.balign 16\n" #name ":\n" text "\nret\n.popsection")

#define GP 13
#define PF 14

struct regs {
    uint32_t a, b, c, d;
};

static struct regs cpuid(uint32_t leaf, uint32_t subleaf)
{
    struct regs r;

    asm volatile(XEN_CPUID : "=a"(r.a), "=b"(r.b), "=c"(r.c), "=d"(r.d) : "a"(leaf), "c"(subleaf));
    return r;
}

/* ---- CPUID ---- */

static void cpuid_shows_the_hypervisor(void)
{
    struct regs r = cpuid(0x40000000, 0);

    check(r.a >= 0x40000005);
    check_eq(r.b, 0x566e6558);
    check_eq(r.c, 0x65584d4d);
    check_eq(r.d, 0x4d4d566e);
    check_eq(cpuid(0x40000001, 0).a, 4 << 16 | 17);
    check_eq(cpuid(0x40000002, 0).a, 1);
    /* The frequency of the TSC, which Xen keeps from dom0. */
    check(cpuid(0x40000003, 0).c > 1000 || !on_domus());
    check(cpuid(0x40000005, 0).b >= 20);
}

static void cpuid_hides_what_a_pv_kernel_cannot_use(void)
{
    struct regs one = cpuid(1, 0), seven = cpuid(7, 0), ext = cpuid(0x80000001, 0);

    check(one.c & 1u << 31);                    /* hypervisor */
    check(!(one.c & (1u << 5 | 1u << 17 | 1u << 21 | 1u << 24)));  /* VMX, PCID, x2APIC, TSC deadline */
    /* PSE, MTRR, PGE, PSE36; Xen lets dom0 see the machine's own MTRR and PSE36. */
    check(!(one.d & domus_or_xen(1u << 3 | 1u << 12 | 1u << 13 | 1u << 17, 1u << 3 | 1u << 13)));
    check(!(seven.b & (1u << 7 | 1u << 10 | 1u << 20)));           /* SMEP, INVPCID, SMAP */
    check(!(seven.c & (1u << 2 | 1u << 3 | 1u << 16)));            /* UMIP, PKU, LA57 */
    check(!(ext.c & 1u << 2));                  /* SVM */
    check(!(ext.d & 1u << 26));                 /* 1 GiB pages */
    check(ext.d & 1u << 29);                    /* long mode */
}

static void cpuid_out_of_range_is_zero(void)
{
    static const uint32_t leaves[] = { 0xe, 0xffff, 0x40000006, 0x400000ff, 0x50000000, 0x80000022, 0xffffffff };

    for (unsigned int i = 0; i < ARRAY_SIZE(leaves); i++) {
        struct regs r = cpuid(leaves[i], ~0u);

        check_eq(r.a | r.b | r.c | r.d, 0);
    }
    check_eq(cpuid(7, 99).b, 0);
    check_eq(cpuid(0xd, 64).a, 0);
}

static void xsave_leaf_follows_xcr0(void)
{
    if (!(cpuid(1, 0).c & 1u << 26))
        return;
    check(cpuid(0xd, 0).a & 3);
    check(cpuid(0xd, 0).b >= 576);
    check(cpuid(0xd, 0).b <= cpuid(0xd, 0).c);
}

/* ---- Ports ---- */

static void set_iopl(unsigned int level)
{
    struct physdev_set_iopl op = { .iopl = level };

    check_eq(HCALL(physdev_op, PHYSDEVOP_set_iopl, &op, 0, 0, 0), 0);
}

static long set_bitmap(const void *map, unsigned int ports)
{
    struct physdev_set_iobitmap op = { .nr_ports = ports };

    set_xen_guest_handle(op.bitmap, (uint8_t *)map);
    return HCALL(physdev_op, PHYSDEVOP_set_iobitmap, &op, 0, 0, 0);
}

CODE(user_in_ed, "mov $0xed, %edx; in %dx, %al; syscall");
CODE(user_in_ee, "mov $0xee, %edx; in %dx, %al; syscall");
CODE(user_inw_ed, "mov $0xed, %edx; in %dx, %ax; syscall");
CODE(user_cli, "cli; syscall");
CODE(user_rdmsr, "mov $0x277, %ecx; rdmsr; syscall");
CODE(user_cr0, "mov %cr0, %rax; syscall");

static void read_port(unsigned long port, unsigned long unused)
{
    uint8_t value;

    (void)unused;
    asm volatile("in %%dx, %0" : "=a"(value) : "d"((uint16_t)port));
}

static void read_port32(unsigned long port, unsigned long unused)
{
    uint32_t value;

    (void)unused;
    asm volatile("in %%dx, %0" : "=a"(value) : "d"((uint16_t)port));
}

static void iopl_decides(void)
{
    set_iopl(0);
    check_eq(guarded(read_port, 0xed, 0), GP);
    set_iopl(1);
    check_eq(guarded(read_port, 0xed, 0), TRAP_NONE);
    check_eq(run_user((unsigned long)user_in_ed), GP);
    check_eq(last_trap.rip, user_in_ed + 5);
    check_eq(run_user((unsigned long)user_cli), GP);
    set_iopl(3);
    check_eq(run_user((unsigned long)user_in_ed), TRAP_SYSCALL);
    check_eq(run_user((unsigned long)user_cli), TRAP_SYSCALL);
    set_iopl(1);
}

static void bitmap_decides(void)
{
    uint8_t *map = alloc_page();

    memset(map, 0xff, PAGE_SIZE);
    map[0xed / 8] &= (uint8_t)~(1u << 0xed % 8);
    check_eq(set_bitmap(map, 32768), 0);
    check_eq(run_user((unsigned long)user_in_ed), TRAP_SYSCALL);
    check_eq(run_user((unsigned long)user_in_ee), GP);
    check_eq(run_user((unsigned long)user_inw_ed), GP);
    check_eq(set_bitmap(map, 0xed), 0);
    check_eq(run_user((unsigned long)user_in_ed), GP);
    /* What the pointer means is found out when it is used. */
    check_eq(set_bitmap((void *)UNMAPPED, 32768), 0);
    check_eq(run_user((unsigned long)user_in_ed), GP);
    check_eq(set_bitmap((void *)HV_SECRET, 32768), -XEN_EINVAL);
    check_eq(set_bitmap((void *)(HV_START - PAGE_SIZE), 32768), -XEN_EINVAL);
    check_eq(set_bitmap(map, 65537), -XEN_EINVAL);
    check_eq(set_bitmap(NULL, 0), 0);
}

static uint32_t in32(uint16_t port)
{
    uint32_t value;

    asm volatile("in %%dx, %0" : "=a"(value) : "d"(port));
    return value;
}

static uint8_t in8(uint16_t port)
{
    uint8_t value;

    asm volatile("in %%dx, %0" : "=a"(value) : "d"(port));
    return value;
}

static void out32(uint16_t port, uint32_t value)
{
    asm volatile("out %0, %%dx" : : "a"(value), "d"(port));
}

static void out8(uint16_t port, uint8_t value)
{
    asm volatile("out %0, %%dx" : : "a"(value), "d"(port));
}

static void hypervisors_ports_read_as_ones(void)
{
    check_eq(in8(0x20), 0xff);
    check_eq(in8(0x43), domus_or_xen(0xff, 0)); /* Xen emulates a timer here; the port can only be written */
    check_eq(in8(0x3f8 + 5), 0xff);             /* the console's UART */
    out8(0x20, 0x20);
    out8(0x43, 0x30);
    /* Beyond the last port: the CPU's manual leaves it open. */
    check_eq(guarded(read_port32, 0xfffe, 0), domus_or_xen(GP, TRAP_NONE));
}

static void pci_configuration(void)
{
    out32(0xcf8, 0x80000000);
    check_eq(in32(0xcf8), 0x80000000);
    check_eq(in32(0xcfc) & 0xffff, 0x8086);
    check_eq(in8(0xcfd), 0x80);
    out32(0xcf8, 0);
    check_eq(in32(0xcfc), 0xffffffff);
}

static void cmos_has_a_clock(void)
{
    out8(0x70, 0x8d);                           /* with the NMI bit, which is not the domain's */
    check_eq(in8(0x70), 0x8d);
    check(in8(0x71) & 0x80);                    /* register D: the clock is valid */
}

/* ---- String instructions ---- */

static void rep_outs(unsigned long from, unsigned long count)
{
    asm volatile("rep outsb" : "+S"(from), "+c"(count) : "d"(0xed) : "memory");
}

static void rep_ins(unsigned long to, unsigned long count)
{
    asm volatile("rep insb" : "+D"(to), "+c"(count) : "d"(0xed) : "memory");
}

static void rep_counts_down(void)
{
    unsigned char *page = alloc_page();
    unsigned long p = (unsigned long)page, count = 1000;

    asm volatile("rep outsb" : "+S"(p), "+c"(count) : "d"(0xed) : "memory");
    check_eq(count, 0);
    check_eq(p, page + 1000);
    p = (unsigned long)page + 998;
    count = 500;
    asm volatile("std; rep insw; cld" : "+D"(p), "+c"(count) : "d"(0x20) : "memory");
    check_eq(count, 0);
    check_eq(p, (unsigned long)page - 2);
    check_eq(page[0] & page[500] & page[999], 0xff);
    check_eq(page[1000], 0);
}

static void string_memory_faults(void)
{
    unsigned char *page = alloc_page(), *next = alloc_page();

    check_eq(guarded(rep_outs, UNMAPPED, 1), PF);
    check_eq(last_trap.cr2, UNMAPPED);
    check_eq(last_trap.error_code & 2, 0);
    check_eq(guarded(rep_ins, UNMAPPED, 1), PF);
    check_eq(last_trap.error_code & 2, 2);
    check_eq(set_pte((unsigned long)page, mfn_of(page) << PAGE_SHIFT | PTE_RO), 0);
    check_eq(guarded(rep_ins, (unsigned long)page, 1), PF);
    check_eq(last_trap.cr2, page);
    check_eq(set_pte((unsigned long)page, mfn_of(page) << PAGE_SHIFT | PTE_DATA), 0);
    if (next == page + PAGE_SIZE) {
        check_eq(set_pte((unsigned long)next, 0), 0);
        check_eq(guarded(rep_ins, (unsigned long)next - 8, 16), PF);
        check_eq(last_trap.cr2, next);
        check_eq(set_pte((unsigned long)next, mfn_of(next) << PAGE_SHIFT | PTE_DATA), 0);
    }
    check_eq(guarded(rep_ins, HV_SECRET, 1), GP);
    check_eq(guarded(rep_outs, HV_SECRET, 1), GP);
    check_eq(guarded(rep_outs, NON_CANONICAL, 1), GP);
    check_eq(guarded(rep_ins, ~0UL, 1) != TRAP_NONE, true);
}

/* ---- Where an instruction lies ---- */

static void instruction_across_pages(void)
{
    unsigned char *page = alloc_page(), *next = alloc_page();
    static const unsigned char mov_cr0[] = { 0x0f, 0x20, 0xc0, 0xc3 };  /* mov %cr0, %rax; ret */

    if (next != page + PAGE_SIZE)
        return;
    memcpy(next - 2, mov_cr0, sizeof(mov_cr0));
    check_eq(guarded(call_at, (unsigned long)next - 2, 0), TRAP_NONE);
    check_eq(set_pte((unsigned long)next, 0), 0);
    check_eq(guarded(call_at, (unsigned long)next - 2, 0), PF);
    check_eq(last_trap.cr2, next);
    check_eq(set_pte((unsigned long)next, mfn_of(next) << PAGE_SHIFT | PTE_DATA), 0);
}

static void too_long_an_instruction(void)
{
    unsigned char *page = alloc_page();

    memset(page, 0x66, 14);
    page[14] = 0xfa;                            /* 15 bytes: cli */
    page[15] = 0xc3;
    check_eq(guarded(call_at, (unsigned long)page, 0), TRAP_NONE);
    page[14] = 0x66;
    page[15] = 0xfa;
    check_eq(guarded(call_at, (unsigned long)page, 0), GP);
}

CODE(code_step, "pushfq; orq $0x100, (%rsp); popfq; mov %cr0, %rax\ncode_step_end:\nnop");
extern char code_step_end[];

static void single_step_sees_emulated_instructions(void)
{
    check_eq(guarded(call_at, (unsigned long)code_step, 0), 1);
    check_eq(last_trap.rip, code_step_end);
}

/* ---- Control and debug registers ---- */

static unsigned long read_cr0(void)
{
    unsigned long v;

    asm volatile("mov %%cr0, %0" : "=r"(v));
    return v;
}

static void write_cr0(unsigned long v, unsigned long unused)
{
    (void)unused;
    asm volatile("mov %0, %%cr0" : : "r"(v));
}

static void use_fpu(unsigned long a, unsigned long b)
{
    (void)a;
    (void)b;
    asm volatile("fnop");
}

static void cr0_has_only_ts(void)
{
    unsigned long cr0 = read_cr0();

    check((cr0 & 0x80000001) == 0x80000001);
    check_eq(guarded(write_cr0, cr0 ^ 0x10000, 0), GP);
    check_eq(guarded(write_cr0, cr0 & ~1UL, 0), GP);
    check_eq(guarded(write_cr0, 0, 0), GP);
    write_cr0(cr0 | 8, 0);
    check(read_cr0() & 8);
    check_eq(guarded(use_fpu, 0, 0), 7);
    check(!(read_cr0() & 8));
    write_cr0(cr0 | 8, 0);
    asm volatile("clts");
    check_eq(guarded(use_fpu, 0, 0), TRAP_NONE);
}

static void cr2_is_kept(void)
{
    unsigned long v = 0x123456789000;

    asm volatile("mov %0, %%cr2" : : "r"(v));
    check_eq(shared_info->vcpu_info[0].arch.cr2, v);
    v = 0;
    asm volatile("mov %%cr2, %0" : "=r"(v));
    check_eq(v, 0x123456789000);
}

static void write_cr3(unsigned long v, unsigned long unused)
{
    (void)unused;
    asm volatile("mov %0, %%cr3" : : "r"(v) : "memory");
}

static void cr3_takes_page_tables_only(void)
{
    unsigned long cr3;

    asm volatile("mov %%cr3, %0" : "=r"(cr3));
    check_eq(cr3 >> PAGE_SHIFT, mfn_of((void *)start_info->pt_base));
    check_eq(guarded(write_cr3, cr3, 0), TRAP_NONE);
    check_eq(guarded(write_cr3, mfn_of(start_info) << PAGE_SHIFT, 0), GP);
    check_eq(guarded(write_cr3, ~0UL, 0), GP);
    check_eq(guarded(write_cr3, 0, 0), GP);
    check_eq(guarded(write_cr3, 0x200000, 0), GP);      /* the hypervisor's own memory */
}

static unsigned long read_cr4(void)
{
    unsigned long v;

    asm volatile("mov %%cr4, %0" : "=r"(v));
    return v;
}

static void cr4_takes_the_guests_choice(void)
{
    unsigned long cr4 = read_cr4();

    check(cr4 & 0x20);                          /* PAE */
    asm volatile("mov %0, %%cr4" : : "r"(~0UL));
    check(!(read_cr4() & (1UL << 20 | 1UL << 21 | 1UL << 22 | 1UL << 13 | 1UL << 17)));
    asm volatile("mov %0, %%cr4" : : "r"(cr4));
    check_eq(read_cr4(), cr4);
}

static void write_cr8(unsigned long a, unsigned long b)
{
    (void)a;
    (void)b;
    asm volatile("mov %0, %%cr8" : : "r"(0UL));
}

static void write_dr0(unsigned long v, unsigned long unused)
{
    (void)unused;
    asm volatile("mov %0, %%db0" : : "r"(v));
}

static void debug_registers_stay_out_of_the_hypervisor(void)
{
    unsigned long v;

    check_eq(guarded(write_cr8, 0, 0), GP);
    check_eq(guarded(write_dr0, HV_SECRET, 0), GP);
    check_eq(guarded(write_dr0, 0x1000, 0), TRAP_NONE);
    asm volatile("mov %%db0, %0" : "=r"(v));
    check_eq(v, 0x1000);
    write_dr0(0, 0);
}

static void xsetbv(unsigned long value, unsigned long index)
{
    asm volatile("xsetbv" : : "a"((uint32_t)value), "d"((uint32_t)(value >> 32)), "c"((uint32_t)index));
}

static void xsetbv_is_checked(void)
{
    if (!(cpuid(1, 0).c & 1u << 26))
        return;
    check(guarded(xsetbv, 3, 0) != TRAP_NONE);          /* not before CR4.OSXSAVE */
    asm volatile("mov %0, %%cr4" : : "r"(read_cr4() | 1UL << 18));
    check_eq(guarded(xsetbv, 3, 0), TRAP_NONE);
    check_eq(guarded(xsetbv, 0, 0), GP);
    check_eq(guarded(xsetbv, ~0UL, 0), GP);
    check_eq(guarded(xsetbv, 5, 0), GP);                /* AVX without SSE */
    check_eq(guarded(xsetbv, 3, 1), GP);
}

/* ---- MSRs ---- */

static uint64_t msr_value;

static void rdmsr(unsigned long msr, unsigned long unused)
{
    uint32_t low, high;

    (void)unused;
    asm volatile("rdmsr" : "=a"(low), "=d"(high) : "c"((uint32_t)msr));
    msr_value = (uint64_t)high << 32 | low;
}

static void wrmsr(unsigned long msr, unsigned long value)
{
    asm volatile("wrmsr" : : "c"((uint32_t)msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32)));
}

static void segment_bases(void)
{
    static const uint32_t bases[] = { 0xc0000100, 0xc0000101, 0xc0000102 };

    for (unsigned int i = 0; i < ARRAY_SIZE(bases); i++) {
        uint64_t before;

        check_eq(guarded(rdmsr, bases[i], 0), TRAP_NONE);
        before = msr_value;
        check_eq(guarded(wrmsr, bases[i], 0x123456789000), TRAP_NONE);
        check_eq(guarded(rdmsr, bases[i], 0), TRAP_NONE);
        check_eq(msr_value, 0x123456789000);
        check_eq(guarded(wrmsr, bases[i], NON_CANONICAL), GP);
        check_eq(guarded(wrmsr, bases[i], before), TRAP_NONE);
    }
}

static void known_and_unknown_msrs(void)
{
    check_eq(guarded(rdmsr, 0x277, 0), TRAP_NONE);
    check_eq(msr_value, 0x050100070406);                /* PAT */
    /* What it is already may be written; Xen refuses even that. */
    check_eq(guarded(wrmsr, 0x277, 0x050100070406), domus_or_xen(TRAP_NONE, GP));
    check_eq(guarded(wrmsr, 0x277, 0), GP);
    check_eq(guarded(rdmsr, 0xc0000080, 0), TRAP_NONE);
    check_eq(msr_value & 0xd01, 0xd01);                 /* EFER: SCE, LME, LMA, NX */
    check_eq(guarded(wrmsr, 0xc0000080, 0), GP);
    check_eq(guarded(rdmsr, 0xdeadbeef, 0), GP);
    check_eq(guarded(wrmsr, 0xdeadbeef, 0), GP);
    check_eq(guarded(wrmsr, 0x1b, 0), GP);              /* APIC base */
    check_eq(guarded(wrmsr, 0x48, 1), GP);
    check_eq(run_user((unsigned long)user_rdmsr), GP);
    check_eq(run_user((unsigned long)user_cr0), GP);
}

static void hypercall_page_by_msr(void)
{
    unsigned char *page = alloc_page();

    check_eq(guarded(wrmsr, 0x40000000, mfn_of(page) << PAGE_SHIFT), TRAP_NONE);
    check_eq(page[0] != 0, true);
    check_eq(guarded(wrmsr, 0x40000000, mfn_of(page) << PAGE_SHIFT | 1), GP);
    check_eq(guarded(wrmsr, 0x40000000, 0x200000), GP);
    check_eq(guarded(wrmsr, 0x40000000, ~0UL & ~0xfffUL), GP);
    check_eq(guarded(wrmsr, 0x40000000, mfn_of((void *)start_info->pt_base) << PAGE_SHIFT), GP);
}

TESTS({ "CPUID shows the hypervisor", cpuid_shows_the_hypervisor },
      { "CPUID hides what a PV kernel cannot use", cpuid_hides_what_a_pv_kernel_cannot_use },
      { "CPUID out of range is zero", cpuid_out_of_range_is_zero },
      { "XSAVE leaf follows XCR0", xsave_leaf_follows_xcr0 },
      { "IOPL decides on ports", iopl_decides },
      { "the bitmap decides on ports", bitmap_decides },
      { "the hypervisor's ports read as ones", hypervisors_ports_read_as_ones },
      { "PCI configuration by ports", pci_configuration },
      { "CMOS", cmos_has_a_clock },
      { "repeated string I/O", rep_counts_down },
      { "faults of string I/O", string_memory_faults },
      { "an instruction across pages", instruction_across_pages },
      { "too long an instruction", too_long_an_instruction },
      { "single step", single_step_sees_emulated_instructions },
      { "CR0", cr0_has_only_ts },
      { "CR2", cr2_is_kept },
      { "CR3", cr3_takes_page_tables_only },
      { "CR4", cr4_takes_the_guests_choice },
      { "debug registers", debug_registers_stay_out_of_the_hypervisor },
      { "XSETBV", xsetbv_is_checked },
      { "segment bases", segment_bases },
      { "known and unknown MSRs", known_and_unknown_msrs },
      { "hypercall page by MSR", hypercall_page_by_msr });
