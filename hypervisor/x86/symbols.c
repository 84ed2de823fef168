/* SPDX-License-Identifier: MIT */
/*
 * Dumps for people: names of addresses, registers, stack traces, and what is printed before the machine stops. The table
 * of functions is made by tools/symbols.awk when the image is linked.
 */
#include <domus/console.h>
#include <domus/lib.h>
#include <domus/domain.h>
#include <domus/string.h>
#include <asm/current.h>
#include <asm/machine.h>
#include <asm/mm_init.h>
#include <asm/processor.h>
#include <asm/smp.h>
#include <asm/symbols.h>
#include <generated/version.h>

extern const u32 symbol_count, symbol_address[], symbol_name[];
extern const char symbol_text[];
extern char _stext[], _etext[], __start_init_text[], __end_init_text[];

/* Words of stack that a dump shows and searches for return addresses. */
#define STACK_DUMP_WORDS   24
#define STACK_TRACE_CALLS  32

bool is_hypervisor_text(unsigned long addr)
{
    if (!init_released && addr >= (unsigned long)__start_init_text && addr < (unsigned long)__end_init_text)
        return true;
    return addr >= (unsigned long)_stext && addr < (unsigned long)_etext;
}

const char *symbol_lookup(unsigned long addr, unsigned long *offset, unsigned long *size)
{
    u32 target = (u32)(addr - HV_VIRT_START), low = 0, high = symbol_count;

    if (!is_hypervisor_text(addr) || symbol_count == 0 || target < symbol_address[0])
        return NULL;
    /* The last symbol that is not above the address. */
    while (high - low > 1) {
        u32 mid = low + (high - low) / 2;

        if (symbol_address[mid] <= target)
            low = mid;
        else
            high = mid;
    }
    *offset = target - symbol_address[low];
    *size = (low + 1 < symbol_count ? symbol_address[low + 1] : (u32)((unsigned long)__end_init_text - HV_VIRT_START)) -
            symbol_address[low];
    return symbol_text + symbol_name[low];
}

const char *symbol_by_number(u32 n, unsigned long *address, u32 *nr)
{
    *nr = symbol_count;
    if (n >= symbol_count)
        return NULL;
    *address = HV_VIRT_START + symbol_address[n];
    return symbol_text + symbol_name[n];
}

static void print_address(unsigned long addr)
{
    unsigned long offset, size;
    const char *name = symbol_lookup(addr, &offset, &size);

    if (name)
        printk(LOG_ERR "   [<%016lx>] %s+%#lx/%#lx\n", addr, name, offset, size);
    else
        printk(LOG_ERR "   [<%016lx>]\n", addr);
}

const char *trap_name(unsigned int vector)
{
    static const char *const names[] = {
        "divide error", "debug", "NMI", "breakpoint", "overflow", "bound range", "invalid opcode",
        "device not available", "double fault", "coprocessor overrun", "invalid TSS", "segment not present",
        "stack fault", "general protection fault", "page fault", "reserved", "FPU error", "alignment check",
        "machine check", "SIMD error",
    };

    return vector < ARRAY_SIZE(names) ? names[vector] : "interrupt";
}

/* ---- Registers ---- */

void show_registers(const struct cpu_user_regs *regs)
{
    unsigned long cr0 = read_cr0(), cr2 = read_cr2(), cr3 = read_cr3(), cr4 = read_cr4();
    struct vcpu *v = current;

    printk(LOG_ERR "----[ Domus %s  x86_64  debug=%s ]----\n", DOMUS_VERSION, DOMUS_DEBUG);
    printk(LOG_ERR "CPU:    %u\n", smp_processor_id());
    if (v && guest_mode(regs))
        printk(LOG_ERR "Guest:  d%dv%u\n", v->domain->domain_id, v->vcpu_id);
    printk(LOG_ERR "RIP:    %04x:[<%016lx>]\n", regs->cs, regs->rip);
    if (!guest_mode(regs))
        print_address(regs->rip);
    printk(LOG_ERR "RFLAGS: %016lx   %s\n", regs->rflags, guest_mode(regs) ? "guest" : "hypervisor");
    printk(LOG_ERR "rax: %016lx   rbx: %016lx   rcx: %016lx\n", regs->rax, regs->rbx, regs->rcx);
    printk(LOG_ERR "rdx: %016lx   rsi: %016lx   rdi: %016lx\n", regs->rdx, regs->rsi, regs->rdi);
    printk(LOG_ERR "rbp: %016lx   rsp: %016lx   r8:  %016lx\n", regs->rbp, regs->rsp, regs->r8);
    printk(LOG_ERR "r9:  %016lx   r10: %016lx   r11: %016lx\n", regs->r9, regs->r10, regs->r11);
    printk(LOG_ERR "r12: %016lx   r13: %016lx   r14: %016lx\n", regs->r12, regs->r13, regs->r14);
    printk(LOG_ERR "r15: %016lx   cr0: %016lx   cr4: %016lx\n", regs->r15, cr0, cr4);
    printk(LOG_ERR "cr3: %016lx   cr2: %016lx\n", cr3, cr2);
    printk(LOG_ERR "fsb: %016lx   gsb: %016lx   gss: %016lx\n", rdmsr(MSR_FS_BASE), rdmsr(MSR_GS_BASE),
           rdmsr(MSR_KERNEL_GS_BASE));
    if (guest_mode(regs))
        printk(LOG_ERR "ds: %04x   es: %04x   fs: %04x   gs: %04x   ss: %04x   cs: %04x\n", regs->ds, regs->es, regs->fs,
               regs->gs, regs->ss, regs->cs);
}

/* ---- Stack of the hypervisor ---- */

