/* SPDX-License-Identifier: MIT */
/*
 * IO-APICs: redirection entries by global system interrupt (GSI), and the filtered register
 * window that dom0 sees.
 */
#ifndef ASM_IO_APIC_H
#define ASM_IO_APIC_H

#include <domus/types.h>

/* One redirection table entry (82093AA data sheet, section 3.2.4). */
union ioapic_rte {
    uint64_t raw;
    struct {
        uint64_t vector : 8, delivery_mode : 3, dest_logical : 1, delivery_pending : 1;
        uint64_t active_low : 1, remote_irr : 1, level : 1, masked : 1;
        uint64_t reserved : 39, dest : 8;
    };
};

/* Map all IO-APICs that the MADT lists and mask every pin. */
void ioapic_init(void);
/* Number of GSIs, i.e. one more than the highest that any IO-APIC serves; at least 16. */
unsigned int ioapic_nr_gsis(void);
/* True if some IO-APIC pin serves this GSI. */
bool ioapic_has_gsi(unsigned int gsi);
/* The GSI that an ISA IRQ (0-15) is wired to, by the MADT's source overrides. */
unsigned int ioapic_isa_to_gsi(unsigned int isa_irq);

/*
 * Set trigger mode and polarity of a GSI, as dom0 learned them from ACPI. Fails with -EBUSY if it
 * is in use with another trigger mode, -EINVAL if no pin serves it.
 */
int ioapic_set_trigger(unsigned int gsi, bool level, bool active_low);
bool ioapic_is_level(unsigned int gsi);

/* The irq layer's use; called with the desc lock held. */
void ioapic_route(unsigned int gsi, unsigned int vector, uint32_t dest_apicid);
void ioapic_mask(unsigned int gsi);
void ioapic_unmask(unsigned int gsi);
bool ioapic_remote_irr(unsigned int gsi);

/* PHYSDEVOP_apic_read / _write: `physbase` names the IO-APIC. Writes do not change routing. */
int ioapic_guest_read(uint64_t physbase, unsigned int reg, uint32_t *value);
int ioapic_guest_write(uint64_t physbase, unsigned int reg, uint32_t value);

/* Mask every pin, before the machine restarts. */
void ioapic_mask_all(void);
void ioapic_dump(void);

#endif
