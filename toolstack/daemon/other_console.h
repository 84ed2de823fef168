/* SPDX-License-Identifier: MIT */
/*
 * Consoles of domains that other tools (xl) have made and that the store says are xenconsoled's to serve.
 */
#ifndef DOMUSD_OTHER_CONSOLE_H
#define DOMUSD_OTHER_CONSOLE_H

#include <stdint.h>

/* Domain `domid` is connected to the store: serve its console as soon as the store says where that is. */
void other_console_begin(uint16_t domid);

/* The domain is gone. No error if it had no such console. */
void other_console_end(uint16_t domid);

/* The console of such a domain; NULL: it has none, or not yet. */
struct console *other_console_find(uint16_t domid);

#endif
