/* SPDX-License-Identifier: MIT */
/*
 * Segment descriptors of paravirtualized guests. A guest's GDT and LDT lie in its own frames, typed PGT_seg_desc_page so
 * that it cannot write them except by hypercall; each CPU has a window where those of the vCPU that runs there are mapped
 * for the processor to use. LDT pages are mapped when first touched.
 */
#include <domus/dirty_log.h>
#include <domus/domain.h>
#include <domus/guest_access.h>
#include <domus/heap.h>
#include <domus/hypercall.h>
#include <domus/lib.h>
#include <asm/current.h>
#include <asm/desc.h>
#include <asm/flushtlb.h>
#include <asm/page.h>
#include <asm/pv_mm.h>

#define DESC_PRESENT   (1UL << 47)
#define DESC_DPL_MASK  (3UL << 45)
#define DESC_NO_SYSTEM (1UL << 44)      /* S: a code or data segment */

#define DESCS_PER_PAGE (PAGE_SIZE / 8)
#define MAX_GDT_ENTRIES (GUEST_GDT_FRAMES * DESCS_PER_PAGE)
#define MAX_LDT_ENTRIES 8192

/* Window entries must not survive a switch of address spaces. The CPU writes accessed bits there. */
#define WINDOW_RW (PAGE_HV_RW & ~_PAGE_GLOBAL)
#define WINDOW_RO (PAGE_HV_RO & ~_PAGE_GLOBAL)

/* What stands where a guest's GDT or LDT has no page: no descriptor there is present. */
static const u8 zero_page[PAGE_SIZE] __attribute__((aligned(PAGE_SIZE)));

static pte_t zero_page_pte(void)
{
    return pte_from_maddr(virt_to_maddr(zero_page), WINDOW_RO);
}

/*
 * Code and data segments are harmless in 64-bit mode once they belong to ring 3, which DPL is set to. Gates, TSS and LDT
 * descriptors would give the guest a way into ring 0: refused, unless not present.
 */
bool pv_check_descriptor(struct domain *d, u64 *desc)
{
    (void)d;
    if (!(*desc & DESC_PRESENT))
        return true;
    if (!(*desc & DESC_NO_SYSTEM))
        return false;
    *desc |= DESC_DPL_MASK;
    return true;
}

/* The page is not writable for anyone while this runs. */
bool pv_validate_segdesc_page(struct page_info *pg)
{
    u64 *desc = page_to_virt(pg);

    for (unsigned int i = 0; i < DESCS_PER_PAGE; i++) {
        if (!pv_check_descriptor(pg->owner, &desc[i]))
            return false;
    }
    return true;
}

/* ---- Windows ---- */

/* Sets an entry of this CPU's window; the stale translation goes at once. */
static void set_window_pte(unsigned int page, pte_t pte)
{
    unsigned int cpu = smp_processor_id();
    pte_t *ptes = percpu_window_ptes(cpu);

    if (ptes[page].v == pte.v)
        return;
    pte_write(&ptes[page], pte);
    flush_tlb_one_local(PERCPU_WINDOW(cpu) + page * PAGE_SIZE);
}

static void load_gdt_window(const struct vcpu *v)
{
    for (unsigned int i = 0; i < GUEST_GDT_FRAMES; i++) {
        bool used = i < v->arch.gdt_nr_frames;

        set_window_pte(WINDOW_GDT_PAGE + i, used ? pte_from_mfn(v->arch.gdt_frame[i], WINDOW_RW) : zero_page_pte());
    }
}

static void load_ldt_window(const struct vcpu *v)
{
    for (unsigned int i = 0; i < GUEST_LDT_PAGES; i++) {
        bool mapped = !mfn_eq(v->arch.ldt_frame[i], INVALID_MFN);

        set_window_pte(WINDOW_LDT_PAGE + i, mapped ? pte_from_mfn(v->arch.ldt_frame[i], WINDOW_RW) : pte_empty());
    }
    load_ldt(v->arch.ldt_ents);
}

void pv_load_descriptor_windows(struct vcpu *v)
{
    unsigned long flags;

    spin_lock_irqsave(&v->arch.ldt_lock, flags);
    load_gdt_window(v);
    load_ldt_window(v);
    spin_unlock_irqrestore(&v->arch.ldt_lock, flags);
}

/* ---- GDT ---- */

void pv_destroy_gdt(struct vcpu *v)
{
    for (unsigned int i = 0; i < v->arch.gdt_nr_frames; i++)
        put_page_and_type(mfn_to_page(v->arch.gdt_frame[i]));
    v->arch.gdt_nr_frames = 0;
    v->arch.gdt_ents = 0;
}

/*
 * Installs a GDT of so many entries in these frames: v is the current vCPU, or does not run. -EINVAL if a frame is not the
 * guest's or holds a forbidden descriptor, or there are too many entries; the old GDT stays then.
 */
int pv_set_gdt(struct vcpu *v, const mfn_t *frames, unsigned int entries)
{
    unsigned int nr_frames = DIV_ROUND_UP(entries, DESCS_PER_PAGE);
    unsigned int i;

    if (entries > MAX_GDT_ENTRIES)
        return -EINVAL;
    for (i = 0; i < nr_frames; i++) {
        struct page_info *pg = get_page_from_mfn(frames[i], v->domain);

        if (pg == NULL)
            break;
        if (!get_page_type(pg, PGT_seg_desc_page)) {
            put_page(pg);
            break;
        }
    }
    if (i < nr_frames) {
        while (i-- > 0)
            put_page_and_type(mfn_to_page(frames[i]));
        return -EINVAL;
    }
    pv_destroy_gdt(v);
    for (i = 0; i < nr_frames; i++)
        v->arch.gdt_frame[i] = frames[i];
    v->arch.gdt_nr_frames = nr_frames;
    v->arch.gdt_ents = entries;
    return 0;
}

