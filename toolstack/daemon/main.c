/* SPDX-License-Identifier: MIT */
/*
 * domusd: start, single instance, modules, and the event loop.
 */
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "api.h"
#include "child.h"
#include "core_dump.h"
#include "daemon.h"
#include "disk_server.h"
#include "domain_set.h"
#include "guest_store.h"
#include "lib/hypercall.h"
#include "lib/log.h"
#include "lifecycle.h"
#include "memory.h"
#include "nbd_device.h"
#include "ports.h"
#include "store_io.h"

#define LOCK_FILE RUN_DIR "/domusd.pid"
#define BOOT_FILE RUN_DIR "/boot"
#define LOG_FILE LOG_DIR "/domusd.log"

struct event_base *main_loop;

static const char usage[] =
    "usage: domusd [-d] [-v] [-a auto|on|off] [-q NAME=NUMBER]...\n"
    "Serves the store, the consoles and the life of all domains of this host.\n"
    "  -d, --daemon    go to the background once ready; log to " LOG_FILE "\n"
    "  -v, --verbose   log more\n"
    "  -a, --autoballoon auto|on|off\n"
    "                  whether dom0 gives up memory for new domains (auto: unless the hypervisor has dom0_mem=)\n"
    "  -q, --quota NAME=NUMBER\n"
    "                  what the store lets each guest use (xenstore-control quota lists the names)\n"
    "  -V, --version   say which version this is\n";

/* --- before the loop --------------------------------------------------------------------------------------------- */

static bool make_directories(void)
{
    static const struct {
        const char *path;
        mode_t mode;
    } directories[] = { { RUN_DIR, 0700 }, { LOG_DIR, 0700 } };

    for (size_t i = 0; i < sizeof(directories) / sizeof(directories[0]); i++) {
        if (mkdir(directories[i].path, directories[i].mode) < 0 && errno != EEXIST) {
            log_error("cannot make %s: %s", directories[i].path, strerror(errno));
            return false;
        }
    }
    return true;
}

/* One daemon a host. The lock goes with the process, however that ends. */
static bool take_lock(void)
{
    int fd = open(LOCK_FILE, O_RDWR | O_CREAT | O_CLOEXEC, 0644);

    if (fd < 0) {
        log_error("cannot open " LOCK_FILE ": %s", strerror(errno));
        return false;
    }
    if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
        log_error("another domusd runs already (it holds " LOCK_FILE ")");
        return false;
    }
    if (ftruncate(fd, 0) < 0 || dprintf(fd, "%d\n", getpid()) < 0)
        log_warn("cannot write " LOCK_FILE ": %s", strerror(errno));
    return true;
}

/* State from before the host's last start tells of domains that are long gone: forget it. */
static void forget_earlier_boots(void)
{
    char now[64] = "", then[64] = "";
    int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);

    if (fd < 0 || read(fd, now, sizeof(now) - 1) <= 0)
        log_warn("cannot read the kernel's boot id: %s", strerror(errno));
    if (fd >= 0)
        close(fd);
    fd = open(BOOT_FILE, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return;
    if (read(fd, then, sizeof(then) - 1) > 0 && strcmp(now, then)) {
        log_info("the host has started anew: earlier state is left out");
        if (system("rm -rf " RUN_DIR "/domains " RUN_DIR "/store") != 0)
            log_warn("earlier state cannot be removed");
    }
    if (pwrite(fd, now, strlen(now), 0) < 0)
        log_warn("cannot write " BOOT_FILE ": %s", strerror(errno));
    close(fd);
}

/* Load what of the kernel's modules is needed and not there. */
static void load_modules(void)
{
    static const struct {
        const char *module, *sign; /* of its being there */
    } modules[] = {
        { "xen-privcmd", "/dev/xen/privcmd" },
        { "xen-evtchn", "/dev/xen/evtchn" },
        { "xen-gntdev", "/dev/xen/gntdev" },
        { "xen-blkback", "/sys/bus/xen-backend/drivers/vbd" },
        { "xen-netback", "/sys/bus/xen-backend/drivers/vif" },
        { "loop", "/dev/loop-control" },
        { "bridge", "/sys/module/bridge" },
    };

    for (size_t i = 0; i < sizeof(modules) / sizeof(modules[0]); i++) {
        char command[64];

        if (access(modules[i].sign, F_OK) == 0)
            continue;
        snprintf(command, sizeof(command), "modprobe -q %s", modules[i].module);
        if (system(command) != 0)
            log_warn("module %s cannot be loaded", modules[i].module);
    }
}

/* A thousand domains are some thousand files. */
static void raise_file_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

/* --- the loop ---------------------------------------------------------------------------------------------------- */

/* The hypervisor says that the state of some domain has changed. */
static bool on_domain_event(void *context)
{
    struct domain_set set;

    (void)context;
    if (domain_set_read(&set) == 0) {
        store_check_domains(&set);
        lifecycle_check(&set);
    }
    domain_set_free(&set);
    return true;
}

