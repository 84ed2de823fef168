/* SPDX-License-Identifier: MIT */
/* An iret to user mode without page tables for it: the domain is crashed, the hypervisor is not. */
/* EXPECT: [Dd]om(ain )?0 (has )?crashed */
#include "kernel.h"

static void crash(void)
{
    struct iret_frame f = { .rip = 0x1000, .cs = FLAT_USER_CS, .rflags = 0x202, .ss = FLAT_USER_SS };

    iret_to((unsigned long)&f, 0);
}

TESTS({ "iret_no_user_space", crash });
