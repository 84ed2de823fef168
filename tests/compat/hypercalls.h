/* SPDX-License-Identifier: MIT */
/* What the program that tries every operation of the tools' hypercalls shares: how to call, and how to report. */
#ifndef COMPAT_HYPERCALLS_H
#define COMPAT_HYPERCALLS_H

#include <stddef.h>
#include <stdint.h>
#include <xen/xen.h>
#include <xen/domctl.h>
#include <xen/memory.h>
#include <xen/platform.h>
#include <xen/sysctl.h>

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define NOBODY        0x1234            /* the number of no domain */
#define WRONG_POINTER 0x1000            /* where nothing is mapped */

/* One operation of a hypercall, by its name in the public headers without the prefix. */
struct operation {
    const char *name;
    unsigned int cmd;
};

/* One call that is expected to make sense: the operation, what is asked of it, and the argument. */
struct sysctl_case {
    const char *operation, *what;
    struct xen_sysctl arg;
};
struct domctl_case {
    const char *operation, *what;
    struct xen_domctl arg;
};
struct platform_case {
    const char *operation, *what;
    struct xen_platform_op arg;
};

/* The tables of operations.c; each ends with a row without a name. */
extern const struct operation sysctl_operations[], domctl_operations[], platform_operations[], memory_operations[];
/* The tables of cases.c; likewise. */
extern const struct sysctl_case sysctl_cases[];
extern const struct domctl_case domctl_cases[];
extern const struct platform_case platform_cases[];

/* Issues a hypercall through the kernel's privcmd. Returns what the hypervisor answers: 0 or more, or -errno. */
long hypercall(unsigned int number, uint64_t a, uint64_t b, uint64_t c);

/* Prints one result: the hypercall, its operation, what was asked, the answer. */
void report(const char *call, const char *operation, const char *what, long rc);

#endif
