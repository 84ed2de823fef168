/* SPDX-License-Identifier: MIT */
/* Interrupts of devices, one of a line and one by message, while the CPU that they go to goes off line and comes back. */
/* SMP: 4 */
#include "control.h"

#define NR_CPUS 4
#define RTC_GSI 8
#define NIC_DEVFN 0x10
#define NIC_BASE 0xffffffffa0000000UL
#define NIC_BAR0 0x10
#define NIC_BAR3 0x1c
#define PCI_CAP_ID_MSIX 0x11
#define MSIX_ENABLE 0x80000000U
/* Registers of the network card: cause (cleared by a write), set cause, which causes interrupt, and by which message. */
#define NIC_ICR 0xc0
#define NIC_ICS 0xc8
#define NIC_IMS 0xd0
#define NIC_IMC 0xd8
#define NIC_IVAR 0xe4
#define NIC_OTHER_CAUSE (1U << 24 | 1U << 2)
#define NIC_OTHER_BY_MESSAGE_0 (8U << 16)

static uint32_t conf_read(unsigned int reg)
{
    outl(0xcf8, 0x80000000 | NIC_DEVFN << 8 | reg);
    return inl(0xcfc);
}

static void conf_set(unsigned int reg, uint32_t bits)
{
    uint32_t value = conf_read(reg) | bits;

    outl(0xcf8, 0x80000000 | NIC_DEVFN << 8 | reg);
    outl(0xcfc, value);
}

static uint8_t cmos(uint8_t reg)
{
    outb(0x70, reg);
    return inb(0x71);
}

static volatile uint32_t *nic(unsigned int reg)
{
    return (volatile uint32_t *)(NIC_BASE + reg);
}

static long bind_pirq(struct physdev_map_pirq *map)
{
    struct evtchn_bind_pirq bind;

    map->domid = DOMID_SELF;
    check_eq(HCALL(physdev_op, PHYSDEVOP_map_pirq, map, 0, 0, 0), 0);
    bind = (struct evtchn_bind_pirq){ .pirq = (uint32_t)map->pirq };
    check_eq(HCALL(event_channel_op, EVTCHNOP_bind_pirq, &bind, 0, 0, 0), 0);
    return bind.port;
}

/* Moves this vCPU, and with it its interrupts, to each CPU, which then goes off line and comes back. */
static void chase(long port, void (*provoke)(void))
{
    for (unsigned int round = 0; round < 12; round++) {
        unsigned int cpu = 1 + round % (NR_CPUS - 1);

        pin(0, 1UL << cpu);
        for (unsigned int i = 0; i < 3; i++) {
            provoke();
            check(event_comes(port));
        }
        provoke();
        check_eq(off(cpu), 0);
        for (unsigned int i = 0; i < 3; i++) {
            check(event_comes(port));
            provoke();
        }
        check_eq(on(cpu), 0);
        check(event_comes(port));
    }
}

static void provoke_rtc(void)
{
    cmos(0x0c);         /* the next of its periods may interrupt */
}

static void line(void)
{
    struct physdev_set_iopl iopl = { .iopl = 1 };
    struct physdev_map_pirq map = { .type = MAP_PIRQ_TYPE_GSI, .index = RTC_GSI, .pirq = RTC_GSI };
    long port;

    check_eq(HCALL(physdev_op, PHYSDEVOP_set_iopl, &iopl, 0, 0, 0), 0);
    port = bind_pirq(&map);
    outb(0x70, 0x0a);
    outb(0x71, 0x26);
    cmos(0x0b);
    outb(0x71, inb(0x71) | 0x40);
    chase(port, provoke_rtc);
    cmos(0x0b);
    outb(0x71, inb(0x71) & ~0x40);
}

static void provoke_nic(void)
{
    *nic(NIC_ICR) = ~0U;
    *nic(NIC_ICS) = NIC_OTHER_CAUSE;
}

/* MSI-X: such a message can be held back, so it moves without waiting for the next. On Xen none comes here at all. */
static void message(void)
{
    struct physdev_map_pirq map = { .type = MAP_PIRQ_TYPE_MSI_SEG, .index = -1, .pirq = -1, .devfn = NIC_DEVFN,
                                    .table_base = conf_read(NIC_BAR3) & ~0xfU };
    struct physdev_pci_device_add card = { .devfn = NIC_DEVFN };
    unsigned int at = conf_read(0x34) & 0xfc;
    long port;

    if (!on_domus())
        return;
    while (at && (conf_read(at) & 0xff) != PCI_CAP_ID_MSIX)
        at = conf_read(at) >> 8 & 0xfc;
    check(at != 0);
    HCALL(physdev_op, PHYSDEVOP_pci_device_add, &card, 0, 0, 0);        /* or it is known already */
    conf_set(4, 0x6);           /* decodes memory, and may write messages */
    check_eq(map_page(NIC_BASE, (conf_read(NIC_BAR0) & ~0xfffU) | PTE_DATA), 0);
    port = bind_pirq(&map);
    conf_set(at, MSIX_ENABLE);
    *nic(NIC_IVAR) = NIC_OTHER_BY_MESSAGE_0;
    *nic(NIC_IMS) = NIC_OTHER_CAUSE;
    chase(port, provoke_nic);
    *nic(NIC_IMC) = ~0U;
}

TESTS({ "interrupts of a line", line }, { "interrupts by message", message });
