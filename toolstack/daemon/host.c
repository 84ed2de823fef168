/* SPDX-License-Identifier: MIT */
/*
 * The host and its domains.
 */
#include "host.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon.h"
#include "domain_set.h"
#include "guest_store.h"
#include "lib/alloc.h"

static const char *const shutdown_reasons[] = {
    [SHUTDOWN_poweroff] = "poweroff", [SHUTDOWN_reboot] = "reboot", [SHUTDOWN_suspend] = "suspend",
    [SHUTDOWN_crash] = "crash", [SHUTDOWN_watchdog] = "watchdog", [SHUTDOWN_soft_reset] = "soft reset",
};

void host_format_uuid(const xen_domain_handle_t handle, char *text)
{
    static const char digits[] = "0123456789abcdef";

    for (int i = 0; i < 16; i++) {
        if (i == 4 || i == 6 || i == 8 || i == 10)
            *text++ = '-';
        *text++ = digits[handle[i] >> 4];
        *text++ = digits[handle[i] & 15];
    }
    *text = '\0';
}

void host_parse_uuid(const char *text, xen_domain_handle_t handle)
{
    for (int i = 0; i < 16; i++, text += 2) {
        if (*text == '-')
            text++;
        sscanf(text, "%2hhx", &handle[i]);
    }
}

const char *host_shutdown_reason(unsigned int reason)
{
    if (reason >= sizeof(shutdown_reasons) / sizeof(shutdown_reasons[0]))
        return "unknown";
    return shutdown_reasons[reason];
}

const char *host_domain_name(int domid)
{
    struct domain *domain = domain_by_id(domid);
    const char *name;
    json_t *text;

    if (domain)
        return domain->config->name;
    /* Other tools may have written what is no UTF-8, and cannot be sent. */
    name = guest_store_name(domid);
    text = json_string(name);
    if (!text)
        return "?";
    json_decref(text);
    return name;
}

bool host_name_free(const char *name, struct failure *failure)
{
    struct domain_set set;
    bool unused = true;

    domain_set_read(&set);
    for (int i = 0; i < set.count; i++) {
        uint32_t domid = set.list[i].domain;

        if (!domain_by_id(domid) && !strcmp(guest_store_name(domid), name)) {
            failure_why(failure, "the name %s is in use by domain %u, which others manage", name, domid);
            failure_remedy(failure, "choose another name");
            unused = false;
        }
    }
    domain_set_free(&set);
    return unused;
}

/* --- finding ----------------------------------------------------------------------------------------------------- */

/* A number written out; -1 if `text` is something else. */
static int parse_number(const char *text)
{
    char *end;
    long number;

    if (text[0] < '0' || text[0] > '9')
        return -1;
    errno = 0;
    number = strtol(text, &end, 10);
    return *end || errno || number >= DOMID_FIRST_RESERVED ? -1 : (int)number;
}

static int find_by_name(const char *name)
{
    struct domain_set set;
    int domid = -1;

    domain_set_read(&set);
    for (int i = 0; i < set.count && domid < 0; i++)
        if (!strcmp(host_domain_name(set.list[i].domain), name))
            domid = set.list[i].domain;
    domain_set_free(&set);
    return domid;
}

int host_find_domain(const json_t *reference, struct domain **domain, struct failure *failure)
{
    const char *name = json_string_value(reference);
    struct xen_domctl_getdomaininfo info;
    int domid = -1;

    *domain = name ? domain_by_name(name) : NULL;
    if (*domain)
        return (*domain)->domid;
    if (name && name[0])
        domid = find_by_name(name);
    if (name && domid < 0)
        domid = parse_number(name);
    if (json_is_integer(reference) && json_integer_value(reference) >= 0 &&
        json_integer_value(reference) < DOMID_FIRST_RESERVED)
        domid = json_integer_value(reference);
    if (domid >= 0 && hv_domain_info(domid, &info) == 0) {
        *domain = domain_by_id(domid);
        return domid;
    }
    if (name && name[0])
        failure_why(failure, "there is no domain %s", name);
    else if (json_is_integer(reference))
        failure_why(failure, "there is no domain with number %lld", (long long)json_integer_value(reference));
    else
        failure_why(failure, "the request names no domain");
    failure_remedy(failure, "see which there are: domus list");
    return -1;
}

