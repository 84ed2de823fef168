/* SPDX-License-Identifier: MIT */
/*
 * physdev_op: mapping, binding and end of interrupts, with the devices of QEMU's q35: the RTC is an edge-triggered source
 * (GSI 8), the e1000e card at 00:02.0 a level-triggered one (GSI 22) and one of MSI.
 */
#include "kernel.h"

#define RTC_GSI 8
#define NIC_GSI 22
#define NIC_DEVFN 0x10
#define NO_DEVFN 0xe8           /* 00:1d.0: nothing there */

/* The card's registers: cause (read clears), set cause, and which causes interrupt. */
#define NIC_ICR 0xc0
#define NIC_ICS 0xc8
#define NIC_IMS 0xd0
#define NIC_IMC 0xd8
#define NIC_LINK_CHANGE 0x4

#define PHYSDEV(cmd, op) HCALL(physdev_op, PHYSDEVOP_##cmd, op, 0, 0, 0)

/* ---- Ports and configuration space ---- */

static uint32_t conf_read(unsigned int devfn, unsigned int reg)
{
    outl(0xcf8, 0x80000000 | devfn << 8 | reg);
    return inl(0xcfc);
}

static void conf_write(unsigned int devfn, unsigned int reg, uint32_t value)
{
    outl(0xcf8, 0x80000000 | devfn << 8 | reg);
    outl(0xcfc, value);
}

static unsigned int find_capability(unsigned int devfn, unsigned int id)
{
    for (unsigned int pos = conf_read(devfn, 0x34) & 0xfc; pos; pos = conf_read(devfn, pos) >> 8 & 0xfc)
        if ((conf_read(devfn, pos) & 0xff) == id)
            return pos;
    return 0;
}

static uint8_t cmos_read(uint8_t reg)
{
    outb(0x70, reg);
    return inb(0x71);
}

static void cmos_write(uint8_t reg, uint8_t value)
{
    outb(0x70, reg);
    outb(0x71, value);
}

static volatile uint32_t *nic_register(unsigned int reg)
{
    static volatile char *base;

    if (!base) {
        base = (volatile char *)0xffffffffa0000000UL;
        check_eq(map_page((unsigned long)base, (conf_read(NIC_DEVFN, 0x10) & ~0xfffU) | PTE_DATA), 0);
    }
    return (volatile uint32_t *)(base + reg);
}

/* ---- Interrupts ---- */

static long map_gsi(int gsi, int pirq)
{
    struct physdev_map_pirq op = { .domid = DOMID_SELF, .type = MAP_PIRQ_TYPE_GSI, .index = gsi, .pirq = pirq };
    long ret = PHYSDEV(map_pirq, &op);

    return ret ? ret : op.pirq;
}

static long map_msi(int type, unsigned int devfn, int entry, uint64_t table)
{
    struct physdev_map_pirq op = { .domid = DOMID_SELF, .type = type, .index = -1, .pirq = -1, .devfn = (int)devfn,
                                   .entry_nr = entry, .table_base = table };
    long ret = PHYSDEV(map_pirq, &op);

    return ret ? ret : op.pirq;
}

static long unmap(int pirq)
{
    struct physdev_unmap_pirq op = { .domid = DOMID_SELF, .pirq = pirq };

    return PHYSDEV(unmap_pirq, &op);
}

static long eoi(uint32_t pirq)
{
    struct physdev_eoi op = { .irq = pirq };

    return PHYSDEV(eoi, &op);
}

static long bind(uint32_t pirq)
{
    struct evtchn_bind_pirq op = { .pirq = pirq, .flags = BIND_PIRQ__WILL_SHARE };
    long ret = HCALL(event_channel_op, EVTCHNOP_bind_pirq, &op, 0, 0, 0);

    return ret ? ret : (long)op.port;
}

static void close(long port)
{
    struct evtchn_close op = { .port = (evtchn_port_t)port };

    check_eq(HCALL(event_channel_op, EVTCHNOP_close, &op, 0, 0, 0), 0);
}

/* Whether an event comes at the port, soon; it is taken. */
static bool arrives(long port)
{
    unsigned long bit = 1UL << (port % 64);

    for (unsigned int i = 0; i < 300000; i++) {
        if (__atomic_fetch_and(&shared_info->evtchn_pending[port / 64], ~bit, __ATOMIC_SEQ_CST) & bit)
            return true;
        asm volatile("pause");
    }
    return false;
}

