/* SPDX-License-Identifier: MIT */
/*
 * Commands about the disks and network cards of running domains.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/config.h"
#include "cli/resources.h"

#define SPEC_SIZE 1024

/* The arguments from the second on as one specification, with commas between them. False if it is too long. */
static bool join_arguments(const struct invocation *invocation, char *spec)
{
    size_t length = 0;

    spec[0] = '\0';
    for (int i = 1; i < invocation->argc; i++) {
        length += snprintf(spec + length, SPEC_SIZE - length, "%s%s", i > 1 ? "," : "", invocation->argv[i]);
        if (length >= SPEC_SIZE)
            return false;
    }
    return true;
}

/* Have the daemon attach what the arguments describe. */
static int attach(const struct invocation *invocation, const char *key,
                  json_t *(*parse)(const char *spec, struct failure *failure))
{
    struct failure failure;
    char spec[SPEC_SIZE];
    json_t *object;

    failure_what(&failure, "cannot attach to domain %s", invocation->argv[0]);
    if (!join_arguments(invocation, spec))
        return usage_error(invocation->command, "the description of the device is too long");
    object = parse(spec, &failure);
    if (!object)
        return report_failure(invocation, &failure);
    if (option_value(invocation, 'n'))
        return report_json(json_pack("{s:o}", key, object));
    return run_request(invocation, json_pack("{s:s, s:s, s:o}", "op", invocation->command->name, "domain",
                                             invocation->argv[0], key, object));
}

static int command_block_attach(const struct invocation *invocation)
{
    return attach(invocation, "disk", disk_parse);
}

static int command_network_attach(const struct invocation *invocation)
{
    return attach(invocation, "vif", vif_parse);
}

/* block-detach and network-detach. */
static int command_detach(const struct invocation *invocation)
{
    return run_request(invocation, json_pack("{s:s, s:s, s:s, s:b}", "op", invocation->command->name, "domain",
                                             invocation->argv[0], "device", invocation->argv[1], "force",
                                             option_value(invocation, 'f') != NULL));
}

static int command_block_resize(const struct invocation *invocation)
{
    json_t *request = json_pack("{s:s, s:s, s:s}", "op", "block-resize", "domain", invocation->argv[0], "device",
                                invocation->argv[1]);

    if (invocation->argc > 2) {
        long long kib = parse_memory(invocation->argv[2]);

        if (kib < 1) {
            json_decref(request);
            return usage_error(invocation->command, "`%s' is no size; write 512m or 2g", invocation->argv[2]);
        }
        json_object_set_new(request, "bytes", json_integer(kib << 10));
    }
    return run_request(invocation, request);
}

/* --- lists ------------------------------------------------------------------------------------------------------- */

static const char *text_of(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text ? text : "-";
}

/* A number as text, "-" where there is none. */
static const char *number_text(const json_t *object, const char *key, char *buffer)
{
    const json_t *number = json_object_get(object, key);

    if (json_is_integer(number))
        sprintf(buffer, "%" JSON_INTEGER_FORMAT, json_integer_value(number));
    else
        strcpy(buffer, "-");
    return buffer;
}

static void print_disk(const json_t *disk)
{
    char number[24], owner[24], state[24], event[24], ring[24];

    printf("%-6s %-8s %2s %-5s %-7s %-8s %s  %s (%s)\n", number_text(disk, "number", number), text_of(disk, "vdev"),
           number_text(disk, "backend_domid", owner), number_text(disk, "state", state),
           number_text(disk, "event_channel", event), number_text(disk, "ring_ref", ring), text_of(disk, "backend"),
           text_of(disk, "target"), text_of(disk, "mode"));
}

static void print_card(const json_t *card)
{
    char number[24], owner[24], state[24], event[24], tx[24], rx[24];

    printf("%-3s %2s %-17s %-6s %-5s %-7s %5s/%-11s %s  %s\n", number_text(card, "number", number),
           number_text(card, "backend_domid", owner), text_of(card, "mac"), number_text(card, "number", number),
           number_text(card, "state", state), number_text(card, "event_channel", event),
           number_text(card, "tx_ring_ref", tx), number_text(card, "rx_ring_ref", rx), text_of(card, "backend"),
           text_of(card, "bridge"));
}

