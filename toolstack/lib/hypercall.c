/* SPDX-License-Identifier: MIT */
/*
 * The way into the hypervisor: the privcmd device, memory that hypercall arguments may point to, and the few shapes of
 * hypercall (whole control operation, flat argument, array) that the typed wrappers are made of.
 */
#include "hypercall.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <xen/sys/privcmd.h>

/* Single pages are kept for the next call: mapping one costs more than most hypercalls. */
#define CACHED_PAGES 8

static int privcmd_fd = -1;
static int memory_fd = -1;
static void *cached[CACHED_PAGES];
static unsigned int cached_count;

int hv_open(void)
{
    hv_close();
    privcmd_fd = open("/dev/xen/privcmd", O_RDWR | O_CLOEXEC);
    if (privcmd_fd < 0)
        return -errno;
    /* Absent before Linux 4.18: hv_buf_alloc then falls back to locked memory. */
    memory_fd = open("/dev/xen/hypercall", O_RDWR | O_CLOEXEC);
    return 0;
}

void hv_close(void)
{
    cached_count = 0;
    if (privcmd_fd >= 0)
        close(privcmd_fd);
    if (memory_fd >= 0)
        close(memory_fd);
    privcmd_fd = memory_fd = -1;
}

int hv_fd(void)
{
    return privcmd_fd;
}

static size_t round_to_pages(size_t size)
{
    return (size + HV_PAGE_SIZE - 1) & ~(HV_PAGE_SIZE - 1);
}

void *hv_buf_alloc(size_t size)
{
    size_t length = round_to_pages(size ? size : 1);
    void *buf;

    if (length < size)
        return NULL;
    if (length == HV_PAGE_SIZE && cached_count > 0) {
        buf = cached[--cached_count];
        memset(buf, 0, HV_PAGE_SIZE);
        return buf;
    }
    if (memory_fd >= 0)
        buf = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, memory_fd, 0);
    else
        buf = mmap(NULL, length, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED | MAP_POPULATE, -1, 0);
    if (buf == MAP_FAILED)
        return NULL;
    memset(buf, 0, length);
    return buf;
}

void hv_buf_free(void *buf, size_t size)
{
    size_t length = round_to_pages(size ? size : 1);

    if (!buf)
        return;
    if (length == HV_PAGE_SIZE && cached_count < CACHED_PAGES)
        cached[cached_count++] = buf;
    else
        munmap(buf, length);
}

long hv_call(unsigned int op, uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3, uint64_t a4)
{
    privcmd_hypercall_t call = { .op = op, .arg = { a0, a1, a2, a3, a4 } };
    int result = ioctl(privcmd_fd, IOCTL_PRIVCMD_HYPERCALL, &call);

    return result < 0 ? -errno : result;
}

/* One hypercall on a bounced copy of `size` bytes at `arg`; `before` is its first argument if `has_before`. */
static long call_bounced(unsigned int op, bool has_before, uint64_t before, void *arg, size_t size)
{
    void *bounce = hv_buf_alloc(size);
    uint64_t address = (uintptr_t)bounce;
    long result;

    if (!bounce)
        return -ENOMEM;
    memcpy(bounce, arg, size);
    result = has_before ? hv_call(op, before, address, 0, 0, 0) : hv_call(op, address, 0, 0, 0, 0);
    memcpy(arg, bounce, size);
    hv_buf_free(bounce, size);
    return result;
}

int hv_domctl(struct xen_domctl *op)
{
    op->interface_version = XEN_DOMCTL_INTERFACE_VERSION;
    return call_bounced(__HYPERVISOR_domctl, false, 0, op, sizeof(*op));
}

int hv_sysctl(struct xen_sysctl *op)
{
    op->interface_version = XEN_SYSCTL_INTERFACE_VERSION;
    return call_bounced(__HYPERVISOR_sysctl, false, 0, op, sizeof(*op));
}

long hv_memory_op(unsigned int cmd, void *arg, size_t size)
{
    return call_bounced(__HYPERVISOR_memory_op, true, cmd, arg, size);
}