/* End of the part of the block that rsp lies in: one of the interrupt stacks or the ordinary one. */
static unsigned long stack_end(unsigned long rsp)
{
    unsigned long block = rsp & ~(STACK_SIZE - 1);

    if (rsp - block < STACK_GUARD_PAGE * PAGE_SIZE)
        return (rsp & PAGE_MASK) + PAGE_SIZE;
    return block + STACK_SIZE - sizeof(struct cpu_info);
}

static bool stack_readable(unsigned long rsp)
{
    unsigned long own = (unsigned long)get_cpu_info() & ~(STACK_SIZE - 1);

    return rsp % 8 == 0 && (rsp & ~(STACK_SIZE - 1)) == own &&
           (rsp - own) >> PAGE_SHIFT != STACK_GUARD_PAGE && rsp < stack_end(rsp);
}

#ifndef DEBUG
/* Whether a word may be the return address of a call: a call instruction, direct or indirect, ends there. */
static bool is_return_address(unsigned long addr)
{
    const u8 *end = (const u8 *)addr;

    if (!is_hypervisor_text(addr) || !is_hypervisor_text(addr - 7))
        return false;
    if (end[-5] == 0xe8)
        return true;
    for (int len = 2; len <= 7; len++) {
        if (end[-len] == 0xff && (end[1 - len] & 0x38) == 0x10)
            return true;
    }
    return false;
}
#endif

static void trace_stack(unsigned long rip, unsigned long rsp, unsigned long rbp)
{
    unsigned int calls = 0;

    printk(LOG_ERR "Call trace:\n");
    if (rip)
        print_address(rip);
#ifdef DEBUG
    /* Debug builds keep frame pointers. */
    (void)rsp;
    while (stack_readable(rbp) && stack_readable(rbp + 8) && calls++ < STACK_TRACE_CALLS) {
        const unsigned long *frame = (const unsigned long *)rbp;

        if (!is_hypervisor_text(frame[1]))
            break;
        print_address(frame[1]);
        if (frame[0] <= rbp)
            break;
        rbp = frame[0];
    }
#else
    /* Whatever looks like a return address; some are left from earlier calls. */
    (void)rbp;
    for (; stack_readable(rsp) && calls < STACK_TRACE_CALLS; rsp += 8) {
        unsigned long word = *(const unsigned long *)rsp;

        if (is_return_address(word)) {
            print_address(word);
            calls++;
        }
    }
#endif
}

void show_stack(const struct cpu_user_regs *regs)
{
    unsigned long rsp = regs->rsp;

    if (!stack_readable(rsp)) {
        printk(LOG_ERR "Stack pointer %016lx is not on this CPU's stack\n", rsp);
        print_address(regs->rip);
        return;
    }
    printk(LOG_ERR "Stack from rsp=%016lx:\n", rsp);
    for (unsigned int i = 0; i < STACK_DUMP_WORDS && stack_readable(rsp + 24); i += 4, rsp += 32) {
        const unsigned long *word = (const unsigned long *)rsp;

        printk(LOG_ERR "  %016lx %016lx %016lx %016lx\n", word[0], word[1], word[2], word[3]);
    }
    trace_stack(regs->rip, regs->rsp, regs->rbp);
}

static void show_code(const struct cpu_user_regs *regs)
{
    const u8 *code = (const u8 *)regs->rip;
    char line[64];
    size_t len = 0;

    if (!is_hypervisor_text(regs->rip) || !is_hypervisor_text(regs->rip + 15))
        return;
    for (unsigned int i = 0; i < 16; i++)
        len += (size_t)scnprintf(line + len, sizeof(line) - len, " %02x", code[i]);
    printk(LOG_ERR "Code:%s\n", line);
}

void show_execution_state(const struct cpu_user_regs *regs)
{
    show_registers(regs);
    if (!guest_mode(regs)) {
        show_code(regs);
        show_stack(regs);
    }
}

void dump_stack(void)
{
    unsigned long rsp, rbp;

    asm volatile("mov %%rsp, %0\n mov %%rbp, %1" : "=r"(rsp), "=r"(rbp));
    trace_stack(0, rsp, rbp);
}

/* ---- The end ---- */

/* The first CPU that panics goes on; others, and a panic within a panic, stop here. */
static void panic_begin(void)
{
    static int panicking;

    local_irq_disable();
    if (__atomic_fetch_add(&panicking, 1, __ATOMIC_SEQ_CST) != 0)
        machine_halt();
    smp_send_stop();
    console_break_lock();
}

static void __noreturn panic_end(void)
{
    printk(LOG_ERR "****************************************\n");
    machine_crash();
}

void panic(const char *fmt, ...)
{
    static char message[256];
    va_list args;

    panic_begin();
    dump_stack();
    printk(LOG_ERR "\n");
    printk(LOG_ERR "****************************************\n");
    printk(LOG_ERR "Panic on CPU %u:\n", smp_processor_id());
    va_start(args, fmt);
    vscnprintf(message, sizeof(message), fmt, args);
    va_end(args);
    message[strcspn(message, "\n")] = '\0';
    printk(LOG_ERR "%s\n", message);
    panic_end();
}

void fatal_trap(const struct cpu_user_regs *regs)
{
    panic_begin();
    show_execution_state(regs);
    printk(LOG_ERR "\n");
    printk(LOG_ERR "****************************************\n");
    printk(LOG_ERR "Panic on CPU %u:\n", smp_processor_id());
    printk(LOG_ERR "Fatal trap: vector %u (%s), error code %04x%s\n", regs->entry_vector,
           trap_name(regs->entry_vector), regs->error_code,
           regs->rflags & X86_EFLAGS_IF ? "" : ", in interrupt context");
    if (regs->entry_vector == X86_EXC_PF)
        printk(LOG_ERR "Faulting address: %016lx\n", read_cr2());
    panic_end();
}
