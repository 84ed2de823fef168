/* SPDX-License-Identifier: MIT */
/* Exception table: where execution goes on after an instruction that was expected to fault. */
#include <domus/lib.h>
#include <asm/extable.h>

struct ex_entry {
    unsigned long rip, fixup;
};

/* Sorted in place at boot, while the image is still writable. */
extern struct ex_entry __start_ex_table[], __stop_ex_table[];

static void sift_down(struct ex_entry *heap, size_t root, size_t nr)
{
    for (size_t child; (child = 2 * root + 1) < nr; root = child) {
        struct ex_entry tmp = heap[root];

        if (child + 1 < nr && heap[child].rip < heap[child + 1].rip)
            child++;
        if (tmp.rip >= heap[child].rip)
            return;
        heap[root] = heap[child];
        heap[child] = tmp;
    }
}

void __init sort_exception_table(void)
{
    struct ex_entry *table = __start_ex_table;
    size_t nr = (size_t)(__stop_ex_table - __start_ex_table);

    for (size_t i = nr / 2; i-- > 0;)
        sift_down(table, i, nr);
    for (size_t i = nr; i-- > 1;) {
        struct ex_entry largest = table[0];

        table[0] = table[i];
        table[i] = largest;
        sift_down(table, 0, i);
    }
}

unsigned long search_exception_table(unsigned long rip)
{
    const struct ex_entry *low = __start_ex_table, *high = __stop_ex_table;

    while (low < high) {
        const struct ex_entry *mid = low + (high - low) / 2;

        if (mid->rip == rip)
            return mid->fixup;
        if (mid->rip < rip)
            low = mid + 1;
        else
            high = mid;
    }
    return 0;
}
