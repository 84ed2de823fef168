/* SPDX-License-Identifier: MIT */
/*
 * The builder of domain 0. It lays the kernel, its ramdisk and what the ABI promises out in the domain's memory, makes
 * page tables that map them, has these validated like any guest's, and sets the first vCPU to the kernel's entry.
 * <xen/xen.h>, "Start-of-day memory layout"; <xen/elfnote.h>.
 *
 * Pseudo-physical frame 0 appears at the kernel's virtual base. In order, page by page:
 *     kernel, ramdisk (unless it may stay unmapped), list of frames (unless the kernel names a place for it),
 *     start_info with the console's facts, page tables, stack, at least 512 KiB of nothing, up to a 4 MiB boundary;
 * then, not in the initial mapping: ramdisk, list of frames and the page tables for it.
 */
#include <domus/arch.h>
#include <domus/domain.h>
#include <domus/heap.h>
#include <domus/lib.h>
#include <domus/string.h>
#include <domus/time.h>
#include <domus/xmalloc.h>
#include <asm/boot.h>
#include <asm/dom0.h>
#include <asm/kernel_image.h>
#include <asm/machine.h>
#include <asm/pv_mm.h>
#include <asm/traps.h>
#include <asm/processor.h>
#include <xen/features.h>

#define REGION_ALIGN   MB(4)
#define REGION_PADDING KB(512)

#define DATA_FLAGS  (_PAGE_PRESENT | _PAGE_RW | _PAGE_USER | _PAGE_ACCESSED | _PAGE_DIRTY)
#define TABLE_FLAGS (PAGE_GUEST_TABLE | _PAGE_DIRTY)

struct layout {
    u64 v_start, v_end;             /* the initial mapping */
    u64 initrd, p2m, start_info, page_tables, stack;    /* virtual; initrd, p2m 0: not in the mapping */
    unsigned long nr_page_tables;
    unsigned long initrd_pfn, initrd_pages;
    unsigned long p2m_pfn, p2m_pages;
    unsigned long p2m_tables_pfn, nr_p2m_tables;
    unsigned long pages_needed;     /* by all of this */
};

/* ---- Kernel ---- */

#define IMAGE_REMEDY "Give as the first module a Linux kernel (bzImage) or ELF kernel for 64-bit x86 with Xen PV support."

static void __noreturn refuse_kernel(const struct boot_module *module, const char *why)
{
    panic("dom0's kernel (first boot module, %zu bytes, command line \"%.40s\") cannot be used: %s. " IMAGE_REMEDY,
          module->size, module->cmdline, why);
}

/* Features that a PV domain here has or can do without noticing. */
#define FEATURES_AVAILABLE                                                                                            \
    (1u << XENFEAT_writable_page_tables | 1u << XENFEAT_pae_pgdir_above_4gb | 1u << XENFEAT_mmu_pt_update_preserve_ad | \
     1u << XENFEAT_gnttab_map_avail_bits | 1u << XENFEAT_dom0)

static void load_kernel_file(const struct boot_module *module, struct kernel_file *file, struct pv_kernel *kernel)
{
    s_time_t start = NOW();
    const char *error = kernel_file_open(maddr_to_virt(module->start), module->size, file);

    if (error)
        refuse_kernel(module, error);
    error = pv_kernel_parse(file->data, file->size, kernel);
    if (error)
        refuse_kernel(module, error);
    if (kernel->features_required & ~FEATURES_AVAILABLE)
        refuse_kernel(module, "it needs a feature that no PV domain has (note FEATURES)");
    if (kernel->names_supported_features && !(kernel->features_supported & 1u << XENFEAT_dom0))
        refuse_kernel(module, "it is built without support for being domain 0 (CONFIG_XEN_DOM0)");
    printk(LOG_INFO "dom0: kernel %s %s (%s, %lu KiB, opened in %lld ms)\n", kernel->guest_os, kernel->guest_version,
           file->container, file->size >> 10, (NOW() - start) / MILLISECS(1));
}

/*
 * Its command line. The parser of the boot information has taken the file name off; GRUB 2 gives none, and its users, who
 * know that Xen drops the first word, put "placeholder" there.
 */
static const char *kernel_cmdline(const struct boot_info *boot)
{
    static const char placeholder[] = "placeholder";
    const char *s = boot->module[0].cmdline;
    size_t first;

    s += strspn(s, " ");
    first = strcspn(s, " ");
    if (first == strlen(placeholder) && strncmp(s, placeholder, first) == 0)
        s += first;
    return s + strspn(s, " ");
}

/* ---- Layout ---- */

/* Tables of levels 1 to 3 that map [start, end). */
static unsigned long tables_for(u64 start, u64 end)
{
    unsigned long n = 0;

    for (unsigned int shift = L2_SHIFT; shift <= L4_SHIFT; shift += 9)
        n += ((end - 1) >> shift) - (start >> shift) + 1;
    return n;
}

