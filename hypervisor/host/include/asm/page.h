/* SPDX-License-Identifier: MIT */
/* Pages of the fake architecture. */
#ifndef ASM_PAGE_H
#define ASM_PAGE_H

#include <asm/config.h>

#endif
