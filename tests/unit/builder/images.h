/* SPDX-License-Identifier: MIT */
/*
 * Makes kernel images for the tests: a small ELF kernel with Xen's notes, the same packed, the same in a bzImage. And
 * what all test files share.
 */
#ifndef TESTS_BUILDER_IMAGES_H
#define TESTS_BUILDER_IMAGES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "build/payload.h"
#include "build/pv_elf.h"

struct image {
    uint8_t *data;
    size_t size;
};

/* The ELF kernel that elf_image makes: where its parts are, for tests that spoil them. */
#define IMAGE_VIRT_BASE    0xffffffff80000000UL
#define IMAGE_P2M_BASE     0x8000000000UL
#define IMAGE_START        0x1000000UL
#define IMAGE_TEXT_SIZE    0x3000UL
#define IMAGE_BSS_SIZE     0x1800UL
#define IMAGE_TEXT_OFFSET  0x1000UL
#define IMAGE_NOTES_OFFSET 0x200UL

/* Give back with image_free. */
struct image elf_image(void);
/* `image` packed; for COMPRESSION_NONE a copy. */
struct image packed_image(const struct image *image, enum compression compression);
/* A bzImage around `payload`, with the size trailer that the kernel's build adds unless it is gzip or not packed. */
struct image bz_image(const struct image *payload, enum compression compression, size_t unpacked_size);
void image_free(struct image *image);

/* The same numbers on every run. */
uint64_t next_random(void);

/* The next failure of a test has said what it is about. */
extern struct failure test_failure;
/* It gives a reason and a remedy. */
void assert_explained(void);

int run_payload_tests(void);
int run_elf_tests(void);
int run_layout_tests(void);
int run_kernel_tests(void);
int run_ramdisk_tests(void);

#endif
