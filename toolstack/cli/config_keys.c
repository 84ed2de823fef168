/* SPDX-License-Identifier: MIT */
/*
 * All keys of xl.cfg(5) and what Domus does with them; and a scanner that finds the keys of a configuration and their
 * lines, which libxlutil does not tell.
 */
#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/config.h"

#define KEY_MAX 64

#define HVM_ONLY     "it is for fully virtualized guests"
#define NO_SCREEN    "guests have a console and no screen"
#define NO_BACK_END  "dom0 does not serve such devices"
#define NO_LABELS    "there is no security policy"
#define ONE_NODE     "guests see one node of memory"
#define PASS_THROUGH "devices of the host are not passed through to guests"
#define WANTS_KERNEL "the kernel is read from dom0: give kernel and ramdisk"
#define LIMITS       "the hypervisor's own limit holds"

static const struct key {
    const char *name;
    enum key_use use;
    const char *reason; /* why not */
} keys[] = {
    { "builder", KEY_USED, NULL },
    { "cap", KEY_USED, NULL },
    { "cmdline", KEY_USED, NULL },
    { "cpu_weight", KEY_USED, NULL },
    { "cpus", KEY_USED, NULL },
    { "cpus_soft", KEY_USED, NULL },
    { "disk", KEY_USED, NULL },
    { "extra", KEY_USED, NULL },
    { "kernel", KEY_USED, NULL },
    { "localtime", KEY_USED, NULL },
    { "max_grant_frames", KEY_USED, NULL },
    { "max_maptrack_frames", KEY_USED, NULL },
    { "maxmem", KEY_USED, NULL },
    { "maxvcpus", KEY_USED, NULL },
    { "memory", KEY_USED, NULL },
    { "name", KEY_USED, NULL },
    { "on_crash", KEY_USED, NULL },
    { "on_poweroff", KEY_USED, NULL },
    { "on_reboot", KEY_USED, NULL },
    { "on_soft_reset", KEY_USED, NULL },
    { "on_watchdog", KEY_USED, NULL },
    { "pool", KEY_USED, NULL },
    { "ramdisk", KEY_USED, NULL },
    { "root", KEY_USED, NULL },
    { "rtc_timeoffset", KEY_USED, NULL },
    { "tsc_mode", KEY_USED, NULL },
    { "type", KEY_USED, NULL },
    { "uuid", KEY_USED, NULL },
    { "vcpus", KEY_USED, NULL },
    { "vif", KEY_USED, NULL },
    { "bootargs", KEY_REFUSED, WANTS_KERNEL },
    { "bootloader", KEY_REFUSED, WANTS_KERNEL },
    { "bootloader_args", KEY_REFUSED, WANTS_KERNEL },
    { "channel", KEY_REFUSED, NO_BACK_END },
    { "device_tree", KEY_REFUSED, "it is for Arm" },
    { "dtdev", KEY_REFUSED, "it is for Arm" },
    { "e820_host", KEY_REFUSED, PASS_THROUGH },
    { "gic_version", KEY_REFUSED, "it is for Arm" },
    { "iomem", KEY_REFUSED, PASS_THROUGH },
    { "ioports", KEY_REFUSED, PASS_THROUGH },
    { "irqs", KEY_REFUSED, PASS_THROUGH },
    { "p9", KEY_REFUSED, NO_BACK_END },
    { "pci", KEY_REFUSED, PASS_THROUGH },
    { "pvcalls", KEY_REFUSED, NO_BACK_END },
    { "tee", KEY_REFUSED, "it is for Arm" },
    { "usbctrl", KEY_REFUSED, NO_BACK_END },
    { "usbdev", KEY_REFUSED, NO_BACK_END },
    { "virtio", KEY_REFUSED, NO_BACK_END },
    { "vtpm", KEY_REFUSED, NO_BACK_END },
    { "vuart", KEY_REFUSED, "it is for Arm" },
    { "acpi", KEY_IGNORED, HVM_ONLY },
    { "acpi_firmware", KEY_IGNORED, HVM_ONLY },
    { "acpi_laptop_slate", KEY_IGNORED, HVM_ONLY },
    { "acpi_s3", KEY_IGNORED, HVM_ONLY },
    { "acpi_s4", KEY_IGNORED, HVM_ONLY },
    { "altp2m", KEY_IGNORED, HVM_ONLY },
    { "apic", KEY_IGNORED, HVM_ONLY },
    { "bios", KEY_IGNORED, HVM_ONLY },
    { "bios_path_override", KEY_IGNORED, HVM_ONLY },
    { "blkdev_start", KEY_IGNORED, "only boot loaders of dom0 use it" },
    { "boot", KEY_IGNORED, HVM_ONLY },
    { "cpuid", KEY_IGNORED, "guests see what the hypervisor shows all of them" },
    { "device_model_args", KEY_IGNORED, HVM_ONLY },
    { "device_model_args_hvm", KEY_IGNORED, HVM_ONLY },
    { "device_model_args_pv", KEY_IGNORED, "there is no device model" },
    { "device_model_override", KEY_IGNORED, HVM_ONLY },
    { "device_model_stubdomain_override", KEY_IGNORED, HVM_ONLY },
    { "device_model_user", KEY_IGNORED, HVM_ONLY },
    { "device_model_version", KEY_IGNORED, HVM_ONLY },
    { "dm_restrict", KEY_IGNORED, HVM_ONLY },
    { "driver_domain", KEY_IGNORED, "back ends run in dom0" },
    { "firmware_override", KEY_IGNORED, HVM_ONLY },
    { "gfx_passthru", KEY_IGNORED, HVM_ONLY },
    { "hap", KEY_IGNORED, HVM_ONLY },
    { "hdtype", KEY_IGNORED, HVM_ONLY },
    { "hpet", KEY_IGNORED, HVM_ONLY },
    { "init_seclabel", KEY_IGNORED, NO_LABELS },
    { "keymap", KEY_IGNORED, NO_SCREEN },
    { "max_event_channels", KEY_IGNORED, LIMITS },
    { "max_grant_version", KEY_IGNORED, LIMITS },
    { "mca_caps", KEY_IGNORED, HVM_ONLY },
    { "mmio_hole", KEY_IGNORED, HVM_ONLY },
    { "ms_vm_genid", KEY_IGNORED, HVM_ONLY },
    { "nestedhvm", KEY_IGNORED, HVM_ONLY },
    { "nographic", KEY_IGNORED, NO_SCREEN },
    { "nomigrate", KEY_IGNORED, "domains are not migrated" },
    { "numa_placement", KEY_IGNORED, ONE_NODE },
    { "nx", KEY_IGNORED, HVM_ONLY },
    { "oos", KEY_IGNORED, HVM_ONLY },
    { "opengl", KEY_IGNORED, NO_SCREEN },
    { "pae", KEY_IGNORED, HVM_ONLY },
    { "paging_mempool_size", KEY_IGNORED, HVM_ONLY },
    { "passthrough", KEY_IGNORED, PASS_THROUGH },
    { "pci_msitranslate", KEY_IGNORED, PASS_THROUGH },
    { "pci_permissive", KEY_IGNORED, PASS_THROUGH },
    { "pci_power_mgmt", KEY_IGNORED, PASS_THROUGH },
    { "pci_seize", KEY_IGNORED, PASS_THROUGH },
    { "rdm", KEY_IGNORED, HVM_ONLY },
    { "rdm_mem_boundary", KEY_IGNORED, HVM_ONLY },
    { "sdl", KEY_IGNORED, NO_SCREEN },
    { "seclabel", KEY_IGNORED, NO_LABELS },
    { "serial", KEY_IGNORED, HVM_ONLY },
    { "shadow_memory", KEY_IGNORED, HVM_ONLY },
    { "smbios_firmware", KEY_IGNORED, HVM_ONLY },
    { "soundhw", KEY_IGNORED, HVM_ONLY },
    { "spice", KEY_IGNORED, NO_SCREEN },
    { "spice_clipboard_sharing", KEY_IGNORED, NO_SCREEN },
    { "spice_image_compression", KEY_IGNORED, NO_SCREEN },
    { "spice_streaming_video", KEY_IGNORED, NO_SCREEN },
    { "spiceagent_mouse", KEY_IGNORED, NO_SCREEN },
    { "spicedisable_ticketing", KEY_IGNORED, NO_SCREEN },
    { "spicehost", KEY_IGNORED, NO_SCREEN },
    { "spicepasswd", KEY_IGNORED, NO_SCREEN },
    { "spiceport", KEY_IGNORED, NO_SCREEN },
    { "spicetls_port", KEY_IGNORED, NO_SCREEN },
    { "spiceusbredirection", KEY_IGNORED, NO_SCREEN },
    { "spicevdagent", KEY_IGNORED, NO_SCREEN },
    { "stdvga", KEY_IGNORED, HVM_ONLY },
    { "suppress_spurious_page_faults", KEY_IGNORED, "there are none" },
    { "system_firmware", KEY_IGNORED, HVM_ONLY },
    { "timer_mode", KEY_IGNORED, HVM_ONLY },
    { "trap_unmapped_accesses", KEY_IGNORED, "it is for Arm" },
    { "usb", KEY_IGNORED, HVM_ONLY },
    { "usbdevice", KEY_IGNORED, HVM_ONLY },
    { "usbversion", KEY_IGNORED, HVM_ONLY },
    { "vdispl", KEY_IGNORED, NO_SCREEN },
    { "vfb", KEY_IGNORED, NO_SCREEN },
    { "vga", KEY_IGNORED, HVM_ONLY },
    { "videoram", KEY_IGNORED, HVM_ONLY },
    { "viridian", KEY_IGNORED, HVM_ONLY },
    { "vkb", KEY_IGNORED, NO_SCREEN },
    { "vkb_device", KEY_IGNORED, HVM_ONLY },
    { "vmtrace_buf_kb", KEY_IGNORED, "processors are not traced" },
    { "vnc", KEY_IGNORED, NO_SCREEN },
    { "vncconsole", KEY_IGNORED, NO_SCREEN },
    { "vncdisplay", KEY_IGNORED, NO_SCREEN },
    { "vnclisten", KEY_IGNORED, NO_SCREEN },
    { "vncpasswd", KEY_IGNORED, NO_SCREEN },
    { "vncunused", KEY_IGNORED, NO_SCREEN },
    { "vnuma", KEY_IGNORED, ONE_NODE },
    { "vpmu", KEY_IGNORED, "performance counters are not virtualized" },
    { "vpt_align", KEY_IGNORED, HVM_ONLY },
    { "vsnd", KEY_IGNORED, NO_SCREEN },
    { "xen_platform_pci", KEY_IGNORED, HVM_ONLY },
    { "xend_suspend_evtchn_compat", KEY_IGNORED, "domains are not migrated" },
};

