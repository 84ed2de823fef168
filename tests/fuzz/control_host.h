/* SPDX-License-Identifier: MIT */
/*
 * The host that the fuzzer of the control socket runs the daemon on: a hypervisor with a table of domains, child
 * processes that end when they are told to, dom0's kernel with its back ends, and a clock that stands still by itself.
 */
#ifndef FUZZ_CONTROL_HOST_H
#define FUZZ_CONTROL_HOST_H

#include <stdbool.h>
#include <stdint.h>

#define HOST_DOMAINS 24

#define require(condition) \
    do { \
        if (!(condition)) { \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
            abort(); \
        } \
    } while (0)

/* Paths of files that there are: one that may be written, and one that may not. */
extern char host_file[], host_program[];

/* Once: the event loop, the store, the files. */
void host_start(void);

/* Let `milliseconds` pass, and all happen that is due. */
void host_pass(uint64_t milliseconds);

/* Have the daemon see which guests have ended, as an event of the hypervisor would. */
void host_look(void);

/* The next call of the hypervisor or start of a process fails with `error`, if it is negative. */
void host_fail_next(int error);
/* The same, after `calls` that are served. */
void host_fail_later(int error, unsigned int calls);

/* The oldest child process ends: as it should, or by the `way` 1, 2, ... badly. False if there is none. */
bool host_end_child(unsigned int way);

/* Something holds memory of a domain, so that it does not go, or lets go of it. */
void host_hold_domain(uint32_t domid, bool held);

/* The number of one of the guests that there are. */
uint32_t host_guest(unsigned int index);

/* A guest ends for `reason` (SHUTDOWN_*), or writes `index` as its console's indices. */
void host_end_guest(uint32_t domid, unsigned int reason);
void host_write_console(uint32_t domid, uint32_t index);

/* dom0's kernel and the guests do their part for devices and memory, or refuse. */
void host_serve_devices(bool well);

/* dom0's kernel lets go of no back end, or does. */
void host_hold_back_ends(bool held);

/* Whether a disk of the domain with this uuid has a server. */
bool host_serves_disk(const char *uuid, uint32_t number);

/*
 * Whether there is nothing but dom0: no domain, process, server of a disk, mapping, introduction
 * to the store or node in it.
 */
bool host_is_empty(void);

#endif
