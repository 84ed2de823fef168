/* SPDX-License-Identifier: MIT */
/* What every file wants: messages, checks of our own invariants, small arithmetic, text formatting. */
#ifndef DOMUS_LIB_H
#define DOMUS_LIB_H

#include <stdarg.h>
#include <domus/compiler.h>
#include <domus/types.h>
#include <domus/errno.h>

/*
 * Messages. A level stands first in the format: printk(LOG_WARN "IO-APIC %u: no entry\n", n).
 * LOG_GUEST marks a message that a guest can provoke: it is rate-limited, and a level may follow
 * (LOG_GUEST LOG_ERR "..."; without one, LOG_WARN). With no level: LOG_WARN.
 * One call's text, at most 1 KiB, is not mixed with others'. Any context, but not with a lock of
 * rank RANK_CONSOLE or later held.
 */
#define LOG_ERR     "<0>"
#define LOG_WARN    "<1>"
#define LOG_INFO    "<2>"
#define LOG_DEBUG   "<3>"
#define LOG_GUEST   "<G>"

void printk(const char *fmt, ...) __printf(1, 2);
void vprintk(const char *fmt, va_list args) __printf(1, 0);

/* Given by the architecture. panic prints the message, registers and stack, and stops or reboots. */
void panic(const char *fmt, ...) __noreturn __cold __printf(1, 2);
void dump_stack(void);

void bug_at(const char *file, int line, const char *what) __noreturn __cold;
void warn_at(const char *file, int line, const char *what) __cold;

/* Own invariants only: never anything that a guest or a tool can bring about. */
#define BUG()           bug_at(__FILE__, __LINE__, "BUG")
#define BUG_ON(cond)    do { if (unlikely(cond)) bug_at(__FILE__, __LINE__, #cond); } while (0)
#define WARN_ON(cond)                                           \
    ({                                                          \
        bool warn_cond_ = !!(cond);                             \
        if (unlikely(warn_cond_))                               \
            warn_at(__FILE__, __LINE__, #cond);                 \
        unlikely(warn_cond_);                                   \
    })

#ifdef DEBUG
#define ASSERT(cond)                                                            \
    do { if (unlikely(!(cond))) bug_at(__FILE__, __LINE__, "!(" #cond ")"); } while (0)
#define ASSERT_UNREACHABLE() bug_at(__FILE__, __LINE__, "unreachable")
#else
#define ASSERT(cond)         do { if (0 && (cond)) { } } while (0)
#define ASSERT_UNREACHABLE() do { } while (0)
#endif

#define BUILD_BUG_ON(cond)  _Static_assert(!(cond), "!(" #cond ")")

#define ARRAY_SIZE(a)   (sizeof(a) / sizeof((a)[0]))
#define container_of(ptr, type, member) \
    ((type *)((char *)(ptr) - offsetof(type, member)))
#define MEMBER_SIZE(type, member) sizeof(((type *)0)->member)

#define min(a, b)                                               \
    ({                                                          \
        const __typeof__(a) min_a_ = (a);                       \
        const __typeof__(b) min_b_ = (b);                       \
        (void)(&min_a_ == &min_b_);                             \
        min_a_ < min_b_ ? min_a_ : min_b_;                      \
    })
#define max(a, b)                                               \
    ({                                                          \
        const __typeof__(a) max_a_ = (a);                       \
        const __typeof__(b) max_b_ = (b);                       \
        (void)(&max_a_ == &max_b_);                             \
        max_a_ > max_b_ ? max_a_ : max_b_;                      \
    })
#define min_t(type, a, b)   ({ type mt_a_ = (a), mt_b_ = (b); mt_a_ < mt_b_ ? mt_a_ : mt_b_; })
#define max_t(type, a, b)   ({ type mt_a_ = (a), mt_b_ = (b); mt_a_ > mt_b_ ? mt_a_ : mt_b_; })
#define clamp(x, lo, hi)    min(max(x, lo), hi)

/* The alignment must be a power of two. */
#define ROUNDUP(x, a)       (((x) + ((__typeof__(x))(a) - 1)) & ~((__typeof__(x))(a) - 1))
#define ROUNDDOWN(x, a)     ((x) & ~((__typeof__(x))(a) - 1))
#define IS_ALIGNED(x, a)    (((x) & ((__typeof__(x))(a) - 1)) == 0)
#define DIV_ROUND_UP(n, d)  (((n) + (d) - 1) / (d))

/* Shift and mask constants. */
#define BIT(n)              (1UL << (n))
#define GENMASK(h, l)       ((~0UL >> (63 - (h))) & (~0UL << (l)))
#define KB(n)               ((unsigned long)(n) << 10)
#define MB(n)               ((unsigned long)(n) << 20)
#define GB(n)               ((unsigned long)(n) << 30)

/* Position of the highest set bit, counted from one; 0 for 0. */
static inline unsigned int fls(unsigned long x)
{
    return x ? 64 - (unsigned int)__builtin_clzl(x) : 0;
}

/* Position of the lowest set bit, counted from one; 0 for 0. */
#define ffs(x)              ((unsigned int)__builtin_ffsl((long)(x)))

/* Logarithm to base two, rounded down; x must not be zero. */
static inline unsigned int ilog2(unsigned long x)
{
    return fls(x) - 1;
}

#define hweight64(x)        ((unsigned int)__builtin_popcountl(x))

/* The smallest order (log2 of pages) whose chunk holds that many pages or bytes. */
static inline unsigned int get_order_from_pages(unsigned long pages)
{
    return pages <= 1 ? 0 : fls(pages - 1);
}
#define get_order_from_bytes(bytes) get_order_from_pages(((unsigned long)(bytes) + 4095) >> 12)

/*
 * An index that is below size, or 0 if it is not, also under speculation: use after the bounds
 * check of an index that a guest gave. size is at most LONG_MAX.
 */
static inline unsigned long array_index_nospec(unsigned long index, unsigned long size)
{
    OPTIMIZER_HIDE_VAR(index);
    return index & (unsigned long)(~(long)(index | (size - 1 - index)) >> 63);
}

/*
 * Text: the C standard's meaning. Conversions: d i u x X o c s p %, flags - 0 + space #, width,
 * precision, * for both, lengths hh h l ll z j t. No floating point, no %n.
 * scnprintf returns what was really stored, without the terminator.
 */
int vsnprintf(char *buf, size_t size, const char *fmt, va_list args) __printf(3, 0);
int snprintf(char *buf, size_t size, const char *fmt, ...) __printf(3, 4);
int vscnprintf(char *buf, size_t size, const char *fmt, va_list args) __printf(3, 0);
int scnprintf(char *buf, size_t size, const char *fmt, ...) __printf(3, 4);

/* Numbers as in C: base 0 takes 0x and 0 prefixes; *end, if wanted, is the first byte not used. */
unsigned long strtoul(const char *s, char **end, int base);

/* A size in bytes with an optional suffix B, K, M, G, T (default of no suffix: bytes). */
u64 parse_size(const char *s, const char **end);

/* 1 for yes/on/true/enable/1, 0 for no/off/false/disable/0, -1 for anything else. */
int parse_bool(const char *s, const char *end);

static inline bool isdigit_c(char c) { return c >= '0' && c <= '9'; }
static inline bool isspace_c(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
static inline bool isprint_c(char c) { return c >= ' ' && c <= '~'; }
static inline char tolower_c(char c) { return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c; }

#endif