#define KEY_COUNT (sizeof(keys) / sizeof(keys[0]))

enum key_use config_key_use(const char *key, const char **near, const char **reason)
{
    for (size_t i = 0; i < KEY_COUNT; i++) {
        if (strcmp(keys[i].name, key) == 0) {
            *reason = keys[i].reason;
            return keys[i].use;
        }
    }
    *near = nearest_name(key, &keys[0].name, KEY_COUNT, sizeof(keys[0]));
    return KEY_UNKNOWN;
}

/* Where the scanner is in the text. */
struct scanner {
    const char *next, *end;
    unsigned int line;
    unsigned int depth; /* of brackets */
    bool statement_begins;
};

static void skip_comment(struct scanner *scanner)
{
    while (scanner->next < scanner->end && *scanner->next != '\n')
        scanner->next++;
}

/* From the opening quotation mark to behind the closing one; a backslash takes the character after it along. */
static void skip_string(struct scanner *scanner)
{
    char quote = *scanner->next++;

    while (scanner->next < scanner->end && *scanner->next != quote && *scanner->next != '\n') {
        if (*scanner->next == '\\' && scanner->end - scanner->next > 1 && scanner->next[1] != '\n')
            scanner->next++;
        scanner->next++;
    }
    if (scanner->next < scanner->end && *scanner->next == quote)
        scanner->next++;
}

