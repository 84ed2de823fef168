/* SPDX-License-Identifier: MIT */
/*
 * x86 clocks: the time stamp counter as the one clock, calibrated once against HPET, PM timer or
 * PIT, and the local APIC's timer.
 */
#ifndef ASM_TIME_H
#define ASM_TIME_H

#include <domus/time.h>
#include <domus/types.h>

/* TSC frequency. */
extern unsigned long tsc_khz;
/* True if all CPUs' TSCs run in step, so that guests may read time without a lock. */
extern bool tsc_in_step;

/* ns = (ticks shifted left by `shift`, right if negative) * mul / 2^32: the ABI's own formula. */
struct tsc_scale {
    uint32_t mul;
    int8_t shift;
};
extern struct tsc_scale tsc_to_ns;

/* Calibrate TSC and local APIC timer, start the clock, read the RTC. Boot CPU, after the APIC. */
void time_init(void);
/* The calling CPU's timer; each CPU, the boot CPU included, after apic_init_cpu(). */
void time_init_cpu(void);

/*
 * Warp test between a starting CPU and the boot CPU: both call theirs at the same time, with
 * interrupts off. Corrects the starting CPU's clock if its TSC does not run in step.
 */
void time_sync_source(unsigned int cpu);
void time_sync_target(void);

/* Machine clocks of known frequency, for calibration; x86/ref_clock.c. */
struct ref_clock {
    const char *name;
    uint64_t hz;
    uint64_t mask;                  /* counter wraps at mask + 1 */
    uint64_t (*read)(void);
};
/* Fill `clock` and start the device, or return false if there is none. */
bool hpet_ref_clock(struct ref_clock *clock);
bool pmtimer_ref_clock(struct ref_clock *clock);
bool pit_ref_clock(struct ref_clock *clock);

/* Real-time clock: seconds since 1970, read from the CMOS; 0 if there is none. x86/rtc.c. */
uint64_t rtc_read(void);

#endif
