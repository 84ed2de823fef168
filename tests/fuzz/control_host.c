/* SPDX-License-Identifier: MIT */
/*
 * Stand-ins for all that the daemon's requests reach: see control_host.h. The contracts of the functions are in the
 * headers of the toolstack that declare them; calls of the C library are wrapped by the linker (--wrap).
 */
#include "control_host.h"

#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/queue.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <xen/io/console.h>
#include <xen/io/xenbus.h>

#include "bridge.h"
#include "child.h"
#include "daemon.h"
#include "disk_server.h"
#include "domain_set.h"
#include "host.h"
#include "lib/alloc.h"
#include "lib/foreign.h"
#include "lib/log.h"
#include "lib/placement.h"
#include "lifecycle.h"
#include "listener.h"
#include "loop.h"
#include "other_console.h"
#include "ports.h"
#include "store/tree.h"
#include "store_file.h"
#include "store_io.h"

#define CPUS 4
#define POOLS 3
#define MEMORY_PAGES (1UL << 19) /* 2 GiB */

struct event_base *main_loop;
struct store *the_store;
char host_file[32], host_program[] = "/proc/self/exe";

static struct guest {
    bool there, introduced, held;
    struct xen_domctl_getdomaininfo info;
    struct xencons_interface *console;
    port_fn notified;
    void *context;
} guests[HOST_DOMAINS];

static bool pools[POOLS] = { true };
static int next_error;
static unsigned int calls_before_error;
static bool back_ends_held;
static uint64_t now_ms = 1000000;
static bool dirty;

/* --- the hypervisor ---------------------------------------------------------------------------------------------- */

void host_fail_later(int error, unsigned int calls)
{
    next_error = error;
    calls_before_error = calls;
}

void host_fail_next(int error)
{
    host_fail_later(error, 0);
}

void host_hold_back_ends(bool held)
{
    back_ends_held = held;
}

void host_hold_domain(uint32_t domid, bool held)
{
    guests[domid].held = held;
    guests[domid].there &= held;
}

/* The error that this call is to end with. */
static int trouble(void)
{
    int error = next_error;

    if (error && calls_before_error > 0) {
        calls_before_error--;
        return 0;
    }
    next_error = 0;
    return error;
}

static int check_guest(uint32_t domid)
{
    int error = trouble();

    return error ? error : domid < HOST_DOMAINS && guests[domid].there ? 0 : -ESRCH;
}

static unsigned long used_pages(void)
{
    unsigned long sum = 0;

    for (int i = 0; i < HOST_DOMAINS; i++)
        sum += guests[i].there ? guests[i].info.tot_pages : 0;
    return sum;
}

int hv_open(void)
{
    return 0;
}

int hv_domain_info(uint32_t domid, struct xen_domctl_getdomaininfo *info)
{
    int rc = check_guest(domid);

    if (rc == 0)
        *info = guests[domid].info;
    return rc;
}

int hv_domain_list(uint32_t first, uint32_t max, struct xen_domctl_getdomaininfo *info)
{
    int count = 0, error = trouble();

    for (uint32_t i = first; i < HOST_DOMAINS && (uint32_t)count < max; i++)
        if (guests[i].there)
            info[count++] = guests[i].info;
    return error ? error : count;
}

int hv_domain_destroy(uint32_t domid)
{
    int rc = check_guest(domid);

    require(domid != 0);
    if (rc == 0)
        guests[domid].there = false;
    return rc;
}

int hv_domain_pause(uint32_t domid)
{
    int rc = check_guest(domid);

    require(domid != 0);
    if (rc == 0)
        guests[domid].info.flags |= XEN_DOMINF_paused;
    return rc;
}

int hv_domain_unpause(uint32_t domid)
{
    int rc = check_guest(domid);

    if (rc == 0 && !(guests[domid].info.flags & XEN_DOMINF_paused))
        rc = -EINVAL;
    if (rc == 0)
        guests[domid].info.flags &= ~XEN_DOMINF_paused;
    return rc;
}

int hv_domain_trigger(uint32_t domid, unsigned int trigger, uint32_t vcpu)
{
    int rc = check_guest(domid);

    (void)trigger;
    return rc == 0 && vcpu > guests[domid].info.max_vcpu_id ? -EINVAL : rc;
}

int hv_domain_set_handle(uint32_t domid, const xen_domain_handle_t handle)
{
    int rc = check_guest(domid);

    if (rc == 0)
        memcpy(guests[domid].info.handle, handle, sizeof(xen_domain_handle_t));
    return rc;
}

