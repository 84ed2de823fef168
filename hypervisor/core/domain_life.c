/* SPDX-License-Identifier: MIT */
/*
 * A domain's life between creation and death: pausing, shutting down, crashing, resuming; and the
 * place of a vCPU's shared record.
 *
 * Reasons to be paused are counted, for the domain and for each vCPU. Taking the last one away
 * wakes; a shutdown is one that each vCPU has until the domain is resumed.
 */
#include <domus/arch.h>
#include <domus/event.h>
#include <domus/heap.h>
#include <domus/keyhandler.h>
#include <domus/lib.h>
#include <domus/sched.h>
#include <domus/string.h>
#include <asm/current.h>


/* ---- Pausing ---- */

void vcpu_pause_nosync(struct vcpu *v)
{
    atomic_inc(&v->pause_count);
    vcpu_sleep_nosync(v);
}

void vcpu_pause(struct vcpu *v)
{
    atomic_inc(&v->pause_count);
    vcpu_sleep_sync(v);
}

void vcpu_unpause(struct vcpu *v)
{
    if (atomic_dec_and_test(&v->pause_count))
        vcpu_wake(v);
}

void domain_pause_nosync(struct domain *d)
{
    struct vcpu *v;

    atomic_inc(&d->pause_count);
    for_each_vcpu(d, v)
        vcpu_sleep_nosync(v);
}

void domain_pause(struct domain *d)
{
    struct vcpu *v;

    ASSERT(d != current->domain);
    /* All are told before the first is waited for. */
    domain_pause_nosync(d);
    for_each_vcpu(d, v)
        vcpu_sleep_sync(v);
}

void domain_unpause(struct domain *d)
{
    struct vcpu *v;

    if (!atomic_dec_and_test(&d->pause_count))
        return;
    for_each_vcpu(d, v)
        vcpu_wake(v);
}

int domain_pause_by_controller(struct domain *d)
{
    if (d->controller_pause_count == INT32_MAX)
        return -EOVERFLOW;
    d->controller_pause_count++;
    domain_pause(d);
    return 0;
}

int domain_unpause_by_controller(struct domain *d)
{
    if (!d->controller_pause_count)
        return -EINVAL;
    d->controller_pause_count--;
    d->creation_finished = true;
    domain_unpause(d);
    return 0;
}

/* ---- Shutdown ---- */

/* The machine goes as dom0 does. */
static void shut_machine_down(int reason)
{
    switch (reason) {
    case SHUTDOWN_poweroff:
        printk(LOG_INFO "dom0 has shut down: powering off\n");
        machine_power_off();
    case SHUTDOWN_reboot:
        printk(LOG_INFO "dom0 has shut down: restarting the machine\n");
        machine_restart();
    case SHUTDOWN_crash:
    case SHUTDOWN_watchdog:
        printk(LOG_ERR "dom0 has %s\n",
               reason == SHUTDOWN_crash ? "crashed" : "missed its watchdog");
        machine_crash();
    default:
        printk(LOG_ERR "dom0 has shut down for unknown reason %d: halting\n", reason);
        machine_halt();
    }
}

static void tell_of_shutdown(struct domain *d)
{
    if (d->shutdown_code == SHUTDOWN_suspend && d->suspend_port)
        (void)evtchn_send(d, d->suspend_port);
    else
        send_global_virq(VIRQ_DOM_EXC);
}

void domain_shutdown(struct domain *d, int reason)
{
    unsigned long flags;
    struct vcpu *v;

    spin_lock_irqsave(&d->shutdown_lock, flags);
    /* A reason latched by SCHEDOP_shutdown_code prevails. */
    if (d->shutdown_code == -1)
        d->shutdown_code = reason;
    if (d->is_shutting_down) {
        spin_unlock_irqrestore(&d->shutdown_lock, flags);
        return;
    }
    if (d == dom0) {
        spin_unlock_irqrestore(&d->shutdown_lock, flags);
        shut_machine_down(d->shutdown_code);
        return;
    }
    d->is_shutting_down = true;
    for_each_vcpu(d, v) {
        if (v->paused_for_shutdown)
            continue;
        v->paused_for_shutdown = true;
        vcpu_pause_nosync(v);
    }
    d->is_shut_down = true;
    spin_unlock_irqrestore(&d->shutdown_lock, flags);
    arch_domain_shutdown(d);
    tell_of_shutdown(d);
}

void domain_resume(struct domain *d)
{
    unsigned long flags;
    struct vcpu *v;

    /* Nobody runs before the flags are settled. */
    domain_pause(d);
    spin_lock_irqsave(&d->shutdown_lock, flags);
    d->is_shutting_down = d->is_shut_down = false;
    d->shutdown_code = -1;
    for_each_vcpu(d, v) {
        if (v->paused_for_shutdown)
            vcpu_unpause(v);
        v->paused_for_shutdown = false;
    }
    spin_unlock_irqrestore(&d->shutdown_lock, flags);
    domain_unpause(d);
}

void domain_crash(struct domain *d, const char *fmt, ...)
{
    va_list args;

    /* One report a crash is enough; what comes after it is its consequence. */
    if (!READ_ONCE(d->is_shutting_down)) {
        char why[160];

        va_start(args, fmt);
        (void)vsnprintf(why, sizeof(why), fmt, args);
        va_end(args);
        printk(LOG_ERR "d%u crashed by d%uv%u on CPU%u: %s%s", d->domain_id,
               current->domain->domain_id, current->vcpu_id, smp_processor_id(), why,
               why[0] && why[strlen(why) - 1] == '\n' ? "" : "\n");
        if (d == current->domain)
            arch_dump_vcpu(current);
    }
    domain_shutdown(d, SHUTDOWN_crash);
}

