/* SPDX-License-Identifier: MIT */
/*
 * Memory: see memory.h. Targets are written to memory/target in the store, where Linux's balloon driver reads them
 * (Xen's docs/misc/xenstore-paths.pandoc).
 */
#include "memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon.h"
#include "domain_set.h"
#include "events.h"
#include "host.h"
#include "lib/log.h"

/* What the hypervisor needs for a domain besides the guest's memory. */
#define OVERHEAD_KIB 2048
#define OVERHEAD_VCPU_KIB 64
/* A guest may exceed its target by this much: front ends' pages come and go. */
#define SLACK_KIB 1024
/* dom0 always keeps this, and this much more than it uses. */
#define DOM0_LEAST_KIB (128 << 10)
#define DOM0_SPARE_KIB (64 << 10)
#define TARGET_LEAST_KIB (4 << 10)

enum autoballoon memory_autoballoon = AUTOBALLOON_AUTO;

/* --- the ledger -------------------------------------------------------------------------------------------------- */

static uint64_t need_of(const struct config *config)
{
    return config->memory_kib + OVERHEAD_KIB + OVERHEAD_VCPU_KIB * config->max_vcpus;
}

static uint64_t node_kib(int domid, const char *key)
{
    char path[64];
    const char *value;

    snprintf(path, sizeof(path), "/local/domain/%d/memory/%s", domid, key);
    value = store_get(the_store, path);
    return value ? strtoull(value, NULL, 10) : 0;
}

static void put_kib(int domid, const char *key, uint64_t kib)
{
    char path[64];

    snprintf(path, sizeof(path), "/local/domain/%d/memory/%s", domid, key);
    store_put(the_store, path, "%llu", (unsigned long long)kib);
}

/* What the hypervisor says of a domain; one that is being built may have a number that only the builder knows. */
static const struct xen_domctl_getdomaininfo *find_info(const struct domain_set *set, const struct domain *domain)
{
    char text[37];

    if (domain->domid >= 0)
        return domain_set_find(set, domain->domid);
    for (int i = 0; i < set->count; i++) {
        host_format_uuid(set->list[i].handle, text);
        if (!strcmp(text, domain->config->uuid))
            return &set->list[i];
    }
    return NULL;
}

/* What a target of `kib` promises beyond what the domain holds or has claimed. */
static uint64_t missing_of(const struct xen_domctl_getdomaininfo *info, uint64_t kib)
{
    uint64_t has = info ? (info->tot_pages + info->outstanding_pages) << 2 : 0;

    return kib > has ? kib - has : 0;
}

/* All that is promised and not held yet, in KiB, but to `except`. */
static uint64_t promised(const struct domain_set *set, const struct domain *except)
{
    uint64_t sum = missing_of(domain_set_find(set, 0), node_kib(0, "target"));
    const struct domain *domain;

    LIST_FOREACH(domain, &domains, link) {
        if (domain == except || domain->state == DOMAIN_ENDING || domain->state == DOMAIN_PRESERVED)
            continue;
        sum += missing_of(find_info(set, domain),
                          domain->state == DOMAIN_RUNNING ? domain->config->memory_kib : need_of(domain->config));
    }
    return sum;
}

/* Free and promised to nobody but `except`, in KiB. */
static uint64_t available(const struct domain_set *set, const struct domain *except)
{
    uint64_t taken = promised(set, except), free_kib;
    struct xen_sysctl_physinfo info;

    if (hv_physinfo(&info))
        return UINT64_MAX >> 1; /* the builder will find out */
    taken += info.outstanding_pages << 2;
    free_kib = info.free_pages << 2;
    return free_kib > taken ? free_kib - taken : 0;
}

/* --- dom0 -------------------------------------------------------------------------------------------------------- */

static uint64_t meminfo_kib(const char *key)
{
    FILE *file = fopen("/proc/meminfo", "re");
    unsigned long long kib = 0;
    char line[128];
    size_t length = strlen(key);

    while (file && fgets(line, sizeof(line), file))
        if (!strncmp(line, key, length) && line[length] == ':')
            kib = strtoull(line + length + 1, NULL, 10);
    if (file)
        fclose(file);
    return kib;
}