int hv_domain_max_mem(uint32_t domid, uint64_t kib)
{
    int rc = check_guest(domid);

    if (rc == 0)
        guests[domid].info.max_pages = kib >> 2;
    return rc;
}

int hv_domain_sched_get(uint32_t domid, uint16_t *weight, uint16_t *cap)
{
    *weight = 256;
    *cap = 0;
    return check_guest(domid);
}

int hv_domain_sched_adjust(uint32_t domid, int weight, int cap)
{
    int rc = check_guest(domid);

    require(weight != 0 && weight <= 65535 && cap <= 65535);
    return rc == 0 && cap > 100 * (int)(guests[domid].info.max_vcpu_id + 1) ? -EINVAL : rc;
}

int hv_vcpu_info(uint32_t domid, uint32_t vcpu, struct xen_domctl_getvcpuinfo *info)
{
    int rc = check_guest(domid);

    *info = (struct xen_domctl_getvcpuinfo){ .vcpu = vcpu, .online = 1, .cpu = vcpu % CPUS };
    return rc;
}

int hv_vcpu_get_affinity(uint32_t domid, uint32_t vcpu, struct cpu_map *hard, struct cpu_map *soft)
{
    (void)vcpu;
    cpu_map_set(hard, 1, true);
    cpu_map_set(soft, 2, true);
    return check_guest(domid);
}

int hv_vcpu_set_affinity(uint32_t domid, uint32_t vcpu, const struct cpu_map *hard, const struct cpu_map *soft,
                         bool force)
{
    int rc = check_guest(domid);

    (void)force;
    require((!hard || cpu_map_count(hard)) && (!soft || cpu_map_count(soft)));
    return rc == 0 && vcpu > guests[domid].info.max_vcpu_id ? -EINVAL : rc;
}

int hv_pool_info(uint32_t from, struct cpu_pool *pool)
{
    int error = trouble();

    memset(pool, 0, sizeof(*pool));
    for (uint32_t i = from; i < POOLS; i++) {
        if (pools[i] && !error) {
            pool->id = i;
            pool->scheduler = XEN_SCHEDULER_CREDIT;
            cpu_map_set(&pool->cpus, i, true);
            return 0;
        }
    }
    return error ? error : -ENOENT;
}

static int check_pool(uint32_t id)
{
    int error = trouble();

    return error ? error : id < POOLS && pools[id] ? 0 : -ENOENT;
}

int hv_pool_free_cpus(struct cpu_map *cpus)
{
    cpu_map_set(cpus, CPUS - 1, true);
    return trouble();
}

int hv_pool_create(void)
{
    int error = trouble();

    for (int i = 0; i < POOLS && !error; i++) {
        if (!pools[i]) {
            pools[i] = true;
            return i;
        }
    }
    return error ? error : -ENOMEM;
}

int hv_pool_destroy(uint32_t id)
{
    int rc = check_pool(id);

    if (rc == 0 && id)
        pools[id] = false;
    return rc == 0 && !id ? -EBUSY : rc;
}

int hv_pool_add_cpu(uint32_t id, uint32_t cpu)
{
    require(cpu < CPUS);
    return check_pool(id);
}

int hv_pool_remove_cpu(uint32_t id, uint32_t cpu)
{
    require(cpu < CPUS);
    return check_pool(id);
}

int hv_pool_move_domain(uint32_t id, uint32_t domid)
{
    int rc = check_pool(id);

    rc = rc ? rc : check_guest(domid);
    if (rc == 0)
        guests[domid].info.cpupool = id;
    return rc;
}

int hv_pool_sched_get(uint32_t id, struct xen_sysctl_credit_schedule *params)
{
    *params = (struct xen_sysctl_credit_schedule){ .tslice_ms = 30, .ratelimit_us = 1000 };
    return check_pool(id);
}

int hv_pool_sched_set(uint32_t id, struct xen_sysctl_credit_schedule *params)
{
    return params->tslice_ms == 0 ? -EINVAL : check_pool(id);
}

int hv_cpu_nodes(uint32_t *nodes, unsigned int max)
{
    for (unsigned int i = 0; i < CPUS && i < max; i++)
        nodes[i] = i % 2;
    return CPUS;
}

