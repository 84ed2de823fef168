/* SPDX-License-Identifier: MIT */
/*
 * What an ELF kernel says of itself: what to load where, and the notes by which it declares how it runs
 * paravirtualized (specified in Xen's public elfnote.h). Works on hostile bytes in memory.
 */
#ifndef DOMUS_BUILD_PV_ELF_H
#define DOMUS_BUILD_PV_ELF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "lib/failure.h"

#define PAGE_SHIFT      12
#define PAGE_SIZE       (1UL << PAGE_SHIFT)

#define PV_SEGMENTS_MAX 16

/* A part of the file that is to be loaded: its place is counted in bytes of guest pseudo-physical memory. */
struct pv_segment {
    uint64_t address;
    uint64_t memory_size;
    uint64_t file_offset;
    uint64_t file_size;
};

struct pv_kernel {
    struct pv_segment segments[PV_SEGMENTS_MAX];
    unsigned int segment_count;

    /* Pseudo-physical bytes from the first to the end of the last segment. */
    uint64_t start, end;

    uint64_t virt_base;      /* virtual address of pseudo-physical address 0 */
    uint64_t entry;          /* virtual */
    uint64_t hypercall_page; /* virtual; only if has_hypercall_page */
    uint64_t p2m_base;       /* virtual; only if has_p2m_base */
    bool has_hypercall_page;
    bool has_p2m_base;
    bool ramdisk_unmapped; /* can find its ramdisk by frame number */
};

/*
 * Read the headers and notes of the ELF file of `size` bytes at `data`. On success all file ranges lie within the file,
 * and all addresses are checked against each other, so that the kernel can be loaded without a further look. 0, or -1
 * with the reason in *failure.
 */
int pv_kernel_parse(const uint8_t *data, size_t size, struct pv_kernel *kernel, struct failure *failure);

#endif
