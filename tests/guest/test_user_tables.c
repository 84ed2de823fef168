/* SPDX-License-Identifier: MIT */
/* User space that has page tables of its own, without the kernel's pages: what the hypervisor does for its vCPU meanwhile. */
/* SMP: 1 */
#include "kernel.h"

#define USER_VA 0x400000UL
#define SPIN_TICKS 50000000UL           /* of the TSC: some milliseconds */

/* Spins until the TSC has reached the number behind it, then calls the kernel. Copied to the page of user space. */
extern const char spin[], spin_until[], spin_end[];
asm(".pushsection .text\n"
    "spin: rdtsc\n"
    "    shl $32, %rdx\n"
    "    or %rdx, %rax\n"
    "    cmp spin_until(%rip), %rax\n"
    "    jb spin\n"
    "    syscall\n"
    "spin_until: .quad 0\n"
    "spin_end:\n"
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
    for (const char *p = spin; p < spin_end; p++)
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

static int spin_in_user_mode(void)
{
    *(volatile unsigned long *)(user_page + (spin_until - spin)) = tsc() + SPIN_TICKS;
    return run_user(USER_VA);
}

static void isolated(void)
{
    make_user_tables();
    check_eq(spin_in_user_mode(), TRAP_SYSCALL);
    check_eq(run_user((unsigned long)spin), 14);        /* the kernel's text */
    check_eq(last_trap.cr2, (unsigned long)spin);
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

TESTS({ "user space on its own", isolated }, { "areas of the kernel while in user mode", areas_of_the_kernel });
