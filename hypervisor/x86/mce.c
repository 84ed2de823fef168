/* SPDX-License-Identifier: MIT */
/*
 * Machine checks: errors that the CPU finds in itself or in memory. What it corrected, or what can
 * be gone on from, is printed; else the machine stops. Specification: Intel SDM 3B, chapter 15.
 */
#include <asm/cpufeature.h>
#include <asm/machine.h>
#include <asm/processor.h>
#include <asm/symbols.h>
#include <domus/console.h>
#include <domus/lib.h>
#include <domus/percpu.h>

#define MCG_CAP_BANKS       0xffu
#define MCG_CAP_CTL         BIT(8)
#define MCG_STATUS_RIPV     BIT(0)      /* the interrupted program can go on */
#define MCG_STATUS_MCIP     BIT(2)      /* in progress: another one shuts the CPU down */

#define MCI_STATUS_VALID    BIT(63)
#define MCI_STATUS_OVER     BIT(62)
#define MCI_STATUS_UC       BIT(61)     /* not corrected */
#define MCI_STATUS_MISCV    BIT(59)
#define MCI_STATUS_ADDRV    BIT(58)
#define MCI_STATUS_PCC      BIT(57)     /* the CPU's state is corrupt */

#define BANK(reg, n)        ((reg) + 4 * (n))

static unsigned int nr_banks __ro_after_init;

void mce_init_cpu(void)
{
    u64 cap;

    if (!cpu_has(MCE) || !cpu_has(MCA))
        return;
    cap = rdmsr(MSR_MCG_CAP);
    nr_banks = cap & MCG_CAP_BANKS;
    wrmsr(MSR_MCG_STATUS, 0);
    if (cap & MCG_CAP_CTL)
        wrmsr(MSR_MCG_CTL, ~0ULL);
    for (unsigned int bank = 0; bank < nr_banks; bank++) {
        wrmsr_safe(BANK(MSR_MC0_CTL, bank), ~0ULL);
        wrmsr_safe(BANK(MSR_MC0_STATUS, bank), 0);
    }
}

static void print_bank(unsigned int bank, u64 status)
{
    u64 value;

    printk(LOG_ERR "CPU %u bank %u: status %016lx%s%s%s", smp_processor_id(), bank, status,
           status & MCI_STATUS_UC ? ", not corrected" : ", corrected",
           status & MCI_STATUS_PCC ? ", processor context corrupt" : "",
           status & MCI_STATUS_OVER ? ", others lost" : "");
    if ((status & MCI_STATUS_ADDRV) && !rdmsr_safe(BANK(MSR_MC0_ADDR, bank), &value))
        printk(", address %016lx", value);
    if ((status & MCI_STATUS_MISCV) && !rdmsr_safe(BANK(MSR_MC0_MISC, bank), &value))
        printk(", misc %016lx", value);
    printk("\n");
}

/*
 * Errors found may be those of a broadcast, of another CPU's: one that is fatal has a bank of this
 * CPU's that says so. It interrupts anything, so a fatal one prints as a panic does, without locks.
 */
void do_machine_check(struct cpu_user_regs *regs)
{
    u64 global = rdmsr(MSR_MCG_STATUS), status;
    bool fatal = !(global & MCG_STATUS_RIPV), found = false;

    for (unsigned int bank = 0; bank < nr_banks; bank++) {
        if (rdmsr_safe(BANK(MSR_MC0_STATUS, bank), &status) || !(status & MCI_STATUS_VALID))
            continue;
        found = true;
        if (status & (MCI_STATUS_PCC | MCI_STATUS_UC))
            fatal = true;
    }
    if (fatal)
        console_start_panic();
    printk(LOG_ERR "Machine check on CPU %u, global status %lx%s\n", smp_processor_id(), global,
           found ? "" : ", no bank says why");
    for (unsigned int bank = 0; bank < nr_banks; bank++) {
        if (rdmsr_safe(BANK(MSR_MC0_STATUS, bank), &status) || !(status & MCI_STATUS_VALID))
            continue;
        print_bank(bank, status);
        wrmsr_safe(BANK(MSR_MC0_STATUS, bank), 0);
    }
    if (fatal)
        fatal_trap(regs);
    wrmsr(MSR_MCG_STATUS, global & ~MCG_STATUS_MCIP);
}
