/* SPDX-License-Identifier: MIT */
/*
 * A store as bytes: see describe.h.
 */
#include "describe.h"

#include <string.h>

#include "store/internal.h"

static void describe_node(void *context, const char *path, const struct node *node)
{
    bytes_put_string(context, path);
    bytes_put_blob(context, node->value, node->value_length);
    for (uint32_t i = 0; i < node->perm_count; i++) {
        bytes_put_u16(context, node->perms[i].domid);
        bytes_put_u8(context, node->perms[i].access);
    }
}

void describe_store(struct store *store, struct bytes *out)
{
    tree_walk(store->main.root, "/", describe_node, out);
    bytes_append(out, store->quota.limit, sizeof(store->quota.limit));
    for (uint16_t domid = 0; domid < DOMAINS; domid++) {
        const struct store_conn *conn = store->domains[domid];

        if (!conn)
            continue;
        bytes_put_u16(out, domid);
        bytes_put_u64(out, conn->frame);
        bytes_put_u32(out, conn->port);
        bytes_put_u32(out, conn->consumed);
        bytes_put_u32(out, conn->produced);
        bytes_put_u32(out, conn->dead);
        bytes_put_u32(out, conn->target);
        bytes_put_u32(out, conn->next_transaction);
        bytes_put_u32(out, conn->transaction_count);
        bytes_put_u32(out, conn->watch_count);
        bytes_put_u64(out, conn->watch_bytes);
        bytes_put_blob(out, bytes_front(&conn->in), bytes_length(&conn->in));
    }
}
