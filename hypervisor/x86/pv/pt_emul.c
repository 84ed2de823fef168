/* SPDX-License-Identifier: MIT */
/*
 * Writable page tables by emulation: a guest's kernel writes to one of its page tables of level 1 with
 * a plain instruction, which faults because such tables are mapped read-only; the change is checked and
 * made on its behalf, in one step for other CPUs. xen/xen.h, VMASST_TYPE_writable_pagetables.
 */
#include <domus/arch.h>
#include <domus/domain.h>
#include <asm/guest_read.h>
#include <asm/processor.h>
#include <asm/pv_insn.h>
#include <asm/pv_mm.h>
#include <asm/pv_pt.h>
#include <asm/trace.h>
#include <asm/traps.h>

/* DR6: single step. */
#define DR6_BS (1UL << 14)

/* Whether mfn is a page table of level 1 now; a hint, no lock is held. */
static bool is_l1_table(mfn_t mfn)
{
    return mfn_valid(mfn) && (READ_ONCE(mfn_to_page(mfn)->type_info) & PGT_type_mask) == PGT_l1_page_table;
}

static bool fetch_insn(unsigned long rip, struct mem_insn *insn)
{
    u64 code[INSN_BUFFER / 8] = { 0 };
    unsigned int wanted = ROUNDUP(MAX_INSN_LENGTH, 8), avail = wanted;

    /* At the end of a page what is there has to do. */
    if (unlikely(!read_guest_pair(code, rip)))
        avail -= (unsigned int)arch_copy_from_guest(code, (const void *)rip, wanted);
    return decode_mem_insn((const u8 *)code, avail, insn);
}

/* XCHG of a whole entry with a register, as kernels take an entry away: the most frequent by far, and no flags change. */
static bool exchange_entry(pte_t *p, const struct mem_insn *insn, struct cpu_user_regs *regs, struct domain *d)
{
    u64 *reg = gpr(regs, insn->reg);
    pte_t old = pte_read(p);
    int rc;

    do {
        rc = update_l1e(p, (pte_t){ *reg }, PTE_CMPXCHG, &old, d, d);
    } while (unlikely(rc == -EAGAIN));
    if (unlikely(rc))
        return false;
    *reg = old.v;
    regs->rflags &= ~(u64)X86_EFLAGS_RF;
    regs->rip += insn->length;
    return true;
}

/* The entry's table is locked. The operand is the insn->bytes bytes from byte `offset` of the entry on. */
static bool change_entry(pte_t *p, unsigned int offset, const struct mem_insn *insn, struct cpu_user_regs *regs,
                         struct domain *d)
{
    u64 mask = ~0UL >> (64 - 8 * insn->bytes) << 8 * offset;
    pte_t old = pte_read(p);
    int rc = 0;

    if (likely(insn->op == OP_XCHG && insn->bytes == sizeof(pte_t)))
        return exchange_entry(p, insn, regs, d);
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
    unsigned long rip = regs->rip;
    struct page_info *pg;
    pte_t map, *p;
    bool done;

    map = guest_get_leaf_pte(addr);
    if (!pte_present(map) || (map.v & _PAGE_RW) || !is_l1_table(pte_mfn(map)))
        return false;
    if (!fetch_insn(regs->rip, &insn) || offset + insn.bytes > sizeof(pte_t))
        return false;

    pg = mfn_to_page(pte_mfn(map));
    if (!lock_l1(pg, d))
        return false;
    p = (pte_t *)mfn_to_virt(pte_mfn(map)) + (addr & ~PAGE_MASK) / sizeof(pte_t);
    done = change_entry(p, offset, &insn, regs, d);
    if (done)
        trace_pt_write(addr, p->v, rip);
    page_unlock(pg);

    if (done && unlikely(regs->rflags & X86_EFLAGS_TF)) {
        v->arch.dr[6] |= DR6_BS;
        pv_inject_hw_exception(X86_EXC_DB, 0);
    }
    return done;
}
