/* SPDX-License-Identifier: MIT */
/*
 * The table of all commands. What stands here is what `domus help` prints and what shell completion offers. Other groups
 * than those here stand beside their commands.
 */
#include "cli/cli.h"

#define DOMAIN_HELP "DOMAIN is a domain's name or number.\n"

const struct command domain_commands[] = {
    {
        "create", "[options] FILE [KEY=VALUE...]", "make a domain from a configuration file and start it",
        "FILE is written as for xl; see domus.cfg(5). Each KEY=VALUE takes the place of what FILE says; strings need no\n"
        "quotation marks of their own. Without FILE, all of the configuration comes from KEY=VALUE.\n",
        0, -1, command_create,
        {
            { 'c', "console", NULL, "attach to the console at once" },
            { 'p', "paused", NULL, "leave the domain paused" },
            { 'n', "dry-run", NULL, "check the configuration and print it as JSON; make nothing" },
        },
    },
    {
        "list", "[options] [DOMAIN...]", "list domains and their state",
        DOMAIN_HELP "Without DOMAIN, all of them. Mem is in MiB, Time is processor time used.\n",
        0, -1, command_list,
        {
            { 'l', "long", NULL, "all that is known of each, its configuration included" },
        },
    },
    {
        "console", "[options] DOMAIN", "attach to a domain's console; Ctrl-] detaches",
        DOMAIN_HELP "Any number of viewers may be attached to a domain. The command ends when the domain does.\n",
        1, 1, command_console,
        {
            { 'r', "replay", "BYTES", "show this much of what was printed before (default 4096)" },
        },
    },
    { "pause", "DOMAIN", "stop a domain's processors where they are", DOMAIN_HELP, 1, 1, command_simple, {} },
    { "unpause", "DOMAIN", "let a paused domain run on", DOMAIN_HELP, 1, 1, command_simple, {} },
    {
        "shutdown", "[options] DOMAIN", "ask a domain to shut down",
        DOMAIN_HELP "The guest is asked and may take its time; `domus destroy` does not ask.\n",
        1, 1, command_shutdown,
        {
            { 'w', "wait", NULL, "wait until the guest has shut down" },
            { 't', "timeout", "SECONDS", "how long -w waits (default 300)" },
        },
    },
    {
        "reboot", "[options] DOMAIN", "ask a domain to reboot", DOMAIN_HELP "It comes back with a new number.\n",
        1, 1, command_shutdown,
        {
            { 'w', "wait", NULL, "wait until it is being started again" },
            { 't', "timeout", "SECONDS", "how long -w waits (default 300)" },
        },
    },
    {
        "destroy", "DOMAIN", "end a domain at once, as if its power were cut",
        DOMAIN_HELP "What the guest had not yet written to its disks is lost.\n", 1, 1, command_simple, {},
    },
    { "rename", "DOMAIN NAME", "give a domain another name", DOMAIN_HELP, 2, 2, command_rename, {} },
    { "domid", "NAME", "print the number of a domain", "", 1, 1, command_domid, {} },
    { "domname", "DOMID", "print the name of a domain", "", 1, 1, command_domname, {} },
    { 0 },
};

const struct command host_commands[] = {
    {
        "dmesg", "[options]", "print the hypervisor's messages", "", 0, 0, command_dmesg,
        {
            { 'c', "clear", NULL, "empty the buffer afterwards" },
        },
    },
    {
        "info", "", "print facts about the host and the hypervisor",
        "Names are those of `xl info`. Works without the daemon, too.\n", 0, 0, command_info, {},
    },
    { "help", "[COMMAND]", "explain a command, or list all", "", 0, 1, command_help, {} },
    { 0 },
};

const struct command_group command_groups[] = {
    { "domains", domain_commands },
    { "host", host_commands },
    { 0 },
};