/* Places page tables and stack, whose number depends on where the region ends. False: it does not fit. */
static bool place_end(struct layout *l)
{
    for (l->nr_page_tables = 1;;) {
        u64 end;
        unsigned long n;

        l->stack = l->page_tables + (l->nr_page_tables << PAGE_SHIFT);
        end = l->stack + PAGE_SIZE;
        l->v_end = ROUNDUP(end, REGION_ALIGN);
        if (l->v_end - end < REGION_PADDING)
            l->v_end += REGION_ALIGN;
        if (l->v_end <= l->v_start || l->v_end - l->v_start > GB(64))
            return false;
        n = 1 + tables_for(l->v_start, l->v_end);
        if (n == l->nr_page_tables)
            return true;
        l->nr_page_tables = n;
    }
}

/* Whether the guest may have mappings all over [start, end), which is not empty. */
static bool guest_range_ok(u64 start, u64 end)
{
    return start < end && guest_address_ok(start) && guest_address_ok(end - 1) &&
           (start < HYPERVISOR_SPACE_START) == (end - 1 < HYPERVISOR_SPACE_START);
}

static bool make_layout(struct layout *l, const struct pv_kernel *k, u64 initrd_size, unsigned long nr_pages)
{
    u64 next = ROUNDUP(k->end, PAGE_SIZE);
    unsigned long pfn;

    memset(l, 0, sizeof(*l));
    l->v_start = k->virt_base;
    l->initrd_pages = PFN_UP(initrd_size);
    l->p2m_pages = PFN_UP(nr_pages * sizeof(xen_pfn_t));
    if (l->initrd_pages && !k->unmapped_initrd) {
        l->initrd = next;
        l->initrd_pfn = PFN_DOWN(next - l->v_start);
        next += l->initrd_pages << PAGE_SHIFT;
    }
    if (!k->init_p2m) {
        l->p2m = next;
        l->p2m_pfn = PFN_DOWN(next - l->v_start);
        next += l->p2m_pages << PAGE_SHIFT;
    }
    l->start_info = next;
    l->page_tables = next + PAGE_SIZE;
    if (!place_end(l) || !guest_range_ok(l->v_start, l->v_end))
        return false;

    pfn = PFN_DOWN(l->v_end - l->v_start);
    if (l->initrd_pages && !l->initrd) {
        l->initrd_pfn = pfn;
        pfn += l->initrd_pages;
    }
    if (k->init_p2m) {
        u64 end = k->init_p2m + (l->p2m_pages << PAGE_SHIFT);

        if (!guest_range_ok(k->init_p2m, end) || (k->init_p2m < l->v_end && l->v_start < end))
            return false;
        l->p2m_pfn = pfn;
        l->p2m_tables_pfn = pfn + l->p2m_pages;
        l->nr_p2m_tables = tables_for(k->init_p2m, end);
        pfn = l->p2m_tables_pfn + l->nr_p2m_tables;
    }
    l->pages_needed = pfn;
    return true;
}

/* ---- Page tables ---- */

struct table_builder {
    const struct dom0_memory *m;
    pte_t *l4;
    unsigned long next_pfn, end_pfn;    /* frames for new tables */
};

static mfn_t new_table(struct table_builder *b)
{
    mfn_t mfn;

    BUG_ON(b->next_pfn >= b->end_pfn);
    mfn = dom0_pfn_to_mfn(b->m, b->next_pfn++);
    clear_page(mfn_to_virt(mfn));
    return mfn;
}

/* The L1 table that maps va, made if it is not there. */
static pte_t *l1_table(struct table_builder *b, u64 va)
{
    pte_t *table = b->l4;

    for (unsigned int level = 4; level > 1; level--) {
        pte_t *entry = &table[pt_index(va, level)];

        if (!pte_present(*entry))
            *entry = pte_from_mfn(new_table(b), TABLE_FLAGS);
        table = mfn_to_virt(pte_mfn(*entry));
    }
    return table;
}

/* Maps nr frames from pfn on at va; those in [ro_start, ro_end) read-only. */
static void map_pages(struct table_builder *b, u64 va, unsigned long pfn, unsigned long nr,
                      unsigned long ro_start, unsigned long ro_end)
{
    pte_t *l1 = NULL;

    for (; nr; nr--, pfn++, va += PAGE_SIZE) {
        u64 flags = pfn >= ro_start && pfn < ro_end ? DATA_FLAGS & ~_PAGE_RW : DATA_FLAGS;

        if (!l1 || l1_index(va) == 0)
            l1 = l1_table(b, va);
        l1[l1_index(va)] = pte_from_mfn(dom0_pfn_to_mfn(b->m, pfn), flags);
    }
}

