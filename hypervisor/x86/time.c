/* SPDX-License-Identifier: MIT */
/*
 * Time. The one clock is the time stamp counter: system time is a linear function of it, fixed at
 * boot, the same for the hypervisor and for every guest. The local APIC's timer interrupts.
 * Specification: xen/xen.h (vcpu_time_info, wall clock); Intel SDM 3B, 18.17 (TSC), 3A, 11.5.4.
 */
#include <asm/apic.h>
#include <asm/cpufeature.h>
#include <asm/irq.h>
#include <asm/processor.h>
#include <asm/time.h>
#include <domus/domain.h>
#include <domus/guest_access.h>
#include <domus/lib.h>
#include <domus/percpu.h>
#include <domus/softirq.h>
#include <domus/spinlock.h>
#include <xen/xen.h>

#define NSEC_PER_SEC        1000000000ULL

/* Length of a calibration. The error is the jitter of two reads over this time. */
#define CALIBRATION_MS      10
#define SAMPLE_TRIES        5

#define HYPERVISOR_TIMING_LEAF 0x40000010

unsigned long tsc_khz __ro_after_init;
struct tsc_scale tsc_to_ns __ro_after_init;
bool tsc_in_step __ro_after_init = true;

/* TSC of the boot CPU at system time 0, and what each CPU adds to its own to agree with it. */
static uint64_t boot_tsc __ro_after_init;
static DEFINE_PER_CPU(int64_t, tsc_skew);

/* Timer ticks in 2^31 ns: of the TSC with a deadline timer, else of the local APIC's bus clock. */
static uint64_t timer_ticks_per_2p31ns __ro_after_init;
#define TIMER_SHIFT 31

/* Wall clock at system time 0, in nanoseconds since 1970. Domain list lock before this one. */
static uint64_t wallclock_base;
static DEFINE_SPINLOCK(wallclock_lock, RANK_PLATFORM);

/* ---- Reading the clock ---- */

static uint64_t tsc_to_nanoseconds(uint64_t ticks, struct tsc_scale scale)
{
    if (scale.shift < 0)
        ticks >>= -scale.shift;
    else
        ticks <<= scale.shift;
    return (uint64_t)((unsigned __int128)ticks * scale.mul >> 32);
}

s_time_t now_ns(void)
{
    uint64_t tsc = rdtsc_ordered() + (uint64_t)this_cpu(tsc_skew);

    return (s_time_t)tsc_to_nanoseconds(tsc - boot_tsc, tsc_to_ns);
}

void udelay(unsigned int usecs)
{
    s_time_t end = now_ns() + MICROSECS(usecs);

    while (now_ns() < end)
        cpu_relax();
}

void mdelay(unsigned int msecs)
{
    while (msecs--)
        udelay(1000);
}

/* ---- Calibration ---- */

/* The multiplier is brought to between 2^31 and 2^32, so that it is as exact as 32 bits can be. */
static struct tsc_scale __init make_scale(uint64_t hz)
{
    struct tsc_scale scale = { 0, 0 };

    while (hz > 2 * NSEC_PER_SEC) {
        hz >>= 1;
        scale.shift--;
    }
    while (hz <= NSEC_PER_SEC) {
        hz <<= 1;
        scale.shift++;
    }
    scale.mul = (uint32_t)((NSEC_PER_SEC << 32) / hz);
    return scale;
}

struct sample {
    uint64_t ref, tsc;
    uint32_t apic;
};

/* All clocks at one moment: the fastest of some tries, as others were interrupted. */
static struct sample __init take_sample(const struct ref_clock *clock)
{
    struct sample best = { 0 };
    uint64_t best_took = ~0ULL;

    for (unsigned int i = 0; i < SAMPLE_TRIES; i++) {
        uint64_t before = rdtsc_ordered();
        uint64_t ref = clock->read();
        uint32_t timer = apic_read(APIC_TMCCT);
        uint64_t took = rdtsc_ordered() - before;

        if (took < best_took) {
            best = (struct sample){ .ref = ref, .tsc = before + took / 2, .apic = timer };
            best_took = took;
        }
    }
    return best;
}

/* Frequencies of TSC and APIC timer by comparison with a clock. False if it stands still. */
static bool __init measure(const struct ref_clock *clock, uint64_t *tsc_hz, uint64_t *apic_hz)
{
    uint64_t window = clock->hz * CALIBRATION_MS / 1000, passed = 0;
    uint64_t limit = rdtsc() + 20000000000ULL;
    struct sample start, end;

    apic_timer_set_count(~0u);
    start = take_sample(clock);
    while (passed < window) {
        if (rdtsc() > limit)
            return false;
        passed = (clock->read() - start.ref) & clock->mask;
    }
    end = take_sample(clock);
    apic_timer_set_count(0);

    passed = (end.ref - start.ref) & clock->mask;
    *tsc_hz = (end.tsc - start.tsc) * clock->hz / passed;
    *apic_hz = (uint64_t)(start.apic - end.apic) * clock->hz / passed;
    return true;
}

