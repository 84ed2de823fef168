/* SPDX-License-Identifier: MIT */
/* Compiler attributes and section names. Included before everything else by the build (-include). */
#ifndef DOMUS_COMPILER_H
#define DOMUS_COMPILER_H

#ifndef __ASSEMBLER__

/* One image, no dynamic symbols: hidden visibility lets the compiler address all by rip. On a host
 * there is a C library to link with. */
#if !__STDC_HOSTED__
#pragma GCC visibility push(hidden)
#endif

#define likely(x)       __builtin_expect(!!(x), 1)
#define unlikely(x)     __builtin_expect(!!(x), 0)

#define __packed        __attribute__((packed))
#define __aligned(n)    __attribute__((aligned(n)))
#define __section(s)    __attribute__((section(s)))
#define __used          __attribute__((used))
#define __unused        __attribute__((unused))
#define __noreturn      __attribute__((noreturn))
#define __cold          __attribute__((cold))
#define __must_check    __attribute__((warn_unused_result))
#define __printf(f, a)  __attribute__((format(printf, f, a)))
#ifndef __always_inline
#define __always_inline inline __attribute__((always_inline))
#endif
#define noinline        __attribute__((noinline))
#define fallthrough     __attribute__((fallthrough))

/* Sections that the link script places: init is released after boot. */
#define __init          __section(".init.text") __cold noinline
#define __initdata      __section(".init.data")
#define __initconst     __section(".init.rodata")
#define __read_mostly   __section(".data.read_mostly")
#define __ro_after_init __section(".data.ro_after_init")

#define barrier()       __asm__ volatile ("" ::: "memory")

/* One access of exactly this size, not repeated and not torn: for memory that others change. */
#define READ_ONCE(x)        (*(const volatile __typeof__(x) *)&(x))
#define WRITE_ONCE(x, val)  (*(volatile __typeof__(x) *)&(x) = (val))
#define ACCESS_ONCE(x)      (*(volatile __typeof__(x) *)&(x))

/* Keeps the compiler from knowing anything of the value (bounds stay bounds under speculation). */
#define OPTIMIZER_HIDE_VAR(v) __asm__ volatile ("" : "+r" (v))

#endif /* __ASSEMBLER__ */

#define CACHE_LINE_SIZE         64
#define __cacheline_aligned     __aligned(CACHE_LINE_SIZE)

#endif