/* The devices that `key` names ("disks" or "cards") of each domain that is an argument. */
static int list_devices(const struct invocation *invocation, const char *key, const char *heading,
                        void (*print)(const json_t *device))
{
    json_t *all = json_array(), *device;
    struct failure failure;
    size_t n;

    for (int i = 0; i < invocation->argc; i++) {
        json_t *reply = call_daemon(invocation, json_pack("{s:s, s:s}", "op", "devices", "domain",
                                                          invocation->argv[i]), &failure);

        if (!reply) {
            json_decref(all);
            return report_failure(invocation, &failure);
        }
        json_array_foreach(json_object_get(reply, key), n, device)
            json_object_set(device, "domid", json_object_get(reply, "domid"));
        json_array_extend(all, json_object_get(reply, key));
        json_decref(reply);
    }
    if (invocation->json)
        return report_json(json_pack("{s:o}", key, all));
    puts(heading);
    json_array_foreach(all, n, device)
        print(device);
    json_decref(all);
    return STATUS_OK;
}

static int command_block_list(const struct invocation *invocation)
{
    return list_devices(invocation, "disks", "Vdev   Name     BE State Evt-ch  Ring-ref BE-path", print_disk);
}

static int command_network_list(const struct invocation *invocation)
{
    return list_devices(invocation, "cards",
                        "Idx BE MAC-address       Handle State Evt-ch     Tx-/Rx-ring-ref BE-path", print_card);
}

/* cd-insert and cd-eject. */
static int command_medium(const struct invocation *invocation)
{
    struct failure failure;

    failure_what(&failure, "cannot %s domain %s", invocation->command->name, invocation->argv[0]);
    failure_why(&failure, "drives whose medium changes are QEMU's, and a paravirtualized guest has none");
    failure_remedy(&failure, "attach and detach the disk: domus block-attach %s FILE,raw,xvdc,cdrom; domus block-detach "
                   "%s xvdc", invocation->argv[0], invocation->argv[0]);
    return report_failure(invocation, &failure);
}

#define STATE_HELP \
    "State is the guest's: 4 is connected. Numbers and ring references are those of the store.\n"

const struct command device_commands[] = {
    {
        "block-attach", "[options] DOMAIN DISK...", "give a running domain a disk",
        "DISK is written as in disk= of a configuration: /srv/a.img,raw,xvdb,rw or format=qcow2,vdev=xvdb,target=FILE\n"
        "or phy:/dev/name xvdb w. The disk stays when the domain reboots.\n", 2, -1, command_block_attach,
        {
            { 'n', "dry-run", NULL, "print what would be asked for; change nothing" },
        },
    },
    {
        "block-detach", "[options] DOMAIN DEVICE", "take a disk from a running domain",
        "DEVICE is its name in the guest (xvdb) or its number. The guest has to let go of it.\n", 2, 2, command_detach,
        {
            { 'f', "force", NULL, "do not ask the guest" },
        },
    },
    { "block-list", "DOMAIN...", "list disks of domains", STATE_HELP, 1, -1, command_block_list, {} },
    {
        "block-resize", "DOMAIN DEVICE [SIZE]", "let a running domain see another size of its disk",
        "With SIZE (in MiB, or k, m, g, t behind it) the disk's file or image is enlarged first. Without, the disk is as\n"
        "large as its file or device is now. An image in one of QEMU's formats needs SIZE, and is not served for a moment\n"
        "while it changes: the guest waits.\n", 2, 3, command_block_resize, {},
    },
    { "cd-insert", "DOMAIN DEVICE FILE", "for guests with emulated drives: put in a medium", "", 3, 3, command_medium,
      {} },
    { "cd-eject", "DOMAIN DEVICE", "for guests with emulated drives: take the medium out", "", 2, 2, command_medium, {} },
    {
        "network-attach", "[options] DOMAIN [KEY=VALUE...]", "give a running domain a network card",
        "Keys as in vif= of a configuration: bridge, mac, ip, rate, vlan, mtu, antispoof, isolated, devid. The card\n"
        "stays when the domain reboots.\n", 1, -1, command_network_attach,
        {
            { 'n', "dry-run", NULL, "print what would be asked for; change nothing" },
        },
    },
    {
        "network-detach", "[options] DOMAIN DEVICE", "take a network card from a running domain",
        "DEVICE is its number, 0 for eth0 and so on, or its MAC address.\n", 2, 2, command_detach,
        {
            { 'f', "force", NULL, "do not ask the guest" },
        },
    },
    { "network-list", "DOMAIN...", "list network cards of domains", STATE_HELP, 1, -1, command_network_list, {} },
    { 0 },
};
