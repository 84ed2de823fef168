/* SPDX-License-Identifier: MIT */
/* Machine checks: what is found, and the queue in which dom0 fetches it. */
#ifndef ASM_MCE_H
#define ASM_MCE_H

#include <domus/types.h>

struct cpu_user_regs;

/* One error as a bank of the CPU's recorded it; `addr` and `misc` are 0 if not valid. */
struct mce_error {
    unsigned int cpu, bank;
    u64 global_status, status, addr, misc;
    bool polled;
};

/* Exception 18. */
void do_machine_check(struct cpu_user_regs *regs);
/* Switch reporting on, on the calling CPU. */
void mce_init_cpu(void);
/* From now on look for corrected errors, which raise no exception; after the timers are up. */
void mce_start_polling(void);

/* Queue an error for dom0 and raise VIRQ_MCA; lost if the queue is full. Any context. */
void mca_report(const struct mce_error *error);
void mca_init(void);

#endif
