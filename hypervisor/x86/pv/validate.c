/* SPDX-License-Identifier: MIT */
/*
 * Checking all entries of a page table when a frame becomes one, and giving up what they refer to when
 * it is one no longer. A table of level 1 is done in one go; those above stop when the CPU has
 * something else to do, with their progress in the frame's page_info (asm/pv_pt.h).
 *
 * No lock is needed: the frame has the type but is not validated, so nobody changes it.
 */
#include <domus/domain.h>
#include <domus/hypercall.h>
#include <domus/string.h>
#include <asm/mm_init.h>
#include <asm/pv_mm.h>
#include <asm/pv_pt.h>

static bool is_hypervisor_slot(unsigned int level, unsigned int slot)
{
    return level == 4 && slot >= HV_FIRST_SLOT && slot <= HV_LAST_SLOT;
}

/* ---- Finding present entries: most tables are sparse ---- */

#define GROUP 16

static inline bool group_present(const pte_t *t)
{
    return (t[0].v | t[1].v | t[2].v | t[3].v | t[4].v | t[5].v | t[6].v | t[7].v |
            t[8].v | t[9].v | t[10].v | t[11].v | t[12].v | t[13].v | t[14].v | t[15].v) & _PAGE_PRESENT;
}

/* The first present entry from i on; PTES_PER_PAGE: none. */
static inline unsigned int next_present(const pte_t *table, unsigned int i)
{
    for (; i < PTES_PER_PAGE; i++) {
        if (i % GROUP == 0) {
            while (!group_present(&table[i])) {
                i += GROUP;
                if (i == PTES_PER_PAGE)
                    return i;
            }
        }
        if (pte_present(table[i]))
            return i;
    }
    return i;
}

/* The last present entry before i, plus one; 0: none. */
static inline unsigned int previous_present(const pte_t *table, unsigned int i)
{
    for (; i > 0; i--) {
        if (i % GROUP == 0) {
            while (!group_present(&table[i - GROUP])) {
                i -= GROUP;
                if (i == 0)
                    return 0;
            }
        }
        if (pte_present(table[i - 1]))
            return i;
    }
    return 0;
}

/* ---- Level 1 ---- */

static void drop_l1_entries(const pte_t *table, unsigned int nr, struct domain *d)
{
    for (unsigned int i = next_present(table, 0); i < nr; i = next_present(table, i + 1))
        put_page_from_l1e(table[i], d);
}

static int validate_l1(struct page_info *pg)
{
    struct domain *d = pg->owner;
    pte_t *table = page_to_virt(pg);

    for (unsigned int i = next_present(table, 0); i < PTES_PER_PAGE; i = next_present(table, i + 1)) {
        pte_t e = pte_read(&table[i]);
        int rc = get_page_from_l1e(e, d, d);

        if (unlikely(rc)) {
            drop_l1_entries(table, i, d);
            return rc;
        }
        pte_write(&table[i], adjust_l1e(e));
    }
    return 0;
}

/* ---- Levels 2 to 4 ---- */

static int validate_upper(struct page_info *pg, unsigned int level, bool preemptible)
{
    struct domain *d = pg->owner;
    pte_t *table = page_to_virt(pg);
    unsigned int i = next_present(table, pg->nr_validated);
    bool progress = false;

    for (; i < PTES_PER_PAGE; i = next_present(table, i + 1)) {
        pte_t e = pte_read(&table[i]);
        int rc;

        if (is_hypervisor_slot(level, i))
            continue;
        pg->nr_validated = (u16)i;
        if (preemptible && progress && hypercall_preempt_check()) {
            pg->partial_flags = 0;
            return -ERESTART;
        }
        rc = get_table_from_entry(e, level, d, preemptible);
        if (unlikely(rc)) {
            /* A table below that was refused or preempted is partial: it goes with this one. */
            pg->partial_flags = level > 2 ? PARTIAL_CHILD : 0;
            return rc;
        }
        pg->partial_flags = 0;
        pte_write(&table[i], adjust_table_entry(e));
        progress = true;
    }
    /* The machine-to-physical table is for the guest's kernel alone: x86/pv/cr3.c adds it. */
    if (level == 4) {
        init_hypervisor_l4_slots(table);
        table[l4_index(RO_M2P_VIRT_START)] = pte_empty();
    }
    return 0;
}

/* The table that entry e of a partial one leads to, if it does: e may be what was refused. */
static int finish_partial_child(pte_t e, unsigned int level, const struct domain *owner, bool preemptible)
{
    struct page_info *child = pte_present(e) ? get_page_from_mfn(pte_mfn(e), owner) : NULL;
    int rc = 0;

    if (child) {
        rc = finish_partial_type(child, level - 1, preemptible);
        put_page(child);
    }
    return rc;
}

static int devalidate_upper(struct page_info *pg, unsigned int level, bool preemptible)
{
    pte_t *table = page_to_virt(pg);
    unsigned int i = pg->nr_validated;
    bool progress = false;
    int rc;

    if (pg->partial_flags & PARTIAL_CHILD) {
        rc = finish_partial_child(pte_read(&table[i]), level, pg->owner, preemptible);
        if (rc)
            return rc;
        pg->partial_flags = 0;
    }
    while ((i = previous_present(table, i)) > 0) {
        pte_t e = pte_read(&table[--i]);

        if (is_hypervisor_slot(level, i))
            continue;
        if (preemptible && progress && hypercall_preempt_check()) {
            pg->nr_validated = (u16)(i + 1);
            return -ERESTART;
        }
        rc = put_table_from_entry(e, level, preemptible);
        if (unlikely(rc)) {
            pg->nr_validated = (u16)i;
            pg->partial_flags = PARTIAL_CHILD;
            return rc;
        }
        progress = true;
    }
    /* A guest that uses the frame again is not to find our tables in it. */
    if (level == 4)
        memset(&table[HV_FIRST_SLOT], 0, (HV_LAST_SLOT - HV_FIRST_SLOT + 1) * sizeof(pte_t));
    return 0;
}

int validate_table(struct page_info *pg, unsigned int level, bool preemptible)
{
    return level == 1 ? validate_l1(pg) : validate_upper(pg, level, preemptible);
}

int devalidate_table(struct page_info *pg, unsigned int level, bool preemptible)
{
    if (level > 1)
        return devalidate_upper(pg, level, preemptible);
    drop_l1_entries(page_to_virt(pg), PTES_PER_PAGE, pg->owner);
    return 0;
}
