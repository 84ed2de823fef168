/* SPDX-License-Identifier: MIT */
/*
 * Switching a physical CPU from one vCPU to another. There is one stack a CPU and none a vCPU: a switch saves the guest's
 * registers from the top of the stack, loads the other's there, and leaves for the guest, or the idle loop, on an empty
 * stack. Nothing of the code that called context_switch() is returned to.
 */
#include <domus/arch.h>
#include <domus/domain.h>
#include <domus/lib.h>
#include <domus/sched.h>
#include <domus/string.h>
#include <asm/cpufeature.h>
#include <asm/current.h>
#include <asm/desc.h>
#include <asm/flushtlb.h>
#include <asm/fpu.h>
#include <asm/mm_init.h>
#include <asm/processor.h>
#include <asm/pv_emul.h>
#include <asm/pv_mm.h>
#include <asm/segments.h>
#include <asm/traps.h>

static void save_segments(struct vcpu *v)
{
    unsigned long gs = read_gs_base(), inactive = read_inactive_gs_base();
    bool kernel = v->arch.flags & VF_KERNEL_MODE;
    u16 s[4];

    read_selectors(s);
    v->arch.ds_sel = s[0];
    v->arch.es_sel = s[1];
    v->arch.fs_sel = s[2];
    v->arch.gs_sel = s[3];
    v->arch.fs_base = read_fs_base();
    v->arch.gs_base_kernel = kernel ? gs : inactive;
    v->arch.gs_base_user = kernel ? inactive : gs;
}

/* What user mode may lack: the kernel's pages, where the areas lie that the guest has given by address. */
static bool needs_kernel_tables(const struct vcpu *v)
{
    return !(v->arch.flags & VF_KERNEL_MODE) && (v->runstate_guest || v->time_info_guest);
}

/* For a while. A page fault on shadow tables is served in the tables of the mode that the flag tells. */
static void load_kernel_tables(struct vcpu *v)
{
    v->arch.flags |= VF_KERNEL_MODE;
    write_ptbase(v);
}

/* False if a selector could not be loaded: the guest has taken its descriptor away meanwhile. */
static bool load_segments(const struct vcpu *v)
{
    bool kernel = v->arch.flags & VF_KERNEL_MODE;
    bool ok = load_ds(v->arch.ds_sel);

    ok &= load_es(v->arch.es_sel);
    ok &= load_fs(v->arch.fs_sel);
    ok &= load_gs(v->arch.gs_sel);
    write_fs_base(v->arch.fs_base);
    write_gs_base(kernel ? v->arch.gs_base_kernel : v->arch.gs_base_user);
    write_inactive_gs_base(kernel ? v->arch.gs_base_user : v->arch.gs_base_kernel);
    return ok;
}

static void save_guest(struct vcpu *v)
{
    bool user = needs_kernel_tables(v);

    memcpy(&v->arch.user_regs, guest_cpu_user_regs(), offsetof(struct cpu_user_regs, es));
    save_segments(v);
    vcpu_fpu_save(v);
    pv_unload_debugregs(v);
    if (user)
        load_kernel_tables(v);
    update_runstate_area(v);
    if (user)
        v->arch.flags &= ~VF_KERNEL_MODE;       /* the tables go when the next vCPU's, or the idle loop's, are loaded */
}

static void load_page_tables(struct vcpu *v)
{
    bool user = needs_kernel_tables(v);

    if (user)
        load_kernel_tables(v);
    else
        write_ptbase(v);
    update_vcpu_system_time(v);
    update_runstate_area(v);
    if (user) {
        v->arch.flags &= ~VF_KERNEL_MODE;
        write_ptbase(v);
    }
}

static void load_guest(struct vcpu *v)
{
    struct cpu_user_regs *regs = guest_cpu_user_regs();
    const u16 wanted[4] = { v->arch.ds_sel, v->arch.es_sel, v->arch.fs_sel, v->arch.gs_sel };

    memcpy(regs, &v->arch.user_regs, offsetof(struct cpu_user_regs, es));
    load_page_tables(v);
    pv_load_descriptor_windows(v);
    vcpu_fpu_restore(v);
    if (cpu_has_rdtscp)
        wrmsr(MSR_TSC_AUX, v->arch.tsc_aux);
    pv_load_debugregs(v);
    if (!load_segments(v))
        pv_failsafe(regs, wanted);
}

static void load_idle_page_table(void)
{
    u64 stamp = tlbflush_pre_cr3();

    write_cr3(virt_to_maddr(idle_l4));
    tlbflush_post_cr3(stamp);
}

void context_switch(struct vcpu *prev, struct vcpu *next)
{
    unsigned int cpu = smp_processor_id();

    if (!is_idle_vcpu(prev))
        save_guest(prev);
    set_current(next);
    if (is_idle_vcpu(next)) {
        load_idle_page_table();
    } else {
        cpumask_set_cpu(cpu, &next->domain->arch.dirty_cpumask);
        load_guest(next);
    }
    if (!is_idle_vcpu(prev) && prev->domain != next->domain)
        cpumask_clear_cpu(cpu, &prev->domain->arch.dirty_cpumask);
    context_saved(prev);
    if (is_idle_vcpu(next)) {
        local_irq_enable();
        reset_stack_and_jump(idle_loop);
    }
    local_irq_enable();
    reset_stack_and_jump(ret_to_guest);
}

void vcpu_kick(struct vcpu *v)
{
    unsigned int cpu = READ_ONCE(v->processor);

    /* In a guest here and now it will look on its way out anyway. */
    if (cpu != smp_processor_id() && READ_ONCE(v->is_running))
        smp_send_event_check(cpu);
}

void arch_cpu_idle(void)
{
    safe_halt();
}
