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
        "FILE is written as for xl; see domus.cfg(5). It may also be the name of a definition (domus define). Each\n"
        "KEY=VALUE takes the place of what FILE says; strings need no quotation marks of their own. Without FILE, all\n"
        "of the configuration comes from KEY=VALUE.\n",
        0, -1, command_create,
        {
            { 'c', "console", NULL, "attach to the console at once" },
            { 'p', "paused", NULL, "leave the domain paused" },
            { 'n', "dry-run", NULL, "check the configuration and print it as JSON; make nothing" },
            { 'n', "dryrun", NULL, NULL },
            { 'q', "quiet", NULL, "say nothing if it is made" },
            { 'f', "file", "FILE", "the configuration file, as an option" },
            { 'f', "defconfig", "FILE", NULL },
            { 'F', "foreground", NULL, "end when the domain does, however often it is made again" },
            { 'e', "no-background", NULL, "as always: the daemon looks after the domain, and no process of its own" },
            { 'V', "vncviewer", NULL, "refused: guests have a console and no screen" },
        },
    },
    {
        "check", "[options] FILE [KEY=VALUE...]", "check a configuration without making anything",
        "All of its keys and values, and that this host has what it names: files, bridges, memory. KEY=VALUE as for\n"
        "create.\n",
        1, -1, command_check,
        {
            { 'n', "no-host", NULL, "only its form, which needs no daemon" },
        },
    },
    {
        "list", "[options] [DOMAIN...]", "list domains and their state",
        DOMAIN_HELP "Without DOMAIN, all of them. Mem is in MiB, Time is processor time used.\n",
        0, -1, command_list,
        {
            { 'l', "long", NULL, "all that is known of each, its configuration included" },
            { 'v', "verbose", NULL, "uuid and reason of shutdown besides" },
        },
    },
    {
        "console", "[options] DOMAIN", "attach to a domain's console; Ctrl-] detaches",
        DOMAIN_HELP "Any number of viewers may be attached to a domain. The command ends when the domain does.\n",
        1, 1, command_console,
        {
            { 'r', "replay", "BYTES", "show this much of what was printed before (default 4096)" },
            { 't', "type", "TYPE", "kind of console: pv is the one there is" },
            { 'n', "number", "NUMBER", "which of them: 0 is the one there is" },
        },
    },
    { "pause", "DOMAIN", "stop a domain's processors where they are", DOMAIN_HELP, 1, 1, command_simple, {} },
    { "unpause", "DOMAIN", "let a paused domain run on", DOMAIN_HELP, 1, 1, command_simple, {} },
    {
        "shutdown", "[options] DOMAIN...", "ask domains to shut down",
        DOMAIN_HELP "The guest is asked and may take its time; `domus destroy` does not ask.\n",
        0, -1, command_shutdown,
        {
            { 'a', "all", NULL, "all domains but dom0" },
            { 'w', "wait", NULL, "wait until the guests have shut down" },
            { 't', "timeout", "SECONDS", "how long to wait (default 300); waits" },
            { 'F', "force", NULL, "destroy what has not shut down in that time; waits" },
        },
    },
    {
        "reboot", "[options] DOMAIN...", "ask domains to reboot", DOMAIN_HELP "They come back with new numbers.\n",
        0, -1, command_shutdown,
        {
            { 'a', "all", NULL, "all domains but dom0" },
            { 'w', "wait", NULL, "wait until they are being started again" },
            { 't', "timeout", "SECONDS", "how long to wait (default 300); waits" },
            { 'F', "force", NULL, "make anew what has not rebooted in that time; waits" },
        },
    },
    {
        "destroy", "DOMAIN", "end a domain at once, as if its power were cut",
        DOMAIN_HELP "What the guest had not yet written to its disks is lost.\n", 1, 1, command_simple,
        {
            { 'f', "force", NULL, NULL },
        },
    },
    { "rename", "DOMAIN NAME", "give a domain another name", DOMAIN_HELP, 2, 2, command_rename, {} },
    {
        "config-update", "[options] DOMAIN [FILE] [KEY=VALUE...]", "change what a domain is made of when it reboots",
        DOMAIN_HELP "With FILE, its configuration from its next reboot on is that of the file; without, the one that\n"
        "it has. Each KEY=VALUE changes it. Its name and uuid stay. Nothing changes before the reboot.\n",
        1, -1, command_config_update,
        {
            { 'f', "file", "FILE", "the configuration file, as an option" },
            { 'f', "defconfig", "FILE", NULL },
        },
    },
    { "domid", "NAME", "print the number of a domain", "", 1, 1, command_domid, {} },
    { "domname", "DOMID", "print the name of a domain", "", 1, 1, command_domname, {} },
    {
        "uptime", "[options] [DOMAIN...]", "print how long domains have been running",
        DOMAIN_HELP "Without DOMAIN, all of them. Domain-0 is as old as its kernel.\n", 0, -1, command_uptime,
        {
            { 's', "short", NULL, "only names and times, without a heading" },
        },
    },
    {
        "sysrq", "DOMAIN KEY", "have a guest's kernel act on a magic SysRq key", DOMAIN_HELP
        "KEY is one letter or digit; Linux prints what there is for h.\n", 2, 2, command_sysrq, {},
    },
    {
        "trigger", "DOMAIN nmi [VCPU]", "send a guest's processor a non-maskable interrupt",
        DOMAIN_HELP "xl's other triggers are for full virtualization. VCPU is 0 if it is left out.\n",
        2, 3, command_trigger, {},
    },
    {
        "dump-core", "DOMAIN [FILE]", "write a domain's memory and registers to a file",
        DOMAIN_HELP "FILE must not be there yet; without it, one is made in /var/lib/domus/dump. It is an ELF file for\n"
        "crash(8), of the form that xl writes. The domain is not stopped meanwhile: pause it for a picture of one\n"
        "moment.\n",
        1, 2, command_dump_core, {},
    },
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
        "Names are those of `xl info`. Works without the daemon, too.\n", 0, 0, command_info,
        {
            { 'n', "numa", NULL, "the processors' cores, sockets and nodes, and the nodes' memory besides" },
        },
    },
    {
        "debug-keys", "KEYS", "press the hypervisor's debug keys",
        "Each letter of KEYS has it print something; h lists them. See it with domus dmesg.\n", 1, 1,
        command_debug_keys, {},
    },
    {
        "log", "[options] [DOMAIN]", "print what the daemon has logged, of one domain or of all",
        "DOMAIN is a domain's name; it need not be there any more.\n", 0, 1, command_log,
        {
            { 'c', "console", NULL, "what the guest has printed on its console, instead" },
            { 'f', "follow", NULL, "go on printing what comes" },
            { 'n', "lines", "NUMBER", "only the last lines" },
        },
    },
    {
        "events", "[options] [DOMAIN...]", "print what happens to domains, as it happens, as lines of JSON",
        DOMAIN_HELP "Without DOMAIN, all of them. It goes on until it is interrupted or the daemon ends.\n",
        0, -1, command_events,
        {
            { 'r', "replay", "NUMBER", "first the last events of the past, up to 512" },
            { 'o', "once", NULL, "only the past ones" },
            { 'u', "until", "EVENT", "end after an event of that kind, e.g. destroyed" },
        },
    },
    {
        "help", "[COMMAND]", "explain a command, or list all", "", 0, 1, command_help,
        {
            { 'l', "long", NULL, NULL },
        },
    },
    { 0 },
};

const struct command_group command_groups[] = {
    { "domains", domain_commands },
    { "resources of domains", resource_commands },
    { "devices", device_commands },
    { "CPU pools", pool_commands },
    { "definitions", definition_commands },
    { "host", host_commands },
    { 0 },
};
