/* SPDX-License-Identifier: MIT */
/*
 * XENPF_{add,del,read}_memtype of <xen/platform.h>: dom0 sees the memory types that the firmware gave to ranges of
 * addresses, and adds or removes some. Variable-range MTRRs: Intel SDM vol. 3A, sections 12.11.2.3 and 12.11.8.
 */
#include <domus/arch.h>
#include <domus/atomic.h>
#include <domus/cpumask.h>
#include <domus/lib.h>
#include <domus/spinlock.h>
#include <asm/cpufeature.h>
#include <asm/flushtlb.h>
#include <asm/machine.h>
#include <asm/msr.h>
#include <asm/page.h>
#include <asm/processor.h>
#include <asm/smp.h>

#define MTRRCAP_COUNT     0xffu
#define DEF_TYPE_ENABLE   (1u << 11)
#define PHYSMASK_VALID    (1u << 11)
#define TYPE_MASK         0xffu

static unsigned int physbase(unsigned int reg) { return MSR_MTRR_PHYSBASE0 + 2 * reg; }
static unsigned int physmask(unsigned int reg) { return MSR_MTRR_PHYSBASE0 + 2 * reg + 1; }

/* One change of registers at a time; it guards what follows. */
static DEFINE_SPINLOCK(mtrr_lock, RANK_PLATFORM);
/* How often each register was asked for; what the firmware has set counts as asked for once, by nobody. */
static unsigned int users[MTRRCAP_COUNT + 1];

/* What a register says. */
struct range {
    u64 mfn, nr_mfns;           /* nr_mfns 0: not in use */
    u32 type;
};

static unsigned int nr_registers(void)
{
    u64 cap;

    return cpu_has(MTRR) && !rdmsr_safe(MSR_MTRRCAP, &cap) ? cap & MTRRCAP_COUNT : 0;
}

static u64 frame_mask(void)
{
    return (1UL << (boot_cpu.paddr_bits - PAGE_SHIFT)) - 1;
}

static struct range read_range(unsigned int reg)
{
    u64 base = rdmsr(physbase(reg)), mask = rdmsr(physmask(reg));
    struct range r = { 0 };

    if (mask & PHYSMASK_VALID) {
        u64 frames = mask >> PAGE_SHIFT & frame_mask();

        r.mfn = base >> PAGE_SHIFT;
        r.nr_mfns = frames ? frames & -frames : frame_mask() + 1;
        r.type = base & TYPE_MASK;
    }
    return r;
}

/* ---- Changing a register on all CPUs at the same time ---- */

struct change {
    unsigned int reg, nr_cpus;
    u64 base, mask;
    atomic_t arrived, done, left;
};

static void meet(atomic_t *count, unsigned int nr)
{
    atomic_inc(count);
    while ((unsigned int)atomic_read(count) < nr)
        cpu_relax();
}

/* With interrupts off. No CPU may cache by the old types what another reaches by the new ones: all wait for each other. */
static void change_here(void *arg)
{
    struct change *c = arg;
    unsigned long cr0;
    u64 def_type;

    meet(&c->arrived, c->nr_cpus);
    cr0 = read_cr0();
    write_cr0(cr0 | X86_CR0_CD);
    wbinvd();
    flush_tlb_all_local();
    def_type = rdmsr(MSR_MTRR_DEF_TYPE);
    wrmsr(MSR_MTRR_DEF_TYPE, def_type & ~(u64)DEF_TYPE_ENABLE);
    wrmsr(physmask(c->reg), 0);
    wrmsr(physbase(c->reg), c->base);
    wrmsr(physmask(c->reg), c->mask);
    wrmsr(MSR_MTRR_DEF_TYPE, def_type);
    wbinvd();
    write_cr0(cr0);
    flush_tlb_all_local();
    meet(&c->done, c->nr_cpus);
    atomic_inc(&c->left);
}

static void write_range(unsigned int reg, const struct range *r)
{
    struct change c = { .reg = reg, .nr_cpus = cpumask_weight(&cpu_present_map) };

    if (r->nr_mfns) {
        c.base = r->mfn << PAGE_SHIFT | r->type;
        c.mask = (~(r->nr_mfns - 1) & frame_mask()) << PAGE_SHIFT | PHYSMASK_VALID;
    }
    /* Not waiting: this CPU must come to the meeting as well. */
    on_selected_cpus(&cpu_present_map, change_here, &c, false);
    while ((unsigned int)atomic_read(&c.left) < c.nr_cpus)
        cpu_relax();
}

/* ---- Requests ---- */

/* Uncachable, write-combining, write-through, write-protected, write-back. */
static bool type_ok(u32 type)
{
    return type <= 6 && type != 2 && type != 3;
}

/* A power of two of frames, aligned to its size. */
static bool range_ok(const struct range *r)
{
    return r->nr_mfns && !(r->nr_mfns & (r->nr_mfns - 1)) && !(r->mfn & (r->nr_mfns - 1)) &&
           r->mfn <= frame_mask() && r->nr_mfns - 1 <= frame_mask() - r->mfn && type_ok(r->type);
}

static bool overlap(const struct range *a, const struct range *b)
{
    return a->nr_mfns && b->nr_mfns && a->mfn < b->mfn + b->nr_mfns && b->mfn < a->mfn + a->nr_mfns;
}

static bool within(const struct range *inner, const struct range *outer)
{
    return inner->mfn >= outer->mfn && inner->mfn + inner->nr_mfns <= outer->mfn + outer->nr_mfns;
}

/* The register to use for a new range, or an error; *exists: it says that of this range and perhaps more. */
static long choose_register(const struct range *new, bool *exists)
{
    unsigned int nr = nr_registers();
    long chosen = -ENOSPC;

    *exists = false;
    for (unsigned int reg = 0; reg < nr; reg++) {
        struct range r = read_range(reg);

        if (within(new, &r) && r.type == new->type) {
            *exists = true;
            return reg;
        }
        if (overlap(&r, new) && r.type != new->type)
            return -EINVAL;
        if (!r.nr_mfns && chosen < 0)
            chosen = reg;
    }
    return chosen;
}

long platform_add_memtype(struct xenpf_add_memtype *op)
{
    const struct range new = { .mfn = op->mfn, .nr_mfns = op->nr_mfns, .type = op->type };
    bool exists;
    long reg;

    if (!range_ok(&new))
        return -EINVAL;
    spin_lock(&mtrr_lock);
    reg = choose_register(&new, &exists);
    if (reg >= 0 && exists)
        users[reg]++;
    else if (reg >= 0)
        write_range((unsigned int)reg, &new);
    spin_unlock(&mtrr_lock);
    if (reg < 0)
        return reg;
    op->reg = (u32)reg;
    op->handle = (u32)reg + 1;          /* 0 is no handle */
    return 0;
}

long platform_del_memtype(const struct xenpf_del_memtype *op)
{
    const struct range none = { 0 };
    long rc = 0;

    if (op->reg >= nr_registers())
        return -EINVAL;
    spin_lock(&mtrr_lock);
    if (!read_range(op->reg).nr_mfns)
        rc = -EINVAL;
    else if (users[op->reg])
        users[op->reg]--;
    else
        write_range(op->reg, &none);
    spin_unlock(&mtrr_lock);
    return rc;
}

long platform_read_memtype(struct xenpf_read_memtype *op)
{
    struct range r;

    if (op->reg >= nr_registers())
        return -EINVAL;
    r = read_range(op->reg);
    op->mfn = r.mfn;
    op->nr_mfns = r.nr_mfns;
    op->type = r.type;
    return 0;
}