int hv_physinfo(struct xen_sysctl_physinfo *info)
{
    *info = (struct xen_sysctl_physinfo){
        .nr_cpus = CPUS, .max_cpu_id = CPUS - 1, .nr_nodes = 2, .total_pages = MEMORY_PAGES,
        .free_pages = used_pages() < MEMORY_PAGES ? MEMORY_PAGES - used_pages() : 0,
    };
    return trouble();
}

int hv_sched_id(uint32_t *id)
{
    *id = XEN_SCHEDULER_CREDIT;
    return trouble();
}

long hv_version(unsigned int cmd, void *arg, size_t size)
{
    if (arg)
        memset(arg, 'v', size); /* no NUL: the answer is the hypervisor's, but it need not end */
    return cmd == XENVER_version ? 4 << 16 | 17 : 0;
}

/* --- memory and event channels ----------------------------------------------------------------------------------- */

void *foreign_map_one(uint32_t domid, xen_pfn_t frame)
{
    int rc = check_guest(domid);

    (void)frame;
    if (rc == 0 && !guests[domid].console)
        guests[domid].console = xcalloc(1, HV_PAGE_SIZE);
    errno = -rc;
    return rc == 0 ? guests[domid].console : NULL;
}

void foreign_unmap(void *address, size_t count)
{
    (void)count;
    for (int i = 0; i < HOST_DOMAINS; i++)
        if (guests[i].console == address)
            guests[i].console = NULL;
    free(address);
}

int port_bind(uint32_t domid, uint32_t remote_port, port_fn notified, void *context)
{
    int error = trouble();

    (void)remote_port;
    if (error)
        return error;
    guests[domid].notified = notified;
    guests[domid].context = context;
    return domid;
}

void port_unbind(int port)
{
    if (port >= 0)
        guests[port].notified = NULL;
}

void port_notify(int port)
{
    (void)port;
}

void port_unmask(int port)
{
    (void)port;
}

/* --- the store's surroundings ------------------------------------------------------------------------------------ */

int store_introduce(uint16_t domid, uint64_t frame, uint32_t port)
{
    int rc = check_guest(domid);

    (void)frame;
    (void)port;
    if (rc == 0)
        guests[domid].introduced = true;
    return rc;
}

void store_release(uint16_t domid)
{
    require(domid != 0 && domid < HOST_DOMAINS);
    guests[domid].introduced = false;
    store_forget_domain(the_store, domid);
}

void store_io_flush_soon(void)
{
    dirty = true;
}

void store_file_write(void)
{
}

int listener_open(const char *path, void (*accepted)(int fd, void *context), void *context)
{
    (void)path;
    (void)accepted;
    (void)context;
    return 0;
}

static void on_dirty(void *context)
{
    (void)context;
    dirty = true;
}

static int on_exists(void *context, uint16_t domid)
{
    (void)context;
    return domid < HOST_DOMAINS && guests[domid].there ? 0 : -ESRCH;
}

struct console *other_console_find(uint16_t domid)
{
    (void)domid;
    return NULL;
}

/* --- processes --------------------------------------------------------------------------------------------------- */

struct child {
    TAILQ_ENTRY(child) link;
    enum { BUILDER, REAPER, DUMPER, RESIZER } kind;
    bool terminated;
    uint32_t domid; /* a reaper's */
    xen_domain_handle_t handle;
    unsigned long pages;
    unsigned int vcpus;
    child_fn done;
    disk_resized_fn resized; /* a resizer's; NULL: nobody waits for it */
    void *context;
};

static TAILQ_HEAD(, child) children = TAILQ_HEAD_INITIALIZER(children);

struct child *child_start(char *const argv[], const char *input, bool dies_with_us, child_fn ended, void *context)
{
    struct child *child;
    int error = trouble();

    (void)dies_with_us;
    if (error) {
        errno = -error;
        return NULL;
    }
    child = xcalloc(1, sizeof(*child));
    child->done = ended;
    child->context = context;
    if (argv[1] && !strcmp(argv[1], "--reap")) {
        child->kind = REAPER;
        child->domid = strtoul(argv[2], NULL, 10);
    } else if (argv[1]) {
        child->kind = DUMPER;
    } else {
        json_t *spec = json_loads(input, 0, NULL);

        require(spec);
        host_parse_uuid(json_string_value(json_object_get(spec, "uuid")), child->handle);
        child->pages = json_integer_value(json_object_get(spec, "memory_kib")) >> 2;
        child->vcpus = json_integer_value(json_object_get(spec, "max_vcpus"));
        json_decref(spec);
    }
    TAILQ_INSERT_TAIL(&children, child, link);
    return child;
}

