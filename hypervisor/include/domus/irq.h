/* SPDX-License-Identifier: MIT */
/*
 * Interrupts as the core sees them: handlers of the hypervisor's own, and physical interrupts
 * (pirqs) that domains bind to event channels.
 */
#ifndef DOMUS_IRQ_H
#define DOMUS_IRQ_H

#include <domus/types.h>

struct domain;
struct vcpu;
struct cpu_user_regs;

typedef void irq_handler_t(unsigned int irq, void *data);

/*
 * Handle `irq` in the hypervisor: `handler` runs with interrupts off. -EBUSY if it is in use,
 * -EINVAL if there is no such line, -ENOSPC if no vector is free.
 */
int request_irq(unsigned int irq, irq_handler_t *handler, const char *name, void *data);

/*
 * Bind a domain's pirq, which must have been mapped to an interrupt before, so that each arrival
 * calls send_guest_pirq() (domus/event.h). `share`: others may have it too. -EINVAL if not mapped,
 * -EBUSY if the line is taken and cannot be shared. The caller holds the domain's event lock.
 */
int arch_pirq_bind(struct vcpu *v, unsigned int pirq, bool share);
void arch_pirq_unbind(struct domain *d, unsigned int pirq);
/* The guest has served this pirq: a level-triggered line may fire again. Any pirq value is fine. */
void pirq_guest_eoi(struct domain *d, unsigned int pirq);
/* Deliver to this physical CPU from the next occurrence on; a hint. */
void pirq_set_affinity(struct domain *d, unsigned int pirq, unsigned int cpu);

#endif
