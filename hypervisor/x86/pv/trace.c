/* SPDX-License-Identifier: MIT */
/*
 * Tracing of hypercalls. While they are traced entry code finds them by another table, all rows of which lead to one
 * function that writes the record and goes on by the real one; so they cost nothing while they are not.
 */
#include <domus/arch.h>
#include <domus/lib.h>
#include <asm/current.h>
#include <asm/trace.h>
#include <asm/traps.h>
#include <xen/xen.h>

#define ALL_ROWS  [0 ... NR_HYPERCALLS - 1]
#define MAX_SHOWN 3
#define ARG(n)    (1u << (n))

/* Arguments that a record shows, by number: commands and counts, all of 32 bits. */
static const u8 shown_args[NR_HYPERCALLS] = {
    [__HYPERVISOR_mmu_update] = ARG(1),
    [__HYPERVISOR_multicall] = ARG(1),
    [__HYPERVISOR_mmuext_op] = ARG(1),
    [__HYPERVISOR_grant_table_op] = ARG(0) | ARG(2),
    [__HYPERVISOR_vcpu_op] = ARG(0) | ARG(1),
    [__HYPERVISOR_sched_op] = ARG(0),
    [__HYPERVISOR_memory_op] = ARG(0),
    [__HYPERVISOR_event_channel_op] = ARG(0),
    [__HYPERVISOR_physdev_op] = ARG(0),
};

void trace_write_hypercall(uint32_t event, unsigned int op, const unsigned long args[6])
{
    uint32_t words[1 + MAX_SHOWN] = { op };
    unsigned int nr = 1;

    for (unsigned int i = 0; i < MAX_SHOWN; i++) {
        if (!(shown_args[op] & ARG(i)))
            continue;
        words[0] |= TRC_PV_HYPERCALL_V2_ARG_32(i);
        words[nr++] = (uint32_t)args[i];
    }
    trace_write(event, words, nr);
}

static long traced_hypercall(unsigned long a, unsigned long b, unsigned long c, unsigned long d, unsigned long e,
                             unsigned long f)
{
    const unsigned long args[6] = { a, b, c, d, e, f };
    unsigned long op = guest_cpu_user_regs()->rax % NR_HYPERCALLS;
    hypercall_fn *fn = hypercall_table[op];

    trace_hypercall(TRC_PV_HYPERCALL_V2, (unsigned int)op, args);
    return fn ? fn(a, b, c, d, e, f) : -ENOSYS;
}

static hypercall_fn *const traced_table[NR_HYPERCALLS] = { ALL_ROWS = traced_hypercall };

extern hypercall_fn *const *hypercall_rows;     /* for entry.S */
hypercall_fn *const *hypercall_rows = hypercall_table;

void arch_trace_changed(void)
{
    WRITE_ONCE(hypercall_rows, trace_wanted(TRC_PV_HYPERCALL_V2) ? traced_table : hypercall_table);
}
