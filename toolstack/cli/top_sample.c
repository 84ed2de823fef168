/* SPDX-License-Identifier: MIT */
/*
 * Samples for domus top: see top_sample.h.
 */
#include "cli/top_sample.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BACKENDS "/sys/bus/xen-backend/devices"

static uint64_t number(const json_t *object, const char *key)
{
    return json_integer_value(json_object_get(object, key));
}

static void copy_text(char *to, size_t size, const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    snprintf(to, size, "%s", text ? text : "-");
}

static int by_number(const void *a, const void *b)
{
    const struct usage *one = a, *other = b;

    return (one->domid > other->domid) - (one->domid < other->domid);
}

static struct usage *find(const struct sample *sample, int domid)
{
    const struct usage key = { .domid = domid };

    return sample->count ? bsearch(&key, sample->list, sample->count, sizeof(key), by_number) : NULL;
}

/* --- the daemon's part ------------------------------------------------------------------------------------------- */

/* Domains that have a number; others use nothing yet. */
static int take_domains(struct sample *sample, const json_t *domains)
{
    const json_t *domain;
    size_t i;

    sample->list = calloc(json_array_size(domains) + 1, sizeof(*sample->list));
    if (!sample->list)
        return -1;
    json_array_foreach((json_t *)domains, i, domain)
    {
        struct usage *usage = &sample->list[sample->count];

        if (!json_is_integer(json_object_get(domain, "domid")))
            continue;
        usage->domid = number(domain, "domid");
        copy_text(usage->name, sizeof(usage->name), domain, "name");
        copy_text(usage->state, sizeof(usage->state), domain, "state");
        usage->cpu_ns = number(domain, "cpu_time_ns");
        usage->memory_kib = number(domain, "memory_kib");
        usage->max_memory_kib = number(domain, "max_memory_kib");
        usage->vcpus = number(domain, "vcpus");
        sample->count++;
    }
    qsort(sample->list, sample->count, sizeof(*sample->list), by_number);
    return 0;
}

static int ask_daemon(struct sample *sample, int fd, struct failure *failure)
{
    static const char what[] = "cannot tell what domains use";
    json_t *host = daemon_call(fd, json_pack("{s:s}", "op", "info"), what, failure), *list, *facts;
    int rc;

    if (!host)
        return -1;
    list = daemon_call(fd, json_pack("{s:s}", "op", "list"), what, failure);
    if (!list) {
        json_decref(host);
        return -1;
    }
    facts = json_object_get(host, "host");
    sample->total_kib = number(facts, "total_memory_kib");
    sample->free_kib = number(facts, "free_memory_kib");
    sample->cpus = number(facts, "cpus");
    copy_text(sample->version, sizeof(sample->version), facts, "version");
    rc = take_domains(sample, json_object_get(list, "domains"));
    json_decref(host);
    json_decref(list);
    if (rc) {
        failure_what(failure, "%s", what);
        failure_why(failure, "there is no memory for it");
        failure_remedy(failure, "free memory in dom0");
    }
    return rc;
}

/* --- the kernel's part ------------------------------------------------------------------------------------------- */

/* The number in the file `folder`/`name`, 0 if there is none. */
static uint64_t counter(const char *folder, const char *name)
{
    unsigned long long value = 0;
    char path[512];
    FILE *file;

    snprintf(path, sizeof(path), "%s/%s", folder, name);
    file = fopen(path, "re");
    if (!file)
        return 0;
    if (fscanf(file, "%llu", &value) != 1)
        value = 0;
    fclose(file);
    return value;
}

static void add_disk(struct usage *usage, const char *device)
{
    char folder[320];

    snprintf(folder, sizeof(folder), BACKENDS "/%s/statistics", device);
    usage->disks++;
    usage->full_queue += counter(folder, "oo_req");
    usage->reads += counter(folder, "rd_req");
    usage->writes += counter(folder, "wr_req");
    usage->sectors_read += counter(folder, "rd_sect");
    usage->sectors_written += counter(folder, "wr_sect");
}

/* What dom0's end of the card received, the guest sent. */
static void add_card(struct usage *usage, unsigned int index)
{
    char folder[128];

    snprintf(folder, sizeof(folder), "/sys/class/net/vif%d.%u/statistics", usage->domid, index);
    usage->cards++;
    usage->sent += counter(folder, "rx_bytes");
    usage->received += counter(folder, "tx_bytes");
}

static void read_backends(struct sample *sample)
{
    DIR *directory = opendir(BACKENDS);
    struct dirent *entry;

    while (directory && (entry = readdir(directory))) {
        struct usage *usage;
        unsigned int index;
        int domid;

        if (sscanf(entry->d_name, "vbd-%d-%u", &domid, &index) == 2 && (usage = find(sample, domid)))
            add_disk(usage, entry->d_name);
        else if (sscanf(entry->d_name, "vif-%d-%u", &domid, &index) == 2 && (usage = find(sample, domid)))
            add_card(usage, index);
    }
    if (directory)
        closedir(directory);
}

/* --- both -------------------------------------------------------------------------------------------------------- */

int sample_take(struct sample *sample, const struct sample *before, int fd, struct failure *failure)
{
    double elapsed;

    memset(sample, 0, sizeof(*sample));
    if (ask_daemon(sample, fd, failure))
        return -1;
    clock_gettime(CLOCK_MONOTONIC, &sample->time);
    read_backends(sample);
    elapsed = (sample->time.tv_sec - before->time.tv_sec) * 1e9 + (sample->time.tv_nsec - before->time.tv_nsec);
    for (size_t i = 0; i < sample->count; i++) {
        const struct usage *earlier = find(before, sample->list[i].domid);

        if (earlier && elapsed > 0 && sample->list[i].cpu_ns >= earlier->cpu_ns)
            sample->list[i].cpu_percent = 100.0 * (sample->list[i].cpu_ns - earlier->cpu_ns) / elapsed;
    }
    return 0;
}

void sample_free(struct sample *sample)
{
    free(sample->list);
    memset(sample, 0, sizeof(*sample));
}
