/* SPDX-License-Identifier: MIT */
/*
 * Console output: messages go, by their level, into a ring that dom0 can read (sysctl readconsole)
 * and to the devices that console= names. Guests write by HYPERVISOR_console_io: core/console_io.c.
 */
#include <domus/console.h>
#include <domus/guest_access.h>
#include <domus/heap.h>
#include <domus/lib.h>
#include <domus/param.h>
#include <domus/spinlock.h>
#include <domus/string.h>
#include <domus/time.h>
#include <xen/sysctl.h>

#define PREFIX              "(domus) "
#define EARLY_RING_SIZE     KB(16)
#define MIN_RING_SIZE       KB(16)
#define MAX_RING_SIZE       MB(1)

/* Messages that guests cause: a burst of this many lines, then so many a second. */
#define LIMIT_BURST         20
#define LIMIT_PER_SECOND    5

static char opt_console[32] = "com1,vga";
static unsigned long opt_conring_size = KB(64);
static bool opt_timestamps;
PARAM_STRING("console", opt_console);
PARAM_SIZE("conring_size", opt_conring_size);
PARAM_BOOL_RUNTIME("console_timestamps", opt_timestamps);

/* Everything below is guarded by this lock, but in a panic. */
static DEFINE_SPINLOCK(console_lock, RANK_CONSOLE);
static bool panicking;

static LIST_HEAD(devices);

/* Bytes are numbered from 0 on as they come; the ring holds the last ring_size of them. */
static char early_ring[EARLY_RING_SIZE];
static char *ring = early_ring;
static u32 ring_size = EARLY_RING_SIZE;     /* a power of two */
static u32 ring_start, ring_end;

/* State of the line that is being put out. */
static bool in_line;            /* of the hypervisor's text: some of the line has come */
static bool line_shown;         /* and is not dropped for its level */
static bool guest_line_open;    /* dom0 has written part of a line */

/* ---- Levels ---- */

enum { NR_LEVELS = 4, DEFAULT_LEVEL = 1 };

/* Levels below `always` are shown, those below `limited` as often as the limit allows. */
static struct threshold {
    u8 always, limited;
} host_threshold = { 3, 3 }, guest_threshold = { 0, 2 };

static const char *const level_names[NR_LEVELS + 1] = { "none", "error", "warning", "info", "all" };

static int parse_level(const char *s, size_t len)
{
    for (unsigned int i = 0; i < ARRAY_SIZE(level_names); i++)
        if (strlen(level_names[i]) == len && !strncmp(s, level_names[i], len))
            return (int)i;
    return len == 5 && !strncmp(s, "debug", 5) ? NR_LEVELS : -1;
}

/* How thresholds are shown: "level/limited level". */
typedef char threshold_text[16];

/* "level" or "level/limited level". */
static int parse_threshold(const char *value, struct threshold *t, threshold_text text)
{
    const char *slash = strchr(value, '/');
    int always = parse_level(value, slash ? (size_t)(slash - value) : strlen(value));
    int limited = slash ? parse_level(slash + 1, strlen(slash + 1)) : always;

    if (always < 0 || limited < 0)
        return -EINVAL;
    t->always = (u8)always;
    t->limited = (u8)max(always, limited);
    snprintf(text, sizeof(threshold_text), "%s/%s", level_names[t->always], level_names[t->limited]);
    return 0;
}

static threshold_text host_text = "info/info", guest_text = "none/warning";

static int parse_loglvl(const char *value)
{
    return parse_threshold(value, &host_threshold, host_text);
}
PARAM_CUSTOM_RUNTIME("loglvl", parse_loglvl, host_text);

static int parse_guest_loglvl(const char *value)
{
    return parse_threshold(value, &guest_threshold, guest_text);
}
PARAM_CUSTOM_RUNTIME("guest_loglvl", parse_guest_loglvl, guest_text);

/* A bucket of tokens, one a line, that fills with time. */
static bool within_limit(void)
{
    static unsigned int tokens = LIMIT_BURST;
    static s_time_t last;
    s_time_t now = NOW();
    s_time_t earned = (now - last) / (SECONDS(1) / LIMIT_PER_SECOND);

    if (earned > 0) {
        tokens = (unsigned int)min_t(s_time_t, tokens + earned, LIMIT_BURST);
        last = now;
    }
    if (!tokens)
        return false;
    tokens--;
    return true;
}

/* Takes the markers off the start of a line: "<G>", "<0>" to "<3>". True if the line is shown. */
static bool read_level(const char **s, size_t *len)
{
    unsigned int level = DEFAULT_LEVEL;
    const struct threshold *t;
    bool guest = false;

    while (*len >= 3 && (*s)[0] == '<' && (*s)[2] == '>') {
        char c = (*s)[1];

        if (c == 'G')
            guest = true;
        else if (c >= '0' && c < '0' + NR_LEVELS)
            level = (unsigned int)(c - '0');
        else
            break;
        *s += 3;
        *len -= 3;
    }
    if (panicking)
        return true;
    t = guest ? &guest_threshold : &host_threshold;
    return level < t->always || (level < t->limited && within_limit());
}

/* ---- Output ---- */

