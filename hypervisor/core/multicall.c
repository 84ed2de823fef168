/* SPDX-License-Identifier: MIT */
/* HYPERVISOR_multicall: a list of hypercalls, made one after the other. Interface: <xen/xen.h>. */
#include <domus/domain.h>
#include <domus/guest_access.h>
#include <domus/hypercall.h>
#include <domus/lib.h>
#include <asm/current.h>

static long continue_at(struct multicall_entry *list, unsigned int left)
{
    return hypercall_create_continuation(__HYPERVISOR_multicall, 2, (unsigned long)list,
                                         (unsigned long)left);
}

/*
 * Each result goes to its entry. -EFAULT: an entry could not be read or written; those before it
 * are done. A call that is preempted is rewritten in its entry to go on from there.
 */
long do_multicall(guest_ptr_t call_list, unsigned int nr_calls)
{
    struct multicall_entry *guest = (struct multicall_entry *)call_list, call;
    struct vcpu *v = current;

    if (v->in_multicall)
        return -EINVAL;
    for (unsigned int i = 0; i < nr_calls; i++, guest++) {
        bool preempted;

        if (i && hypercall_preempt_check())
            return continue_at(guest, nr_calls - i);
        if (copy_from_guest(&call, guest, sizeof(call)))
            return -EFAULT;

        v->in_multicall = true;
        preempted = arch_multicall_call(&call);
        v->in_multicall = false;

        if (preempted)
            return copy_to_guest(guest, &call, sizeof(call)) ? -EFAULT
                                                             : continue_at(guest, nr_calls - i);
        if (copy_field_to_guest(guest, &call, result))
            return -EFAULT;
    }
    return 0;
}
