/* SPDX-License-Identifier: MIT */
/*
 * Lets libxlutil's configuration reader be linked without libxl. One function of the reader, which Domus does not call,
 * refers to one function of libxl; with it would come all of libxl and thirty libraries, for every call of every
 * command to load. This is that function.
 */
#include <libxl.h>

void libxl_defbool_set(libxl_defbool *value, bool to) { value->val = to ? 1 : -1; }