static void emit(const char *s, size_t len)
{
    struct console_device *dev;

    for (size_t i = 0; i < len; i++)
        ring[ring_end++ & (ring_size - 1)] = s[i];
    if (ring_end - ring_start > ring_size)
        ring_start = ring_end - ring_size;
    list_for_each_entry(dev, &devices, node)
        if (dev->enabled)
            dev->write(dev, s, len);
}

static void start_line(void)
{
    char stamp[32];
    u64 now;

    if (guest_line_open) {
        emit("\n", 1);
        guest_line_open = false;
    }
    emit(PREFIX, sizeof(PREFIX) - 1);
    if (opt_timestamps) {
        now = (u64)NOW() / 1000;
        emit(stamp, (size_t)scnprintf(stamp, sizeof(stamp), "[%5lu.%06lu] ", now / 1000000,
                                      now % 1000000));
    }
}

static void lock_console(unsigned long *flags)
{
    if (panicking)
        local_irq_save(*flags);
    else
        spin_lock_irqsave(&console_lock, *flags);
}

static void unlock_console(unsigned long flags)
{
    if (panicking)
        local_irq_restore(flags);
    else
        spin_unlock_irqrestore(&console_lock, flags);
}

void console_puts(const char *s, size_t len)
{
    unsigned long flags;

    lock_console(&flags);
    while (len) {
        const char *newline;
        size_t part;

        if (!in_line) {
            line_shown = read_level(&s, &len);
            if (line_shown)
                start_line();
            in_line = true;
        }
        newline = memchr(s, '\n', len);
        part = newline ? (size_t)(newline - s) + 1 : len;
        if (line_shown)
            emit(s, part);
        if (newline)
            in_line = false;
        s += part;
        len -= part;
    }
    unlock_console(flags);
}

void console_write_dom0(const char *s, size_t len)
{
    struct console_device *dev;
    unsigned long flags;

    if (!len)
        return;
    lock_console(&flags);
    /* dom0 keeps its own log: this text is not for the ring. */
    list_for_each_entry(dev, &devices, node)
        if (dev->enabled)
            dev->write(dev, s, len);
    guest_line_open = s[len - 1] != '\n' && s[len - 1] != '\r';
    unlock_console(flags);
}

void console_flush(void)
{
    struct console_device *dev;

    list_for_each_entry(dev, &devices, node)
        if (dev->enabled && dev->flush)
            dev->flush(dev);
}

void console_break_lock(void)
{
    panicking = true;
    if (in_line && line_shown)
        emit("\n", 1);
    in_line = false;
}

/* ---- Devices ---- */

static bool wanted(const char *name)
{
    const char *word = opt_console;

    while (*word) {
        size_t len = strcspn(word, ",");

        if (strlen(name) == len && !strncmp(word, name, len))
            return true;
        word += len + (word[len] == ',');
    }
    return false;
}

void console_register(struct console_device *dev)
{
    unsigned long flags;

    lock_console(&flags);
    dev->enabled = wanted(dev->name);
    list_add_tail(&dev->node, &devices);
    /* A device that comes late shows what was said before. */
    for (u32 i = ring_start; dev->enabled && i != ring_end; i++)
        dev->write(dev, &ring[i & (ring_size - 1)], 1);
    unlock_console(flags);
}

void console_unregister(struct console_device *dev)
{
    unsigned long flags;

    lock_console(&flags);
    list_del(&dev->node);
    unlock_console(flags);
}

/* ---- The ring ---- */

void __init console_init_ring(void)
{
    u32 size = (u32)(1UL << ilog2(clamp(opt_conring_size, MIN_RING_SIZE, MAX_RING_SIZE)));
    char *bigger = alloc_heap_pages(get_order_from_bytes(size), 0);
    unsigned long flags;

    if (!bigger) {
        printk(LOG_WARN "No memory for a console ring of %u KiB\n", size >> 10);
        return;
    }
    lock_console(&flags);
    for (u32 i = ring_start; i != ring_end; i++)
        bigger[i & (size - 1)] = ring[i & (ring_size - 1)];
    ring = bigger;
    ring_size = size;
    unlock_console(flags);
}

/* Bytes of the ring from *index on, at most len; *index moves up if they have been overwritten. */
static size_t read_chunk(u32 *index, char *chunk, size_t len)
{
    unsigned long flags;
    size_t n = 0;

    lock_console(&flags);
    if (*index - ring_start > ring_end - ring_start)
        *index = ring_start;
    while (n < len && *index + (u32)n != ring_end) {
        chunk[n] = ring[(*index + (u32)n) & (ring_size - 1)];
        n++;
    }
    unlock_console(flags);
    return n;
}

int console_ring_read(struct xen_sysctl_readconsole *op)
{
    u32 index = op->incremental ? op->index : READ_ONCE(ring_start);
    u32 done = 0, count = min_t(u32, op->count, MAX_RING_SIZE);
    unsigned long flags;
    char chunk[256];

    while (done < count) {
        size_t n = read_chunk(&index, chunk, min_t(size_t, count - done, sizeof(chunk)));

        if (!n)
            break;
        if (copy_to_guest(op->buffer.p + done, chunk, n))
            return -EFAULT;
        index += (u32)n;
        done += (u32)n;
    }
    if (op->clear) {
        lock_console(&flags);
        ring_start = ring_end;
        unlock_console(flags);
    }
    op->index = index;
    op->count = done;
    return 0;
}
