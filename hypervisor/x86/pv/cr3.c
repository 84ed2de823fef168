/* SPDX-License-Identifier: MIT */
/*
 * The address spaces of a vCPU: the fourth-level tables of its kernel and of its user space, each held
 * by a reference and a type, and the values of CR3 made from them.
 */
#include <domus/arch.h>
#include <domus/domain.h>
#include <asm/flushtlb.h>
#include <asm/mm_init.h>
#include <asm/processor.h>
#include <asm/pv_mm.h>
#include <asm/pv_pt.h>
#include <asm/pv_shadow.h>
#include <asm/traps.h>
#include <xen/xen.h>

void write_ptbase(struct vcpu *v)
{
    u64 stamp = tlbflush_pre_cr3();

    write_cr3(v->arch.flags & VF_KERNEL_MODE ? v->arch.cr3_kernel : v->arch.cr3_user);
    tlbflush_post_cr3(stamp);
}

void update_cr3(struct vcpu *v)
{
    if (unlikely(v->domain->dirty_log)) {
        shadow_update_cr3(v);
        return;
    }
    v->arch.cr3_kernel = mfn_to_maddr(v->arch.guest_table);
    v->arch.cr3_user = mfn_to_maddr(v->arch.guest_table_user);
}

/* Guests read the machine-to-physical table through slot 256 of the kernel's fourth level. */
static void show_m2p(mfn_t l4)
{
    pte_t *slot = (pte_t *)mfn_to_virt(l4) + l4_index(RO_M2P_VIRT_START);

    if (!pte_present(*slot))
        pte_write(slot, idle_l4[l4_index(RO_M2P_VIRT_START)]);
}

static void hide_m2p(mfn_t l4)
{
    pte_write((pte_t *)mfn_to_virt(l4) + l4_index(RO_M2P_VIRT_START), pte_empty());
}

/* A page of d's as a fourth-level table. 0, -EINVAL or -ERESTART. */
static int get_l4(struct domain *d, mfn_t mfn)
{
    struct page_info *pg = get_page_from_mfn(mfn, d);
    int rc;

    if (!pg)
        return -EINVAL;
    rc = get_page_type_preemptible(pg, PGT_l4_page_table);
    if (rc)
        put_page(pg);
    return rc == 0 || rc == -ERESTART ? rc : -EINVAL;
}

/* Drops an address space; what does not end at once is left to the current vCPU. */
static void put_l4(mfn_t mfn)
{
    struct page_info *pg = mfn_to_page(mfn);

    if (mfn_x(mfn) && put_page_and_type_preemptible(pg))
        defer_partial_type(pg);
}

int pv_new_guest_cr3(struct vcpu *v, mfn_t mfn)
{
    mfn_t old = v->arch.guest_table;
    int rc;

    if (mfn_eq(mfn, old)) {
        write_ptbase(v);
        return 0;
    }
    /* There is room for one table whose dropping was preempted: old may be another. */
    rc = finish_deferred_type(current) ?: get_l4(v->domain, mfn);
    if (rc)
        return rc;
    show_m2p(mfn);
    v->arch.guest_table = mfn;
    update_cr3(v);
    write_ptbase(v);
    put_l4(old);
    return 0;
}

int pv_new_user_cr3(struct vcpu *v, mfn_t mfn)
{
    mfn_t old = v->arch.guest_table_user;
    int rc;

    if (mfn_eq(mfn, old))
        return 0;
    if (mfn_x(mfn)) {
        rc = get_l4(v->domain, mfn);
        if (rc)
            return rc;
        if (test_bit(VMASST_TYPE_m2p_strict, &v->domain->vm_assist))
            hide_m2p(mfn);
    }
    v->arch.guest_table_user = mfn;
    update_cr3(v);
    put_l4(old);
    return 0;
}

int pv_set_guest_tables(struct vcpu *v, mfn_t kernel_l4, mfn_t user_l4)
{
    int rc = finish_deferred_type(current);

    if (rc)
        return rc;
    if (mfn_x(kernel_l4) == 0)
        return -EINVAL;
    /* A call that was preempted has done the first half already. */
    if (!mfn_eq(v->arch.guest_table, kernel_l4)) {
        rc = pv_drop_guest_tables(v);
        if (!rc)
            rc = get_l4(v->domain, kernel_l4);
        if (rc)
            return rc;
        show_m2p(kernel_l4);
        v->arch.guest_table = kernel_l4;
    }
    if (mfn_x(user_l4) && !mfn_eq(v->arch.guest_table_user, user_l4)) {
        rc = get_l4(v->domain, user_l4);
        if (rc == -ERESTART)
            return rc;
        if (!rc) {
            put_l4(v->arch.guest_table_user);
            v->arch.guest_table_user = user_l4;
        } else {
            put_l4(v->arch.guest_table);
            v->arch.guest_table = _mfn(0);
        }
    }
    update_cr3(v);
    return rc;
}

int pv_drop_guest_tables(struct vcpu *v)
{
    mfn_t *const tables[2] = { &v->arch.guest_table, &v->arch.guest_table_user };
    int rc = finish_deferred_type(v);

    for (unsigned int i = 0; !rc && i < 2; i++) {
        mfn_t mfn = *tables[i];

        if (mfn_x(mfn) == 0)
            continue;
        *tables[i] = _mfn(0);
        update_cr3(v);
        rc = put_page_and_type_preemptible(mfn_to_page(mfn));
        if (rc)
            v->arch.old_guest_table = mfn;
    }
    return rc;
}

pte_t guest_get_leaf_pte(unsigned long va)
{
    const pte_t *p = NULL;

    if (is_canonical_address(va) && !is_hypervisor_address(va))
        p = find_l1e(current->arch.guest_table, va);
    return p ? pte_read(p) : pte_empty();
}
