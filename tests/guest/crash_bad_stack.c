/* SPDX-License-Identifier: MIT */
/* An exception on a stack at a non-canonical address: the domain is crashed, the hypervisor is not. */
/* EXPECT: [Dd]om(ain )?0 (has )?crashed */
#include "kernel.h"

static void crash(void)
{
    asm volatile("mov %0, %%rsp; ud2" : : "r"(NON_CANONICAL));
}

TESTS({ "bad_stack", crash });