static void privileges(void)
{
    struct physdev_set_iopl op = { .iopl = 4 };
    struct physdev_set_iobitmap map = { .nr_ports = 65537 };

    check_eq(PHYSDEV(set_iopl, &op), -XEN_EINVAL);
    op.iopl = 1;
    check_eq(PHYSDEV(set_iopl, &op), 0);
    check_eq(PHYSDEV(set_iopl, UNMAPPED), -XEN_EFAULT);
    check_eq(PHYSDEV(set_iobitmap, &map), -XEN_EINVAL);
    map.nr_ports = 0;
    check_eq(PHYSDEV(set_iobitmap, &map), 0);
    map_shared_info();
}

static void bad_arguments(void)
{
    struct physdev_map_pirq op = { .domid = 77, .type = MAP_PIRQ_TYPE_GSI, .index = RTC_GSI, .pirq = -1 };

    for (unsigned int cmd = 0; cmd < 40; cmd++)
        check(HCALL(physdev_op, cmd, HV_SECRET, 0, 0, 0) <= 0);
    check_eq(HCALL(physdev_op, 9999, UNMAPPED, 0, 0, 0), -XEN_ENOSYS);
    check_eq(PHYSDEV(map_pirq, UNMAPPED), -XEN_EFAULT);
    check_eq(PHYSDEV(map_pirq, NON_CANONICAL), -XEN_EFAULT);
    check_eq(PHYSDEV(map_pirq, &op), -XEN_ESRCH);
    check(map_gsi(-1, -1) < 0);
    check(map_gsi(5000, -1) < 0);
    check(map_gsi(0x7fffffff, -1) < 0);
    check(map_gsi(RTC_GSI, 0x7fffffff) < 0);
    check(unmap(-5) < 0);
    check(unmap(0x7fffffff) < 0);
    check(eoi(0xffffffff) < 0);
    check(bind(0xffffffff) < 0);
    check(map_msi(MAP_PIRQ_TYPE_MSI_SEG, NO_DEVFN, 0, 0) < 0);
    check(map_msi(MAP_PIRQ_TYPE_MULTI_MSI, NIC_DEVFN, 64, 0) < 0);
    check(map_msi(9, NIC_DEVFN, 0, 0) < 0);
}

static void devices(void)
{
    struct physdev_pci_device_add add = { .devfn = NIC_DEVFN };
    struct physdev_pci_device none = { .devfn = NO_DEVFN }, nic = { .devfn = NIC_DEVFN };

    check_eq(PHYSDEV(pci_device_add, &add), 0);
    check_eq(PHYSDEV(pci_device_add, &add), 0);
    check(PHYSDEV(pci_device_remove, &none) < 0);
    check(PHYSDEV(prepare_msix, &none) < 0);
    check(PHYSDEV(restore_msi_ext, &none) < 0);
    check_eq(PHYSDEV(restore_msi_ext, &nic), 0);
    check_eq(PHYSDEV(prepare_msix, &nic), 0);
    check_eq(PHYSDEV(release_msix, &nic), 0);
    check_eq(PHYSDEV(pci_device_remove, &nic), 0);
    check_eq(PHYSDEV(pci_device_add, &add), 0);
}

/* Edges come one after the other, with no word from the guest in between. */
static void edge(void)
{
    struct physdev_irq_status_query status = { .irq = RTC_GSI };
    struct physdev_setup_gsi setup = { .gsi = RTC_GSI, .triggering = 0, .polarity = 0 };
    long port;

    check_eq(map_gsi(RTC_GSI, RTC_GSI), RTC_GSI);
    check_eq(map_gsi(RTC_GSI, RTC_GSI), RTC_GSI);
    check(PHYSDEV(setup_gsi, &setup) <= 0);
    port = bind(RTC_GSI);
    check(port > 0);
    check(bind(RTC_GSI) < 0);
    check_eq(PHYSDEV(irq_status_query, &status), 0);

    cmos_write(0x0a, 0x26);                     /* 1024 a second */
    cmos_write(0x0b, cmos_read(0x0b) | 0x40);
    for (unsigned int i = 0; i < 3; i++) {
        cmos_read(0x0c);
        check(arrives(port));
    }
    cmos_write(0x0b, cmos_read(0x0b) & ~0x40);
    cmos_read(0x0c);
    close(port);
    check_eq(unmap(RTC_GSI), 0);
    check(unmap(RTC_GSI) < 0);
    check(bind(RTC_GSI) < 0);
}

