/* SPDX-License-Identifier: MIT */
/*
 * domus: parses the options of the command that is called by its row of the table, and runs it.
 */
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

int usage_error(const struct command *command, const char *format, ...)
{
    va_list args;

    fprintf(stderr, "domus %s: ", command->name);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, "\nusage: domus %s %s\n", command->name, command->arguments);
    return STATUS_USAGE;
}

const char *option_value(const struct invocation *invocation, char letter)
{
    for (int i = 0; i < OPTIONS_MAX && invocation->command->options[i].name; i++)
        if (invocation->command->options[i].letter == letter)
            return invocation->option_values[i];
    return NULL;
}

/* What getopt needs to know about a command's options. */
struct grammar {
    struct option longs[2 * OPTIONS_MAX + 1];
    char shorts[4 * OPTIONS_MAX + 2];
};

static void add_option(struct grammar *grammar, size_t *count, const struct command_option *option)
{
    size_t length = strlen(grammar->shorts);

    grammar->longs[(*count)++] = (struct option){
        .name = option->name,
        .has_arg = option->argument ? required_argument : no_argument,
        .val = option->letter,
    };
    grammar->shorts[length] = option->letter;
    if (option->argument)
        grammar->shorts[length + 1] = ':';
}

static void make_grammar(const struct command *command, struct grammar *grammar)
{
    size_t count = 0;

    memset(grammar, 0, sizeof(*grammar));
    for (const struct command_option *option = command->options; option->name; option++)
        add_option(grammar, &count, option);
    for (const struct command_option *option = common_options; option->name; option++)
        add_option(grammar, &count, option);
}

/* Take the options off argv. Returns -1, or the status to exit with: help was asked for, or usage was wrong. */
static int parse_options(struct invocation *invocation, int argc, char **argv)
{
    const struct command *command = invocation->command;
    struct grammar grammar;
    char name[64];
    int letter;

    make_grammar(command, &grammar);
    snprintf(name, sizeof(name), "domus %s", command->name);
    argv[0] = name;
    while ((letter = getopt_long(argc, argv, grammar.shorts, grammar.longs, NULL)) >= 0) {
        if (letter == '?')
            return STATUS_USAGE;
        if (letter == 'h') {
            print_help(command);
            return STATUS_OK;
        }
        if (letter == 'j')
            invocation->json = true;
        for (int i = 0; i < OPTIONS_MAX && command->options[i].name; i++)
            if (command->options[i].letter == letter)
                invocation->option_values[i] = optarg ? optarg : "";
    }
    invocation->argc = argc - optind;
    invocation->argv = argv + optind;
    return -1;
}

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
