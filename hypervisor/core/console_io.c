/* SPDX-License-Identifier: MIT */
/*
 * Console input, which goes to dom0 or to the hypervisor's own keys, and HYPERVISOR_console_io, by
 * which guests write and dom0 reads. Specification: xen/xen.h (CONSOLEIO_*).
 */
#include <asm/current.h>
#include <domus/console.h>
#include <domus/domain.h>
#include <domus/event.h>
#include <domus/guest_access.h>
#include <domus/hypercall.h>
#include <domus/keyhandler.h>
#include <domus/lib.h>
#include <domus/param.h>
#include <domus/spinlock.h>
#include <domus/tasklet.h>
#include <domus/time.h>
#include <domus/xmalloc.h>
#include <xen/xen.h>

/* ---- Input ---- */

#define INPUT_RING_SIZE     256     /* a power of two */
#define SWITCH_COUNT        3       /* presses of the switch character */

/* conswitch=<letter>: Ctrl and this letter, three times, moves the input. */
static char opt_conswitch[3] = "a";
PARAM_STRING_RUNTIME("conswitch", opt_conswitch);

struct input_ring {
    char data[INPUT_RING_SIZE];
    u32 start, end;
};

static DEFINE_SPINLOCK(input_lock, RANK_CONSOLE_INPUT);
static struct input_ring received;      /* from the device, not yet looked at */
static struct input_ring for_dom0;      /* dom0 may read them */

/* Only the input tasklet uses these. */
static bool dom0_has_input;
static unsigned int switch_presses;

/* What comes when the ring is full is lost, as on any serial line. */
static void ring_put(struct input_ring *r, char c)
{
    unsigned long flags;

    spin_lock_irqsave(&input_lock, flags);
    if (r->end - r->start < INPUT_RING_SIZE)
        r->data[r->end++ % INPUT_RING_SIZE] = c;
    spin_unlock_irqrestore(&input_lock, flags);
}

static size_t ring_get(struct input_ring *r, char *to, size_t max)
{
    unsigned long flags;
    size_t n = 0;

    spin_lock_irqsave(&input_lock, flags);
    while (n < max && r->start != r->end)
        to[n++] = r->data[r->start++ % INPUT_RING_SIZE];
    spin_unlock_irqrestore(&input_lock, flags);
    return n;
}

static char switch_char(void)
{
    return (char)(tolower_c(opt_conswitch[0]) - 'a' + 1);
}

static void set_input(bool to_dom0)
{
    dom0_has_input = to_dom0;
    if (opt_conswitch[0])
        printk(LOG_ERR "Console input to %s; CTRL-%c three times switches it to %s\n",
               to_dom0 ? "dom0" : "Domus", opt_conswitch[0], to_dom0 ? "Domus" : "dom0");
}

static void input_char(char c)
{
    if (opt_conswitch[0] && c == switch_char()) {
        if (++switch_presses == SWITCH_COUNT) {
            switch_presses = 0;
            set_input(!dom0_has_input);
        }
        return;
    }
    /* Fewer presses than it takes were meant for whoever has the input. */
    for (; switch_presses && dom0_has_input; switch_presses--)
        ring_put(&for_dom0, switch_char());
    switch_presses = 0;
    if (dom0_has_input)
        ring_put(&for_dom0, c);
    else
        handle_keypress(c);
}

static void process_input(void *data __unused)
{
    char c;

    while (ring_get(&received, &c, 1))
        input_char(c);
    if (dom0_has_input && READ_ONCE(for_dom0.start) != READ_ONCE(for_dom0.end))
        send_global_virq(VIRQ_CONSOLE);
}

static struct tasklet input_tasklet = TASKLET_INIT(input_tasklet, process_input, NULL);

void console_input(char c)
{
    ring_put(&received, c);
    tasklet_schedule(&input_tasklet);
}

void console_give_to_dom0(void)
{
    set_input(true);
}

/* ---- Output of guests ---- */

