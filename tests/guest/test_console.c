/* SPDX-License-Identifier: MIT */
/* console_io: writing and reading, with bad pointers and counts. */
#include "kernel.h"

static void writes(void)
{
    char text[] = "  written\n", odd[] = { '\0', 1, 27, (char)0xff, (char)0x80, '\n' };

    check_eq(HCALL(console_io, CONSOLEIO_write, sizeof(text) - 1, text, 0, 0), 0);
    check_eq(HCALL(console_io, CONSOLEIO_write, sizeof(odd), odd, 0, 0), 0);
    check_eq(HCALL(console_io, CONSOLEIO_write, 0, text, 0, 0), 0);
    check_eq(HCALL(console_io, CONSOLEIO_write, 0, UNMAPPED, 0, 0), 0);
}

static void bad_writes(void)
{
    check_eq(HCALL(console_io, CONSOLEIO_write, 5, UNMAPPED, 0, 0), -XEN_EFAULT);
    check_eq(HCALL(console_io, CONSOLEIO_write, 5, HV_SECRET, 0, 0), -XEN_EFAULT);
    check_eq(HCALL(console_io, CONSOLEIO_write, 5, NON_CANONICAL, 0, 0), -XEN_EFAULT);
    check_eq(HCALL(console_io, CONSOLEIO_write, 5, ~1UL, 0, 0), -XEN_EFAULT);
    check(HCALL(console_io, CONSOLEIO_write, 0xffffffff, HV_SECRET, 0, 0) < 0);
    check(HCALL(console_io, CONSOLEIO_write, 0x80000000, HV_SECRET, 0, 0) < 0);
}

static void reads(void)
{
    char buffer[16];

    check_eq(HCALL(console_io, CONSOLEIO_read, sizeof(buffer), buffer, 0, 0), 0);
    check_eq(HCALL(console_io, CONSOLEIO_read, 0, UNMAPPED, 0, 0), 0);
    check(HCALL(console_io, CONSOLEIO_read, 0xffffffff, HV_SECRET, 0, 0) <= 0);
    check_eq(HCALL(console_io, 55, 1, buffer, 0, 0), -XEN_ENOSYS);
}

TESTS({ "writes", writes }, { "bad writes", bad_writes }, { "reads", reads });
