/* SPDX-License-Identifier: MIT */
/* A CPU with NX and 40 bits of physical address. */
#ifndef ASM_CPUFEATURE_H
#define ASM_CPUFEATURE_H

#include <stdbool.h>

static const struct { unsigned int paddr_bits; } boot_cpu = { 40 };
extern bool test_has_nx;
#define cpu_has_nx test_has_nx

#endif
