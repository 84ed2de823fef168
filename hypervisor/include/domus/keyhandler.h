/* SPDX-License-Identifier: MIT */
/*
 * Keys of the hypervisor's console: each prints some state or does something to the machine.
 */
#ifndef DOMUS_KEYHANDLER_H
#define DOMUS_KEYHANDLER_H

#include <domus/types.h>

struct cpu_user_regs;

typedef void keyhandler_fn(char key);

/* Run `fn` when `key` is pressed; `desc` is a line for the help. Replaces what was there. */
void register_keyhandler(char key, keyhandler_fn *fn, const char *desc);
/* A key was pressed (or sent by sysctl debug_keys): run its handler from a softirq or at once. */
void handle_keypress(char key);
/* Register the keys of this file: help, registers, reboot and others. */
void keyhandler_init(void);

#endif
