/* SPDX-License-Identifier: MIT */
/*
 * Local APIC: register access (xAPIC by memory, x2APIC by MSR), inter-processor interrupts and
 * the one-shot timer of each CPU.
 */
#ifndef ASM_APIC_H
#define ASM_APIC_H

#include <domus/cpumask.h>
#include <domus/types.h>

/* Register offsets of the xAPIC page; the x2APIC MSR is 0x800 + offset / 16 (SDM 3A, ch. 11). */
#define APIC_ID         0x020
#define APIC_LVR        0x030
#define APIC_TPR        0x080
#define APIC_EOI        0x0b0
#define APIC_LDR        0x0d0
#define APIC_SPIV       0x0f0
#define APIC_ISR        0x100
#define APIC_IRR        0x200
#define APIC_ESR        0x280
#define APIC_LVT_CMCI   0x2f0
#define APIC_ICR        0x300
#define APIC_ICR_HIGH   0x310
#define APIC_LVT_TIMER  0x320
#define APIC_LVT_THERM  0x330
#define APIC_LVT_PMC    0x340
#define APIC_LVT_LINT0  0x350
#define APIC_LVT_LINT1  0x360
#define APIC_LVT_ERROR  0x370
#define APIC_TMICT      0x380
#define APIC_TMCCT      0x390
#define APIC_TDCR       0x3e0

#define APIC_DM_FIXED   0x000
#define APIC_DM_NMI     0x400
#define APIC_DM_INIT    0x500
#define APIC_DM_STARTUP 0x600
#define APIC_DM_EXTINT  0x700

/* Find and enable the boot CPU's local APIC. Panics if the machine has none. */
void apic_init_boot(void);
/* Set up the calling CPU's local APIC; interrupts off. The boot CPU is included. */
void apic_init_cpu(void);
/* Disable the calling CPU's local APIC before it halts for good or the machine restarts. */
void apic_disable_cpu(void);

uint32_t apic_read(unsigned int reg);
void apic_write(unsigned int reg, uint32_t value);
void apic_eoi(void);
/* APIC id of the calling CPU, as the hardware has it. */
uint32_t apic_hw_id(void);

/*
 * Send `vector` to a CPU by its Domus number, to a set of them (the sender too if it is in the
 * set), or to every other CPU. Callable with interrupts on or off, and from NMI context.
 */
void apic_send_ipi(unsigned int cpu, unsigned int vector);
void apic_send_ipi_mask(const cpumask_t *mask, unsigned int vector);
void apic_send_nmi(unsigned int cpu);
void apic_send_nmi_mask(const cpumask_t *mask);

/* Start-up of a processor by its APIC id: INIT, then STARTUP at page `page` (phys >> 12). */
void apic_send_init(uint32_t apicid);
void apic_send_startup(uint32_t apicid, unsigned int page);

/* Timer: time.c calibrates it and arms it; a `count` of 0 stops it. */
void apic_timer_init_cpu(void);
void apic_timer_set_count(uint32_t count);
void apic_timer_set_tsc_deadline(uint64_t tsc);
bool apic_has_tsc_deadline(void);

#endif
