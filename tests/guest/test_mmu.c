/* SPDX-License-Identifier: MIT */
/* Page tables: mmu_update, update_va_mapping, mmuext_op and writes to page tables, with what an attacker would try. */
#include "kernel.h"

#define MFN_BAD 0xfffffffffUL           /* beyond all memory */
#define L4_HYPERVISOR_SLOT 256
#define ROOT_MFN mfn_of((void *)start_info->pt_base)

static uint64_t entry(unsigned long mfn, uint64_t flags)
{
    return mfn << PAGE_SHIFT | flags;
}

static uint64_t slot_of(unsigned long mfn, unsigned int index)
{
    return (mfn << PAGE_SHIFT) + index * 8;
}

static long mmuext(unsigned int cmd, unsigned long arg1)
{
    struct mmuext_op op = { .cmd = cmd, .arg1.mfn = arg1 };

    return HCALL(mmuext_op, &op, 1, 0, DOMID_SELF, 0);
}

static void make_read_only(void *page)
{
    check_eq(set_pte((unsigned long)page, entry(mfn_of(page), PTE_RO)), 0);
}

/* A page that may become a page table: mapped read-only, with this first entry. */
static uint64_t *table_with(uint64_t first)
{
    uint64_t *page = alloc_page();

    page[0] = first;
    make_read_only(page);
    return page;
}

/* ---- Tables and writable mappings exclude each other ---- */

static void page_tables_are_not_writable(void)
{
    unsigned long mfn;
    void *page = alloc_page();

    for (unsigned int level = 1; level <= 4; level++) {
        check(table_of((unsigned long)page, level, &mfn) != NULL);
        check(set_pte((unsigned long)page, entry(mfn, PTE_DATA)) != 0);
        check_eq(set_pte((unsigned long)page, entry(mfn, PTE_RO)), 0);
        check_eq(guarded(write_at, (unsigned long)page + 8 * 300, 0) == TRAP_NONE, level == 1);
        if (level > 1)
            check_eq(last_trap.error_code, 3);
    }
    check_eq(set_pte((unsigned long)page, entry(mfn_of(page), PTE_DATA)), 0);
}

static void writable_pages_are_no_page_tables(void)
{
    uint64_t *page = alloc_page();

    for (unsigned int cmd = MMUEXT_PIN_L1_TABLE; cmd <= MMUEXT_PIN_L4_TABLE; cmd++)
        check(mmuext(cmd, mfn_of(page)) != 0);
    make_read_only(page);
    check_eq(mmuext(MMUEXT_PIN_L1_TABLE, mfn_of(page)), 0);
    check(set_pte((unsigned long)page, entry(mfn_of(page), PTE_DATA)) != 0);
    check_eq(mmuext(MMUEXT_UNPIN_TABLE, mfn_of(page)), 0);
    check_eq(set_pte((unsigned long)page, entry(mfn_of(page), PTE_DATA)), 0);
    check_eq(guarded(write_at, (unsigned long)page, 1), TRAP_NONE);
}

static void no_two_types(void)
{
    uint64_t *page = table_with(0);

    for (unsigned int cmd = MMUEXT_PIN_L1_TABLE; cmd <= MMUEXT_PIN_L3_TABLE; cmd++) {
        check_eq(mmuext(cmd, mfn_of(page)), 0);
        for (unsigned int other = MMUEXT_PIN_L1_TABLE; other <= MMUEXT_PIN_L4_TABLE; other++)
            check(mmuext(other, mfn_of(page)) != 0);
        check_eq(mmuext(MMUEXT_UNPIN_TABLE, mfn_of(page)), 0);
        check(mmuext(MMUEXT_UNPIN_TABLE, mfn_of(page)) != 0);
    }
}

