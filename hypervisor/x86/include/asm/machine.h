/* SPDX-License-Identifier: MIT */
/*
 * The machine as a whole: restart, halt, power-off, sleep states; console devices; NMIs.
 */
#ifndef ASM_MACHINE_H
#define ASM_MACHINE_H

#include <domus/types.h>
#include <xen/platform.h>

struct cpu_user_regs;

/*
 * End of everything: any CPU, any context; none of them returns. machine_crash restarts, after
 * some seconds in which the console can be read, or halts for good with noreboot.
 */
void machine_crash(void) __attribute__((noreturn));
void machine_restart(void) __attribute__((noreturn));
void machine_halt(void) __attribute__((noreturn));
void machine_power_off(void) __attribute__((noreturn));
/*
 * XENPF_enter_acpi_sleep: dom0 gives the PM1 control values of \_Sx. Only S5 is served; -EINVAL
 * for values that are none, -EOPNOTSUPP for other states. On success it does not return.
 */
int acpi_enter_sleep(const struct xenpf_enter_acpi_sleep *sleep);

/*
 * XENPF_resource_op: registers of a CPU, read or written. Returns how many entries were served; the next one then tells
 * why it was not. Errors: -EINVAL too many, -ENODEV no such CPU, -EFAULT. x86/resource_op.c.
 */
long platform_resource_op(const xenpf_resource_op_t *op);
/* Memory types of ranges. Errors: -EINVAL no such register or range, or one of another type is there; -ENOSPC. x86/mtrr.c. */
long platform_add_memtype(struct xenpf_add_memtype *op);
long platform_del_memtype(const struct xenpf_del_memtype *op);
long platform_read_memtype(struct xenpf_read_memtype *op);

/* Serial lines, as com1= and com2= say: output works from then on. */
void serial_init(void);
/* From now on serial input comes by interrupt, with a polling timer as the fall-back. */
void serial_init_irq(void);
/* Lines 0 and 1: whether the hypervisor uses it; *port: the first of 8, *irq: its ISA interrupt, 0: none. */
#define SERIAL_LINES 2
#define SERIAL_PORTS 8
bool serial_in_use(unsigned int index, uint16_t *port, unsigned int *irq);
/* VGA text screen; after the hypervisor's own page tables are there. */
void vga_init(void);
/* Give the screen to dom0, unless `vga=keep`. */
void vga_end_boot(void);
/* Facts of the text screen for dom0's start_info; false if there is none. */
struct dom0_vga_console_info;
bool vga_console_info(struct dom0_vga_console_info *info);

/* Exception 2. */
void do_nmi(struct cpu_user_regs *regs);
/* Register what NMIs need; boot CPU, before dom0 starts. */
void nmi_init(void);
/* NMIs that no part of the machine owned up to, on all CPUs. */
unsigned int nmi_unknown_count(void);

/* Register the console keys that act on the machine. */
void debug_keys_init(void);

#endif
