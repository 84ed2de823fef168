/* SPDX-License-Identifier: MIT */
/*
 * Reading of ACPI's static tables: what a hypervisor needs before dom0 interprets the rest. Firmware's tables are checked
 * (signature, length, checksum) before they are believed; one that is broken is reported and ignored.
 * ACPI specification 6.2, sections 5.2.5 to 5.2.12; MCFG: PCI Firmware Specification 3.0, section 4.1.2; HPET: IA-PC HPET
 * specification 1.0a, section 3.2.4.
 */
#include <domus/lib.h>
#include <domus/string.h>
#include <asm/acpi.h>
#include <asm/boot.h>
#include <asm/efi.h>
#include <asm/mm_init.h>

struct acpi_info acpi;

struct __packed acpi_rsdp {
    char signature[8];
    u8 checksum;
    char oem_id[6];
    u8 revision;
    u32 rsdt;
    u32 length;
    u64 xsdt;
    u8 extended_checksum;
    u8 reserved[3];
};
#define RSDP_V1_SIZE 20

struct __packed acpi_header {
    char signature[4];
    u32 length;
    u8 revision;
    u8 checksum;
    char oem_id[6], oem_table_id[8];
    u32 oem_revision;
    char creator_id[4];
    u32 creator_revision;
};

/* More than any real table has; a length beyond it is taken for garbage. */
#define ACPI_MAX_TABLE MB(16)

static u64 root_table;
static unsigned int root_entry_size;            /* 8 in an XSDT, 4 in an RSDT */

static bool checksum_ok(const void *p, size_t len)
{
    const u8 *byte = p;
    u8 sum = 0;

    while (len--)
        sum += *byte++;
    return sum == 0;
}

/* Firmware's tables lie in RAM of any type, or in the BIOS: mapped cacheable, read-only. */
static const void *acpi_map(paddr_t maddr, size_t len)
{
    return ioremap_flags(maddr, len, PAGE_HV_RO);
}

static void acpi_unmap(const void *p, size_t len)
{
    iounmap((void *)(unsigned long)p, len);
}

/* Maps and checks the table at maddr, if its signature is as wanted (NULL: any). */
static const struct acpi_header *map_table(paddr_t maddr, const char *signature)
{
    const struct acpi_header *header = acpi_map(maddr, sizeof(*header));
    u32 len;
    bool wanted;

    if (!header)
        return NULL;
    len = header->length;
    wanted = !signature || memcmp(header->signature, signature, 4) == 0;
    acpi_unmap(header, sizeof(*header));
    if (!wanted)
        return NULL;
    if (len < sizeof(*header) || len > ACPI_MAX_TABLE) {
        printk(LOG_WARN "ACPI: table at %#lx has a length of %u: ignored\n", maddr, len);
        return NULL;
    }
    header = acpi_map(maddr, len);
    if (header && !checksum_ok(header, len)) {
        printk(LOG_WARN "ACPI: wrong checksum of %.4s at %#lx: ignored\n", header->signature, maddr);
        acpi_unmap(header, len);
        return NULL;
    }
    return header;
}

const void *acpi_find_table(const char signature[4], u32 *len)
{
    const struct acpi_header *root = root_table ? map_table(root_table, NULL) : NULL, *table = NULL;
    unsigned int nr;

    if (!root)
        return NULL;
    nr = (root->length - sizeof(*root)) / root_entry_size;
    for (unsigned int i = 0; i < nr && !table; i++) {
        u64 maddr = 0;

        memcpy(&maddr, (const char *)(root + 1) + i * root_entry_size, root_entry_size);
        if (maddr)
            table = map_table(maddr, signature);
    }
    acpi_unmap(root, root->length);
    if (table)
        *len = table->length;
    return table;
}

static bool rsdp_valid(const struct acpi_rsdp *rsdp)
{
    if (memcmp(rsdp->signature, "RSD PTR ", 8) != 0 || !checksum_ok(rsdp, RSDP_V1_SIZE))
        return false;
    return rsdp->revision < 2 || (rsdp->length >= sizeof(*rsdp) && rsdp->length < 4096 &&
                                  checksum_ok(rsdp, sizeof(*rsdp)));
}

/* Looks for the root pointer on 16-byte boundaries of [start, start + len). 0: none. */
static paddr_t scan_for_rsdp(paddr_t start, size_t len)
{
    const char *area = acpi_map(start, len);
    paddr_t found = 0;

    for (size_t i = 0; area && i + sizeof(struct acpi_rsdp) <= len && !found; i += 16) {
        if (rsdp_valid((const struct acpi_rsdp *)(area + i)))
            found = start + i;
    }
    if (area)
        acpi_unmap(area, len);
    return found;
}

static paddr_t find_rsdp(void)
{
    const u16 *ebda_segment = acpi_map(0x40e, sizeof(*ebda_segment));
    paddr_t ebda = ebda_segment ? (paddr_t)*ebda_segment << 4 : 0, found;

    if (ebda_segment)
        acpi_unmap(ebda_segment, sizeof(*ebda_segment));
    found = ebda >= 0x400 && ebda < 0xa0000 ? scan_for_rsdp(ebda, 1024) : 0;
    return found ? found : scan_for_rsdp(0xe0000, 0x20000);
}

