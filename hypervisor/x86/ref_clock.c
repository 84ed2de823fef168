/* SPDX-License-Identifier: MIT */
/*
 * Machine clocks of known frequency, to calibrate the TSC against: HPET, ACPI PM timer, PIT.
 * Specification: IA-PC HPET 1.0a, 2.3; ACPI 4.8.3.3; 8254 data sheet.
 */
#include <asm/acpi.h>
#include <asm/mm_init.h>
#include <asm/processor.h>
#include <asm/time.h>
#include <domus/lib.h>

/* ---- HPET ---- */

#define HPET_PERIOD         0x004   /* femtoseconds a tick */
#define HPET_CONFIG         0x010
#define HPET_CONFIG_ENABLE  0x1
#define HPET_COUNTER        0x0f0
#define HPET_MAX_PERIOD     100000000u
#define FEMTOSECONDS        1000000000000000ULL

static volatile u8 *hpet;

static uint64_t hpet_read(void)
{
    return mmio_read32(hpet + HPET_COUNTER);
}

bool __init hpet_ref_clock(struct ref_clock *clock)
{
    u32 period;

    if (!acpi.hpet)
        return false;
    hpet = ioremap(acpi.hpet, PAGE_SIZE);
    if (!hpet)
        return false;
    period = mmio_read32(hpet + HPET_PERIOD);
    if (!period || period > HPET_MAX_PERIOD)
        return false;
    mmio_write32(hpet + HPET_CONFIG, mmio_read32(hpet + HPET_CONFIG) | HPET_CONFIG_ENABLE);
    *clock = (struct ref_clock){
        .name = "HPET",
        .hz = FEMTOSECONDS / period,
        .mask = 0xffffffff,
        .read = hpet_read,
    };
    return true;
}

/* ---- ACPI power management timer ---- */

#define PMTIMER_HZ  3579545

static uint64_t pmtimer_read(void)
{
    return inl((u16)acpi.pm_timer.address) & 0xffffff;
}

bool __init pmtimer_ref_clock(struct ref_clock *clock)
{
    if (!acpi.pm_timer.address || acpi.pm_timer.space != ACPI_SPACE_IO ||
        acpi.pm_timer.address > 0xfffc)
        return false;
    *clock = (struct ref_clock){
        .name = "PM timer",
        .hz = PMTIMER_HZ,
        .mask = 0xffffff,
        .read = pmtimer_read,
    };
    return true;
}

/* ---- PIT, channel 2: it can be gated and drives no interrupt ---- */

#define PIT_HZ              1193182
#define PIT_CHANNEL_2       0x42
#define PIT_CONTROL         0x43
#define PIT_LATCH_2         0x80
#define PIT_MODE_RATE_2     0xb4    /* channel 2, low byte then high byte, rate generator */
#define PORT_B              0x61
#define PORT_B_GATE_2       0x01
#define PORT_B_SPEAKER      0x02

/* The channel counts down. */
static uint64_t pit_read(void)
{
    unsigned int count;

    outb(PIT_LATCH_2, PIT_CONTROL);
    count = inb(PIT_CHANNEL_2);
    count |= (unsigned int)inb(PIT_CHANNEL_2) << 8;
    return 0xffff - count;
}

bool __init pit_ref_clock(struct ref_clock *clock)
{
    outb((inb(PORT_B) & ~PORT_B_SPEAKER) | PORT_B_GATE_2, PORT_B);
    outb(PIT_MODE_RATE_2, PIT_CONTROL);
    outb(0, PIT_CHANNEL_2);
    outb(0, PIT_CHANNEL_2);
    *clock = (struct ref_clock){
        .name = "PIT",
        .hz = PIT_HZ,
        .mask = 0xffff,
        .read = pit_read,
    };
    return true;
}
