/* SPDX-License-Identifier: MIT */
/*
 * The order of all locks, in one place. A CPU that holds a lock may take only locks of a later rank;
 * debug builds check it. Two locks of one rank may be held together only where the comment says how
 * they are ordered, and the second is taken by spin_lock_same_rank.
 */
#ifndef DOMUS_LOCK_ORDER_H
#define DOMUS_LOCK_ORDER_H

enum lock_rank {
    RANK_DOMCTL = 1,        /* one domctl/sysctl at a time that changes the set of domains */
    RANK_CPU_HOTPLUG,       /* the set of online CPUs */
    RANK_CPUPOOL,           /* CPU pools and their members */
    RANK_DOMAIN,            /* d->lock: coarse state of one domain (life cycle, vCPU creation) */
    RANK_HYPERCALL_DEADLOCK,/* a domain's multi-step operations that exclude each other */
    RANK_P2M,               /* guest frame to machine frame, and a PV domain's page-table updates */
    RANK_GRANT_MAPTRACK,    /* growth of one domain's maptrack table */
    RANK_GRANT_TABLE,       /* a domain's grant table (rwlock); two: lower domid first */
    RANK_GRANT_ENTRY,       /* one active grant entry */
    RANK_PIRQ,              /* PCI devices and their interrupts */
    RANK_EVENT_TABLE,       /* allocation of a domain's event channels, PIRQ bindings */
    RANK_PAGE_LOCK,         /* page-type state changes of one frame */
    RANK_PAGE_ALLOC,        /* d->page_alloc_lock: lists and counts of a domain's pages */
    RANK_DOMLIST,           /* domain hash and list, for writers */
    RANK_IRQ_DESC,          /* one physical interrupt's descriptor (irq) */
    RANK_GLOBAL_VIRQ,       /* who handles host-wide virtual interrupts (irq) */
    RANK_EVENT_CHANNEL,     /* one event channel (irq); two: lower address first */
    RANK_EVENT_QUEUE,       /* one FIFO event queue of a vCPU (irq); two: lower address first */
    RANK_SHUTDOWN,          /* d->shutdown_lock: a domain's shutdown and death (irq) */
    RANK_PLATFORM,          /* platform state: MTRR, microcode, wall clock */
    RANK_SCHED,             /* one CPU's run queue (irq); two: lower CPU first */
    RANK_TIMER,             /* one CPU's timer queue (irq) */
    RANK_APIC,              /* IO-APIC and MSI registers (irq) */
    RANK_CALL_FUNCTION,     /* cross-CPU calls */
    RANK_TLB,               /* TLB flush rounds */
    RANK_IOREMAP,           /* hypervisor mappings being changed */
    RANK_XMALLOC,           /* one size class of the small-object allocator */
    RANK_HEAP,              /* the page allocator */
    RANK_TASKLET,           /* tasklet queues (irq) */
    RANK_LEAF,              /* anything that takes no further lock but the console's */
    RANK_CONSOLE_INPUT,     /* input focus and received characters (irq) */
    RANK_CONSOLE,           /* message assembly and the console ring (irq) */
    RANK_SERIAL,            /* one serial port's transmit state (irq) */
    RANK_VIDEO,             /* text or graphic screen (irq) */
};

#endif
