/* SPDX-License-Identifier: MIT */
/*
 * Interrupt dispatch, and vectors: each CPU has its own table from vector to irq, so that the
 * number of sources is not bound by 256. A source moves to another CPU in interrupt context, when
 * it has just fired: its old vector stays reserved until the first arrival on the new one.
 */
#include <asm/apic.h>
#include <asm/io_apic.h>
#include <asm/irq.h>
#include <asm/machine.h>
#include <asm/msi.h>
#include <asm/processor.h>
#include <asm/smp.h>
#include <domus/domain.h>
#include <domus/keyhandler.h>
#include <domus/lib.h>
#include <domus/percpu.h>
#include <domus/trace.h>
#include <domus/xmalloc.h>

/* MSIs that the machine may use: some for each CPU, for devices with a queue a CPU. */
#define MSIS_PER_CPU    32
#define MIN_MSIS        224
#define MAX_MSIS        8192

#define PIC_MASTER_MASK 0x21
#define PIC_SLAVE_MASK  0xa1

unsigned int nr_irqs __ro_after_init;
static struct irq_desc *irq_descs __ro_after_init;

/* Guards the vector tables; readers are the CPUs themselves, in do_IRQ. */
static DEFINE_SPINLOCK(vector_lock, RANK_LEAF);
static DEFINE_PER_CPU(u16[NR_VECTORS], vector_irq);    /* irq + 1; 0: free */
static DEFINE_PER_CPU(unsigned int, vectors_used);
static DEFINE_PER_CPU(unsigned int, spurious_count);

/* Guards irq_desc.allocated. */
static DEFINE_SPINLOCK(alloc_lock, RANK_LEAF);

struct irq_desc *irq_to_desc(unsigned int irq)
{
    return irq < nr_irqs ? &irq_descs[irq] : NULL;
}

/* ---- Vectors ---- */

static bool vector_usable(unsigned int vector)
{
    return vector != LEGACY_SYSCALL_VECTOR && vector != HYPERCALL_VECTOR;
}

static bool vector_free_everywhere(unsigned int vector)
{
    unsigned int cpu;

    for_each_online_cpu(cpu)
        if (per_cpu(vector_irq, cpu)[vector])
            return false;
    return true;
}

/* A free vector of a CPU: `keep`, or else one that is free on all CPUs, as it can be kept later; 0: none. */
static unsigned int pick_vector(unsigned int cpu, unsigned int keep)
{
    const u16 *table = per_cpu(vector_irq, cpu);
    unsigned int found = 0;

    if (keep && !table[keep])
        return keep;
    for (unsigned int vector = FIRST_DEVICE_VECTOR; vector <= LAST_DEVICE_VECTOR; vector++) {
        if (!vector_usable(vector) || table[vector])
            continue;
        if (vector_free_everywhere(vector))
            return vector;
        if (!found)
            found = vector;
    }
    return found;
}

/* Reserve a vector on `cpu` for `irq`, this one if it is free (0: any); 0 if none is free. */
static unsigned int alloc_vector_on(unsigned int cpu, unsigned int irq, unsigned int keep)
{
    unsigned int vector;
    unsigned long flags;

    spin_lock_irqsave(&vector_lock, flags);
    vector = pick_vector(cpu, keep);
    if (vector) {
        WRITE_ONCE(per_cpu(vector_irq, cpu)[vector], (u16)(irq + 1));
        per_cpu(vectors_used, cpu)++;
    }
    spin_unlock_irqrestore(&vector_lock, flags);
    return vector;
}

static void free_vector_on(unsigned int cpu, unsigned int vector)
{
    unsigned long flags;

    spin_lock_irqsave(&vector_lock, flags);
    WRITE_ONCE(per_cpu(vector_irq, cpu)[vector], 0);
    per_cpu(vectors_used, cpu)--;
    spin_unlock_irqrestore(&vector_lock, flags);
}

static unsigned int least_used_cpu(void)
{
    unsigned int cpu = smp_processor_id(), best = cpu_online(cpu) ? cpu : 0;

    for_each_online_cpu(cpu)
        if (per_cpu(vectors_used, cpu) < per_cpu(vectors_used, best))
            best = cpu;
    return best;
}

/* A CPU that was asked for, and has come up. Only its low 8 bits of APIC id can be addressed. */
static bool cpu_usable(int cpu)
{
    return cpu >= 0 && cpu_online((unsigned int)cpu) && cpu_to_apicid[cpu] <= 0xff;
}

static int assign_vector(struct irq_desc *desc)
{
    unsigned int cpu = cpu_usable(desc->wanted_cpu) ? (unsigned int)desc->wanted_cpu
                                                    : least_used_cpu();
    unsigned int vector = alloc_vector_on(cpu, desc->irq, 0);

    if (!vector) {
        cpu = least_used_cpu();
        vector = alloc_vector_on(cpu, desc->irq, 0);
    }
    if (!vector)
        return -ENOSPC;
    desc->vector = (uint8_t)vector;
    desc->cpu = cpu;
    desc->wanted_cpu = -1;
    return 0;
}

