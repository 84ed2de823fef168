/* SPDX-License-Identifier: MIT */
/* What this build says of itself. The interface that guests and tools see is that of Xen 4.17. */
#ifndef DOMUS_VERSION_H
#define DOMUS_VERSION_H

#include <generated/version.h>

#define INTERFACE_MAJOR 4
#define INTERFACE_MINOR 17
#define INTERFACE_EXTRA ".7-domus"
#define COMPILED_BY     "domus " DOMUS_VERSION
#define CHANGESET       "domus " DOMUS_COMMIT

#endif
