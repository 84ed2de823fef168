/* SPDX-License-Identifier: MIT */
/*
 * Sets of CPUs as text; see cpu_map.h. The grammar is that of vcpu-pin in xl(1).
 */
#include "cpu_map.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

void cpu_map_set(struct cpu_map *map, unsigned int cpu, bool value)
{
    if (cpu >= CPU_MAP_BITS)
        return;
    if (value)
        map->bytes[cpu / 8] |= 1 << cpu % 8;
    else
        map->bytes[cpu / 8] &= ~(1 << cpu % 8);
}

void cpu_map_clear(struct cpu_map *map)
{
    memset(map, 0, sizeof(*map));
}

unsigned int cpu_map_count(const struct cpu_map *map)
{
    unsigned int count = 0;

    for (size_t i = 0; i < sizeof(map->bytes); i++)
        count += __builtin_popcount(map->bytes[i]);
    return count;
}

/* Take a number off *text. False if there is none or it is absurd. */
static bool take_number(const char **text, unsigned int *number)
{
    *number = 0;
    if (!isdigit((unsigned char)**text))
        return false;
    while (isdigit((unsigned char)**text)) {
        *number = *number * 10 + (*(*text)++ - '0');
        if (*number > CPU_MAP_BITS)
            return false;
    }
    return true;
}

/* The host, as far as a list speaks of it. */
struct host_cpus {
    unsigned int cpus;
    const uint32_t *nodes;
};

/* Put the CPUs with these numbers, or of these nodes, into the map or take them out. How many there were. */
static unsigned int apply(struct cpu_map *map, const struct host_cpus *host, bool by_node, unsigned int first,
                          unsigned int last, bool value)
{
    unsigned int found = 0;

    for (unsigned int cpu = 0; cpu < host->cpus; cpu++) {
        unsigned int number = !by_node ? cpu : host->nodes ? host->nodes[cpu] : 0;

        if (number >= first && number <= last) {
            cpu_map_set(map, cpu, value);
            found++;
        }
    }
    return found;
}

/* One item: [^][node:|nodes:](all|N|N-M). Moves *text behind it. */
static bool take_item(struct cpu_map *map, const char **text, const struct host_cpus *host, bool first_item,
                      char *error, size_t size)
{
    const char *start = *text;
    bool without = **text == '^', by_node = false;
    unsigned int first = 0, last = CPU_MAP_BITS, found, wanted;

    *text += without;
    if (strncmp(*text, "node:", 5) == 0 || strncmp(*text, "nodes:", 6) == 0) {
        by_node = true;
        *text = strchr(*text, ':') + 1;
    }
    if (strncmp(*text, "all", 3) == 0) {
        *text += 3;
    } else {
        bool good = take_number(text, &first);

        last = first;
        if (good && **text == '-') {
            ++*text;
            good = take_number(text, &last);
        }
        if (!good || (**text && **text != ',')) {
            snprintf(error, size, "`%.32s' is no list of CPUs", start);
            return false;
        }
    }
    if (without && first_item)
        apply(map, host, false, 0, CPU_MAP_BITS, true);
    found = apply(map, host, by_node, first, last, !without);
    wanted = last == CPU_MAP_BITS || by_node ? 1 : last >= first ? last - first + 1 : 1;
    if (found < wanted) {
        snprintf(error, size, "`%.*s' is not there: the host has CPUs 0 to %u", (int)strcspn(start, ","), start,
                 host->cpus - 1);
        return false;
    }
    return true;
}

bool cpu_map_parse(struct cpu_map *map, const char *text, unsigned int cpus, const uint32_t *nodes, char *error,
                   size_t size)
{
    const struct host_cpus host = { .cpus = cpus, .nodes = nodes };
    bool first = true;

    cpu_map_clear(map);
    for (;;) {
        text += strspn(text, " ");
        if (!take_item(map, &text, &host, first, error, size))
            return false;
        first = false;
        if (*text == '\0')
            break;
        if (*text++ != ',') {
            snprintf(error, size, "`%.32s' is no list of CPUs", text - 1);
            return false;
        }
    }
    if (cpu_map_count(map) == 0) {
        snprintf(error, size, "the list leaves no CPU");
        return false;
    }
    return true;
}

void cpu_map_format(const struct cpu_map *map, unsigned int cpus, char *text, size_t size)
{
    unsigned int count = 0;
    size_t length = 0;

    text[0] = '\0';
    for (unsigned int cpu = 0; cpu < cpus && length < size; cpu++) {
        unsigned int last = cpu;

        if (!cpu_map_has(map, cpu))
            continue;
        while (last + 1 < cpus && cpu_map_has(map, last + 1))
            last++;
        length += snprintf(text + length, size - length, last > cpu ? "%s%u-%u" : "%s%u", count ? "," : "", cpu, last);
        count += last - cpu + 1;
        cpu = last;
    }
    if (count == 0 || count == cpus)
        snprintf(text, size, count ? "all" : "none");
}
