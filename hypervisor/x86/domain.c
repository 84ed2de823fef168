/* SPDX-License-Identifier: MIT */
/*
 * What x86 keeps of domains and vCPUs: creation, the register context that tools and the guest set and read, teardown.
 */
#include <domus/arch.h>
#include <domus/domain.h>
#include <domus/heap.h>
#include <domus/hypercall.h>
#include <domus/lib.h>
#include <domus/rangeset.h>
#include <domus/string.h>
#include <domus/xmalloc.h>
#include <asm/cpuid.h>
#include <asm/fpu.h>
#include <asm/irq.h>
#include <asm/processor.h>
#include <asm/pv_emul.h>
#include <asm/pv_mm.h>
#include <asm/pv_shadow.h>
#include <asm/symbols.h>
#include <asm/traps.h>

/* ---- Domains ---- */

#define PIRQS_DOM0 1024
#define PIRQS_DOMU 256

static int check_config(const struct xen_domctl_createdomain *config)
{
    if (config->flags & (XEN_DOMCTL_CDF_hvm | XEN_DOMCTL_CDF_hap | XEN_DOMCTL_CDF_nested_virt))
        return -EOPNOTSUPP;
    if (config->arch.emulation_flags != 0 || (config->arch.misc_flags & ~XEN_X86_MISC_FLAGS_MAX))
        return -EINVAL;
    return 0;
}

int arch_domain_create(struct domain *d, const struct xen_domctl_createdomain *config)
{
    struct page_info *pg;
    int rc;

    INIT_LIST_HEAD(&d->arch.relmem_list);
    spin_lock_init(&d->arch.e820_lock, RANK_LEAF);
    shadow_init(d);
    if (config == NULL)
        return 0;                       /* special domains run no guest */
    rc = check_config(config);
    if (rc != 0)
        return rc;
    d->arch.ioport_caps = rangeset_new("I/O ports");
    if (d->arch.ioport_caps == NULL)
        return -ENOMEM;
    rc = cpu_policy_domain_init(d);
    if (rc != 0)
        return rc;
    pg = alloc_pages(0, MEMF_zero);
    if (pg == NULL)
        return -ENOMEM;
    pirq_domain_init(d, d->is_privileged ? PIRQS_DOM0 : PIRQS_DOMU);
    d->arch.msr_relaxed = config->arch.misc_flags & XEN_X86_MSR_RELAXED;
    /* The last step: from now on the page counts as the domain's. */
    d->shared_info = page_to_virt(pg);
    share_page_with_guest(pg, d, true);
    /* A kernel starts with events masked. */
    for (unsigned int i = 0; i < XEN_LEGACY_MAX_VCPUS; i++)
        d->shared_info->vcpu_info[i].evtchn_upcall_mask = 1;
    update_domain_wallclock_time(d);
    return 0;
}

int arch_domain_relinquish(struct domain *d)
{
    struct vcpu *v;
    int rc;

    pirq_domain_relinquish(d);
    rc = pv_log_dirty_relinquish(d);
    if (rc != 0)
        return rc;
    for_each_vcpu(d, v) {
        rc = pv_drop_guest_tables(v);
        if (rc != 0)
            return rc;
        pv_destroy_ldt(v);
        pv_destroy_gdt(v);
    }
    return pv_relinquish_memory(d);
}

void arch_domain_destroy(struct domain *d)
{
    pirq_domain_destroy(d);
    cpu_policy_domain_destroy(d);
    rangeset_destroy(d->arch.ioport_caps);
    xfree(d->arch.e820);
    if (d->shared_info != NULL)
        free_shared_page(virt_to_page(d->shared_info));
    d->shared_info = NULL;
}

void arch_domain_shutdown(struct domain *d)
{
    (void)d;
}

/* ---- vCPUs ---- */

static void reset_registers(struct vcpu *v)
{
    v->arch.guest_table = v->arch.guest_table_user = v->arch.old_guest_table = _mfn(0);
    v->arch.flags = VF_KERNEL_MODE;
    v->arch.cr0 = X86_CR0_PE | X86_CR0_PG | X86_CR0_WP | X86_CR0_NE | X86_CR0_ET | X86_CR0_MP;
    v->arch.sysenter_callback = v->arch.syscall32_callback = 0;
    v->arch.iobmp = NULL;
    v->arch.iobmp_limit = 0;
    v->arch.async = 0;
    pv_reset_debugregs(v);
    for (unsigned int i = 0; i < GUEST_LDT_PAGES; i++)
        v->arch.ldt_frame[i] = INVALID_MFN;
}

