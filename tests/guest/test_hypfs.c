/* SPDX-License-Identifier: MIT */
/* The hypervisor's file system: reading, listing, changing parameters, and all that is refused. */
#include "kernel.h"
#include <xen/hypfs.h>

static char buffer[4096];
#define HEAD ((struct xen_hypfs_direntry *)buffer)
#define CONTENT (buffer + sizeof(struct xen_hypfs_direntry))

static unsigned long length(const char *s)
{
    unsigned long n = 0;

    while (s[n])
        n++;
    return n;
}

static long op(unsigned int cmd, const char *path, const void *data, unsigned long size)
{
    return HCALL(hypfs_op, cmd, path, length(path) + 1, data, size);
}

static long read_path(const char *path)
{
    for (unsigned int i = 0; i < sizeof(buffer); i++)
        buffer[i] = 0x55;
    return op(XEN_HYPFS_OP_read, path, buffer, sizeof(buffer));
}

static void versions(void)
{
    check_eq(HCALL(hypfs_op, XEN_HYPFS_OP_get_version, 0, 0, 0, 0), XEN_HYPFS_VERSION);
    check_eq(HCALL(hypfs_op, XEN_HYPFS_OP_get_version, buffer, 0, 0, 0), -XEN_EINVAL);
    check_eq(op(77, "/", buffer, sizeof(buffer)), -XEN_EOPNOTSUPP);
}

static void numbers_and_texts(void)
{
    check_eq(read_path("/buildinfo/version/major"), 0);
    check_eq(HEAD->type, XEN_HYPFS_TYPE_UINT);
    check_eq(HEAD->content_len, 4);
    check_eq(HEAD->max_write_len, 0);
    check_eq(*(uint32_t *)CONTENT, 4);
    check_eq(read_path("/buildinfo/version/minor"), 0);
    check_eq(*(uint32_t *)CONTENT, 17);
    check_eq(read_path("/cpupool/0/sched-gran"), 0);
    check_eq(HEAD->type, XEN_HYPFS_TYPE_STRING);
    check_eq(HEAD->content_len, 4);
    check(memcmp(CONTENT, "cpu", 4) == 0);
}

/* Whether the directory that was read has an entry of this name and type. */
static bool listed(const char *name, unsigned int type)
{
    const char *at = CONTENT, *end = CONTENT + HEAD->content_len;

    while (at < end) {
        const struct xen_hypfs_dirlistentry *e = (const void *)at;

        if (memcmp(e->name, name, length(name) + 1) == 0)
            return e->e.type == type;
        if (e->off_next == 0)
            break;
        at += e->off_next;
    }
    return false;
}

static void directories(void)
{
    check_eq(read_path("/"), 0);
    check_eq(HEAD->type, XEN_HYPFS_TYPE_DIR);
    check(listed("buildinfo", XEN_HYPFS_TYPE_DIR));
    check(listed("cpupool", XEN_HYPFS_TYPE_DIR));
    check(listed("params", XEN_HYPFS_TYPE_DIR));
    check_eq(read_path("/cpupool"), 0);
    check(listed("0", XEN_HYPFS_TYPE_DIR));
    check_eq(read_path("/params"), 0);
    check(listed("loglvl", XEN_HYPFS_TYPE_STRING));
    check(listed("guest_loglvl", XEN_HYPFS_TYPE_STRING));
}

