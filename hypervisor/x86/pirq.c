/* SPDX-License-Identifier: MIT */
/*
 * Physical interrupts of guests: each domain has its own numbers (pirqs), mapped to interrupt
 * sources by PHYSDEVOP_map_pirq and bound to event channels by EVTCHNOP_bind_pirq.
 * Specification: xen/physdev.h.
 *
 * A domain's table is changed with its event lock held and read without, since an entry is one
 * word. Lock order: pcidevs, event lock, irq_desc.lock, event channel.
 */
#include <asm/io_apic.h>
#include <asm/irq.h>
#include <asm/mm.h>
#include <asm/msi.h>
#include <domus/bitmap.h>
#include <domus/domain.h>
#include <domus/event.h>
#include <domus/lib.h>
#include <domus/xmalloc.h>
#include <xen/physdev.h>

/* Bits in the one page of the guest's EOI map. */
#define EOI_MAP_BITS (PAGE_SIZE * BITS_PER_BYTE)

struct arch_pirq {
    unsigned int irq_plus_1;        /* 0: not mapped */
};

void pirq_domain_init(struct domain *d, unsigned int nr_pirqs)
{
    d->nr_pirqs = min_t(unsigned int, nr_pirqs, EOI_MAP_BITS);
}

int pirq_to_irq(const struct domain *d, unsigned int pirq)
{
    struct arch_pirq *table = smp_load_acquire(&d->pirqs);

    if (!table || pirq >= d->nr_pirqs)
        return -1;
    return (int)READ_ONCE(table[array_index_nospec(pirq, d->nr_pirqs)].irq_plus_1) - 1;
}

/* Most domains never have a pirq: the table is made for the first. The event lock is held. */
static int ensure_table(struct domain *d)
{
    struct arch_pirq *table;

    if (d->pirqs)
        return 0;
    if (!d->nr_pirqs)
        return -ENOSPC;
    table = xzalloc_array(struct arch_pirq, d->nr_pirqs);
    if (!table)
        return -ENOMEM;
    smp_store_release(&d->pirqs, table);
    return 0;
}

/* The event lock is held. */
static int find_free(const struct domain *d, bool msi)
{
    for (unsigned int pirq = msi ? ioapic_nr_gsis() : 0; pirq < d->nr_pirqs; pirq++)
        if (pirq_to_irq(d, pirq) < 0)
            return (int)pirq;
    return -ENOSPC;
}

int pirq_get_free(struct domain *d, bool msi)
{
    int pirq;

    spin_lock(&d->evtchn.lock);
    pirq = find_free(d, msi);
    spin_unlock(&d->evtchn.lock);
    return pirq;
}

static bool irq_is_mapped(const struct domain *d, unsigned int irq)
{
    for (unsigned int pirq = 0; d->pirqs && pirq < d->nr_pirqs; pirq++)
        if (d->pirqs[pirq].irq_plus_1 == irq + 1)
            return true;
    return false;
}

/* Enter `irq` into the table; the pirq that it has there, or an error. The event lock is held. */
static int map_irq(struct domain *d, int pirq, unsigned int irq, bool msi)
{
    int ret;

    /* Nobody would unmap it any more. */
    if (d->is_dying)
        return -ESRCH;
    ret = ensure_table(d);
    if (ret)
        return ret;
    if (pirq < 0)
        pirq = find_free(d, msi);
    if (pirq < 0)
        return pirq;
    if ((unsigned int)pirq >= d->nr_pirqs)
        return -EINVAL;
    if (pirq_to_irq(d, (unsigned int)pirq) == (int)irq)
        return pirq;
    if (pirq_to_irq(d, (unsigned int)pirq) >= 0 || irq_is_mapped(d, irq))
        return -EEXIST;
    WRITE_ONCE(d->pirqs[pirq].irq_plus_1, irq + 1);
    return pirq;
}

int pirq_map_gsi(struct domain *d, int pirq, unsigned int gsi)
{
    int ret;

    if (!ioapic_has_gsi(gsi))
        return -EINVAL;
    spin_lock(&d->evtchn.lock);
    ret = map_irq(d, pirq, gsi, false);
    spin_unlock(&d->evtchn.lock);
    return ret;
}

