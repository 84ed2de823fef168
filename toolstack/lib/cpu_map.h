/* SPDX-License-Identifier: MIT */
/*
 * Sets of CPUs and the way that people write them: "all", "0-3,^2", "2,5-7", "nodes:0".
 */
#ifndef DOMUS_CPU_MAP_H
#define DOMUS_CPU_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CPU_MAP_BITS 4096

struct cpu_map {
    uint8_t bytes[CPU_MAP_BITS / 8];
};

static inline bool cpu_map_has(const struct cpu_map *map, unsigned int cpu)
{
    return cpu < CPU_MAP_BITS && (map->bytes[cpu / 8] >> cpu % 8 & 1);
}

void cpu_map_set(struct cpu_map *map, unsigned int cpu, bool value);
void cpu_map_clear(struct cpu_map *map);
unsigned int cpu_map_count(const struct cpu_map *map);

/*
 * Read a list: numbers and ranges below `cpus`, `all`, `nodes:` or `node:` before numbers of NUMA nodes, and ^ before
 * what is to be left out again (of all, if the list begins with that). `nodes` gives the node of each of `cpus` CPUs;
 * NULL: all are on node 0. False, with why in `error`, if it is not such a list, names a CPU or node that is not there,
 * or leaves nothing.
 */
bool cpu_map_parse(struct cpu_map *map, const char *text, unsigned int cpus, const uint32_t *nodes, char *error,
                   size_t size);

/* Write the CPUs below `cpus` as a list: "0-2,5", "all" if none is missing, "none". Cut to `size` bytes. */
void cpu_map_format(const struct cpu_map *map, unsigned int cpus, char *text, size_t size);

#endif