#define CHUNK_SIZE          128
#define LINE_SIZE           240     /* of a domU: a longer one is broken */

/* A domU's lines: a burst of this many, then so many a second. */
#define LINE_BURST          200
#define LINES_PER_SECOND    50

/* struct domain's console_buf: one line that is not complete yet, and the limit. */
struct guest_line {
    unsigned int len, tokens, suppressed;
    s_time_t last;
    char text[LINE_SIZE + 1];
};

static bool line_allowed(struct guest_line *line)
{
    s_time_t now = NOW();
    s_time_t earned = (now - line->last) / (SECONDS(1) / LINES_PER_SECOND);

    if (earned > 0) {
        line->tokens = (unsigned int)min_t(s_time_t, line->tokens + earned, LINE_BURST);
        line->last = now;
    }
    if (!line->tokens) {
        line->suppressed++;
        return false;
    }
    line->tokens--;
    return true;
}

static void end_guest_line(struct domain *d, struct guest_line *line)
{
    line->text[line->len] = '\0';
    line->len = 0;
    if (!line_allowed(line))
        return;
    if (line->suppressed) {
        printk(LOG_GUEST LOG_WARN "(d%u) %u lines suppressed\n", d->domain_id, line->suppressed);
        line->suppressed = 0;
    }
    printk(LOG_GUEST LOG_WARN "(d%u) %s\n", d->domain_id, line->text);
}

/* A domU's text in whole lines, with its name before each; what is not printable is left out. */
static long write_domu(struct domain *d, const char *s, size_t len)
{
    struct guest_line *line;

    spin_lock(&d->console_lock);
    line = d->console_buf;
    if (!line) {
        line = d->console_buf = xzalloc(struct guest_line);
        if (!line) {
            spin_unlock(&d->console_lock);
            return -ENOMEM;
        }
        line->tokens = LINE_BURST;
    }
    for (size_t i = 0; i < len; i++) {
        if (s[i] != '\n' && (isprint_c(s[i]) || s[i] == '\t'))
            line->text[line->len++] = s[i];
        if (s[i] == '\n' || line->len == LINE_SIZE)
            end_guest_line(d, line);
    }
    spin_unlock(&d->console_lock);
    return 0;
}

static long console_write(struct domain *d, unsigned int count, guest_ptr_t buffer)
{
    char chunk[CHUNK_SIZE];
    long ret;

    while (count) {
        size_t n = min_t(size_t, count, sizeof(chunk));

        ret = copy_from_guest(chunk, (const void *)buffer, n);
        if (ret)
            return ret;
        if (d->is_privileged)
            console_write_dom0(chunk, n);
        else
            ret = write_domu(d, chunk, n);
        if (ret)
            return ret;
        count -= (unsigned int)n;
        buffer += n;
        if (count && hypercall_preempt_check())
            return hypercall_create_continuation(__HYPERVISOR_console_io, 3,
                                                 (unsigned long)CONSOLEIO_write,
                                                 (unsigned long)count, (unsigned long)buffer);
    }
    return 0;
}

static long console_read(unsigned int count, guest_ptr_t buffer)
{
    char chunk[CHUNK_SIZE];
    unsigned int done = 0;
    size_t n;

    while (done < count &&
           (n = ring_get(&for_dom0, chunk, min_t(size_t, count - done, sizeof(chunk))))) {
        if (copy_to_guest((void *)(buffer + done), chunk, n))
            return -EFAULT;
        done += (unsigned int)n;
    }
    return (long)done;
}

long do_console_io(unsigned int cmd, unsigned int count, guest_ptr_t buffer)
{
    struct domain *d = current->domain;

    if (count > INT32_MAX)
        return -EINVAL;
    switch (cmd) {
    case CONSOLEIO_write:
        return console_write(d, count, buffer);
    case CONSOLEIO_read:
        return d->is_privileged ? console_read(count, buffer) : -EPERM;
    default:
        return -ENOSYS;
    }
}
