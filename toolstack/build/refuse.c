/* SPDX-License-Identifier: MIT */
/*
 * Reports a failure's reason and remedy; see refuse.h.
 */
#include <stdarg.h>
#include <stdio.h>

#include "build/refuse.h"

int refuse(struct failure *failure, const char *remedy, const char *why, ...)
{
    char text[sizeof(failure->why)];
    va_list args;

    va_start(args, why);
    vsnprintf(text, sizeof(text), why, args);
    va_end(args);
    failure_why(failure, "%s", text);
    failure_remedy(failure, "%s", remedy);
    return -1;
}
