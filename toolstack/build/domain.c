/* SPDX-License-Identifier: MIT */
/*
 * Builds a paravirtualized domain. All that can be found out without the hypervisor (is the kernel one, does it fit) is
 * found out first; then comes a table of steps, and a failure or a signal between two of them destroys the domain.
 *
 * All frames that the builder writes lie between two numbers and are mapped at once. Before they become page tables
 * they are unmapped again, for no frame is a page table and writable at the same time.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "build/domain.h"
#include "build/kernel.h"
#include "build/layout.h"
#include "build/page_tables.h"
#include "build/pv_elf.h"
#include "build/ramdisk.h"
#include "build/refuse.h"
#include "lib/foreign.h"
#include "lib/hypercall.h"

#define SUPERPAGE_ORDER 9
#define POPULATE_BATCH  1024
#define EVENT_PORTS_MAX 1023
#define GRANT_VERSION   2
#define NEIGHBOURS_MAX  64
#define RFLAGS_IF       0x200

static const char remedy_log[] = "see `domus dmesg`, and the free memory in `domus info`";

struct build {
    const struct spec *spec;
    struct failure *failure;

    struct kernel image;
    struct pv_kernel kernel;
    int ramdisk;
    struct stat ramdisk_status; /* when it was opened */
    struct layout layout;

    uint32_t domid; /* 0 until there is a domain */
    xen_pfn_t *p2m;
    struct guest_memory memory;
    uint64_t shared_info_mfn;
    uint32_t store_port, console_port;
};

/* --- signals ------------------------------------------------------------------------------------- */

/* Those that end the builder, held back while there is a domain half built. */
static void interrupting_signals(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGHUP);
}

static bool interrupted(void)
{
    sigset_t pending;

    sigpending(&pending);
    return sigismember(&pending, SIGTERM) || sigismember(&pending, SIGINT) || sigismember(&pending, SIGHUP);
}

/* --- before there is a domain -------------------------------------------------------------------- */

static int open_ramdisk(struct build *build, uint64_t *bytes)
{
    const char *path = build->spec->ramdisk;
    struct stat *status = &build->ramdisk_status;

    build->ramdisk = -1;
    *bytes = 0;
    if (!path)
        return 0;
    failure_what(build->failure, "cannot load ramdisk %s for domain %s", path, build->spec->name);
    build->ramdisk = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (build->ramdisk < 0) {
        return refuse(build->failure, "correct ramdisk= in the configuration, or put the file there", "%s",
                      strerror(errno));
    }
    if (fstat(build->ramdisk, status) < 0 || !S_ISREG(status->st_mode) || status->st_size == 0) {
        close(build->ramdisk);
        build->ramdisk = -1;
        return refuse(build->failure, "name an initramfs in ramdisk=, or leave ramdisk= out",
                      "it is empty, or not a regular file");
    }
    *bytes = status->st_size;
    return 0;
}

/* Open and check all files, and plan the guest's memory. */
static int prepare(struct build *build)
{
    const struct spec *spec = build->spec;
    uint64_t ramdisk_bytes;

    if (strlen(spec->cmdline) >= MAX_GUEST_CMDLINE) {
        failure_what(build->failure, "cannot build domain %s", spec->name);
        return refuse(build->failure, "shorten root= and extra= (or cmdline=)",
                      "its kernel command line has %zu characters, and %d are allowed", strlen(spec->cmdline),
                      MAX_GUEST_CMDLINE - 1);
    }
    failure_what(build->failure, "cannot load kernel %s for domain %s", spec->kernel, spec->name);
    if (pv_kernel_parse(build->image.data, build->image.size, &build->kernel, build->failure) < 0 ||
        open_ramdisk(build, &ramdisk_bytes) < 0)
        return -1;
    failure_what(build->failure, "cannot build domain %s", spec->name);
    return layout_plan(&build->kernel, ramdisk_bytes, spec->memory_kib >> (PAGE_SHIFT - 10), &build->layout,
                       build->failure);
}

/* --- steps --------------------------------------------------------------------------------------- */

