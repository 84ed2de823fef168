/* SPDX-License-Identifier: MIT */
/* Names for addresses of the hypervisor's code, and the dumps that use them. */
#ifndef ASM_SYMBOLS_H
#define ASM_SYMBOLS_H

#include <domus/types.h>

struct cpu_user_regs;
struct vcpu;

/* Name of the function that addr lies in, offset in and size of it; NULL if it is no code of ours. */
const char *symbol_lookup(unsigned long addr, unsigned long *offset, unsigned long *size);
/* Name and address of symbol n, by ascending address; NULL if there are not so many: *nr tells how many. */
const char *symbol_by_number(u32 n, unsigned long *address, u32 *nr);
bool is_hypervisor_text(unsigned long addr);

/* Prints registers; for a trap inside the hypervisor also control registers and the stack. */
void show_registers(const struct cpu_user_regs *regs);
void show_stack(const struct cpu_user_regs *regs);
/* All of it: of a guest, its registers; of the hypervisor, code and a stack trace too. */
void show_execution_state(const struct cpu_user_regs *regs);
/* A trap that nothing can come after: prints all, stops the machine. */
void fatal_trap(const struct cpu_user_regs *regs) __attribute__((noreturn));
/* Reports what a trap was, for messages. */
const char *trap_name(unsigned int vector);

#endif