/* ---- vCPUs ---- */

int vcpu_reset(struct vcpu *v)
{
    int rc;

    /* First of all: what is half taken apart must not run. */
    set_bit(VPF_DOWN, &v->pause_flags);
    v->is_initialised = false;
    rc = arch_vcpu_reset(v);
    if (!rc) {
        (void)vcpu_end_sleep(v);
        (void)vcpu_pin_override(v, -1);
    }
    return rc;
}

int vcpu_set_context(struct vcpu *v, const struct vcpu_guest_context *c)
{
    int rc = arch_set_info_guest(v, c);

    if (rc)
        return rc;
    v->is_initialised = true;
    if (c->flags & VGCF_online)
        clear_bit(VPF_DOWN, &v->pause_flags);
    else
        set_bit(VPF_DOWN, &v->pause_flags);
    return 0;
}

/*
 * Source: VCPUOP_register_vcpu_info in <xen/vcpu.h>. v is the caller, or down. The frame stays
 * referenced and writable-typed until unmap_vcpu_info().
 */
int map_vcpu_info(struct vcpu *v, unsigned long gfn, unsigned int offset)
{
    struct vcpu_info *new;
    struct page_info *pg;

    if (offset > PAGE_SIZE - sizeof(*new) || offset % sizeof(unsigned long))
        return -ENXIO;
    if (!mfn_eq(v->vcpu_info_mfn, INVALID_MFN))
        return -EINVAL;
    if (v != current && !test_bit(VPF_DOWN, &v->pause_flags))
        return -EINVAL;
    pg = get_page_from_mfn(_mfn(gfn), v->domain);
    if (!pg)
        return -EINVAL;
    if (!get_page_type(pg, PGT_writable_page)) {
        put_page(pg);
        return -EINVAL;
    }

    new = (struct vcpu_info *)((char *)page_to_virt(pg) + offset);
    if (v->vcpu_info == &dummy_vcpu_info) {
        memset(new, 0, sizeof(*new));
        new->evtchn_upcall_mask = 1;
    } else
        memcpy(new, v->vcpu_info, sizeof(*new));
    v->vcpu_info_mfn = page_to_mfn(pg);
    smp_store_release(&v->vcpu_info, new);

    /* An event may have gone to the old record just now: let the guest look at all of them. */
    new->evtchn_pending_sel = ~0UL;
    smp_wmb();
    new->evtchn_upcall_pending = 1;
    arch_vcpu_info_changed(v);
    return 0;
}

void unmap_vcpu_info(struct vcpu *v)
{
    mfn_t mfn = v->vcpu_info_mfn;

    if (mfn_eq(mfn, INVALID_MFN))
        return;
    v->vcpu_info = &dummy_vcpu_info;
    v->vcpu_info_mfn = INVALID_MFN;
    smp_wmb();
    put_page_and_type(mfn_to_page(mfn));
}

/* ---- Key ---- */

static void dump_vcpu(struct vcpu *v)
{
    printk(LOG_INFO "    v%u: CPU%u %s, flags %lx, pauses %d, upcall pending %u mask %u, %lu ms\n",
           v->vcpu_id, v->processor, v->is_running ? "running" : "stopped", v->pause_flags,
           atomic_read(&v->pause_count), v->vcpu_info->evtchn_upcall_pending,
           v->vcpu_info->evtchn_upcall_mask, vcpu_cpu_time(v) / 1000000);
}

static void dump_domains(char key __unused)
{
    struct domain *d;
    struct vcpu *v;

    read_lock(&domlist_lock);
    for_each_domain(d) {
        printk(LOG_INFO "d%u: references %d, pauses %d (%d by tools), %u of %u pages, %u shared%s%s\n",
               d->domain_id, atomic_read(&d->refcnt), atomic_read(&d->pause_count),
               d->controller_pause_count, d->tot_pages, d->max_pages, d->xenheap_pages,
               d->is_shut_down ? ", shut down" : "", d->is_dying ? ", dying" : "");
        rangeset_print(d->iomem_caps);
        rangeset_print(d->irq_caps);
        arch_dump_domain(d);
        for_each_vcpu(d, v)
            dump_vcpu(v);
    }
    read_unlock(&domlist_lock);
}

static void dump_memory(char key __unused)
{
    struct domain *d;

    printk(LOG_INFO "Memory in pages: %lu, free %lu (%lu below 4 GiB), to be scrubbed %lu, claimed %lu\n",
           heap_total_pages(), heap_free_pages_count(), heap_free_pages_below(32),
           heap_dirty_pages_count(), total_claims());
    read_lock(&domlist_lock);
    for_each_domain(d)
        printk(LOG_INFO "  d%u: %u of %u, claims %u, shares %u of the hypervisor's\n", d->domain_id,
               d->tot_pages, d->max_pages, d->outstanding_claims, d->xenheap_pages);
    read_unlock(&domlist_lock);
}

void __init domain_keys_init(void)
{
    register_keyhandler('m', dump_memory, "memory");
    register_keyhandler('q', dump_domains, "domains and their vCPUs");
}