static int refused_by_hypervisor(struct build *build, const char *what, long error)
{
    return refuse(build->failure, remedy_log, "the hypervisor refused to %s: %s", what, strerror(-error));
}

/* Say how much memory there is, and who has the most of it. */
static int out_of_memory(struct build *build)
{
    static struct xen_domctl_getdomaininfo domains[NEIGHBOURS_MAX];
    struct xen_sysctl_physinfo host = {0};
    int count = hv_domain_list(0, NEIGHBOURS_MAX, domains);
    uint64_t most = 0;
    uint32_t who = 0;

    hv_physinfo(&host);
    for (int i = 0; i < count; i++) {
        if ((domains[i].domain == 0 || domains[i].domain != build->domid) && domains[i].tot_pages > most) {
            most = domains[i].tot_pages;
            who = domains[i].domain;
        }
    }
    return refuse(build->failure, "lower memory= in the configuration, or shut down another domain (`domus list`)",
                  "it needs %lu MiB of memory, and %lu MiB are free; domain %u has the most, %lu MiB",
                  build->spec->memory_kib >> 10, host.free_pages >> (20 - PAGE_SHIFT), who, most >> (20 - PAGE_SHIFT));
}

static int step_check_memory(struct build *build)
{
    struct xen_sysctl_physinfo host = {0};
    int error = hv_physinfo(&host);

    if (error < 0)
        return refused_by_hypervisor(build, "tell its free memory", error);
    return host.free_pages < build->layout.nr_pages ? out_of_memory(build) : 0;
}

static int step_create(struct build *build)
{
    struct xen_domctl_createdomain config = {
        .max_vcpus = build->spec->max_vcpus,
        .max_evtchn_port = EVENT_PORTS_MAX,
        .max_grant_frames = build->spec->max_grant_frames,
        .max_maptrack_frames = build->spec->max_maptrack_frames,
        .grant_opts = XEN_DOMCTL_GRANT_version(GRANT_VERSION),
    };
    uint32_t domid = 0;
    int error;

    memcpy(config.handle, build->spec->uuid, sizeof(config.handle));
    error = hv_domain_create(&config, &domid);
    if (error == -ENOMEM)
        return out_of_memory(build);
    if (error < 0)
        return refused_by_hypervisor(build, "create a domain", error);
    build->domid = domid;
    return 0;
}

/* Without this the guest could not tell how far it may grow later. */
static int set_memory_map(struct build *build)
{
    struct e820_entry {
        uint64_t address, size;
        uint32_t type;
    } __attribute__((packed)) *ram = hv_buf_alloc(sizeof(*ram));
    struct xen_foreign_memory_map map = {.domid = build->domid, .map = {.nr_entries = 1}};
    long error;

    if (!ram)
        return -ENOMEM;
    *ram = (struct e820_entry){.size = build->spec->max_memory_kib << 10, .type = 1};
    set_xen_guest_handle(map.map.buffer, ram);
    error = hv_memory_op(XENMEM_set_memory_map, &map, sizeof(map));
    hv_buf_free(ram, sizeof(*ram));
    return error;
}

static int step_limits(struct build *build)
{
    struct xen_domctl_getdomaininfo info;
    int error = hv_domain_max_vcpus(build->domid, build->spec->max_vcpus);

    if (error < 0)
        return refused_by_hypervisor(build, "give it its virtual CPUs", error);
    error = hv_domain_max_mem(build->domid, build->spec->max_memory_kib);
    if (error < 0)
        return refused_by_hypervisor(build, "set its memory limit", error);
    error = set_memory_map(build);
    if (error < 0)
        return refused_by_hypervisor(build, "set its memory map", error);
    /* From here on nobody else can take what it needs. */
    error = hv_claim_pages(build->domid, build->layout.nr_pages);
    if (error == -ENOMEM)
        return out_of_memory(build);
    if (error < 0)
        return refused_by_hypervisor(build, "set memory aside for it", error);
    error = hv_domain_info(build->domid, &info);
    if (error < 0)
        return refused_by_hypervisor(build, "describe the domain", error);
    build->shared_info_mfn = info.shared_info_frame;
    return 0;
}

