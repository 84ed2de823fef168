/* SPDX-License-Identifier: MIT */
/* What page-table emulation needs of trap handling. */
#ifndef ASM_TRAPS_H
#define ASM_TRAPS_H

#include <asm/current.h>

#define VF_KERNEL_MODE 0x1

void pv_inject_hw_exception(unsigned int vector, u32 error_code);

#endif