/* The least that dom0, which holds `kib`, can do with now. */
static uint64_t dom0_floor(uint64_t kib)
{
    uint64_t available_kib = meminfo_kib("MemAvailable");
    uint64_t least = (kib > available_kib ? kib - available_kib : 0) + DOM0_SPARE_KIB;

    return least > DOM0_LEAST_KIB ? least : DOM0_LEAST_KIB;
}

/* What dom0 is to have: its target, or what it has as long as nobody gave it one. */
static uint64_t dom0_target(const struct domain_set *set)
{
    const struct xen_domctl_getdomaininfo *info = domain_set_find(set, 0);
    uint64_t target = node_kib(0, "target");

    return target || !info ? target : info->tot_pages << 2;
}

static uint64_t dom0_can_give(const struct domain_set *set)
{
    uint64_t has = dom0_target(set), least = dom0_floor(has);

    return has > least ? has - least : 0;
}

static bool autoballoon_on(void)
{
    static char commandline[sizeof(xen_commandline_t) + 1];

    if (memory_autoballoon != AUTOBALLOON_AUTO)
        return memory_autoballoon == AUTOBALLOON_ON;
    if (!commandline[0] && hv_version(XENVER_commandline, commandline, sizeof(xen_commandline_t)) < 0)
        return false;
    return !strstr(commandline, "dom0_mem=");
}

static void set_dom0_target(uint64_t kib)
{
    put_kib(0, "target", kib);
    log_info("dom0's memory target is %llu KiB", (unsigned long long)kib);
}

/* --- explaining -------------------------------------------------------------------------------------------------- */

static unsigned long long mib(uint64_t kib)
{
    return kib >> 10;
}

/* Rounded up. */
static unsigned long long mib_up(uint64_t kib)
{
    return (kib + 1023) >> 10;
}

/* The largest holder not yet shown, which is then marked as such by its size becoming 0. */
static struct xen_domctl_getdomaininfo *next_largest(const struct domain_set *set)
{
    struct xen_domctl_getdomaininfo *largest = NULL;

    for (int i = 0; i < set->count; i++)
        if (set->list[i].tot_pages && (!largest || set->list[i].tot_pages > largest->tot_pages))
            largest = &set->list[i];
    return largest;
}

/* "Domain-0 holds 1024 MiB, demo holds 256 MiB": the largest holders of memory. */
static void describe_holders(const struct domain_set *set, char *text, size_t size)
{
    struct domain_set copy = *set;
    size_t length = 0;

    copy.list = malloc((set->count + 1) * sizeof(*set->list));
    text[0] = '\0';
    if (!copy.list)
        return;
    memcpy(copy.list, set->list, set->count * sizeof(*set->list));
    for (int shown = 0; shown < 4 && length < size; shown++) {
        struct xen_domctl_getdomaininfo *holder = next_largest(&copy);

        if (!holder)
            break;
        length += snprintf(text + length, size - length, "%s%s holds %llu MiB", shown ? ", " : "",
                           host_domain_name(holder->domain), mib(holder->tot_pages << 2));
        holder->tot_pages = 0;
    }
    free(copy.list);
}

/* The managed guest with the most memory but `except`, or NULL. */
static const struct domain *largest_guest(int except)
{
    const struct domain *domain, *largest = NULL;

    LIST_FOREACH(domain, &domains, link) {
        if (domain->state == DOMAIN_RUNNING && domain->domid != except &&
            (!largest || domain->config->memory_kib > largest->config->memory_kib))
            largest = domain;
    }
    return largest;
}

/* The command that would free `kib` most gently: shrink dom0, shrink a guest by half at most, end a guest. */
static bool suggest(const struct domain_set *set, uint64_t kib, int except, char *text, size_t size)
{
    const struct domain *guest = largest_guest(except);

    if (except != 0 && dom0_can_give(set) >= kib)
        snprintf(text, size, "domus mem-set Domain-0 %llum", mib(dom0_target(set) - kib));
    else if (guest && guest->config->memory_kib / 2 >= kib)
        snprintf(text, size, "domus mem-set %s %llum", guest->config->name, mib(guest->config->memory_kib - kib));
    else if (guest && guest->config->memory_kib >= kib)
        snprintf(text, size, "domus shutdown %s", guest->config->name);
    else
        return false;
    return true;
}