int arch_vcpu_create(struct vcpu *v)
{
    spin_lock_init(&v->arch.ldt_lock, RANK_LEAF);
    reset_registers(v);
    if (is_idle_vcpu(v))
        return 0;
    v->arch.trap = xzalloc_array(struct pv_trap, 256);
    if (v->arch.trap == NULL)
        return -ENOMEM;
    return vcpu_fpu_create(v);
}

void arch_vcpu_destroy(struct vcpu *v)
{
    vcpu_fpu_destroy(v);
    xfree(v->arch.trap);
    v->arch.trap = NULL;
}

/* v is offline and stays so until it gets a new context. */
int arch_vcpu_reset(struct vcpu *v)
{
    int rc = pv_drop_guest_tables(v);

    if (rc != 0)
        return rc;
    pv_destroy_ldt(v);
    pv_destroy_gdt(v);
    v->arch.ldt_ents = 0;
    memset(v->arch.trap, 0, 256 * sizeof(*v->arch.trap));
    memset(&v->arch.user_regs, 0, sizeof(v->arch.user_regs));
    vcpu_fpu_reset(v);
    reset_registers(v);
    return 0;
}

void arch_vcpu_info_changed(struct vcpu *v)
{
    update_vcpu_system_time(v);
}

/* ---- Context ---- */

/* Every address that the guest would be sent to, or whose base is loaded without a check. */
static bool context_addresses_ok(const struct vcpu_guest_context *c)
{
    if (!guest_address_ok(c->user_regs.rip) || !guest_address_ok(c->event_callback_eip) ||
        !guest_address_ok(c->failsafe_callback_eip) ||
        !guest_address_ok(c->syscall_callback_eip) || !is_canonical_address(c->fs_base) ||
        !is_canonical_address(c->gs_base_kernel) || !is_canonical_address(c->gs_base_user))
        return false;
    for (unsigned int i = 0; i < ARRAY_SIZE(c->trap_ctxt); i++) {
        if (!guest_address_ok(c->trap_ctxt[i].address))
            return false;
    }
    for (unsigned int i = 0; i < ARRAY_SIZE(c->debugreg); i++) {
        if (!pv_debugreg_valid(i, c->debugreg[i]))
            return false;
    }
    return true;
}

/* An entry's place is its vector, whatever it calls it, as on Xen. */
static void set_traps(struct vcpu *v, const struct vcpu_guest_context *c)
{
    for (unsigned int i = 0; i < ARRAY_SIZE(c->trap_ctxt); i++) {
        const struct trap_info *t = &c->trap_ctxt[i];

        v->arch.trap[i] = (struct pv_trap){
            .address = t->address,
            .cs = t->cs,
            .flags = t->flags & (PV_TRAP_DPL_MASK | PV_TRAP_MASK_EVENTS),
        };
    }
    v->arch.event_callback = c->event_callback_eip;
    v->arch.failsafe_callback = c->failsafe_callback_eip;
    v->arch.syscall_callback = c->syscall_callback_eip;
    v->arch.callback_flags = (c->flags & VGCF_syscall_disables_events ? CBF_SYSCALL_MASKS_EVENTS : 0) |
                             (c->flags & VGCF_failsafe_disables_events ? CBF_FAILSAFE_MASKS_EVENTS : 0);
    v->arch.kernel_ss = c->kernel_ss;
    v->arch.kernel_sp = c->kernel_sp;
    pv_update_entry(v);
}

#define IOPL_SHIFT 12