static void parameters(void)
{
    char before[32];

    check_eq(read_path("/params/loglvl"), 0);
    check_eq(HEAD->type, XEN_HYPFS_TYPE_STRING);
    check(HEAD->max_write_len > 4);
    memcpy(before, CONTENT, sizeof(before));
    check_eq(op(XEN_HYPFS_OP_write_contents, "/params/loglvl", "all", 4), 0);
    check_eq(read_path("/params/loglvl"), 0);
    check(memcmp(CONTENT, "all", 3) == 0);
    check_eq(op(XEN_HYPFS_OP_write_contents, "/params/loglvl", "wrong", 6), -XEN_EINVAL);
    check_eq(op(XEN_HYPFS_OP_write_contents, "/params/loglvl", "all", 3), -XEN_EDOM);
    check_eq(op(XEN_HYPFS_OP_write_contents, "/params/loglvl", (void *)UNMAPPED, 4), -XEN_EFAULT);
    check_eq(op(XEN_HYPFS_OP_write_contents, "/params/loglvl", buffer, sizeof(buffer)), -XEN_ENOSPC);
    check_eq(op(XEN_HYPFS_OP_write_contents, "/params/loglvl", buffer, ~0UL), -XEN_ENOSPC);
    check_eq(read_path("/params/loglvl"), 0);
    check(!on_domus() || memcmp(CONTENT, "all", 3) == 0);       /* Xen keeps the text of a value that it refused */
    check_eq(op(XEN_HYPFS_OP_write_contents, "/params/loglvl", before, length(before) + 1), 0);
}

static void what_may_not_be_written(void)
{
    check_eq(op(XEN_HYPFS_OP_write_contents, "/buildinfo/changeset", "x", 2), -XEN_EACCES);
    check_eq(op(XEN_HYPFS_OP_write_contents, "/params", "x", 2), -XEN_EACCES);
    check_eq(op(XEN_HYPFS_OP_write_contents, "/params/nothing", "x", 2), -XEN_ENOENT);
}

static void bad_paths(void)
{
    static char longest[XEN_HYPFS_MAX_PATHLEN + 8];

    check_eq(read_path("/nothing"), -XEN_ENOENT);
    check_eq(read_path("/buildinfo/version/major/more"), -XEN_ENOENT);
    check_eq(read_path("params"), -XEN_EINVAL);
    check_eq(HCALL(hypfs_op, XEN_HYPFS_OP_read, "/params", 7, buffer, sizeof(buffer)), -XEN_EINVAL);
    check_eq(HCALL(hypfs_op, XEN_HYPFS_OP_read, "/params", 0, buffer, sizeof(buffer)), -XEN_EINVAL);
    check_eq(HCALL(hypfs_op, XEN_HYPFS_OP_read, longest, sizeof(longest), buffer, sizeof(buffer)), -XEN_EINVAL);
    check_eq(HCALL(hypfs_op, XEN_HYPFS_OP_read, UNMAPPED, 4, buffer, sizeof(buffer)), -XEN_EFAULT);
    check_eq(HCALL(hypfs_op, XEN_HYPFS_OP_read, HV_SECRET, 4, buffer, sizeof(buffer)), -XEN_EFAULT);
    for (unsigned int i = 0; i < XEN_HYPFS_MAX_PATHLEN - 1; i++)
        longest[i] = '/';
    check(op(XEN_HYPFS_OP_read, longest, buffer, sizeof(buffer)) < 0);
}

static void small_buffers(void)
{
    check_eq(op(XEN_HYPFS_OP_read, "/params", buffer, sizeof(struct xen_hypfs_direntry) - 1), -XEN_EINVAL);
    check_eq(op(XEN_HYPFS_OP_read, "/params", buffer, sizeof(struct xen_hypfs_direntry)), -XEN_ENOBUFS);
    check_eq(HEAD->type, XEN_HYPFS_TYPE_DIR);
    check(HEAD->content_len > 16);
    check_eq(op(XEN_HYPFS_OP_read, "/params", buffer, sizeof(struct xen_hypfs_direntry) + HEAD->content_len - 1),
             -XEN_ENOBUFS);
    check_eq(op(XEN_HYPFS_OP_read, "/params", buffer, sizeof(struct xen_hypfs_direntry) + HEAD->content_len), 0);
    check_eq(op(XEN_HYPFS_OP_read, "/params", (void *)UNMAPPED, sizeof(buffer)), -XEN_EFAULT);
    check_eq(op(XEN_HYPFS_OP_read, "/params", (void *)HV_SECRET, sizeof(buffer)), -XEN_EFAULT);
}

TESTS({ "versions", versions }, { "numbers and texts", numbers_and_texts }, { "directories", directories },
      { "parameters", parameters }, { "what may not be written", what_may_not_be_written }, { "bad paths", bad_paths },
      { "small buffers", small_buffers });
