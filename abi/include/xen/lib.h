/* SPDX-License-Identifier: MIT */
/*
 * The one header beside its own that Xen's public headers ask for: with __XEN__ defined, <xen/hvm/save.h> expects
 * BUG() from <xen/lib.h>.
 */
#ifndef ABI_XEN_LIB_H
#define ABI_XEN_LIB_H

#include <domus/lib.h>

#endif
