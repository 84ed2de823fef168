/* SPDX-License-Identifier: MIT */
/*
 * A small machine for the code in hypervisor/x86/pv: frames of RAM, three domains, their hypercalls
 * with restarts, and a recount of all references from the page tables themselves.
 */
#ifndef WORLD_H
#define WORLD_H

#include <stdarg.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <domus/arch.h>
#include <domus/domain.h>
#include <domus/hypercall.h>
#include <asm/flushtlb.h>
#include <asm/mm.h>
#include <asm/pv_mm.h>
#include <asm/pv_pt.h>
#include <cmocka.h>

#define RAM_FRAMES     256              /* frames 1 and up */
#define PAGES_EACH     60               /* of each domain; what remains is the hypervisor's */
#define FIRST_HV_FRAME (1 + 3 * PAGES_EACH)
#define DEVICE_MFN     0x1000UL         /* dom0 may map it */
#define FORBIDDEN_MFN  0x2000UL         /* nobody may */
#define VCPUS_EACH     3

/* dom0 is privileged; guest and other are not. */
extern struct domain *guest, *other;
extern unsigned int pages_freed;
extern bool test_has_nx;

/* Preemption is wanted at one look in every preempt_every; 0: never. */
extern unsigned int preempt_every;

/* A repeatable sequence for each thread. */
void seed(unsigned long value);
unsigned long draw(unsigned long below);

int make_world(void **state);
int end_world(void **state);

/* This thread is a CPU that runs vCPU id of d. */
void become(struct domain *d, unsigned int id);

/* Page n of d, and its frame. */
struct page_info *page_of(const struct domain *d, unsigned int n);
unsigned long mfn_of(const struct domain *d, unsigned int n);
/* Writes an entry as the guest could through a writable mapping. */
void poke(struct page_info *pg, unsigned int index, u64 value);
u64 peek(struct page_info *pg, unsigned int index);

/* Hypercalls, restarted until done. */
long mmu_update(struct mmu_update *req, unsigned int count, unsigned int foreigndom);
long mmu_set(unsigned long mfn, unsigned int index, u64 value);
long mmuext(unsigned int cmd, unsigned long mfn);
/* Leaves off at the first restart: true if there was one. */
bool mmuext_begin(unsigned int cmd, unsigned long mfn);

/* Every count is what the tables, pins and bases say, and no page is writable and a table. No other
 * thread is at work. */
void check_counts(void);

/*
 * Logging of writes, with a pool of so many pages for shadow tables: on, and off; the domain's vCPUs do not run. check_shadows
 * compares all shadows with the tables that they shadow, and the pool with its counts; check_counts includes it.
 */
void start_logging(struct domain *d, unsigned int pool);
void stop_logging(struct domain *d);
/* Reads the log and cleans it; the number of pages written. */
unsigned int clean_log(struct domain *d);
void check_shadows(struct domain *d);

#endif