/* Domain `domid`, or a new one (-1), needs `need` (more) where `free_kib` are free; it can have `most` at most. */
static void explain(const struct domain_set *set, int domid, uint64_t need, uint64_t free_kib, uint64_t most,
                    struct failure *failure)
{
    uint64_t promises = promised(set, NULL);
    char holders[400], command[200], owed[80] = "";

    describe_holders(set, holders, sizeof(holders));
    if (promises)
        snprintf(owed, sizeof(owed), " (%llu MiB more are free, but promised to others)", mib_up(promises));
    failure_why(failure, "it needs %llu MiB%s and %llu MiB are free%s; %s", mib_up(need), domid < 0 ? "" : " more",
                mib(free_kib), owed, holders);
    if (suggest(set, need - free_kib, domid, command, sizeof(command)))
        failure_remedy(failure, "free %llu MiB (%s), or give it memory=%llu or less", mib_up(need - free_kib), command,
                       mib(most));
    else
        failure_remedy(failure, "give it memory=%llu or less, or end several other domains", mib(most));
}

/* A new domain of this configuration lacks memory. */
static void explain_new(const struct domain_set *set, const struct config *config, uint64_t free_kib,
                        struct failure *failure)
{
    uint64_t need = need_of(config), overhead = need - config->memory_kib;

    explain(set, -1, need, free_kib, free_kib > overhead ? free_kib - overhead : 0, failure);
}

/* --- new domains ------------------------------------------------------------------------------------------------- */

bool memory_enough(const struct config *config, struct failure *failure)
{
    uint64_t need = need_of(config), free_kib;
    struct domain_set set;
    bool enough;

    domain_set_read(&set);
    free_kib = available(&set, NULL);
    enough = need <= free_kib || (autoballoon_on() && need <= free_kib + dom0_can_give(&set));
    if (!enough)
        explain_new(&set, config, free_kib, failure);
    domain_set_free(&set);
    return enough;
}

enum memory_room memory_make_room(const struct domain *domain, struct failure *failure)
{
    uint64_t need = need_of(domain->config), free_kib, has, on_its_way;
    const struct xen_domctl_getdomaininfo *dom0;
    enum memory_room room = ROOM_SOON;
    struct domain_set set;

    domain_set_read(&set);
    free_kib = available(&set, domain);
    dom0 = domain_set_find(&set, 0);
    has = dom0 ? dom0->tot_pages << 2 : 0;
    on_its_way = has > dom0_target(&set) ? has - dom0_target(&set) : 0;
    if (need <= free_kib) {
        room = ROOM_NOW;
    } else if (need > free_kib + on_its_way) {
        if (autoballoon_on() && need <= free_kib + on_its_way + dom0_can_give(&set)) {
            set_dom0_target(dom0_target(&set) - (need - free_kib - on_its_way));
        } else {
            explain_new(&set, domain->config, free_kib, failure);
            room = ROOM_NEVER;
        }
    }
    domain_set_free(&set);
    return room;
}

/* What the hypervisor is to let a domain have at most. */
static int set_limit(int domid, uint64_t target, uint64_t most)
{
    uint64_t limit = target + SLACK_KIB;

    return hv_domain_max_mem(domid, most && limit > most ? most : limit);
}

void memory_enforce(const struct domain *domain)
{
    const struct config *config = domain->config;
    int rc;

    if (config->memory_kib == config->max_memory_kib)
        return; /* the builder's limit */
    rc = set_limit(domain->domid, config->memory_kib, config->max_memory_kib);
    if (rc)
        log_warn("domain %s cannot be held to its memory: %s", config->name, strerror(-rc));
}

/* --- other targets ----------------------------------------------------------------------------------------------- */

