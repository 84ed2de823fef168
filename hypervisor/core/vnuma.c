/* SPDX-License-Identifier: MIT */
/*
 * Virtual NUMA: tables that the builder of a domain leaves for it to read.
 * Interface: XEN_DOMCTL_setvnumainfo in <xen/domctl.h>, XENMEM_get_vnumainfo in <xen/memory.h>.
 */
#include <domus/domain.h>
#include <domus/guest_access.h>
#include <domus/lib.h>
#include <domus/string.h>
#include <domus/vnuma.h>
#include <domus/xmalloc.h>
#include <xen/memory.h>

#define MAX_VNODES 64u

struct vnuma_info {
    unsigned int nr_vnodes, nr_vcpus, nr_vmemranges;
    unsigned int *vdistance;            /* [nr_vnodes * nr_vnodes] */
    unsigned int *vcpu_to_vnode;        /* [nr_vcpus] */
    struct xen_vmemrange *vmemrange;    /* [nr_vmemranges] */
};

void vnuma_destroy(struct vnuma_info *info)
{
    if (!info)
        return;
    xfree(info->vdistance);
    xfree(info->vcpu_to_vnode);
    xfree(info->vmemrange);
    xfree(info);
}

/* A new set of tables, filled from the caller's if `u` is not NULL. */
static struct vnuma_info *make_vnuma(unsigned int vnodes, unsigned int vcpus, unsigned int ranges,
                                     const struct xen_domctl_vnuma *u, int *err)
{
    struct vnuma_info *info = xzalloc(struct vnuma_info);

    *err = -ENOMEM;
    if (!info)
        return NULL;
    info->nr_vnodes = vnodes;
    info->nr_vcpus = vcpus;
    info->nr_vmemranges = ranges;
    info->vdistance = xzalloc_array(unsigned int, max(vnodes * vnodes, 1u));
    info->vcpu_to_vnode = xzalloc_array(unsigned int, max(vcpus, 1u));
    info->vmemrange = xzalloc_array(struct xen_vmemrange, max(ranges, 1u));
    if (!info->vdistance || !info->vcpu_to_vnode || !info->vmemrange)
        goto fail;
    *err = 0;
    if (!u)
        return info;
    *err = copy_from_guest_offset(info->vdistance, u->vdistance.p, 0, vnodes * vnodes);
    if (!*err)
        *err = copy_from_guest_offset(info->vcpu_to_vnode, u->vcpu_to_vnode.p, 0, vcpus);
    if (!*err)
        *err = copy_from_guest_offset(info->vmemrange, u->vmemrange.p, 0, ranges);
    if (!*err)
        return info;
fail:
    vnuma_destroy(info);
    return NULL;
}

int vnuma_set(struct domain *d, const struct xen_domctl_vnuma *u)
{
    struct vnuma_info *info, *old;
    int rc;

    if (u->pad || !u->nr_vnodes || u->nr_vnodes > MAX_VNODES || !u->nr_vmemranges ||
        u->nr_vmemranges > 2 * MAX_VNODES || u->nr_vcpus != d->max_vcpus)
        return -EINVAL;
    info = make_vnuma(u->nr_vnodes, u->nr_vcpus, u->nr_vmemranges, u, &rc);
    if (!info)
        return rc;
    spin_lock(&d->vnuma_lock);
    old = d->vnuma;
    d->vnuma = info;
    spin_unlock(&d->vnuma_lock);
    vnuma_destroy(old);
    return 0;
}

/* A copy of d's tables, if they are no larger than room says; else only the sizes, in *room. */
static struct vnuma_info *copy_vnuma(struct domain *d, struct xen_vnuma_topology_info *room, int *err)
{
    struct vnuma_info *copy = make_vnuma(room->nr_vnodes, room->nr_vcpus, room->nr_vmemranges, NULL,
                                         err);
    const struct vnuma_info *from;

    if (!copy)
        return NULL;
    spin_lock(&d->vnuma_lock);
    from = d->vnuma;
    if (!from)
        *err = -EOPNOTSUPP;
    else {
        if (from->nr_vnodes > copy->nr_vnodes || from->nr_vcpus > copy->nr_vcpus ||
            from->nr_vmemranges > copy->nr_vmemranges)
            *err = -ENOBUFS;
        else {
            memcpy(copy->vdistance, from->vdistance,
                   (size_t)from->nr_vnodes * from->nr_vnodes * sizeof(*from->vdistance));
            memcpy(copy->vcpu_to_vnode, from->vcpu_to_vnode,
                   from->nr_vcpus * sizeof(*from->vcpu_to_vnode));
            memcpy(copy->vmemrange, from->vmemrange,
                   from->nr_vmemranges * sizeof(*from->vmemrange));
        }
        room->nr_vnodes = from->nr_vnodes;
        room->nr_vcpus = from->nr_vcpus;
        room->nr_vmemranges = from->nr_vmemranges;
    }
    spin_unlock(&d->vnuma_lock);
    return copy;
}

static int give_vnuma(struct domain *d, struct xen_vnuma_topology_info *u, guest_ptr_t arg)
{
    struct xen_vnuma_topology_info *guest = (struct xen_vnuma_topology_info *)arg;
    struct vnuma_info *copy;
    int rc;

    if (u->nr_vnodes > MAX_VNODES || u->nr_vmemranges > 2 * MAX_VNODES ||
        u->nr_vcpus > MAX_VCPUS_PER_DOMAIN)
        return -EINVAL;
    copy = copy_vnuma(d, u, &rc);
    if (copy && (!rc || rc == -ENOBUFS) && copy_to_guest(guest, u, sizeof(*u)))
        rc = -EFAULT;
    if (!rc && (copy_to_guest_offset(u->vmemrange.h.p, 0, copy->vmemrange, u->nr_vmemranges) ||
                copy_to_guest_offset(u->vdistance.h.p, 0, copy->vdistance,
                                     u->nr_vnodes * u->nr_vnodes) ||
                copy_to_guest_offset(u->vcpu_to_vnode.h.p, 0, copy->vcpu_to_vnode, u->nr_vcpus)))
        rc = -EFAULT;
    vnuma_destroy(copy);
    return rc;
}

long vnuma_get(guest_ptr_t arg)
{
    struct xen_vnuma_topology_info u;
    struct domain *d;
    int rc;

    if (copy_from_guest(&u, (void *)arg, sizeof(u)))
        return -EFAULT;
    d = get_remote_domain(u.domid, &rc);
    if (!d)
        return rc;
    rc = u.pad ? -EINVAL : d->vnuma ? give_vnuma(d, &u, arg) : -EOPNOTSUPP;
    put_domain(d);
    return rc;
}
