/* SPDX-License-Identifier: MIT */
/*
 * Quotas: what an unprivileged domain may use, by name; and what is said when one of them refuses.
 */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

#include "lib/log.h"

/* Names are those of xenstored and xenstore-control. */
static const struct {
    const char *name, *meaning;
    unsigned int normal;
} quotas[QUOTA_COUNT] = {
    [QUOTA_NODES] = { "nodes", "Nodes per domain", 1000 },
    [QUOTA_WATCHES] = { "watches", "Watches per domain", 128 },
    [QUOTA_TRANSACTIONS] = { "transactions", "Transactions per domain", 10 },
    [QUOTA_TRANSACTION_NODES] = { "transaction-nodes", "Max. number of accessed nodes per transaction", 1024 },
    [QUOTA_MEMORY] = { "memory", "Total Xenstore memory per domain", 2621440 },
    [QUOTA_NODE_SIZE] = { "node-size", "Max. size of a node's value", 2048 },
    [QUOTA_PATH_MAX] = { "path-max", "Max. length of a node path", 2048 },
    [QUOTA_PERMISSIONS] = { "permissions", "Max. number of permissions per node", 5 },
};

void store_quota_defaults(struct store_quota *quota)
{
    for (int i = 0; i < QUOTA_COUNT; i++)
        quota->limit[i] = quotas[i].normal;
}

const char *quota_name(enum quota_kind kind)
{
    return quotas[kind].name;
}

const char *quota_meaning(enum quota_kind kind)
{
    return quotas[kind].meaning;
}

bool store_quota_set(struct store_quota *quota, const char *name, const char *value)
{
    unsigned long number;
    char *end;

    if (value[0] < '0' || value[0] > '9')
        return false;
    errno = 0;
    number = strtoul(value, &end, 10);
    if (*end || errno || number > INT32_MAX)
        return false;
    for (int i = 0; i < QUOTA_COUNT; i++) {
        if (!strcmp(quotas[i].name, name)) {
            quota->limit[i] = number;
            return true;
        }
    }
    return false;
}

int quota_refuse(struct store_conn *conn, enum quota_kind kind, const char *path)
{
    unsigned int times = ++conn->refusals[kind];

    /* A guest that tries again and again is told of ever more rarely. */
    if ((times & (times - 1)) == 0)
        log_warn("store: domain %u is refused %s: it has reached %s=%u (%s; refusal %u); a higher limit: domusd "
                 "--quota, xenstore-control quota set",
                 conn->domid, path, quotas[kind].name, conn->store->quota.limit[kind], quotas[kind].meaning, times);
    return kind == QUOTA_WATCHES ? -E2BIG : -ENOSPC;
}

uint64_t quota_memory(const struct store *store, uint16_t domid)
{
    const struct store_conn *conn = store->domains[domid];
    uint64_t bytes = store->usage[domid].bytes;

    if (conn)
        bytes += conn->watch_bytes + conn->transaction_bytes + bytes_length(&conn->out);
    return bytes;
}

bool quota_has_memory(const struct store_conn *conn, size_t more)
{
    return conn_privileged(conn) ||
           quota_memory(conn->store, conn->domid) + more <= conn->store->quota.limit[QUOTA_MEMORY];
}
