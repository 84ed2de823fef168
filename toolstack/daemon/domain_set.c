/* SPDX-License-Identifier: MIT */
/*
 * All domains of the host at one moment.
 */
#include "domain_set.h"

#include <stdlib.h>
#include <string.h>

#include "lib/alloc.h"

/* As many as fit in one page, of which the hypercalls' buffers are kept. */
#define BATCH ((int)(HV_PAGE_SIZE / sizeof(struct xen_domctl_getdomaininfo)))

void domain_set_free(struct domain_set *set)
{
    free(set->list);
    memset(set, 0, sizeof(*set));
}

int domain_set_read(struct domain_set *set)
{
    uint32_t first = 0;
    int got;

    memset(set, 0, sizeof(*set));
    do {
        set->list = xrealloc(set->list, (set->count + BATCH) * sizeof(*set->list));
        got = hv_domain_list(first, BATCH, set->list + set->count);
        if (got < 0) {
            domain_set_free(set);
            return got;
        }
        set->count += got;
        first = got ? set->list[set->count - 1].domain + 1 : 0;
    } while (got == BATCH);
    return 0;
}

const struct xen_domctl_getdomaininfo *domain_set_find(const struct domain_set *set, uint32_t domid)
{
    int low = 0, high = set->count;

    while (low < high) {
        int middle = (low + high) / 2;

        if (set->list[middle].domain == domid)
            return &set->list[middle];
        if (set->list[middle].domain < domid)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}
