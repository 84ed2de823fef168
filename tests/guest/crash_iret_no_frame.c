/* SPDX-License-Identifier: MIT */
/* An iret whose frame cannot be read: the domain is crashed, the hypervisor is not. */
/* EXPECT: [Dd]om(ain )?0 (has )?crashed */
#include "kernel.h"

static void crash(void)
{
    iret_to(UNMAPPED, 0);
}

TESTS({ "iret_no_frame", crash });
