/* SPDX-License-Identifier: MIT */
/*
 * How the builder's functions report a failure: the caller has said in failure->what which thing is being worked on
 * ("cannot load kernel /boot/vmlinuz"); the function that finds the fault adds the reason and the remedy.
 */
#ifndef DOMUS_BUILD_REFUSE_H
#define DOMUS_BUILD_REFUSE_H

#include "lib/failure.h"

/* Set the remedy and the reason (a printf format). Returns -1 always, to be handed on. */
int refuse(struct failure *failure, const char *remedy, const char *why, ...) __attribute__((format(printf, 3, 4)));

#endif
