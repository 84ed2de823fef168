/* SPDX-License-Identifier: MIT */
/* The small machine of world.h. */
#include <string.h>
#include <sys/mman.h>
#include <domus/trace.h>
#include <asm/mm_init.h>
#include <asm/pv_shadow.h>
#include <asm/traps.h>
#include "world.h"

struct domain *guest, *other, *dom0, *dom_io, *dom_xen;
unsigned int pages_freed;
unsigned int preempt_every;
u32 test_flush_clock = 1;
cpumask_t test_flushed, cpu_online_map;
bool test_has_nx = true;
pte_t idle_l4[PTES_PER_PAGE];
_Thread_local struct vcpu *test_current;
_Thread_local unsigned int test_cpu;
static _Thread_local unsigned long random_state = 1;
static _Thread_local struct {
    bool wanted;
    unsigned long arg[4];
} restart;

/* ---- Randomness ---- */

void seed(unsigned long value) { random_state = value * 2 + 1; }

unsigned long draw(unsigned long below)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (random_state >> 11) % below;
}

/* ---- What the code under test calls ---- */

/* Frame 0 is no RAM. */
unsigned long max_page = RAM_FRAMES, granule_present[1] = { 1 };

void flush_mask(const cpumask_t *mask, unsigned long va, unsigned int flags)
{
    (void)va;
    if (flags & FLUSH_VA)
        return;
    for (unsigned int cpu = 0; cpu < NR_CPUS; cpu++) {
        if (cpumask_test_cpu(cpu, mask))
            cpumask_set_cpu(cpu, &test_flushed);
    }
    __atomic_add_fetch(&test_flush_clock, 1, __ATOMIC_SEQ_CST);
}

/* The heap: guests' pages only come back to it. For the hypervisor's own see shadow_check.c. */
void free_guest_pages(struct page_info *pg, unsigned int order)
{
    assert_int_equal((pg - mfn_to_page(_mfn(0))) & ((1L << order) - 1), 0);
    for (unsigned long i = 0; i < 1UL << order; i++) {
        assert_int_equal(pg[i].type_info & PGT_count_mask, 0);
        assert_int_equal(pg[i].count_info & ~PGC_foreign_stale, 0);
        assert_null(pg[i].owner);
        pg[i].type_info = 0;
    }
    __atomic_add_fetch(&pages_freed, 1UL << order, __ATOMIC_SEQ_CST);
}

void init_hypervisor_l4_slots(pte_t *l4)
{
    memcpy(&l4[HV_FIRST_SLOT], &idle_l4[HV_FIRST_SLOT], (HV_LAST_SLOT - HV_FIRST_SLOT + 1) * sizeof(pte_t));
}

/* The only device, and the only ports, are dom0's. */
bool rangeset_contains_range(struct rangeset *r, unsigned long first, unsigned long last)
{
    return r && first == DEVICE_MFN && last == DEVICE_MFN;
}
bool rangeset_is_empty(struct rangeset *r) { return !r; }

bool hypercall_preempt_check(void) { return preempt_every && draw(preempt_every) == 0; }

long hypercall_create_continuation(unsigned int op, unsigned int nargs, ...)
{
    va_list args;

    assert_int_equal(nargs, 4);
    restart.wanted = true;
    va_start(args, nargs);
    for (unsigned int i = 0; i < nargs; i++)
        restart.arg[i] = va_arg(args, unsigned long);
    va_end(args);
    return op;
}

struct domain *get_domain_by_id(domid_t id)
{
    struct domain *const all[] = { dom0, guest, other };

    return id < ARRAY_SIZE(all) ? all[id] : NULL;
}
void put_domain(struct domain *d) { (void)d; }
void get_knownalive_domain(struct domain *d) { (void)d; }

/* Guests' pointers are this process's; small numbers stand for what is not mapped. */
unsigned long arch_copy_from_guest(void *to, const void *from, size_t n)
{
    if ((unsigned long)from < PAGE_SIZE)
        return n;
    memcpy(to, from, n);
    return 0;
}
bool read_guest_pair(u64 pair[2], guest_ptr_t guest)
{
    return arch_copy_from_guest(pair, (const void *)guest, 16) == 0;
}
unsigned long arch_copy_to_guest(void *to, const void *from, size_t n)
{
    if ((unsigned long)to < PAGE_SIZE)
        return n;
    memcpy(to, from, n);
    return 0;
}