static void hidden_writable_mappings(void)
{
    uint64_t *target = table_with(0), *l1 = table_with(entry(mfn_of(target), PTE_DATA));

    /* The table to be would map another one writable. */
    check_eq(mmuext(MMUEXT_PIN_L1_TABLE, mfn_of(target)), 0);
    check(mmuext(MMUEXT_PIN_L1_TABLE, mfn_of(l1)) != 0);
    check_eq(mmuext(MMUEXT_UNPIN_TABLE, mfn_of(target)), 0);
    check_eq(mmuext(MMUEXT_PIN_L1_TABLE, mfn_of(l1)), 0);
    check(mmuext(MMUEXT_PIN_L1_TABLE, mfn_of(target)) != 0);
    check_eq(mmuext(MMUEXT_UNPIN_TABLE, mfn_of(l1)), 0);
    check_eq(mmuext(MMUEXT_PIN_L1_TABLE, mfn_of(target)), 0);
    check_eq(mmuext(MMUEXT_UNPIN_TABLE, mfn_of(target)), 0);
}

static void tables_that_map_themselves(void)
{
    uint64_t *page = alloc_page(), *l2;

    page[0] = entry(mfn_of(page), PTE_DATA);
    make_read_only(page);
    check(mmuext(MMUEXT_PIN_L1_TABLE, mfn_of(page)) != 0);
    check(mmuext(MMUEXT_PIN_L2_TABLE, mfn_of(page)) != 0);
    check(mmuext(MMUEXT_PIN_L3_TABLE, mfn_of(page)) != 0);
    l2 = table_with(entry(mfn_of(page), PTE_DATA));
    check(mmuext(MMUEXT_PIN_L2_TABLE, mfn_of(l2)) != 0);
    /* A linear map of the root: never writable. */
    check(mmu_update1(slot_of(ROOT_MFN, 300), entry(ROOT_MFN, PTE_DATA)) != 0);
}

/* ---- Entries that are refused ---- */

static void hypervisor_slots(void)
{
    uint64_t *l3 = table_with(0);
    const volatile uint64_t *root = (const volatile uint64_t *)start_info->pt_base;
    uint64_t before = root[L4_HYPERVISOR_SLOT];

    check_eq(mmuext(MMUEXT_PIN_L3_TABLE, mfn_of(l3)), 0);
    for (unsigned int slot = L4_HYPERVISOR_SLOT; slot < 272; slot++) {
        check(mmu_update1(slot_of(ROOT_MFN, slot), entry(mfn_of(l3), PTE_DATA)) != 0);
        check(mmu_update1(slot_of(ROOT_MFN, slot), 0) != 0);
    }
    check_eq(root[L4_HYPERVISOR_SLOT], before);
    check_eq(mmu_update1(slot_of(ROOT_MFN, 272), entry(mfn_of(l3), PTE_DATA)), 0);
    check_eq(mmu_update1(slot_of(ROOT_MFN, 272), 0), 0);
    check_eq(mmuext(MMUEXT_UNPIN_TABLE, mfn_of(l3)), 0);
}

static void frames_not_ours(void)
{
    unsigned long va = (unsigned long)alloc_page();
    unsigned long hypervisor_frame = 0;

    check(set_pte(va, entry(MFN_BAD, PTE_DATA)) != 0);
    check(set_pte(va, entry(0xffffffffffUL, PTE_DATA)) != 0);
    /* Frames that are RAM but have no number in our list: the hypervisor's or nobody's. */
    for (unsigned long mfn = 0x200; mfn < 0x1f000; mfn += 0x100) {
        bool ours = mfn == start_info->shared_info >> PAGE_SHIFT;

        for (unsigned long i = 0; i < start_info->nr_pages && !ours; i++)
            ours = p2m[i] == mfn;
        if (ours)
            continue;
        hypervisor_frame = mfn;
        if (set_pte(va, entry(mfn, PTE_DATA)) == 0)
            fail(__FILE__, __LINE__, "frame %#lx could be mapped writable", mfn);
        check(mmuext(MMUEXT_PIN_L1_TABLE, mfn) != 0);
    }
    check(hypervisor_frame != 0);
    check_eq(set_pte(va, entry(mfn_of((void *)va), PTE_DATA)), 0);
}