static int step_clocks(struct build *build)
{
    int error = 0;

    if (build->spec->tsc_native)
        error = hv_domain_set_tsc(build->domid, HV_TSC_NATIVE, 0, 0, 0);
    if (error < 0)
        return refused_by_hypervisor(build, "show it the processor's time stamp counter", error);
    if (build->spec->time_offset_s)
        error = hv_domain_set_time_offset(build->domid, build->spec->time_offset_s);
    return error < 0 ? refused_by_hypervisor(build, "set its clock", error) : 0;
}

/*
 * Populate frames from `pfn` on with extents of 2^order frames, as many as fit before the end and as there are.
 * Returns the frame after the last.
 */
static uint64_t populate(struct build *build, uint64_t pfn, unsigned int order)
{
    static xen_pfn_t extents[POPULATE_BATCH];

    while (pfn + (1UL << order) <= build->layout.nr_pages && !interrupted()) {
        uint64_t count = (build->layout.nr_pages - pfn) >> order;
        long got;

        if (count > POPULATE_BATCH)
            count = POPULATE_BATCH;
        for (uint64_t i = 0; i < count; i++)
            extents[i] = pfn + (i << order);
        got = hv_populate_physmap(build->domid, count, order, 0, extents);
        for (long i = 0; i < got; i++)
            for (uint64_t j = 0; j < 1UL << order; j++)
                build->p2m[pfn++] = extents[i] + j;
        if (got < (long)count)
            break;
    }
    return pfn;
}

/* Memory in large pieces while there are any, then the rest in single frames. */
static int step_populate(struct build *build)
{
    uint64_t pfn;

    build->p2m = calloc(build->layout.nr_pages, sizeof(*build->p2m));
    if (!build->p2m)
        return refuse(build->failure, "free some of dom0's memory", "dom0 is out of memory");
    pfn = populate(build, 0, SUPERPAGE_ORDER);
    pfn = populate(build, pfn, 0);
    return pfn < build->layout.nr_pages ? out_of_memory(build) : 0;
}

static int step_map(struct build *build)
{
    uint64_t first = build->layout.first_pfn;

    build->memory.first_pfn = first;
    build->memory.base =
        foreign_map(build->domid, PROT_READ | PROT_WRITE, build->p2m + first, build->layout.end_pfn - first, NULL);
    return build->memory.base ? 0 : refused_by_hypervisor(build, "let its memory be mapped", -errno);
}

/* A page at a time: longer copies, memcpy may leave to string instructions, which some processors do byte by byte. */
static void copy(uint8_t *to, const uint8_t *from, uint64_t bytes)
{
    while (bytes >= PAGE_SIZE) {
        memcpy(to, from, PAGE_SIZE);
        to += PAGE_SIZE;
        from += PAGE_SIZE;
        bytes -= PAGE_SIZE;
    }
    memcpy(to, from, bytes);
}

static int step_load_kernel(struct build *build)
{
    uint64_t base = build->memory.first_pfn << PAGE_SHIFT;

    for (unsigned int i = 0; i < build->kernel.segment_count; i++) {
        const struct pv_segment *segment = &build->kernel.segments[i];
        uint8_t *to = build->memory.base + (segment->address - base);

        copy(to, build->image.data + segment->file_offset, segment->file_size);
        memset(to + segment->file_size, 0, segment->memory_size - segment->file_size);
    }
    return 0;
}

/*
 * Read straight into the guest, and check what it is to get. The file is not ours: it may have become shorter since it
 * was measured.
 */
static int step_load_ramdisk(struct build *build)
{
    uint64_t done = 0, bytes = build->layout.ramdisk_bytes;
    uint8_t *to;

    if (bytes == 0)
        return 0;
    failure_what(build->failure, "cannot load ramdisk %s for domain %s", build->spec->ramdisk, build->spec->name);
    to = guest_frame(&build->memory, build->layout.ramdisk_pfn);
    while (done < bytes) {
        ssize_t got = read(build->ramdisk, to + done, bytes - done);

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) {
            return refuse(build->failure, "check that nothing else writes to it, and dom0's disk",
                          "after %lu of %lu bytes: %s", done, bytes, got < 0 ? strerror(errno) : "end of file");
        }
        done += got;
    }
    memset(to + bytes, 0, -bytes & (PAGE_SIZE - 1));
    if (ramdisk_check_file(build->ramdisk, &build->ramdisk_status, to, bytes, RAMDISK_CACHE, build->failure) < 0)
        return -1;
    failure_what(build->failure, "cannot build domain %s", build->spec->name);
    return 0;
}