void child_terminate(struct child *child)
{
    child->terminated = true;
}

/* The number that the builder's domain gets, the next free one as the hypervisor does it, or 0 if there is no room. */
static uint32_t build(const struct child *child)
{
    static uint32_t last;

    for (uint32_t i = 0; i < HOST_DOMAINS - 1; i++) {
        uint32_t domid = 1 + (last + i) % (HOST_DOMAINS - 1);

        if (guests[domid].there || guests[domid].introduced)
            continue;
        guests[domid].there = true;
        guests[domid].info = (struct xen_domctl_getdomaininfo){
            .domain = domid, .flags = XEN_DOMINF_paused, .tot_pages = child->pages, .max_pages = child->pages,
            .nr_online_vcpus = child->vcpus, .max_vcpu_id = child->vcpus - 1,
        };
        memcpy(guests[domid].info.handle, child->handle, sizeof(xen_domain_handle_t));
        last = domid;
        return domid;
    }
    return 0;
}

static void end_builder(struct child *child, unsigned int way)
{
    static const char *const bad[] = {
        "", "{", "[]", "{\"ok\":true}", "{\"ok\":true,\"domid\":\"x\"}", "{\"ok\":false,\"error\":{}}",
        "{\"ok\":false,\"error\":{\"what\":\"cannot build it\",\"why\":\"so\",\"remedy\":\"do it\"}}",
    };
    uint32_t domid = child->terminated && way % 2 == 0 ? 0 : build(child);
    char good[160];

    snprintf(good, sizeof(good), "{\"ok\":true,\"domid\":%u,\"store\":{\"mfn\":%u,\"port\":1},"
             "\"console\":{\"mfn\":%u,\"port\":2}}", domid, domid + 1000, domid + 2000);
    if (child->terminated)
        child->done(child->context, 15, "");
    else if (way || !domid)
        child->done(child->context, way % 3 ? 1 << 8 : 9, bad[way % (sizeof(bad) / sizeof(bad[0]))]);
    else
        child->done(child->context, 0, good);
}

bool host_end_child(unsigned int way)
{
    struct child *child = TAILQ_FIRST(&children);

    if (!child)
        return false;
    TAILQ_REMOVE(&children, child, link);
    if (child->kind == BUILDER) {
        end_builder(child, way);
    } else if (child->kind == REAPER) {
        require(child->domid != 0 && child->domid < HOST_DOMAINS);
        guests[child->domid].there = guests[child->domid].there && (way || guests[child->domid].held);
        child->done(child->context, way ? 1 << 8 : 0, "");
        /* A number that was not given back at once is later. */
        guests[child->domid].there = guests[child->domid].held;
    } else if (child->kind == RESIZER) {
        struct failure failure = { .why = "no", .remedy = "none" };

        if (child->resized)
            child->resized(child->context, way ? &failure : NULL);
    } else {
        child->done(child->context, child->terminated ? 15 : way ? 1 << 8 : 0,
                    child->terminated || way % 2 ? "" : "{\"ok\":true,\"size\":4096}");
    }
    free(child);
    return true;
}

/* --- dom0's kernel and the guests -------------------------------------------------------------------------------- */

int loop_attach(const char *file, bool writable, int *fd, dev_t *node)
{
    (void)file;
    (void)writable;
    *fd = -1;
    *node = 0x700;
    return trouble();
}

int loop_resize(dev_t node)
{
    (void)node;
    return trouble();
}

int bridge_plug(const struct vif_config *vif, const char *interface, struct failure *failure)
{
    (void)vif;
    (void)interface;
    return trouble() ? (failure_why(failure, "no"), failure_remedy(failure, "none"), -1) : 0;
}

bool disk_server_possible(const struct disk_config *disk, struct failure *failure)
{
    (void)disk;
    return trouble() ? (failure_why(failure, "no"), failure_remedy(failure, "none"), false) : true;
}

/* A disk that has a server. */
struct disk_served {
    LIST_ENTRY(disk_served) link;
    char uuid[37];
    uint32_t number;
};

static LIST_HEAD(, disk_served) served_list = LIST_HEAD_INITIALIZER(served_list);

static struct disk_served *served_find(const char *uuid, uint32_t number)
{
    struct disk_served *served;

    LIST_FOREACH(served, &served_list, link) {
        if (served->number == number && !strcmp(served->uuid, uuid))
            return served;
    }
    return NULL;
}