/* Whether the domain, which may have `now`, may have `kib`. */
static bool may_have(const struct domain_set *set, const struct domain *domain, int domid, uint64_t now, uint64_t kib,
                     struct failure *failure)
{
    uint64_t free_kib, least = domid == 0 ? dom0_floor(now) : TARGET_LEAST_KIB;
    const struct xen_domctl_getdomaininfo *info = domain_set_find(set, domid);
    uint64_t has = info ? info->tot_pages << 2 : 0;

    if (kib < least && kib < now) {
        failure_why(failure, domid == 0 ? "dom0 uses so much of its memory that it needs %llu MiB"
                                        : "less than %llu MiB are of no use to any guest", mib_up(least));
        failure_remedy(failure, "give it %llu MiB or more", mib_up(least));
        return false;
    }
    free_kib = available(set, domain);
    if (kib <= has || kib - has <= free_kib || kib <= now)
        return true;
    explain(set, domid, kib - has, free_kib, has + free_kib, failure);
    return false;
}

/* The record and the next start of the domain have the sizes of now. */
static void remember(struct domain *domain)
{
    json_object_set_new(domain->object, "memory", json_integer(mib_up(domain->config->memory_kib)));
    json_object_set_new(domain->object, "maxmem", json_integer(mib_up(domain->config->max_memory_kib)));
    domain_save(domain);
}

/* The most that the domain may have, in KiB; 0: not known. */
static uint64_t most_of(int domid, const struct domain *domain)
{
    return domain ? domain->config->max_memory_kib : node_kib(domid, "static-max");
}

bool memory_set_target(int domid, struct domain *domain, uint64_t kib, struct failure *failure)
{
    uint64_t most = most_of(domid, domain), now;
    struct domain_set set;
    bool may;
    int rc;

    if (most && kib > most) {
        failure_why(failure, "%llu MiB are more than its maximum of %llu MiB", mib_up(kib), mib(most));
        failure_remedy(failure, "raise that first (domus mem-max %s %llum), or stay below",
                       host_domain_name(domid), mib_up(kib));
        return false;
    }
    domain_set_read(&set);
    now = domid == 0 ? dom0_target(&set) : domain ? domain->config->memory_kib : node_kib(domid, "target");
    may = may_have(&set, domain, domid, now, kib, failure);
    domain_set_free(&set);
    if (!may)
        return false;
    if (domid == 0) {
        set_dom0_target(kib);
        return true;
    }
    rc = set_limit(domid, kib, most);
    if (rc) {
        failure_why(failure, "the hypervisor refuses: %s", strerror(-rc));
        failure_remedy(failure, "see the hypervisor's messages (domus dmesg)");
        return false;
    }
    put_kib(domid, "target", kib);
    if (domain) {
        domain->config->memory_kib = kib;
        remember(domain);
        event_tell(domain, "memory", json_pack("{s:I}", "memory_kib", (json_int_t)kib));
    }
    return true;
}

bool memory_set_max(int domid, struct domain *domain, uint64_t kib, struct failure *failure)
{
    uint64_t target = domain ? domain->config->memory_kib : node_kib(domid, "target");
    int rc;

    if (domid == 0) {
        failure_why(failure, "dom0's maximum is set when the host starts");
        failure_remedy(failure, "start the hypervisor with dom0_mem=max:...");
        return false;
    }
    if (kib < target || kib > CONFIG_MEMORY_MAX_KIB) {
        failure_why(failure, kib < target ? "that is less than the %llu MiB that it has"
                                          : "no guest can have more than %llu MiB",
                    kib < target ? mib_up(target) : mib(CONFIG_MEMORY_MAX_KIB));
        failure_remedy(failure, kib < target ? "lower what it has first: domus mem-set %s %llum"
                                             : "give %s less than %llu MiB", host_domain_name(domid), mib_up(kib));
        return false;
    }
    rc = set_limit(domid, target ? target : kib, kib);
    if (rc) {
        failure_why(failure, "the hypervisor refuses: %s", strerror(-rc));
        failure_remedy(failure, "see the hypervisor's messages (domus dmesg)");
        return false;
    }
    put_kib(domid, "static-max", kib);
    if (domain) {
        domain->config->max_memory_kib = kib;
        remember(domain);
    }
    return true;
}
