/* SPDX-License-Identifier: MIT */
/*
 * Runs of contiguous pages of any length: what the heap's powers of two leave over is given back. For the large
 * temporary buffers of booting.
 */
#ifndef ASM_PAGE_RUN_H
#define ASM_PAGE_RUN_H

#include <domus/types.h>

struct page_info;

/* nr contiguous pages, contents undefined; NULL if there is no such run. */
struct page_info *page_run_alloc(unsigned long nr);
/* Gives back nr pages from pg on, which may be all or a part of a run. */
void page_run_free(struct page_info *pg, unsigned long nr);

#endif
