/* SPDX-License-Identifier: MIT */
/* An exception on a stack in the memory of the hypervisor: the domain is crashed, the hypervisor is not. */
/* EXPECT: [Dd]om(ain )?0 (has )?crashed */
#include "kernel.h"

static void crash(void)
{
    asm volatile("mov %0, %%rsp; ud2" : : "r"(HV_SECRET));
}

TESTS({ "hypervisor_stack", crash });
