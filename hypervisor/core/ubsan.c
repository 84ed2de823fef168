/* SPDX-License-Identifier: MIT */
/*
 * Handlers of the undefined-behaviour sanitizer, which debug builds call where the C standard is left. Each reports the
 * place and goes on: the report shows the call trace, and tests look for its text. The compilers' interface: the data
 * records are those of LLVM's compiler-rt, lib/ubsan/ubsan_handlers.h.
 */
#include <domus/lib.h>

#ifdef DEBUG

struct source_location {
    const char *file;
    u32 line, column;
};

struct type_descriptor {
    u16 kind, info;
    char name[];
};


/* Both ends of the access would be in the same place: alignment, null, size. */
struct type_mismatch_record {
    struct source_location location;
    const struct type_descriptor *type;
    u8 log_alignment;
    u8 check_kind;
};

static void report(struct source_location *location, const char *what)
{
    /* A place that has been reported is marked by its column, so that a loop does not fill the console. */
    u32 column = __atomic_exchange_n(&location->column, ~0u, __ATOMIC_RELAXED);

    if (column == ~0u)
        return;
    printk(LOG_ERR "UBSAN: %s in %s:%u:%u\n", what, location->file, location->line, column);
    dump_stack();
}

#define HANDLER(name, text, ...)                                                                                      \
    void __ubsan_handle_##name(void *record, ##__VA_ARGS__);                                                          \
    void __ubsan_handle_##name(void *record, ##__VA_ARGS__) { report(record, text); }

HANDLER(add_overflow, "addition overflows", unsigned long a __unused, unsigned long b __unused)
HANDLER(sub_overflow, "subtraction overflows", unsigned long a __unused, unsigned long b __unused)
HANDLER(mul_overflow, "multiplication overflows", unsigned long a __unused, unsigned long b __unused)
HANDLER(negate_overflow, "negation overflows", unsigned long a __unused)
HANDLER(divrem_overflow, "division overflows or by zero", unsigned long a __unused, unsigned long b __unused)
HANDLER(shift_out_of_bounds, "shift out of bounds", unsigned long a __unused, unsigned long b __unused)
HANDLER(out_of_bounds, "index out of bounds", unsigned long index __unused)
HANDLER(load_invalid_value, "load of a value that its type does not have", unsigned long value __unused)
HANDLER(vla_bound_not_positive, "array of no positive size", unsigned long bound __unused)
HANDLER(nonnull_arg, "null for an argument that must not be")
HANDLER(pointer_overflow, "pointer arithmetic overflows", unsigned long base __unused, unsigned long result __unused)
HANDLER(builtin_unreachable, "a place that cannot be reached")
HANDLER(missing_return, "end of a function that returns a value")
HANDLER(invalid_builtin, "zero for a builtin that does not take it")

void __ubsan_handle_type_mismatch_v1(void *record, unsigned long pointer);
void __ubsan_handle_type_mismatch_v1(void *record, unsigned long pointer)
{
    struct type_mismatch_record *mismatch = record;

    if (!pointer)
        report(&mismatch->location, "use of a null pointer");
    else if (pointer & ((1UL << mismatch->log_alignment) - 1))
        report(&mismatch->location, "use of a misaligned pointer");
    else
        report(&mismatch->location, "object too small for its use");
}

void __ubsan_handle_nonnull_return_v1(void *record, void *location);
void __ubsan_handle_nonnull_return_v1(void *record __unused, void *location)
{
    report(location, "null returned where it must not be");
}

#endif