/* --- objects ----------------------------------------------------------------------------------------------------- */

static const char *state_name(const struct xen_domctl_getdomaininfo *info, const struct domain *domain)
{
    unsigned int reason = info->flags >> XEN_DOMINF_shutdownshift & XEN_DOMINF_shutdownmask;

    if (domain && domain->state == DOMAIN_BUILDING)
        return "building";
    if ((info->flags & XEN_DOMINF_dying) ||
        (domain && (domain->state == DOMAIN_ENDING || domain->state == DOMAIN_RESTARTING)))
        return "dying";
    if (info->flags & XEN_DOMINF_shutdown)
        return reason == SHUTDOWN_crash ? "crashed" : "shutdown";
    if (info->flags & XEN_DOMINF_paused)
        return "paused";
    if (info->flags & XEN_DOMINF_running)
        return "running";
    return info->flags & XEN_DOMINF_blocked ? "blocked" : "runnable";
}

time_t host_uptime(void)
{
    struct timespec now;

    clock_gettime(CLOCK_BOOTTIME, &now);
    return now.tv_sec;
}

static json_t *describe(const struct xen_domctl_getdomaininfo *info)
{
    const struct domain *domain = domain_by_id(info->domain);
    json_t *object, *reason = json_null();
    char uuid[37];

    if ((info->flags & XEN_DOMINF_shutdown) && !(info->flags & XEN_DOMINF_dying))
        reason = json_string(
            host_shutdown_reason(info->flags >> XEN_DOMINF_shutdownshift & XEN_DOMINF_shutdownmask));
    host_format_uuid(info->handle, uuid);
    object = json_pack("{s:i, s:s, s:s, s:I, s:I, s:i, s:i, s:s, s:o, s:I, s:b}", "domid", (int)info->domain, "name",
                       host_domain_name(info->domain), "uuid", uuid, "memory_kib", (json_int_t)info->tot_pages << 2,
                       "max_memory_kib", (json_int_t)info->max_pages << 2, "vcpus", (int)info->nr_online_vcpus,
                       "max_vcpus", (int)(info->max_vcpu_id + 1), "state",
                       state_name(info, domain), "shutdown_reason", reason, "cpu_time_ns", (json_int_t)info->cpu_time,
                       "managed", domain != NULL);
    if (domain || info->domain == 0)
        json_object_set_new(object, "uptime_s", json_integer(domain ? domain_uptime(domain) : host_uptime()));
    return object;
}

/* A domain that has no number yet, or none any more. */
static json_t *describe_unnumbered(const struct domain *domain)
{
    const struct config *config = domain->config;

    return json_pack("{s:n, s:s, s:s, s:I, s:I, s:i, s:i, s:s, s:n, s:I, s:b}", "domid", "name", config->name, "uuid",
                     config->uuid, "memory_kib", (json_int_t)config->memory_kib, "max_memory_kib",
                     (json_int_t)config->max_memory_kib, "vcpus", (int)config->vcpus, "max_vcpus",
                     (int)config->max_vcpus, "state", domain->state == DOMAIN_ENDING ? "dying" : domain->waiting ? "restarting" : "building",
                     "shutdown_reason", "cpu_time_ns", (json_int_t)0, "managed", 1);
}

json_t *host_domains(struct failure *failure)
{
    const struct domain *domain;
    struct domain_set set;
    json_t *array;
    int rc = domain_set_read(&set);

    if (rc) {
        failure_what(failure, "cannot list the domains");
        failure_why(failure, "the hypervisor refuses: %s", strerror(-rc));
        failure_remedy(failure, "see the hypervisor's messages (domus dmesg)");
        return NULL;
    }
    array = json_array();
    for (int i = 0; i < set.count; i++)
        json_array_append_new(array, describe(&set.list[i]));
    LIST_FOREACH(domain, &domains, link) {
        if (domain->domid < 0)
            json_array_append_new(array, describe_unnumbered(domain));
    }
    domain_set_free(&set);
    return array;
}

