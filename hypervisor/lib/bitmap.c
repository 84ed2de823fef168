/* SPDX-License-Identifier: MIT */
/* Searching, counting and filling of bitmaps. */
#include <domus/bitmap.h>

/* invert is all ones to look for clear bits. */
static unsigned long find_next(const unsigned long *map, unsigned long size, unsigned long start,
                               unsigned long invert)
{
    unsigned long word;

    if (start >= size)
        return size;

    word = (READ_ONCE(map[BIT_WORD(start)]) ^ invert) & (~0UL << (start % BITS_PER_LONG));
    for (unsigned long i = BIT_WORD(start); ; ) {
        if (word) {
            unsigned long bit = i * BITS_PER_LONG + (unsigned long)__builtin_ctzl(word);

            return bit < size ? bit : size;
        }
        if (++i >= BITS_TO_LONGS(size))
            return size;
        word = READ_ONCE(map[i]) ^ invert;
    }
}

unsigned long find_next_bit(const unsigned long *map, unsigned long size, unsigned long start)
{
    return find_next(map, size, start, 0);
}

unsigned long find_next_zero_bit(const unsigned long *map, unsigned long size, unsigned long start)
{
    return find_next(map, size, start, ~0UL);
}

/* The bits of word i that lie in [start, end). */
static unsigned long word_mask(unsigned long i, unsigned long start, unsigned long end)
{
    unsigned long base = i * BITS_PER_LONG, mask = ~0UL;

    if (start > base)
        mask &= ~0UL << (start - base);
    if (end < base + BITS_PER_LONG)
        mask &= ~(~0UL << (end - base));
    return mask;
}

void bitmap_set(unsigned long *map, unsigned long start, unsigned long nr)
{
    unsigned long end = start + nr;

    for (unsigned long i = BIT_WORD(start); i < BITS_TO_LONGS(end); i++)
        map[i] |= word_mask(i, start, end);
}

void bitmap_clear(unsigned long *map, unsigned long start, unsigned long nr)
{
    unsigned long end = start + nr;

    for (unsigned long i = BIT_WORD(start); i < BITS_TO_LONGS(end); i++)
        map[i] &= ~word_mask(i, start, end);
}

unsigned int bitmap_weight(const unsigned long *map, unsigned long nbits)
{
    unsigned int weight = 0;

    for (unsigned long i = 0; i < BITS_TO_LONGS(nbits); i++)
        weight += hweight64(map[i] & word_mask(i, 0, nbits));
    return weight;
}
