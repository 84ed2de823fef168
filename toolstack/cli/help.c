/* SPDX-License-Identifier: MIT */
/*
 * Finds commands by what is typed, and prints their help.
 */
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"

#define COLUMN 24

const struct command_option common_options[] = {
    { 'h', "help", NULL, "explain this command" },
    { 'j', "json", NULL, "print the result, or the error, as one JSON object" },
    { 0 },
};

/* --- finding ----------------------------------------------------------------------------------------------------- */

/* Names that xl has for what is called otherwise here. */
static const struct {
    const char *alias, *name;
} aliases[] = {
    { "vm-list", "list" },
    { "sched-credit", "sched" },
};

#define NAMES_MAX 128

/* All names there are, those of xl included, and what each means. */
struct names {
    const char *name[NAMES_MAX];
    const struct command *command[NAMES_MAX];
    size_t count;
};

static void add_name(struct names *names, const char *name, const struct command *command)
{
    if (names->count < NAMES_MAX) {
        names->name[names->count] = name;
        names->command[names->count++] = command;
    }
}

static void collect_names(struct names *names)
{
    size_t own;

    names->count = 0;
    for (const struct command_group *group = command_groups; group->title; group++)
        for (const struct command *command = group->commands; command->name; command++)
            add_name(names, command->name, command);
    own = names->count;
    for (size_t i = 0; i < sizeof(aliases) / sizeof(aliases[0]); i++)
        for (size_t j = 0; j < own; j++)
            if (strcmp(aliases[i].name, names->name[j]) == 0)
                add_name(names, aliases[i].alias, names->command[j]);
}

static void say_ambiguous(const struct names *names, const char *typed)
{
    const char *separator = "";

    fprintf(stderr, "domus: `%s' may be ", typed);
    for (size_t i = 0; i < names->count; i++) {
        if (strncmp(names->name[i], typed, strlen(typed)) == 0) {
            fprintf(stderr, "%s%s", separator, names->name[i]);
            separator = ", ";
        }
    }
    fprintf(stderr, "; type more of it\n");
}

static void say_unknown(const struct names *names, const char *typed)
{
    const char *near = nearest_name(typed, names->name, names->count, sizeof(names->name[0]));

    fprintf(stderr, "domus: there is no command `%s'", typed);
    if (near)
        fprintf(stderr, "; did you mean `%s'?\n", near);
    else
        fprintf(stderr, "; `domus help' lists them\n");
}

const struct command *find_command(const char *name)
{
    const struct command *found = NULL;
    struct names names;
    bool ambiguous = false;

    collect_names(&names);
    for (size_t i = 0; i < names.count; i++) {
        if (strcmp(names.name[i], name) == 0)
            return names.command[i];
        if (*name && strncmp(names.name[i], name, strlen(name)) == 0) {
            ambiguous |= found && found != names.command[i];
            found = names.command[i];
        }
    }
    if (ambiguous)
        say_ambiguous(&names, name);
    else if (!found)
        say_unknown(&names, name);
    return ambiguous ? NULL : found;
}

/* --- help -------------------------------------------------------------------------------------------------------- */

static void print_options(const struct command_option *option)
{
    char left[64];

    for (; option->name; option++) {
        if (!option->help)
            continue;
        snprintf(left, sizeof(left), "-%c, --%s%s%s", option->letter, option->name, option->argument ? " " : "",
                 option->argument ? option->argument : "");
        printf("  %-*s  %s\n", COLUMN, left, option->help);
    }
}

void print_help(const struct command *command)
{
    if (command) {
        printf("usage: domus %s %s\n\n%s.\n%s\noptions:\n", command->name, command->arguments, command->summary,
               command->help);
        print_options(command->options);
        print_options(common_options);
        return;
    }
    printf("usage: domus COMMAND [options] [arguments]\n");
    for (const struct command_group *group = command_groups; group->title; group++) {
        printf("\n%s:\n", group->title);
        for (command = group->commands; command->name; command++)
            printf("  %-19s  %s\n", command->name, command->summary);
    }
    printf("\nA command may be shortened as long as it is clear which is meant, and xl's names are understood.\n"
           "Each takes --help and --json. See domus(1), domus.cfg(5).\n");
}

int command_help(const struct invocation *invocation)
{
    const struct command *command = NULL;

    if (invocation->argc > 0) {
        command = find_command(invocation->argv[0]);
        if (!command)
            return STATUS_USAGE;
    }
    print_help(command);
    return STATUS_OK;
}
