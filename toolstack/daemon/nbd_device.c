/* SPDX-License-Identifier: MIT */
/*
 * The kernel's NBD devices: see nbd_device.h. They are seen in sysfs, and set up by generic netlink (linux/nbd-
 * netlink.h).
 */
#include "nbd_device.h"

#include <errno.h>
#include <fcntl.h>
#include <libmnl/libmnl.h>
#include <linux/genetlink.h>
#include <linux/nbd-netlink.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "lib/alloc.h"
#include "nbd_handshake.h"

#define SECTOR_SIZE 512
/* What a process for one step may take. */
#define STEP_TIMEOUT_S 60
/*
 * After so long without an answer the kernel looks whether the request went to a server that has been replaced since,
 * and then repeats it. A server that is only slow is waited for, with a line in the kernel's log each time: hence not
 * much shorter.
 */
#define REPEAT_AFTER_MS 5000

/* --- in sysfs ---------------------------------------------------------------------------------------------------- */

static bool device_there(unsigned int device, const char *file)
{
    char path[64];

    snprintf(path, sizeof(path), "/sys/block/nbd%u/%s", device, file);
    return access(path, F_OK) == 0;
}

/* The line that a file of the device holds; false if it cannot be read. */
static bool read_line(unsigned int device, const char *name, char *line, int size)
{
    char path[64];
    FILE *file;
    bool good;

    snprintf(path, sizeof(path), "/sys/block/nbd%u/%s", device, name);
    file = fopen(path, "re");
    if (!file)
        return false;
    good = fgets(line, size, file) != NULL;
    fclose(file);
    if (good)
        line[strcspn(line, "\n")] = '\0';
    return good;
}

bool nbd_device_used(unsigned int device)
{
    return device_there(device, "pid");
}

bool nbd_device_is(unsigned int device, const char *name)
{
    char line[128];

    return nbd_device_used(device) && read_line(device, "backend", line, sizeof(line)) && !strcmp(line, name);
}

uint64_t nbd_device_size(unsigned int device)
{
    char line[32];

    return read_line(device, "size", line, sizeof(line)) ? strtoull(line, NULL, 10) * SECTOR_SIZE : 0;
}

bool nbd_device_node(unsigned int device, dev_t *node)
{
    unsigned int major_number, minor_number;
    char line[32];

    if (!read_line(device, "dev", line, sizeof(line)) || sscanf(line, "%u:%u", &major_number, &minor_number) != 2)
        return false;
    *node = makedev(major_number, minor_number);
    return true;
}

/* modprobe's own list tells of modules, without waiting for modprobe. */
bool nbd_known(void)
{
    char *path, *line = NULL;
    struct utsname host;
    bool known = false;
    size_t size = 0;
    FILE *list;

    if (access("/sys/module/nbd", F_OK) == 0)
        return true;
    if (uname(&host) < 0)
        return false;
    path = xasprintf("/lib/modules/%s/modules.dep", host.release);
    list = fopen(path, "re");
    free(path);
    while (list && !known && getline(&line, &size, list) > 0)
        known = strstr(line, "/nbd.ko") != NULL;
    if (list)
        fclose(list);
    free(line);
    return known;
}

/* --- requests to the kernel: 0 or -errno -------------------------------------------------------------------------- */

struct kernel {
    struct mnl_socket *socket;
    uint16_t family;
    unsigned int sequence;
    char request[1024];
};

static struct nlmsghdr *begin(struct kernel *kernel, uint16_t family, uint8_t command)
{
    struct nlmsghdr *header = mnl_nlmsg_put_header(kernel->request);
    struct genlmsghdr *generic;

    header->nlmsg_type = family;
    header->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
    header->nlmsg_seq = ++kernel->sequence;
    generic = mnl_nlmsg_put_extra_header(header, sizeof(*generic));
    generic->cmd = command;
    generic->version = NBD_GENL_VERSION;
    return header;
}

/* Send it and read what is answered up to the acknowledgement. */
static int finish(struct kernel *kernel, const struct nlmsghdr *header, mnl_cb_t answer)
{
    char answers[8192];
    int rc = MNL_CB_OK;

    if (mnl_socket_sendto(kernel->socket, header, header->nlmsg_len) < 0)
        return -errno;
    while (rc > MNL_CB_STOP) {
        ssize_t got = mnl_socket_recvfrom(kernel->socket, answers, sizeof(answers));

        if (got < 0)
            return -errno;
        rc = mnl_cb_run(answers, got, header->nlmsg_seq, mnl_socket_get_portid(kernel->socket), answer, kernel);
    }
    return rc < 0 ? -errno : 0;
}

static int on_family(const struct nlmsghdr *header, void *context)
{
    struct kernel *kernel = context;
    const struct nlattr *attribute;

    mnl_attr_for_each(attribute, header, sizeof(struct genlmsghdr)) {
        if (mnl_attr_get_type(attribute) == CTRL_ATTR_FAMILY_ID && mnl_attr_validate(attribute, MNL_TYPE_U16) >= 0)
            kernel->family = mnl_attr_get_u16(attribute);
    }
    return MNL_CB_OK;
}

