/* SPDX-License-Identifier: MIT */
/*
 * Child processes: the work that blocks.
 */
#ifndef DOMUSD_CHILD_H
#define DOMUSD_CHILD_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct child;

/* Called when the process has ended: its wait(2) status and all it wrote to standard output, NUL-terminated. */
typedef void (*child_fn)(void *context, int status, const char *output);

/* Be told of children that end. */
void children_init(void);

/*
 * Run argv[0] with `input` on its standard input; standard error is the daemon's. `dies_with_us`: it is killed when the
 * daemon ends. NULL with errno if there can be no process.
 */
struct child *child_start(char *const argv[], const char *input, bool dies_with_us, child_fn ended, void *context);

/* Ask it to end; `ended` is called when it has. */
void child_terminate(struct child *child);

#endif
