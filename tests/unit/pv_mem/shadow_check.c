/* SPDX-License-Identifier: MIT */
/* Logging of writes in the small machine of world.h, and the comparison of shadow tables with the guests' own. */
#include <string.h>
#include <domus/dirty_log.h>
#include <domus/heap.h>
#include <asm/pv_shadow.h>
#include "world.h"

/* ---- The hypervisor's own pages ---- */

static bool taken[RAM_FRAMES];

struct page_info *alloc_pages(unsigned int order, unsigned int flags)
{
    assert_int_equal(order, 0);
    (void)flags;
    for (unsigned long mfn = FIRST_HV_FRAME; mfn < RAM_FRAMES; mfn++) {
        if (!taken[mfn]) {
            taken[mfn] = true;
            /* What was in it must not matter. */
            memset(mfn_to_virt(_mfn(mfn)), 0xff, PAGE_SIZE);
            return mfn_to_page(_mfn(mfn));
        }
    }
    return NULL;
}

unsigned long heap_free_pages_count(void)
{
    unsigned long n = 0;

    for (unsigned long mfn = FIRST_HV_FRAME; mfn < RAM_FRAMES; mfn++)
        n += !taken[mfn];
    return n;
}

void free_pages(struct page_info *pg, unsigned int order)
{
    assert_int_equal(order, 0);
    assert_int_equal(pg->type_info, 0);
    assert_true(taken[mfn_x(page_to_mfn(pg))]);
    taken[mfn_x(page_to_mfn(pg))] = false;
}

/* ---- On and off ---- */

void start_logging(struct domain *d, unsigned int pool)
{
    struct dirty_log *log = dirty_log_new(RAM_FRAMES);

    assert_non_null(log);
    while (dirty_log_populate(log) == -ERESTART)
        continue;
    while (shadow_set_pool(d, pool) == -ERESTART)
        continue;
    assert_int_equal(d->arch.shadow.total, pool);
    shadow_start(d, log);
}

void stop_logging(struct domain *d)
{
    struct dirty_log *log;

    if (!d->dirty_log)
        return;
    while (shadow_clear(d) == -ERESTART)
        continue;
    log = shadow_stop(d);
    while (dirty_log_free(log) == -ERESTART)
        continue;
    while (shadow_set_pool(d, 0) == -ERESTART)
        continue;
    check_shadows(d);
    for (unsigned long mfn = 1; mfn < FIRST_HV_FRAME; mfn++) {
        const struct page_info *pg = mfn_to_page(_mfn(mfn));

        if (pg->owner == d && pgt_level(pg->type_info) && (pg->type_info & PGT_validated))
            assert_int_equal(pg->shadow, 0);
    }
}

unsigned int clean_log(struct domain *d)
{
    const struct dirty_reader reader = { .op = 1 };
    u8 bits[RAM_FRAMES / 8];
    unsigned int n = 0;
    int rc;

    do
        rc = dirty_log_read(d->dirty_log, &reader, true, bits, RAM_FRAMES);
    while (rc == -ERESTART);
    assert_int_equal(rc, 0);
    shadow_revoke(d);
    for (unsigned int i = 0; i < sizeof(bits); i++)
        n += (unsigned int)__builtin_popcount(bits[i]);
    return n;
}

/* ---- Comparison ---- */

static void check_leaf(const struct domain *d, pte_t guest_entry, pte_t e)
{
    assert_true(pte_present(guest_entry));
    assert_true(mfn_eq(pte_mfn(guest_entry), pte_mfn(e)));
    assert_true(guest_entry.v & _PAGE_ACCESSED);
    /* Nothing allowed that the guest does not allow; and the CPU has no bit to set. */
    assert_int_equal(e.v & ~guest_entry.v & (_PAGE_RW | _PAGE_USER), 0);
    assert_int_equal((e.v ^ guest_entry.v) & ~(_PAGE_RW | _PAGE_DIRTY), 0);
    assert_true(e.v & _PAGE_ACCESSED);
    if (!(e.v & _PAGE_RW))
        return;
    assert_true(e.v & _PAGE_DIRTY);
    assert_true(guest_entry.v & _PAGE_DIRTY);
    if (mfn_valid(pte_mfn(e)) && mfn_to_page(pte_mfn(e))->owner == d)
        assert_true(dirty_log_marked(d->dirty_log, pte_mfn(e)));
}

static void check_table(struct domain *d, const struct page_info *page)
{
    struct page_info *pg = mfn_to_page(_mfn(page->shadowed));
    const pte_t *shadow = page_to_virt(page), *table = page_to_virt(pg);
    unsigned int level = pgt_level(pg->type_info);

    assert_ptr_equal(pg->owner, d);
    assert_true(level && (pg->type_info & PGT_validated) && (pg->type_info & PGT_count_mask));
    assert_int_equal(pg->shadow, mfn_x(page_to_mfn(page)));
    if (page->shadow_turn != d->arch.shadow.turn)
        return;                     /* counts as empty: no table of this turn may lead here */
    for (unsigned int i = 0; i < PTES_PER_PAGE; i++) {
        if (level == 4 && i >= HV_FIRST_SLOT && i <= HV_LAST_SLOT) {
            if (i > HV_FIRST_SLOT)
                assert_int_equal(shadow[i].v, table[i].v);
        } else if (!pte_present(shadow[i])) {
            assert_int_equal(shadow[i].v, 0);
        } else if (level == 1) {
            check_leaf(d, table[i], shadow[i]);
        } else {
            assert_true(pte_present(table[i]));
            assert_int_equal(mfn_x(pte_mfn(shadow[i])), mfn_to_page(pte_mfn(table[i]))->shadow);
            assert_int_equal(mfn_to_page(pte_mfn(shadow[i]))->shadow_turn, d->arch.shadow.turn);
            assert_int_equal(pte_flags(shadow[i]), pte_flags(table[i]));
        }
    }
}

static unsigned long count(struct list_head *list)
{
    struct page_info *page;
    unsigned long n = 0;

    list_for_each_entry(page, list, list)
        n++;
    return n;
}

static void check_base(const struct domain *d, mfn_t table, unsigned long cr3)
{
    if (cr3)
        assert_int_equal(mfn_to_page(maddr_to_mfn(cr3))->shadow_turn, d->arch.shadow.turn);
    assert_int_equal(cr3, mfn_x(table) ? mfn_to_maddr(_mfn(mfn_to_page(table)->shadow)) : 0);
}

void check_shadows(struct domain *d)
{
    struct shadow *s = &d->arch.shadow;
    struct page_info *page;

    assert_int_equal(count(&s->free), s->nr_free);
    assert_int_equal(count(&s->stale), s->nr_stale);
    assert_int_equal(s->nr_free + s->nr_stale + count(&s->tables) + count(&s->roots), s->total);
    list_for_each_entry(page, &s->tables, list)
        check_table(d, page);
    list_for_each_entry(page, &s->roots, list)
        check_table(d, page);
    for (unsigned int i = 0; d->dirty_log && i < d->max_vcpus; i++) {
        const struct arch_vcpu *a = &d->vcpu[i]->arch;

        check_base(d, a->guest_table, a->cr3_kernel);
        check_base(d, a->guest_table_user, a->cr3_user);
    }
}