static int step_channels(struct build *build)
{
    int port = hv_evtchn_alloc_unbound(build->domid, 0);

    if (port < 0)
        return refused_by_hypervisor(build, "make the event channel of its store", port);
    build->store_port = port;
    port = hv_evtchn_alloc_unbound(build->domid, 0);
    if (port < 0)
        return refused_by_hypervisor(build, "make the event channel of its console", port);
    build->console_port = port;
    return 0;
}

static void write_start_info(struct build *build)
{
    const struct layout *layout = &build->layout;
    start_info_t *info = guest_frame(&build->memory, layout->start_info_pfn);

    memset(info, 0, PAGE_SIZE);
    strcpy(info->magic, "xen-3.0-x86_64");
    info->nr_pages = layout->nr_pages;
    info->shared_info = build->shared_info_mfn << PAGE_SHIFT;
    info->flags = SIF_VIRT_P2M_4TOOLS;
    info->store_mfn = build->p2m[layout->store_pfn];
    info->store_evtchn = build->store_port;
    info->console.domU.mfn = build->p2m[layout->console_pfn];
    info->console.domU.evtchn = build->console_port;
    info->pt_base = layout_va(layout, layout->tables_pfn);
    info->nr_pt_frames = layout->tables_pages;
    info->mfn_list = layout->p2m_apart ? layout->p2m.va : layout_va(layout, layout->p2m_pfn);
    if (layout->p2m_apart) {
        info->first_p2m_pfn = layout->p2m_pfn;
        info->nr_p2m_frames = layout->p2m_pages + layout->p2m.level3 + layout->p2m.level2 + layout->p2m.level1;
    }
    if (layout->ramdisk_bytes && build->kernel.ramdisk_unmapped) {
        info->flags |= SIF_MOD_START_PFN;
        info->mod_start = layout->ramdisk_pfn;
    } else if (layout->ramdisk_bytes) {
        info->mod_start = layout_va(layout, layout->ramdisk_pfn);
    }
    info->mod_len = layout->ramdisk_bytes;
    memcpy(info->cmd_line, build->spec->cmdline, strlen(build->spec->cmdline));
}

/* Entries of the p2m's last page beyond the guest's memory name no frame. */
static void write_p2m(struct build *build)
{
    const struct layout *layout = &build->layout;
    uint8_t *to = guest_frame(&build->memory, layout->p2m_pfn);
    uint64_t bytes = layout->nr_pages * sizeof(xen_pfn_t);

    copy(to, (const uint8_t *)build->p2m, bytes);
    memset(to + bytes, 0xff, -bytes & (PAGE_SIZE - 1));
}

static int step_start_of_day(struct build *build)
{
    const struct layout *layout = &build->layout;

    memset(guest_frame(&build->memory, layout->store_pfn), 0, PAGE_SIZE);
    memset(guest_frame(&build->memory, layout->console_pfn), 0, PAGE_SIZE);
    memset(guest_frame(&build->memory, layout->stack_pfn), 0, PAGE_SIZE);
    write_start_info(build);
    write_p2m(build);
    page_tables_write(layout, &build->memory, build->p2m);
    return 0;
}

static void unmap(struct build *build)
{
    if (build->memory.base) {
        foreign_unmap(build->memory.base, build->layout.end_pfn - build->layout.first_pfn);
        build->memory.base = NULL;
    }
}

/* Until the guest has set up its event callback, no virtual CPU may be given events. */
static int step_shared_info(struct build *build)
{
    shared_info_t *shared = foreign_map_one(build->domid, build->shared_info_mfn);

    if (!shared)
        return refused_by_hypervisor(build, "let its shared page be mapped", -errno);
    memset(shared, 0, PAGE_SIZE);
    for (unsigned int i = 0; i < XEN_LEGACY_MAX_VCPUS; i++)
        shared->vcpu_info[i].evtchn_upcall_mask = 1;
    foreign_unmap(shared, 1);
    return 0;
}