static bool read_rsdp(paddr_t maddr)
{
    const struct acpi_rsdp *rsdp = maddr ? acpi_map(maddr, sizeof(*rsdp)) : NULL;
    bool valid = rsdp && rsdp_valid(rsdp);

    if (valid) {
        bool extended = rsdp->revision >= 2 && rsdp->xsdt;

        root_table = extended ? rsdp->xsdt : rsdp->rsdt;
        root_entry_size = extended ? 8 : 4;
        acpi.rsdp = maddr;
    }
    if (rsdp)
        acpi_unmap(rsdp, sizeof(*rsdp));
    return valid;
}

/* ---- MADT ---- */

enum {
    MADT_LAPIC, MADT_IOAPIC, MADT_OVERRIDE, MADT_NMI_SOURCE, MADT_LAPIC_NMI, MADT_LAPIC_ADDRESS,
    MADT_X2APIC = 9, MADT_X2APIC_NMI,
};

static u64 get_field(const u8 *p, unsigned int bytes)
{
    u64 value = 0;

    memcpy(&value, p, bytes);
    return value;
}

/* One entry of the MADT: fields by their offsets in the specification; len is that of the entry. */
static void read_madt_entry(const u8 *p, unsigned int len)
{
    switch (p[0]) {
    case MADT_LAPIC:
        if (len >= 8 && acpi.nr_cpus < NR_CPUS && p[3] != 0xff)
            acpi.cpu[acpi.nr_cpus++] = (struct acpi_cpu){ p[3], p[2], (u32)get_field(p + 4, 4) & 1 };
        break;
    case MADT_X2APIC:
        if (len >= 16 && acpi.nr_cpus < NR_CPUS && (u32)get_field(p + 4, 4) != ~0u)
            acpi.cpu[acpi.nr_cpus++] = (struct acpi_cpu){ (u32)get_field(p + 4, 4), (u32)get_field(p + 12, 4), (u32)get_field(p + 8, 4) & 1 };
        break;
    case MADT_IOAPIC:
        if (len >= 12 && acpi.nr_ioapics < ACPI_MAX_IOAPICS)
            acpi.ioapic[acpi.nr_ioapics++] = (struct acpi_ioapic){ p[2], (u32)get_field(p + 4, 4), (u32)get_field(p + 8, 4) };
        break;
    case MADT_OVERRIDE:
        if (len >= 10 && acpi.nr_overrides < ACPI_MAX_OVERRIDES)
            acpi.override[acpi.nr_overrides++] = (struct acpi_override){ p[3], (u32)get_field(p + 4, 4), (u16)get_field(p + 8, 2) };
        break;
    case MADT_LAPIC_NMI:
        if (len >= 6 && acpi.nr_lapic_nmis < ACPI_MAX_LAPIC_NMI)
            acpi.lapic_nmi[acpi.nr_lapic_nmis++] =
                (struct acpi_lapic_nmi){ p[2] == 0xff ? ~0u : p[2], (u16)get_field(p + 3, 2), p[5] };
        break;
    case MADT_X2APIC_NMI:
        if (len >= 12 && acpi.nr_lapic_nmis < ACPI_MAX_LAPIC_NMI)
            acpi.lapic_nmi[acpi.nr_lapic_nmis++] = (struct acpi_lapic_nmi){ (u32)get_field(p + 4, 4), (u16)get_field(p + 2, 2), p[8] };
        break;
    case MADT_LAPIC_ADDRESS:
        if (len >= 12)
            acpi.lapic = (u64)get_field(p + 4, 8);
        break;
    }
}

#define MADT_PCAT_COMPAT 1

static void read_madt(void)
{
    struct __packed madt {
        struct acpi_header header;
        u32 lapic;
        u32 flags;
    };
    u32 len;
    const struct madt *madt = acpi_find_table("APIC", &len);
    const u8 *p, *end;

    if (!madt) {
        printk(LOG_WARN "ACPI: no MADT: one CPU, no IO-APIC\n");
        return;
    }
    if (len >= sizeof(*madt)) {
        acpi.lapic = madt->lapic;
        acpi.pcat_compat = madt->flags & MADT_PCAT_COMPAT;
        p = (const u8 *)(madt + 1);
        end = (const u8 *)madt + len;
        for (; p + 2 <= end && p[1] >= 2 && p + p[1] <= end; p += p[1])
            read_madt_entry(p, p[1]);
    }
    acpi_unmap(madt, len);
}

/* ---- Other tables ---- */

