/* SPDX-License-Identifier: MIT */
/*
 * Machine checks: errors that the CPU finds in itself or in memory. What it corrected, or what can
 * be gone on from, is printed and reported to dom0; else the machine stops.
 * Specification: Intel SDM 3B, chapter 15.
 */
#include <asm/cpufeature.h>
#include <asm/mce.h>
#include <asm/processor.h>
#include <asm/smp.h>
#include <asm/symbols.h>
#include <domus/console.h>
#include <domus/lib.h>
#include <domus/time.h>
#include <domus/timer.h>

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

#define POLL_INTERVAL       SECONDS(30)

static unsigned int nr_banks __ro_after_init;
static struct timer poll_timer;

void mce_init_cpu(void)
{
    u64 cap;

    if (!cpu_has(MCE) || !cpu_has(MCA))
        return;
    cap = rdmsr(MSR_MCG_CAP);
    if (smp_processor_id() == 0)
        nr_banks = cap & MCG_CAP_BANKS;
    wrmsr(MSR_MCG_STATUS, 0);
    if (cap & MCG_CAP_CTL)
        wrmsr(MSR_MCG_CTL, ~0ULL);
    for (unsigned int bank = 0; bank < nr_banks; bank++) {
        wrmsr_safe(BANK(MSR_MC0_CTL, bank), ~0ULL);
        wrmsr_safe(BANK(MSR_MC0_STATUS, bank), 0);
    }
}

/* The error that a bank holds; false if it holds none. */
static bool read_bank(unsigned int bank, struct mce_error *error)
{
    *error = (struct mce_error){ .cpu = smp_processor_id(), .bank = bank };
    if (rdmsr_safe(BANK(MSR_MC0_STATUS, bank), &error->status) ||
        !(error->status & MCI_STATUS_VALID))
        return false;
    if (error->status & MCI_STATUS_ADDRV)
        rdmsr_safe(BANK(MSR_MC0_ADDR, bank), &error->addr);
    if (error->status & MCI_STATUS_MISCV)
        rdmsr_safe(BANK(MSR_MC0_MISC, bank), &error->misc);
    return true;
}

/* Print, report, and make the bank ready for the next error. */
static void handle_error(const struct mce_error *error)
{
    printk(LOG_ERR "Hardware error: CPU %u bank %u: status %016lx%s%s%s, address %016lx, "
           "misc %016lx\n", error->cpu, error->bank, error->status,
           error->status & MCI_STATUS_UC ? ", not corrected" : ", corrected",
           error->status & MCI_STATUS_PCC ? ", processor context corrupt" : "",
           error->status & MCI_STATUS_OVER ? ", others lost" : "", error->addr, error->misc);
    mca_report(error);
    wrmsr_safe(BANK(MSR_MC0_STATUS, error->bank), 0);
}

/*
 * Errors found may be those of a broadcast, of another CPU's: one that is fatal has a bank of this
 * CPU's that says so. It interrupts anything, so a fatal one prints as a panic does, without locks.
 */
void do_machine_check(struct cpu_user_regs *regs)
{
    u64 global = rdmsr(MSR_MCG_STATUS);
    bool fatal = !(global & MCG_STATUS_RIPV);
    struct mce_error error;

    for (unsigned int bank = 0; bank < nr_banks; bank++)
        if (read_bank(bank, &error) && (error.status & (MCI_STATUS_PCC | MCI_STATUS_UC)))
            fatal = true;
    if (fatal)
        console_break_lock();
    printk(LOG_ERR "Machine check on CPU %u, global status %lx\n", smp_processor_id(), global);
    for (unsigned int bank = 0; bank < nr_banks; bank++) {
        if (!read_bank(bank, &error))
            continue;
        error.global_status = global;
        handle_error(&error);
    }
    if (fatal)
        fatal_trap(regs);
    wrmsr(MSR_MCG_STATUS, global & ~MCG_STATUS_MCIP);
}

/* Interrupt context, each CPU. An error that is not corrected is left to its exception. */
static void poll_this_cpu(void *arg __unused)
{
    struct mce_error error;

    for (unsigned int bank = 0; bank < nr_banks; bank++) {
        if (!read_bank(bank, &error) || (error.status & MCI_STATUS_UC))
            continue;
        error.polled = true;
        handle_error(&error);
    }
}

static void poll(void *data __unused)
{
    on_selected_cpus(&cpu_online_map, poll_this_cpu, NULL, false);
    set_timer(&poll_timer, NOW() + POLL_INTERVAL);
}

void __init mce_start_polling(void)
{
    if (!nr_banks)
        return;
    init_timer(&poll_timer, poll, NULL, 0);
    set_timer(&poll_timer, NOW() + POLL_INTERVAL);
}
