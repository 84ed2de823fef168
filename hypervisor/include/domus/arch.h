/* SPDX-License-Identifier: MIT */
/*
 * The contract between core/ and an architecture: all that core calls, chosen when linking.
 * x86/ and host/ implement it. No #ifdef of an architecture stands in core/.
 */
#ifndef DOMUS_ARCH_H
#define DOMUS_ARCH_H

#include <domus/types.h>
#include <domus/domain.h>

/* Domains and vCPUs: x86/domain.c */
int arch_domain_create(struct domain *d, const struct xen_domctl_createdomain *config);
void arch_domain_destroy(struct domain *d);             /* frees what is left; no vCPU exists any more */
int arch_domain_relinquish(struct domain *d);           /* drops page tables, pages; -ERESTART if preempted */
int arch_vcpu_create(struct vcpu *v);
void arch_vcpu_destroy(struct vcpu *v);
int arch_vcpu_reset(struct vcpu *v);
/* XEN_DOMCTL_setvcpucontext and VCPUOP_initialise; c is a copy inside the hypervisor, of struct
 * vcpu_guest_context. v is not running. All of it is taken or nothing; -EOPNOTSUPP: v is initialised
 * and has other page or descriptor tables, which only a reset takes away. */
struct vcpu_guest_context;
int arch_set_info_guest(struct vcpu *v, const struct vcpu_guest_context *c);
void arch_get_info_guest(struct vcpu *v, struct vcpu_guest_context *c);
void arch_vcpu_info_changed(struct vcpu *v);            /* v->vcpu_info moved */
void arch_dump_vcpu(struct vcpu *v);                    /* guest registers to the console */
void arch_dump_domain(struct domain *d);
void arch_domain_shutdown(struct domain *d);

/* Scheduling: x86/switch.c. context_switch runs with interrupts off and does not return to its
 * caller on x86: it ends on next's way out to the guest, or in the idle loop. When all of prev's state is
 * in memory it calls context_saved(prev) (core/sched.c). */
void context_switch(struct vcpu *prev, struct vcpu *next);
/* v runs elsewhere or here and has something new to look at: events, pause, softirq. */
void vcpu_kick(struct vcpu *v);
void smp_send_event_check(unsigned int cpu);            /* makes CPU look at its softirqs */
/* Something other than an event waits for v and ends its sleep, such as an NMI. Who makes it so calls vcpu_unblock() after. */
bool arch_vcpu_interrupted(const struct vcpu *v);
void arch_cpu_idle(void);                               /* waits for an interrupt; called with IRQs off, returns with them on */
void idle_loop(void) __attribute__((noreturn));         /* core/sched.c */

/* Guest memory: returns bytes NOT copied (0: all). x86/guest_copy. */
unsigned long arch_copy_from_guest(void *to, const void *guest_from, size_t n);
unsigned long arch_copy_to_guest(void *guest_to, const void *from, size_t n);
unsigned long arch_clear_guest(void *guest_to, size_t n);

/* Memory. gfn of a PV guest is its mfn (it is not translated); the M2P gives its pseudo-physical. */
void set_gpfn_from_mfn(mfn_t mfn, unsigned long gpfn);
unsigned long get_gpfn_from_mfn(mfn_t mfn);             /* ~0: none; the guest chose it, it may be anything */

/* A present CPU's core, within its socket, and its socket: x86/topology.c */
u32 cpu_to_core(unsigned int cpu);
u32 cpu_to_socket(unsigned int cpu);

/* trace_events has changed: what only traces are taken by may be switched over. */
void arch_trace_changed(void);

/* Time: x86/time.c. get_cycles() (asm/processor.h): the CPU's counter, for the times of traces. */
s_time_t now_ns(void);
bool reprogram_timer(s_time_t deadline);                /* 0: stop; false: deadline has passed */
void update_vcpu_system_time(struct vcpu *v);
void update_domain_wallclock_time(struct domain *d);
void machine_restart(void) __attribute__((noreturn));
void machine_halt(void) __attribute__((noreturn));
void machine_crash(void) __attribute__((noreturn));       /* restart after a while, or halt: noreboot */
void machine_power_off(void) __attribute__((noreturn));

#endif
