/* SPDX-License-Identifier: MIT */
/*
 * Numbers and amounts of memory as they are typed.
 */
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>

#include "cli/resources.h"

bool parse_count(const char *text, long least, long most, long *value)
{
    char *end;

    errno = 0;
    *value = strtol(text, &end, 10);
    return isdigit((unsigned char)*text) && !*end && !errno && *value >= least && *value <= most;
}

long long parse_memory(const char *text)
{
    static const struct {
        char letter;
        int shift; /* of KiB */
    } units[] = { { 't', 30 }, { 'g', 20 }, { 'm', 10 }, { '\0', 10 }, { 'k', 0 }, { 'b', -10 } };
    unsigned long long number;
    char *end, letter;

    if (!isdigit((unsigned char)*text))
        return -1;
    errno = 0;
    number = strtoull(text, &end, 10);
    letter = tolower((unsigned char)*end);
    if (errno || number > 1ULL << 44 || (*end && end[1]))
        return -1;
    for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
        if (units[i].letter != letter)
            continue;
        if (units[i].shift > 0 && number > (1ULL << 44 >> units[i].shift))
            return -1;
        return units[i].shift < 0 ? number >> -units[i].shift : number << units[i].shift;
    }
    return -1;
}