/* Fills the page tables and returns the frame of the fourth level. */
static mfn_t build_page_tables(const struct dom0_memory *m, const struct layout *l, const struct pv_kernel *k)
{
    unsigned long first = PFN_DOWN(l->page_tables - l->v_start);
    struct table_builder b = { .m = m, .next_pfn = first, .end_pfn = first + l->nr_page_tables };
    mfn_t l4 = new_table(&b);

    b.l4 = mfn_to_virt(l4);
    map_pages(&b, l->v_start, 0, PFN_DOWN(l->v_end - l->v_start), first, first + l->nr_page_tables);
    if (k->init_p2m) {
        b.next_pfn = l->p2m_tables_pfn;
        b.end_pfn = l->p2m_tables_pfn + l->nr_p2m_tables;
        map_pages(&b, k->init_p2m, l->p2m_pfn, l->p2m_pages, 0, 0);
    }
    init_hypervisor_l4_slots(b.l4);
    return l4;
}

/* Gives the frame its type for good, as MMUEXT_PIN_L4_TABLE does; this validates every table below it. */
static void pin_page_tables(struct domain *d, mfn_t l4)
{
    struct page_info *pg = mfn_to_page(l4);

    if (!get_page_and_type(pg, d, PGT_l4_page_table))
        panic("dom0's first page tables do not pass validation");
    __atomic_fetch_or(&pg->type_info, PGT_pinned, __ATOMIC_SEQ_CST);
}

/* ---- Contents ---- */

static void load_segments(const struct dom0_memory *m, const struct layout *l, const struct pv_kernel *k)
{
    const void *data;
    u64 va, filesz, memsz;

    for (unsigned int i = 0; pv_kernel_segment(k, &i, &va, &data, &filesz, &memsz); i++) {
        dom0_write(m, va - l->v_start, data, filesz);
        dom0_write(m, va - l->v_start + filesz, NULL, memsz - filesz);
    }
    if (k->hypercall_page)
        pv_fill_hypercall_page(mfn_to_virt(dom0_pfn_to_mfn(m, PFN_DOWN(k->hypercall_page - l->v_start))));
}

/* The machine frames of all pseudo-physical ones; a run at a time, for there may be millions. */
static void write_p2m(const struct dom0_memory *m, const struct layout *l)
{
    const unsigned long per_page = PAGE_SIZE / sizeof(xen_pfn_t);

    for (unsigned int i = 0; i < m->nr_chunks; i++) {
        const struct dom0_chunk *c = &m->chunk[i];

        for (unsigned long done = 0, run; done < c->nr; done += run) {
            unsigned long pfn = c->pfn + done, mfn = mfn_x(c->mfn) + done;
            xen_pfn_t *list = mfn_to_virt(dom0_pfn_to_mfn(m, l->p2m_pfn + pfn / per_page));

            list += pfn % per_page;
            run = min(c->nr - done, per_page - pfn % per_page);
            for (unsigned long n = 0; n < run; n++)
                list[n] = mfn + n;
        }
    }
}

static void write_start_info(const struct dom0_memory *m, const struct layout *l, const struct pv_kernel *k,
                             u64 initrd_size, const char *cmdline)
{
    struct start_info *si = mfn_to_virt(dom0_pfn_to_mfn(m, PFN_DOWN(l->start_info - l->v_start)));
    struct dom0_vga_console_info *vga = (void *)(si + 1);

    BUILD_BUG_ON(sizeof(*si) + sizeof(*vga) > PAGE_SIZE);
    clear_page(si);
    strlcpy(si->magic, "xen-3.0-x86_64", sizeof(si->magic));
    si->nr_pages = m->nr_pages;
    si->shared_info = virt_to_maddr(m->d->shared_info);
    si->flags = SIF_PRIVILEGED | SIF_INITDOMAIN;
    si->pt_base = l->page_tables;
    si->nr_pt_frames = l->nr_page_tables;
    si->mfn_list = l->p2m ? l->p2m : k->init_p2m;
    if (k->init_p2m) {
        si->first_p2m_pfn = l->p2m_pfn;
        si->nr_p2m_frames = l->p2m_pages + l->nr_p2m_tables;
    }
    if (initrd_size) {
        si->mod_len = initrd_size;
        si->mod_start = l->initrd ? l->initrd : l->initrd_pfn;
        if (!l->initrd)
            si->flags |= SIF_MOD_START_PFN;
    }
    strlcpy((char *)si->cmd_line, cmdline, sizeof(si->cmd_line));
    if (vga_console_info(vga)) {
        si->console.dom0.info_off = sizeof(*si);
        si->console.dom0.info_size = sizeof(*vga);
    }
}

/* ---- Domain ---- */

