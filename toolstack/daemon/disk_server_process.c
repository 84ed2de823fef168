/* SPDX-License-Identifier: MIT */
/*
 * Processes of qemu-nbd: see disk_server_process.h. They are given their listening socket as by systemd's protocol
 * (sd_listen_fds(3)), so that whoever connects need not wait for them, and end with their only client.
 */
#include "disk_server_process.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon.h"
#include "lib/alloc.h"
#include "lib/log.h"

#define PROGRAM "qemu-nbd"
#define FIRST_LISTENER 3 /* SD_LISTEN_FDS_START */

bool server_program_there(void)
{
    const char *folders[] = { "/usr/bin/" PROGRAM, "/usr/sbin/" PROGRAM, "/usr/local/bin/" PROGRAM, "/bin/" PROGRAM };

    for (size_t i = 0; i < sizeof(folders) / sizeof(folders[0]); i++)
        if (access(folders[i], X_OK) == 0)
            return true;
    return false;
}

int server_listen(const char *path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd;

    if (strlen(path) >= sizeof(address.sun_path)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    strcpy(address.sun_path, path);
    unlink(path);
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 1) < 0)) {
        int error = errno;

        close(fd);
        errno = error;
        fd = -1;
    }
    return fd;
}

/* Past dom0's cache, where the file system can: the guest caches anyway. Flushes are honoured in both modes. */
static const char *cache_mode(const char *image)
{
    int fd = open(image, O_RDONLY | O_DIRECT | O_CLOEXEC);

    if (fd < 0)
        return "--cache=writeback";
    close(fd);
    return "--cache=none";
}

/* In the new process. `go` tells that its record is written: without one nobody would ever end it. */
static void run(const struct server *server, int listener, int go)
{
    char *format = xasprintf("--format=%s", server->format), *pid = xasprintf("%d", (int)getpid()), ready;
    char *argv[] = {
        PROGRAM, format, (char *)cache_mode(server->target), "--discard=unmap",
        server->writable ? "--shared=1" : "--read-only", "--", server->target, NULL,
    };
    sigset_t none;

    setsid();
    if (read(go, &ready, 1) != 1)
        _exit(127);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    setenv("LISTEN_FDS", "1", true);
    setenv("LISTEN_PID", pid, true);
    if (listener == FIRST_LISTENER)
        fcntl(listener, F_SETFD, 0);
    else
        dup2(listener, FIRST_LISTENER);
    execvp(argv[0], argv);
    log_error("cannot run " PROGRAM ": %s", strerror(errno));
    _exit(127);
}

/* Be told of the end of the process. */
static bool follow(struct server *server, event_callback_fn ended)
{
    struct server_process *process = &server->process;

    process->pidfd = syscall(SYS_pidfd_open, process->pid, 0);
    if (process->pidfd < 0) {
        process->pid = 0;
        return false;
    }
    process->end = event_new(main_loop, process->pidfd, EV_READ, ended, server);
    event_add(process->end, NULL);
    return true;
}

bool server_process_start(struct server *server, int listener, event_callback_fn ended)
{
    int go[2], error;
    pid_t pid;
    bool good;

    if (pipe2(go, O_CLOEXEC) < 0)
        return false;
    pid = fork();
    if (pid == 0) {
        close(go[1]);
        run(server, listener, go[0]);
    }
    server->process.pid = pid > 0 ? pid : 0;
    good = pid > 0 && follow(server, ended);
    error = errno;
    close(go[0]);
    if (good)
        server_record_write(server);
    if (good && write(go[1], "", 1) != 1)
        log_error("the process of " PROGRAM " has gone before it began");
    close(go[1]);
    /* One that was not told to begin ends at once. */
    if (pid > 0 && !good)
        waitpid(pid, NULL, 0);
    errno = error;
    return good;
}

/* Whether a process is a server of this image: numbers of processes come round again. */
static bool serves(pid_t pid, const char *target)
{
    char path[32], line[8192];
    size_t length, target_length = strlen(target);
    FILE *file;

    snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)pid);
    file = fopen(path, "re");
    if (!file)
        return false;
    length = fread(line, 1, sizeof(line), file);
    fclose(file);
    return length > sizeof(PROGRAM) + target_length + 1 && !memcmp(line, PROGRAM, sizeof(PROGRAM)) &&
           !memcmp(line + length - target_length - 1, target, target_length + 1);
}

bool server_process_adopt(struct server *server, event_callback_fn ended)
{
    if (server->process.pid && serves(server->process.pid, server->target))
        return follow(server, ended);
    server->process.pid = 0;
    return false;
}

int server_process_end(struct server_process *process)
{
    int status = 0;

    waitpid(process->pid, &status, WNOHANG);
    event_free(process->end);
    close(process->pidfd);
    *process = (struct server_process){ .pid = 0 };
    return status;
}