/* The number of the family is the kernel's to choose. */
static int find_family(struct kernel *kernel)
{
    struct nlmsghdr *header = begin(kernel, GENL_ID_CTRL, CTRL_CMD_GETFAMILY);

    mnl_attr_put_strz(header, CTRL_ATTR_FAMILY_NAME, NBD_GENL_FAMILY_NAME);
    return finish(kernel, header, on_family);
}

static int open_kernel(struct kernel *kernel)
{
    *kernel = (struct kernel){ .sequence = time(NULL) };
    kernel->socket = mnl_socket_open2(NETLINK_GENERIC, SOCK_CLOEXEC);
    if (!kernel->socket || mnl_socket_bind(kernel->socket, 0, MNL_SOCKET_AUTOPID) < 0)
        return -errno;
    return find_family(kernel);
}

/* One that has a name is connected already: it is given another server, and the new size. */
static int connect_device(struct kernel *kernel, unsigned int device, const char *name, int fd,
                          const struct nbd_export *export)
{
    uint8_t command = nbd_device_is(device, name) ? NBD_CMD_RECONFIGURE : NBD_CMD_CONNECT;
    struct nlmsghdr *header = begin(kernel, kernel->family, command);
    struct nlattr *sockets, *item;

    mnl_attr_put_u32(header, NBD_ATTR_INDEX, device);
    mnl_attr_put_u64(header, NBD_ATTR_SIZE_BYTES, export->size);
    mnl_attr_put_u64(header, NBD_ATTR_BLOCK_SIZE_BYTES, SECTOR_SIZE);
    mnl_attr_put_u64(header, NBD_ATTR_SERVER_FLAGS, export->flags);
    mnl_attr_put_u64(header, NBD_ATTR_DEAD_CONN_TIMEOUT, NBD_DEAD_TIMEOUT_S);
    mnl_attr_put_strz(header, NBD_ATTR_BACKEND_IDENTIFIER, name);
    sockets = mnl_attr_nest_start(header, NBD_ATTR_SOCKETS);
    item = mnl_attr_nest_start(header, NBD_SOCK_ITEM);
    mnl_attr_put_u32(header, NBD_SOCK_FD, fd);
    mnl_attr_nest_end(header, item);
    mnl_attr_nest_end(header, sockets);
    return finish(kernel, header, NULL);
}

static int disconnect_device(struct kernel *kernel, unsigned int device)
{
    struct nlmsghdr *header = begin(kernel, kernel->family, NBD_CMD_DISCONNECT);

    mnl_attr_put_u32(header, NBD_ATTR_INDEX, device);
    return finish(kernel, header, NULL);
}

/* --- steps: exit statuses ----------------------------------------------------------------------------------------- */

static int failed(const char *what, int error)
{
    printf("%s: %s", what, strerror(error));
    return 1;
}

static int connect_server(const char *path)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (strlen(path) >= sizeof(address.sun_path)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    strcpy(address.sun_path, path);
    return fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0 ? fd : -1;
}

static void set_repetition(unsigned int device)
{
    char path[64];
    int fd;

    snprintf(path, sizeof(path), "/sys/block/nbd%u/queue/io_timeout", device);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    /* Without it the kernel repeats such requests after half a minute. */
    if (fd < 0 || dprintf(fd, "%d", REPEAT_AFTER_MS) < 0)
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
    if (fd >= 0)
        close(fd);
}

static int step_connect(unsigned int device, const char *name, const char *path)
{
    struct nbd_export export;
    char why[NBD_WHY_SIZE];
    struct kernel kernel;
    int fd, rc;

    /* Its devices must not have partitions: those that a guest makes are not dom0's to look at. */
    if (access("/sys/module/nbd", F_OK) < 0 && system("modprobe -q nbd max_part=0") != 0)
        return failed("module nbd cannot be loaded", ENOENT);
    fd = connect_server(path);
    if (fd < 0)
        return failed("its socket", errno);
    if (nbd_handshake(fd, &export, why) < 0) {
        fputs(why, stdout);
        return 1;
    }
    rc = open_kernel(&kernel);
    if (rc == 0)
        rc = connect_device(&kernel, device, name, fd, &export);
    if (rc)
        return failed("the kernel does not take the connection", -rc);
    set_repetition(device);
    return 0;
}

static int step_disconnect(unsigned int device)
{
    struct kernel kernel;
    int rc = open_kernel(&kernel);

    if (rc == 0)
        rc = disconnect_device(&kernel, device);
    return rc == 0 ? 0 : failed("the kernel does not end the connection", -rc);
}

int nbd_main(const char *word, int count, char **arguments)
{
    alarm(STEP_TIMEOUT_S);
    if (!strcmp(word, "connect") && count == 3)
        return step_connect(strtoul(arguments[0], NULL, 10), arguments[1], arguments[2]);
    if (!strcmp(word, "disconnect") && count == 1)
        return step_disconnect(strtoul(arguments[0], NULL, 10));
    return 2;
}
