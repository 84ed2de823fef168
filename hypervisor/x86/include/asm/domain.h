/* SPDX-License-Identifier: MIT */
/* What x86 adds to a domain and a vCPU. Offsets used by entry code come from x86/asm-offsets.c. */
#ifndef ASM_DOMAIN_H
#define ASM_DOMAIN_H

#include <domus/types.h>
#include <domus/cpumask.h>
#include <domus/list.h>
#include <domus/spinlock.h>
#include <xen/xen.h>
#include <asm/mm.h>

struct dirty_log;
struct rangeset;
struct xsave_area;
struct cpu_policy;

/* What a 64-bit PV guest may ask for by HYPERVISOR_vm_assist. */
#define PV_VM_ASSIST_MASK                                                                                             \
    (1UL << VMASST_TYPE_4gb_segments | 1UL << VMASST_TYPE_4gb_segments_notify | 1UL << VMASST_TYPE_writable_pagetables | \
     1UL << VMASST_TYPE_pae_extended_cr3 | 1UL << VMASST_TYPE_architectural_iopl |                                    \
     1UL << VMASST_TYPE_runstate_update_flag | 1UL << VMASST_TYPE_m2p_strict)

#define GUEST_GDT_FRAMES 14
#define GUEST_LDT_PAGES  16

/* A guest's handler for one vector; laid out for entry code. */
struct pv_trap {
    unsigned long address;           /* 0: none */
    u16 cs;
    u8 flags;                        /* PV_TRAP_* */
};
#define PV_TRAP_DPL_MASK 3u
#define PV_TRAP_MASK_EVENTS 4u       /* TI_GET_IF: an interrupt gate */

struct arch_vcpu {
    struct cpu_user_regs user_regs;  /* when not running */
    unsigned int flags;              /* VF_*, asm/traps.h */

    /* Address spaces. A held type reference each; cr3_* are what CR3 is loaded with. */
    mfn_t guest_table, guest_table_user;    /* _mfn(0) for user: none */
    unsigned long cr3_kernel, cr3_user;
    mfn_t old_guest_table;           /* being dropped, preempted: done before anything else; _mfn(0): none */

    /* Entry points into the guest's kernel. */
    unsigned long kernel_sp;         /* TSS.SP0 of the guest: where traps from its user space push */
    unsigned long entry_sp;          /* the same for entry code: aligned, 0 if not fit for a frame */
    unsigned long page_fault_entry;  /* handler of page faults for entry code; 0: those go through C */
    unsigned long kernel_ss;
    unsigned long event_callback, failsafe_callback, syscall_callback;
    unsigned long sysenter_callback, syscall32_callback;
    u16 syscall32_cs, sysenter_cs;
    unsigned int callback_flags;     /* CBF_* */
    struct pv_trap *trap;            /* [256] */

    unsigned long fs_base, gs_base_kernel, gs_base_user;
    u16 fs_sel, gs_sel, ds_sel, es_sel;

    /* Descriptor tables. */
    mfn_t gdt_frame[GUEST_GDT_FRAMES];
    unsigned int gdt_ents, gdt_nr_frames;
    unsigned long ldt_base;          /* guest virtual; page aligned */
    unsigned int ldt_ents;
    mfn_t ldt_frame[GUEST_LDT_PAGES];  /* mapped on demand; INVALID_MFN: not */
    spinlock_t ldt_lock;

    unsigned long cr0;               /* the guest's view: TS and the like */
    unsigned long cr4;
    unsigned long dr[8];
    unsigned int iopl;
    void *iobmp;                     /* guest's PHYSDEVOP_set_iobitmap pointer; untrusted */
    unsigned int iobmp_limit;        /* ports */

    /* FPU and XSAVE. */
    struct xsave_area *xsave;
    u64 xcr0, xcr0_accum;

    unsigned int async;              /* ASYNC_*: delivery of NMIs; atomic bit operations */

    /* Arguments of a hypercall that was preempted inside a multicall: pv/hypercall.c. */
    unsigned long continuation_args[6];
    unsigned int continuation_nargs;

    u64 tsc_aux;
    unsigned long time_info_published;   /* guest address that holds a copy of .time; 0: none; x86/time.c */
    struct vcpu_time_info time;      /* what was last published */
};

/* Shadow page tables and the pool of pages that they live in; x86/pv/shadow.c. */
struct shadow {
    spinlock_t lock;
    struct list_head free;           /* pages in no TLB */
    struct list_head stale;          /* pages that are to be flushed from TLBs first */
    struct list_head tables, roots;  /* pages in use, for levels 1 to 3 and level 4 */
    unsigned long nr_free, nr_stale;
    u32 turn;                        /* shadows emptied in other turns count as empty */
    u64 fault_count;

    /* Under the domctl lock; x86/pv/log_dirty.c. */
    unsigned long total;             /* of the pool */
    struct dirty_log *spare;         /* a log not used yet, or no longer */
    bool leaving;                    /* shadows are being taken apart, and the domain is paused for it */
    int ending;                      /* pool and spare log are being freed; for who asks for them, an error */
};

struct arch_domain {
    cpumask_t dirty_cpumask;         /* CPUs whose TLB may hold translations of its vCPUs; x86/switch.c */
    struct list_head relmem_list;    /* pages that pv_relinquish_memory has been at; page_alloc_lock */
    struct rangeset *ioport_caps;    /* ports allowed */
    struct cpu_policy *policy;       /* CPUID and MSRs that the guest sees; x86/cpuid.c */
    unsigned long pirq_eoi_map_mfn;
    unsigned long *pirq_eoi_map;
    bool msr_relaxed;                /* unknown MSRs read as zero instead of giving #GP */
    u32 pci_cf8;
    u8 cmos_idx;
    unsigned int tsc_mode;
    u32 incarnation;
    unsigned int pv_teardown_stage;
    struct shadow shadow;
    unsigned int e820_nr;
    struct xen_e820_entry *e820;     /* XENMEM_set_memory_map */
    spinlock_t e820_lock;
};

#endif
