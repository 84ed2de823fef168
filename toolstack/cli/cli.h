/* SPDX-License-Identifier: MIT */
/*
 * The command line's frame: every command is a row of a table, with its options, help and function. Parsing options,
 * printing help, JSON and errors are the same for all.
 */
#ifndef DOMUS_CLI_H
#define DOMUS_CLI_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "lib/failure.h"

enum exit_status { STATUS_OK = 0, STATUS_FAILED = 1, STATUS_USAGE = 2 };

#define OPTIONS_MAX 12

/*
 * An option "-l, --name"; with `argument`, one that takes a value. One without `help` is another spelling of the option
 * with the same letter. A row without a name ends a list of them.
 */
struct command_option {
    char letter;
    const char *name;
    const char *argument;
    const char *help;
};

struct invocation;

struct command {
    const char *name;
    const char *arguments; /* as in "usage: domus NAME ARGUMENTS" */
    const char *summary;
    const char *help;
    int min_arguments, max_arguments; /* max < 0: any number */
    int (*run)(const struct invocation *invocation);
    struct command_option options[OPTIONS_MAX];
};

/* Commands that belong together; the rows end with one without a name. */
struct command_group {
    const char *title;
    const struct command *commands;
};

/* A command as it was called. */
struct invocation {
    const struct command *command;
    bool json;
    bool as_xl; /* through a link called xl: what scripts read is printed as xl prints it */
    const char *option_values[OPTIONS_MAX];
    int argc;
    char **argv;
};

/* All commands, in the order of the help; ended by a group without a title. */
extern const struct command_group command_groups[];

extern const struct command domain_commands[];
extern const struct command definition_commands[];
extern const struct command host_commands[];
extern const struct command resource_commands[];
extern const struct command pool_commands[];
extern const struct command device_commands[];

/*
 * The command that `name` means: its name, an xl name of it, or the beginning of a single one. NULL after saying on
 * standard error what it may have been meant to be.
 */
const struct command *find_command(const char *name);

/*
 * Take the options of invocation->command off argv, whose first element is the command; the rest become its arguments.
 * Returns -1, or the status to exit with: help was asked for, or usage was wrong.
 */
int parse_options(struct invocation *invocation, int argc, char **argv);

/* The value of an option, "" for one without values, NULL if it was not given. */
const char *option_value(const struct invocation *invocation, char letter);

/*
 * The value of an option as a number from `min` to `max`; *value stays as it is if the option was not given. STATUS_OK,
 * or STATUS_USAGE after saying what is wrong.
 */
int option_number(const struct invocation *invocation, char letter, long min, long max, long *value);

/* Say on standard error what is wrong with how the command was called. Returns STATUS_USAGE. */
int usage_error(const struct command *command, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Those that every command has. */
extern const struct command_option common_options[];

/* Print help for `command`, or the list of all commands for NULL, on standard output. */
void print_help(const struct command *command);

/*
 * Print a failure: as JSON on standard output, or in words on standard error. Returns STATUS_FAILED.
 */
int report_failure(const struct invocation *invocation, const struct failure *failure);

/* Print `object` and a newline; with "ok": true added if it is not in it. Takes the reference. Returns STATUS_OK. */
int report_json(json_t *object);

/*
 * The end of a command that changes something: nothing more in words, the reply in JSON. Takes the reference; for NULL
 * *failure is printed instead.
 */
int report_reply(const struct invocation *invocation, json_t *reply, const struct failure *failure);

/* --- the daemon ---------------------------------------------------------------------------------- */

/* Connect to domusd. A descriptor, or -1 with *failure filled in; `what` says what it was wanted for. */
int daemon_open(const char *what, struct failure *failure);

/*
 * Send `request` (its reference is taken) and wait for the reply, printing progress lines on the way. Returns a
 * successful reply, or NULL with *failure filled in.
 */
json_t *daemon_call(int fd, json_t *request, const char *what, struct failure *failure);

/* The second half of daemon_call, for a request that has been sent. */
json_t *daemon_wait(int fd, const char *what, struct failure *failure);

/* Both, and hang up. */
json_t *daemon_request(json_t *request, const char *what, struct failure *failure);

/* A name that looks meant by `word` among `count` names that lie `stride` bytes apart; NULL if none is near. */
const char *nearest_name(const char *word, const char *const *names, size_t count, size_t stride);

/* The file that defines the guest `name`, into `path`. False if there is none. */
bool definition_path(const char *name, char *path, size_t size);

/* The guest's place in the order of starting with the host, or -1: it is not started with it. */
long definition_order(const char *name);

/* Attach this terminal to the console that `fd` carries, until Ctrl-] or its end. Returns an exit status. */
int console_run(int fd, const char *name);

int command_create(const struct invocation *invocation);
int command_list(const struct invocation *invocation);
int command_console(const struct invocation *invocation);
int command_simple(const struct invocation *invocation);
int command_shutdown(const struct invocation *invocation);
int command_rename(const struct invocation *invocation);
int command_domid(const struct invocation *invocation);
int command_domname(const struct invocation *invocation);
int command_stop_all(const struct invocation *invocation);
int command_uptime(const struct invocation *invocation);
int command_sysrq(const struct invocation *invocation);
int command_trigger(const struct invocation *invocation);
int command_config_update(const struct invocation *invocation);
int command_dump_core(const struct invocation *invocation);
int command_check(const struct invocation *invocation);
int command_debug_keys(const struct invocation *invocation);
int command_log(const struct invocation *invocation);
int command_events(const struct invocation *invocation);
int command_dmesg(const struct invocation *invocation);
int command_top(const struct invocation *invocation);
int command_info(const struct invocation *invocation);
int command_help(const struct invocation *invocation);

#endif
