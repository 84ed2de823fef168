/* SPDX-License-Identifier: MIT */
/*
 * Text from guests, images and programs, before people read it: it can neither begin a line nor command a terminal.
 */
#ifndef DOMUS_PRINTABLE_H
#define DOMUS_PRINTABLE_H

#include <stddef.h>

/* Control characters, also those that terminals know in UTF-8 (U+0080 to U+009F), become question marks. */
static inline void make_printable(char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        unsigned char byte = text[i], before = i ? text[i - 1] : 0;

        if (before == 0xc2 && byte >= 0x80 && byte < 0xa0)
            text[i - 1] = text[i] = '?';
        else if (byte < ' ' || byte == 0x7f)
            text[i] = '?';
    }
}

#endif
