/* SPDX-License-Identifier: MIT */
/*
 * A kernel that does nothing of itself, for tests of what befalls the machine: it prints the hardware errors that the
 * hypervisor hands it, and restarts the machine when it is typed at.
 */
#include "kernel.h"

#include <xen/arch-x86/xen-mca.h>

static evtchn_port_t bind(unsigned int virq)
{
    struct evtchn_bind_virq op = { .virq = virq };

    check_eq(HCALL(event_channel_op, EVTCHNOP_bind_virq, &op, 0, 0, 0), 0);
    return op.port;
}

/* Prints an error and takes it off the hypervisor's list; false if there is none. */
static bool take_error(void)
{
    static struct mc_info info;
    struct xen_mc op = { .cmd = XEN_MC_fetch, .interface_version = XEN_MCA_INTERFACE_VERSION };
    const struct mcinfo_bank *bank = (const struct mcinfo_bank *)((struct mcinfo_global *)info.mi_data + 1);

    op.u.mc_fetch.flags = XEN_MC_URGENT;
    set_xen_guest_handle(op.u.mc_fetch.data, &info);
    check_eq(HCALL(mca, &op, 0, 0, 0, 0), 0);
    if (op.u.mc_fetch.flags & (XEN_MC_NODATA | XEN_MC_FETCHFAILED))
        return false;
    check_eq(info.mi_nentries, 2);
    check_eq(bank->common.type, MC_TYPE_BANK);
    print("HARDWARE-ERROR bank %u status %#lx address %#lx\n", (unsigned int)bank->mc_bank, (long)bank->mc_status,
          (long)bank->mc_addr);
    return true;
}

static void restart_if_typed_at(void)
{
    struct sched_shutdown reboot = { .reason = SHUTDOWN_reboot };
    char c;

    if (HCALL(console_io, CONSOLEIO_read, 1, &c, 0, 0) == 1)
        HCALL(sched_op, SCHEDOP_shutdown, &reboot, 0, 0, 0);
}

static void stand_by(void)
{
    evtchn_port_t ports[] = { bind(VIRQ_MCA), bind(VIRQ_CONSOLE) };
    struct sched_poll poll = { .nr_ports = ARRAY_SIZE(ports) };

    shared_info->vcpu_info[0].evtchn_upcall_mask = 1;
    set_xen_guest_handle(poll.ports, ports);
    print("STANDS-BY\n");
    for (;;) {
        check_eq(HCALL(sched_op, SCHEDOP_poll, &poll, 0, 0, 0), 0);
        for (unsigned int i = 0; i < ARRAY_SIZE(ports); i++)
            __atomic_fetch_and(&shared_info->evtchn_pending[ports[i] / 64], ~(1UL << ports[i] % 64), __ATOMIC_SEQ_CST);
        while (take_error())
            continue;
        restart_if_typed_at();
    }
}

TESTS({ "stands by", stand_by });
