/* SPDX-License-Identifier: MIT */
/*
 * What the store says about a domain besides its devices (Xen's docs/misc/xenstore-paths.pandoc).
 */
#ifndef DOMUSD_GUEST_STORE_H
#define DOMUSD_GUEST_STORE_H

#include "domain.h"

/* Write the nodes of a domain that has just been built. */
void guest_store_put(const struct domain *domain);

/* Remove all nodes of the domain with this number and uuid, those of its devices included. */
void guest_store_remove(int domid, const char *uuid);

/* The nodes of dom0 itself. */
void guest_store_put_dom0(void);

/* Ask the guest for "poweroff" or "reboot". */
void guest_store_ask(int domid, const char *request);

/* Have the guest's kernel act on this magic SysRq key. */
void guest_store_sysrq(int domid, char key);

/* The name of any domain, by its node; "" if it has none. */
const char *guest_store_name(int domid);

/* The domain has another name, or another uuid and name. */
void guest_store_rename(const struct domain *domain);

#endif
