/* SPDX-License-Identifier: MIT */
/* Grant mappings of the fake architecture: a table of addresses. The contract is that of x86. */
#ifndef ASM_PV_MM_H
#define ASM_PV_MM_H

#include <asm/mm.h>

int pv_create_grant_mapping(u64 addr, mfn_t frame, unsigned int gntmap_flags,
                            unsigned int cache_flags);
int pv_destroy_grant_mapping(u64 addr, mfn_t frame, u64 new_addr, unsigned int gntmap_flags);

#endif
