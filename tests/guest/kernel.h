/* SPDX-License-Identifier: MIT */
/*
 * A kernel that tests one hypercall family: it boots as dom0, runs its table of tests, prints one line each and powers
 * the machine off. What it needs of a kernel is in kernel.c; each test_*.c is linked with it into a kernel of its own.
 */
#ifndef TEST_KERNEL_H
#define TEST_KERNEL_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <xen/xen.h>
#include <xen/errno.h>
#include <xen/event_channel.h>
#include <xen/grant_table.h>
#include <xen/memory.h>
#include <xen/physdev.h>
#include <xen/sched.h>
#include <xen/vcpu.h>
#include <xen/version.h>
#include <xen/callback.h>
#include <xen/nmi.h>

#define PAGE_SIZE 4096UL
#define PAGE_SHIFT 12
#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

#define PTE_PRESENT 0x001UL
#define PTE_RW      0x002UL
#define PTE_USER    0x004UL
#define PTE_A       0x020UL
#define PTE_D       0x040UL
#define PTE_PSE     0x080UL
#define PTE_NX      0x8000000000000000UL
#define PTE_ADDR    0x000ffffffffff000UL
/* Flags of a page of data, and of one that may only be read. */
#define PTE_DATA (PTE_PRESENT | PTE_RW | PTE_USER | PTE_A | PTE_D)
#define PTE_RO   (PTE_PRESENT | PTE_USER | PTE_A)

/* The hypervisor's reserved range, and an address in it that no guest may touch; others that no hypercall can use. */
#define HV_START 0xffff800000000000UL
#define HV_SECRET 0xffff830000000000UL
#define HV_END 0xffff880000000000UL
#define NON_CANONICAL 0x0000800000000000UL
#define UNMAPPED 0x1000UL

struct test {
    const char *name;
    void (*run)(void);
};
/* Each test file gives these. */
extern const struct test tests[];
extern const unsigned int nr_tests;

#define TESTS(...) \
    const struct test tests[] = { __VA_ARGS__ }; \
    const unsigned int nr_tests = ARRAY_SIZE(tests)

