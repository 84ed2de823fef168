/* SPDX-License-Identifier: MIT */
/* A system call when the stack of the kernel is in the memory of the hypervisor: the domain is crashed, the hypervisor is not. */
/* EXPECT: [Dd]om(ain )?0 (has )?crashed */
#include "kernel.h"

extern char code[];
asm(".pushsection .text\ncode: syscall\n.popsection");

static void crash(void)
{
    HCALL(stack_switch, FLAT_KERNEL_SS, HV_SECRET, 0, 0, 0);
    run_user((unsigned long)code);
}

TESTS({ "user_stack_switch", crash });