/* A page's number is its frame's. */
void set_gpfn_from_mfn(mfn_t mfn, unsigned long gpfn) { (void)mfn, (void)gpfn; }
unsigned long get_gpfn_from_mfn(mfn_t mfn) { return mfn_x(mfn); }

/* Nothing is traced. */
uint32_t trace_events;
void trace_write(uint32_t event __unused, const uint32_t *words __unused, unsigned int nr __unused) { }
void *xzalloc_bytes(size_t size) { return calloc(1, size); }
void xfree(void *p) { free(p); }
void *alloc_heap_pages(unsigned int order, unsigned int flags)
{
    void *p = aligned_alloc(PAGE_SIZE, PAGE_SIZE << order);

    (void)flags;
    return memset(p, 0, PAGE_SIZE << order);
}
void free_heap_pages(void *p, unsigned int order) { (void)order, free(p); }
void pv_update_entry(struct vcpu *v) { (void)v; }
void pv_inject_hw_exception(unsigned int vector, u32 error_code) { (void)vector, (void)error_code; }
int pv_set_ldt(struct vcpu *v, unsigned long va, unsigned int ents) { return (void)v, (void)va, (void)ents, 0; }
bool pv_destroy_ldt(struct vcpu *v) { return (void)v, false; }

/* A descriptor table is all zeroes here. */
bool pv_validate_segdesc_page(struct page_info *pg)
{
    const u64 *word = page_to_virt(pg);

    for (unsigned int i = 0; i < PTES_PER_PAGE; i++) {
        if (word[i])
            return false;
    }
    return true;
}

void spin_lock_wait(spinlock_t *l, u16 mine)
{
    while (READ_ONCE(l->ticket.head) != mine)
        cpu_relax();
}

void bug_at(const char *file, int line, const char *what)
{
    fail_msg("%s:%d: %s", file, line, what);
    abort();
}

/* ---- The machine ---- */