/* Marks the running test failed, and says where; it goes on. */
void fail(const char *file, int line, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
#define check(cond) do { if (!(cond)) fail(__FILE__, __LINE__, "%s", #cond); } while (0)
#define check_eq(got, want)                                                                 \
    do {                                                                                    \
        long got_ = (long)(got), want_ = (long)(want);                                      \
        if (got_ != want_)                                                                  \
            fail(__FILE__, __LINE__, "%s is %ld (%#lx), not %ld", #got, got_, got_, want_); \
    } while (0)

void print(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Nanoseconds since the machine started, by the record of vCPU 0. */
uint64_t system_time(void);

/*
 * The tests run on Xen 4.17 as well. Where Domus is stricter or better on purpose, check_eq() gets what this chooses;
 * the line above it says why.
 */
bool on_domus(void);
#define domus_or_xen(domus, xen) (on_domus() ? (domus) : (xen))

/* ---- Hypercalls ---- */

long hypercall(unsigned int nr, unsigned long a, unsigned long b, unsigned long c, unsigned long d, unsigned long e);
#define HCALL(name, a, b, c, d, e)                                                                      \
    hypercall(__HYPERVISOR_##name, (unsigned long)(a), (unsigned long)(b), (unsigned long)(c),          \
              (unsigned long)(d), (unsigned long)(e))

/* ---- Traps ---- */

struct trap_frame {
    uint64_t r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi;
    uint64_t vector, error_code;
    uint64_t rip, cs, rflags, rsp, ss;
};

/* What ended the last guarded(): TRAP_NONE if nothing did. */
#define TRAP_NONE (-1)
#define TRAP_EVENT 32
#define TRAP_FAILSAFE 33
#define TRAP_SYSCALL 34
#define TRAP_NMI 35
struct trap_record {
    int vector;
    uint64_t error_code, cr2, rip, rsp, rflags, cs;
    uint32_t saved_upcall_mask;
    struct trap_frame frame;        /* with all registers, cs as it came */
};
extern struct trap_record last_trap;
void init_traps(void);                          /* done before the tests */
/* Runs fn(a, b); returns the vector of the trap that ended it, or TRAP_NONE. */
int guarded(void (*fn)(unsigned long, unsigned long), unsigned long a, unsigned long b);
extern volatile unsigned int event_count, nmi_count;
/* Makes nmi_count count the NMIs of the vCPU that calls it. */
long count_nmis(void);
extern void (*on_nmi)(void);            /* called in the NMI's handler, if not NULL */
extern const unsigned long trap_stubs[];        /* by vector: where the trap table points */

/* Ready-made accesses for guarded(). */
void read_at(unsigned long address, unsigned long unused);
void write_at(unsigned long address, unsigned long value);
void call_at(unsigned long address, unsigned long unused);

/* What the iret hypercall takes from the stack, after the three words that the hypercall page pushes. */
struct iret_frame {
    uint64_t pushed[3];
    uint64_t flags, rip, cs, rflags, rsp, ss;
};
/* Does the iret hypercall with a frame of the caller's; does not return. For guarded(). */
void iret_to(unsigned long frame, unsigned long unused);
/* Runs code in the domain's user mode, on a stack of its own, until a trap or a system call; returns its vector. The user page
 * tables are the kernel's: all of the kernel's pages can be reached. */
int run_user(unsigned long rip);
int run_user_with_flags(unsigned long rip, uint64_t rflags);
extern char kernel_stack_end[], user_stack_end[];

/* ---- Events ---- */

/* Binds a virtual interrupt (EVTCHNOP_bind_virq) or one between vCPUs (EVTCHNOP_bind_ipi, virq unused) to a vCPU; the port. */
long bind_event(unsigned int cmd, unsigned int virq, unsigned int vcpu);
/* Whether an event is pending at the port, which it no longer is then. */
bool take_event(long port);
/* Sleeps until an event comes at the port, and takes it; false when none has come for very long. */
bool event_comes(long port);

/* ---- Other vCPUs ---- */

/* A context that starts in main() on this stack, with the kernel's page tables. */
void vcpu_context(struct vcpu_guest_context *c, void (*main)(void), void *stack_end);
/* Starts vCPU id so. It has no trap table, and must not use guarded(). */
void start_vcpu(unsigned int id, void (*main)(void), void *stack_end);

/* ---- Memory ---- */

/* The number that follows a word on the kernel's command line, or what is usual. */
unsigned long option(const char *word, unsigned long usual);

extern struct start_info *start_info;
extern struct shared_info *shared_info;
extern unsigned long *p2m;

unsigned long mfn_of(const void *page);         /* of a page of the kernel's own */
void *alloc_page(void);                         /* zeroed, mapped writable; never freed */
/* Address (for mmu_update) and value of the lowest-level entry that maps va; 0 if there is none. */
uint64_t pte_maddr(unsigned long va, uint64_t *value);
/* The page table of a level (1 to 4) that va goes through, mapped read-only; its mfn in *mfn. */
const uint64_t *table_of(unsigned long va, unsigned int level, unsigned long *mfn);
long set_pte(unsigned long va, uint64_t pte);   /* update_va_mapping, flushing va */
/* Like set_pte() where there may be no page tables yet: they are made. */
long map_page(unsigned long va, uint64_t pte);
long mmu_update1(uint64_t ptr, uint64_t val);   /* one entry of the domain's own */
void *map_shared_info(void);

void *memset(void *p, int c, size_t n);
void *memcpy(void *to, const void *from, size_t n);
int memcmp(const void *a, const void *b, size_t n);

/* Ports, for a kernel that may use them. */
static inline void outb(uint16_t port, uint8_t v) { asm volatile("outb %0, %1" : : "a"(v), "Nd"(port)); }
static inline void outl(uint16_t port, uint32_t v) { asm volatile("outl %0, %1" : : "a"(v), "Nd"(port)); }
static inline uint8_t inb(uint16_t port)
{
    uint8_t v;

    asm volatile("inb %1, %0" : "=a"(v) : "Nd"(port));
    return v;
}
static inline uint32_t inl(uint16_t port)
{
    uint32_t v;

    asm volatile("inl %1, %0" : "=a"(v) : "Nd"(port));
    return v;
}

#endif
