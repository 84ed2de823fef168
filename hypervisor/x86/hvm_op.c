/* SPDX-License-Identifier: MIT */
/* HYPERVISOR_hvm_op (xen/hvm/hvm_op.h), as far as paravirtualized guests have it: tools ask any guest's parameters. */
#include <domus/domain.h>
#include <domus/guest_access.h>
#include <domus/hypercall.h>
#include <xen/hvm/hvm_op.h>

/* Parameters are of guests that the processor virtualizes; none is one yet. -EFAULT, -ESRCH, -EPERM or -EINVAL. */
static long refuse_param(guest_ptr_t arg)
{
    struct xen_hvm_param param;
    struct domain *d;
    int rc;

    if (copy_from_guest(&param, (const void *)arg, sizeof(param)))
        return -EFAULT;
    d = get_remote_domain(param.domid, &rc);
    if (!d)
        return rc;
    put_domain(d);
    return -EINVAL;
}

/* cmd: HVMOP_*. -ENOSYS for what only such guests have. */
long do_hvm_op(unsigned int cmd, guest_ptr_t arg)
{
    return cmd == HVMOP_set_param || cmd == HVMOP_get_param ? refuse_param(arg) : -ENOSYS;
}
