/* SPDX-License-Identifier: MIT */
/*
 * What the files of this test share: the guest of the tables' tests is also the one whose core is written.
 */
#ifndef CORE_WRITER_TEST_H
#define CORE_WRITER_TEST_H

#define SHARED_FRAME 8

/* Give the guest a memory of one page. */
void make_guest(void);

int run_writer_tests(void);

#endif