static void take_word(struct scanner *scanner, char key[KEY_MAX])
{
    size_t length = 0;

    while (scanner->next < scanner->end && (isalnum((unsigned char)*scanner->next) || *scanner->next == '_')) {
        if (length < KEY_MAX - 1)
            key[length++] = *scanner->next;
        scanner->next++;
    }
    key[length] = '\0';
}

static void take_other(struct scanner *scanner)
{
    char c = *scanner->next++;

    if (c == '\n')
        scanner->line++;
    if (c == '[')
        scanner->depth++;
    else if (c == ']' && scanner->depth > 0)
        scanner->depth--;
    if (c == '\n' || c == ';')
        scanner->statement_begins = scanner->depth == 0;
    else if (!isspace((unsigned char)c))
        scanner->statement_begins = false;
}

int config_scan_keys(const char *text, size_t size, int (*found)(void *context, const char *key, unsigned int line),
                     void *context)
{
    struct scanner scanner = { .next = text, .end = text + size, .line = 1, .statement_begins = true };
    char key[KEY_MAX];
    int result = 0;

    while (scanner.next < scanner.end && result == 0) {
        char c = *scanner.next;

        if (c == '#') {
            skip_comment(&scanner);
        } else if (c == '"' || c == '\'') {
            skip_string(&scanner);
        } else if (isalpha((unsigned char)c) || c == '_') {
            take_word(&scanner, key);
            if (scanner.statement_begins)
                result = found(context, key, scanner.line);
            scanner.statement_begins = false;
        } else {
            take_other(&scanner);
        }
    }
    return result;
}
