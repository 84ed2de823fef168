/* SPDX-License-Identifier: MIT */
/*
 * Child processes in the event loop.
 */
#include "child.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/queue.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon.h"
#include "lib/alloc.h"
#include "lib/log.h"

/* More than any result is long. */
#define OUTPUT_LIMIT (1U << 20)

struct child {
    LIST_ENTRY(child) link;
    pid_t pid;
    int status;
    bool ended;             /* the process has */
    struct bufferevent *in; /* NULL: all is written */
    struct bufferevent *out; /* NULL: at its end */
    struct evbuffer *output;
    child_fn done;
    void *context;
};

static LIST_HEAD(, child) children = LIST_HEAD_INITIALIZER(children);

static void finish_if_over(struct child *child)
{
    if (!child->ended || child->out)
        return;
    LIST_REMOVE(child, link);
    evbuffer_add(child->output, "", 1);
    child->done(child->context, child->status, (const char *)evbuffer_pullup(child->output, -1));
    evbuffer_free(child->output);
    if (child->in)
        bufferevent_free(child->in);
    free(child);
}

static void on_signal(int fd, short what, void *context)
{
    struct child *child, *next;

    (void)fd;
    (void)what;
    (void)context;
    for (child = LIST_FIRST(&children); child; child = next) {
        next = LIST_NEXT(child, link);
        if (!child->ended && waitpid(child->pid, &child->status, WNOHANG) == child->pid) {
            child->ended = true;
            finish_if_over(child);
        }
    }
}

void children_init(void)
{
    event_add(evsignal_new(main_loop, SIGCHLD, on_signal, NULL), NULL);
}

static void on_output(struct bufferevent *out, void *context)
{
    struct child *child = context;

    evbuffer_add_buffer(child->output, bufferevent_get_input(out));
    if (evbuffer_get_length(child->output) > OUTPUT_LIMIT)
        evbuffer_drain(child->output, evbuffer_get_length(child->output));
}

static void on_output_end(struct bufferevent *out, short what, void *context)
{
    struct child *child = context;

    (void)what;
    on_output(out, child);
    bufferevent_free(out);
    child->out = NULL;
    finish_if_over(child);
}

static void on_input_written(struct bufferevent *in, void *context)
{
    struct child *child = context;

    bufferevent_free(in);
    child->in = NULL;
}

static void on_input_error(struct bufferevent *in, short what, void *context)
{
    (void)what;
    on_input_written(in, context);
}

/* In the new process, which has the daemon's memory until it runs its program: it must change nothing there. */
static void run(char *const argv[], int in, int out, bool dies_with_us, pid_t parent)
{
    sigset_t none;

    if (dies_with_us) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(127);
    }
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    dup2(in, STDIN_FILENO);
    dup2(out, STDOUT_FILENO);
    execvp(argv[0], argv);
    log_error("cannot run %s: %s", argv[0], strerror(errno));
    _exit(127);
}

struct child *child_start(char *const argv[], const char *input, bool dies_with_us, child_fn ended, void *context)
{
    int in[2], out[2];
    struct child *child;
    pid_t pid, parent = getpid();

    if (pipe2(in, O_CLOEXEC) < 0)
        return NULL;
    if (pipe2(out, O_CLOEXEC) < 0) {
        close(in[0]);
        close(in[1]);
        return NULL;
    }
    /* Not fork, which would copy the page tables of all that the daemon keeps for its domains. */
    pid = vfork();
    if (pid == 0)
        run(argv, in[0], out[1], dies_with_us, parent);
    close(in[0]);
    close(out[1]);
    if (pid < 0) {
        int saved = errno;

        close(in[1]);
        close(out[0]);
        errno = saved;
        return NULL;
    }
    child = xcalloc(1, sizeof(*child));
    child->pid = pid;
    child->done = ended;
    child->context = context;
    child->output = evbuffer_new();
    evutil_make_socket_nonblocking(in[1]);
    evutil_make_socket_nonblocking(out[0]);
    child->in = bufferevent_socket_new(main_loop, in[1], BEV_OPT_CLOSE_ON_FREE);
    child->out = bufferevent_socket_new(main_loop, out[0], BEV_OPT_CLOSE_ON_FREE);
    bufferevent_setcb(child->in, NULL, on_input_written, on_input_error, child);
    bufferevent_setcb(child->out, on_output, NULL, on_output_end, child);
    bufferevent_enable(child->out, EV_READ);
    bufferevent_write(child->in, input, strlen(input));
    LIST_INSERT_HEAD(&children, child, link);
    return child;
}

void child_terminate(struct child *child)
{
    if (!child->ended)
        kill(child->pid, SIGTERM);
}
