/* SPDX-License-Identifier: MIT */
/* An exception with no handler for it: the domain is crashed, the hypervisor is not. */
/* EXPECT: [Dd]om(ain )?0 (has )?crashed */
#include "kernel.h"

static void crash(void)
{
    HCALL(set_trap_table, 0, 0, 0, 0, 0);
    asm volatile("ud2");
}

TESTS({ "no_handlers", crash });
