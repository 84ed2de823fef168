/* SPDX-License-Identifier: MIT */
/*
 * domus dmesg and domus info: asked of the hypervisor itself, so that they work whatever state the daemon is in.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

#include "cli/cli.h"
#include "lib/hypercall.h"
#include "lib/placement.h"

#define CONSOLE_PIECE 16384
#define NODES_MAX 64
#define PAGES_PER_MIB (1 << (20 - HV_PAGE_SHIFT))

/* Say that the hypervisor did not do what was asked. */
static int hypervisor_failure(const struct invocation *invocation, const char *what, long error)
{
    struct failure failure;

    failure_what(&failure, "%s", what);
    failure_why(&failure, "the hypervisor did not answer: %s", strerror(-error));
    failure_remedy(&failure, "run as root in dom0, with the module xen-privcmd loaded");
    return report_failure(invocation, &failure);
}

/* Read the console ring whole. Returns its bytes, or -errno; *text is to be freed. */
static long read_ring(char **text, bool clear)
{
    uint32_t index = 0;
    size_t size = 0;
    long got;

    *text = NULL;
    do {
        char *larger = realloc(*text, size + CONSOLE_PIECE + 1);

        if (!larger)
            return -ENOMEM;
        *text = larger;
        got = hv_console_read(*text + size, CONSOLE_PIECE, false, true, &index);
        if (got < 0)
            return got;
        size += got;
    } while (got > 0);
    if (clear) {
        char last;

        got = hv_console_read(&last, 0, true, false, &index);
    }
    (*text)[size] = '\0';
    return got < 0 ? got : (long)size;
}

int command_dmesg(const struct invocation *invocation)
{
    static const char what[] = "cannot read the hypervisor's messages";
    long size = hv_open();
    char *text = NULL;

    if (size >= 0)
        size = read_ring(&text, option_value(invocation, 'c') != NULL);
    if (size < 0) {
        free(text);
        return hypervisor_failure(invocation, what, size);
    }
    for (long i = 0; invocation->json && i < size; i++)
        if ((unsigned char)text[i] >= 0x80 || text[i] == '\0')
            text[i] = '?';
    if (invocation->json)
        report_json(json_pack("{s:s%}", "text", text, (size_t)size));
    else
        fwrite(text, 1, size, stdout);
    free(text);
    return STATUS_OK;
}

int command_debug_keys(const struct invocation *invocation)
{
    long error = hv_open();

    if (error >= 0)
        error = hv_debug_keys(invocation->argv[0]);
    if (error < 0)
        return hypervisor_failure(invocation, "cannot send the debug keys", error);
    return report_reply(invocation, json_object(), NULL);
}

static void put_text(json_t *facts, const char *name, const char *value)
{
    json_object_set_new(facts, name, json_string(value));
}

static void put_number(json_t *facts, const char *name, uint64_t value)
{
    json_object_set_new(facts, name, json_integer(value));
}

static void add_machine(json_t *facts)
{
    struct utsname system;

    if (uname(&system) < 0)
        return;
    put_text(facts, "host", system.nodename);
    put_text(facts, "release", system.release);
    put_text(facts, "version", system.version);
    put_text(facts, "machine", system.machine);
}

static void add_processors(json_t *facts, const struct xen_sysctl_physinfo *info)
{
    char text[8 * 9 + 1] = "";

    put_number(facts, "nr_cpus", info->nr_cpus);
    put_number(facts, "max_cpu_id", info->max_cpu_id);
    put_number(facts, "nr_nodes", info->nr_nodes);
    put_number(facts, "cores_per_socket", info->cores_per_socket);
    put_number(facts, "threads_per_core", info->threads_per_core);
    json_object_set_new(facts, "cpu_mhz", json_real(info->cpu_khz / 1000.0));
    for (size_t i = 0; i < sizeof(info->hw_cap) / sizeof(info->hw_cap[0]); i++)
        snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%08" PRIx32, i ? ":" : "", info->hw_cap[i]);
    put_text(facts, "hw_caps", text);
    snprintf(text, sizeof(text), "%s%s%s%s", info->capabilities & XEN_SYSCTL_PHYSCAP_pv ? "pv " : "",
             info->capabilities & XEN_SYSCTL_PHYSCAP_hvm ? "hvm " : "",
             info->capabilities & XEN_SYSCTL_PHYSCAP_hap ? "hap " : "",
             info->capabilities & XEN_SYSCTL_PHYSCAP_directio ? "directio " : "");
    if (*text)
        text[strlen(text) - 1] = '\0';
    put_text(facts, "virt_caps", text);
    put_number(facts, "total_memory", info->total_pages / PAGES_PER_MIB);
    put_number(facts, "free_memory", info->free_pages / PAGES_PER_MIB);
    put_number(facts, "free_pages", info->free_pages);
    put_number(facts, "outstanding_claims", info->outstanding_pages / PAGES_PER_MIB);
}

static const char *scheduler_name(uint32_t id)
{
    switch (id) {
    case XEN_SCHEDULER_CREDIT:
        return "credit";
    case XEN_SCHEDULER_CREDIT2:
        return "credit2";
    case XEN_SCHEDULER_RTDS:
        return "rtds";
    case XEN_SCHEDULER_NULL:
        return "null";
    default:
        return "unknown";
    }
}

/* A text fact of xen_version, of `size` bytes, added as `name`; left out if the hypervisor does not tell. */
static void add_version_text(json_t *facts, const char *name, unsigned int op, size_t size)
{
    char text[1025] = "";

    if (hv_version(op, text, size) >= 0)
        put_text(facts, name, text);
}

