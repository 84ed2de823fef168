/* SPDX-License-Identifier: MIT */
/* Between the files that serve domctl and sysctl. */
#ifndef CORE_CONTROL_H
#define CORE_CONTROL_H

#include <domus/domain.h>
#include <domus/hypercall.h>
#include <xen/domctl.h>
#include <xen/sysctl.h>

/* One management operation at a time; taken only by trying, so nobody spins while it is held over
 * waits for other CPUs. */
extern spinlock_t control_lock;

/* What tools learn of a domain. */
void get_domain_info(struct domain *d, struct xen_domctl_getdomaininfo *info);

/* core/domctl_vcpu.c: operations on vCPUs; as arch_do_domctl(). */
long domctl_vcpu(struct xen_domctl *op, struct domain *d, guest_ptr_t u_domctl, bool *copyback);

/* core/power.c: idle states of CPUs, and how deep they may go. */
long sysctl_pm_statistics(struct xen_sysctl_get_pmstat *u);
long sysctl_pm_op(struct xen_sysctl_pm_op *u);
/* core/livepatch.c: none. Errors: -EINVAL, -E2BIG, -EFAULT, -ENOENT no such patch, -EOPNOTSUPP. */
long sysctl_livepatch(struct xen_sysctl_livepatch_op *u);

#endif