static void on_stop(int fd, short what, void *context)
{
    (void)what;
    (void)context;
    log_info("ended by signal %d; domains run on", fd);
    event_base_loopbreak(main_loop);
}

static void start_signals(void)
{
    static const int stops[] = { SIGTERM, SIGINT };

    signal(SIGPIPE, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    for (size_t i = 0; i < sizeof(stops) / sizeof(stops[0]); i++)
        event_add(evsignal_new(main_loop, stops[i], on_stop, NULL), NULL);
    children_init();
}

/* Everything up to being ready to serve. */
static bool start(void)
{
    int rc;

    if (!make_directories() || !take_lock())
        return false;
    forget_earlier_boots();
    raise_file_limit();
    load_modules();
    rc = hv_open();
    if (rc) {
        log_error("cannot reach the hypervisor through /dev/xen/privcmd: %s; is this dom0?", strerror(-rc));
        return false;
    }
    main_loop = event_base_new();
    start_signals();
    rc = ports_open();
    if (rc) {
        log_error("cannot open /dev/xen/evtchn: %s", strerror(-rc));
        return false;
    }
    if (store_io_open())
        return false;
    guest_store_put_dom0();
    rc = port_bind_virq(VIRQ_DOM_EXC, on_domain_event, NULL);
    if (rc < 0) {
        log_error("cannot be told of domains that end: %s; does a xenstored run?", strerror(-rc));
        return false;
    }
    domains_load();
    core_dumps_recover();
    disk_servers_recover();
    lifecycle_recover();
    return api_open() == 0;
}

/* Leave the terminal; the parent ends when the child writes to the pipe, or dies. */
static int go_background(void)
{
    int ready[2], log, null;
    pid_t pid;
    char ok;

    if (!make_directories() || pipe2(ready, O_CLOEXEC) < 0)
        exit(1);
    log = open(LOG_FILE, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (log < 0 || null < 0) {
        log_error("cannot open " LOG_FILE ": %s", strerror(errno));
        exit(1);
    }
    pid = fork();
    if (pid < 0) {
        log_error("cannot start in the background: %s", strerror(errno));
        exit(1);
    }
    if (pid > 0) {
        close(ready[1]);
        if (read(ready[0], &ok, 1) == 1)
            _exit(0);
        log_error("domusd did not start: see " LOG_FILE);
        _exit(1);
    }
    setsid();
    dup2(null, STDIN_FILENO);
    dup2(null, STDOUT_FILENO);
    dup2(log, STDERR_FILENO);
    return ready[1];
}

static bool parse_autoballoon(const char *word)
{
    static const char *const words[] = {
        [AUTOBALLOON_AUTO] = "auto", [AUTOBALLOON_ON] = "on", [AUTOBALLOON_OFF] = "off",
    };

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (!strcmp(words[i], word)) {
            memory_autoballoon = i;
            return true;
        }
    }
    return false;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        { "daemon", no_argument, NULL, 'd' },  { "verbose", no_argument, NULL, 'v' },
        { "version", no_argument, NULL, 'V' }, { "help", no_argument, NULL, 'h' },
        { "reap", required_argument, NULL, 'r' }, { "dump", required_argument, NULL, 'D' },
        { "nbd", required_argument, NULL, 'N' }, { "autoballoon", required_argument, NULL, 'a' },
        { "quota", required_argument, NULL, 'q' },
        { NULL, 0, NULL, 0 },
    };
    bool background = false;
    int option, ready = -1;

    while ((option = getopt_long(argc, argv, "dvVha:q:", options, NULL)) != -1) {
        switch (option) {
        case 'd':
            background = true;
            break;
        case 'q':
            if (!store_io_quota(optarg)) {
                fprintf(stderr, "domusd: %s: not NAME=NUMBER of a quota of the store (nodes=1000, watches=128...)\n",
                        optarg);
                return 2;
            }
            break;
        case 'v':
            log_set_level(LOG_LEVEL_DEBUG);
            break;
        case 'V':
            puts("domusd " DOMUS_VERSION);
            return 0;
        case 'h':
            fputs(usage, stdout);
            return 0;
        case 'D':
            return optind < argc ? core_dump_main(strtoul(optarg, NULL, 10), argv[optind]) : 2;
        case 'N':
            return nbd_main(optarg, argc - optind, argv + optind);
        case 'a':
            if (!parse_autoballoon(optarg)) {
                fputs(usage, stderr);
                return 2;
            }
            break;
        case 'r':
            return lifecycle_reap(strtoul(optarg, NULL, 10));
        default:
            fputs(usage, stderr);
            return 2;
        }
    }
    if (optind < argc) {
        fputs(usage, stderr);
        return 2;
    }
    if (background)
        ready = go_background();
    if (!start())
        return 1;
    log_info("domusd " DOMUS_VERSION " is ready");
    if (ready >= 0) {
        if (write(ready, "", 1) < 0)
            log_warn("nobody waits for the start");
        close(ready);
    }
    event_base_dispatch(main_loop);
    return 0;
}
