/* SPDX-License-Identifier: MIT */
/* What the hypervisor takes from ACPI's static tables (MADT, FADT, HPET, MCFG). ACPI specification 6.2, chapter 5. */
#ifndef ASM_ACPI_H
#define ASM_ACPI_H

#include <domus/types.h>
#include <domus/cpumask.h>

#define ACPI_MAX_IOAPICS   64
#define ACPI_MAX_OVERRIDES 32
#define ACPI_MAX_MCFG      16
#define ACPI_MAX_LAPIC_NMI 64

/* MPS INTI flags of overrides and NMI entries. */
#define ACPI_POLARITY_MASK 0x3
#define ACPI_POLARITY_LOW  0x3
#define ACPI_TRIGGER_MASK  0xc
#define ACPI_TRIGGER_LEVEL 0xc

/* Generic address structure. */
struct __attribute__((packed)) acpi_gas {
    u8 space;                       /* 0 memory, 1 ports, 2 PCI configuration space */
    u8 bit_width, bit_offset, access;
    u64 address;
};
#define ACPI_SPACE_MEMORY 0
#define ACPI_SPACE_IO     1
#define ACPI_SPACE_PCI    2

struct acpi_info {
    bool present;
    paddr_t rsdp;
    unsigned int nr_cpus;
    struct acpi_cpu { u32 apicid, acpiid; bool enabled; } cpu[NR_CPUS];
    paddr_t lapic;                  /* of all local APICs' registers */
    bool pcat_compat;               /* there are 8259 PICs */
    unsigned int nr_ioapics;
    struct acpi_ioapic { u8 id; u32 maddr; u32 gsi_base; } ioapic[ACPI_MAX_IOAPICS];
    unsigned int nr_overrides;
    struct acpi_override { u8 isa_irq; u32 gsi; u16 flags; } override[ACPI_MAX_OVERRIDES];
    unsigned int nr_lapic_nmis;
    struct acpi_lapic_nmi { u32 acpiid; u16 flags; u8 lint; } lapic_nmi[ACPI_MAX_LAPIC_NMI];  /* acpiid ~0: all */
    unsigned int nr_mcfg;
    struct acpi_mcfg { paddr_t base; u16 segment; u8 start_bus, end_bus; } mcfg[ACPI_MAX_MCFG];
    paddr_t hpet;                   /* 0: none */
    bool has_fadt;
    u16 sci_irq;
    u16 boot_arch;                  /* IA-PC boot architecture flags */
    u32 fadt_flags;
    struct acpi_gas pm1a_evt, pm1b_evt, pm1a_cnt, pm1b_cnt, pm_timer, reset_reg;    /* address 0: none */
    u8 reset_value;
    paddr_t facs, dsdt;
};
#define ACPI_FADT_RESET_SUPPORTED (1u << 10)
#define ACPI_FADT_TMR_VAL_EXT     (1u << 8)     /* the PM timer has 32 bits, not 24 */
#define ACPI_BOOT_ARCH_NO_VGA     (1u << 2)
#define ACPI_BOOT_ARCH_NO_CMOS_RTC (1u << 5)

extern struct acpi_info acpi;

/* Reads all tables; what is broken is reported and left out. */
void acpi_init(void);

/* A checked table by its signature, mapped for good (read-only by convention); NULL: none. *len in bytes. */
const void *acpi_find_table(const char signature[4], u32 *len);

#endif