static struct domain *create_domain(void)
{
    struct xen_domctl_createdomain config = {
        .max_vcpus = dom0_vcpu_count(),
        .max_evtchn_port = UINT32_MAX,
        .max_grant_frames = -1,
        .max_maptrack_frames = -1,
    };
    int err = 0;
    struct domain *d = domain_create(0, &config, true, &err);

    if (!d)
        panic("dom0 cannot be created: error %d", err);
    for (unsigned int i = 0; i < config.max_vcpus; i++) {
        struct vcpu *v = vcpu_create(d, i);

        if (!v)
            panic("dom0's vCPU %u cannot be created: give fewer by dom0_max_vcpus=", i);
        dom0_pin_vcpu(v);
    }
    return d;
}

static void start_vcpu0(struct domain *d, const struct layout *l, const struct pv_kernel *k, mfn_t l4)
{
    struct vcpu *v = d->vcpu[0];
    struct vcpu_guest_context *c = xzalloc(struct vcpu_guest_context);
    int rc;

    if (!c)
        panic("There is no memory to build dom0");
    c->flags = VGCF_in_kernel | VGCF_online;
    c->user_regs.cs = FLAT_KERNEL_CS;
    c->user_regs.ss = c->user_regs.ds = c->user_regs.es = FLAT_KERNEL_SS;
    c->user_regs.rip = k->entry;
    c->user_regs.rsp = l->stack + PAGE_SIZE;
    c->user_regs.rsi = l->start_info;
    c->user_regs.rflags = X86_EFLAGS_IF | X86_EFLAGS_MBS;
    c->kernel_ss = FLAT_KERNEL_SS;
    c->kernel_sp = l->stack + PAGE_SIZE;
    c->ctrlreg[3] = xen_pfn_to_cr3(mfn_x(l4));
    rc = arch_set_info_guest(v, c);
    if (rc)
        panic("dom0's first state is refused: error %d", rc);
    xfree(c);
    v->is_initialised = true;
    clear_bit(VPF_DOWN, &v->pause_flags);
}

struct domain *construct_dom0(const struct boot_info *boot)
{
    const struct boot_module *initrd = boot->nr_modules > 1 ? &boot->module[1] : NULL;
    u64 initrd_size = initrd ? initrd->size : 0;
    const char *cmdline;
    struct kernel_file file;
    struct pv_kernel kernel;
    struct dom0_memory m;
    struct layout l;
    struct domain *d;
    s_time_t start;
    mfn_t l4;

    if (boot->nr_modules == 0)
        panic("There is no kernel for dom0: the boot loader gave no module. " IMAGE_REMEDY);
    load_kernel_file(&boot->module[0], &file, &kernel);
    cmdline = kernel_cmdline(boot);
    if (strlen(cmdline) >= MAX_GUEST_CMDLINE)
        panic("dom0's command line has %zu characters, the most is %u: shorten it", strlen(cmdline),
              MAX_GUEST_CMDLINE - 1);

    start = NOW();
    d = create_domain();
    dom0_permit_devices(d);
    dom0_memory_alloc(d, &m);
    if (m.nr_pages == 0)
        panic("dom0 gets no memory: give it some by dom0_mem=");
    if (!make_layout(&l, &kernel, initrd_size, m.nr_pages))
        refuse_kernel(&boot->module[0], "the addresses that it asks for are not a PV guest's to use");
    if (l.pages_needed > m.nr_pages)
        panic("dom0 has %lu MiB of memory, but its kernel and ramdisk alone take %lu MiB: give it more by dom0_mem=, "
              "or the machine", m.nr_pages >> (20 - PAGE_SHIFT), (l.pages_needed >> (20 - PAGE_SHIFT)) + 1);

    load_segments(&m, &l, &kernel);
    kernel_file_close(&file);
    if (initrd)
        dom0_write(&m, (paddr_t)l.initrd_pfn << PAGE_SHIFT, maddr_to_virt(initrd->start), initrd_size);
    write_p2m(&m, &l);
    write_start_info(&m, &l, &kernel, initrd_size, cmdline);
    l4 = build_page_tables(&m, &l, &kernel);
    pin_page_tables(d, l4);
    start_vcpu0(d, &l, &kernel, l4);
    dom0_memory_done(&m);

    printk(LOG_INFO "dom0: %lu MiB, %u vCPUs, %lu KiB ramdisk, built in %lld ms\n", m.nr_pages >> (20 - PAGE_SHIFT),
           d->max_vcpus, initrd_size >> 10, (NOW() - start) / MILLISECS(1));
    printk(LOG_DEBUG "dom0: kernel %lx-%lx, entry %lx\n", kernel.start, kernel.end, kernel.entry);
    printk(LOG_DEBUG "dom0: mapped %lx-%lx: start_info %lx, page tables %lx (%lu), stack %lx\n", l.v_start, l.v_end,
           l.start_info, l.page_tables, l.nr_page_tables, l.stack);
    return d;
}