static void release_old_vector(struct irq_desc *desc)
{
    if (!desc->old_vector)
        return;
    free_vector_on(desc->old_cpu, desc->old_vector);
    desc->old_vector = 0;
}

static void route(struct irq_desc *desc)
{
    if (desc->msi)
        msi_set_target(desc->msi, desc->vector, cpu_to_apicid[desc->cpu]);
    else
        ioapic_route(desc->irq, desc->vector, cpu_to_apicid[desc->cpu]);
}

/*
 * Move a source that has just fired on this CPU, and whose EOI was sent, to the CPU that was asked
 * for. Put off while the last move is not done, or a level-triggered pin still waits for its EOI.
 *
 * It keeps its vector if it can. Vector and CPU are two writes, of a pin and of a message; an edge or
 * a message that cannot be held back, which came in between, would find nobody on the new CPU.
 */
static void move_irq(struct irq_desc *desc)
{
    unsigned int vector;

    if (desc->old_vector || (desc->level && ioapic_remote_irr(desc->irq)))
        return;
    if (desc->wanted_cpu != (int)desc->cpu && cpu_usable(desc->wanted_cpu)) {
        vector = alloc_vector_on((unsigned int)desc->wanted_cpu, desc->irq, desc->vector);
        if (vector) {
            desc->old_cpu = desc->cpu;
            desc->old_vector = desc->vector;
            desc->cpu = (unsigned int)desc->wanted_cpu;
            desc->vector = (uint8_t)vector;
            route(desc);
        }
    }
    desc->wanted_cpu = -1;
}

void irq_want_cpu(struct irq_desc *desc, unsigned int cpu)
{
    desc->wanted_cpu = cpu == desc->cpu && desc->vector ? -1 : (int)cpu;
}

/*
 * A message that can be held back meanwhile moves at once, as does a source that nobody listens to. All others move when
 * they fire next, which is still served here: a CPU that is off line takes interrupts.
 */
void irqs_leave_cpu(unsigned int cpu)
{
    for (unsigned int irq = 0; irq < nr_irqs; irq++) {
        struct irq_desc *desc = &irq_descs[irq];
        unsigned long flags;

        spin_lock_irqsave(&desc->lock, flags);
        if (desc->vector && desc->cpu == cpu) {
            desc->wanted_cpu = (int)least_used_cpu();
            if (desc->msi ? desc->msi->maskable : !desc->handler && !desc->nr_guests)
                move_irq(desc);
        }
        spin_unlock_irqrestore(&desc->lock, flags);
    }
}

/* ---- Life of a source ---- */

static void mask(struct irq_desc *desc)
{
    if (desc->msi)
        msi_mask(desc->msi);
    else
        ioapic_mask(desc->irq);
}

void irq_unmask(struct irq_desc *desc)
{
    if (desc->msi)
        msi_unmask(desc->msi);
    else
        ioapic_unmask(desc->irq);
}

int irq_startup(struct irq_desc *desc)
{
    if (!desc->vector) {
        int ret = assign_vector(desc);

        if (ret)
            return ret;
    }
    desc->level = !desc->msi && ioapic_is_level(desc->irq);
    route(desc);
    irq_unmask(desc);
    return 0;
}

void irq_shutdown(struct irq_desc *desc)
{
    mask(desc);
    release_old_vector(desc);
}

int irq_alloc(struct msi_desc *msi)
{
    int ret = -ENOSPC;

    spin_lock(&alloc_lock);
    for (unsigned int irq = ioapic_nr_gsis(); irq < nr_irqs; irq++) {
        if (irq_descs[irq].allocated)
            continue;
        irq_descs[irq].allocated = true;
        irq_descs[irq].msi = msi;
        irq_descs[irq].count = 0;
        ret = (int)irq;
        break;
    }
    spin_unlock(&alloc_lock);
    return ret;
}

void irq_free(unsigned int irq)
{
    struct irq_desc *desc = &irq_descs[irq];
    unsigned long flags;

    spin_lock_irqsave(&desc->lock, flags);
    release_old_vector(desc);
    if (desc->vector)
        free_vector_on(desc->cpu, desc->vector);
    desc->vector = 0;
    desc->wanted_cpu = -1;
    desc->msi = NULL;
    spin_unlock_irqrestore(&desc->lock, flags);

    spin_lock(&alloc_lock);
    desc->allocated = false;
    spin_unlock(&alloc_lock);
}

int request_irq(unsigned int irq, irq_handler_t *handler, const char *name, void *data)
{
    struct irq_desc *desc = irq_to_desc(irq);
    unsigned long flags;
    int ret;

    if (!desc || (!desc->msi && !ioapic_has_gsi(irq)))
        return -EINVAL;
    spin_lock_irqsave(&desc->lock, flags);
    if (desc->handler || desc->nr_guests) {
        ret = -EBUSY;
    } else {
        desc->handler = handler;
        desc->name = name;
        desc->data = data;
        ret = irq_startup(desc);
        if (ret)
            desc->handler = NULL;
    }
    spin_unlock_irqrestore(&desc->lock, flags);
    return ret;
}