int hv_evtchn_op(unsigned int cmd, void *arg, size_t size)
{
    return call_bounced(__HYPERVISOR_event_channel_op, true, cmd, arg, size);
}

long hv_version(unsigned int cmd, void *arg, size_t size)
{
    if (!arg)
        return hv_call(__HYPERVISOR_xen_version, cmd, 0, 0, 0, 0);
    return call_bounced(__HYPERVISOR_xen_version, true, cmd, arg, size);
}

long hv_populate_physmap(uint32_t domid, unsigned long count, unsigned int order, unsigned int flags,
                         xen_pfn_t *extents)
{
    size_t size = count * sizeof(*extents);
    xen_pfn_t *list = hv_buf_alloc(size);
    struct xen_memory_reservation reservation = {
        .nr_extents = count, .extent_order = order, .mem_flags = flags, .domid = domid,
    };
    long result;

    if (!list)
        return -ENOMEM;
    memcpy(list, extents, size);
    set_xen_guest_handle(reservation.extent_start, list);
    result = hv_memory_op(XENMEM_populate_physmap, &reservation, sizeof(reservation));
    memcpy(extents, list, size);
    hv_buf_free(list, size);
    return result;
}

int hv_claim_pages(uint32_t domid, uint64_t pages)
{
    struct xen_memory_reservation reservation = { .nr_extents = pages, .domid = domid };

    return hv_memory_op(XENMEM_claim_pages, &reservation, sizeof(reservation));
}

/* Page-table hypercalls: an array of `count` entries of `size` bytes each, the number done, the domain. */
static int call_on_array(unsigned int op, const void *array, unsigned int count, size_t size, uint32_t domid)
{
    void *bounce = hv_buf_alloc(count * size);
    long result;

    if (!bounce)
        return -ENOMEM;
    memcpy(bounce, array, count * size);
    result = hv_call(op, (uintptr_t)bounce, count, 0, domid, 0);
    hv_buf_free(bounce, count * size);
    return result;
}

int hv_mmuext_op(struct mmuext_op *ops, unsigned int count, uint32_t domid)
{
    return call_on_array(__HYPERVISOR_mmuext_op, ops, count, sizeof(*ops), domid);
}

int hv_mmu_update(const struct mmu_update *updates, unsigned int count, uint32_t domid)
{
    return call_on_array(__HYPERVISOR_mmu_update, updates, count, sizeof(*updates), domid);
}

int hv_evtchn_alloc_unbound(uint32_t domid, uint32_t remote)
{
    struct evtchn_alloc_unbound alloc = { .dom = domid, .remote_dom = remote };
    int result = hv_evtchn_op(EVTCHNOP_alloc_unbound, &alloc, sizeof(alloc));

    return result ? result : (int)alloc.port;
}

/* Grant operations have error numbers of their own; most say little more than that it did not work. */
static int grant_error(int16_t status)
{
    if (status == GNTST_bad_domain)
        return -ESRCH;
    return status == GNTST_permission_denied ? -EPERM : -ENOMEM;
}

int hv_grant_setup_table(uint32_t domid, unsigned int count, xen_pfn_t *frames)
{
    size_t size = sizeof(struct gnttab_setup_table) + count * sizeof(*frames);
    struct gnttab_setup_table *setup = hv_buf_alloc(size);
    xen_pfn_t *list = (xen_pfn_t *)(setup + 1);
    long result;

    if (!setup)
        return -ENOMEM;
    setup->dom = domid;
    setup->nr_frames = count;
    set_xen_guest_handle(setup->frame_list, list);
    result = hv_call(__HYPERVISOR_grant_table_op, GNTTABOP_setup_table, (uintptr_t)setup, 1, 0, 0);
    if (result == 0 && setup->status != GNTST_okay)
        result = grant_error(setup->status);
    if (result == 0)
        memcpy(frames, list, count * sizeof(*frames));
    hv_buf_free(setup, size);
    return result;
}
