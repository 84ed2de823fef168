/* SPDX-License-Identifier: MIT */
/* Messages: text is put together here and handed to the console, which knows about levels. */
#include <domus/console.h>
#include <domus/lib.h>
#include <domus/spinlock.h>

#define MESSAGE_MAX 1024

void vprintk(const char *fmt, va_list args)
{
    char text[MESSAGE_MAX];

    console_puts(text, (size_t)vscnprintf(text, sizeof(text), fmt, args));
}

void printk(const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    vprintk(fmt, args);
    va_end(args);
}

void bug_at(const char *file, int line, const char *what)
{
    lock_checks_enable(false);
    panic("%s at %s:%d\n", what, file, line);
}

void warn_at(const char *file, int line, const char *what)
{
    printk(LOG_WARN "Warning: %s at %s:%d\n", what, file, line);
    dump_stack();
}