static int step_hypercall_page(struct build *build)
{
    uint64_t pfn = (build->kernel.hypercall_page - build->kernel.virt_base) >> PAGE_SHIFT;
    int error;

    if (!build->kernel.has_hypercall_page)
        return 0;
    error = hv_domain_hypercall_page(build->domid, build->p2m[pfn]);
    return error < 0 ? refused_by_hypervisor(build, "write its hypercall page", error) : 0;
}

static int step_page_tables(struct build *build)
{
    struct mmuext_op pin = {.cmd = MMUEXT_PIN_L4_TABLE, .arg1.mfn = build->p2m[build->layout.tables_pfn]};
    int error;

    unmap(build);
    error = hv_mmuext_op(&pin, 1, build->domid);
    return error < 0 ? refused_by_hypervisor(build, "take its page tables", error) : 0;
}

static int step_first_vcpu(struct build *build)
{
    static vcpu_guest_context_t context;
    const struct layout *layout = &build->layout;
    int error;

    context.flags = VGCF_in_kernel | VGCF_online;
    context.user_regs.rip = build->kernel.entry;
    context.user_regs.rsp = layout_va(layout, layout->stack_pfn + 1);
    context.user_regs.rsi = layout_va(layout, layout->start_info_pfn);
    context.user_regs.rflags = RFLAGS_IF;
    context.user_regs.cs = FLAT_KERNEL_CS;
    context.user_regs.ss = FLAT_KERNEL_SS;
    context.user_regs.ds = FLAT_KERNEL_DS;
    context.user_regs.es = FLAT_KERNEL_DS;
    context.user_regs.fs = FLAT_KERNEL_DS;
    context.user_regs.gs = FLAT_KERNEL_DS;
    context.kernel_ss = FLAT_KERNEL_SS;
    context.kernel_sp = context.user_regs.rsp;
    context.ctrlreg[3] = xen_pfn_to_cr3(build->p2m[layout->tables_pfn]);
    error = hv_vcpu_set_context(build->domid, 0, &context);
    return error < 0 ? refused_by_hypervisor(build, "start its first virtual CPU", error) : 0;
}

static int (*const steps[])(struct build *) = {
    step_check_memory, step_create,         step_limits,      step_clocks,     step_populate,
    step_map,          step_load_kernel,    step_load_ramdisk, step_channels,  step_start_of_day,
    step_shared_info,  step_hypercall_page, step_page_tables, step_first_vcpu,
};

/* --- all together -------------------------------------------------------------------------------- */

static int run_steps(struct build *build)
{
    sigset_t signals;

    interrupting_signals(&signals);
    sigprocmask(SIG_BLOCK, &signals, NULL);
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        int failed = steps[i](build);

        if (interrupted())
            failed = refuse(build->failure, "try again", "interrupted by a signal");
        if (failed) {
            unmap(build);
            if (build->domid)
                hv_domain_destroy(build->domid);
            return -1;
        }
    }
    return 0;
}

int domain_build(const struct spec *spec, struct built *built, struct failure *failure)
{
    struct build build = {.spec = spec, .failure = failure, .ramdisk = -1};
    int failed;

    failure_what(failure, "cannot load kernel %s for domain %s", spec->kernel, spec->name);
    if (kernel_open(spec->kernel, KERNEL_CACHE, &build.image, failure) < 0)
        return -1;
    failed = prepare(&build);
    if (!failed)
        failed = run_steps(&build);
    if (!failed) {
        *built = (struct built){
            .domid = build.domid,
            .store = {build.p2m[build.layout.store_pfn], build.store_port},
            .console = {build.p2m[build.layout.console_pfn], build.console_port},
        };
    }
    free(build.p2m);
    if (build.ramdisk >= 0)
        close(build.ramdisk);
    kernel_close(&build.image);
    return failed;
}
