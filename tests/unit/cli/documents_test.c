/* SPDX-License-Identifier: MIT */
/*
 * The manual page and the table of commands say the same: each command and option of the one is in the other.
 */
#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/cli.h"

static char *manual;

/* The page as text: no font changes, no escaped hyphens. */
static void strip(char *text)
{
    char *to = text;

    for (const char *from = text; *from; from++) {
        if (from[0] == '\\' && from[1] == 'f' && from[2])
            from += 2;
        else if (from[0] == '\\' && from[1] == '-')
            continue;
        else
            *to++ = *from;
    }
    *to = '\0';
}

static int read_manual(void **state)
{
    FILE *file = fopen(MANUAL, "r");
    size_t size;

    (void)state;
    if (!file)
        return -1;
    manual = calloc(1, 1 << 20);
    size = fread(manual, 1, (1 << 20) - 1, file);
    fclose(file);
    /* "\-" keeps its hyphen. */
    for (char *c = manual; (c = strstr(c, "\\-")) != NULL;)
        memmove(c, c + 1, strlen(c));
    strip(manual);
    return size == 0;
}

static int free_manual(void **state)
{
    (void)state;
    free(manual);
    return 0;
}

/* Whether the line begins an entry of a command: the first line after ".TP" that begins with a name. */
static bool is_heading(const char *line)
{
    return line - manual > 4 && memcmp(line - 4, ".TP\n", 4) == 0 &&
           (islower((unsigned char)*line) || strncmp(line, ".B ", 3) == 0);
}

/* Whether `name` stands in the heading as a word after which no option of another command comes. */
static bool names(const char *line, const char *name)
{
    size_t length = strlen(name);

    for (const char *at = line; (at = strstr(at, name)) != NULL && at < line + strcspn(line, "\n"); at++)
        if ((at == line || (at[-1] == ' ' && (at[-2] == ',' || at[-2] == 'B'))) &&
            (isspace((unsigned char)at[length]) || at[length] == ','))
            return true;
    return false;
}

/* The entry of a command, a copy to be freed; NULL if there is none. */
static char *entry_of(const char *name)
{
    const char *line = strstr(manual, ".SH COMMANDS"), *start = NULL;

    for (; line && *line; line += strcspn(line, "\n") + 1) {
        if (start && (is_heading(line) || strncmp(line, ".SH", 3) == 0))
            break;
        if (!start && is_heading(line) && names(line, name))
            start = line;
    }
    return start ? strndup(start, line - start) : NULL;
}

static void check_options(const struct command *command, const char *entry)
{
    char text[64];

    for (const struct command_option *option = command->options; option->name; option++) {
        if (!option->help)
            continue;
        snprintf(text, sizeof(text), "--%s", option->name);
        if (!strstr(entry, text))
            fail_msg("domus.1: the entry of %s does not explain %s", command->name, text);
        snprintf(text, sizeof(text), "-%c", option->letter);
        if (!strstr(entry, text))
            fail_msg("domus.1: the entry of %s does not have %s", command->name, text);
    }
}

static void manual_has_every_command_and_option(void **state)
{
    (void)state;
    for (const struct command_group *group = command_groups; group->title; group++) {
        for (const struct command *command = group->commands; command->name; command++) {
            char *entry = entry_of(command->name), *other;

            if (!entry)
                fail_msg("domus.1 has no entry of %s", command->name);
            if ((other = strstr(entry, "Options as for")) != NULL) {
                char name[64] = "";

                sscanf(other + strlen("Options as for"), " .BR %63s", name);
                free(entry);
                entry = entry_of(name);
                assert_non_null(entry);
            }
            check_options(command, entry);
            free(entry);
        }
    }
}

static bool is_option(const char *name, size_t length)
{
    static const char *const others[] = { "help", "json", "version" };

    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        if (strlen(others[i]) == length && strncmp(name, others[i], length) == 0)
            return true;
    for (const struct command_group *group = command_groups; group->title; group++)
        for (const struct command *command = group->commands; command->name; command++)
            for (const struct command_option *option = command->options; option->name; option++)
                if (strlen(option->name) == length && strncmp(name, option->name, length) == 0)
                    return true;
    return false;
}

static void manual_has_no_option_that_is_not_there(void **state)
{
    (void)state;
    for (const char *at = manual; (at = strstr(at, "--")) != NULL;) {
        size_t length;

        at += 2;
        length = strspn(at, "abcdefghijklmnopqrstuvwxyz-");
        if (!is_option(at, length))
            fail_msg("domus.1 explains --%.*s, which no command has", (int)length, at);
        at += length;
    }
}

/* What the help prints must fit the rest of the frame. */
static void rows_are_well_formed(void **state)
{
    (void)state;
    for (const struct command_group *group = command_groups; group->title; group++) {
        for (const struct command *command = group->commands; command->name; command++) {
            size_t length = strlen(command->help);

            if (length > 0 && command->help[length - 1] != '\n')
                fail_msg("the help of %s does not end a line", command->name);
            if (command->summary[strlen(command->summary) - 1] == '.')
                fail_msg("the summary of %s ends with a full stop", command->name);
            if (command->options[OPTIONS_MAX - 1].name)
                fail_msg("the options of %s are not ended", command->name);
            assert_ptr_equal(find_command(command->name), command);
        }
    }
}

static void names_are_found_as_they_are_typed(void **state)
{
    (void)state;
    assert_string_equal(find_command("li")->name, "list");
    assert_string_equal(find_command("vm-list")->name, "list");
    assert_string_equal(find_command("dump")->name, "dump-core");
    assert_null(find_command("d"));
    assert_null(find_command(""));
    assert_null(find_command("migrate-everything"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(manual_has_every_command_and_option),
        cmocka_unit_test(manual_has_no_option_that_is_not_there),
        cmocka_unit_test(rows_are_well_formed),
        cmocka_unit_test(names_are_found_as_they_are_typed),
    };

    return cmocka_run_group_tests_name("commands and their documents", tests, read_manual, free_manual);
}
