/* SPDX-License-Identifier: MIT */
/*
 * Devices of running domains: attached, detached, grown.
 */
#ifndef DOMUSD_HOTPLUG_H
#define DOMUSD_HOTPLUG_H

#include <stdbool.h>
#include <stdint.h>

#include <jansson.h>

#include "domain.h"
#include "lib/failure.h"

enum device_kind { DEVICE_DISK, DEVICE_CARD };

/* "vbd" or "vif", as the store calls them. */
const char *device_kind_name(enum device_kind kind);

/*
 * Begin to attach the device that `object` describes, which is completed as configurations are. The outcome is told to
 * the waiters, once, from the event loop. NULL with the why and remedy of *failure set if it is refused; otherwise
 * *number is the new device's.
 */
struct waiters *hotplug_attach(struct domain *domain, enum device_kind kind, json_t *object, uint32_t *number,
                               struct failure *failure);

/*
 * Begin to detach a device: the guest is asked to let go of it, or not asked, with `force`. As above.
 */
struct waiters *hotplug_detach(struct domain *domain, enum device_kind kind, uint32_t number, bool force,
                               struct failure *failure);

/*
 * Let a disk be as large as its file or device is now, or, with `bytes` not 0, enlarge its file to that. The guest is
 * told by its back end. True: it is done, or, if *waiters is not NULL, begun, and the outcome is told to those. False
 * with the why and remedy of *failure set.
 */
bool hotplug_resize(struct domain *domain, uint32_t number, uint64_t bytes, struct waiters **waiters,
                    struct failure *failure);

/* The domain is being taken down: nothing of this goes on. */
void hotplug_cancel(struct domain *domain);

#endif
