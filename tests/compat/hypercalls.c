/* SPDX-License-Identifier: MIT */
/*
 * Issues every operation of sysctl, domctl, platform_op and memory_op, and the first words of the other hypercalls, from
 * a process of dom0, and prints what the hypervisor answers: a line each, hypercall, operation, request, result. Run on
 * two hypervisors it shows where they differ. Nothing that it asks for is meant to change dom0 or the machine.
 */
#include "hypercalls.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <xen/event_channel.h>
#include <xen/grant_table.h>
#include <xen/arch-x86/xen-mca.h>
#include <xen/hvm/hvm_op.h>
#include <xen/hypfs.h>
#include <xen/kexec.h>
#include <xen/physdev.h>
#include <xen/sched.h>
#include <xen/vcpu.h>
#include <xen/version.h>
#include <xen/xenoprof.h>

/* Linux's <xen/privcmd.h>, which Debian's packages of headers lack. */
struct privcmd_hypercall {
    uint64_t op, arg[5];
};
#define IOCTL_PRIVCMD_HYPERCALL _IOC(_IOC_NONE, 'P', 0, sizeof(struct privcmd_hypercall))

static int privcmd;

long hypercall(unsigned int number, uint64_t a, uint64_t b, uint64_t c)
{
    struct privcmd_hypercall call = { .op = number, .arg = { a, b, c } };
    long rc = ioctl(privcmd, IOCTL_PRIVCMD_HYPERCALL, &call);

    return rc < 0 ? -errno : rc;
}

/* Results other than errors are of no interest: they count, or name a version. */
void report(const char *call, const char *operation, const char *what, long rc)
{
    const char *name = rc < 0 ? strerrorname_np((int)-rc) : NULL;

    if (rc >= 0)
        printf("%s | %s | %s | ok\n", call, operation, what);
    else
        printf("%s | %s | %s | %s\n", call, operation, what, name ? name : "unknown error");
}

static uint64_t address(const void *p)
{
    return (uintptr_t)p;
}

/* ---- sysctl and platform_op ---- */

static long sysctl(struct xen_sysctl op)
{
    op.interface_version = XEN_SYSCTL_INTERFACE_VERSION;
    return hypercall(__HYPERVISOR_sysctl, address(&op), 0, 0);
}

static void try_sysctls(void)
{
    for (const struct sysctl_case *c = sysctl_cases; c->operation; c++)
        report("sysctl", c->operation, c->what, sysctl(c->arg));
    for (const struct operation *o = sysctl_operations; o->name; o++) {
        struct xen_sysctl op = { .cmd = o->cmd };

        report("sysctl", o->name, "zeros", sysctl(op));
        memset(&op.u, 0xff, sizeof(op.u));
        report("sysctl", o->name, "ones", sysctl(op));
    }
    report("sysctl", "(none)", "no such operation", sysctl((struct xen_sysctl){ .cmd = 77 }));
    report("sysctl", "(none)", "wrong pointer", hypercall(__HYPERVISOR_sysctl, WRONG_POINTER, 0, 0));
    report("sysctl", "(none)", "wrong version", hypercall(__HYPERVISOR_sysctl, address(&(struct xen_sysctl){ .cmd = 3 }), 0, 0));
}

static long platform_op(struct xen_platform_op op)
{
    op.interface_version = XENPF_INTERFACE_VERSION;
    return hypercall(__HYPERVISOR_platform_op, address(&op), 0, 0);
}

/* What became of the first of the registers that were asked for. */
static void report_resource(const struct platform_case *c)
{
    char what[64];

    if (c->arg.cmd != XENPF_resource_op || (uintptr_t)c->arg.u.resource_op.entries.p == WRONG_POINTER)
        return;
    snprintf(what, sizeof(what), "%s, the register", c->what);
    report("platform_op", c->operation, what, c->arg.u.resource_op.entries.p->u.ret);
}

