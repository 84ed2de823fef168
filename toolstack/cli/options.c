/* SPDX-License-Identifier: MIT */
/*
 * Options: taken by the row of a command's table, and asked for by the command.
 */
#include <getopt.h>
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

int option_number(const struct invocation *invocation, char letter, long min, long max, long *value)
{
    const char *text = option_value(invocation, letter);
    char *end;
    long number;

    if (!text)
        return STATUS_OK;
    number = strtol(text, &end, 10);
    if (end == text || *end || number < min || number > max)
        return usage_error(invocation->command, "-%c wants a number from %ld to %ld, not `%s'", letter, min, max, text);
    *value = number;
    return STATUS_OK;
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

int parse_options(struct invocation *invocation, int argc, char **argv)
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