/* Only ring 3 and only flags that a guest may have: IRET loads the rest unchecked. The I/O privilege level is emulated. */
static void set_registers(struct vcpu *v, const struct vcpu_guest_context *c)
{
    struct cpu_user_regs *regs = &v->arch.user_regs;

    *regs = c->user_regs;
    v->arch.iopl = (regs->rflags & X86_EFLAGS_IOPL) >> IOPL_SHIFT;
    regs->error_code = 0;
    regs->entry_vector = 0;
    regs->cs |= 3;
    regs->ss |= 3;
    regs->rflags = (regs->rflags & ~(u64)(X86_EFLAGS_IOPL | X86_EFLAGS_VM | X86_EFLAGS_NT) & 0x3fffff) |
                   X86_EFLAGS_IF | X86_EFLAGS_MBS;
    v->arch.ds_sel = regs->ds;
    v->arch.es_sel = regs->es;
    v->arch.fs_sel = regs->fs;
    v->arch.gs_sel = regs->gs;
    v->arch.fs_base = c->fs_base;
    v->arch.gs_base_kernel = c->gs_base_kernel;
    v->arch.gs_base_user = c->gs_base_user;
    v->arch.flags = c->flags & VGCF_in_kernel ? VF_KERNEL_MODE : 0;
    v->arch.cr0 = (c->ctrlreg[0] & X86_CR0_TS) | X86_CR0_PE | X86_CR0_PG | X86_CR0_WP | X86_CR0_NE | X86_CR0_ET |
                  X86_CR0_MP;
    v->arch.cr4 = pv_guest_cr4(v, c->ctrlreg[4]);
    for (unsigned int i = 0; i < ARRAY_SIZE(c->debugreg); i++)
        pv_store_debugreg(v, i, c->debugreg[i]);
    if (c->flags & VGCF_I387_VALID) {
        /* A domain that goes on after it was saved gets its context once more: XCR0 and what it stands for are not in it. */
        if (!v->is_initialised)
            vcpu_fpu_reset(v);
        memcpy(v->arch.xsave->fxsave, &c->fpu_ctxt, sizeof(v->arch.xsave->fxsave));
        fpu_sanitise_legacy(v);
    }
}

static mfn_t kernel_table(const struct vcpu_guest_context *c)
{
    return _mfn(xen_cr3_to_pfn(c->ctrlreg[3]));
}

/* Frame 0: none. */
static mfn_t user_table(const struct vcpu_guest_context *c)
{
    return _mfn(xen_cr3_to_pfn(c->ctrlreg[1]));
}

/* Page tables and descriptor tables of a vCPU that has none. What an error leaves is taken back. */
static int set_tables(struct vcpu *v, const struct vcpu_guest_context *c)
{
    mfn_t gdt[GUEST_GDT_FRAMES];
    int rc;

    for (unsigned int i = 0; i < GUEST_GDT_FRAMES; i++)
        gdt[i] = _mfn(c->gdt_frames[i]);
    rc = pv_set_gdt(v, gdt, c->gdt_ents);
    rc = rc ?: pv_set_ldt(v, c->ldt_base, c->ldt_ents);
    rc = rc ?: pv_set_guest_tables(v, kernel_table(c), user_table(c));
    if (rc != 0 && rc != -ERESTART) {
        pv_destroy_gdt(v);
        (void)pv_set_ldt(v, 0, 0);
    }
    return rc;
}

static bool same_tables(const struct vcpu *v, const struct vcpu_guest_context *c)
{
    bool same = mfn_eq(v->arch.guest_table, kernel_table(c)) && mfn_eq(v->arch.guest_table_user, user_table(c)) &&
                v->arch.ldt_ents == c->ldt_ents && (c->ldt_ents == 0 || v->arch.ldt_base == c->ldt_base) &&
                v->arch.gdt_ents == c->gdt_ents;

    for (unsigned int i = 0; same && i < v->arch.gdt_nr_frames; i++)
        same = mfn_x(v->arch.gdt_frame[i]) == c->gdt_frames[i];
    return same;
}

int arch_set_info_guest(struct vcpu *v, const struct vcpu_guest_context *c)
{
    if (!context_addresses_ok(c) || (!(c->flags & VGCF_in_kernel) && mfn_x(user_table(c)) == 0))
        return -EINVAL;
    if (!v->is_initialised) {
        int rc = set_tables(v, c);

        if (rc != 0)
            return rc;
    } else if (!same_tables(v, c)) {
        return -EOPNOTSUPP;
    }
    /* From here on nothing can fail. */
    set_traps(v, c);
    set_registers(v, c);
    if (v->vcpu_id == 0 && !v->is_initialised)
        v->domain->vm_assist = c->vm_assist & PV_VM_ASSIST_MASK;
    /* Builders clear the shared page, or write one that was saved long ago, before they come here. */
    if (v->vcpu_id == 0)
        update_domain_wallclock_time(v->domain);
    return 0;
}