/* Some hypervisors below, and Intel CPUs, say the frequencies; kHz are exact enough then. */
static bool __init frequencies_by_cpuid(uint64_t *tsc_hz, uint64_t *apic_hz)
{
    struct cpuid_leaf leaf;

    if (cpu_has_hypervisor && cpuid(0x40000000).a >= HYPERVISOR_TIMING_LEAF) {
        leaf = cpuid(HYPERVISOR_TIMING_LEAF);
        *tsc_hz = leaf.a * 1000ULL;
        *apic_hz = leaf.b * 1000ULL;
        return leaf.a && leaf.b;
    }
    if (boot_cpu.max_leaf < 0x15)
        return false;
    leaf = cpuid(0x15);
    if (!leaf.a || !leaf.b || !leaf.c)
        return false;
    *apic_hz = leaf.c;
    *tsc_hz = (uint64_t)leaf.c * leaf.b / leaf.a;
    return true;
}

static const char *__init measure_frequencies(uint64_t *tsc_hz, uint64_t *apic_hz)
{
    static bool (*const find[])(struct ref_clock *) __initconst = {
        hpet_ref_clock, pmtimer_ref_clock, pit_ref_clock
    };
    static struct ref_clock clock __initdata;

    if (frequencies_by_cpuid(tsc_hz, apic_hz))
        return "CPUID";
    for (unsigned int i = 0; i < ARRAY_SIZE(find); i++)
        if (find[i](&clock) && measure(&clock, tsc_hz, apic_hz))
            return clock.name;
    panic("No clock to calibrate the time stamp counter against");
}

void __init time_init(void)
{
    uint64_t tsc_hz, apic_hz;
    const char *by;

    time_init_cpu();
    by = measure_frequencies(&tsc_hz, &apic_hz);
    tsc_khz = (unsigned long)(tsc_hz / 1000);
    timer_ticks_per_2p31ns = ((apic_has_tsc_deadline() ? tsc_hz : apic_hz) << TIMER_SHIFT) /
                             NSEC_PER_SEC;
    boot_tsc = rdtsc_ordered();
    tsc_to_ns = make_scale(tsc_hz);
    wallclock_base = rtc_read() * NSEC_PER_SEC - (uint64_t)now_ns();
    printk(LOG_INFO "Clock: TSC at %lu.%03lu MHz by %s, timer at %lu.%03lu MHz\n", tsc_khz / 1000,
           tsc_khz % 1000, by, apic_hz / 1000000, apic_hz / 1000 % 1000);
}

void time_init_cpu(void)
{
    apic_timer_init_cpu();
}

/* ---- Do the TSCs of two CPUs run in step? ---- */

#define SYNC_ROUNDS 6

static struct {
    unsigned int turn;      /* even: the source is to go on; odd: the target */
    uint64_t tsc;           /* of the CPU that has just handed over */
} sync;

/* Wait for our turn; the distance by which our TSC is ahead of the one that was handed over. */
static int64_t sync_receive(unsigned int turn)
{
    while (__atomic_load_n(&sync.turn, __ATOMIC_ACQUIRE) != turn)
        cpu_relax();
    return (int64_t)(rdtsc_ordered() - sync.tsc);
}

static void sync_send(unsigned int turn)
{
    sync.tsc = rdtsc_ordered();
    __atomic_store_n(&sync.turn, turn, __ATOMIC_RELEASE);
}

/* Distances measured: what is least is nearest to the truth, the rest is delay. */
static int64_t source_ahead, target_ahead;

void time_sync_source(unsigned int cpu __unused)
{
    int64_t ahead = STIME_MAX;

    for (unsigned int round = 0; round < SYNC_ROUNDS; round++) {
        sync_send(2 * round + 1);
        ahead = min(ahead, sync_receive(2 * round + 2));
    }
    source_ahead = ahead;
    __atomic_store_n(&sync.turn, 2 * SYNC_ROUNDS + 1, __ATOMIC_RELEASE);
    /* The target puts it back to 0 when it is done with the result. */
    while (__atomic_load_n(&sync.turn, __ATOMIC_ACQUIRE))
        cpu_relax();
}

/*
 * In step, the reader is always later than the writer, both ways. If not, the middle of the two
 * distances is how far this CPU's TSC is off, and guests must not compare readings of two CPUs.
 */
void time_sync_target(void)
{
    target_ahead = STIME_MAX;
    for (unsigned int round = 0; round < SYNC_ROUNDS; round++) {
        target_ahead = min(target_ahead, sync_receive(2 * round + 1));
        sync_send(2 * round + 2);
    }
    while (__atomic_load_n(&sync.turn, __ATOMIC_ACQUIRE) != 2 * SYNC_ROUNDS + 1)
        cpu_relax();
    if (source_ahead < 0 || target_ahead < 0) {
        this_cpu(tsc_skew) = (source_ahead - target_ahead) / 2;
        tsc_in_step = false;
    }
    __atomic_store_n(&sync.turn, 0, __ATOMIC_RELEASE);
}

/* ---- Timer interrupt ---- */

