/* SPDX-License-Identifier: MIT */
/* An iret that takes its frame from the memory of the hypervisor: the domain is crashed, the hypervisor is not. */
/* EXPECT: [Dd]om(ain )?0 (has )?crashed */
#include "kernel.h"

static void crash(void)
{
    iret_to(HV_SECRET, 0);
}

TESTS({ "iret_hypervisor_frame", crash });