/* A level comes once until its end is signalled, and again as long as the device asks. */
static void level(void)
{
    struct physdev_setup_gsi setup = { .gsi = NIC_GSI, .triggering = 1, .polarity = 1 };
    struct physdev_irq_status_query status = { .irq = NIC_GSI };
    long port;

    check_eq(map_gsi(NIC_GSI, NIC_GSI), NIC_GSI);
    check_eq(PHYSDEV(setup_gsi, &setup), 0);
    port = bind(NIC_GSI);
    check(port > 0);
    check_eq(PHYSDEV(irq_status_query, &status), 0);
    check(status.flags & XENIRQSTAT_needs_eoi);
    arrives(port);
    check_eq(eoi(NIC_GSI), 0);

    *nic_register(NIC_IMS) = NIC_LINK_CHANGE;
    *nic_register(NIC_ICS) = NIC_LINK_CHANGE;
    check(arrives(port));
    /* Xen waits for the end no longer than a millisecond, then lets the line fire again. */
    check_eq(arrives(port), domus_or_xen(false, true));
    check_eq(eoi(NIC_GSI), 0);
    check(arrives(port));
    *nic_register(NIC_IMC) = ~0U;
    (void)*nic_register(NIC_ICR);
    check_eq(eoi(NIC_GSI), 0);
    check(!arrives(port));

    /* Closed and unmapped while it is in flight: it is not lost to the next who binds. */
    *nic_register(NIC_IMS) = NIC_LINK_CHANGE;
    *nic_register(NIC_ICS) = NIC_LINK_CHANGE;
    check(arrives(port));
    close(port);
    check_eq(eoi(NIC_GSI), 0);
    port = bind(NIC_GSI);
    check(port > 0);
    check(arrives(port));
    *nic_register(NIC_IMC) = ~0U;
    (void)*nic_register(NIC_ICR);
    check_eq(eoi(NIC_GSI), 0);
    close(port);
    check_eq(unmap(NIC_GSI), 0);
}

static void message(void)
{
    unsigned int cap = find_capability(NIC_DEVFN, 5);
    long pirq = map_msi(MAP_PIRQ_TYPE_MSI_SEG, NIC_DEVFN, 0, 0), port;

    check(pirq >= 0);
    if (on_domus())             /* Xen would map the one message twice */
        check(map_msi(MAP_PIRQ_TYPE_MSI_SEG, NIC_DEVFN, 0, 0) < 0);
    port = bind((uint32_t)pirq);
    check(port > 0);
    conf_write(NIC_DEVFN, 4, conf_read(NIC_DEVFN, 4) | 0x4);                /* bus master: it may write messages */
    conf_write(NIC_DEVFN, cap, conf_read(NIC_DEVFN, cap) | 0x10000);        /* enable */
    check_eq(conf_read(NIC_DEVFN, cap + 4) & 0xfff00000, 0xfee00000);
    *nic_register(NIC_IMS) = NIC_LINK_CHANGE;
    for (unsigned int i = 0; i < 3; i++) {
        *nic_register(NIC_ICS) = NIC_LINK_CHANGE;
        check(arrives(port));
        (void)*nic_register(NIC_ICR);
    }
    *nic_register(NIC_IMC) = ~0U;
    close(port);
    check_eq(unmap((int)pirq), 0);
    conf_write(NIC_DEVFN, cap, conf_read(NIC_DEVFN, cap) & ~0x10000);
}

static void msix(void)
{
    long pirq[3];

    for (unsigned int i = 0; i < ARRAY_SIZE(pirq); i++) {
        pirq[i] = map_msi(MAP_PIRQ_TYPE_MSI_SEG, NIC_DEVFN, (int)i, 1);
        check(pirq[i] >= 0);
    }
    if (on_domus())
        check(map_msi(MAP_PIRQ_TYPE_MSI_SEG, NIC_DEVFN, 2, 1) < 0);
    check(map_msi(MAP_PIRQ_TYPE_MSI_SEG, NIC_DEVFN, 2048, 1) < 0);
    check(map_msi(MAP_PIRQ_TYPE_MSI_SEG, NIC_DEVFN, -1, 1) < 0);
    for (unsigned int i = 0; i < ARRAY_SIZE(pirq); i++)
        check_eq(unmap((int)pirq[i]), 0);
}

/* More than the machine has: all that were had come back. */
static void exhaustion(void)
{
    struct physdev_get_free_pirq before = { .type = MAP_PIRQ_TYPE_MSI }, after = before;

    check_eq(PHYSDEV(get_free_pirq, &before), 0);
    for (unsigned int round = 0; round < 400; round++) {
        long pirq = map_msi(MAP_PIRQ_TYPE_MSI_SEG, NIC_DEVFN, 0, 0);

        check(pirq >= 0);
        check_eq(unmap((int)pirq), 0);
    }
    check_eq(PHYSDEV(get_free_pirq, &after), 0);
    check_eq(after.pirq, domus_or_xen(before.pirq, before.pirq - 1));       /* Xen keeps what it has told of */
}

TESTS({ "I/O privilege", privileges }, { "bad arguments", bad_arguments }, { "devices", devices },
      { "edge-triggered line", edge }, { "level-triggered line", level }, { "MSI", message }, { "MSI-X", msix },
      { "many mappings", exhaustion });