static void try_platform_ops(void)
{
    for (const struct platform_case *c = platform_cases; c->operation; c++) {
        report("platform_op", c->operation, c->what, platform_op(c->arg));
        report_resource(c);
    }
    for (const struct operation *o = platform_operations; o->name; o++) {
        struct xen_platform_op op = { .cmd = o->cmd };

        /* The clock of the machine would go back to 1970. */
        if (o->cmd == XENPF_settime32 || o->cmd == XENPF_settime64)
            continue;
        report("platform_op", o->name, "zeros", platform_op(op));
        memset(&op.u, 0xff, sizeof(op.u));
        report("platform_op", o->name, "ones", platform_op(op));
    }
    report("platform_op", "(none)", "no such operation", platform_op((struct xen_platform_op){ .cmd = 777 }));
    report("platform_op", "(none)", "wrong pointer", hypercall(__HYPERVISOR_platform_op, WRONG_POINTER, 0, 0));
    report("platform_op", "(none)", "wrong version",
           hypercall(__HYPERVISOR_platform_op, address(&(struct xen_platform_op){ .cmd = XENPF_get_cpuinfo }), 0, 0));
}

/* ---- domctl ---- */

static long domctl(struct xen_domctl *op, domid_t domain)
{
    op->interface_version = XEN_DOMCTL_INTERFACE_VERSION;
    op->domain = domain;
    return hypercall(__HYPERVISOR_domctl, address(op), 0, 0);
}

static xen_pfn_t frames[16];

/* A PV domain with one vCPU and some memory that nobody runs; 0 if it cannot be made. */
static domid_t make_domain(void)
{
    struct xen_domctl op = { .cmd = XEN_DOMCTL_createdomain,
                             .u.createdomain = { .max_vcpus = 1, .max_evtchn_port = 1023, .max_grant_frames = 4,
                                                 .max_maptrack_frames = 4, .grant_opts = 1 } };
    struct xen_memory_reservation memory = { .nr_extents = ARRAY_SIZE(frames) };
    domid_t domain;

    if (domctl(&op, 0))
        return 0;
    domain = op.domain;
    op = (struct xen_domctl){ .cmd = XEN_DOMCTL_max_vcpus, .u.max_vcpus.max = 1 };
    domctl(&op, domain);
    op = (struct xen_domctl){ .cmd = XEN_DOMCTL_max_mem, .u.max_mem.max_memkb = 1024 };
    domctl(&op, domain);
    for (unsigned int i = 0; i < ARRAY_SIZE(frames); i++)
        frames[i] = i;
    memory.domid = domain;
    set_xen_guest_handle(memory.extent_start, frames);
    hypercall(__HYPERVISOR_memory_op, XENMEM_populate_physmap, address(&memory), 0);
    return domain;
}

static void destroy_domain(domid_t domain)
{
    struct xen_domctl op = { .cmd = XEN_DOMCTL_destroydomain };

    while (domctl(&op, domain) == -EAGAIN)
        continue;
}

/* Operations that dom0 may try on itself without harm. */
static int only_reads(unsigned int cmd)
{
    static const unsigned int reads[] = { XEN_DOMCTL_getdomaininfo, XEN_DOMCTL_getvcpucontext, XEN_DOMCTL_getvcpuinfo,
                                          XEN_DOMCTL_getvcpuaffinity, XEN_DOMCTL_getnodeaffinity, XEN_DOMCTL_gettscinfo,
                                          XEN_DOMCTL_get_address_size, XEN_DOMCTL_getvcpuextstate,
                                          XEN_DOMCTL_get_ext_vcpucontext, XEN_DOMCTL_get_cpu_policy,
                                          XEN_DOMCTL_get_vcpu_msrs, XEN_DOMCTL_getpageframeinfo3,
                                          XEN_DOMCTL_pausedomain, XEN_DOMCTL_destroydomain, XEN_DOMCTL_max_vcpus };

    for (unsigned int i = 0; i < ARRAY_SIZE(reads); i++)
        if (reads[i] == cmd)
            return 1;
    return 0;
}

/* One operation with the same bytes everywhere, each time on a domain of its own, and on some that are none. */
static void try_domctl(const struct operation *o, int byte, const char *what)
{
    static const struct {
        const char *name;
        domid_t domain;
    } others[] = { { "no such domain", NOBODY }, { "DOMID_SELF", DOMID_SELF }, { "DOMID_XEN", DOMID_XEN } };
    struct xen_domctl op;
    domid_t domain = make_domain();
    char text[64];

    op.cmd = o->cmd;
    memset(&op.u, byte, sizeof(op.u));
    report("domctl", o->name, what, domctl(&op, domain));
    destroy_domain(domain);
    for (unsigned int i = 0; i < ARRAY_SIZE(others); i++) {
        if (others[i].domain == DOMID_SELF && !only_reads(o->cmd))
            continue;
        memset(&op.u, byte, sizeof(op.u));
        snprintf(text, sizeof(text), "%s, %s", what, others[i].name);
        report("domctl", o->name, text, domctl(&op, others[i].domain));
    }
}

