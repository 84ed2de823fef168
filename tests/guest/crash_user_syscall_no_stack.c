/* SPDX-License-Identifier: MIT */
/* A system call of user space when the stack of the kernel is not mapped: the domain is crashed, the hypervisor is not. */
/* EXPECT: [Dd]om(ain )?0 (has )?crashed */
#include "kernel.h"

extern char code[];
asm(".pushsection .text\ncode: syscall\n.popsection");

static void crash(void)
{
    HCALL(stack_switch, FLAT_KERNEL_SS, UNMAPPED, 0, 0, 0);
    run_user((unsigned long)code);
}

TESTS({ "user_syscall_no_stack", crash });
