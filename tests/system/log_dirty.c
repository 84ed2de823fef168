/* SPDX-License-Identifier: MIT */
/*
 * A migration that never gets anywhere, for test_hostile.py: while a domain lives, its writes are logged for some rounds,
 * and then not any more, over and over. Usage: log_dirty DOMID. Prints how often the log was read.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <xen/xen.h>
#include <xen/domctl.h>
#include <xen/sys/privcmd.h>

#define PAGES 65536
#define READS 5

/* Hypercalls reach only memory that stays where it is. */
static struct {
    struct xen_domctl op;
    uint8_t bitmap[PAGES / 8];
} *shared;
static int privcmd;

/* 0 or -errno */
static int shadow_op(domid_t domid, unsigned int what)
{
    struct privcmd_hypercall call = { .op = __HYPERVISOR_domctl, .arg = { (uintptr_t)&shared->op } };

    shared->op = (struct xen_domctl){
        .cmd = XEN_DOMCTL_shadow_op, .interface_version = XEN_DOMCTL_INTERFACE_VERSION, .domain = domid,
        .u.shadow_op = { .op = what, .pages = PAGES },
    };
    set_xen_guest_handle(shared->op.u.shadow_op.dirty_bitmap, shared->bitmap);
    return ioctl(privcmd, IOCTL_PRIVCMD_HYPERCALL, &call) < 0 ? -errno : 0;
}

/* One round; whether the domain is still there. */
static int log_for_a_while(domid_t domid, unsigned int *reads)
{
    int rc = shadow_op(domid, XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY);

    for (int i = 0; i < READS && rc == 0; i++) {
        rc = shadow_op(domid, i % 2 ? XEN_DOMCTL_SHADOW_OP_PEEK : XEN_DOMCTL_SHADOW_OP_CLEAN);
        *reads += rc == 0;
    }
    return rc ? rc : shadow_op(domid, XEN_DOMCTL_SHADOW_OP_OFF);
}

int main(int argc, char **argv)
{
    domid_t domid = (domid_t)atoi(argc > 1 ? argv[1] : "0");
    unsigned int reads = 0;
    int rc;

    privcmd = open("/dev/xen/privcmd", O_RDWR | O_CLOEXEC);
    shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_LOCKED | MAP_POPULATE,
                  -1, 0);
    if (privcmd < 0 || shared == MAP_FAILED) {
        perror("log_dirty");
        return 1;
    }
    do
        rc = log_for_a_while(domid, &reads);
    while (rc == 0);
    printf("log of domain %u read %u times; at the end: %s\n", domid, reads, strerror(-rc));
    /* Gone, or on its way. */
    return rc == -ESRCH || rc == -EINVAL ? 0 : 1;
}