static void try_domctls(void)
{
    struct xen_domctl op;
    domid_t domain;

    for (const struct domctl_case *c = domctl_cases; c->operation; c++) {
        domain = make_domain();
        op = c->arg;
        report("domctl", c->operation, c->what, domctl(&op, domain));
        destroy_domain(domain);
    }
    domain = make_domain();
    op = (struct xen_domctl){ .cmd = XEN_DOMCTL_hypercall_init, .u.hypercall_init.gmfn = frames[0] };
    report("domctl", "hypercall_init", "a frame of its own", domctl(&op, domain));
    op = (struct xen_domctl){ .cmd = XEN_DOMCTL_getdomaininfo };
    report("domctl", "getdomaininfo", "a domain", domctl(&op, domain));
    op = (struct xen_domctl){ .cmd = XEN_DOMCTL_resumedomain };
    report("domctl", "resumedomain", "not shut down", domctl(&op, domain));
    destroy_domain(domain);
    for (const struct operation *o = domctl_operations; o->name; o++) {
        if (o->cmd == XEN_DOMCTL_createdomain)
            continue;
        try_domctl(o, 0, "zeros");
        try_domctl(o, 0xff, "ones");
    }
    op = (struct xen_domctl){ .cmd = XEN_DOMCTL_createdomain };
    report("domctl", "createdomain", "zeros", domctl(&op, 0));
    memset(&op.u, 0xff, sizeof(op.u));
    report("domctl", "createdomain", "ones", domctl(&op, 0));
    op = (struct xen_domctl){ .cmd = 777 };
    report("domctl", "(none)", "no such operation", domctl(&op, NOBODY));
    report("domctl", "(none)", "wrong pointer", hypercall(__HYPERVISOR_domctl, WRONG_POINTER, 0, 0));
    report("domctl", "(none)", "wrong version", hypercall(__HYPERVISOR_domctl, address(&(struct xen_domctl){ .cmd = 5 }), 0, 0));
}

/* ---- memory_op ---- */

static long memory_op(unsigned int cmd, const void *arg)
{
    return hypercall(__HYPERVISOR_memory_op, cmd, address(arg), 0);
}

static void try_memory_cases(domid_t domain)
{
    struct xen_memory_reservation r = { .domid = domain, .nr_extents = 1 };
    struct xen_add_to_physmap add = { .domid = domain, .space = XENMAPSPACE_grant_table };
    struct xen_mem_acquire_resource resource = { .domid = domain, .type = XENMEM_resource_grant_table };
    struct xen_machphys_mapping mapping;
    uint64_t buffer[512];
    struct xen_memory_map map = { .nr_entries = 128 };
    xen_pfn_t frame = 5;

    set_xen_guest_handle(r.extent_start, &frame);
    set_xen_guest_handle(map.buffer, (void *)buffer);
    report("memory_op", "populate_physmap", "a frame", memory_op(XENMEM_populate_physmap, &r));
    report("memory_op", "decrease_reservation", "that frame", memory_op(XENMEM_decrease_reservation, &r));
    report("memory_op", "decrease_reservation", "again", memory_op(XENMEM_decrease_reservation, &r));
    report("memory_op", "increase_reservation", "a frame", memory_op(XENMEM_increase_reservation, &r));
    r.extent_order = 30;
    report("memory_op", "increase_reservation", "too large", memory_op(XENMEM_increase_reservation, &r));
    report("memory_op", "current_reservation", "a domain", memory_op(XENMEM_current_reservation, &domain));
    report("memory_op", "maximum_reservation", "a domain", memory_op(XENMEM_maximum_reservation, &domain));
    report("memory_op", "maximum_gpfn", "a domain", memory_op(XENMEM_maximum_gpfn, &domain));
    report("memory_op", "machine_memory_map", "", memory_op(XENMEM_machine_memory_map, &map));
    report("memory_op", "machphys_mapping", "", memory_op(XENMEM_machphys_mapping, &mapping));
    report("memory_op", "add_to_physmap", "a grant frame", memory_op(XENMEM_add_to_physmap, &add));
    report("memory_op", "acquire_resource", "how many", memory_op(XENMEM_acquire_resource, &resource));
    resource.type = 77;
    report("memory_op", "acquire_resource", "no such type", memory_op(XENMEM_acquire_resource, &resource));
    r = (struct xen_memory_reservation){ .domid = domain, .nr_extents = 16 };
    report("memory_op", "claim_pages", "16", memory_op(XENMEM_claim_pages, &r));
    r.nr_extents = 0;
    report("memory_op", "claim_pages", "none", memory_op(XENMEM_claim_pages, &r));
}

