/* SPDX-License-Identifier: MIT */
/*
 * Exception table: instructions that may fault, and where execution goes on if they do. The table lies in section
 * .ex_table and is sorted at boot (x86/extable.c).
 */
#ifndef ASM_EXTABLE_H
#define ASM_EXTABLE_H

#ifdef __ASSEMBLY__

.macro _ASM_EXTABLE from, to
    .pushsection .ex_table, "a", @progbits
    .balign 8
    .quad \from, \to
    .popsection
.endm

#else

#define _ASM_EXTABLE(from, to)                                                                                        \
    " .pushsection .ex_table, \"a\", @progbits\n .balign 8\n .quad " #from ", " #to "\n .popsection\n"

/* Sorts the table; before it, lookups may miss. */
void sort_exception_table(void);
/* Where to go on after a fault at rip; 0: the fault was not expected there. */
unsigned long search_exception_table(unsigned long rip);

#endif
#endif