static void *reserve(unsigned long at, size_t bytes)
{
    void *p = mmap((void *)at, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

    assert_ptr_not_equal(p, MAP_FAILED);
    return p;
}

static struct domain *make_domain(domid_t id, bool privileged, unsigned int nr_pages, unsigned long first)
{
    struct domain *d = calloc(1, sizeof(*d));

    d->domain_id = id;
    d->is_privileged = privileged;
    d->iomem_caps = privileged ? (struct rangeset *)d : NULL;
    INIT_LIST_HEAD(&d->page_list);
    INIT_LIST_HEAD(&d->xenpage_list);
    INIT_LIST_HEAD(&d->arch.relmem_list);
    shadow_init(d);
    d->max_vcpus = nr_pages ? VCPUS_EACH : 0;
    d->vcpu = calloc(VCPUS_EACH, sizeof(d->vcpu[0]));
    for (unsigned int i = 0; i < d->max_vcpus; i++) {
        d->vcpu[i] = calloc(1, sizeof(struct vcpu));
        d->vcpu[i]->vcpu_id = i;
        d->vcpu[i]->domain = d;
        d->vcpu[i]->arch.flags = VF_KERNEL_MODE;
    }
    for (unsigned int i = 0; i < nr_pages; i++) {
        struct page_info *pg = mfn_to_page(_mfn(first + i));

        pg->owner = d;
        pg->count_info = PGC_allocated | 1;
        list_add_tail(&pg->list, &d->page_list);
        d->tot_pages++;
    }
    return d;
}

int make_world(void **state)
{
    (void)state;
    reserve(FRAMETABLE_VIRT_START, ROUNDUP(RAM_FRAMES * sizeof(struct page_info), PAGE_SIZE));
    reserve(DIRECTMAP_VIRT_START, RAM_FRAMES << PAGE_SHIFT);
    for (unsigned int i = HV_FIRST_SLOT; i <= HV_LAST_SLOT; i++)
        idle_l4[i] = (pte_t){ 0x5000 | _PAGE_PRESENT | _PAGE_RW };
    mfn_to_page(_mfn(0))->count_info = PGC_broken;
    dom0 = make_domain(0, true, PAGES_EACH, 1);
    guest = make_domain(1, false, PAGES_EACH, 1 + PAGES_EACH);
    other = make_domain(2, false, PAGES_EACH, 1 + 2 * PAGES_EACH);
    dom_io = make_domain(DOMID_IO, false, 0, 0);
    dom_xen = make_domain(DOMID_XEN, false, 0, 0);
    dom_io->is_special = dom_xen->is_special = true;
    pages_freed = 0;
    preempt_every = 0;
    cpumask_clear(&test_flushed);
    cpumask_clear(&cpu_online_map);
    seed(1);
    become(guest, 0);
    return 0;
}

static void free_domain(struct domain *d)
{
    for (unsigned int i = 0; i < d->max_vcpus; i++)
        free(d->vcpu[i]);
    free(d->vcpu);
    free(d);
}

static int relinquish(struct domain *d)
{
    int rc = 0;

    d->is_dying = DOMDYING_DYING;
    for (unsigned int i = 0; !rc && i < d->max_vcpus; i++)
        rc = pv_drop_guest_tables(d->vcpu[i]);
    return rc ? rc : pv_relinquish_memory(d);
}

int end_world(void **state)
{
    struct domain *const all[] = { dom0, guest, other };

    (void)state;
    check_counts();
    preempt_every = 5;
    for (unsigned int i = 0; i < ARRAY_SIZE(all); i++) {
        become(all[i], 0);
        stop_logging(all[i]);
        while (relinquish(all[i]))
            continue;
        check_counts();
    }
    for (unsigned int i = 0; i < ARRAY_SIZE(all); i++) {
        assert_int_equal(all[i]->tot_pages, 0);
        free_domain(all[i]);
    }
    assert_int_equal(pages_freed, 3 * PAGES_EACH);
    free_domain(dom_io);
    free_domain(dom_xen);
    munmap((void *)FRAMETABLE_VIRT_START, ROUNDUP(RAM_FRAMES * sizeof(struct page_info), PAGE_SIZE));
    munmap((void *)DIRECTMAP_VIRT_START, RAM_FRAMES << PAGE_SHIFT);
    return 0;
}

void become(struct domain *d, unsigned int id)
{
    test_current = d->vcpu[id];
    test_cpu = id;
}

unsigned long mfn_of(const struct domain *d, unsigned int n)
{
    return 1 + d->domain_id * PAGES_EACH + n;
}

struct page_info *page_of(const struct domain *d, unsigned int n) { return mfn_to_page(_mfn(mfn_of(d, n))); }
void poke(struct page_info *pg, unsigned int index, u64 value) { ((u64 *)page_to_virt(pg))[index] = value; }
u64 peek(struct page_info *pg, unsigned int index) { return ((u64 *)page_to_virt(pg))[index]; }

/* ---- Hypercalls ---- */

long mmu_update(struct mmu_update *req, unsigned int count, unsigned int foreigndom)
{
    unsigned int done;
    long rc;

    restart.wanted = false;
    /* Single requests have a path of their own, if nobody wants the count. */
    rc = do_mmu_update((guest_ptr_t)req, count, count == 1 ? 0 : (guest_ptr_t)&done, foreigndom);
    while (restart.wanted) {
        restart.wanted = false;
        rc = do_mmu_update(restart.arg[0], (unsigned int)restart.arg[1], restart.arg[2], (unsigned int)restart.arg[3]);
    }
    return rc;
}

long mmu_set(unsigned long mfn, unsigned int index, u64 value)
{
    struct mmu_update req = { mfn << PAGE_SHIFT | index * 8 | MMU_NORMAL_PT_UPDATE, value };

    return mmu_update(&req, 1, DOMID_SELF);
}

static long mmuext_restarts(unsigned int cmd, unsigned long mfn, bool stop)
{
    struct mmuext_op op = { .cmd = cmd, .arg1.mfn = mfn };
    long rc;

    restart.wanted = false;
    rc = do_mmuext_op((guest_ptr_t)&op, 1, 0, DOMID_SELF);
    while (restart.wanted && !stop) {
        restart.wanted = false;
        rc = do_mmuext_op(restart.arg[0], (unsigned int)restart.arg[1], restart.arg[2], (unsigned int)restart.arg[3]);
    }
    return rc;
}

long mmuext(unsigned int cmd, unsigned long mfn) { return mmuext_restarts(cmd, mfn, false); }

bool mmuext_begin(unsigned int cmd, unsigned long mfn)
{
    (void)mmuext_restarts(cmd, mfn, true);
    return restart.wanted;
}

/* ---- Recount ---- */

static struct { unsigned long refs, types; } expected[RAM_FRAMES];

static void expect(mfn_t mfn, bool ref, bool type)
{
    if (mfn_valid(mfn)) {
        expected[mfn_x(mfn)].refs += ref;
        expected[mfn_x(mfn)].types += type;
    }
}

/* What the first nr entries of a table hold. */
static void expect_entries(struct page_info *pg, unsigned int level, unsigned int nr)
{
    const pte_t *table = page_to_virt(pg);

    for (unsigned int i = 0; i < nr; i++) {
        bool rw = table[i].v & _PAGE_RW;

        if (!pte_present(table[i]) || (level == 4 && i >= HV_FIRST_SLOT && i <= HV_LAST_SLOT))
            continue;
        assert_true(table[i].v & _PAGE_USER);
        assert_false(table[i].v & _PAGE_GLOBAL);
        expect(pte_mfn(table[i]), true, level > 1 || rw);
        if (!mfn_valid(pte_mfn(table[i])))
            continue;
        if (level > 1)
            assert_int_equal(pgt_level(mfn_to_page(pte_mfn(table[i]))->type_info), level - 1);
        else if (rw)
            assert_int_equal(mfn_to_page(pte_mfn(table[i]))->type_info & PGT_type_mask, PGT_writable_page);
    }
}

static void expect_of_page(struct page_info *pg)
{
    unsigned int level = pgt_level(pg->type_info);
    bool partial = pg->type_info & PGT_partial, pinned = pg->type_info & PGT_pinned;

    assert_false(pg->type_info & PGT_locked);
    expect(page_to_mfn(pg), pg->count_info & PGC_allocated, false);
    expect(page_to_mfn(pg), partial, partial);
    expect(page_to_mfn(pg), pinned, pinned);
    if (!level || !(pg->type_info & PGT_count_mask))
        return;
    assert_true(partial || (pg->type_info & PGT_validated));
    expect_entries(pg, level, partial ? pg->nr_validated : PTES_PER_PAGE);
    if (level == 4 && !partial) {
        assert_int_equal(peek(pg, HV_LAST_SLOT), idle_l4[HV_LAST_SLOT].v);
        assert_int_equal(peek(pg, HV_FIRST_SLOT + 1), idle_l4[HV_FIRST_SLOT + 1].v);
    }
}

static void expect_of_domain(struct domain *d)
{
    for (unsigned int i = 0; i < d->max_vcpus; i++) {
        const struct arch_vcpu *a = &d->vcpu[i]->arch;

        expect(a->guest_table, mfn_x(a->guest_table), mfn_x(a->guest_table));
        expect(a->guest_table_user, mfn_x(a->guest_table_user), mfn_x(a->guest_table_user));
    }
}

void check_counts(void)
{
    memset(expected, 0, sizeof(expected));
    expect_of_domain(dom0);
    expect_of_domain(guest);
    expect_of_domain(other);
    for (unsigned long mfn = 1; mfn < FIRST_HV_FRAME; mfn++)
        expect_of_page(mfn_to_page(_mfn(mfn)));
    for (unsigned long mfn = 1; mfn < FIRST_HV_FRAME; mfn++) {
        const struct page_info *pg = mfn_to_page(_mfn(mfn));

        if ((pg->count_info & PGC_count_mask) != expected[mfn].refs ||
            (pg->type_info & PGT_count_mask) != expected[mfn].types)
            fail_msg("frame %#lx: count_info %#lx type_info %#lx, but %lu references and %lu of the type", mfn,
                     pg->count_info, pg->type_info, expected[mfn].refs, expected[mfn].types);
    }
    check_shadows(guest);
    check_shadows(other);
}