/* What zeros would do to dom0, whose number is 0, is nothing but this. */
static int harms_dom0(unsigned int cmd)
{
    return cmd == XENMEM_set_memory_map;
}

static void try_memory_ops(void)
{
    static uint8_t argument[256];
    domid_t domain = make_domain();

    try_memory_cases(domain);
    destroy_domain(domain);
    for (const struct operation *o = memory_operations; o->name; o++) {
        memset(argument, 0, sizeof(argument));
        if (!harms_dom0(o->cmd))
            report("memory_op", o->name, "zeros", memory_op(o->cmd, argument));
        memset(argument, 0xff, sizeof(argument));
        report("memory_op", o->name, "ones", memory_op(o->cmd, argument));
        report("memory_op", o->name, "wrong pointer", memory_op(o->cmd, (void *)WRONG_POINTER));
    }
    report("memory_op", "(none)", "no such operation", memory_op(63, argument));
}

/* ---- The other hypercalls, as far as a process of dom0 may use them without harm ---- */

#define CALL(name, cmd) { #name, #cmd, __HYPERVISOR_##name, cmd }

static const struct {
    const char *name, *what;
    unsigned int number;
    uint64_t command;
} calls[] = {
    CALL(xen_version, XENVER_version),
    CALL(xen_version, XENVER_extraversion),
    CALL(xen_version, XENVER_compile_info),
    CALL(xen_version, XENVER_capabilities),
    CALL(xen_version, XENVER_changeset),
    CALL(xen_version, XENVER_platform_parameters),
    CALL(xen_version, XENVER_get_features),
    CALL(xen_version, XENVER_guest_handle),
    CALL(xen_version, XENVER_commandline),
    CALL(xen_version, XENVER_build_id),
    CALL(xen_version, 77),
    CALL(console_io, 77),
    CALL(event_channel_op, EVTCHNOP_status),
    CALL(event_channel_op, 77),
    CALL(physdev_op, PHYSDEVOP_irq_status_query),
    CALL(physdev_op, 77),
    CALL(grant_table_op, 77),
    CALL(vm_assist, 77),
    CALL(sched_op, 77),
    CALL(callback_op, 77),
    CALL(xenoprof_op, XENOPROF_init),
    CALL(hvm_op, HVMOP_get_param),
    CALL(hvm_op, 77),
    CALL(nmi_op, 77),
    CALL(xsm_op, 0),
    CALL(tmem_op, 0),
    CALL(argo_op, 1),
    CALL(xenpmu_op, 0),
    CALL(dm_op, 0),
    CALL(hypfs_op, XEN_HYPFS_OP_get_version),
    CALL(hypfs_op, 77),
    CALL(mca, 0),
    CALL(kexec_op, KEXEC_CMD_kexec_get_range),
    CALL(kexec_op, KEXEC_CMD_kexec_load),
    CALL(kexec_op, KEXEC_CMD_kexec_status),
    CALL(kexec_op, 77),
};

static void try_others(void)
{
    static uint8_t argument[65536];

    for (unsigned int i = 0; i < ARRAY_SIZE(calls); i++) {
        memset(argument, 0, 4096);
        report(calls[i].name, calls[i].what, "zeros", hypercall(calls[i].number, calls[i].command, address(argument), 0));
        report(calls[i].name, calls[i].what, "wrong pointer", hypercall(calls[i].number, calls[i].command, WRONG_POINTER, 1));
    }
    report("(none)", "number 63", "", hypercall(63, 0, 0, 0));
    report("(none)", "number 10", "", hypercall(10, 0, 0, 0));
}

int main(void)
{
    privcmd = open("/dev/xen/privcmd", O_RDWR | O_CLOEXEC);
    if (privcmd < 0 || mlockall(MCL_CURRENT | MCL_FUTURE)) {
        perror("hypercalls: /dev/xen/privcmd");
        return 1;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    try_sysctls();
    try_platform_ops();
    try_memory_ops();
    try_domctls();
    try_others();
    return 0;
}
