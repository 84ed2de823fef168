/* SPDX-License-Identifier: MIT */
/*
 * Runs all tests of the domain builder.
 */
#include "images.h"

int main(void)
{
    return run_payload_tests() + run_elf_tests() + run_layout_tests() + run_kernel_tests() + run_ramdisk_tests();
}
