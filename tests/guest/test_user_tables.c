/* SPDX-License-Identifier: MIT */
/* User space that has page tables of its own, without the kernel's pages: what the hypervisor does for its vCPU meanwhile. */
/* SMP: 1 */
#include "kernel.h"

#define USER_VA 0x400000UL
#define SPIN_TICKS 50000000UL           /* of the TSC: some milliseconds */

/*
 * Copied to the page of user space. The first spins until the TSC has reached the number behind it, then calls the kernel;
 * as do the others, which read a port and load a selector of the LDT.
 */
extern const char spin[], spin_until[], read_port_ed[], load_ldt_selector[], user_code_end[];
asm(".pushsection .text\n"
    "spin: rdtsc\n"
    "    shl $32, %rdx\n"
    "    or %rdx, %rax\n"
    "    cmp spin_until(%rip), %rax\n"
    "    jb spin\n"
    "    syscall\n"
    "spin_until: .quad 0\n"
    "read_port_ed: mov $0xed, %edx\n"
    "    in %dx, %al\n"
    "    syscall\n"
    "load_ldt_selector: mov $0x0f, %eax\n"
    "    mov %eax, %fs\n"
    "    syscall\n"
    "user_code_end:\n"
    ".popsection");

static char *user_page;
static char second_stack[4096] __attribute__((aligned(16)));

/* User tables with nothing but the page. */
static void make_user_tables(void)
{
    uint64_t *l4 = alloc_page();
    struct mmuext_op ops[] = {
        { .cmd = MMUEXT_PIN_L4_TABLE, .arg1.mfn = mfn_of(l4) },
        { .cmd = MMUEXT_NEW_USER_BASEPTR, .arg1.mfn = mfn_of(l4) },
    };
    unsigned long mfn;

    user_page = alloc_page();
    for (const char *p = spin; p < user_code_end; p++)
        user_page[p - spin] = *p;
    check_eq(map_page(USER_VA, mfn_of(user_page) << PAGE_SHIFT | PTE_DATA), 0);
    check_eq(run_user(USER_VA), TRAP_SYSCALL);          /* on the kernel's tables; from now on on those */
    l4[0] = table_of(USER_VA, 4, &mfn)[0];
    check_eq(set_pte((unsigned long)l4, mfn_of(l4) << PAGE_SHIFT | PTE_RO), 0);
    check_eq(HCALL(mmuext_op, ops, ARRAY_SIZE(ops), 0, DOMID_SELF, 0), 0);
}

static unsigned long tsc(void)
{
    uint32_t low, high;

    asm volatile("rdtsc" : "=a"(low), "=d"(high));
    return (uint64_t)high << 32 | low;
}

/* Runs the copy of a piece of code. */
static int run_copy(const char *code)
{
    return run_user(USER_VA + (unsigned long)(code - spin));
}

static int spin_in_user_mode(void)
{
    *(volatile unsigned long *)(user_page + (spin_until - spin)) = tsc() + SPIN_TICKS;
    return run_copy(spin);
}

static void isolated(void)
{
    make_user_tables();
    check_eq(spin_in_user_mode(), TRAP_SYSCALL);
    check_eq(run_user((unsigned long)spin), 14);        /* the kernel's text */
    check_eq(last_trap.cr2, (unsigned long)spin);
}

/* The tables of the kernel's that the CPU, or the hypervisor in its place, looks into while user space runs. */
static void ports_by_the_kernels_bitmap(void)
{
    static uint8_t map[65536 / 8 + 1];
    struct physdev_set_iobitmap op = { .nr_ports = 65536 };

    set_xen_guest_handle(op.bitmap, map);
    check_eq(HCALL(physdev_op, PHYSDEVOP_set_iobitmap, &op, 0, 0, 0), 0);
    check_eq(run_copy(read_port_ed), TRAP_SYSCALL);
    map[0xed / 8] = 1 << 0xed % 8;
    check_eq(run_copy(read_port_ed), 13);
}

static void selectors_of_the_kernels_ldt(void)
{
    uint64_t *table = alloc_page();
    struct mmuext_op op = { .cmd = MMUEXT_SET_LDT, .arg1.linear_addr = (unsigned long)table, .arg2.nr_ents = 512 };

    table[1] = 0x00cff3000000ffffUL;                    /* flat data */
    check_eq(set_pte((unsigned long)table, mfn_of(table) << PAGE_SHIFT | PTE_RO), 0);
    check_eq(HCALL(mmuext_op, &op, 1, 0, DOMID_SELF, 0), 0);
    check_eq(run_copy(load_ldt_selector), TRAP_SYSCALL);
    asm volatile("mov %0, %%fs" : : "r"(0));
    op.arg2.nr_ents = 0;
    check_eq(HCALL(mmuext_op, &op, 1, 0, DOMID_SELF, 0), 0);
}

/* Wants the CPU too. */
static void second_main(void)
{
    for (;;)
        asm volatile("pause");
}

/* Whether the CPU went to the other vCPU and back while this one was in user mode; checks what the area says of that. */
static bool switched_in_user_mode(const volatile struct vcpu_runstate_info *area)
{
    struct vcpu_runstate_info before, after, copy;

    HCALL(vcpu_op, VCPUOP_get_runstate_info, 0, &before, 0, 0);
    check_eq(spin_in_user_mode(), TRAP_SYSCALL);
    copy = *area;
    HCALL(vcpu_op, VCPUOP_get_runstate_info, 0, &after, 0, 0);
    /* Not if it went there since. */
    if (after.time[RUNSTATE_runnable] == before.time[RUNSTATE_runnable] ||
        area->state_entry_time != copy.state_entry_time)
        return false;
    check_eq(copy.state_entry_time, after.state_entry_time);
    check_eq(copy.time[RUNSTATE_runnable], after.time[RUNSTATE_runnable]);
    return true;
}

static void areas_of_the_kernel(void)
{
    static struct vcpu_runstate_info area;
    struct vcpu_register_runstate_memory_area reg;
    unsigned int switched = 0;

    set_xen_guest_handle(reg.addr.h, &area);
    check_eq(HCALL(vcpu_op, VCPUOP_register_runstate_memory_area, 0, &reg, 0, 0), 0);
    start_vcpu(1, second_main, second_stack + sizeof(second_stack));
    for (unsigned int i = 0; i < 1000 && switched < 3; i++)
        switched += switched_in_user_mode(&area);
    check_eq(switched, 3);
}

TESTS({ "user space on its own", isolated }, { "ports by the kernel's bitmap", ports_by_the_kernels_bitmap },
      { "selectors of the kernel's LDT", selectors_of_the_kernels_ldt },
      { "areas of the kernel while in user mode", areas_of_the_kernel });
