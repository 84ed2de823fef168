/* SPDX-License-Identifier: MIT */
/*
 * domus: finds the command that is called, parses its options by its row of the table, and runs it.
 */
#include <getopt.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

#define COLUMN 24

static const struct command_option common_options[] = {
    {'h', "help", NULL, "explain this command"},
    {'j', "json", NULL, "print the result, or the error, as one JSON object"},
};
#define COMMON_OPTIONS (sizeof(common_options) / sizeof(common_options[0]))

static const struct command *find_command(const char *name)
{
    for (const struct command *command = commands; command->name; command++)
        if (strcmp(command->name, name) == 0)
            return command;
    return NULL;
}

static int unknown_command(const char *name)
{
    size_t count = 0;
    const char *near;

    while (commands[count].name)
        count++;
    near = nearest_name(name, &commands[0].name, count, sizeof(commands[0]));
    fprintf(stderr, "domus: there is no command `%s'", name);
    if (near)
        fprintf(stderr, "; did you mean `%s'?\n", near);
    else
        fprintf(stderr, "; `domus help' lists them\n");
    return STATUS_USAGE;
}

static void print_option(const struct command_option *option)
{
    char left[64];

    snprintf(left, sizeof(left), "-%c, --%s%s%s", option->letter, option->name, option->argument ? " " : "",
             option->argument ? option->argument : "");
    printf("  %-*s  %s\n", COLUMN, left, option->help);
}

void print_help(const struct command *command)
{
    if (command) {
        printf("usage: domus %s %s\n\n%s.\n%s\noptions:\n", command->name, command->arguments, command->summary,
               command->help);
        for (const struct command_option *option = command->options; option->name; option++)
            print_option(option);
        for (size_t i = 0; i < COMMON_OPTIONS; i++)
            print_option(&common_options[i]);
        return;
    }
    printf("usage: domus COMMAND [options] [arguments]\n\ncommands:\n");
    for (command = commands; command->name; command++)
        printf("  %-10s  %s\n", command->name, command->summary);
    printf("\nEach takes --help and --json. See domus(1), domus.cfg(5).\n");
}

int command_help(const struct invocation *invocation)
{
    const struct command *command = NULL;

    if (invocation->argc > 0) {
        command = find_command(invocation->argv[0]);
        if (!command)
            return unknown_command(invocation->argv[0]);
    }
    print_help(command);
    return STATUS_OK;
}

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
    struct option longs[OPTIONS_MAX + COMMON_OPTIONS + 1];
    char shorts[2 * (OPTIONS_MAX + COMMON_OPTIONS) + 2];
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
    for (size_t i = 0; i < COMMON_OPTIONS; i++)
        add_option(grammar, &count, &common_options[i]);
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
    invocation.command = find_command(argv[1]);
    if (!invocation.command)
        return unknown_command(argv[1]);
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