static void bad_flags(void)
{
    unsigned long va = (unsigned long)alloc_page(), mfn, above = 0;
    uint64_t pte = entry(mfn_of((void *)va), PTE_DATA);
    uint64_t *l1 = table_with(0);

    check(set_pte(va, pte | 1UL << 51) != 0);
    check(set_pte(va, pte | 1UL << 47) != 0);
    /* Large pages are not for PV guests. */
    check(table_of(va, 2, &mfn) && table_of(va, 3, &above));
    check(mmu_update1(slot_of(mfn, 500), entry(mfn_of(l1), PTE_DATA | PTE_PSE)) != 0);
    check(mmu_update1(slot_of(above, 500), entry(mfn_of(l1), PTE_DATA | PTE_PSE)) != 0);
    check(mmu_update1(slot_of(ROOT_MFN, 500), entry(mfn_of(l1), PTE_DATA | PTE_PSE)) != 0);
    check(mmu_update1(slot_of(mfn, 500), entry(0, PTE_DATA | PTE_PSE)) != 0);
    /* A level is not skipped. */
    check_eq(mmuext(MMUEXT_PIN_L1_TABLE, mfn_of(l1)), 0);
    check(mmu_update1(slot_of(above, 500), entry(mfn_of(l1), PTE_DATA)) != 0);
    check(mmu_update1(slot_of(ROOT_MFN, 500), entry(mfn_of(l1), PTE_DATA)) != 0);
    check_eq(mmuext(MMUEXT_UNPIN_TABLE, mfn_of(l1)), 0);
    /* What is not present may be anything. */
    check_eq(set_pte(va, 0x123456789abcdef0), 0);
    check_eq(set_pte(va, pte), 0);
}

/* ---- mmu_update's arguments ---- */

static void mmu_update_arguments(void)
{
    uint64_t value, at = pte_maddr((unsigned long)alloc_page(), &value);
    struct mmu_update u[2] = { { at, value }, { at, value } };
    unsigned int done = 77;

    check_eq(HCALL(mmu_update, u, 2, &done, DOMID_SELF, 0), 0);
    check_eq(done, 2);
    u[1].ptr = at | MMU_PT_UPDATE_NO_TRANSLATE;
    check_eq(HCALL(mmu_update, u, 2, &done, DOMID_SELF, 0), 0);
    u[1].ptr = MFN_BAD << PAGE_SHIFT;
    check(HCALL(mmu_update, u, 2, &done, DOMID_SELF, 0) != 0);
    u[1].ptr = ~0UL & ~3UL;
    check(HCALL(mmu_update, u, 2, &done, DOMID_SELF, 0) != 0);
    check_eq(HCALL(mmu_update, u, 0, &done, DOMID_SELF, 0), 0);
    check_eq(HCALL(mmu_update, UNMAPPED, 2, &done, DOMID_SELF, 0), -XEN_EFAULT);
    check_eq(HCALL(mmu_update, HV_SECRET, 2, &done, DOMID_SELF, 0), -XEN_EFAULT);
    check_eq(HCALL(mmu_update, NON_CANONICAL, 2, &done, DOMID_SELF, 0), -XEN_EFAULT);
    check(HCALL(mmu_update, u, 0x7fffffff, &done, DOMID_SELF, 0) < 0);
    check_eq(HCALL(mmu_update, u, 1, 0, DOMID_SELF, 0), 0);
    check_eq(HCALL(mmu_update, u, 1, &done, 0x1234, 0), -XEN_ESRCH);
    check_eq(HCALL(mmu_update, u, 1, &done, DOMID_XEN, 0) < 0, 0);
    check(HCALL(mmu_update, u, 1, &done, DOMID_INVALID, 0) < 0);
    check(HCALL(mmu_update, u, 1, &done, 0x12340000 | DOMID_SELF, 0) < 0);
}

