/* SPDX-License-Identifier: MIT */
/* Per-CPU variables: one copy of the section .data.percpu for each CPU. */
#include <domus/errno.h>
#include <domus/heap.h>
#include <domus/percpu.h>
#include <domus/string.h>

extern char __percpu_start[], __percpu_end[], __percpu_template[];

/* Adding this to any address of the image gives one that is not canonical. */
#define NO_CPU_OFFSET 0x7000000000000000UL

unsigned long per_cpu_offset[NR_CPUS] = { [1 ... NR_CPUS - 1] = NO_CPU_OFFSET };

void percpu_init_boot(void)
{
    memcpy(__percpu_template, __percpu_start, (size_t)(__percpu_end - __percpu_start));
}

int percpu_init_cpu(unsigned int cpu)
{
    size_t size = (size_t)(__percpu_end - __percpu_start);
    void *area = alloc_heap_pages(get_order_from_bytes(size), 0);

    if (!area)
        return -ENOMEM;
    memcpy(area, __percpu_template, size);
    per_cpu_offset[cpu] = (unsigned long)area - (unsigned long)__percpu_start;
    return 0;
}
