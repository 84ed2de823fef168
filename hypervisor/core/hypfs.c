/* SPDX-License-Identifier: MIT */
/*
 * HYPERVISOR_hypfs_op: a small file system in which the control domain finds what the hypervisor was built
 * from, its CPU pools, and the parameters that can be changed while all is running. Interface: <xen/hypfs.h>.
 *
 * Nothing of the tree is kept: the entries of a directory are made when somebody looks, and a path is
 * followed by looking through each directory on the way.
 */
#include <domus/domain.h>
#include <domus/guest_access.h>
#include <domus/hypercall.h>
#include <domus/lib.h>
#include <domus/param.h>
#include <domus/sched.h>
#include <domus/string.h>
#include <domus/version.h>
#include <asm/current.h>
#include <xen/hypfs.h>

#define NAME_SIZE  32
#define VALUE_SIZE 64           /* of any content, and of what may be written */

enum directory { DIR_NONE, DIR_ROOT, DIR_BUILDINFO, DIR_COMPILEINFO, DIR_VERSION, DIR_CPUPOOLS, DIR_CPUPOOL, DIR_PARAMS };

struct entry {
    char name[NAME_SIZE];
    u8 type;                    /* XEN_HYPFS_TYPE_* */
    enum directory dir;         /* of a directory: which */
    unsigned int size;          /* of the content, bytes */
    const void *content;        /* static, or a parameter's variable */
    const struct param *param;  /* may be written: NULL if not */
};

/* Entries whose content is fixed when the hypervisor is built. */
struct fixed {
    enum directory in;
    const char *name;
    enum directory dir;
    const char *text;
    const u32 *number;
};

static const u32 major = INTERFACE_MAJOR, minor = INTERFACE_MINOR;

static const struct fixed fixed_entries[] = {
    { .in = DIR_ROOT, .name = "buildinfo", .dir = DIR_BUILDINFO },
    { .in = DIR_ROOT, .name = "cpupool", .dir = DIR_CPUPOOLS },
    { .in = DIR_ROOT, .name = "params", .dir = DIR_PARAMS },
    { .in = DIR_BUILDINFO, .name = "changeset", .text = CHANGESET },
    { .in = DIR_BUILDINFO, .name = "compileinfo", .dir = DIR_COMPILEINFO },
    { .in = DIR_BUILDINFO, .name = "config", .text = "DEBUG=" DOMUS_DEBUG },
    { .in = DIR_BUILDINFO, .name = "version", .dir = DIR_VERSION },
    { .in = DIR_COMPILEINFO, .name = "compile_by", .text = COMPILED_BY },
    { .in = DIR_COMPILEINFO, .name = "compile_date", .text = DOMUS_COMPILE_DATE },
    { .in = DIR_COMPILEINFO, .name = "compile_domain", .text = "" },
    { .in = DIR_COMPILEINFO, .name = "compiler", .text = DOMUS_COMPILER },
    { .in = DIR_VERSION, .name = "extra", .text = INTERFACE_EXTRA },
    { .in = DIR_VERSION, .name = "major", .number = &major },
    { .in = DIR_VERSION, .name = "minor", .number = &minor },
    { .in = DIR_CPUPOOL, .name = "sched-gran", .text = "cpu" },
};

/* ---- Entries of directories ---- */

static void make_fixed(struct entry *e, const struct fixed *f)
{
    *e = (struct entry){ .dir = f->dir };
    strlcpy(e->name, f->name, NAME_SIZE);
    if (f->dir) {
        e->type = XEN_HYPFS_TYPE_DIR;
    } else if (f->text) {
        e->type = XEN_HYPFS_TYPE_STRING;
        e->content = f->text;
        e->size = (unsigned int)strlen(f->text) + 1;
    } else {
        e->type = XEN_HYPFS_TYPE_UINT;
        e->content = f->number;
        e->size = sizeof(*f->number);
    }
}

static void make_param(struct entry *e, const struct param *p)
{
    *e = (struct entry){ .type = XEN_HYPFS_TYPE_STRING, .content = p->var, .size = p->len, .param = p };
    strlcpy(e->name, p->name, NAME_SIZE);
    if (p->kind == PARAM_KIND_BOOL)
        e->type = XEN_HYPFS_TYPE_BOOL;
    else
        e->size = (unsigned int)strnlen(p->var, p->len - 1) + 1;
}

/*
 * The entry of dir that *cursor stands for, or the next one; the cursor then stands for what follows. It starts at 0.
 * False: there are no more.
 */
static bool next_entry(enum directory dir, unsigned int *cursor, struct entry *e)
{
    if (dir == DIR_CPUPOOLS) {
        int id = cpupool_next_id(*cursor);

        if (id < 0)
            return false;
        *e = (struct entry){ .type = XEN_HYPFS_TYPE_DIR, .dir = DIR_CPUPOOL };
        snprintf(e->name, NAME_SIZE, "%d", id);
        *cursor = (unsigned int)id + 1;
        return true;
    }
    if (dir == DIR_PARAMS) {
        for (; __start_params + *cursor < __stop_params; ++*cursor) {
            if (__start_params[*cursor].runtime) {
                make_param(e, &__start_params[(*cursor)++]);
                return true;
            }
        }
        return false;
    }
    for (; *cursor < ARRAY_SIZE(fixed_entries); ++*cursor) {
        if (fixed_entries[*cursor].in == dir) {
            make_fixed(e, &fixed_entries[(*cursor)++]);
            return true;
        }
    }
    return false;
}

/* ---- Paths ---- */

