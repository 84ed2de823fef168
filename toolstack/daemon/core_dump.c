/* SPDX-License-Identifier: MIT */
/*
 * The daemon's side of writing core files: processes, their results, and where cores of crashed guests go.
 */
#include "core_dump.h"

#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "child.h"
#include "lib/alloc.h"
#include "lib/log.h"

#define CORES_KEPT 3

struct core_dump {
    struct child *child;
    char *path;
    core_dump_fn done;
    void *context;
};

/* What a writer leaves that is killed. */
static void remove_part(const char *path)
{
    char *part = xasprintf("%s.part", path);

    unlink(part);
    free(part);
}

static void on_written(void *context, int status, const char *output)
{
    struct core_dump *dump = context;
    json_t *result = json_loads(output, 0, NULL);
    struct failure failure;

    if (json_is_true(json_object_get(result, "ok"))) {
        dump->done(dump->context, json_integer_value(json_object_get(result, "size")), NULL);
    } else {
        if (result) {
            failure_from_reply(&failure, result);
        } else {
            remove_part(dump->path);
            failure_what(&failure, "cannot write the core file %s", dump->path);
            failure_why(&failure, WIFSIGNALED(status) ? "its writer was ended by signal %d" : "its writer failed",
                        WTERMSIG(status));
            failure_remedy(&failure, "try again");
        }
        dump->done(dump->context, 0, &failure);
    }
    json_decref(result);
    free(dump->path);
    free(dump);
}

struct core_dump *core_dump_start(uint32_t domid, const char *path, core_dump_fn done, void *context,
                                  struct failure *failure)
{
    struct core_dump *dump = xcalloc(1, sizeof(*dump));
    char number[16];
    char *argv[] = { "/proc/self/exe", "--dump", number, (char *)path, NULL };

    snprintf(number, sizeof(number), "%u", domid);
    dump->path = xstrdup(path);
    dump->done = done;
    dump->context = context;
    dump->child = child_start(argv, "", true, on_written, dump);
    if (dump->child)
        return dump;
    failure_what(failure, "cannot write the core file %s", path);
    failure_why(failure, "no process for it: %s", strerror(errno));
    failure_remedy(failure, "free memory or processes in dom0");
    free(dump->path);
    free(dump);
    return NULL;
}

void core_dump_cancel(struct core_dump *dump)
{
    child_terminate(dump->child);
}

/* --- cores of crashed guests ------------------------------------------------------------------------------------- */

/* Whether a file name is NAME-yyyymmddThhmmssZ.core. */
static bool is_core_of(const char *file, const char *name)
{
    const char *rest = file + strlen(name);

    return !strncmp(file, name, strlen(name)) && strlen(rest) == strlen("-20260102T030405Z.core") && rest[0] == '-' &&
           rest[9] == 'T' && !strcmp(rest + 16, "Z.core");
}

/* Remove the oldest core of that name if there are `most` or more. Returns whether there may be another. */
static bool remove_oldest(const char *name, int most)
{
    DIR *directory = opendir(DUMP_DIR);
    struct dirent *entry;
    char *oldest = NULL, *path;
    int count = 0;

    while (directory && (entry = readdir(directory))) {
        if (!is_core_of(entry->d_name, name))
            continue;
        count++;
        /* The date stands in the name, so that their order is that of time. */
        if (!oldest || strcmp(entry->d_name, oldest) < 0) {
            free(oldest);
            oldest = xstrdup(entry->d_name);
        }
    }
    if (directory)
        closedir(directory);
    if (count >= most) {
        path = xasprintf("%s/%s", DUMP_DIR, oldest);
        log_info("the old core file %s is removed", path);
        if (unlink(path) < 0)
            log_warn("cannot remove %s: %s", path, strerror(errno));
        free(path);
    }
    free(oldest);
    return count > most;
}

void core_dumps_recover(void)
{
    DIR *directory = opendir(DUMP_DIR);
    struct dirent *entry;

    while (directory && (entry = readdir(directory))) {
        size_t length = strlen(entry->d_name), suffix = strlen(".core.part");

        if (length > suffix && !strcmp(entry->d_name + length - suffix, ".core.part"))
            unlinkat(dirfd(directory), entry->d_name, 0);
    }
    if (directory)
        closedir(directory);
}

char *core_dump_path(const char *name)
{
    time_t now = time(NULL);
    char date[24];
    struct tm tm;

    if ((mkdir("/var/lib/domus", 0711) < 0 && errno != EEXIST) || (mkdir(DUMP_DIR, 0700) < 0 && errno != EEXIST))
        log_warn("cannot make " DUMP_DIR ": %s", strerror(errno));
    for (int i = 0; i < 100 && remove_oldest(name, CORES_KEPT); i++)
        ;
    gmtime_r(&now, &tm);
    strftime(date, sizeof(date), "%Y%m%dT%H%M%SZ", &tm);
    return xasprintf("%s/%s-%s.core", DUMP_DIR, name, date);
}