/* HYPERVISOR_set_gdt: frame_list is an array of frame numbers, one for each 512 entries. */
long do_set_gdt(guest_ptr_t frame_list, unsigned int entries)
{
    struct vcpu *v = current;
    u64 list[GUEST_GDT_FRAMES];
    mfn_t frames[GUEST_GDT_FRAMES];
    unsigned int nr_frames = DIV_ROUND_UP(entries, DESCS_PER_PAGE);
    int rc;

    if (entries > MAX_GDT_ENTRIES)
        return -EINVAL;
    if (copy_from_guest(list, (const void *)frame_list, nr_frames * sizeof(list[0])))
        return -EFAULT;
    for (unsigned int i = 0; i < nr_frames; i++)
        frames[i] = _mfn(list[i]);
    rc = pv_set_gdt(v, frames, entries);
    if (rc == 0)
        pv_load_descriptor_windows(v);
    return rc;
}

/*
 * HYPERVISOR_update_descriptor: writes one descriptor at machine address maddr, in a page that is a descriptor table
 * already or an ordinary one.
 */
long do_update_descriptor(uint64_t maddr, uint64_t desc)
{
    struct domain *d = current->domain;
    struct page_info *pg;
    u64 *slot;

    if (maddr % 8 != 0 || !pv_check_descriptor(d, &desc))
        return -EINVAL;
    pg = get_page_from_mfn(maddr_to_mfn(maddr), d);
    if (pg == NULL)
        return -EINVAL;
    if (!get_page_type(pg, PGT_seg_desc_page) && !get_page_type(pg, PGT_writable_page)) {
        put_page(pg);
        return -EINVAL;
    }
    slot = (u64 *)((u8 *)page_to_virt(pg) + (maddr & ~PAGE_MASK));
    WRITE_ONCE(*slot, desc);
    mark_dirty(d, page_to_mfn(pg));
    put_page_and_type(pg);
    return 0;
}

/* ---- LDT ---- */

/* Drops the pages mapped on demand. v may be current, running elsewhere, or not running. */
bool pv_destroy_ldt(struct vcpu *v)
{
    mfn_t dropped[GUEST_LDT_PAGES];
    unsigned int nr = 0;
    unsigned long flags;
    unsigned int cpu;
    bool loaded;

    spin_lock_irqsave(&v->arch.ldt_lock, flags);
    /* A CPU that v has left uses its window again only after loading it anew, under this lock. */
    loaded = READ_ONCE(v->is_running);
    cpu = READ_ONCE(v->processor);
    for (unsigned int i = 0; i < GUEST_LDT_PAGES; i++) {
        if (mfn_eq(v->arch.ldt_frame[i], INVALID_MFN))
            continue;
        dropped[nr++] = v->arch.ldt_frame[i];
        v->arch.ldt_frame[i] = INVALID_MFN;
        if (loaded)
            pte_write(&percpu_window_ptes(cpu)[WINDOW_LDT_PAGE + i], pte_empty());
    }
    spin_unlock_irqrestore(&v->arch.ldt_lock, flags);
    if (nr == 0)
        return false;
    if (loaded) {
        cpumask_t mask;

        cpumask_clear(&mask);
        cpumask_set_cpu(cpu, &mask);
        flush_tlb_mask(&mask);
    }
    while (nr-- > 0)
        put_page_and_type(mfn_to_page(dropped[nr]));
    return true;
}

/* MMUEXT_SET_LDT: v is current, or does not run. */
int pv_set_ldt(struct vcpu *v, unsigned long va, unsigned int ents)
{
    if (va & ~PAGE_MASK || ents > MAX_LDT_ENTRIES)
        return -EINVAL;
    if (v->arch.ldt_base == va && v->arch.ldt_ents == ents)
        return 0;
    pv_destroy_ldt(v);
    v->arch.ldt_base = va;
    v->arch.ldt_ents = ents;
    if (v == current)
        load_ldt(ents);
    return 0;
}

/* v is current. */
bool pv_map_ldt_page(struct vcpu *v, unsigned long offset)
{
    unsigned int page = offset >> PAGE_SHIFT;
    struct page_info *pg;
    unsigned long flags;
    bool held;
    pte_t pte;

    if (is_idle_vcpu(v) || offset >= v->arch.ldt_ents * 8UL)
        return false;
    pte = guest_get_leaf_pte(v->arch.ldt_base + (page << PAGE_SHIFT));
    if (!pte_present(pte))
        return false;
    pg = get_page_from_mfn(pte_mfn(pte), v->domain);
    if (pg == NULL)
        return false;
    if (!get_page_type(pg, PGT_seg_desc_page)) {
        put_page(pg);
        return false;
    }
    spin_lock_irqsave(&v->arch.ldt_lock, flags);
    held = !mfn_eq(v->arch.ldt_frame[page], INVALID_MFN);
    if (!held)
        v->arch.ldt_frame[page] = page_to_mfn(pg);
    /* A page that v holds already may be missing here: pv_destroy_ldt() of the vCPU that v has just taken over from. */
    set_window_pte(WINDOW_LDT_PAGE + page, pte_from_mfn(v->arch.ldt_frame[page], WINDOW_RW));
    spin_unlock_irqrestore(&v->arch.ldt_lock, flags);
    if (held)
        put_page_and_type(pg);
    return true;
}
