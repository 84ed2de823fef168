/* SPDX-License-Identifier: MIT */
/* physdev_op, platform_op and vm_assist, with requests that no hardware answers to. */
#include "control.h"

static long physdev(unsigned int cmd, void *arg)
{
    return HCALL(physdev_op, cmd, arg, 0, 0, 0);
}

static void pirqs(void)
{
    struct physdev_irq_status_query query = { .irq = 0xffffffff };
    struct physdev_eoi eoi = { .irq = 0xffffffff };
    struct physdev_map_pirq map = { .domid = DOMID_SELF, .type = MAP_PIRQ_TYPE_GSI, .index = 5000, .pirq = -1 };
    struct physdev_unmap_pirq unmap = { .domid = DOMID_SELF, .pirq = 0x7fffffff };
    struct physdev_get_free_pirq free_pirq = { .type = MAP_PIRQ_TYPE_MSI };

    check_eq(physdev(PHYSDEVOP_irq_status_query, &query), -XEN_EINVAL);
    check_eq(physdev(PHYSDEVOP_eoi, &eoi), -XEN_EINVAL);
    check(physdev(PHYSDEVOP_map_pirq, &map) < 0);
    map.index = -1;
    check(physdev(PHYSDEVOP_map_pirq, &map) < 0);
    map = (struct physdev_map_pirq){ .domid = DOMID_SELF, .type = 99, .index = 1, .pirq = -1 };
    check(physdev(PHYSDEVOP_map_pirq, &map) < 0);
    map = (struct physdev_map_pirq){ .domid = 0x1234, .type = MAP_PIRQ_TYPE_GSI, .index = 1, .pirq = 1 };
    check_eq(physdev(PHYSDEVOP_map_pirq, &map), -XEN_ESRCH);
    map = (struct physdev_map_pirq){ .domid = DOMID_SELF, .type = MAP_PIRQ_TYPE_GSI, .index = 10, .pirq = 0x7fffffff };
    check(physdev(PHYSDEVOP_map_pirq, &map) < 0);
    check(physdev(PHYSDEVOP_unmap_pirq, &unmap) < 0);
    unmap.pirq = -1;
    check(physdev(PHYSDEVOP_unmap_pirq, &unmap) < 0);
    unmap = (struct physdev_unmap_pirq){ .domid = 0x1234, .pirq = 1 };
    check_eq(physdev(PHYSDEVOP_unmap_pirq, &unmap), -XEN_ESRCH);
    check_eq(physdev(PHYSDEVOP_get_free_pirq, &free_pirq), 0);
    check((int)free_pirq.pirq > 0);
}

static void a_line_to_a_channel(void)
{
    struct physdev_map_pirq map = { .domid = DOMID_SELF, .type = MAP_PIRQ_TYPE_GSI, .index = 10, .pirq = 10 };
    struct physdev_unmap_pirq unmap = { .domid = DOMID_SELF, .pirq = 10 };
    struct physdev_setup_gsi gsi = { .gsi = 10 };
    struct evtchn_bind_pirq bind = { .pirq = 10 };
    struct evtchn_close close;

    (void)physdev(PHYSDEVOP_setup_gsi, &gsi);
    check_eq(physdev(PHYSDEVOP_map_pirq, &map), 0);
    check_eq(HCALL(event_channel_op, EVTCHNOP_bind_pirq, &bind, 0, 0, 0), 0);
    check_eq(HCALL(event_channel_op, EVTCHNOP_bind_pirq, &bind, 0, 0, 0), -XEN_EEXIST);
    close.port = bind.port;
    check_eq(HCALL(event_channel_op, EVTCHNOP_close, &close, 0, 0, 0), 0);
    check_eq(physdev(PHYSDEVOP_unmap_pirq, &unmap), 0);
    check(physdev(PHYSDEVOP_unmap_pirq, &unmap) < 0);
    bind.pirq = 0xffffffff;
    check_eq(HCALL(event_channel_op, EVTCHNOP_bind_pirq, &bind, 0, 0, 0), -XEN_EINVAL);
    bind.pirq = 100000;
    check_eq(HCALL(event_channel_op, EVTCHNOP_bind_pirq, &bind, 0, 0, 0), -XEN_EINVAL);
}

