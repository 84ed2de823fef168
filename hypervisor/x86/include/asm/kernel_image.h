/* SPDX-License-Identifier: MIT */
/*
 * dom0's kernel on its way from a boot module to a running image: decompression, the bzImage container, the ELF file
 * and its Xen notes. Functions that can fail return NULL, or a phrase that says what is wrong with the image.
 */
#ifndef ASM_KERNEL_IMAGE_H
#define ASM_KERNEL_IMAGE_H

#include <domus/types.h>

/* ---- decompress.c ---- */

/* Name of the compression that the data begins with, or NULL if it is none that is known. */
const char *compression_name(const void *in, size_t in_len);
/*
 * Unpacks a whole stream; its length must be exactly out_len. trailer: bytes at the end of the input that are not part
 * of the stream (a gzip stream's own length word counts as part of it). Boot only: uses the FPU and the FS base.
 */
const char *decompress(const void *in, size_t in_len, size_t trailer, void *out, size_t out_len);

/* ---- bzimage.c ---- */

struct kernel_file {
    const void *data;               /* an ELF file */
    size_t size;                    /* bytes */
    const char *container;          /* how it came: "ELF", "bzImage, xz" and so on */
    struct page_info *run;          /* memory it was unpacked into; NULL: it lies in the module */
    char container_buf[32];
};

/* Finds the ELF file in a boot module that is a bzImage or an ELF file. Keeps pointers into the module. */
const char *kernel_file_open(const void *module, size_t size, struct kernel_file *file);
void kernel_file_close(struct kernel_file *file);

/* ---- elf.c ---- */

/* What a PV kernel says about itself: <xen/elfnote.h>. Addresses are virtual unless named otherwise. */
struct pv_kernel {
    const u8 *image;
    size_t size;
    u64 virt_base, paddr_offset, entry;
    u64 hypercall_page;             /* 0: none */
    u64 init_p2m;                   /* 0: the list lies in the initial region */
    bool unmapped_initrd;           /* can be given its ramdisk by frame number */
    u32 features_supported, features_required;      /* bits XENFEAT_* */
    bool names_supported_features;  /* has note SUPPORTED_FEATURES, so that what it lacks it cannot */
    u64 start, end;                 /* of all segments, end exclusive */
    char guest_os[32], guest_version[32];
};

/* Checks file and notes. Afterwards every segment lies within the file and within [start, end). */
const char *pv_kernel_parse(const void *image, size_t size, struct pv_kernel *k);
/* Segment i: false if there is none. Fills where it goes (virtual), its bytes and its length with zero fill. */
bool pv_kernel_segment(const struct pv_kernel *k, unsigned int *i, u64 *va, const void **data, u64 *filesz, u64 *memsz);

#endif