static void add_hypervisor(json_t *facts)
{
    long version = hv_version(XENVER_version, NULL, 0);
    xen_compile_info_t compiled = {{0}, {0}, {0}, {0}};
    char text[64] = "";
    xen_extraversion_t extra = "";
    uint32_t scheduler;

    hv_version(XENVER_extraversion, extra, sizeof(extra));
    put_number(facts, "xen_major", version >> 16);
    put_number(facts, "xen_minor", version & 0xffff);
    put_text(facts, "xen_extra", extra);
    snprintf(text, sizeof(text), "%ld.%ld%s", version >> 16, version & 0xffff, extra);
    put_text(facts, "xen_version", text);
    add_version_text(facts, "xen_caps", XENVER_capabilities, sizeof(xen_capabilities_info_t));
    if (hv_sched_id(&scheduler) == 0)
        put_text(facts, "xen_scheduler", scheduler_name(scheduler));
    put_number(facts, "xen_pagesize", HV_PAGE_SIZE);
    add_version_text(facts, "xen_changeset", XENVER_changeset, sizeof(xen_changeset_info_t));
    add_version_text(facts, "xen_commandline", XENVER_commandline, sizeof(xen_commandline_t));
    if (hv_version(XENVER_compile_info, &compiled, sizeof(compiled)) == 0) {
        put_text(facts, "cc_compiler", compiled.compiler);
        put_text(facts, "cc_compile_by", compiled.compile_by);
        put_text(facts, "cc_compile_domain", compiled.compile_domain);
        put_text(facts, "cc_compile_date", compiled.compile_date);
    }
}

static void add_daemon(json_t *facts)
{
    struct failure failure;
    json_t *reply = daemon_request(json_pack("{s:s}", "op", "ping"), "", &failure);
    const char *version = json_string_value(json_object_get(reply, "version"));

    put_text(facts, "domusd", version ? version : "not running");
    json_decref(reply);
}

/* --- topology ----------------------------------------------------------------------------------------------------- */

/* Processors: an array of objects, an empty one if the hypervisor does not tell. */
static json_t *describe_cpus(void)
{
    static struct xen_sysctl_cputopo cpus[CPU_MAP_BITS];
    int count = hv_cpu_topology(cpus, CPU_MAP_BITS);
    json_t *array = json_array();

    for (int i = 0; i < count; i++)
        if (cpus[i].core != XEN_INVALID_CORE_ID)
            json_array_append_new(array, json_pack("{s:i, s:I, s:I, s:I}", "cpu", i, "core", (json_int_t)cpus[i].core,
                                                   "socket", (json_int_t)cpus[i].socket, "node",
                                                   (json_int_t)cpus[i].node));
    return array;
}

static json_t *describe_nodes(void)
{
    struct xen_sysctl_meminfo nodes[NODES_MAX];
    uint32_t distances[NODES_MAX * NODES_MAX];
    int count = hv_numa_info(nodes, distances, NODES_MAX);
    json_t *array = json_array();

    for (int i = 0; i < count; i++) {
        json_t *row = json_array();

        if (nodes[i].memsize == XEN_INVALID_MEM_SZ) {
            json_decref(row);
            continue;
        }
        for (int j = 0; j < count; j++)
            json_array_append_new(row, json_integer(distances[i * count + j]));
        json_array_append_new(array, json_pack("{s:i, s:I, s:I, s:o}", "node", i, "memsize",
                                               (json_int_t)(nodes[i].memsize >> 20), "memfree",
                                               (json_int_t)(nodes[i].memfree >> 20), "distances", row));
    }
    return array;
}

static int number(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

static void print_topology(const json_t *cpus, const json_t *nodes)
{
    json_t *row, *distance;
    size_t i, j;

    puts("cpu_topology           :\ncpu:    core    socket     node");
    json_array_foreach(cpus, i, row)
        printf("%3d:    %4d     %4d     %4d\n", number(row, "cpu"), number(row, "core"), number(row, "socket"),
               number(row, "node"));
    puts("numa_info              :\nnode:    memsize    memfree    distances");
    json_array_foreach(nodes, i, row)
    {
        printf("%4d:    %6d     %6d      ", number(row, "node"), number(row, "memsize"), number(row, "memfree"));
        json_array_foreach(json_object_get(row, "distances"), j, distance)
            printf("%s%d", j ? "," : "", (int)json_integer_value(distance));
        putchar('\n');
    }
}

static void print_facts(const json_t *facts)
{
    const char *name;
    json_t *value;

    json_object_foreach((json_t *)facts, name, value)
    {
        if (json_is_string(value))
            printf("%-22s : %s\n", name, json_string_value(value));
        else if (json_is_real(value))
            printf("%-22s : %.3f\n", name, json_real_value(value));
        else
            printf("%-22s : %" JSON_INTEGER_FORMAT "\n", name, json_integer_value(value));
    }
}

int command_info(const struct invocation *invocation)
{
    struct xen_sysctl_physinfo info = {0};
    int error = hv_open();
    json_t *facts, *cpus = NULL, *nodes = NULL;

    if (error >= 0)
        error = hv_physinfo(&info);
    if (error < 0)
        return hypervisor_failure(invocation, "cannot tell about the host", error);
    facts = json_object();
    add_machine(facts);
    add_processors(facts, &info);
    add_hypervisor(facts);
    add_daemon(facts);
    if (option_value(invocation, 'n')) {
        cpus = describe_cpus();
        nodes = describe_nodes();
    }
    if (invocation->json)
        return report_json(json_pack("{s:o, s:o*, s:o*}", "host", facts, "cpus", cpus, "nodes", nodes));
    print_facts(facts);
    if (cpus)
        print_topology(cpus, nodes);
    json_decref(facts);
    json_decref(cpus);
    json_decref(nodes);
    return STATUS_OK;
}
