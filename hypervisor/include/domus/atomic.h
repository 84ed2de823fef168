/* SPDX-License-Identifier: MIT */
/* Atomic integers and memory barriers by the compiler's builtins. Every read-modify-write is a full
 * barrier; atomic_read and atomic_set order nothing. */
#ifndef DOMUS_ATOMIC_H
#define DOMUS_ATOMIC_H

#include <domus/compiler.h>
#include <domus/types.h>

typedef struct { int counter; } atomic_t;
typedef struct { long counter; } atomic_long_t;

#define ATOMIC_INIT(i)      { (i) }

#define smp_mb()            __atomic_thread_fence(__ATOMIC_SEQ_CST)
#define smp_rmb()           __atomic_thread_fence(__ATOMIC_ACQUIRE)
#define smp_wmb()           __atomic_thread_fence(__ATOMIC_RELEASE)
#define smp_load_acquire(p)         __atomic_load_n(p, __ATOMIC_ACQUIRE)
#define smp_store_release(p, v)     __atomic_store_n(p, v, __ATOMIC_RELEASE)

/* On any integer or pointer object of up to eight bytes. cmpxchg returns the old value. */
#define xchg(p, v)          __atomic_exchange_n(p, v, __ATOMIC_SEQ_CST)
#define cmpxchg(p, old, val)                                                            \
    ({                                                                                  \
        __typeof__(*(p)) cx_old_ = (old);                                               \
        __atomic_compare_exchange_n(p, &cx_old_, val, false, __ATOMIC_SEQ_CST,          \
                                    __ATOMIC_SEQ_CST);                                  \
        cx_old_;                                                                        \
    })
#define fetch_add(p, v)     __atomic_fetch_add(p, v, __ATOMIC_SEQ_CST)
#define fetch_or(p, v)      __atomic_fetch_or(p, v, __ATOMIC_SEQ_CST)
#define fetch_and(p, v)     __atomic_fetch_and(p, v, __ATOMIC_SEQ_CST)

#define ATOMIC_OPS(type, name, num)                                                     \
    static inline num name##_read(const type *v)                                        \
    {                                                                                   \
        return __atomic_load_n(&v->counter, __ATOMIC_RELAXED);                          \
    }                                                                                   \
    static inline void name##_set(type *v, num i)                                       \
    {                                                                                   \
        __atomic_store_n(&v->counter, i, __ATOMIC_RELAXED);                             \
    }                                                                                   \
    static inline void name##_add(num i, type *v) { (void)fetch_add(&v->counter, i); }  \
    static inline void name##_sub(num i, type *v) { (void)fetch_add(&v->counter, -i); } \
    static inline void name##_inc(type *v) { (void)fetch_add(&v->counter, 1); }         \
    static inline void name##_dec(type *v) { (void)fetch_add(&v->counter, -1); }        \
    static inline num name##_add_return(num i, type *v)                                 \
    {                                                                                   \
        return __atomic_add_fetch(&v->counter, i, __ATOMIC_SEQ_CST);                    \
    }                                                                                   \
    static inline num name##_inc_return(type *v) { return name##_add_return(1, v); }    \
    static inline num name##_dec_return(type *v) { return name##_add_return(-1, v); }   \
    /* True if the result is zero. */                                                   \
    static inline bool name##_dec_and_test(type *v) { return name##_dec_return(v) == 0; } \
    static inline num name##_xchg(type *v, num i) { return xchg(&v->counter, i); }      \
    static inline num name##_cmpxchg(type *v, num old, num i)                           \
    {                                                                                   \
        return cmpxchg(&v->counter, old, i);                                            \
    }

ATOMIC_OPS(atomic_t, atomic, int)
ATOMIC_OPS(atomic_long_t, atomic_long, long)

#endif
