/* SPDX-License-Identifier: MIT */
/* Reads of guest memory of a fixed size, for the paths that count instructions: x86/guest_copy.c. */
#ifndef ASM_GUEST_READ_H
#define ASM_GUEST_READ_H

#include <domus/hypercall.h>

/* Reads the two words at guest, once each, as copy_from_guest does. false: they cannot be read. */
bool read_guest_pair(u64 pair[2], guest_ptr_t guest);

#endif