static void mmu_update_of_data(void)
{
    uint64_t *page = alloc_page(), *read_only = table_with(5);

    /* Data may be written that way, as long as it could be written directly. */
    check_eq(mmu_update1(slot_of(mfn_of(page), 7), 0x1234), 0);
    check_eq(page[7], 0x1234);
    check_eq(mmu_update1(slot_of(mfn_of(read_only), 7), 0x1234), 0);
    check_eq(read_only[7], 0x1234);
}

static void machine_to_phys_updates(void)
{
    unsigned long mfn = mfn_of(alloc_page()), pfn = machine_to_phys_mapping[mfn];

    check_eq(mmu_update1(mfn << PAGE_SHIFT | MMU_MACHPHYS_UPDATE, 0x1234), 0);
    check_eq(machine_to_phys_mapping[mfn], 0x1234);
    check_eq(mmu_update1(mfn << PAGE_SHIFT | MMU_MACHPHYS_UPDATE, pfn), 0);
    check(mmu_update1(MFN_BAD << PAGE_SHIFT | MMU_MACHPHYS_UPDATE, 0x1234) != 0);
    check(mmu_update1(~0UL << 12 | MMU_MACHPHYS_UPDATE, 0x1234) != 0);
    check_eq(guarded(write_at, (unsigned long)&machine_to_phys_mapping[mfn], 0), 14);
    check_eq(last_trap.error_code, 3);
}

static void preserve_accessed_dirty(void)
{
    unsigned long va = (unsigned long)alloc_page();
    uint64_t value, at = pte_maddr(va, &value);

    *(volatile char *)va = 1;
    check_eq(mmu_update1(at | MMU_PT_UPDATE_PRESERVE_AD, entry(mfn_of((void *)va), PTE_PRESENT | PTE_RW | PTE_USER)), 0);
    pte_maddr(va, &value);
    check_eq(value & (PTE_A | PTE_D), PTE_A | PTE_D);
}

static void va_mapping_arguments(void)
{
    uint64_t pte = entry(mfn_of(alloc_page()), PTE_DATA);

    check(set_pte(HV_START, pte) != 0);
    check(set_pte(HV_SECRET, pte) != 0);
    check(set_pte(HV_SECRET, 0) != 0);
    check(set_pte(HV_END - PAGE_SIZE, pte) != 0);
    check(set_pte(NON_CANONICAL, pte) != 0);
    check(set_pte(0x400000000000, pte) != 0);
    check(HCALL(update_va_mapping_otherdomain, alloc_page(), pte, 0, 0x1234, 0) < 0);
    check_eq(HCALL(update_va_mapping, start_info, entry(mfn_of(start_info), PTE_DATA), ~0xfffUL | UVMF_INVLPG, 0, 0),
             -XEN_EFAULT);
}

/* ---- mmuext_op ---- */

static void pins(void)
{
    uint64_t *l1 = table_with(0), *l2 = table_with(entry(mfn_of(l1), PTE_DATA)), *garbage = alloc_page();

    check_eq(mmuext(MMUEXT_PIN_L2_TABLE, mfn_of(l2)), 0);
    check(mmuext(MMUEXT_PIN_L2_TABLE, mfn_of(l1)) != 0);
    check(set_pte((unsigned long)l1, entry(mfn_of(l1), PTE_DATA)) != 0);
    check_eq(mmuext(MMUEXT_UNPIN_TABLE, mfn_of(l2)), 0);
    check_eq(set_pte((unsigned long)l1, entry(mfn_of(l1), PTE_DATA)), 0);
    for (unsigned int i = 0; i < 512; i++)
        garbage[i] = 0x9e3779b97f4a7c15UL * (i + 1) | PTE_PRESENT;
    make_read_only(garbage);
    for (unsigned int cmd = MMUEXT_PIN_L1_TABLE; cmd <= MMUEXT_PIN_L4_TABLE; cmd++)
        check(mmuext(cmd, mfn_of(garbage)) != 0);
    /* Nothing of it is left: it may be writable again. */
    check_eq(set_pte((unsigned long)garbage, entry(mfn_of(garbage), PTE_DATA)), 0);
    check(mmuext(MMUEXT_PIN_L1_TABLE, MFN_BAD) != 0);
    check(mmuext(MMUEXT_PIN_L4_TABLE, ~0UL) != 0);
    check(mmuext(MMUEXT_UNPIN_TABLE, MFN_BAD) != 0);
    check(mmuext(MMUEXT_UNPIN_TABLE, mfn_of(garbage)) != 0);
}