json_t *host_domain(int domid, const struct domain *domain, struct failure *failure)
{
    struct xen_domctl_getdomaininfo info;
    int rc = domid < 0 ? 0 : hv_domain_info(domid, &info);
    json_t *object;

    if (rc) {
        failure_why(failure, "the hypervisor does not tell of it: %s", strerror(-rc));
        failure_remedy(failure, "see which there are: domus list");
        return NULL;
    }
    object = domid < 0 ? describe_unnumbered(domain) : describe(&info);
    if (domain) {
        json_object_set(object, "config", domain->object);
        if (domain->next)
            json_object_set(object, "next_config", domain->next);
    }
    return object;
}

/* A text that the hypervisor answers to xen_version, in a structure of `size` bytes. */
static json_t *version_text(unsigned int cmd, size_t size)
{
    char *text = xcalloc(1, size + 1);
    json_t *string = hv_version(cmd, text, size) < 0 ? NULL : json_string(text);

    free(text);
    return string ? string : json_string("");
}

json_t *host_info(struct failure *failure)
{
    static const char *const schedulers[] = {
        [XEN_SCHEDULER_CREDIT] = "credit", [XEN_SCHEDULER_CREDIT2] = "credit2",
        [XEN_SCHEDULER_ARINC653] = "arinc653", [XEN_SCHEDULER_RTDS] = "rtds", [XEN_SCHEDULER_NULL] = "null",
    };
    struct xen_sysctl_physinfo info;
    struct xen_compile_info compiled = { .compile_date = "" };
    struct domain_set set;
    const char *scheduler = "unknown";
    char version[32];
    uint32_t sched = 0;
    long number;
    int rc, count;

    rc = hv_physinfo(&info);
    if (rc == 0)
        rc = domain_set_read(&set);
    if (rc) {
        failure_what(failure, "cannot describe the host");
        failure_why(failure, "the hypervisor refuses: %s", strerror(-rc));
        failure_remedy(failure, "see the hypervisor's messages (domus dmesg)");
        return NULL;
    }
    count = set.count;
    domain_set_free(&set);
    number = hv_version(XENVER_version, NULL, 0);
    snprintf(version, sizeof(version), "%ld.%ld", number >> 16, number & 0xffff);
    hv_version(XENVER_compile_info, &compiled, sizeof(compiled));
    compiled.compile_date[sizeof(compiled.compile_date) - 1] = '\0';
    if (hv_sched_id(&sched) == 0 && sched < sizeof(schedulers) / sizeof(schedulers[0]) && schedulers[sched])
        scheduler = schedulers[sched];
    return json_pack("{s:s, s:o, s:o, s:o, s:s, s:o, s:i, s:i, s:i, s:i, s:i, s:I, s:I, s:s, s:i, s:s}", "version",
                     version, "extra", version_text(XENVER_extraversion, sizeof(xen_extraversion_t)), "capabilities",
                     version_text(XENVER_capabilities, sizeof(xen_capabilities_info_t)), "changeset",
                     version_text(XENVER_changeset, sizeof(xen_changeset_info_t)), "compile_date",
                     compiled.compile_date, "commandline",
                     version_text(XENVER_commandline, sizeof(xen_commandline_t)), "cpus", (int)info.nr_cpus,
                     "cores_per_socket", (int)info.cores_per_socket, "threads_per_core", (int)info.threads_per_core,
                     "cpu_khz", (int)info.cpu_khz, "nodes", (int)info.nr_nodes, "total_memory_kib",
                     (json_int_t)info.total_pages << 2, "free_memory_kib", (json_int_t)info.free_pages << 2,
                     "scheduler", scheduler, "domains", count, "daemon", "domusd " DOMUS_VERSION);
}
