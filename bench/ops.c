/* SPDX-License-Identifier: MIT */
/*
 * Times dom0's everyday operations: one line each, "name nanoseconds". Under QEMU's -icount shift=0 a
 * nanosecond is an instruction.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAGE 4096

static uint64_t now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static char *volatile page;
static volatile sig_atomic_t signals;

static void count_signal(int sig)
{
    (void)sig;
    signals++;
}

static void open_page(int sig)
{
    (void)sig;
    mprotect(page, PAGE, PROT_READ | PROT_WRITE);
}

static void op_syscall(void) { syscall(SYS_getppid); }
static void op_yield(void) { sched_yield(); }
static int zero_fd;
static void op_read(void)
{
    char byte;

    if (read(zero_fd, &byte, 1) != 1)
        abort();
}
static void op_signal(void) { kill(getpid(), SIGUSR1); }
static void op_prot_fault(void)
{
    mprotect(page, PAGE, PROT_READ);
    *page = 1;
}

#define ANON_PAGES 256
static void anon_pages(unsigned int n)
{
    char *p = mmap(NULL, ANON_PAGES * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    for (unsigned int i = 0; i < n; i++)
        p[i * PAGE] = 1;
    munmap(p, ANON_PAGES * PAGE);
}

static void op_mmap(void)
{
    void *p = mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);

    munmap(p, 1 << 20);
}

static int to_child[2], to_parent[2];
static void op_pipe(void)
{
    char byte = 1;

    if (write(to_child[1], &byte, 1) != 1 || read(to_parent[0], &byte, 1) != 1)
        abort();
}

static void op_fork(void)
{
    pid_t pid = fork();

    if (pid == 0)
        _exit(0);
    waitpid(pid, NULL, 0);
}

static const char *self;
static void op_vfork_exec(void)
{
    pid_t pid = vfork();

    if (pid == 0) {
        execl(self, self, "exit", (char *)NULL);
        _exit(1);
    }
    waitpid(pid, NULL, 0);
}

static void measure(const char *name, void (*op)(void), unsigned int times)
{
    uint64_t start;

    for (unsigned int i = 0; i < times / 10 + 1; i++)
        op();
    start = now();
    for (unsigned int i = 0; i < times; i++)
        op();
    printf("BENCH %s %llu\n", name, (unsigned long long)((now() - start) / times));
    fflush(stdout);
}

static void measure_anon_fault(void)
{
    uint64_t one, all;
    unsigned int i;

    anon_pages(ANON_PAGES);
    one = now();
    for (i = 0; i < 20; i++)
        anon_pages(1);
    one = now() - one;
    all = now();
    for (i = 0; i < 20; i++)
        anon_pages(ANON_PAGES);
    all = now() - all;
    printf("BENCH anonymous-page-fault %llu\n", (unsigned long long)((all - one) / 20 / (ANON_PAGES - 1)));
}

static void start_echo(void)
{
    char byte;

    if (pipe(to_child) || pipe(to_parent))
        abort();
    if (fork() != 0)
        return;
    close(to_child[1]);
    while (read(to_child[0], &byte, 1) == 1) {
        if (write(to_parent[1], &byte, 1) != 1)
            break;
    }
    _exit(0);
}

int main(int argc, char **argv)
{
    struct sigaction action = { .sa_handler = count_signal };

    if (argc > 1 && strcmp(argv[1], "exit") == 0)
        return 0;
    self = argv[0];
    zero_fd = open("/dev/zero", O_RDONLY);
    sigaction(SIGUSR1, &action, NULL);
    action.sa_handler = open_page;
    sigaction(SIGSEGV, &action, NULL);
    page = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    *page = 1;

    measure("null-system-call", op_syscall, 2000);
    measure("sched_yield", op_yield, 2000);
    measure("read-dev-zero", op_read, 2000);
    measure("signal-delivery", op_signal, 1000);
    measure("protection-fault-signal-mprotect", op_prot_fault, 500);
    measure_anon_fault();
    measure("mmap-1MiB-populated-munmap", op_mmap, 30);
    start_echo();
    measure("pipe-round-trip", op_pipe, 500);
    measure("fork-exit-wait", op_fork, 50);
    measure("vfork-exec-exit", op_vfork_exec, 50);
    return 0;
}