int pirq_map_msi(struct domain *d, int pirq, const struct msi_request *req)
{
    struct msi_desc *msi;
    int ret, irq;

    pcidevs_lock();
    ret = msi_create(req, &msi);
    if (ret)
        goto out;
    ret = irq = irq_alloc(msi);
    if (irq < 0)
        goto out_msi;
    spin_lock(&d->evtchn.lock);
    ret = map_irq(d, pirq, (unsigned int)irq, true);
    spin_unlock(&d->evtchn.lock);
    if (ret >= 0)
        goto out;
    irq_free((unsigned int)irq);
 out_msi:
    msi_destroy(msi);
 out:
    pcidevs_unlock();
    return ret;
}

/* The source that the domain has mapped as pirq, locked; NULL if it has none. */
static struct irq_desc *lock_pirq(const struct domain *d, unsigned int pirq, unsigned long *flags)
{
    int irq = pirq_to_irq(d, pirq);
    struct irq_desc *desc;

    if (irq < 0)
        return NULL;
    desc = irq_to_desc((unsigned int)irq);
    spin_lock_irqsave(&desc->lock, *flags);
    return desc;
}

static struct irq_guest *find_guest(struct irq_desc *desc, const struct domain *d,
                                    unsigned int pirq)
{
    for (unsigned int i = 0; i < desc->nr_guests; i++)
        if (desc->guest[i].d == d && desc->guest[i].pirq == pirq)
            return &desc->guest[i];
    return NULL;
}

/* The pcidevs lock and the event lock are held. */
static int unmap(struct domain *d, unsigned int pirq)
{
    unsigned long flags;
    struct irq_desc *desc = lock_pirq(d, pirq, &flags);
    unsigned int irq;
    struct msi_desc *msi;
    bool bound;

    if (!desc)
        return -EINVAL;
    irq = desc->irq;
    bound = find_guest(desc, d, pirq) != NULL;
    msi = desc->msi;
    spin_unlock_irqrestore(&desc->lock, flags);
    if (bound)
        return -EBUSY;
    WRITE_ONCE(d->pirqs[pirq].irq_plus_1, 0);
    if (msi) {
        irq_free(irq);
        msi_destroy(msi);
    }
    return 0;
}

int pirq_unmap(struct domain *d, unsigned int pirq)
{
    int ret;

    pcidevs_lock();
    spin_lock(&d->evtchn.lock);
    ret = unmap(d, pirq);
    spin_unlock(&d->evtchn.lock);
    pcidevs_unlock();
    return ret;
}

void pirq_domain_relinquish(struct domain *d)
{
    bool had_map;

    pcidevs_lock();
    spin_lock(&d->evtchn.lock);
    for (unsigned int pirq = 0; d->pirqs && pirq < d->nr_pirqs; pirq++)
        unmap(d, pirq);
    had_map = d->arch.pirq_eoi_map != NULL;
    d->arch.pirq_eoi_map = NULL;
    spin_unlock(&d->evtchn.lock);
    pcidevs_unlock();
    if (had_map)
        put_page_and_type(mfn_to_page(_mfn(d->arch.pirq_eoi_map_mfn)));
}

void pirq_domain_destroy(struct domain *d)
{
    XFREE(d->pirqs);
}

/* ---- Binding and delivery ---- */

static void set_needs_eoi(struct domain *d, unsigned int pirq, bool needs_eoi)
{
    unsigned long *map = READ_ONCE(d->arch.pirq_eoi_map);

    if (!map)
        return;
    if (needs_eoi)
        set_bit(pirq, map);
    else
        clear_bit(pirq, map);
}

static int add_guest(struct irq_desc *desc, struct domain *d, unsigned int pirq, bool share)
{
    int ret;

    if (find_guest(desc, d, pirq))
        return -EEXIST;
    if (desc->handler || desc->nr_guests == IRQ_MAX_GUESTS ||
        (desc->nr_guests && !(share && desc->shareable)))
        return -EBUSY;
    desc->guest[desc->nr_guests] = (struct irq_guest){ .d = d, .pirq = pirq };
    if (++desc->nr_guests > 1)
        return 0;

    desc->shareable = share;
    desc->in_flight = 0;
    ret = irq_startup(desc);
    if (ret)
        desc->nr_guests = 0;
    return ret;
}

