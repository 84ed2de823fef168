/* SPDX-License-Identifier: MIT */
/* The fake machine: memory, CPUs, messages. */
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include <asm/current.h>
#include <asm/flushtlb.h>
#include <asm/processor.h>
#include <domus/arch.h>
#include <domus/console.h>
#include <domus/param.h>
#include <domus/string.h>
#include <host.h>

_Thread_local bool host_irqs_on = true;
_Thread_local struct vcpu *host_current;
_Thread_local unsigned int host_cpu;

struct page_info *host_frame_table;
char *host_ram;
unsigned long max_page;

u32 host_tlb_clock = 1, host_tlb_flushed_at;
unsigned int host_tlb_flushes;

char host_log[4096];
static size_t log_len;

static void *reserve(size_t bytes)
{
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    if (p == MAP_FAILED) {
        perror("mmap");
        abort();
    }
    return p;
}

/* The address of frame 0 is aligned as large as any chunk, like a direct map. */
void host_machine_create(unsigned long max)
{
    max_page = max;
    host_ram = reserve(max << PAGE_SHIFT);
    host_frame_table = reserve(max * sizeof(struct page_info));
    __cpumask_set_cpu(0, &cpu_online_map);
    lock_checks_enable(true);
}

void host_machine_destroy(void)
{
    munmap(host_ram, max_page << PAGE_SHIFT);
    munmap(host_frame_table, max_page * sizeof(struct page_info));
    max_page = 0;
}

/* ---- TLB ---- */

void tlbflush_filter(cpumask_t *mask, u32 stamp)
{
    if ((s32)(host_tlb_flushed_at - stamp) >= 0)
        cpumask_clear(mask);
}

void flush_tlb_mask(const cpumask_t *mask __unused)
{
    host_tlb_flushed_at = ++host_tlb_clock;
    host_tlb_flushes++;
}

/* ---- Traces ---- */

void arch_trace_changed(void)
{
}

/* ---- Messages ---- */

void console_puts(const char *s, size_t len)
{
    size_t n = min(len, sizeof(host_log) - 1 - log_len);

    memcpy(host_log + log_len, s, n);
    log_len += n;
    host_log[log_len] = '\0';
}

void host_log_clear(void)
{
    log_len = 0;
    host_log[0] = '\0';
}

void panic(const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    abort();
}

void dump_stack(void)
{
}
