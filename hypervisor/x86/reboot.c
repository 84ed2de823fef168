/* SPDX-License-Identifier: MIT */
/*
 * End of the machine's run: restart, halt, power-off. Specification: ACPI 4.8.3.6 (reset register),
 * 7.4.2 (\_Sx objects), 4.8.3.2 (PM1 control registers).
 */
#include <asm/acpi.h>
#include <asm/apic.h>
#include <asm/io_apic.h>
#include <asm/machine.h>
#include <asm/mm_init.h>
#include <asm/pci.h>
#include <asm/processor.h>
#include <asm/smp.h>
#include <domus/console.h>
#include <domus/lib.h>
#include <domus/param.h>
#include <domus/string.h>
#include <domus/time.h>
#include <xen/xen.h>
#include <xen/platform.h>

#define PM1_SLEEP_TYPE(type)    ((type) << 10)
#define PM1_SLEEP_TYPE_MASK     0x1c00
#define PM1_SLEEP_ENABLE        0x2000

#define KBC_STATUS              0x64
#define KBC_COMMAND             0x64
#define KBC_INPUT_FULL          0x02
#define KBC_PULSE_RESET         0xfe

#define RESET_CONTROL           0xcf9
#define RESET_HARD              0x02
#define RESET_CPU               0x04

#define ACPI_S5                 5

#define CRASH_REBOOT_SECONDS    5

/* noreboot: halt after a crash, so that the console can be read. */
static bool opt_noreboot;
PARAM_BOOL("noreboot", opt_noreboot);

/* Alone on the machine, with nothing that interrupts. */
static void stop_everything(void)
{
    local_irq_disable();
    smp_send_stop();
    console_break_lock();
    ioapic_mask_all();
    apic_disable_cpu();
}

static void __noreturn halt_here(void)
{
    for (;;)
        halt();
}

void machine_halt(void)
{
    stop_everything();
    console_flush();
    halt_here();
}

/* ---- Restart ---- */

/* The last way that is announced is the one that worked, or hung. */
static void announce(const char *way)
{
    printk(LOG_ERR "Restart by %s\n", way);
    console_flush();
}

static void reset_by_acpi(void)
{
    const struct acpi_gas *reg = &acpi.reset_reg;

    if (!acpi.has_fadt || !(acpi.fadt_flags & ACPI_FADT_RESET_SUPPORTED))
        return;
    announce("ACPI");
    switch (reg->space) {
    case ACPI_SPACE_IO:
        outb(acpi.reset_value, (u16)reg->address);
        break;
    case ACPI_SPACE_MEMORY: {
        void *p = ioremap(reg->address, 1);

        if (p)
            mmio_write8(p, acpi.reset_value);
        break;
    }
    case ACPI_SPACE_PCI:
        /* Bits 32-47 are the device, 16-31 the function, 0-15 the register, on bus 0. */
        pci_conf_write(PCI_SBDF(0, 0, (u8)((reg->address >> 32 & 0x1f) << 3 |
                                           (reg->address >> 16 & 7))),
                       reg->address & 0xff, 1, acpi.reset_value);
        break;
    }
    mdelay(10);
}

static void reset_by_keyboard_controller(void)
{
    announce("the keyboard controller");
    for (unsigned int i = 0; i < 10; i++) {
        for (unsigned int wait = 0; wait < 1000 && (inb(KBC_STATUS) & KBC_INPUT_FULL); wait++)
            cpu_relax();
        outb(KBC_PULSE_RESET, KBC_COMMAND);
        udelay(100);
    }
}

static void reset_by_chipset(void)
{
    u8 value = inb(RESET_CONTROL) & (u8)~RESET_CPU;

    announce("the chipset");
    outb(value | RESET_HARD, RESET_CONTROL);
    udelay(50);
    outb(value | RESET_HARD | RESET_CPU, RESET_CONTROL);
    mdelay(10);
}

/* With no descriptor table, any trap is a triple fault, which resets the machine. */
static void reset_by_triple_fault(void)
{
    static const struct __packed {
        u16 limit;
        u64 base;
    } no_idt;

    announce("triple fault");
    asm volatile("lidt %0\n int3" : : "m"(no_idt));
}

