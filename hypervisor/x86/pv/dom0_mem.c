/* SPDX-License-Identifier: MIT */
/*
 * How much memory and how many vCPUs dom0 gets, by the command line and the machine, and the allocation of that memory.
 * Options: Xen's command-line document, dom0_mem, dom0_max_vcpus, dom0_vcpus_pin.
 */
#include <domus/cpumask.h>
#include <domus/domain.h>
#include <domus/heap.h>
#include <domus/param.h>
#include <domus/sched.h>
#include <domus/string.h>
#include <domus/xmalloc.h>
#include <asm/dom0.h>

/* ---- dom0_mem=[min:<amount>,][max:<amount>,][<amount>] ---- */

/* <size>, -<size> (all but that), <percent>%, or <size>+<percent>%. */
struct amount {
    bool set, negative;
    u64 bytes;
    unsigned long percent;
};

static struct amount dom0_size, dom0_min, dom0_max;

/* A size whose suffix defaults to K. */
static u64 parse_kib(const char *s, const char **end)
{
    u64 size = parse_size(s, end);

    return *end != s && isdigit_c((*end)[-1]) ? size << 10 : size;
}

static int parse_amount(const char *s, const char **end, struct amount *a)
{
    const char *p = s;
    char *after;

    *a = (struct amount){ .set = true };
    if (*p == '-') {
        a->negative = true;
        p++;
    }
    if (!isdigit_c(*p))
        return -EINVAL;
    a->percent = strtoul(p, &after, 10);
    if (*after != '%') {
        a->percent = 0;
        a->bytes = parse_kib(p, end);
        if (**end != '+')
            return 0;
        p = *end + 1;
        a->percent = strtoul(p, &after, 10);
        if (after == p || *after != '%')
            return -EINVAL;
    }
    *end = after + 1;
    return a->percent > 100 || a->negative ? -EINVAL : 0;
}

static int parse_dom0_mem(const char *s)
{
    struct amount size = dom0_size, low = dom0_min, high = dom0_max;

    for (;;) {
        struct amount *a = &size;
        int rc;

        if (strncmp(s, "min:", 4) == 0) {
            a = &low;
            s += 4;
        } else if (strncmp(s, "max:", 4) == 0) {
            a = &high;
            s += 4;
        }
        rc = parse_amount(s, &s, a);
        if (rc)
            return rc;
        if (*s == '\0')
            break;
        if (*s++ != ',')
            return -EINVAL;
    }
    /* All or nothing of it. */
    dom0_size = size;
    dom0_min = low;
    dom0_max = high;
    return 0;
}
PARAM_CUSTOM("dom0_mem", parse_dom0_mem);

static unsigned long amount_pages(const struct amount *a, unsigned long avail)
{
    unsigned long pages = (a->bytes >> PAGE_SHIFT) + avail / 100 * a->percent;

    if (!a->negative)
        return pages;
    return avail > pages ? avail - pages : 0;
}

/* Pages to allocate now, of avail that are free; *max_pages: the limit to which it may balloon. */
static unsigned long dom0_page_count(unsigned long avail, unsigned long *max_pages)
{
    unsigned long min_pages = dom0_min.set ? amount_pages(&dom0_min, avail) : 0;
    unsigned long nr;

    *max_pages = dom0_max.set ? amount_pages(&dom0_max, avail) : UINT32_MAX;
    if (dom0_size.set)
        nr = amount_pages(&dom0_size, avail);
    else    /* leave the hypervisor room for its own structures and for DMA buffers */
        nr = avail - min(avail / 16, MB(128) >> PAGE_SHIFT);
    nr = max(nr, min_pages);
    nr = min(nr, *max_pages);
    if (dom0_size.set && nr > avail)
        printk(LOG_WARN "dom0_mem= asks for %lu MiB, but only %lu MiB are free\n",
               nr >> (20 - PAGE_SHIFT), avail >> (20 - PAGE_SHIFT));
    return min(nr, avail);
}

/* ---- Allocation ---- */

#define MAX_CHUNKS 16384    /* 16 TiB in the heap's largest chunks take a quarter of them */