bool host_serves_disk(const char *uuid, uint32_t number)
{
    return served_find(uuid, number);
}

int disk_server_start(const char *uuid, const struct disk_config *disk, struct failure *failure)
{
    struct disk_served *served = served_find(uuid, disk->number);

    if (!disk_server_possible(disk, failure))
        return -1;
    if (!served) {
        served = xcalloc(1, sizeof(*served));
        strcpy(served->uuid, uuid);
        served->number = disk->number;
        LIST_INSERT_HEAD(&served_list, served, link);
    }
    return 0;
}

enum server_state disk_server_state(const char *uuid, const struct disk_config *disk, dev_t *node)
{
    (void)uuid;
    (void)disk;
    *node = 0x2b00;
    return trouble() ? SERVER_FAILED : SERVER_READY;
}

bool disk_server_resize(const char *uuid, const struct disk_config *disk, uint64_t bytes, disk_resized_fn resized,
                        void *context, struct failure *failure)
{
    struct child *child;

    (void)uuid;
    require(bytes);
    if (!disk_server_possible(disk, failure))
        return false;
    child = xcalloc(1, sizeof(*child));
    child->kind = RESIZER;
    child->resized = resized;
    child->context = context;
    TAILQ_INSERT_TAIL(&children, child, link);
    return true;
}

void disk_server_forget_caller(const void *context)
{
    struct child *child;

    TAILQ_FOREACH(child, &children, link) {
        if (child->kind == RESIZER && child->context == context)
            child->resized = NULL;
    }
}

static void stop_servers(const char *uuid, bool (*chosen)(const struct disk_served *served, const void *context),
                         const void *context)
{
    struct disk_served *served, *next;

    for (served = LIST_FIRST(&served_list); served; served = next) {
        next = LIST_NEXT(served, link);
        if (strcmp(served->uuid, uuid) || !chosen(served, context))
            continue;
        LIST_REMOVE(served, link);
        free(served);
    }
}

static bool is_of(const struct disk_served *served, const void *context)
{
    const struct disk_config *disk = context;

    return !disk || disk->number == served->number;
}

void disk_server_stop(const char *uuid, const struct disk_config *disk)
{
    stop_servers(uuid, is_of, disk);
}

static bool is_unwanted(const struct disk_served *served, const void *context)
{
    const struct domain *domain;

    (void)context;
    LIST_FOREACH(domain, &domains, link) {
        for (unsigned int i = 0; !strcmp(domain->config->uuid, served->uuid) && i < domain->config->disk_count; i++)
            if (domain->config->disks[i].number == served->number)
                return false;
    }
    return true;
}

void disk_server_stop_unwanted(const char *uuid)
{
    stop_servers(uuid, is_unwanted, NULL);
}

static int state_of(const char *path)
{
    const char *value = store_get(the_store, path);

    return value ? atoi(value) : XenbusStateUnknown;
}

static void serve_device(uint32_t domid, const char *kind, const char *number, bool well)
{
    char backend[96], frontend[96], error[112];
    int state;

    snprintf(backend, sizeof(backend), "/local/domain/0/backend/%s/%u/%s/state", kind, domid, number);
    snprintf(frontend, sizeof(frontend), "/local/domain/%u/device/%s/%s/state", domid, kind, number);
    snprintf(error, sizeof(error), "/local/domain/0/error/backend/%s/%u/%s/error", kind, domid, number);
    state = state_of(backend);
    if (!well) {
        store_put(the_store, error, "no such thing");
        store_put(the_store, backend, "%d", XenbusStateClosed);
    } else if (state == XenbusStateInitialising) {
        store_put(the_store, backend, "%d", XenbusStateInitWait);
    } else if (state == XenbusStateInitWait && state_of(frontend) != XenbusStateUnknown) {
        store_put(the_store, frontend, "%d", XenbusStateConnected);
        store_put(the_store, backend, "%d", XenbusStateConnected);
    } else if (state == XenbusStateClosing) {
        store_put(the_store, backend, "%d", XenbusStateClosed);
    }
}

