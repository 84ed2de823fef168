/* SPDX-License-Identifier: MIT */
/*
 * XEN_SYSCTL_livepatch_op of <xen/sysctl.h>. The hypervisor takes no patches while it runs: the list of them is empty,
 * none is found by its name, and an upload is refused.
 */
#include <domus/guest_access.h>
#include <domus/lib.h>
#include <domus/string.h>
#include "control.h"

/* As Xen: more than that is not asked for at once. */
#define MAX_LIST 1024

static long list(struct xen_sysctl_livepatch_list *u)
{
    if (u->nr > MAX_LIST)
        return -E2BIG;
    if (u->pad)
        return -EINVAL;
    u->version = 0;
    u->nr = 0;
    u->name_total_size = u->metadata_total_size = 0;
    return 0;
}

/* 0, or -EINVAL: too long, not ended by a zero; -EFAULT. */
static long check_name(const struct xen_livepatch_name *u)
{
    char name[XEN_LIVEPATCH_NAME_SIZE];

    if (u->pad[0] || u->pad[1] || u->pad[2] || !u->size || u->size > sizeof(name))
        return -EINVAL;
    if (copy_from_guest(name, u->name.p, u->size))
        return -EFAULT;
    return memchr(name, 0, u->size) == name + u->size - 1 ? 0 : -EINVAL;
}

static long upload(const struct xen_sysctl_livepatch_upload *u)
{
    long rc = check_name(&u->name);

    if (!rc && !u->size)
        rc = -EINVAL;
    return rc ? rc : -EOPNOTSUPP;
}

long sysctl_livepatch(struct xen_sysctl_livepatch_op *u)
{
    long rc;

    if (u->pad)
        return -EINVAL;
    switch (u->cmd) {
    case XEN_SYSCTL_LIVEPATCH_LIST:
        return list(&u->u.list);
    case XEN_SYSCTL_LIVEPATCH_UPLOAD:
        return upload(&u->u.upload);
    case XEN_SYSCTL_LIVEPATCH_GET:
        rc = check_name(&u->u.get.name);
        return rc ? rc : -ENOENT;
    case XEN_SYSCTL_LIVEPATCH_ACTION:
        rc = check_name(&u->u.action.name);
        return rc ? rc : -ENOENT;
    default:
        return -EINVAL;
    }
}
