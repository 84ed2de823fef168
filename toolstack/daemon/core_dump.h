/* SPDX-License-Identifier: MIT */
/*
 * Core files of domains: what the daemon asks for, and the process that writes them.
 */
#ifndef DOMUSD_CORE_DUMP_H
#define DOMUSD_CORE_DUMP_H

#include <stdint.h>

#include "lib/failure.h"

/* Tests have another. */
#ifndef DUMP_DIR
#define DUMP_DIR "/var/lib/domus/dump"
#endif

/* Called once with the size of the file in bytes, or with `failure` not NULL. */
typedef void (*core_dump_fn)(void *context, uint64_t size, const struct failure *failure);

struct core_dump;

/*
 * Have a process write the core of domain `domid` to `path`, which must not exist. It dies with the daemon. NULL with
 * *failure set.
 */
struct core_dump *core_dump_start(uint32_t domid, const char *path, core_dump_fn done, void *context,
                                  struct failure *failure);

/* Have it end soon; `done` is called with a failure. */
void core_dump_cancel(struct core_dump *dump);

/*
 * A path in DUMP_DIR for the core of a domain called `name` that has just crashed, to be freed. All but the last two
 * cores of that name are removed: a guest that crashes again and again must not fill the disk.
 */
char *core_dump_path(const char *name);

/* After a start of the daemon: remove what those have left in DUMP_DIR who were at it when the last one ended. */
void core_dumps_recover(void);

/* The body of the process: writes the result to standard output as JSON. Returns its exit status. */
int core_dump_main(uint32_t domid, const char *path);

#endif
