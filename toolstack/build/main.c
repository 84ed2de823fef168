/* SPDX-License-Identifier: MIT */
/*
 * domus-build: reads what domain to build as one JSON object from standard input, builds it and writes the result as
 * one JSON object to standard output. The domain is left paused. If the result cannot be handed over, there is no
 * domain. Both objects are specified in docs/guest-config.md.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <jansson.h>

#include "build/domain.h"
#include "build/refuse.h"
#include "lib/hypercall.h"

/* 16 TiB, what the hypervisor is made for. */
#define MEMORY_KIB_MAX (16L << 30)
#define MEMORY_KIB_MIN 4096L
#define VCPUS_MAX      512

static int bad_spec(struct failure *failure, const char *why)
{
    failure_what(failure, "cannot build a domain");
    return refuse(failure, "see docs/guest-config.md for the object that domus-build reads", "%s", why);
}

static int parse_uuid(const char *text, xen_domain_handle_t uuid)
{
    static const char form[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
    unsigned int digits = 0;

    if (strlen(text) != sizeof(form) - 1)
        return -1;
    for (size_t i = 0; i < sizeof(form) - 1; i++) {
        static const char hex[] = "0123456789abcdef";
        const char *digit = strchr(hex, text[i] | 0x20);

        if (form[i] == '-' ? text[i] != '-' : !digit)
            return -1;
        if (form[i] != '-') {
            uuid[digits / 2] = uuid[digits / 2] << 4 | (digit - hex);
            digits++;
        }
    }
    return 0;
}

/* The strings of *spec belong to `root`. */
static int read_spec(json_t *root, struct spec *spec, struct failure *failure)
{
    const char *uuid;
    json_int_t memory, max_memory = 0, vcpus = 1, max_vcpus = 0, time_offset = 0;
    int tsc_native = 0;
    json_error_t error;

    memset(spec, 0, sizeof(*spec));
    spec->cmdline = "";
    spec->max_grant_frames = spec->max_maptrack_frames = -1;
    if (json_unpack_ex(root, &error, JSON_STRICT, "{s:s, s:s, s:s, s?s, s?s, s:I, s?I, s?I, s?I, s?i, s?i, s?b, s?I}",
                       "name", &spec->name,
                       "uuid", &uuid, "kernel", &spec->kernel, "ramdisk", &spec->ramdisk, "cmdline", &spec->cmdline,
                       "memory_kib", &memory, "max_memory_kib", &max_memory, "vcpus", &vcpus, "max_vcpus",
                       &max_vcpus, "max_grant_frames", &spec->max_grant_frames, "max_maptrack_frames",
                       &spec->max_maptrack_frames, "tsc_native", &tsc_native, "time_offset_s", &time_offset) < 0)
        return bad_spec(failure, error.text);
    if (parse_uuid(uuid, spec->uuid) < 0)
        return bad_spec(failure, "uuid is not of the form xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx");
    max_memory = max_memory ? max_memory : memory;
    max_vcpus = max_vcpus ? max_vcpus : vcpus;
    if (memory < MEMORY_KIB_MIN || memory > max_memory || max_memory > MEMORY_KIB_MAX)
        return bad_spec(failure, "memory_kib must be 4096 (4 MiB) to max_memory_kib, and that 16 TiB at most");
    if (vcpus < 1 || vcpus > max_vcpus || max_vcpus > VCPUS_MAX)
        return bad_spec(failure, "vcpus must be 1 to max_vcpus, and that 512 at most");
    spec->memory_kib = memory;
    spec->max_memory_kib = max_memory;
    spec->max_vcpus = max_vcpus;
    spec->tsc_native = tsc_native;
    spec->time_offset_s = time_offset;
    return 0;
}

static int build(json_t *root, struct built *built, struct failure *failure)
{
    struct spec spec;
    int error;

    if (read_spec(root, &spec, failure) < 0)
        return -1;
    error = hv_open();
    if (error < 0) {
        failure_what(failure, "cannot build domain %s", spec.name);
        return refuse(failure, "run as root in dom0, with the module xen-privcmd loaded",
                      "the hypervisor cannot be reached: %s", strerror(-error));
    }
    return domain_build(&spec, built, failure);
}

static json_t *success(const struct built *built)
{
    return json_pack("{s:b, s:i, s:{s:I, s:i}, s:{s:I, s:i}}", "ok", 1, "domid", (int)built->domid, "store", "mfn",
                     (json_int_t)built->store.mfn, "port", (int)built->store.port, "console", "mfn",
                     (json_int_t)built->console.mfn, "port", (int)built->console.port);
}

/* Write one line to standard output; -1 if its reader is gone. */
static int report(json_t *reply)
{
    int failed = !reply || json_dumpf(reply, stdout, JSON_COMPACT) < 0 || putchar('\n') == EOF || fflush(stdout) == EOF;

    json_decref(reply);
    return failed ? -1 : 0;
}

int main(void)
{
    struct failure failure = {{0}, {0}, {0}};
    struct built built;
    json_error_t error;
    json_t *root;
    int failed;

    signal(SIGPIPE, SIG_IGN);
    root = json_loadf(stdin, 0, &error);
    failed = root ? build(root, &built, &failure) : bad_spec(&failure, error.text);
    json_decref(root);
    if (failed) {
        report(failure_to_reply(&failure));
        return 1;
    }
    if (report(success(&built)) < 0) {
        hv_domain_destroy(built.domid);
        return 1;
    }
    return 0;
}