int arch_pirq_bind(struct vcpu *v, unsigned int pirq, bool share)
{
    unsigned long flags;
    struct irq_desc *desc = lock_pirq(v->domain, pirq, &flags);
    int ret;

    if (!desc)
        return -EINVAL;
    if (!desc->vector)
        irq_want_cpu(desc, v->processor);
    ret = add_guest(desc, v->domain, pirq, share);
    if (!ret)
        set_needs_eoi(v->domain, pirq, desc->level);
    spin_unlock_irqrestore(&desc->lock, flags);
    return ret;
}

/* One guest less to wait for; the line may fire again when it was the last. */
static void guest_done(struct irq_desc *desc, struct irq_guest *guest)
{
    if (!guest->in_flight)
        return;
    guest->in_flight = false;
    if (--desc->in_flight == 0)
        irq_unmask(desc);
}

void arch_pirq_unbind(struct domain *d, unsigned int pirq)
{
    unsigned long flags;
    struct irq_desc *desc = lock_pirq(d, pirq, &flags);
    struct irq_guest *guest;

    if (!desc)
        return;
    guest = find_guest(desc, d, pirq);
    if (guest) {
        guest_done(desc, guest);
        *guest = desc->guest[--desc->nr_guests];
        if (!desc->nr_guests)
            irq_shutdown(desc);
        set_needs_eoi(d, pirq, false);
    }
    spin_unlock_irqrestore(&desc->lock, flags);
}

void pirq_guest_eoi(struct domain *d, unsigned int pirq)
{
    unsigned long flags;
    struct irq_desc *desc = lock_pirq(d, pirq, &flags);
    struct irq_guest *guest;

    if (!desc)
        return;
    guest = find_guest(desc, d, pirq);
    if (guest)
        guest_done(desc, guest);
    spin_unlock_irqrestore(&desc->lock, flags);
}

/*
 * A level-triggered line stays masked until all guests have answered; with none that takes it, it
 * is left masked if nobody is bound at all, since it would come again at once.
 */
void pirq_deliver(struct irq_desc *desc)
{
    for (unsigned int i = 0; i < desc->nr_guests; i++) {
        struct irq_guest *guest = &desc->guest[i];

        if (!send_guest_pirq(guest->d, guest->pirq) || !desc->level || guest->in_flight)
            continue;
        guest->in_flight = true;
        desc->in_flight++;
    }
    if (desc->level && desc->nr_guests && !desc->in_flight)
        irq_unmask(desc);
}

void pirq_set_affinity(struct domain *d, unsigned int pirq, unsigned int cpu)
{
    unsigned long flags;
    struct irq_desc *desc = lock_pirq(d, pirq, &flags);

    if (!desc)
        return;
    /* A line that several guests share stays where it is. */
    if (desc->nr_guests == 1 && find_guest(desc, d, pirq))
        irq_want_cpu(desc, cpu);
    spin_unlock_irqrestore(&desc->lock, flags);
}

int pirq_status(struct domain *d, unsigned int pirq)
{
    unsigned long flags;
    struct irq_desc *desc = lock_pirq(d, pirq, &flags);
    int status = 0;

    if (!desc)
        return -EINVAL;
    if (!desc->msi && ioapic_is_level(desc->irq))
        status |= XENIRQSTAT_needs_eoi;
    if (desc->nr_guests > 1)
        status |= XENIRQSTAT_shared;
    spin_unlock_irqrestore(&desc->lock, flags);
    return status;
}

int pirq_set_eoi_map(struct domain *d, unsigned long gmfn)
{
    struct page_info *page = get_page_from_mfn(_mfn(gmfn), d);
    int ret = 0;

    if (!page)
        return -EINVAL;
    if (!get_page_type(page, PGT_writable_page)) {
        put_page(page);
        return -EINVAL;
    }
    spin_lock(&d->evtchn.lock);
    if (d->arch.pirq_eoi_map) {
        ret = -EBUSY;
    } else {
        d->arch.pirq_eoi_map_mfn = gmfn;
        smp_store_release(&d->arch.pirq_eoi_map, page_to_virt(page));
        for (unsigned int pirq = 0; d->pirqs && pirq < d->nr_pirqs; pirq++) {
            int status = pirq_status(d, pirq);

            set_needs_eoi(d, pirq, status >= 0 && (status & XENIRQSTAT_needs_eoi));
        }
    }
    spin_unlock(&d->evtchn.lock);
    if (ret)
        put_page_and_type(page);
    return ret;
}
