/* SPDX-License-Identifier: MIT */
/*
 * domus: finds the command that is called, takes its options, and runs it.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"

int main(int argc, char **argv)
{
    struct invocation invocation = {0};
    int status;

    signal(SIGPIPE, SIG_IGN);
    if (argc < 2) {
        print_help(NULL);
        return STATUS_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0) {
        print_help(NULL);
        return STATUS_OK;
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("domus %s\n", DOMUS_VERSION);
        return STATUS_OK;
    }
    invocation.as_xl = strcmp(basename(argv[0]), "xl") == 0;
    /* xl's own options before the command (verbose, forced, with time stamps) change nothing here. */
    while (invocation.as_xl && argc > 2 && argv[1][0] == '-' && argv[1][1 + strspn(argv[1] + 1, "vftT")] == '\0') {
        argv++;
        argc--;
    }
    invocation.command = find_command(argv[1]);
    if (!invocation.command)
        return STATUS_USAGE;
    status = parse_options(&invocation, argc - 1, argv + 1);
    if (status >= 0)
        return status;
    if (invocation.argc < invocation.command->min_arguments)
        return usage_error(invocation.command, "too few arguments");
    if (invocation.command->max_arguments >= 0 && invocation.argc > invocation.command->max_arguments)
        return usage_error(invocation.command, "too many arguments, from `%s' on",
                           invocation.argv[invocation.command->max_arguments]);
    status = invocation.command->run(&invocation);
    if (fflush(stdout) == EOF || ferror(stdout))
        return status ? status : STATUS_FAILED;
    return status;
}