/* Reads the guest's path, of len bytes with the zero at its end, into path. */
static int read_path(char path[XEN_HYPFS_MAX_PATHLEN], guest_ptr_t guest, unsigned long len)
{
    if (len == 0 || len > XEN_HYPFS_MAX_PATHLEN)
        return -EINVAL;
    if (copy_from_guest(path, (const void *)guest, len))
        return -EFAULT;
    return memchr(path, 0, len) == path + len - 1 && path[0] == '/' ? 0 : -EINVAL;
}

static bool find_in(enum directory dir, const char *name, size_t len, struct entry *e)
{
    unsigned int cursor = 0;

    while (next_entry(dir, &cursor, e))
        if (strlen(e->name) == len && strncmp(e->name, name, len) == 0)
            return true;
    return false;
}

static int find_path(const char *path, struct entry *e)
{
    *e = (struct entry){ .type = XEN_HYPFS_TYPE_DIR, .dir = DIR_ROOT };
    while (*path) {
        size_t len;

        path++;                         /* the slash */
        len = strcspn(path, "/");
        if (len == 0)
            return *path ? -ENOENT : 0;
        if (e->type != XEN_HYPFS_TYPE_DIR || !find_in(e->dir, path, len, e))
            return -ENOENT;
        path += len;
    }
    return 0;
}

/* ---- Reading ---- */

static struct xen_hypfs_direntry describe(const struct entry *e, unsigned int size)
{
    return (struct xen_hypfs_direntry){
        .type = e->type,
        .encoding = XEN_HYPFS_ENC_PLAIN,
        .content_len = size,
        .max_write_len = e->param ? e->param->len : 0,
    };
}

/* Bytes that e takes up in the list of its directory. */
static unsigned int listed_size(const struct entry *e)
{
    return (unsigned int)ROUNDUP(offsetof(struct xen_hypfs_dirlistentry, name) + strlen(e->name) + 1,
                                 __alignof__(struct xen_hypfs_direntry));
}

static unsigned int list_size(enum directory dir)
{
    unsigned int cursor = 0, size = 0;
    struct entry e;

    while (next_entry(dir, &cursor, &e))
        size += listed_size(&e);
    return size;
}

/* Writes the list of dir to the size bytes at out. CPU pools may come and go meanwhile: what no longer fits is left out. */
static int write_list(enum directory dir, guest_ptr_t out, unsigned int size)
{
    unsigned int cursor = 0, len;
    struct entry e, next;
    bool more = next_entry(dir, &cursor, &e) && listed_size(&e) <= size;

    for (; more; out += len, size -= len, e = next) {
        char buffer[sizeof(struct xen_hypfs_dirlistentry) + NAME_SIZE] __aligned(8) = { 0 };
        struct xen_hypfs_dirlistentry *listed = (void *)buffer;

        len = listed_size(&e);
        more = next_entry(dir, &cursor, &next) && listed_size(&next) <= size - len;
        listed->e = describe(&e, e.dir ? list_size(e.dir) : e.size);
        listed->off_next = more ? (u16)len : 0;
        strlcpy(listed->name, e.name, NAME_SIZE);
        if (copy_to_guest((void *)out, listed, len))
            return -EFAULT;
    }
    return 0;
}

static long read_entry(const struct entry *e, guest_ptr_t buffer, unsigned long size)
{
    struct xen_hypfs_direntry head = describe(e, e->dir ? list_size(e->dir) : e->size);

    if (size < sizeof(head))
        return -EINVAL;
    if (copy_to_guest((void *)buffer, &head, sizeof(head)))
        return -EFAULT;
    if (size - sizeof(head) < head.content_len)
        return -ENOBUFS;
    buffer += sizeof(head);
    if (e->dir)
        return write_list(e->dir, buffer, head.content_len);
    return copy_to_guest((void *)buffer, e->content, e->size);
}

/* ---- Writing ---- */

static long write_entry(const struct entry *e, guest_ptr_t buffer, unsigned long size)
{
    char value[VALUE_SIZE];

    if (!e->param)
        return -EACCES;
    if (size > min(e->param->len, (u32)VALUE_SIZE))
        return -ENOSPC;
    if (size == 0 || (e->type == XEN_HYPFS_TYPE_BOOL && size != e->size))
        return -EDOM;
    if (copy_from_guest(value, (const void *)buffer, size))
        return -EFAULT;
    if (e->type == XEN_HYPFS_TYPE_BOOL)
        return param_assign(e->param, value[0] ? "yes" : "no") ? 0 : -EINVAL;
    if (memchr(value, 0, size) != value + size - 1)
        return -EDOM;
    return param_assign(e->param, value) ? 0 : -EINVAL;
}

/*
 * cmd: XEN_HYPFS_OP_*. path: path_len bytes with the zero at the end; buffer: size bytes. Errors as <xen/hypfs.h>
 * names them; -EPERM for all but the control domain, -ENOENT, -EACCES (not to be written), -ENOSPC (too long).
 */
long do_hypfs_op(unsigned int cmd, guest_ptr_t path, unsigned long path_len, guest_ptr_t buffer, unsigned long size)
{
    char text[XEN_HYPFS_MAX_PATHLEN];
    struct entry e;
    int rc;

    if (!current->domain->is_privileged)
        return -EPERM;
    if (cmd == XEN_HYPFS_OP_get_version)
        return path || path_len || buffer || size ? -EINVAL : XEN_HYPFS_VERSION;
    if (cmd != XEN_HYPFS_OP_read && cmd != XEN_HYPFS_OP_write_contents)
        return -EOPNOTSUPP;
    rc = read_path(text, path, path_len);
    if (!rc)
        rc = find_path(text, &e);
    if (rc)
        return rc;
    return cmd == XEN_HYPFS_OP_read ? read_entry(&e, buffer, size) : write_entry(&e, buffer, size);
}
