/* SPDX-License-Identifier: MIT */
/*
 * What becomes of a domain whose guest has ended: on_poweroff=, on_reboot=, on_crash=, on_watchdog= of its configuration.
 */
#ifndef DOMUSD_GUEST_END_H
#define DOMUSD_GUEST_END_H

#include "domain.h"

/* The guest of a running domain has ended for `reason` (SHUTDOWN_*). */
void guest_ended(struct domain *domain, unsigned int reason);

/*
 * How many seconds to wait before a domain is made again whose last `short_lives` lives in a row were short: none after
 * the first, then 1, 2, 4, ... up to a minute.
 */
unsigned int restart_delay(unsigned int short_lives);

#endif