/* ---- Dispatch ---- */

/* An interrupt in flight when its source was shut down or moved ends up here, now and then. */
static void spurious_interrupt(unsigned int vector)
{
    if (this_cpu(spurious_count)++ == 0)
        printk(LOG_DEBUG "CPU%u: interrupt on vector %#x, which nobody has\n", smp_processor_id(),
               vector);
}

static void device_interrupt(unsigned int vector)
{
    unsigned int slot = READ_ONCE(this_cpu(vector_irq)[vector]);
    struct irq_desc *desc;

    if (!slot) {
        apic_eoi();
        spurious_interrupt(vector);
        return;
    }
    desc = &irq_descs[slot - 1];

    spin_lock(&desc->lock);
    desc->count++;
    if (desc->level)
        ioapic_mask(desc->irq);
    apic_eoi();
    if (desc->old_vector && desc->vector == vector && desc->cpu == smp_processor_id())
        release_old_vector(desc);
    if (desc->wanted_cpu >= 0)
        move_irq(desc);
    if (desc->handler) {
        desc->handler(desc->irq, desc->data);
        if (desc->level)
            ioapic_unmask(desc->irq);
    } else {
        uint64_t start = trace_wanted(TRC_HW_IRQ_HANDLED) ? get_cycles() : 0;

        pirq_deliver(desc);
        trace(TRC_HW_IRQ_HANDLED, desc->irq, (uint32_t)start, (uint32_t)get_cycles());
    }
    spin_unlock(&desc->lock);
}

static void apic_error_interrupt(void)
{
    u32 status;

    apic_write(APIC_ESR, 0);
    status = apic_read(APIC_ESR);
    apic_eoi();
    printk(LOG_WARN "CPU%u: local APIC error, status %#x\n", smp_processor_id(), status);
}

void do_IRQ(struct cpu_user_regs *regs)
{
    unsigned int vector = regs->entry_vector;

    if (vector <= LAST_DEVICE_VECTOR) {
        device_interrupt(vector);
        return;
    }
    switch (vector) {
    case LOCAL_TIMER_VECTOR:
        apic_eoi();
        apic_timer_interrupt();
        break;
    case EVENT_CHECK_VECTOR:
        /* It only had to bring the CPU here: softirqs are looked at on the way out. */
        apic_eoi();
        break;
    case CALL_FUNCTION_VECTOR:
        apic_eoi();
        smp_call_function_interrupt();
        break;
    case ERROR_APIC_VECTOR:
        apic_error_interrupt();
        break;
    case SPURIOUS_APIC_VECTOR:
        /* Not in service: no EOI. */
        break;
    default:
        apic_eoi();
        spurious_interrupt(vector);
        break;
    }
}

static void dump_desc(struct irq_desc *desc)
{
    unsigned long flags;

    spin_lock_irqsave(&desc->lock, flags);
    if (desc->vector) {
        printk("  IRQ %u: vector %02x on CPU %u, %s, count %lu", desc->irq, desc->vector, desc->cpu,
               desc->msi ? desc->msi->is_msix ? "MSI-X" : "MSI" : desc->level ? "level" : "edge",
               desc->count);
        if (desc->handler)
            printk(", %s", desc->name);
        for (unsigned int i = 0; i < desc->nr_guests; i++)
            printk(", d%u pirq %u%s", desc->guest[i].d->domain_id, desc->guest[i].pirq,
                   desc->guest[i].in_flight ? " in flight" : "");
        printk("\n");
    }
    spin_unlock_irqrestore(&desc->lock, flags);
}

static void dump_irqs(char key __unused)
{
    unsigned int cpu;

    printk("Interrupts:\n");
    for (unsigned int irq = 0; irq < nr_irqs; irq++)
        dump_desc(&irq_descs[irq]);
    for_each_online_cpu(cpu)
        printk("  CPU %u: %u vectors in use, %u spurious interrupts\n", cpu,
               per_cpu(vectors_used, cpu), per_cpu(spurious_count, cpu));
    printk("  NMIs of unknown origin: %u\n", nmi_unknown_count());
    ioapic_dump();
}

void __init irq_init(void)
{
    unsigned int nr_msis = clamp(cpumask_weight(&cpu_possible_map) * MSIS_PER_CPU,
                                 (unsigned int)MIN_MSIS, (unsigned int)MAX_MSIS);

    outb(0xff, PIC_MASTER_MASK);
    outb(0xff, PIC_SLAVE_MASK);
    ioapic_init();

    nr_irqs = ioapic_nr_gsis() + nr_msis;
    irq_descs = xzalloc_array(struct irq_desc, nr_irqs);
    if (!irq_descs)
        panic("Out of memory for %u interrupt descriptors", nr_irqs);
    for (unsigned int irq = 0; irq < nr_irqs; irq++) {
        spin_lock_init(&irq_descs[irq].lock, RANK_IRQ_DESC);
        irq_descs[irq].irq = irq;
        irq_descs[irq].wanted_cpu = -1;
    }
    register_keyhandler('i', dump_irqs, "interrupts");
}
