/* SPDX-License-Identifier: MIT */
/*
 * Keys of the hypervisor's console: each prints some state or does something to the machine.
 */
#ifndef DOMUS_KEYHANDLER_H
#define DOMUS_KEYHANDLER_H

#include <domus/types.h>

typedef void keyhandler_fn(char key);

/* Run `fn` when `key` is pressed; `desc` is a line for the help. Replaces what was there. */
void register_keyhandler(char key, keyhandler_fn *fn, const char *desc);
/* A key was pressed, or sent by sysctl debug_keys: run its handler. Interrupts on, no lock held. */
void handle_keypress(char key);
/* Register the key that lists all. */
void keyhandler_init(void);

#endif
