/* SPDX-License-Identifier: MIT */
/*
 * The order of all locks, in one place. A CPU that holds a lock may take only locks of a later rank;
 * debug builds check it. Two locks of one rank may be held together only where the comment says how
 * they are ordered, and the second is taken by spin_lock_same_rank.
 */
#ifndef DOMUS_LOCK_ORDER_H
#define DOMUS_LOCK_ORDER_H

enum lock_rank {
    RANK_DOMCTL = 1,        /* one domctl or sysctl at a time */
    RANK_CPU_HOTPLUG,       /* one CPU going off or on line at a time; others only try it */
    RANK_CPUPOOL,           /* CPU pools and their members */
    RANK_DOMAIN,            /* d->lock: first contexts and shared records of its vCPUs being set */
    RANK_GUEST_CONSOLE,     /* a domU's line of console output */
    RANK_GRANT_MAPTRACK,    /* growth of one domain's maptrack table */
    RANK_GRANT_TABLE,       /* growth of one domain's grant table */
    RANK_GRANT_ENTRY,       /* one active grant entry; two: lower reference first */
    RANK_PIRQ,              /* the list of PCI devices */
    RANK_EVENT_TABLE,       /* allocation of a domain's event channels, PIRQ bindings */
    RANK_PAGE_ALLOC,        /* d->page_alloc_lock: lists and counts of a domain's pages */
    RANK_DOMLIST,           /* domain hash and list, for writers */
    RANK_SHADOW,            /* a domain's shadow page tables */
    RANK_IRQ_DESC,          /* one physical interrupt's descriptor (irq) */
    RANK_GLOBAL_VIRQ,       /* who handles host-wide virtual interrupts (irq) */
    RANK_EVENT_CHANNEL,     /* one event channel (irq); two: lower address first */
    RANK_EVENT_QUEUE,       /* one FIFO event queue of a vCPU (irq); two: lower address first */
    RANK_SHUTDOWN,          /* d->shutdown_lock: a domain's shutdown and death (irq) */
    RANK_PLATFORM,          /* platform state: wall clock, the CMOS index */
    RANK_SCHED,             /* one CPU's run queue (irq); a second only by spin_trylock */
    RANK_TIMER,             /* one CPU's timer queue (irq); two: lower CPU first */
    RANK_APIC,              /* IO-APIC registers; PCI's index and data ports (irq) */
    RANK_CALL_FUNCTION,     /* cross-CPU calls, TLB flushes among them */
    RANK_IOREMAP,           /* hypervisor mappings being changed */
    RANK_XMALLOC,           /* one size class of the small-object allocator (irq) */
    RANK_HEAP,              /* the page allocator (irq) */
    RANK_TASKLET,           /* tasklet queues (irq) */
    RANK_LEAF,              /* anything that takes no further lock but the console's (some: irq) */
    RANK_TRACE,             /* one CPU's trace ring (irq) */
    RANK_CONSOLE_INPUT,     /* input focus and received characters (irq) */
    RANK_CONSOLE,           /* message assembly and the console ring (irq) */
};

#endif
