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

/* How a guest's interrupt is acknowledged. */
enum irq_ack {
    IRQ_ACK_NONE,       /* edge: nothing to wait for */
    IRQ_ACK_UNMASK,     /* level: masked until every guest that shares it has signalled EOI */
};

/* All fields are guarded by `lock` but `irq`. */
struct irq_desc {
    spinlock_t lock;
    unsigned int irq;               /* GSI below ioapic_nr_gsis(), else allocated for an MSI */
    bool in_use;
    bool started;                   /* bound and unmasked */
    bool is_guest;
    bool level;
    struct msi_desc *msi;           /* NULL for a GSI */
    /* Where it arrives now, where it arrived before the last move, where it is to move to. */
    uint8_t vector, old_vector;     /* 0: none */
    unsigned int cpu, old_cpu;
    int pending_cpu;                /* -1: no move asked for */
    /* Hypervisor's own handler. */
    irq_handler_t *handler;
    void *data;
    const char *name;
    /* Guests bound to it. */
    enum irq_ack ack;
    bool shareable;
    unsigned int nr_guests;
    unsigned int in_flight;         /* guests that have yet to signal EOI */
    struct {
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
int irq_alloc(void);
void irq_free(unsigned int irq);
/* Give `irq` a vector on some CPU, near `cpu_hint` if that is online. -ENOSPC if none is free. */
int irq_assign_vector(struct irq_desc *desc, unsigned int cpu_hint);

/* Vectors whose handlers are not devices': x86/irq.c calls these. */
void smp_call_function_interrupt(void);     /* CALL_FUNCTION_VECTOR: smp.c */
void apic_timer_interrupt(void);            /* LOCAL_TIMER_VECTOR: time.c */
/* Make a CPU look at its softirqs (smp_send_event_check() of domus/arch.h for a set of CPUs). */
void smp_send_event_check(unsigned int cpu);
void smp_send_event_check_mask(const cpumask_t *mask);

/* Guest interrupts (x86/pirq.c). A domain's pirq table exists from pirq_domain_init() on. */
int pirq_domain_init(struct domain *d, unsigned int nr_pirqs);
/* Unbind and unmap all; the domain's vCPUs do not run any more. */
void pirq_domain_destroy(struct domain *d);
unsigned int pirq_domain_count(const struct domain *d);
/* irq that `pirq` of the domain stands for, or -1. */
int pirq_to_irq(const struct domain *d, unsigned int pirq);

#endif