void arch_get_info_guest(struct vcpu *v, struct vcpu_guest_context *c)
{
    memset(c, 0, sizeof(*c));
    memcpy(&c->fpu_ctxt, v->arch.xsave->fxsave, sizeof(v->arch.xsave->fxsave));
    c->flags = VGCF_I387_VALID | (v->arch.flags & VF_KERNEL_MODE ? VGCF_in_kernel : 0) |
               (test_bit(VPF_DOWN, &v->pause_flags) ? 0 : VGCF_online) |
               (v->arch.callback_flags & CBF_SYSCALL_MASKS_EVENTS ? VGCF_syscall_disables_events : 0) |
               (v->arch.callback_flags & CBF_FAILSAFE_MASKS_EVENTS ? VGCF_failsafe_disables_events : 0);
    c->user_regs = v->arch.user_regs;
    c->user_regs.entry_vector = 0;
    c->user_regs.ds = v->arch.ds_sel;
    c->user_regs.es = v->arch.es_sel;
    c->user_regs.fs = v->arch.fs_sel;
    c->user_regs.gs = v->arch.gs_sel;
    /* As trap frames show it: IF is the inverse of the event mask, and the kernel's RPL is zero. */
    c->user_regs.rflags &= ~(u64)(X86_EFLAGS_IF | X86_EFLAGS_IOPL);
    c->user_regs.rflags |= (u64)v->arch.iopl << IOPL_SHIFT;
    if (!v->vcpu_info->evtchn_upcall_mask)
        c->user_regs.rflags |= X86_EFLAGS_IF;
    if (v->arch.flags & VF_KERNEL_MODE)
        c->user_regs.cs &= ~3;
    for (unsigned int i = 0; i < ARRAY_SIZE(c->trap_ctxt); i++) {
        c->trap_ctxt[i].vector = i;
        c->trap_ctxt[i].cs = v->arch.trap[i].cs;
        c->trap_ctxt[i].flags = v->arch.trap[i].flags;
        c->trap_ctxt[i].address = v->arch.trap[i].address;
    }
    c->ldt_base = v->arch.ldt_base;
    c->ldt_ents = v->arch.ldt_ents;
    for (unsigned int i = 0; i < v->arch.gdt_nr_frames; i++)
        c->gdt_frames[i] = mfn_x(v->arch.gdt_frame[i]);
    c->gdt_ents = v->arch.gdt_ents;
    c->kernel_ss = v->arch.kernel_ss;
    c->kernel_sp = v->arch.kernel_sp;
    c->ctrlreg[0] = v->arch.cr0;
    c->ctrlreg[1] = mfn_x(v->arch.guest_table_user) ? xen_pfn_to_cr3(mfn_x(v->arch.guest_table_user)) : 0;
    c->ctrlreg[3] = xen_pfn_to_cr3(mfn_x(v->arch.guest_table));
    c->ctrlreg[4] = v->arch.cr4;
    for (unsigned int i = 0; i < 8; i++)
        c->debugreg[i] = v->arch.dr[i];
    c->event_callback_eip = v->arch.event_callback;
    c->failsafe_callback_eip = v->arch.failsafe_callback;
    c->syscall_callback_eip = v->arch.syscall_callback;
    c->vm_assist = v->domain->vm_assist;
    c->fs_base = v->arch.fs_base;
    c->gs_base_kernel = v->arch.gs_base_kernel;
    c->gs_base_user = v->arch.gs_base_user;
}

/* ---- Dumps ---- */

void arch_dump_vcpu(struct vcpu *v)
{
    const struct cpu_user_regs *regs = v == current ? guest_cpu_user_regs() : &v->arch.user_regs;

    printk("d%uv%u: kernel mode %u, cr3 %#lx (user %#lx)\n", v->domain->domain_id, v->vcpu_id,
           v->arch.flags & VF_KERNEL_MODE, v->arch.cr3_kernel, v->arch.cr3_user);
    show_registers(regs);
}

void arch_dump_domain(struct domain *d)
{
    printk("    CPUs with its translations: %u\n", cpumask_weight(&d->arch.dirty_cpumask));
}

/* VCPUOP_* that only x86 has. */
long arch_do_vcpu_op(int cmd, struct vcpu *v, guest_ptr_t arg)
{
    switch (cmd) {
    case VCPUOP_send_nmi:
        if (arg != 0)
            return -EINVAL;
        pv_send_nmi(v);
        return 0;
    case VCPUOP_get_physid:
        return -EPERM;                  /* only for a vCPU that is pinned for good, as none is */
    default:
        return -ENOSYS;
    }
}
