/* SPDX-License-Identifier: MIT */
/*
 * XEN_SYSCTL_tbuf_op: the trace buffers' size, what is traced, on and off. Interface: <xen/trace.h>, <xen/sysctl.h>.
 *
 * The buffers are made once, when a size is first set, and stay: tools may have them mapped. Their pages, and a table
 * that says which they are (struct t_info), belong to DOMID_XEN; the table can only be mapped to be read.
 */
#include <domus/arch.h>
#include <domus/event.h>
#include <domus/heap.h>
#include <domus/hypercall.h>
#include <domus/softirq.h>
#include <domus/trace.h>
#include <domus/xmalloc.h>
#include "bitmap_guest.h"
#include "control.h"

/* Frames' numbers in the table have 32 bits, their places in it 16. */
#define MEMF_TABLE      MEMF_bits(PAGE_SHIFT + 32)
#define MAX_OFFSET      0xffffu
#define PAGES_A_SLICE   64

static uint32_t wanted_events = TRC_ALL;        /* while it is enabled */
static bool enabled;

/*
 * The buffers. Control lock. `made` pages of all CPUs' are there, `shared` of them belong to DOMID_XEN; all are when
 * `ready`.
 */
static struct {
    struct t_info *info;
    void **page;                        /* CPU n's from n * cpu_pages on */
    unsigned int info_order;
    uint32_t cpu_pages, made, shared;
    bool failed, ready;
} buffers;

/* ---- Making the buffers ---- */

/* In words of the table: where the list of frames begins, after the header. */
static uint32_t list_start(void)
{
    return DIV_ROUND_UP(sizeof(struct t_info) + nr_cpu_ids * sizeof(uint16_t), sizeof(uint32_t));
}

static uint32_t total_pages(void)
{
    return nr_cpu_ids * buffers.cpu_pages;
}

static int make_table(uint32_t cpu_pages)
{
    uint32_t start = list_start();
    unsigned int order = get_order_from_bytes((start + nr_cpu_ids * cpu_pages) * sizeof(uint32_t));
    struct t_info *info = alloc_heap_pages(order, MEMF_zero | MEMF_TABLE);

    if (!info)
        return -ENOMEM;
    buffers.page = xzalloc_array(void *, nr_cpu_ids * cpu_pages);
    if (!buffers.page) {
        free_heap_pages(info, order);
        return -ENOMEM;
    }
    info->tbuf_size = (uint16_t)cpu_pages;
    for (unsigned int cpu = 0; cpu < nr_cpu_ids; cpu++)
        info->mfn_offset[cpu] = (uint16_t)(start + cpu * cpu_pages);
    buffers.info = info;
    buffers.info_order = order;
    buffers.cpu_pages = cpu_pages;
    return 0;
}

/* One page more. */
static bool make_page(void)
{
    void *page = alloc_heap_pages(0, MEMF_zero | MEMF_TABLE);

    if (!page)
        return false;
    ((uint32_t *)buffers.info)[list_start() + buffers.made] = (uint32_t)mfn_x(virt_to_mfn(page));
    buffers.page[buffers.made++] = page;
    return true;
}

static void give_up_table(void)
{
    xfree(buffers.page);
    free_heap_pages(buffers.info, buffers.info_order);
    buffers.info = NULL;
    buffers.failed = false;
}

static void finish(void)
{
    unsigned int cpu;

    for (unsigned int i = 0; i < 1u << buffers.info_order; i++)
        share_page_with_guest(virt_to_page((char *)buffers.info + i * PAGE_SIZE), dom_xen, false);
    for_each_present_cpu(cpu)
        trace_init_cpu(cpu, &buffers.page[cpu * buffers.cpu_pages], buffers.cpu_pages);
    buffers.ready = true;
}

/* One step on the way to buffers that are ready, or back to none. True: it was the last. */
static bool make_step(void)
{
    if (buffers.failed && buffers.made) {
        free_heap_pages(buffers.page[--buffers.made], 0);
        return false;
    }
    if (buffers.failed) {
        give_up_table();
        return true;
    }
    if (buffers.made < total_pages()) {
        buffers.failed = !make_page();
        return false;
    }
    if (buffers.shared < total_pages()) {
        share_page_with_guest(virt_to_page(buffers.page[buffers.shared++]), dom_xen, true);
        return false;
    }
    finish();
    return true;
}

/*
 * -EINVAL: none, or another size than they have already, or are being made with; -EBUSY: they have it; -ENOMEM, also if
 * there are more pages than the table can list.
 */
static int begin(uint32_t cpu_pages)
{
    if (!cpu_pages || (buffers.info && cpu_pages != buffers.cpu_pages))
        return -EINVAL;
    if (buffers.ready)
        return -EBUSY;
    if (buffers.info)
        return 0;
    return cpu_pages > (MAX_OFFSET - list_start()) / nr_cpu_ids ? -ENOMEM : make_table(cpu_pages);
}

static long set_size(uint32_t cpu_pages)
{
    int rc = begin(cpu_pages);

    if (rc != 0)
        return rc;
    for (unsigned int n = 1; !make_step(); n++)
        if (n % PAGES_A_SLICE == 0 && hypercall_preempt_check())
            return -ERESTART;
    return buffers.ready ? 0 : -ENOMEM;
}

/* ---- Control ---- */

static void update_events(void)
{
    trace_set_events(enabled ? wanted_events : 0);
}

static long enable(void)
{
    if (!buffers.ready)
        return -EINVAL;
    enabled = true;
    update_events();
    return 0;
}

/* When it returns nobody writes any more. What is in the rings stays for who still reads. */
static void disable(void)
{
    unsigned int cpu;

    enabled = false;
    update_events();
    if (!buffers.ready)
        return;
    for_each_present_cpu(cpu)
        trace_stop_cpu(cpu);
}

static long set_cpus(const struct xenctl_bitmap *map)
{
    cpumask_t cpus;
    int rc = cpumask_from_guest(&cpus, map);

    if (rc == 0)
        trace_set_cpus(&cpus);
    return rc;
}

long sysctl_trace(struct xen_sysctl_tbuf_op *op)
{
    switch (op->cmd) {
    case XEN_SYSCTL_TBUFOP_get_info:
        op->evt_mask = wanted_events;
        op->buffer_mfn = buffers.ready ? mfn_x(virt_to_mfn(buffers.info)) : 0;
        op->size = buffers.ready ? (uint32_t)PAGE_SIZE << buffers.info_order : 0;
        return 0;
    case XEN_SYSCTL_TBUFOP_set_cpu_mask:
        return set_cpus(&op->cpu_mask);
    case XEN_SYSCTL_TBUFOP_set_evt_mask:
        wanted_events = op->evt_mask;
        update_events();
        return 0;
    case XEN_SYSCTL_TBUFOP_set_size:
        return set_size(op->size);
    case XEN_SYSCTL_TBUFOP_enable:
        return enable();
    case XEN_SYSCTL_TBUFOP_disable:
        disable();
        return 0;
    default:
        return -EINVAL;
    }
}

static void tell_consumer(void)
{
    send_global_virq(VIRQ_TBUF);
}

void __init trace_init(void)
{
    cpumask_t all;

    cpumask_setall(&all);
    trace_set_cpus(&all);
    open_softirq(TRACE_SOFTIRQ, tell_consumer);
}
