/* SPDX-License-Identifier: MIT */
/*
 * Paravirtualized memory management: page tables that the guest owns and the hypervisor checks.
 * Hypercalls (do_mmu_update, do_mmuext_op, do_update_va_mapping) are declared in domus/hypercall.h.
 */
#ifndef ASM_PV_MM_H
#define ASM_PV_MM_H

#include <domus/types.h>
#include <asm/mm.h>

struct vcpu;
struct domain;
struct cpu_user_regs;

/* Fills the hypervisor's slots (256-271) of a guest's fourth-level table; x86/mm_init.c. */
void init_hypervisor_l4_slots(pte_t *l4);

/* Loads v's page-table base (kernel's or user's by v->arch.flags) into CR3. */
void write_ptbase(struct vcpu *v);
/* Recomputes v->arch.cr3_kernel/cr3_user from v->arch.guest_table/guest_table_user. */
void update_cr3(struct vcpu *v);
/* MMUEXT_NEW_BASEPTR and MOV to CR3 by the current vCPU: installs mfn as its kernel L4, drops the old. -EINVAL, -ERESTART. */
int pv_new_guest_cr3(struct vcpu *v, mfn_t mfn);
/* Takes type references for a context set from outside; 0 or -EINVAL, -ERESTART. mfn 0 for user: none. */
int pv_set_guest_tables(struct vcpu *v, mfn_t kernel_l4, mfn_t user_l4);
/* Drops v's page-table references; 0 or -ERESTART (call again). v does not run. */
int pv_drop_guest_tables(struct vcpu *v);

/* A write fault on a present page at addr by the guest's kernel, which may be a write to one of its page tables of level
 * 1: performed if it may be. true: done, return to the guest; false: the fault is the guest's. Interrupts on; current
 * vCPU. x86/pv/pt_emul.c. */
bool pv_pt_write_fault(struct vcpu *v, unsigned long addr, struct cpu_user_regs *regs);

/* Reads the guest's own leaf PTE that maps va for the current vCPU's kernel; 0 if none. */
pte_t guest_get_leaf_pte(unsigned long va);

/*
 * Grants, mapped by the current vCPU's domain. addr: the machine address of the PTE with GNTMAP_contains_pte, else a
 * virtual address of its kernel. GNTST_* results.
 *
 * frame is the page granted, or a device's. If it is RAM, the caller brings a reference and, unless the mapping is read-only,
 * one of the writable type: they become the entry's. pv_destroy_grant_mapping gives them back, to be dropped after TLBs
 * are flushed (d->arch.dirty_cpumask); if the guest zaps the entry by other means, or its page tables are torn down, they go
 * with it. A failure changes nothing.
 * cache_flags: PAGE_CACHE_* for devices.
 */
int pv_create_grant_mapping(u64 addr, mfn_t frame, unsigned int gntmap_flags, unsigned int cache_flags);
/* Fails (GNTST_general_error) if the entry does not map frame as gntmap_flags say. new_addr: for unmap_and_replace the
 * virtual address whose entry takes its place (and becomes empty), 0 otherwise. */
int pv_destroy_grant_mapping(u64 addr, mfn_t frame, u64 new_addr, unsigned int gntmap_flags);

/* Gives up a dying domain's pages: unpins page tables, drops PGC_allocated references; 0 or -ERESTART. No vCPU runs, and
 * pv_drop_guest_tables was done for each. Pages that others still map stay until they let go. */
int pv_relinquish_memory(struct domain *d);

/* Segment descriptors: x86/pv/descriptor.c. */
int pv_set_gdt(struct vcpu *v, const mfn_t *frames, unsigned int entries);
void pv_destroy_gdt(struct vcpu *v);
/* MMUEXT_SET_LDT. va page aligned, ents <= 8192. */
int pv_set_ldt(struct vcpu *v, unsigned long va, unsigned int ents);
/* Unmaps LDT pages mapped on demand; must be called before a seg_desc frame could change hands. true: there were some. */
bool pv_destroy_ldt(struct vcpu *v);
/* Fault in the LDT window at offset bytes: maps the page; false: give the guest its fault. */
bool pv_map_ldt_page(struct vcpu *v, unsigned long offset);
/* Whether a descriptor may stand in a guest's table; may correct its DPL. */
bool pv_check_descriptor(struct domain *d, u64 *desc);
/* Checks all of a frame for PGT_seg_desc_page; for page_types.c. */
bool pv_validate_segdesc_page(struct page_info *pg);
/* Loads v's GDT and LDT pages into this CPU's windows, when v is switched in or changed them. */
void pv_load_descriptor_windows(struct vcpu *v);

#endif
