/* SPDX-License-Identifier: MIT */
/* Guest memory access that needs more than a copy. */
#include <domus/guest_access.h>

int copy_string_from_guest(char *dst, size_t size, const void *guest, unsigned long length)
{
    if (length >= size)
        return -E2BIG;
    if (copy_from_guest(dst, guest, length))
        return -EFAULT;
    dst[length] = '\0';
    return 0;
}
