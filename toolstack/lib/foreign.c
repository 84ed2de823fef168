/* SPDX-License-Identifier: MIT */
/*
 * Mappings of other domains' memory: privcmd's batched map by frame number and by resource, gntdev's map by grant.
 */
#include "foreign.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <xen/sys/gntdev.h>
#include <xen/sys/privcmd.h>

#include "hypercall.h"

/* Map the batch at `address`, one result a frame in `results`; 0 or -errno of the whole. */
static int map_batch(void *address, uint32_t domid, const xen_pfn_t *frames, size_t count, int *results)
{
    privcmd_mmapbatch_v2_t batch = {
        .num = count, .dom = domid, .addr = (uintptr_t)address, .arr = frames, .err = results,
    };

    return ioctl(hv_fd(), IOCTL_PRIVCMD_MMAPBATCH_V2, &batch) < 0 ? -errno : 0;
}

void *foreign_map(uint32_t domid, int prot, const xen_pfn_t *frames, size_t count, int *errors)
{
    size_t length = count << HV_PAGE_SHIFT;
    int *results = errors ? errors : calloc(count ? count : 1, sizeof(*results));
    void *address;
    int rc;

    if (!results)
        return NULL;
    address = mmap(NULL, length, prot, MAP_SHARED, hv_fd(), 0);
    if (address == MAP_FAILED) {
        rc = -errno;
    } else {
        rc = map_batch(address, domid, frames, count, results);
        /* The kernel's ENOENT says that frames were paged out: their own results tell which. */
        if (rc == -ENOENT)
            rc = 0;
        for (size_t i = 0; !errors && rc == 0 && i < count; i++)
            rc = results[i];
        if (rc)
            munmap(address, length);
    }
    if (!errors)
        free(results);
    errno = -rc;
    return rc ? NULL : address;
}

void foreign_unmap(void *address, size_t count)
{
    if (address)
        munmap(address, count << HV_PAGE_SHIFT);
}

void *foreign_map_one(uint32_t domid, xen_pfn_t frame)
{
    return foreign_map(domid, PROT_READ | PROT_WRITE, &frame, 1, NULL);
}

void *foreign_map_resource(uint32_t domid, unsigned int type, unsigned int id, unsigned long first, size_t count,
                           int prot)
{
    size_t length = count << HV_PAGE_SHIFT;
    privcmd_mmap_resource_t resource = { .dom = domid, .type = type, .id = id, .idx = first, .num = count };
    void *address = mmap(NULL, length, prot, MAP_SHARED, hv_fd(), 0);

    if (address == MAP_FAILED)
        return NULL;
    resource.addr = (uintptr_t)address;
    if (ioctl(hv_fd(), IOCTL_PRIVCMD_MMAP_RESOURCE, &resource) < 0) {
        int saved = errno;

        munmap(address, length);
        errno = saved;
        return NULL;
    }
    return address;
}

void *grant_map(uint32_t domid, uint32_t ref, int *fd)
{
    struct ioctl_gntdev_map_grant_ref map = { .count = 1, .refs = { { .domid = domid, .ref = ref } } };
    void *address = MAP_FAILED;
    int saved;

    *fd = open("/dev/xen/gntdev", O_RDWR | O_CLOEXEC);
    if (*fd < 0)
        return NULL;
    if (ioctl(*fd, IOCTL_GNTDEV_MAP_GRANT_REF, &map) == 0)
        address = mmap(NULL, HV_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, *fd, map.index);
    if (address != MAP_FAILED)
        return address;
    saved = errno;
    close(*fd);
    *fd = -1;
    errno = saved;
    return NULL;
}

void grant_unmap(void *address, int fd)
{
    if (!address)
        return;
    munmap(address, HV_PAGE_SIZE);
    close(fd);
}
