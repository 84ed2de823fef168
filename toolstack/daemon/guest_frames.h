/* SPDX-License-Identifier: MIT */
/*
 * Which machine frames a paravirtualized guest's memory consists of, by the tables that the guest itself keeps of them
 * (Xen's arch-x86/xen.h, struct arch_shared_info).
 */
#ifndef DOMUSD_GUEST_FRAMES_H
#define DOMUSD_GUEST_FRAMES_H

#include <stddef.h>
#include <stdint.h>

#include "core_file.h"

struct guest_frames {
    struct core_p2m *list;
    size_t count;
};

/*
 * Read the tables of domain `domid`, whose shared info page is `shared`: at most `max_frames` frames, whatever the guest
 * claims. 0, or -ENODATA (the guest has not said where its tables are), -ENOMEM. `list` is to be freed.
 */
int guest_frames_read(uint32_t domid, const shared_info_t *shared, size_t max_frames, struct guest_frames *frames);

#endif