static void message_interrupts(void)
{
    struct physdev_map_pirq map = { .domid = DOMID_SELF, .type = MAP_PIRQ_TYPE_MSI, .index = -1, .pirq = -1,
                                    .bus = 0xee, .devfn = 0xff };
    struct physdev_pci_device device = { .seg = 0x7777, .bus = 0xee, .devfn = 0xff };
    struct physdev_restore_msi restore = { .bus = 0xee, .devfn = 0xff };

    /* Devices that are not there, and tables where none can be. */
    check(physdev(PHYSDEVOP_map_pirq, &map) < 0);
    map.type = MAP_PIRQ_TYPE_MSI_SEG;
    map.bus = -1;
    map.entry_nr = 100000;
    check(physdev(PHYSDEVOP_map_pirq, &map) < 0);
    map = (struct physdev_map_pirq){ .domid = DOMID_SELF, .type = MAP_PIRQ_TYPE_MULTI_MSI, .index = -1, .pirq = -1,
                                     .bus = 0xee, .devfn = 0xff, .entry_nr = 0x7fffffff };
    check(physdev(PHYSDEVOP_map_pirq, &map) < 0);
    /* The host bridge has no MSI-X. */
    map = (struct physdev_map_pirq){ .domid = DOMID_SELF, .type = MAP_PIRQ_TYPE_MSI, .index = -1, .pirq = -1,
                                     .table_base = 0x1000 };
    check(physdev(PHYSDEVOP_map_pirq, &map) < 0);
    check(physdev(PHYSDEVOP_prepare_msix, &device) < 0);
    check(physdev(PHYSDEVOP_release_msix, &device) < 0);
    check(physdev(PHYSDEVOP_restore_msi, &restore) < 0);
}

extern char code_in[];
asm(".pushsection .text\ncode_in: in $0x61, %al; syscall\n.popsection");

static void io_privilege(void)
{
    struct physdev_set_iopl iopl = { .iopl = 4 };
    struct physdev_set_iobitmap bitmap = { .nr_ports = 65537 };

    check_eq(physdev(PHYSDEVOP_set_iopl, &iopl), -XEN_EINVAL);
    iopl.iopl = 3;
    check_eq(physdev(PHYSDEVOP_set_iopl, &iopl), 0);
    iopl.iopl = 1;
    check_eq(physdev(PHYSDEVOP_set_iopl, &iopl), 0);
    check_eq(physdev(PHYSDEVOP_set_iobitmap, &bitmap), -XEN_EINVAL);
    bitmap.nr_ports = 100;
    set_xen_guest_handle(bitmap.bitmap, (uint8_t *)HV_SECRET);
    /* A bitmap that cannot be read permits nothing, now or when it is used. */
    (void)physdev(PHYSDEVOP_set_iobitmap, &bitmap);
    check_eq(run_user((unsigned long)code_in), 13);
    bitmap = (struct physdev_set_iobitmap){ .nr_ports = 0 };
    check_eq(physdev(PHYSDEVOP_set_iobitmap, &bitmap), 0);
}

static void io_apic(void)
{
    struct physdev_apic apic = { .apic_physbase = 0x12345000, .reg = 1 };

    check(physdev(PHYSDEVOP_apic_read, &apic) < 0);
    apic.apic_physbase = 0xfec00000;
    check_eq(physdev(PHYSDEVOP_apic_read, &apic), 0);
    check((apic.value >> 16 & 0xff) >= 23);
    apic.apic_physbase = 0x12345000;
    check(physdev(PHYSDEVOP_apic_write, &apic) < 0);
}

static void physdev_pointers(void)
{
    static const unsigned int cmds[] = {
        PHYSDEVOP_irq_status_query, PHYSDEVOP_eoi, PHYSDEVOP_set_iopl, PHYSDEVOP_apic_read, PHYSDEVOP_map_pirq,
        PHYSDEVOP_unmap_pirq, PHYSDEVOP_setup_gsi, PHYSDEVOP_get_free_pirq, PHYSDEVOP_pci_device_add,
        PHYSDEVOP_pci_mmcfg_reserved, PHYSDEVOP_restore_msi, PHYSDEVOP_dbgp_op,
    };

    for (unsigned int i = 0; i < ARRAY_SIZE(cmds); i++) {
        check_eq(physdev(cmds[i], (void *)UNMAPPED), -XEN_EFAULT);
        check_eq(physdev(cmds[i], (void *)HV_SECRET), -XEN_EFAULT);
    }
    check_eq(physdev(99, (void *)UNMAPPED), -XEN_ENOSYS);
}

