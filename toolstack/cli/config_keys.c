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

static const struct key {
    const char *name;
    enum key_use use;
} keys[] = {
    { "builder", KEY_USED },
    { "cmdline", KEY_USED },
    { "disk", KEY_USED },
    { "extra", KEY_USED },
    { "kernel", KEY_USED },
    { "maxmem", KEY_USED },
    { "maxvcpus", KEY_USED },
    { "memory", KEY_USED },
    { "name", KEY_USED },
    { "on_crash", KEY_USED },
    { "on_poweroff", KEY_USED },
    { "on_reboot", KEY_USED },
    { "ramdisk", KEY_USED },
    { "root", KEY_USED },
    { "type", KEY_USED },
    { "uuid", KEY_USED },
    { "vcpus", KEY_USED },
    { "vif", KEY_USED },

    { "bootloader", KEY_REFUSED },
    { "bootloader_args", KEY_REFUSED },
    { "bootargs", KEY_REFUSED },
    { "channel", KEY_REFUSED },
    { "device_tree", KEY_REFUSED },
    { "e820_host", KEY_REFUSED },
    { "firmware_override", KEY_REFUSED },
    { "iomem", KEY_REFUSED },
    { "ioports", KEY_REFUSED },
    { "irqs", KEY_REFUSED },
    { "p9", KEY_REFUSED },
    { "pci", KEY_REFUSED },
    { "pool", KEY_REFUSED },
    { "pvcalls", KEY_REFUSED },
    { "usbdev", KEY_REFUSED },
    { "usbctrl", KEY_REFUSED },
    { "vtpm", KEY_REFUSED },

    { "acpi", KEY_IGNORED },
    { "altp2m", KEY_IGNORED },
    { "apic", KEY_IGNORED },
    { "bios", KEY_IGNORED },
    { "blkdev_start", KEY_IGNORED },
    { "boot", KEY_IGNORED },
    { "cap", KEY_IGNORED },
    { "cpu_weight", KEY_IGNORED },
    { "cpuid", KEY_IGNORED },
    { "cpus", KEY_IGNORED },
    { "cpus_soft", KEY_IGNORED },
    { "device_model_args", KEY_IGNORED },
    { "device_model_args_hvm", KEY_IGNORED },
    { "device_model_args_pv", KEY_IGNORED },
    { "device_model_override", KEY_IGNORED },
    { "device_model_stubdomain_override", KEY_IGNORED },
    { "device_model_user", KEY_IGNORED },
    { "device_model_version", KEY_IGNORED },
    { "dm_restrict", KEY_IGNORED },
    { "driver_domain", KEY_IGNORED },
    { "gfx_passthru", KEY_IGNORED },
    { "hap", KEY_IGNORED },
    { "hdtype", KEY_IGNORED },
    { "hpet", KEY_IGNORED },
    { "init_seclabel", KEY_IGNORED },
    { "keymap", KEY_IGNORED },
    { "localtime", KEY_IGNORED },
    { "max_event_channels", KEY_IGNORED },
    { "max_grant_frames", KEY_IGNORED },
    { "max_grant_version", KEY_IGNORED },
    { "max_maptrack_frames", KEY_IGNORED },
    { "nestedhvm", KEY_IGNORED },
    { "nographic", KEY_IGNORED },
    { "nomigrate", KEY_IGNORED },
    { "numa_placement", KEY_IGNORED },
    { "nx", KEY_IGNORED },
    { "on_soft_reset", KEY_IGNORED },
    { "on_watchdog", KEY_IGNORED },
    { "oos", KEY_IGNORED },
    { "opengl", KEY_IGNORED },
    { "pae", KEY_IGNORED },
    { "passthrough", KEY_IGNORED },
    { "pci_msitranslate", KEY_IGNORED },
    { "pci_permissive", KEY_IGNORED },
    { "pci_power_mgmt", KEY_IGNORED },
    { "pci_seize", KEY_IGNORED },
    { "rdm", KEY_IGNORED },
    { "rtc_timeoffset", KEY_IGNORED },
    { "sdl", KEY_IGNORED },
    { "seclabel", KEY_IGNORED },
    { "serial", KEY_IGNORED },
    { "shadow_memory", KEY_IGNORED },
    { "soundhw", KEY_IGNORED },
    { "spice", KEY_IGNORED },
    { "stdvga", KEY_IGNORED },
    { "timer_mode", KEY_IGNORED },
    { "tsc_mode", KEY_IGNORED },
    { "usb", KEY_IGNORED },
    { "usbdevice", KEY_IGNORED },
    { "vfb", KEY_IGNORED },
    { "vga", KEY_IGNORED },
    { "videoram", KEY_IGNORED },
    { "viridian", KEY_IGNORED },
    { "vkb", KEY_IGNORED },
    { "vmtrace_buf_kb", KEY_IGNORED },
    { "vnc", KEY_IGNORED },
    { "vncconsole", KEY_IGNORED },
    { "vncdisplay", KEY_IGNORED },
    { "vnclisten", KEY_IGNORED },
    { "vncpasswd", KEY_IGNORED },
    { "vncunused", KEY_IGNORED },
    { "vnuma", KEY_IGNORED },
    { "vpmu", KEY_IGNORED },
    { "vpt_align", KEY_IGNORED },
    { "vsnd", KEY_IGNORED },
    { "xen_platform_pci", KEY_IGNORED },
    { "xend_suspend_evtchn_compat", KEY_IGNORED },
};

#define KEY_COUNT (sizeof(keys) / sizeof(keys[0]))

enum key_use config_key_use(const char *key, const char **near)
{
    for (size_t i = 0; i < KEY_COUNT; i++)
        if (strcmp(keys[i].name, key) == 0)
            return keys[i].use;
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
