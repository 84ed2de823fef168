/* SPDX-License-Identifier: MIT */
/* Between the files that serve HYPERVISOR_memory_op. */
#ifndef CORE_MEMORY_H
#define CORE_MEMORY_H

#include <domus/domain.h>
#include <domus/hypercall.h>
#include <xen/memory.h>

#define MEMOP_EXTENT_SHIFT 6

/* Largest order of extents that the caller may name. */
unsigned int memory_max_order(const struct domain *caller);
/* XENMEMF_* to MEMF_*; -EINVAL. */
int memory_flags(unsigned int mem_flags, unsigned int *memflags);
/* XENMEM_exchange. */
long memory_exchange(guest_ptr_t arg);

#endif
