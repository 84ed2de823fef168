/* SPDX-License-Identifier: MIT */
/* x86's layout with the frame table and the direct map at addresses that a process may have. */
#ifndef TEST_ASM_CONFIG_H
#define TEST_ASM_CONFIG_H

#include_next <asm/config.h>

#undef FRAMETABLE_VIRT_START
#undef DIRECTMAP_VIRT_START
#undef DIRECTMAP_SIZE
#define FRAMETABLE_VIRT_START CONST(0x200000000000)
#define DIRECTMAP_VIRT_START  CONST(0x210000000000)
#define DIRECTMAP_SIZE        CONST(0x010000000000)

#endif
