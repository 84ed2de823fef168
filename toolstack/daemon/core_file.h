/* SPDX-License-Identifier: MIT */
/*
 * The form of a domain's core file: Xen's "dump-core" format (docs/misc/dump-core-format.txt of Xen), an ELF file with
 * sections and no segments. Arithmetic and bytes only; core_dump.c fills it.
 */
#ifndef DOMUSD_CORE_FILE_H
#define DOMUSD_CORE_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "lib/hypercall.h"

#define CORE_PAGE_SIZE 4096U
/* More than the ELF header, the section headers, their names and the notes take together. */
#define CORE_HEAD_SIZE 4096U

/* A row of the section .xen_p2m: which page of the guest the page at the same place of .xen_pages is. */
struct core_p2m {
    uint64_t pfn;
    uint64_t gmfn;
};

/* The descriptor of the note that says which hypervisor it was: answers of xen_version. */
struct core_version {
    uint64_t major, minor;
    xen_extraversion_t extra;
    struct xen_compile_info compiled;
    xen_capabilities_info_t capabilities;
    xen_changeset_info_t changeset;
    struct xen_platform_parameters platform;
    uint64_t page_size;
};

/* What is in the file, and where. */
struct core_file {
    uint64_t vcpus, pages;
    /* Offsets, by core_file_plan: */
    uint64_t contexts, shared_info, first_page, p2m, end;
};

/* From `vcpus` and `pages`, find where everything goes. `first_page` does not depend on `pages`. */
void core_file_plan(struct core_file *file);

/* Write the first CORE_HEAD_SIZE bytes of the file. */
void core_file_head(const struct core_file *file, const struct core_version *version, void *head);

#endif
