/* SPDX-License-Identifier: MIT */
/*
 * What domains use, at one moment: by the daemon's list, and by the counters that dom0's kernel keeps of back ends.
 */
#ifndef DOMUS_CLI_TOP_SAMPLE_H
#define DOMUS_CLI_TOP_SAMPLE_H

#include <stdint.h>
#include <time.h>

#include "cli/cli.h"

struct usage {
    int domid;
    char name[64];
    char state[12];
    uint64_t cpu_ns;
    double cpu_percent; /* of one CPU, since the sample before */
    uint64_t memory_kib, max_memory_kib;
    int vcpus;
    int cards, disks;
    uint64_t sent, received;                   /* bytes, as the guest sees it */
    uint64_t full_queue, reads, writes;        /* requests */
    uint64_t sectors_read, sectors_written;
};

struct sample {
    struct timespec time;
    uint64_t total_kib, free_kib;
    int cpus;
    char version[64];
    struct usage *list; /* ordered by number */
    size_t count;
};

/*
 * Take a sample over the connection `fd` to the daemon; *before, empty or an earlier one, gives what percentages are
 * reckoned from. 0, or -1 with *failure filled in. Free it in either case.
 */
int sample_take(struct sample *sample, const struct sample *before, int fd, struct failure *failure);
void sample_free(struct sample *sample);

#endif
