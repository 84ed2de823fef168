/* SPDX-License-Identifier: MIT */
/*
 * Permissions: who may read, write and own what.
 */
#include "internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint8_t access_of(uint16_t domid, const struct perm *perms, unsigned int count)
{
    if (perms[0].domid == domid)
        return PERM_READ | PERM_WRITE;
    for (unsigned int i = 1; i < count; i++)
        if (perms[i].domid == domid)
            return perms[i].access;
    return perms[0].access;
}

uint8_t perms_access(const struct store_conn *conn, const struct perm *perms, unsigned int count)
{
    uint8_t access;

    if (conn_privileged(conn))
        return PERM_READ | PERM_WRITE;
    access = access_of(conn->domid, perms, count);
    if (conn->target >= 0)
        access |= access_of(conn->target, perms, count);
    return access;
}

bool perms_owner(const struct store_conn *conn, const struct perm *perms)
{
    return conn_privileged(conn) || perms[0].domid == conn->domid ||
           (conn->target >= 0 && perms[0].domid == conn->target);
}

int node_for(const struct store_conn *conn, struct node *root, const char *path, uint8_t access, struct node **node)
{
    struct node *nearest;
    unsigned int depth;

    *node = tree_find(root, path);
    nearest = *node ? *node : tree_nearest(root, path, &depth);
    if ((perms_access(conn, nearest->perms, nearest->perm_count) & access) != access)
        return -EACCES;
    return *node ? 0 : -ENOENT;
}

bool path_readable(const struct store_conn *conn, struct node *root, const char *path)
{
    unsigned int depth;
    struct node *nearest = tree_nearest(root, path, &depth);

    return perms_access(conn, nearest->perms, nearest->perm_count) & PERM_READ;
}

int perm_parse(const char *text, struct perm *perm)
{
    static const char letters[] = "nrwb";
    const char *letter = text[0] ? strchr(letters, text[0]) : NULL;
    unsigned long domid;
    char *end;

    if (!letter || text[1] < '0' || text[1] > '9')
        return -EINVAL;
    domid = strtoul(text + 1, &end, 10);
    if (*end)
        return -EINVAL;
    if (domid >= DOMAINS)
        return -ENOENT;
    perm->access = letter - letters; /* the letters stand in the order of the bits */
    perm->domid = domid;
    return 0;
}

void perm_format(const struct perm *perm, char *text)
{
    snprintf(text, 8, "%c%u", "nrwb"[perm->access & 3], perm->domid);
}
