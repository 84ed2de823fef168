/* SPDX-License-Identifier: MIT */
/* The machine's CPUs: bringing them up, calling functions on them, stopping them. */
#ifndef ASM_SMP_H
#define ASM_SMP_H

#include <domus/cpumask.h>
#include <domus/percpu.h>

/* APIC and ACPI numbers of CPU n; valid for present CPUs. */
extern u32 cpu_to_apicid[NR_CPUS], cpu_to_acpiid[NR_CPUS];
#define BAD_APICID (~0u)

/* Finds out how APIC ids tell threads, cores and sockets; before the arch contract's cpu_to_core(). x86/topology.c. */
void topology_init(void);
/* Whether cores have more than one thread; which of its core's a present CPU is, from 0. */
bool cpus_have_threads(void);
u32 cpu_to_thread(unsigned int cpu);
/* Numbers the CPUs that ACPI lists, by maxcpus= and nosmp; the boot CPU is 0. */
void smp_prepare_cpus(void);
/* Starts all CPUs, one after the other; those that fail are reported and left out. */
void smp_boot_cpus(void);

/*
 * Runs fn(arg) on every CPU of mask that is present, on line or not, this one included if it is in mask (last, with
 * interrupts off); fn runs in interrupt context elsewhere. With wait, returns when all have. Interrupts on, or no other CPU
 * in mask.
 */
void on_selected_cpus(const cpumask_t *mask, void (*fn)(void *arg), void *arg, bool wait);
/* Serves CALL_FUNCTION_VECTOR, after its EOI. */
void smp_call_function_interrupt(void);

/* Stops all other CPUs for good: before a restart, or in a panic (then by NMI if they do not answer). */
void smp_send_stop(void);
/* True if this NMI asked this CPU to stop: it then does not return. Called first by do_nmi. */
bool smp_stop_nmi(void);

/*
 * A CPU goes off line, or comes back into pool 0; smt_switch(): all but the first threads of cores do. x86/cpu_hotplug.c.
 * Errors: -EINVAL: CPU 0, which stays, or one that is not present; -EEXIST: it is so already; -ENODEV: it is of another
 * pool than pool 0; -EBUSY: that would be left with none for its domains; -EADDRINUSE: a vCPU has asked for this very CPU
 * (SCHEDOP_pin_override); -EOPNOTSUPP: cores have one thread; -ERESTART: to be called again after other work.
 */
long cpu_down(unsigned int cpu);
long cpu_up(unsigned int cpu);
long smt_switch(bool on);

/*
 * Has so many CPUs off line, or all but CPU 0, by taking down or bringing back; those that are off line for another reason do
 * not count. core_parking_get(): how many there are. Errors: as cpu_down(). XENPF_core_parking in <xen/platform.h>.
 */
long core_parking_set(unsigned int idle);
unsigned int core_parking_get(void);
void cpu_hotplug_init(void);

/* The stack block of a CPU. */
extern void *cpu_stack[NR_CPUS];

#endif