static void gsi_set_up(void)
{
    struct physdev_setup_gsi gsi = { .gsi = 5000 };

    check(physdev(PHYSDEVOP_setup_gsi, &gsi) < 0);
    gsi.gsi = -1;
    check(physdev(PHYSDEVOP_setup_gsi, &gsi) < 0);
}

static struct xen_platform_op op;

static void platform_arguments(void)
{
    op = (struct xen_platform_op){ .cmd = XENPF_get_cpu_version, .interface_version = 1 };
    check_eq(HCALL(platform_op, &op, 0, 0, 0, 0), -XEN_EACCES);
    check_eq(HCALL(platform_op, UNMAPPED, 0, 0, 0, 0), -XEN_EFAULT);
    check_eq(HCALL(platform_op, HV_SECRET, 0, 0, 0, 0), -XEN_EFAULT);
    check_eq(platform_op(&op, 9999), -XEN_ENOSYS);
    op = (struct xen_platform_op){ .u.pcpu_info.xen_cpuid = 0 };
    check_eq(platform_op(&op, XENPF_get_cpuinfo), 0);
    check(op.u.pcpu_info.flags & XEN_PCPU_FLAGS_ONLINE);
    op.u.pcpu_info.xen_cpuid = 100000;
    check(platform_op(&op, XENPF_get_cpuinfo) < 0 || op.u.pcpu_info.flags == XEN_PCPU_FLAGS_INVALID);
    op = (struct xen_platform_op){ .u.cpu_ol.cpuid = 100000 };
    check(platform_op(&op, XENPF_cpu_online) < 0);
    check(platform_op(&op, XENPF_cpu_offline) < 0);
    /* The CPU that boots stays. */
    op = (struct xen_platform_op){ .u.cpu_ol.cpuid = 0 };
    check(platform_op(&op, XENPF_cpu_offline) < 0);
    op = (struct xen_platform_op){ .u.firmware_info.type = 99 };
    check(platform_op(&op, XENPF_firmware_info) < 0);
}

static void port_access(unsigned long port, unsigned long unused)
{
    (void)unused;
    asm volatile("inb %w0, %%al" : : "d"(port) : "rax");
}

static void write_port32(unsigned long port, unsigned long value)
{
    asm volatile("outl %%eax, %w0" : : "d"(port), "a"(value));
}

static void ports(void)
{
    /* CMOS and PCI configuration: served; what belongs to the hypervisor reads as ones or faults. */
    check_eq(guarded(port_access, 0x71, 0), TRAP_NONE);
    check_eq(guarded(write_port32, 0xcf8, 0x80000000), TRAP_NONE);
    check_eq(guarded(port_access, 0xcfc, 0), TRAP_NONE);
    (void)guarded(port_access, 0x20, 0);
    (void)guarded(port_access, 0x40, 0);
    (void)guarded(port_access, 0x3f8, 0);
    (void)guarded(port_access, 0xffff, 0);
    (void)guarded(write_port32, 0xfffe, 0);
}

static void assists(void)
{
    check_eq(HCALL(vm_assist, VMASST_CMD_enable, VMASST_TYPE_writable_pagetables, 0, 0, 0), 0);
    check_eq(HCALL(vm_assist, VMASST_CMD_disable, VMASST_TYPE_writable_pagetables, 0, 0, 0), 0);
    check_eq(HCALL(vm_assist, VMASST_CMD_enable, 31, 0, 0, 0), -XEN_EINVAL);
    check_eq(HCALL(vm_assist, VMASST_CMD_enable, 0xffffffff, 0, 0, 0), -XEN_EINVAL);
    check_eq(HCALL(vm_assist, 99, 0, 0, 0, 0), -XEN_ENOSYS);
}

TESTS({ "interrupt lines", pirqs }, { "a line to a channel", a_line_to_a_channel },
      { "message-signalled interrupts", message_interrupts }, { "I/O privilege", io_privilege }, { "IO-APIC", io_apic },
      { "pointers", physdev_pointers }, { "set-up of lines", gsi_set_up }, { "platform_op", platform_arguments },
      { "ports", ports }, { "vm_assist", assists });
