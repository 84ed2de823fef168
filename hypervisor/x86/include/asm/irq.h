/* SPDX-License-Identifier: MIT */
/*
 * Interrupt vectors and x86 interrupt descriptors: which line or message arrives on which vector
 * of which CPU, and who handles it: the hypervisor or guests.
 */
#ifndef ASM_IRQ_H
#define ASM_IRQ_H

#include <domus/cpumask.h>
#include <domus/irq.h>
#include <domus/spinlock.h>
#include <domus/types.h>

#define NR_VECTORS              256
#define FIRST_DEVICE_VECTOR     0x20
#define LAST_DEVICE_VECTOR      0xef
#define THERMAL_VECTOR          0xf9
#define EVENT_CHECK_VECTOR      0xfb
#define CALL_FUNCTION_VECTOR    0xfc
#define LOCAL_TIMER_VECTOR      0xfd
#define ERROR_APIC_VECTOR       0xfe
#define SPURIOUS_APIC_VECTOR    0xff
/* Two of the device vectors are left to guests: */
#define LEGACY_SYSCALL_VECTOR   0x80    /* Linux's int $0x80 */
#define HYPERCALL_VECTOR        0x82    /* hypercall of other ABIs */

struct domain;
struct vcpu;
struct cpu_user_regs;
struct msi_desc;

#define IRQ_MAX_GUESTS 7

/*
 * One interrupt source. An edge (or message) is acknowledged at once. A level-triggered line is
 * masked when it arrives, and unmasked when its handler returns or when every guest that shares it
 * has signalled EOI. All fields are guarded by `lock`, taken with interrupts off.
 */
struct irq_desc {
    spinlock_t lock;
    unsigned int irq;               /* GSI below ioapic_nr_gsis(), else allocated for an MSI */
    bool allocated;                 /* MSI numbers: by irq_alloc() */
    bool level;
    struct msi_desc *msi;           /* NULL for a GSI */
    /* Where it arrives now, where it arrived before the last move, where it is to move to. */
    uint8_t vector, old_vector;     /* 0: none */
    unsigned int cpu, old_cpu;
    int wanted_cpu;                 /* -1: no wish */
    /* Hypervisor's own handler. */
    irq_handler_t *handler;
    void *data;
    const char *name;
    /* Guests bound to it. */
    bool shareable;
    unsigned int nr_guests;
    unsigned int in_flight;         /* guests that have yet to signal EOI */
    struct irq_guest {
        struct domain *d;
        unsigned int pirq;
        bool in_flight;
    } guest[IRQ_MAX_GUESTS];
    uint64_t count;
};

/* Descriptors exist for irq 0 to nr_irqs - 1. */
extern unsigned int nr_irqs;
struct irq_desc *irq_to_desc(unsigned int irq);

/* Set up descriptors and the IO-APICs; before dom0 is built and before interrupts are enabled. */
void irq_init(void);
/* Common entry for vectors 0x20-0xff; interrupts off, regs->entry_vector holds the vector. */
void do_IRQ(struct cpu_user_regs *regs);

/* Allocate an irq number for an MSI: >= 0, or -ENOSPC. */
int irq_alloc(struct msi_desc *msi);
/* Give number and vector back; nobody is bound to it any more. */
void irq_free(unsigned int irq);

/* The desc's lock is held. Give it a vector if it has none (-ENOSPC), route it there, unmask. */
int irq_startup(struct irq_desc *desc);
void irq_shutdown(struct irq_desc *desc);
/* A level-triggered line may fire again. */
void irq_unmask(struct irq_desc *desc);
/* Deliver to `cpu` from the next occurrence on. */
void irq_want_cpu(struct irq_desc *desc, unsigned int cpu);
/* All that arrives on `cpu`, which is off line, is to arrive on others. */
void irqs_leave_cpu(unsigned int cpu);

/* LOCAL_TIMER_VECTOR: time.c. */
void apic_timer_interrupt(void);
/* Make a CPU look at its softirqs. */
void smp_send_event_check(unsigned int cpu);

/* Guest interrupts (x86/pirq.c). Send to all guests bound; the desc's lock is held. */
void pirq_deliver(struct irq_desc *desc);

/* Let the domain have pirqs 0 to nr_pirqs - 1; they are mapped to interrupts one by one. */
void pirq_domain_init(struct domain *d, unsigned int nr_pirqs);
/* The domain dies: unmap all, give its EOI map back. No event channel is bound any more. */
void pirq_domain_relinquish(struct domain *d);
void pirq_domain_destroy(struct domain *d);
/* Irq that `pirq` of the domain stands for, or -1. Any pirq value is fine. */
int pirq_to_irq(const struct domain *d, unsigned int pirq);
/*
 * Map a GSI, or the MSI described by `req`, to `pirq`; a negative pirq asks for any that is free.
 * Returns the pirq, or -EINVAL, -EEXIST (mapped otherwise), -ENOSPC, -ENOMEM, -ENODEV.
 */
struct msi_request;
int pirq_map_gsi(struct domain *d, int pirq, unsigned int gsi);
int pirq_map_msi(struct domain *d, int pirq, const struct msi_request *req);
/* -EINVAL if not mapped, -EBUSY while an event channel is bound to it. */
int pirq_unmap(struct domain *d, unsigned int pirq);
/* First pirq not in use, for `msi` above the GSIs; -ENOSPC. */
int pirq_get_free(struct domain *d, bool msi);
/* PHYSDEVOP_irq_status_query: XENIRQSTAT_* of a mapped pirq, or -EINVAL. */
int pirq_status(struct domain *d, unsigned int pirq);
/* PHYSDEVOP_pirq_eoi_gmfn_v2: the guest's bitmap of pirqs that need EOI. -EBUSY if there is one. */
int pirq_set_eoi_map(struct domain *d, unsigned long gmfn);

#endif
