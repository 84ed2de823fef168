/* SPDX-License-Identifier: MIT */
/*
 * Time: nanoseconds since boot, the one-shot timer interrupt under the timer queue, and the
 * records through which guests read time.
 */
#ifndef DOMUS_TIME_H
#define DOMUS_TIME_H

#include <domus/types.h>

/* Nanoseconds since the hypervisor booted. */
typedef int64_t s_time_t;

#define SECONDS(n)   ((s_time_t)(n) * 1000000000LL)
#define MILLISECS(n) ((s_time_t)(n) * 1000000LL)
#define MICROSECS(n) ((s_time_t)(n) * 1000LL)
#define NANOSECS(n)  ((s_time_t)(n))
#define STIME_MAX    ((s_time_t)0x7fffffffffffffffLL)

/* Monotonic on every CPU and across them; 0 before the clock is calibrated. Any context. */
s_time_t now_ns(void);
#define NOW() now_ns()

/*
 * Raise TIMER_SOFTIRQ on this CPU at `deadline` (ns since boot); 0 stops the timer. False if that
 * lies in the past or is too near, in which case the caller serves its queue at once.
 */
bool reprogram_timer(s_time_t deadline);

struct domain;
struct vcpu;

/*
 * Write the vCPU's time record (struct vcpu_time_info, by its version protocol) if it is not up
 * to date. Called when the vCPU is about to run and when its record has moved.
 */
void update_vcpu_system_time(struct vcpu *v);
/* Write wall clock and version into the domain's shared_info. */
void update_domain_wallclock_time(struct domain *d);
/* Set the wall clock: it was `secs`.`nsecs` since 1970 at system time `at`; tells every domain. */
void do_settime(uint64_t secs, uint32_t nsecs, s_time_t at);

/* Busy-wait; works as soon as the clock is calibrated. */
void udelay(unsigned int usecs);
void mdelay(unsigned int msecs);

#endif