/* The part of the FADT that is used, up to the last field of ACPI 2.0. Older ones are shorter. */
struct __packed acpi_fadt {
    struct acpi_header header;
    u32 facs, dsdt;
    u8 int_model, pm_profile;
    u16 sci_irq;
    u32 smi_port;
    u8 acpi_enable, acpi_disable, s4bios, pstate;
    u32 pm1a_evt, pm1b_evt, pm1a_cnt, pm1b_cnt, pm2_cnt, pm_timer, gpe0, gpe1;
    u8 pm1_evt_len, pm1_cnt_len, pm2_cnt_len, pm_timer_len, gpe0_len, gpe1_len, gpe1_base, cst;
    u16 c2_latency, c3_latency, flush_size, flush_stride;
    u8 duty_offset, duty_width, day_alarm, month_alarm, century;
    u16 boot_arch;
    u8 reserved;
    u32 flags;
    struct acpi_gas reset_reg;
    u8 reset_value;
    u16 arm_boot_arch;
    u8 minor_version;
    u64 x_facs, x_dsdt;
    struct acpi_gas x_pm1a_evt, x_pm1b_evt, x_pm1a_cnt, x_pm1b_cnt, x_pm2_cnt, x_pm_timer;
};

/* The extended form of a register block if it is given, else the old one, a port. */
static struct acpi_gas register_block(struct acpi_gas extended, u32 port, unsigned int bytes)
{
    if (extended.address)
        return extended;
    return (struct acpi_gas){ .space = ACPI_SPACE_IO, .bit_width = (u8)(bytes * 8), .address = port };
}

static void read_fadt(void)
{
    struct acpi_fadt fadt = { .sci_irq = 0 };
    u32 len;
    const void *table = acpi_find_table("FACP", &len);

    if (!table) {
        printk(LOG_WARN "ACPI: no FADT: no power-off\n");
        return;
    }
    /* What an older table does not have stays zero. */
    memcpy(&fadt, table, min_t(size_t, len, sizeof(fadt)));
    acpi_unmap(table, len);

    acpi.has_fadt = true;
    acpi.sci_irq = fadt.sci_irq;
    acpi.boot_arch = fadt.boot_arch;
    acpi.fadt_flags = fadt.flags;
    acpi.pm1a_evt = register_block(fadt.x_pm1a_evt, fadt.pm1a_evt, fadt.pm1_evt_len);
    acpi.pm1b_evt = register_block(fadt.x_pm1b_evt, fadt.pm1b_evt, fadt.pm1_evt_len);
    acpi.pm1a_cnt = register_block(fadt.x_pm1a_cnt, fadt.pm1a_cnt, fadt.pm1_cnt_len);
    acpi.pm1b_cnt = register_block(fadt.x_pm1b_cnt, fadt.pm1b_cnt, fadt.pm1_cnt_len);
    acpi.pm_timer = register_block(fadt.x_pm_timer, fadt.pm_timer, fadt.pm_timer_len);
    acpi.facs = fadt.x_facs ? fadt.x_facs : fadt.facs;
    acpi.dsdt = fadt.x_dsdt ? fadt.x_dsdt : fadt.dsdt;
    if (fadt.flags & ACPI_FADT_RESET_SUPPORTED) {
        acpi.reset_reg = fadt.reset_reg;
        acpi.reset_value = fadt.reset_value;
    }
}

static void read_hpet(void)
{
    struct __packed hpet {
        struct acpi_header header;
        u32 id;
        struct acpi_gas address;
    };
    u32 len;
    const struct hpet *hpet = acpi_find_table("HPET", &len);

    if (!hpet)
        return;
    if (len >= sizeof(*hpet) && hpet->address.space == ACPI_SPACE_MEMORY)
        acpi.hpet = hpet->address.address;
    acpi_unmap(hpet, len);
}

static void read_mcfg(void)
{
    struct __packed mcfg_entry {
        u64 base;
        u16 segment;
        u8 start_bus, end_bus;
        u32 reserved;
    };
    u32 len;
    const struct acpi_header *mcfg = acpi_find_table("MCFG", &len);
    const size_t first = sizeof(*mcfg) + 8;

    if (!mcfg)
        return;
    for (size_t at = first; at + sizeof(struct mcfg_entry) <= len && acpi.nr_mcfg < ACPI_MAX_MCFG;
         at += sizeof(struct mcfg_entry)) {
        const struct mcfg_entry *entry = (const struct mcfg_entry *)((const char *)mcfg + at);

        if (entry->base && entry->start_bus <= entry->end_bus)
            acpi.mcfg[acpi.nr_mcfg++] =
                (struct acpi_mcfg){ entry->base, entry->segment, entry->start_bus, entry->end_bus };
    }
    acpi_unmap(mcfg, len);
}

void __init acpi_init(void)
{
    if (!read_rsdp(efi_rsdp()) && !read_rsdp(boot_info.rsdp) && !read_rsdp(find_rsdp())) {
        printk(LOG_WARN "ACPI: no root pointer found: one CPU, no IO-APIC\n");
        return;
    }
    acpi.present = true;
    read_madt();
    read_fadt();
    read_hpet();
    read_mcfg();
    printk(LOG_INFO "ACPI: %u CPUs, %u IO-APICs%s, %u PCI segments\n", acpi.nr_cpus, acpi.nr_ioapics,
           acpi.hpet ? ", HPET" : "", acpi.nr_mcfg);
}
