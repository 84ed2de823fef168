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

#define RAM_FRAMES     192              /* frames 1 and up */
#define PAGES_EACH     60               /* of each domain */
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

#endif
