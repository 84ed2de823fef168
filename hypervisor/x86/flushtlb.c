/* SPDX-License-Identifier: MIT */
/*
 * TLB flushes and their clock. A CPU that has flushed everything that is not global since stamp t cannot hold an entry
 * made before t.
 */
#include <domus/lib.h>
#include <domus/percpu.h>
#include <asm/current.h>
#include <asm/flushtlb.h>
#include <asm/processor.h>
#include <asm/smp.h>

u64 tlbflush_clock = 1;
DEFINE_PER_CPU(u64, tlbflush_time);

u64 tlbflush_pre_cr3(void)
{
    return __atomic_add_fetch(&tlbflush_clock, 1, __ATOMIC_SEQ_CST);
}

void tlbflush_filter(cpumask_t *mask, u32 stamp)
{
    u64 now = __atomic_load_n(&tlbflush_clock, __ATOMIC_SEQ_CST);
    u64 since = now - (u32)((u32)now - stamp);
    unsigned int cpu;

    for_each_cpu(cpu, mask) {
        if (READ_ONCE(per_cpu(tlbflush_time, cpu)) > since)
            __cpumask_clear_cpu(cpu, mask);
    }
}

void flush_tlb_local(void)
{
    u64 stamp = tlbflush_pre_cr3();

    write_cr3(read_cr3());
    tlbflush_post_cr3(stamp);
}

void flush_tlb_all_local(void)
{
    unsigned long flags = local_irq_save_flags();
    unsigned long cr4 = read_cr4();
    u64 stamp = tlbflush_pre_cr3();

    if (cr4 & X86_CR4_PGE) {
        write_cr4(cr4 & ~(unsigned long)X86_CR4_PGE);
        write_cr4(cr4);
    } else {
        write_cr3(read_cr3());
    }
    tlbflush_post_cr3(stamp);
    local_irq_restore(flags);
}

void flush_area_local(unsigned long va, unsigned int flags)
{
    if (flags & FLUSH_CACHE)
        wbinvd();
    if (flags & FLUSH_VA)
        flush_tlb_one_local(va);
    else if (flags & FLUSH_TLB_GLOBAL)
        flush_tlb_all_local();
    else if (flags & FLUSH_TLB)
        flush_tlb_local();
}

struct flush_request {
    unsigned long va;
    unsigned int flags;
};

static void do_flush(void *arg)
{
    const struct flush_request *request = arg;

    flush_area_local(request->va, request->flags);
}

void flush_mask(const cpumask_t *mask, unsigned long va, unsigned int flags)
{
    struct flush_request request = { va, flags };
    unsigned int first = cpumask_first(mask);

    if (first >= NR_CPUS)
        return;
    /* Mostly it is this CPU alone. */
    if (first == smp_processor_id() && cpumask_next(first, mask) >= NR_CPUS) {
        flush_area_local(va, flags);
        return;
    }
    on_selected_cpus(mask, do_flush, &request, true);
}