static void base_pointers(void)
{
    uint64_t *l4 = table_with(0);

    check(mmuext(MMUEXT_NEW_BASEPTR, MFN_BAD) != 0);
    check(mmuext(MMUEXT_NEW_BASEPTR, mfn_of(alloc_page())) != 0);
    check(mmuext(MMUEXT_NEW_BASEPTR, 0) != 0);
    check(mmuext(MMUEXT_NEW_USER_BASEPTR, MFN_BAD) != 0);
    check(mmuext(MMUEXT_NEW_USER_BASEPTR, mfn_of(alloc_page())) != 0);
    check_eq(mmuext(MMUEXT_NEW_USER_BASEPTR, mfn_of(l4)), 0);
    check(set_pte((unsigned long)l4, entry(mfn_of(l4), PTE_DATA)) != 0);
    check_eq(mmuext(MMUEXT_NEW_USER_BASEPTR, 0), 0);
    check_eq(set_pte((unsigned long)l4, entry(mfn_of(l4), PTE_DATA)), 0);
}

static void a_root_of_our_own(void)
{
    const uint64_t *old = (const uint64_t *)start_info->pt_base;
    uint64_t *root = alloc_page();

    for (unsigned int i = 0; i < 512; i++)
        root[i] = i >= 256 && i < 272 ? 0 : old[i];
    make_read_only(root);
    check_eq(mmuext(MMUEXT_PIN_L4_TABLE, mfn_of(root)), 0);
    check_eq(mmuext(MMUEXT_NEW_BASEPTR, mfn_of(root)), 0);
    check_eq(guarded(read_at, HV_START, 0), TRAP_NONE);
    check_eq(guarded(read_at, HV_SECRET, 0), 14);
    check(mmu_update1(slot_of(mfn_of(root), 256), 0) != 0);
    check_eq(mmuext(MMUEXT_NEW_BASEPTR, ROOT_MFN), 0);
    check_eq(mmuext(MMUEXT_UNPIN_TABLE, mfn_of(root)), 0);
    check_eq(set_pte((unsigned long)root, entry(mfn_of(root), PTE_DATA)), 0);
}

static void flushes(void)
{
    struct mmuext_op op = { .cmd = MMUEXT_INVLPG_LOCAL, .arg1.linear_addr = (unsigned long)flushes };
    uint64_t mask[16] = { 1 };

    check_eq(HCALL(mmuext_op, &op, 1, 0, DOMID_SELF, 0), 0);
    op.arg1.linear_addr = NON_CANONICAL;
    check_eq(HCALL(mmuext_op, &op, 1, 0, DOMID_SELF, 0), 0);
    op.arg1.linear_addr = HV_SECRET;
    check_eq(HCALL(mmuext_op, &op, 1, 0, DOMID_SELF, 0), 0);
    check_eq(mmuext(MMUEXT_TLB_FLUSH_LOCAL, 0), 0);
    check_eq(mmuext(MMUEXT_TLB_FLUSH_ALL, 0), 0);
    check_eq(mmuext(MMUEXT_INVLPG_ALL, (unsigned long)flushes), 0);
    op = (struct mmuext_op){ .cmd = MMUEXT_TLB_FLUSH_MULTI };
    set_xen_guest_handle(op.arg2.vcpumask, mask);
    check_eq(HCALL(mmuext_op, &op, 1, 0, DOMID_SELF, 0), 0);
    mask[0] = ~0UL;
    check_eq(HCALL(mmuext_op, &op, 1, 0, DOMID_SELF, 0), 0);
    op.cmd = MMUEXT_INVLPG_MULTI;
    op.arg1.linear_addr = NON_CANONICAL;
    check_eq(HCALL(mmuext_op, &op, 1, 0, DOMID_SELF, 0), 0);
    set_xen_guest_handle(op.arg2.vcpumask, (void *)UNMAPPED);
    check(HCALL(mmuext_op, &op, 1, 0, DOMID_SELF, 0) != 0);
    set_xen_guest_handle(op.arg2.vcpumask, (void *)HV_SECRET);
    check(HCALL(mmuext_op, &op, 1, 0, DOMID_SELF, 0) != 0);
    check_eq(mmuext(MMUEXT_FLUSH_CACHE, 0), 0);
}