static uint64_t ns_to_timer_ticks(uint64_t ns)
{
    return (uint64_t)((unsigned __int128)ns * timer_ticks_per_2p31ns >> TIMER_SHIFT) + 1;
}

/* A deadline beyond this fires early and is set again: guests name times whose ticks 64 bits do not hold. */
#define LONGEST_WAIT SECONDS(3600)

bool reprogram_timer(s_time_t deadline)
{
    bool by_tsc = apic_has_tsc_deadline();
    s_time_t delta;
    uint64_t ticks;

    if (!deadline) {
        if (by_tsc)
            apic_timer_set_tsc_deadline(0);
        else
            apic_timer_set_count(0);
        return true;
    }
    delta = deadline - now_ns();
    if (delta <= 0)
        return false;
    ticks = ns_to_timer_ticks((uint64_t)min_t(s_time_t, delta, LONGEST_WAIT));
    if (by_tsc)
        apic_timer_set_tsc_deadline(rdtsc() + ticks);
    else
        apic_timer_set_count((uint32_t)min_t(uint64_t, ticks, UINT32_MAX));     /* its range may end before */
    return true;
}

void apic_timer_interrupt(void)
{
    raise_softirq(TIMER_SOFTIRQ);
}

/* ---- Guests ---- */

/* Copy of the record that a guest put into its own address space, if the vCPU runs here and now. */
static void publish_secondary(struct vcpu *v, const struct vcpu_time_info *time)
{
    struct vcpu_time_info *user = (struct vcpu_time_info *)v->time_info_guest;
    uint32_t odd = time->version - 1;

    if (v->arch.time_info_published == v->time_info_guest || v != current)
        return;
    if (copy_to_guest(&user->version, &odd, sizeof(odd)))
        return;
    smp_wmb();
    if (copy_to_guest(&user->tsc_timestamp, &time->tsc_timestamp,
                      sizeof(*time) - offsetof(struct vcpu_time_info, tsc_timestamp)))
        return;
    smp_wmb();
    if (copy_to_guest(&user->version, &time->version, sizeof(time->version)))
        return;
    v->arch.time_info_published = v->time_info_guest;
}

static void publish_primary(struct vcpu_time_info *to, const struct vcpu_time_info *time)
{
    WRITE_ONCE(to->version, time->version - 1);
    smp_wmb();
    to->tsc_timestamp = time->tsc_timestamp;
    to->system_time = time->system_time;
    to->tsc_to_system_mul = time->tsc_to_system_mul;
    to->tsc_shift = time->tsc_shift;
    to->flags = time->flags;
    smp_wmb();
    WRITE_ONCE(to->version, time->version);
}

/*
 * The record changes only when the vCPU comes to a CPU whose TSC is not in step with the last, so
 * the usual case is two comparisons. A record that the guest has overwritten is its own loss.
 */
void update_vcpu_system_time(struct vcpu *v)
{
    uint64_t tsc_at_boot = boot_tsc - (uint64_t)per_cpu(tsc_skew, v->processor);
    struct vcpu_time_info *last = &v->arch.time, *primary = &v->vcpu_info->time;

    if (last->tsc_timestamp != tsc_at_boot || !last->version) {
        *last = (struct vcpu_time_info){
            .version = last->version + 2,
            .tsc_timestamp = tsc_at_boot,
            .tsc_to_system_mul = tsc_to_ns.mul,
            .tsc_shift = tsc_to_ns.shift,
            .flags = tsc_in_step ? XEN_PVCLOCK_TSC_STABLE_BIT : 0,
        };
        v->arch.time_info_published = 0;
    }
    if (READ_ONCE(primary->version) != last->version || primary->tsc_timestamp != tsc_at_boot)
        publish_primary(primary, last);
    if (v->time_info_guest)
        publish_secondary(v, last);
}

/* ---- Wall clock ---- */

void update_domain_wallclock_time(struct domain *d)
{
    struct shared_info *info = d->shared_info;
    uint64_t wall, secs;
    uint32_t version;

    spin_lock(&wallclock_lock);
    wall = wallclock_base + (uint64_t)d->time_offset_seconds * NSEC_PER_SEC;
    secs = wall / NSEC_PER_SEC;
    version = (READ_ONCE(info->wc_version) + 2) & ~1u;
    WRITE_ONCE(info->wc_version, version - 1);
    smp_wmb();
    info->wc_sec = (uint32_t)secs;
    info->wc_sec_hi = (uint32_t)(secs >> 32);
    info->wc_nsec = (uint32_t)(wall % NSEC_PER_SEC);
    smp_wmb();
    WRITE_ONCE(info->wc_version, version);
    spin_unlock(&wallclock_lock);
}

void do_settime(uint64_t secs, uint32_t nsecs, s_time_t at)
{
    struct domain *d;

    spin_lock(&wallclock_lock);
    wallclock_base = secs * NSEC_PER_SEC + nsecs - (uint64_t)at;
    spin_unlock(&wallclock_lock);

    read_lock(&domlist_lock);
    for_each_domain(d)
        update_domain_wallclock_time(d);
    read_unlock(&domlist_lock);
}
