/* SPDX-License-Identifier: MIT */
/* Bits and arrays of bits in unsigned longs. set_bit and so on are atomic, the __ forms are not. */
#ifndef DOMUS_BITMAP_H
#define DOMUS_BITMAP_H

#include <domus/atomic.h>
#include <domus/lib.h>
#include <domus/string.h>

#define BITS_TO_LONGS(bits)         DIV_ROUND_UP(bits, BITS_PER_LONG)
#define DECLARE_BITMAP(name, bits)  unsigned long name[BITS_TO_LONGS(bits)]
#define BIT_WORD(nr)                ((nr) / BITS_PER_LONG)
#define BIT_MASK(nr)                (1UL << ((nr) % BITS_PER_LONG))

static inline bool test_bit(unsigned long nr, const void *map)
{
    return (((const volatile unsigned long *)map)[BIT_WORD(nr)] & BIT_MASK(nr)) != 0;
}

static inline void set_bit(unsigned long nr, void *map)
{
    (void)fetch_or((unsigned long *)map + BIT_WORD(nr), BIT_MASK(nr));
}

static inline void clear_bit(unsigned long nr, void *map)
{
    (void)fetch_and((unsigned long *)map + BIT_WORD(nr), ~BIT_MASK(nr));
}

static inline bool test_and_set_bit(unsigned long nr, void *map)
{
    return (fetch_or((unsigned long *)map + BIT_WORD(nr), BIT_MASK(nr)) & BIT_MASK(nr)) != 0;
}

static inline bool test_and_clear_bit(unsigned long nr, void *map)
{
    return (fetch_and((unsigned long *)map + BIT_WORD(nr), ~BIT_MASK(nr)) & BIT_MASK(nr)) != 0;
}

static inline void __set_bit(unsigned long nr, unsigned long *map)
{
    map[BIT_WORD(nr)] |= BIT_MASK(nr);
}

static inline void __clear_bit(unsigned long nr, unsigned long *map)
{
    map[BIT_WORD(nr)] &= ~BIT_MASK(nr);
}

static inline bool __test_and_set_bit(unsigned long nr, unsigned long *map)
{
    bool old = test_bit(nr, map);

    __set_bit(nr, map);
    return old;
}

static inline bool __test_and_clear_bit(unsigned long nr, unsigned long *map)
{
    bool old = test_bit(nr, map);

    __clear_bit(nr, map);
    return old;
}

/* The first set (clear) bit at or after start and below size; size or more if there is none. */
unsigned long find_next_bit(const unsigned long *map, unsigned long size, unsigned long start);
unsigned long find_next_zero_bit(const unsigned long *map, unsigned long size,
                                 unsigned long start);
#define find_first_bit(map, size)       find_next_bit(map, size, 0)
#define find_first_zero_bit(map, size)  find_next_zero_bit(map, size, 0)

#define for_each_set_bit(bit, map, size)                                        \
    for ((bit) = find_first_bit(map, size); (bit) < (size);                     \
         (bit) = find_next_bit(map, size, (bit) + 1))

/* Set or clear the bits [start, start + nr); not atomic. */
void bitmap_set(unsigned long *map, unsigned long start, unsigned long nr);
void bitmap_clear(unsigned long *map, unsigned long start, unsigned long nr);

/* Number of bits set among the first nbits. */
unsigned int bitmap_weight(const unsigned long *map, unsigned long nbits);

/* Bits past nbits in the last word must be zero in all bitmaps given to these. */
static inline void bitmap_zero(unsigned long *map, unsigned long nbits)
{
    memset(map, 0, BITS_TO_LONGS(nbits) * sizeof(long));
}

static inline void bitmap_fill(unsigned long *map, unsigned long nbits)
{
    bitmap_zero(map, nbits);
    bitmap_set(map, 0, nbits);
}

static inline void bitmap_copy(unsigned long *dst, const unsigned long *src, unsigned long nbits)
{
    memcpy(dst, src, BITS_TO_LONGS(nbits) * sizeof(long));
}

static inline bool bitmap_empty(const unsigned long *map, unsigned long nbits)
{
    return find_first_bit(map, nbits) >= nbits;
}

static inline bool bitmap_full(const unsigned long *map, unsigned long nbits)
{
    return find_first_zero_bit(map, nbits) >= nbits;
}

static inline bool bitmap_equal(const unsigned long *a, const unsigned long *b,
                                unsigned long nbits)
{
    return memcmp(a, b, BITS_TO_LONGS(nbits) * sizeof(long)) == 0;
}

static inline void bitmap_and(unsigned long *dst, const unsigned long *a, const unsigned long *b,
                              unsigned long nbits)
{
    for (unsigned long i = 0; i < BITS_TO_LONGS(nbits); i++)
        dst[i] = a[i] & b[i];
}

static inline void bitmap_or(unsigned long *dst, const unsigned long *a, const unsigned long *b,
                             unsigned long nbits)
{
    for (unsigned long i = 0; i < BITS_TO_LONGS(nbits); i++)
        dst[i] = a[i] | b[i];
}

static inline void bitmap_andnot(unsigned long *dst, const unsigned long *a,
                                 const unsigned long *b, unsigned long nbits)
{
    for (unsigned long i = 0; i < BITS_TO_LONGS(nbits); i++)
        dst[i] = a[i] & ~b[i];
}

static inline bool bitmap_intersects(const unsigned long *a, const unsigned long *b,
                                     unsigned long nbits)
{
    for (unsigned long i = 0; i < BITS_TO_LONGS(nbits); i++)
        if (a[i] & b[i])
            return true;
    return false;
}

static inline bool bitmap_subset(const unsigned long *sub, const unsigned long *of,
                                 unsigned long nbits)
{
    for (unsigned long i = 0; i < BITS_TO_LONGS(nbits); i++)
        if (sub[i] & ~of[i])
            return false;
    return true;
}

#endif