static void clear_and_copy(void)
{
    char *from = alloc_page(), *to = alloc_page();
    struct mmuext_op op = { .cmd = MMUEXT_COPY_PAGE, .arg1.mfn = mfn_of(to), .arg2.src_mfn = mfn_of(from) };
    uint64_t *l1 = table_with(0);

    memset(from, 'x', PAGE_SIZE);
    check_eq(HCALL(mmuext_op, &op, 1, 0, DOMID_SELF, 0), 0);
    check(to[0] == 'x' && to[4095] == 'x');
    check_eq(mmuext(MMUEXT_CLEAR_PAGE, mfn_of(to)), 0);
    check(to[0] == 0 && to[4095] == 0);
    check_eq(mmuext(MMUEXT_PIN_L1_TABLE, mfn_of(l1)), 0);
    check(mmuext(MMUEXT_CLEAR_PAGE, mfn_of(l1)) != 0);
    op.arg1.mfn = mfn_of(l1);
    check(HCALL(mmuext_op, &op, 1, 0, DOMID_SELF, 0) != 0);
    check_eq(mmuext(MMUEXT_UNPIN_TABLE, mfn_of(l1)), 0);
    op.arg1.mfn = mfn_of(to);
    op.arg2.src_mfn = MFN_BAD;
    check(HCALL(mmuext_op, &op, 1, 0, DOMID_SELF, 0) != 0);
    check(mmuext(MMUEXT_CLEAR_PAGE, ROOT_MFN) != 0);
    check(mmuext(MMUEXT_CLEAR_PAGE, MFN_BAD) != 0);
    check(mmuext(MMUEXT_CLEAR_PAGE, ~0UL) != 0);
    check(mmuext(MMUEXT_MARK_SUPER, mfn_of(to)) != 0);
}

static void mmuext_arguments(void)
{
    struct mmuext_op op[2] = { { .cmd = MMUEXT_TLB_FLUSH_LOCAL }, { .cmd = 999 } };
    unsigned int done = 77;

    check_eq(HCALL(mmuext_op, op, 2, &done, DOMID_SELF, 0), -XEN_ENOSYS);
    check_eq(done, 1);
    check_eq(HCALL(mmuext_op, op, 0, &done, DOMID_SELF, 0), 0);
    check_eq(HCALL(mmuext_op, UNMAPPED, 1, &done, DOMID_SELF, 0), -XEN_EFAULT);
    check_eq(HCALL(mmuext_op, HV_SECRET, 1, &done, DOMID_SELF, 0), -XEN_EFAULT);
    check(HCALL(mmuext_op, op, 0x7fffffff, &done, DOMID_SELF, 0) < 0);
    check_eq(HCALL(mmuext_op, op, 1, &done, 0x1234, 0), -XEN_ESRCH);
}

/* ---- Plain writes to page tables ---- */

static void do_xchg(unsigned long to, unsigned long value)
{
    (void)value;
    asm volatile("xchg %0, %1" : "+r"(value), "+m"(*(uint64_t *)to));
}

