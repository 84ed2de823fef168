/* SPDX-License-Identifier: MIT */
/*
 * Writable page tables by emulation: a guest's kernel writes to one of its page tables of level 1 with
 * a plain instruction, which faults because such tables are mapped read-only; the change is checked and
 * made on its behalf, in one step for other CPUs. xen/xen.h, VMASST_TYPE_writable_pagetables.
 */
#include <domus/arch.h>
#include <domus/domain.h>
#include <asm/processor.h>
#include <asm/pv_insn.h>
#include <asm/pv_mm.h>
#include <asm/pv_pt.h>
#include <asm/traps.h>

/* DR6: single step. */
#define DR6_BS (1UL << 14)

/* Whether mfn is one of d's page tables of level 1 now; a hint, no lock is held. */
static bool is_l1_table(const struct domain *d, mfn_t mfn)
{
    const struct page_info *pg;

    if (!mfn_valid(mfn))
        return false;
    pg = mfn_to_page(mfn);
    return (READ_ONCE(pg->type_info) & PGT_type_mask) == PGT_l1_page_table && pg->owner == d &&
           (pg->type_info & PGT_count_mask);
}

static bool fetch_insn(unsigned long rip, struct mem_insn *insn)
{
    u8 code[INSN_BUFFER] __aligned(8) = { 0 };
    /* Whole words are quickest; at the end of a page what is there has to do. */
    unsigned int wanted = ROUNDUP(MAX_INSN_LENGTH, 8);
    unsigned long missing = arch_copy_from_guest(code, (const void *)rip, wanted);

    return decode_mem_insn(code, (unsigned int)(wanted - missing), insn);
}

/* The entry's table is locked. The operand is the insn->bytes bytes from byte `offset` of the entry on. */
static bool change_entry(pte_t *p, unsigned int offset, const struct mem_insn *insn, struct cpu_user_regs *regs,
                         struct domain *d)
{
    u64 mask = ~0UL >> (64 - 8 * insn->bytes) << 8 * offset;
    pte_t old = pte_read(p);
    int rc = 0;

    /* Only the CPUs' walkers race with this, so it ends soon. */
    do {
        u64 operand = (old.v & mask) >> 8 * offset;
        struct mem_result result = execute_mem_insn(insn, regs, operand);
        pte_t val = { (old.v & ~mask) | (result.value << 8 * offset & mask) };

        if (result.store)
            rc = update_l1e(p, val, PTE_CMPXCHG, &old, d, d);
        if (!rc)
            retire_mem_insn(insn, regs, operand, &result);
    } while (rc == -EAGAIN);
    return rc == 0;
}

bool pv_pt_write_fault(struct vcpu *v, unsigned long addr, struct cpu_user_regs *regs)
{
    struct domain *d = v->domain;
    unsigned int offset = addr & 7;
    struct mem_insn insn;
    struct page_info *pg;
    pte_t map, *p;
    bool done;

    map = guest_get_leaf_pte(addr);
    if (!pte_present(map) || (map.v & _PAGE_RW) || !is_l1_table(d, pte_mfn(map)))
        return false;
    if (!fetch_insn(regs->rip, &insn) || offset + insn.bytes > sizeof(pte_t))
        return false;

    pg = mfn_to_page(pte_mfn(map));
    if (!page_lock(pg))
        return false;
    p = (pte_t *)page_to_virt(pg) + (addr & ~PAGE_MASK) / sizeof(pte_t);
    done = (pg->type_info & PGT_type_mask) == PGT_l1_page_table && pg->owner == d &&
           change_entry(p, offset, &insn, regs, d);
    page_unlock(pg);

    if (done && unlikely(regs->rflags & X86_EFLAGS_TF)) {
        v->arch.dr[6] |= DR6_BS;
        pv_inject_hw_exception(X86_EXC_DB, 0);
    }
    return done;
}
