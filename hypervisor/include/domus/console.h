/* SPDX-License-Identifier: MIT */
/*
 * Console: the ring that keeps all messages, the devices they go to, and the input that comes
 * from them.
 */
#ifndef DOMUS_CONSOLE_H
#define DOMUS_CONSOLE_H

#include <domus/list.h>
#include <domus/types.h>

/*
 * A console device. `write` is called with the console lock held and interrupts off, or, after a
 * panic, with no lock; it returns when all of `s` is in the device's hands. `flush` waits until
 * the device has sent everything.
 */
struct console_device {
    struct list_head node;
    const char *name;                 /* as in console=: "com1", "com2", "vga" */
    void (*write)(struct console_device *dev, const char *s, size_t len);
    /* May be NULL. */
    void (*flush)(struct console_device *dev);
    bool enabled;
};

/* Add a device; it is used if console= names it (default: com1,vga), and shows the ring first. */
void console_register(struct console_device *dev);
/* Stop the use of a device, for example the screen when dom0 takes it. */
void console_unregister(struct console_device *dev);
/* Enlarge the ring to conring_size=; after the heap is up. */
void console_init_ring(void);
/* dom0 is about to start: give it the input. */
void console_give_to_dom0(void);

/*
 * Text of the hypervisor itself, printk's back end: any number of lines or a part of one. A line
 * may start with a level, "<0>" (error) to "<3>" (debug), or "<G>" and one of those for a message
 * that a guest caused; lines above the thresholds (loglvl=, guest_loglvl=) are dropped. Any
 * context but NMI before a panic.
 */
void console_puts(const char *s, size_t len);

/* Text that dom0 writes: to the devices, as it is. */
void console_write_dom0(const char *s, size_t len);

/* A character has come from a device. Any context but NMI. */
void console_input(char c);

/* From now on output is synchronous, ignores locks, and shows all levels: whoever holds them may never run again. */
void console_break_lock(void);
void console_flush(void);

/*
 * Sysctl readconsole: copy from the ring, starting at `index` if `incremental`, to a guest buffer
 * of `count` bytes; sets `count` to what was copied and `index` to the next to be read. 0, -EFAULT.
 */
struct xen_sysctl_readconsole;
int console_ring_read(struct xen_sysctl_readconsole *op);

#endif
