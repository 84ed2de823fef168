/* SPDX-License-Identifier: MIT */
/* Trace points of paravirtualized guests: records of the class TRC_PV (<xen/trace.h>), all in the form for 64 bits. */
#ifndef ASM_TRACE_H
#define ASM_TRACE_H

#include <domus/trace.h>

/* A hypercall, or one of a multicall's. op: below NR_HYPERCALLS. x86/pv/trace.c. */
void trace_write_hypercall(uint32_t event, unsigned int op, const unsigned long args[6]);

static inline void trace_hypercall(uint32_t event, unsigned int op, const unsigned long args[6])
{
    if (trace_wanted(event))
        trace_write_hypercall(event, op, args);
}

/* A privileged instruction, which ended before rip, has been carried out. */
static inline void trace_privileged(unsigned long rip)
{
    trace(TRC_PV_EMULATE_PRIVOP | TRC_64_FLAG, TRACE_64(rip));
}

/* A plain store into a page table, at addr, has been served. */
static inline void trace_pt_write(unsigned long addr, u64 entry, unsigned long rip)
{
    trace(TRC_PV_PTWR_EMULATION | TRC_64_FLAG, TRACE_64(entry), TRACE_64(addr), TRACE_64(rip));
}

#endif
