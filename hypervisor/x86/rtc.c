/* SPDX-License-Identifier: MIT */
/*
 * The PC's real-time clock, read once at boot for the wall clock. From then on it is dom0's.
 * Specification: MC146818A data sheet.
 */
#include <asm/acpi.h>
#include <asm/processor.h>
#include <asm/time.h>
#include <domus/lib.h>
#include <domus/string.h>

#define CMOS_INDEX      0x70
#define CMOS_DATA       0x71

#define RTC_SECONDS     0x00
#define RTC_MINUTES     0x02
#define RTC_HOURS       0x04
#define RTC_DAY         0x07
#define RTC_MONTH       0x08
#define RTC_YEAR        0x09
#define RTC_A           0x0a
#define RTC_A_UPDATING  0x80
#define RTC_B           0x0b
#define RTC_B_24_HOURS  0x02
#define RTC_B_BINARY    0x04
#define RTC_HOURS_PM    0x80

#define SECONDS_PER_DAY 86400

struct rtc_time {
    unsigned int sec, min, hour, day, month, year;
};

static unsigned int cmos_read(unsigned int reg)
{
    outb((u8)reg, CMOS_INDEX);
    return inb(CMOS_DATA);
}

static unsigned int from_bcd(unsigned int value)
{
    return (value >> 4) * 10 + (value & 0xf);
}

static struct rtc_time read_registers(void)
{
    unsigned int mode = cmos_read(RTC_B);
    struct rtc_time t = {
        cmos_read(RTC_SECONDS), cmos_read(RTC_MINUTES), cmos_read(RTC_HOURS),
        cmos_read(RTC_DAY), cmos_read(RTC_MONTH), cmos_read(RTC_YEAR),
    };
    bool pm = !(mode & RTC_B_24_HOURS) && (t.hour & RTC_HOURS_PM);

    if (!(mode & RTC_B_24_HOURS))
        t.hour &= ~RTC_HOURS_PM;
    if (!(mode & RTC_B_BINARY)) {
        t.sec = from_bcd(t.sec);
        t.min = from_bcd(t.min);
        t.hour = from_bcd(t.hour);
        t.day = from_bcd(t.day);
        t.month = from_bcd(t.month);
        t.year = from_bcd(t.year);
    }
    if (!(mode & RTC_B_24_HOURS))
        t.hour = t.hour % 12 + (pm ? 12 : 0);
    t.year += t.year < 70 ? 2000 : 1900;
    return t;
}

/* Days from 1970-01-01 to a day of the Gregorian calendar; years start in March for leap days. */
static uint64_t days_since_1970(unsigned int year, unsigned int month, unsigned int day)
{
    unsigned int y = month > 2 ? year : year - 1;
    unsigned int m = month > 2 ? month - 3 : month + 9;

    return 365UL * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719468;
}

uint64_t __init rtc_read(void)
{
    struct rtc_time t, again;

    if (acpi.has_fadt && (acpi.boot_arch & ACPI_BOOT_ARCH_NO_CMOS_RTC))
        return 0;

    /* An update may begin between two reads: take a time that was read twice alike. */
    for (unsigned int tries = 0; tries < 10; tries++) {
        for (unsigned int i = 0; i < 10000 && (cmos_read(RTC_A) & RTC_A_UPDATING); i++)
            cpu_relax();
        t = read_registers();
        again = read_registers();
        if (!memcmp(&t, &again, sizeof(t)))
            break;
    }
    if (t.month < 1 || t.month > 12 || t.day < 1 || t.day > 31 || t.hour > 23 || t.min > 59 ||
        t.sec > 60) {
        printk(LOG_WARN "The real-time clock holds no valid time\n");
        return 0;
    }
    return days_since_1970(t.year, t.month, t.day) * SECONDS_PER_DAY + t.hour * 3600 +
           t.min * 60 + t.sec;
}
