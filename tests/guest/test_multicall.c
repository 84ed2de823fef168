/* SPDX-License-Identifier: MIT */
/* multicall: results in place, nesting, bad entries and lists. */
#include "kernel.h"

static struct multicall_entry version = { .op = __HYPERVISOR_xen_version, .args = { XENVER_version } };

static void results(void)
{
    struct multicall_entry e[4];

    for (unsigned int i = 0; i < 4; i++)
        e[i] = version;
    e[1].op = 60;
    e[2].op = ~0UL;
    check_eq(HCALL(multicall, e, 4, 0, 0, 0), 0);
    check_eq(e[0].result, 4 << 16 | 17);
    check_eq(e[1].result, -XEN_ENOSYS);
    check_eq(e[2].result, -XEN_ENOSYS);
    check_eq(e[3].result, 4 << 16 | 17);
}

static void nested(void)
{
    struct multicall_entry inner = version;
    struct multicall_entry e[2] = { { .op = __HYPERVISOR_multicall, .args = { (unsigned long)&inner, 1 } }, version };

    check_eq(HCALL(multicall, e, 2, 0, 0, 0), 0);
    check_eq(e[0].result, -XEN_EINVAL);
    check_eq(inner.result, 0);
    check_eq(e[1].result, 4 << 16 | 17);
}

static void bad_lists(void)
{
    check_eq(HCALL(multicall, UNMAPPED, 1, 0, 0, 0), -XEN_EFAULT);
    check_eq(HCALL(multicall, HV_SECRET, 1, 0, 0, 0), -XEN_EFAULT);
    check_eq(HCALL(multicall, NON_CANONICAL, 1, 0, 0, 0), -XEN_EFAULT);
    check_eq(HCALL(multicall, ~7UL, 1, 0, 0, 0), -XEN_EFAULT);
    check_eq(HCALL(multicall, &version, 0, 0, 0, 0), 0);
}

/* The list reaches into a page that cannot be written: calls before are done, the call says so. */
static void list_ends_badly(void)
{
    char *page = alloc_page();
    struct multicall_entry *e = (struct multicall_entry *)(page + PAGE_SIZE) - 2;
    char *next = alloc_page();

    e[0] = e[1] = version;
    check_eq(next, page + PAGE_SIZE);
    check_eq(set_pte((unsigned long)next, 0), 0);
    check_eq(HCALL(multicall, e, 3, 0, 0, 0), -XEN_EFAULT);
    check_eq(e[1].result, 4 << 16 | 17);
    check(HCALL(multicall, e, ~0UL, 0, 0, 0) < 0);
    check_eq(set_pte((unsigned long)page, mfn_of(page) << PAGE_SHIFT | PTE_RO), 0);
    check_eq(HCALL(multicall, e, 1, 0, 0, 0), -XEN_EFAULT);
}

static struct multicall_entry batch[1000];

static void long_list(void)
{
    for (unsigned int i = 0; i < ARRAY_SIZE(batch); i++)
        batch[i] = version;
    check_eq(HCALL(multicall, batch, ARRAY_SIZE(batch), 0, 0, 0), 0);
    for (unsigned int i = 0; i < ARRAY_SIZE(batch); i++) {
        if (batch[i].result != (4 << 16 | 17))
            fail(__FILE__, __LINE__, "entry %u: %#lx", i, batch[i].result);
    }
}

/* A call inside that has to be continued. */
static void preempted_inside(void)
{
    static struct mmu_update updates[2000];
    uint64_t value, at = pte_maddr((unsigned long)alloc_page(), &value);
    unsigned int done = 0;
    struct multicall_entry e[2] = {
        { .op = __HYPERVISOR_mmu_update,
          .args = { (unsigned long)updates, ARRAY_SIZE(updates), (unsigned long)&done, DOMID_SELF } }, version };

    for (unsigned int i = 0; i < ARRAY_SIZE(updates); i++)
        updates[i] = (struct mmu_update){ at, value };
    check_eq(HCALL(multicall, e, 2, 0, 0, 0), 0);
    check_eq(e[0].result, 0);
    check_eq(done, ARRAY_SIZE(updates));
    check_eq(e[1].result, 4 << 16 | 17);
}

TESTS({ "results", results }, { "nested", nested }, { "bad lists", bad_lists },
      { "list ends badly", list_ends_badly }, { "long list", long_list }, { "call continued inside", preempted_inside });