void machine_restart(void)
{
    stop_everything();
    reset_by_acpi();
    reset_by_keyboard_controller();
    reset_by_chipset();
    reset_by_triple_fault();
    halt_here();
}

void machine_crash(void)
{
    stop_everything();
    if (opt_noreboot) {
        printk(LOG_ERR "The machine has stopped: reset it to go on\n");
        machine_halt();
    }
    printk(LOG_ERR "Restart in %u seconds\n", CRASH_REBOOT_SECONDS);
    console_flush();
    mdelay(CRASH_REBOOT_SECONDS * 1000);
    machine_restart();
}

/* ---- Power-off ---- */

static void write_pm1(const struct acpi_gas *reg, unsigned int sleep_type)
{
    u16 port = (u16)reg->address;

    if (!reg->address || reg->space != ACPI_SPACE_IO)
        return;
    outw((u16)((inw(port) & ~PM1_SLEEP_TYPE_MASK) | PM1_SLEEP_TYPE(sleep_type) | PM1_SLEEP_ENABLE),
         port);
}

static void __noreturn enter_s5(unsigned int type_a, unsigned int type_b)
{
    printk(LOG_ERR "Power off\n");
    stop_everything();
    console_flush();
    write_pm1(&acpi.pm1a_cnt, type_a);
    write_pm1(&acpi.pm1b_cnt, type_b);
    mdelay(1000);
    printk(LOG_ERR "The machine did not power off: it is safe to switch it off\n");
    console_flush();
    halt_here();
}

/* Element of an AML package: ZeroOp, OneOp, or BytePrefix and a byte. Advances *p; -1: other. */
static int aml_small_integer(const u8 **p, const u8 *end)
{
    if (*p < end && **p <= 1)
        return *(*p)++;
    if (*p + 1 < end && **p == 0x0a) {
        *p += 2;
        return (*p)[-1];
    }
    return -1;
}

/*
 * The sleep types of S5 from the DSDT: Name (_S5_, Package { type a, type b, ... }). This form is
 * looked for in the bytes: no interpreter is needed for a constant.
 */
static bool find_s5(const u8 *aml, size_t len, int *type_a, int *type_b)
{
    const u8 *end = aml + len;

    for (const u8 *p = aml; p + 8 < end; p++) {
        if (memcmp(p, "_S5_", 4) || p[4] != 0x12)
            continue;
        /* Behind PackageOp: a length of 1 to 4 bytes, by its top bits, and the element count. */
        p += 5;
        p += (*p >> 6) + 2;
        *type_a = aml_small_integer(&p, end);
        *type_b = aml_small_integer(&p, end);
        return *type_a >= 0 && *type_a < 8 && *type_b < 8;
    }
    return false;
}

void machine_power_off(void)
{
    int type_a, type_b;
    const u8 *dsdt;
    u32 len;

    if (acpi.dsdt && acpi.pm1a_cnt.address) {
        dsdt = ioremap(acpi.dsdt, 8);
        len = dsdt ? mmio_read32(dsdt + 4) : 0;
        dsdt = len >= 36 ? ioremap(acpi.dsdt, len) : NULL;
        if (dsdt && find_s5(dsdt + 36, len - 36, &type_a, &type_b))
            enter_s5((unsigned int)type_a, (unsigned int)max(type_b, 0));
    }
    printk(LOG_ERR "No ACPI S5 state: it is safe to switch the machine off\n");
    machine_halt();
}

int acpi_enter_sleep(const struct xenpf_enter_acpi_sleep *sleep)
{
    if (sleep->flags & ~XENPF_ACPI_SLEEP_EXTENDED)
        return -EINVAL;
    if (sleep->sleep_state != ACPI_S5)
        return -EOPNOTSUPP;
    /* Hardware-reduced machines have other registers, with 8-bit values. */
    if (sleep->flags & XENPF_ACPI_SLEEP_EXTENDED)
        return -EOPNOTSUPP;
    enter_s5((sleep->val_a & PM1_SLEEP_TYPE_MASK) >> 10,
             (sleep->val_b & PM1_SLEEP_TYPE_MASK) >> 10);
}
