/* SPDX-License-Identifier: MIT */
/*
 * The process that writes a domain's core file (core_dump_main): registers, shared info page, memory. It works beside
 * the path that is asked for and takes that name at the end, so that a file of that name is always whole.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "core_dump.h"
#include "core_file.h"
#include "guest_frames.h"
#include "lib/alloc.h"
#include "lib/foreign.h"
#include "lib/hypercall.h"

#define BATCH 256
/* What is left free for others on the disk. */
#define DISK_RESERVE (64UL << 20)

struct writer {
    uint32_t domid;
    const char *path;
    char *part; /* the name while it is written */
    int fd;
    struct core_file file;
    struct guest_frames frames;
    struct failure failure;
};

static bool fail(struct writer *writer, const char *remedy, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static bool fail(struct writer *writer, const char *remedy, const char *format, ...)
{
    va_list args;

    failure_what(&writer->failure, "cannot write the core of domain %u to %s", writer->domid, writer->path);
    va_start(args, format);
    vsnprintf(writer->failure.why, sizeof(writer->failure.why), format, args);
    va_end(args);
    failure_remedy(&writer->failure, "%s", remedy);
    return false;
}

static bool write_at(struct writer *writer, uint64_t offset, const void *data, size_t size)
{
    while (size > 0) {
        ssize_t wrote = pwrite(writer->fd, data, size, offset);

        if (wrote < 0 && errno == EINTR)
            continue;
        if (wrote <= 0)
            return fail(writer, "make room on the disk, or name another file", "%s: %s", writer->part,
                        wrote < 0 ? strerror(errno) : "nothing more can be written");
        data = (const char *)data + wrote;
        offset += wrote;
        size -= wrote;
    }
    return true;
}

/* The registers of all virtual CPUs that have some, after each other; NULL with the failure set. */
static vcpu_guest_context_t *read_contexts(struct writer *writer, unsigned int max_vcpus)
{
    vcpu_guest_context_t *contexts = xcalloc(max_vcpus, sizeof(*contexts));

    for (unsigned int i = 0; i < max_vcpus; i++)
        if (hv_vcpu_get_context(writer->domid, i, &contexts[writer->file.vcpus]) == 0)
            writer->file.vcpus++;
    if (writer->file.vcpus > 0)
        return contexts;
    free(contexts);
    fail(writer, "see the hypervisor's messages (domus dmesg)", "the hypervisor does not tell its registers");
    return NULL;
}

static void *map_shared_info(struct writer *writer, uint64_t frame)
{
    xen_pfn_t mfn = frame;
    void *page = foreign_map(writer->domid, PROT_READ, &mfn, 1, NULL);

    if (!page)
        fail(writer, "see the hypervisor's messages (domus dmesg)", "its shared info page cannot be mapped: %s",
             strerror(errno));
    return page;
}

static bool enough_room(struct writer *writer)
{
    struct core_file whole = { .vcpus = writer->file.vcpus, .pages = writer->frames.count };
    struct statvfs disk;

    core_file_plan(&whole);
    if (fstatvfs(writer->fd, &disk) < 0 || (uint64_t)disk.f_bavail * disk.f_frsize >= whole.end + DISK_RESERVE)
        return true;
    return fail(writer, "make room, or name a file on another disk (domus dump-core DOMAIN FILE)",
                "it would be %llu MiB long, and its disk has %llu MiB free, of which %lu are left for others",
                (unsigned long long)whole.end >> 20, (unsigned long long)disk.f_bavail * disk.f_frsize >> 20,
                DISK_RESERVE >> 20);
}

/* Append pages that lie side by side, and what they are. */
static bool append_pages(struct writer *writer, const char *pages, const struct core_p2m *what, size_t count)
{
    struct core_p2m *list = writer->frames.list + writer->file.pages;
    uint64_t offset = writer->file.first_page + writer->file.pages * CORE_PAGE_SIZE;

    if (!write_at(writer, offset, pages, count * CORE_PAGE_SIZE))
        return false;
    memmove(list, what, count * sizeof(*list));
    writer->file.pages += count;
    return true;
}

/* Copy what could be mapped of a batch: each stretch without a page that could not at once. */
static bool write_batch(struct writer *writer, const char *pages, const struct core_p2m *what, const int *errors,
                        size_t count)
{
    size_t end;

    for (size_t start = 0; start < count; start = end + 1) {
        for (end = start; end < count && !errors[end]; end++)
            ;
        if (end > start && !append_pages(writer, pages + start * CORE_PAGE_SIZE, what + start, end - start))
            return false;
    }
    return true;
}

/* Copy the pages that can be mapped, and keep only those in the list. */
static bool write_pages(struct writer *writer)
{
    xen_pfn_t frames[BATCH];
    int errors[BATCH];

    for (size_t done = 0; done < writer->frames.count; done += BATCH) {
        const struct core_p2m *what = writer->frames.list + done;
        size_t count = writer->frames.count - done < BATCH ? writer->frames.count - done : BATCH;
        bool good;
        char *pages;

        for (size_t i = 0; i < count; i++)
            frames[i] = what[i].gmfn;
        memset(errors, 0, sizeof(errors));
        pages = foreign_map(writer->domid, PROT_READ, frames, count, errors);
        if (!pages)
            return fail(writer, "free memory in dom0", "its memory cannot be mapped: %s", strerror(errno));
        good = write_batch(writer, pages, what, errors, count);
        foreign_unmap(pages, count);
        if (!good)
            return false;
    }
    return true;
}

static void read_version(struct core_version *version)
{
    long number = hv_version(XENVER_version, NULL, 0);

    memset(version, 0, sizeof(*version));
    version->major = number >> 16;
    version->minor = number & 0xffff;
    version->page_size = CORE_PAGE_SIZE;
    hv_version(XENVER_extraversion, &version->extra, sizeof(version->extra));
    hv_version(XENVER_compile_info, &version->compiled, sizeof(version->compiled));
    hv_version(XENVER_capabilities, &version->capabilities, sizeof(version->capabilities));
    hv_version(XENVER_changeset, &version->changeset, sizeof(version->changeset));
    hv_version(XENVER_platform_parameters, &version->platform, sizeof(version->platform));
}

static bool write_all(struct writer *writer, const vcpu_guest_context_t *contexts, const void *shared)
{
    struct core_version version;
    uint8_t head[CORE_HEAD_SIZE];

    core_file_plan(&writer->file);
    if (!enough_room(writer) || !write_pages(writer))
        return false;
    core_file_plan(&writer->file);
    read_version(&version);
    core_file_head(&writer->file, &version, head);
    return write_at(writer, writer->file.contexts, contexts, writer->file.vcpus * sizeof(*contexts)) &&
           write_at(writer, writer->file.shared_info, shared, CORE_PAGE_SIZE) &&
           write_at(writer, writer->file.p2m, writer->frames.list, writer->file.pages * sizeof(struct core_p2m)) &&
           write_at(writer, 0, head, sizeof(head));
}

static bool open_part(struct writer *writer)
{
    if (access(writer->path, F_OK) == 0)
        return fail(writer, "remove it, or name another file", "the file is there already");
    /* One that is there may be another dump's, or of somebody who would read the guest's memory in it. */
    writer->fd = open(writer->part, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (writer->fd < 0)
        return fail(writer, errno == EEXIST ? "remove it, or name another file" : "name a file that can be made",
                    "%s: %s", writer->part, strerror(errno));
    return true;
}

static bool read_and_write(struct writer *writer)
{
    struct xen_domctl_getdomaininfo info;
    vcpu_guest_context_t *contexts;
    shared_info_t *shared = NULL;
    bool done = false;
    int rc = hv_open();

    if (rc == 0)
        rc = hv_domain_info(writer->domid, &info);
    if (rc)
        return fail(writer, "see which there are: domus list", "the hypervisor does not tell of it: %s", strerror(-rc));
    contexts = read_contexts(writer, info.max_vcpu_id + 1);
    if (contexts)
        shared = map_shared_info(writer, info.shared_info_frame);
    if (shared) {
        rc = guest_frames_read(writer->domid, shared, info.tot_pages, &writer->frames);
        if (rc == -ENODATA)
            fail(writer, "let it boot further", "the guest has not yet said where its memory is");
        else if (rc)
            fail(writer, "free memory in dom0", "%s", strerror(-rc));
        else
            done = open_part(writer) && write_all(writer, contexts, shared);
    }
    foreign_unmap(shared, 1);
    free(contexts);
    free(writer->frames.list);
    return done;
}

int core_dump_main(uint32_t domid, const char *path)
{
    struct writer writer = { .domid = domid, .path = path, .fd = -1 };
    json_t *result;
    bool done;

    writer.part = xasprintf("%s.part", path);
    done = read_and_write(&writer);
    if (done && (fsync(writer.fd) < 0 || rename(writer.part, path) < 0))
        done = fail(&writer, "look at the disk", "%s: %s", writer.part, strerror(errno));
    if (!done && writer.fd >= 0)
        unlink(writer.part);
    result = done ? json_pack("{s:b, s:I}", "ok", 1, "size", (json_int_t)writer.file.end)
                  : failure_to_reply(&writer.failure);
    json_dumpf(result, stdout, JSON_COMPACT);
    json_decref(result);
    free(writer.part);
    if (writer.fd >= 0)
        close(writer.fd);
    return !done;
}
