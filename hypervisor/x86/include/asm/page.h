/* SPDX-License-Identifier: MIT */
/*
 * Page-table entries of x86-64 and the conversions between virtual, physical and frame numbers of the hypervisor's own
 * mappings. Intel SDM vol. 3A, section 4.5.
 */
#ifndef ASM_PAGE_H
#define ASM_PAGE_H

#include <asm/config.h>

#define _PAGE_PRESENT  (CONST(1) << 0)
#define _PAGE_RW       (CONST(1) << 1)
#define _PAGE_USER     (CONST(1) << 2)
#define _PAGE_PWT      (CONST(1) << 3)
#define _PAGE_PCD      (CONST(1) << 4)
#define _PAGE_ACCESSED (CONST(1) << 5)
#define _PAGE_DIRTY    (CONST(1) << 6)
#define _PAGE_PSE      (CONST(1) << 7)   /* levels 2 and 3: a large page */
#define _PAGE_PAT      (CONST(1) << 7)   /* level 1 */
#define _PAGE_GLOBAL   (CONST(1) << 8)
#define _PAGE_AVAIL    (CONST(7) << 9)
#define _PAGE_AVAIL0   (CONST(1) << 9)
#define _PAGE_AVAIL1   (CONST(1) << 10)
#define _PAGE_AVAIL2   (CONST(1) << 11)
#define _PAGE_PSE_PAT  (CONST(1) << 12)  /* large pages */
#define _PAGE_AVAIL_HIGH (CONST(0x7ff) << 52)
#define _PAGE_NX       (CONST(1) << 63)

/* Kinds of mappings of the hypervisor's own. Accessed and dirty are set so that the CPU never has to write the entry. */
#define PAGE_HV_BITS   (_PAGE_PRESENT | _PAGE_ACCESSED | _PAGE_DIRTY | _PAGE_GLOBAL)
#define PAGE_HV_RW     (PAGE_HV_BITS | _PAGE_RW | _PAGE_NX)
#define PAGE_HV_RO     (PAGE_HV_BITS | _PAGE_NX)
#define PAGE_HV_RX     PAGE_HV_BITS
/* Cache attributes, by the PAT that the public ABI fixes (MSR_PAT_VALUE): write-back is 0. */
#define PAGE_CACHE_WT  _PAGE_PWT
#define PAGE_CACHE_UCM _PAGE_PCD
#define PAGE_CACHE_UC  (_PAGE_PCD | _PAGE_PWT)
#define PAGE_CACHE_WC  _PAGE_PAT
#define PAGE_CACHE_ATTRS (_PAGE_PAT | _PAGE_PCD | _PAGE_PWT)
/* Entries that point to lower tables. */
#define PAGE_HV_TABLE  (_PAGE_PRESENT | _PAGE_RW | _PAGE_ACCESSED)
#define PAGE_GUEST_TABLE (_PAGE_PRESENT | _PAGE_RW | _PAGE_USER | _PAGE_ACCESSED)

#define PTES_PER_PAGE  512
#define L1_SHIFT 12
#define L2_SHIFT 21
#define L3_SHIFT 30
#define L4_SHIFT 39
#define PADDR_BITS 52

#ifndef __ASSEMBLY__

#include <domus/types.h>

/* One entry of a table of any level. */
typedef struct pte {
    u64 v;
} pte_t;

#define PTE_ADDR_MASK  (((CONST(1) << PADDR_BITS) - 1) & PAGE_MASK)
#define PTE_FLAGS_MASK (~PTE_ADDR_MASK)

static inline pte_t pte_from_value(u64 value) { return (pte_t){ value }; }
static inline pte_t pte_from_maddr(u64 maddr, u64 flags) { return (pte_t){ (maddr & PTE_ADDR_MASK) | flags }; }
static inline pte_t pte_from_mfn(mfn_t mfn, u64 flags) { return pte_from_maddr((u64)mfn_x(mfn) << PAGE_SHIFT, flags); }
static inline pte_t pte_empty(void) { return (pte_t){ 0 }; }
static inline u64 pte_maddr(pte_t pte) { return pte.v & PTE_ADDR_MASK; }
static inline mfn_t pte_mfn(pte_t pte) { return _mfn(pte_maddr(pte) >> PAGE_SHIFT); }
static inline u64 pte_flags(pte_t pte) { return pte.v & PTE_FLAGS_MASK; }
static inline bool pte_present(pte_t pte) { return pte.v & _PAGE_PRESENT; }
static inline bool pte_large(pte_t pte) { return (pte.v & (_PAGE_PRESENT | _PAGE_PSE)) == (_PAGE_PRESENT | _PAGE_PSE); }

static inline pte_t pte_read(const pte_t *p) { return (pte_t){ *(const volatile u64 *)&p->v }; }
static inline void pte_write(pte_t *p, pte_t pte) { *(volatile u64 *)&p->v = pte.v; }
/* Replaces *p by new if it still is old; returns what was there. */
static inline pte_t pte_cmpxchg(pte_t *p, pte_t old, pte_t new)
{
    __atomic_compare_exchange_n(&p->v, &old.v, new.v, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    return old;
}

static inline unsigned int l1_index(unsigned long va) { return va >> L1_SHIFT & (PTES_PER_PAGE - 1); }
static inline unsigned int l2_index(unsigned long va) { return va >> L2_SHIFT & (PTES_PER_PAGE - 1); }
static inline unsigned int l3_index(unsigned long va) { return va >> L3_SHIFT & (PTES_PER_PAGE - 1); }
static inline unsigned int l4_index(unsigned long va) { return va >> L4_SHIFT & (PTES_PER_PAGE - 1); }
/* Index into a table of level 1 to 4. */
static inline unsigned int pt_index(unsigned long va, unsigned int level)
{
    return va >> (PAGE_SHIFT + 9 * (level - 1)) & (PTES_PER_PAGE - 1);
}

static inline bool is_canonical_address(unsigned long va) { return ((long)va >> 47) == ((long)va >> 63); }
/* Whether va lies in the slots that the hypervisor keeps for itself. */
static inline bool is_hypervisor_address(unsigned long va)
{
    return va >= HYPERVISOR_SPACE_START && va < HYPERVISOR_SPACE_END;
}

static inline void *maddr_to_virt(paddr_t maddr) { return (void *)(DIRECTMAP_VIRT_START + maddr); }
/* Of an address in the direct map or in the hypervisor's image. */
static inline paddr_t virt_to_maddr(const void *p)
{
    unsigned long va = (unsigned long)p;

    return va >= DIRECTMAP_VIRT_START ? va - DIRECTMAP_VIRT_START : va - HV_VIRT_START;
}
static inline mfn_t maddr_to_mfn(paddr_t maddr) { return _mfn(maddr >> PAGE_SHIFT); }
static inline paddr_t mfn_to_maddr(mfn_t mfn) { return (paddr_t)mfn_x(mfn) << PAGE_SHIFT; }

#define PFN_DOWN(x) ((x) >> PAGE_SHIFT)
#define PFN_UP(x)   (((x) + PAGE_SIZE - 1) >> PAGE_SHIFT)

/* Clears, or copies, one page; both addresses page aligned. */
static inline void clear_page(void *page)
{
    unsigned long count = PAGE_SIZE / 8;

    asm volatile("rep stosq" : "+D"(page), "+c"(count) : "a"(0UL) : "memory");
}
static inline void copy_page(void *to, const void *from)
{
    unsigned long count = PAGE_SIZE / 8;

    asm volatile("rep movsq" : "+D"(to), "+S"(from), "+c"(count) : : "memory");
}

#endif /* __ASSEMBLY__ */
#endif