void dom0_memory_alloc(struct domain *d, struct dom0_memory *m)
{
    unsigned long max_pages, left = dom0_page_count(heap_free_pages_count(), &max_pages);
    unsigned int order = MAX_ORDER;

    m->d = d;
    m->nr_pages = 0;
    m->nr_chunks = 0;
    m->chunk = xmalloc_array(struct dom0_chunk, MAX_CHUNKS);
    if (!m->chunk)
        panic("There is no memory to build dom0");
    d->max_pages = (unsigned int)min_t(unsigned long, max_pages, UINT32_MAX);

    while (left && m->nr_chunks < MAX_CHUNKS) {
        struct page_info *pg;

        order = min(order, ilog2(left));
        pg = alloc_domain_pages(d, order, MEMF_no_scrub, m->nr_pages);
        if (!pg) {
            if (order-- == 0)
                break;
            continue;
        }
        m->chunk[m->nr_chunks++] = (struct dom0_chunk){
            .pfn = m->nr_pages, .nr = 1UL << order, .mfn = page_to_mfn(pg),
        };
        m->nr_pages += 1UL << order;
        left -= 1UL << order;
    }
}

void dom0_memory_done(struct dom0_memory *m)
{
    XFREE(m->chunk);
}

static const struct dom0_chunk *find_chunk(const struct dom0_memory *m, unsigned long pfn)
{
    unsigned int low = 0, high = m->nr_chunks;

    BUG_ON(pfn >= m->nr_pages);
    while (high - low > 1) {
        unsigned int mid = (low + high) / 2;

        if (m->chunk[mid].pfn <= pfn)
            low = mid;
        else
            high = mid;
    }
    return &m->chunk[low];
}

mfn_t dom0_pfn_to_mfn(const struct dom0_memory *m, unsigned long pfn)
{
    const struct dom0_chunk *c = find_chunk(m, pfn);

    return mfn_add(c->mfn, pfn - c->pfn);
}

void dom0_write(const struct dom0_memory *m, paddr_t to, const void *data, u64 len)
{
    while (len) {
        const struct dom0_chunk *c = find_chunk(m, PFN_DOWN(to));
        u64 offset = to - ((u64)c->pfn << PAGE_SHIFT);
        u64 n = min(len, ((u64)c->nr << PAGE_SHIFT) - offset);
        u8 *dst = (u8 *)mfn_to_virt(c->mfn) + offset;

        if (data) {
            memcpy(dst, data, n);
            data = (const u8 *)data + n;
        } else {
            memset(dst, 0, n);
        }
        to += n;
        len -= n;
    }
}

/* ---- vCPUs ---- */

static unsigned int max_vcpus_low, max_vcpus_high = MAX_VCPUS_PER_DOMAIN;
static bool vcpus_pin;
PARAM_BOOL("dom0_vcpus_pin", vcpus_pin);

/* dom0_max_vcpus=<n>, <min>-<max>, <min>- or -<max> */
static int parse_dom0_max_vcpus(const char *s)
{
    char *end;
    unsigned long low = 0, high;

    if (*s == '-') {
        high = strtoul(s + 1, &end, 10);
    } else {
        low = high = strtoul(s, &end, 10);
        if (end != s && *end == '-') {
            s = end + 1;
            high = *s ? strtoul(s, &end, 10) : MAX_VCPUS_PER_DOMAIN;
            if (!*s)
                end++;
        }
    }
    if (*s == '\0' ? *end != '\0' : end == s || *end != '\0')
        return -EINVAL;
    if (high == 0 || low > high)
        return -EINVAL;
    max_vcpus_low = (unsigned int)min_t(unsigned long, low, MAX_VCPUS_PER_DOMAIN);
    max_vcpus_high = (unsigned int)min_t(unsigned long, high, MAX_VCPUS_PER_DOMAIN);
    return 0;
}
PARAM_CUSTOM("dom0_max_vcpus", parse_dom0_max_vcpus);

unsigned int dom0_vcpu_count(void)
{
    unsigned int cpus = max(cpumask_weight(&cpu_online_map), 1u);

    return min(max(cpus, max_vcpus_low), max_vcpus_high);
}

void dom0_pin_vcpu(struct vcpu *v)
{
    unsigned int cpu, nth = v->vcpu_id % max(cpumask_weight(&cpu_online_map), 1u);
    cpumask_t one;

    if (!vcpus_pin)
        return;
    for_each_cpu(cpu, &cpu_online_map)
        if (nth-- == 0)
            break;
    cpumask_clear(&one);
    cpumask_set_cpu(cpu, &one);
    if (vcpu_set_hard_affinity(v, &one))
        printk(LOG_WARN "dom0: vCPU %u cannot be pinned to CPU %u\n", v->vcpu_id, cpu);
}