void host_serve_devices(bool well)
{
    static const char *const kinds[] = { "vbd", "vif" };
    const char *target = store_get(the_store, "/local/domain/0/memory/target");
    const struct node *folder;
    char path[64], number[24];

    if (target && well)
        guests[0].info.tot_pages = strtoull(target, NULL, 10) >> 2;
    for (uint32_t domid = 1; domid < HOST_DOMAINS; domid++) {
        for (int kind = 0; kind < 2; kind++) {
            snprintf(path, sizeof(path), "/local/domain/0/backend/%s/%u", kinds[kind], domid);
            for (uint32_t i = 0; (folder = store_node(the_store, path)) && i < folder->child_count; i++) {
                snprintf(number, sizeof(number), "%s", folder->children[i]->name);
                serve_device(domid, kinds[kind], number, well);
            }
        }
    }
}

void host_end_guest(uint32_t domid, unsigned int reason)
{
    struct xen_domctl_getdomaininfo *info = &guests[domid].info;

    if (guests[domid].there)
        info->flags = (info->flags & 0xffff & ~XEN_DOMINF_paused) | XEN_DOMINF_shutdown |
                      (reason % (SHUTDOWN_MAX + 2)) << XEN_DOMINF_shutdownshift;
}

void host_write_console(uint32_t domid, uint32_t index)
{
    struct guest *guest = &guests[domid];

    if (!guest->console || !guest->notified)
        return;
    guest->console->out_prod = guest->console->out_cons + index;
    guest->console->in_cons = index;
    guest->notified(guest->context);
}

bool host_is_empty(void)
{
    char path[32];

    for (int i = 1; i < HOST_DOMAINS; i++) {
        snprintf(path, sizeof(path), "/local/domain/%d", i);
        if (guests[i].there || guests[i].introduced || guests[i].console || guests[i].notified ||
            store_node(the_store, path))
            return false;
    }
    return TAILQ_EMPTY(&children) && LIST_EMPTY(&served_list);
}

uint32_t host_guest(unsigned int index)
{
    for (uint32_t i = 1; i < HOST_DOMAINS; i++)
        if (guests[i].there && index-- == 0)
            return i;
    return 1;
}

/* --- the C library ----------------------------------------------------------------------------------------------- */

int __real_access(const char *path, int mode);
int __wrap_access(const char *path, int mode)
{
    char kind[4], node[96];
    unsigned int domid, number;

    if (sscanf(path, "/sys/bus/xen-backend/devices/%3[a-z]-%u-%u", kind, &domid, &number) == 3) {
        snprintf(node, sizeof(node), "/local/domain/0/backend/%s/%u/%u", kind, domid, number);
        return back_ends_held || store_node(the_store, node) ? 0 : -1;
    }
    if (!strncmp(path, "/sys/class/net/", 15))
        return strstr(path, "xenbr0") ? 0 : -1;
    return __real_access(path, mode);
}

unsigned int __wrap_if_nametoindex(const char *name)
{
    return strlen(name);
}

int __wrap_clock_gettime(clockid_t clock, struct timespec *time)
{
    (void)clock;
    *time = (struct timespec){ .tv_sec = now_ms / 1000, .tv_nsec = now_ms % 1000 * 1000000 };
    return 0;
}

/* Cores are written nowhere. */
char *__wrap_core_dump_path(const char *name)
{
    return xasprintf("/nowhere/%s.core", name);
}

/* --- the loop ---------------------------------------------------------------------------------------------------- */

void host_pass(uint64_t milliseconds)
{
    size_t length;

    now_ms += milliseconds;
    for (int i = 0; i < 4; i++) {
        event_base_loop(main_loop, EVLOOP_NONBLOCK);
        if (!dirty)
            continue;
        dirty = false;
        store_run_watches(the_store);
        store_journal(the_store, &length);
    }
}

void host_look(void)
{
    struct domain_set set;

    if (domain_set_read(&set) == 0)
        lifecycle_check(&set);
    domain_set_free(&set);
}

static void make_file(void)
{
    int fd = memfd_create("file", 0);

    require(fd >= 0 && ftruncate(fd, 4096) == 0);
    snprintf(host_file, sizeof(host_file), "/proc/self/fd/%d", fd);
}

void host_start(void)
{
    static const struct store_ops ops = { .dirty = on_dirty, .exists = on_exists };

    signal(SIGPIPE, SIG_IGN);
    log_set_level(LOG_LEVEL_ERROR);
    mkdir(RUN_DIR, 0700);
    mkdir(LOG_DIR, 0700);
    main_loop = event_base_new();
    the_store = store_new(&ops, NULL, 1);
    guests[0].there = true;
    guests[0].info = (struct xen_domctl_getdomaininfo){ .tot_pages = MEMORY_PAGES / 2, .nr_online_vcpus = 1 };
    make_file();
}
