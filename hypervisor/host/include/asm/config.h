/* SPDX-License-Identifier: MIT */
/* Sizes of the fake architecture: those of x86-64 where the public ABI depends on them. */
#ifndef ASM_CONFIG_H
#define ASM_CONFIG_H

#define PAGE_SHIFT      12
#define PAGE_SIZE       (1UL << PAGE_SHIFT)
#define PAGE_MASK       (~(PAGE_SIZE - 1))

#define NR_CPUS         256

#endif
