/* SPDX-License-Identifier: MIT */
/*
 * Starts a command twenty times by vfork and exec, as daemons do, and says how many nanoseconds it took each time until
 * it had ended: instructions under QEMU's -icount. A shell, which forks, would add as much again of its own.
 */
#include <err.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/wait.h>
#include <time.h>

#define TIMES 20

extern char **environ;

static long long now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

int main(int argc, char **argv)
{
    posix_spawn_file_actions_t actions;
    long long start = now();

    if (argc < 2)
        errx(2, "usage: spawn COMMAND...");
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
    for (int i = 0; i < TIMES; i++) {
        int status;
        pid_t pid;

        if (posix_spawnp(&pid, argv[1], &actions, NULL, argv + 1, environ) || waitpid(pid, &status, 0) < 0 || status)
            errx(1, "%s failed", argv[1]);
    }
    printf("%lld\n", (now() - start) / TIMES);
    return 0;
}