static void do_cmpxchg(unsigned long to, unsigned long value)
{
    uint64_t old = *(volatile uint64_t *)to;

    asm volatile("lock cmpxchg %2, %1" : "+a"(old), "+m"(*(uint64_t *)to) : "r"(value) : "cc");
}

static void do_clear_bit(unsigned long to, unsigned long bit)
{
    asm volatile("lock btr %1, %0" : "+m"(*(uint64_t *)to) : "r"(bit) : "cc");
}

static void plain_writes_to_tables(void)
{
    unsigned long va = (unsigned long)alloc_page(), mfn;
    uint64_t pte = entry(mfn_of((void *)va), PTE_DATA), value;
    const uint64_t *l1 = table_of(va, 1, &mfn);
    unsigned long slot = (unsigned long)&l1[va >> 12 & 511];

    check_eq(guarded(write_at, slot, pte & ~PTE_RW), TRAP_NONE);
    check_eq(mmuext(MMUEXT_TLB_FLUSH_LOCAL, 0), 0);
    pte_maddr(va, &value);
    check_eq(value & PTE_RW, 0);
    check_eq(guarded(write_at, va, 0), 14);
    check_eq(guarded(do_xchg, slot, pte), TRAP_NONE);
    check_eq(guarded(write_at, va, 0), TRAP_NONE);
    check_eq(guarded(do_cmpxchg, slot, pte & ~PTE_RW), TRAP_NONE);
    pte_maddr(va, &value);
    check_eq(value & PTE_RW, 0);
    check_eq(guarded(do_cmpxchg, slot, 0), TRAP_NONE);
    pte_maddr(va, &value);
    check_eq(value, 0);
    /* Values that mmu_update would refuse. */
    check(guarded(write_at, slot, entry(MFN_BAD, PTE_DATA)) != TRAP_NONE);
    check(guarded(write_at, slot, entry(ROOT_MFN, PTE_DATA)) != TRAP_NONE);
    check(guarded(do_xchg, slot, entry(mfn, PTE_DATA)) != TRAP_NONE);
    check(guarded(do_cmpxchg, slot, pte | 1UL << 51) != TRAP_NONE);
    pte_maddr(va, &value);
    check_eq(value, 0);
    check_eq(guarded(write_at, slot, pte), TRAP_NONE);
    (void)guarded(write_at, slot + 1, 0);
    check_eq(guarded(do_clear_bit, slot, 63), TRAP_NONE);
}

static void lowest_level_only(void)
{
    unsigned long mfn;

    for (unsigned int level = 2; level <= 4; level++) {
        const uint64_t *table = table_of((unsigned long)start_info, level, &mfn);

        check_eq(guarded(write_at, (unsigned long)&table[300], 0), 14);
        check_eq(last_trap.error_code, 3);
    }
}

TESTS({ "page tables are not writable", page_tables_are_not_writable },
      { "writable pages are no page tables", writable_pages_are_no_page_tables }, { "no two types", no_two_types },
      { "hidden writable mappings", hidden_writable_mappings },
      { "tables that map themselves", tables_that_map_themselves }, { "hypervisor's slots", hypervisor_slots },
      { "frames that are not ours", frames_not_ours }, { "bad flags", bad_flags },
      { "arguments of mmu_update", mmu_update_arguments }, { "mmu_update of data", mmu_update_of_data },
      { "updates of the machine-to-physical table", machine_to_phys_updates },
      { "accessed and dirty bits kept", preserve_accessed_dirty },
      { "arguments of update_va_mapping", va_mapping_arguments }, { "pins", pins },
      { "base pointers", base_pointers }, { "a root of our own", a_root_of_our_own }, { "flushes", flushes },
      { "clear and copy", clear_and_copy }, { "arguments of mmuext_op", mmuext_arguments },
      { "plain writes to tables", plain_writes_to_tables }, { "only tables of the lowest level", lowest_level_only });
