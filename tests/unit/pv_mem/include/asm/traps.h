/* SPDX-License-Identifier: MIT */
/* What page-table emulation needs of trap handling. */
#ifndef ASM_TRAPS_H
#define ASM_TRAPS_H

#include <asm/current.h>

#define VF_KERNEL_MODE 0x1

#define PFEC_PRESENT 0x01
#define PFEC_WRITE   0x02
#define PFEC_USER    0x04
#define PFEC_INSN    0x10

void pv_update_entry(struct vcpu *v);
void pv_inject_hw_exception(unsigned int vector, u32 error_code);

#endif
