/* SPDX-License-Identifier: MIT */
/*
 * Finds the name that a misspelt word was meant to be.
 */
#include <string.h>

#include "cli/cli.h"

#define LENGTH_MAX 40

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

/*
 * How many letters must be put in, left out, replaced or swapped with their neighbour to make `a` of `b` (the optimal
 * string alignment distance).
 */
static size_t distance(const char *a, const char *b)
{
    size_t rows = strlen(a), columns = strlen(b);
    size_t cost[LENGTH_MAX + 1][LENGTH_MAX + 1];

    if (rows > LENGTH_MAX || columns > LENGTH_MAX)
        return LENGTH_MAX;
    for (size_t i = 0; i <= rows; i++) {
        for (size_t j = 0; j <= columns; j++) {
            if (i == 0 || j == 0) {
                cost[i][j] = i + j;
                continue;
            }
            cost[i][j] = least(cost[i - 1][j - 1] + (a[i - 1] != b[j - 1]), least(cost[i - 1][j], cost[i][j - 1]) + 1);
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                cost[i][j] = least(cost[i][j], cost[i - 2][j - 2] + 1);
        }
    }
    return cost[rows][columns];
}

const char *nearest_name(const char *word, const char *const *names, size_t count, size_t stride)
{
    size_t best = strlen(word) < 5 ? 2 : 3;
    const char *nearest = NULL;

    for (size_t i = 0; i < count; i++) {
        const char *name = *(const char *const *)((const char *)names + i * stride);
        size_t d = distance(word, name);

        if (d < best && d < strlen(name)) {
            best = d;
            nearest = name;
        }
    }
    return nearest;
}
