/* SPDX-License-Identifier: MIT */
/*
 * domus top: what domains use, renewed every few seconds on the terminal, or printed.
 */
#include <curses.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/resources.h"
#include "cli/top_sample.h"

#define DELAY_DEFAULT 3
#define LINE_SIZE 256

/* --- columns ----------------------------------------------------------------------------------------------------- */

enum column {
    COLUMN_NAME, COLUMN_STATE, COLUMN_TIME, COLUMN_CPU, COLUMN_MEMORY, COLUMN_MEMORY_PERCENT, COLUMN_MAX_MEMORY,
    COLUMN_VCPUS, COLUMN_CARDS, COLUMN_SENT, COLUMN_RECEIVED, COLUMN_DISKS, COLUMN_FULL, COLUMN_READS, COLUMN_WRITES,
    COLUMN_READ, COLUMN_WRITTEN, COLUMNS_END,
};

/* Headings are xentop's; `name` is what -s takes, `key` what sorts by it on the terminal. */
static const struct {
    const char *heading, *name;
    int width; /* negative: from the left */
    char key;
} columns[COLUMNS_END] = {
    [COLUMN_NAME] = { "NAME", "name", -16, 'N' },
    [COLUMN_STATE] = { "STATE", "state", -8, 'S' },
    [COLUMN_TIME] = { "CPU(sec)", "time", 9, 't' },
    [COLUMN_CPU] = { "CPU(%)", "cpu", 6, 'c' },
    [COLUMN_MEMORY] = { "MEM(k)", "memory", 10, 'm' },
    [COLUMN_MEMORY_PERCENT] = { "MEM(%)", "memory%", 6, '\0' },
    [COLUMN_MAX_MEMORY] = { "MAXMEM(k)", "maxmem", 10, 'M' },
    [COLUMN_VCPUS] = { "VCPUS", "vcpus", 5, 'v' },
    [COLUMN_CARDS] = { "NETS", "nets", 4, '\0' },
    [COLUMN_SENT] = { "NETTX(k)", "sent", 8, 'n' },
    [COLUMN_RECEIVED] = { "NETRX(k)", "received", 8, 'R' },
    [COLUMN_DISKS] = { "VBDS", "vbds", 4, '\0' },
    [COLUMN_FULL] = { "VBD_OO", "full", 6, '\0' },
    [COLUMN_READS] = { "VBD_RD", "reads", 8, 'r' },
    [COLUMN_WRITES] = { "VBD_WR", "writes", 8, 'w' },
    [COLUMN_READ] = { "VBD_RSECT", "rsect", 9, '\0' },
    [COLUMN_WRITTEN] = { "VBD_WSECT", "wsect", 9, '\0' },
};

/* The number by which a column is sorted and which it mostly shows. */
static double value_of(const struct usage *usage, enum column column)
{
    switch (column) {
    case COLUMN_TIME:
        return usage->cpu_ns / 1e9;
    case COLUMN_CPU:
        return usage->cpu_percent;
    case COLUMN_MEMORY:
    case COLUMN_MEMORY_PERCENT:
        return usage->memory_kib;
    case COLUMN_MAX_MEMORY:
        return usage->max_memory_kib;
    case COLUMN_VCPUS:
        return usage->vcpus;
    case COLUMN_CARDS:
        return usage->cards;
    case COLUMN_SENT:
        return usage->sent / 1024;
    case COLUMN_RECEIVED:
        return usage->received / 1024;
    case COLUMN_DISKS:
        return usage->disks;
    case COLUMN_FULL:
        return usage->full_queue;
    case COLUMN_READS:
        return usage->reads;
    case COLUMN_WRITES:
        return usage->writes;
    case COLUMN_READ:
        return usage->sectors_read;
    case COLUMN_WRITTEN:
        return usage->sectors_written;
    default:
        return -usage->domid;
    }
}

static void format_cell(const struct sample *sample, const struct usage *usage, enum column column, char *text,
                        size_t size)
{
    double value = value_of(usage, column);

    if (column == COLUMN_NAME)
        snprintf(text, size, "%s", usage->name);
    else if (column == COLUMN_STATE)
        snprintf(text, size, "%s", usage->state);
    else if (column == COLUMN_CPU)
        snprintf(text, size, "%.1f", value);
    else if (column == COLUMN_MEMORY_PERCENT)
        snprintf(text, size, "%.1f", sample->total_kib ? 100 * value / sample->total_kib : 0);
    else if (column == COLUMN_MAX_MEMORY && usage->max_memory_kib >= 1ULL << 32)
        snprintf(text, size, "no limit");
    else
        snprintf(text, size, "%.0f", value);
}

static void add_cell(char *line, const char *text, enum column column)
{
    size_t length = strlen(line);

    snprintf(line + length, LINE_SIZE - length, "%s%*.*s", column ? " " : "", columns[column].width,
             column == COLUMN_NAME ? -columns[column].width : 20, text);
}

static void format_heading(char *line)
{
    line[0] = '\0';
    for (enum column column = 0; column < COLUMNS_END; column++)
        add_cell(line, columns[column].heading, column);
}

static void format_line(const struct sample *sample, const struct usage *usage, char *line)
{
    char text[80];

    line[0] = '\0';
    for (enum column column = 0; column < COLUMNS_END; column++) {
        format_cell(sample, usage, column, text, sizeof(text));
        add_cell(line, text, column);
    }
}

static void format_host(const struct sample *sample, char *line)
{
    snprintf(line, LINE_SIZE, "Domus %s: %zu domains, %d CPUs; memory: %" PRIu64 " MiB, %" PRIu64 " MiB used, %" PRIu64
             " MiB free", sample->version, sample->count, sample->cpus, sample->total_kib >> 10,
             (sample->total_kib - sample->free_kib) >> 10, sample->free_kib >> 10);
}

/* --- order ------------------------------------------------------------------------------------------------------- */

/* qsort has no context. */
static enum column sort_column = COLUMN_NAME;
static bool sort_backwards;

/* Numbers from the largest on, texts from A on, domains that do not differ by number. */
static int compare(const void *a, const void *b)
{
    const struct usage *one = *(const struct usage *const *)a, *other = *(const struct usage *const *)b;
    double difference = value_of(other, sort_column) - value_of(one, sort_column);
    int order = (difference > 0) - (difference < 0);

    if (sort_column == COLUMN_NAME)
        order = strcmp(one->name, other->name);
    else if (sort_column == COLUMN_STATE)
        order = strcmp(one->state, other->state);
    if (order == 0)
        order = (one->domid > other->domid) - (one->domid < other->domid);
    return sort_backwards ? -order : order;
}

/* The domains in the order that is wanted: to be freed. */
static const struct usage **sorted(const struct sample *sample)
{
    const struct usage **order = calloc(sample->count + 1, sizeof(*order));

    for (size_t i = 0; order && i < sample->count; i++)
        order[i] = &sample->list[i];
    if (order)
        qsort(order, sample->count, sizeof(*order), compare);
    return order;
}

static bool find_column(const char *name, enum column *found)
{
    for (enum column column = 0; column < COLUMNS_END; column++) {
        if (strcmp(columns[column].name, name) == 0) {
            *found = column;
            return true;
        }
    }
    return false;
}

/* --- printed ----------------------------------------------------------------------------------------------------- */

static json_t *to_json(const struct sample *sample)
{
    json_t *array = json_array();
    const struct usage **order = sorted(sample);

    for (size_t i = 0; order && i < sample->count; i++) {
        const struct usage *usage = order[i];

        json_array_append_new(
            array, json_pack("{s:i, s:s, s:s, s:I, s:f, s:I, s:I, s:i, s:i, s:I, s:I, s:i, s:I, s:I, s:I, s:I, s:I}",
                             "domid", usage->domid, "name", usage->name, "state", usage->state, "cpu_time_ns",
                             (json_int_t)usage->cpu_ns, "cpu_percent", usage->cpu_percent, "memory_kib",
                             (json_int_t)usage->memory_kib, "max_memory_kib", (json_int_t)usage->max_memory_kib,
                             "vcpus", usage->vcpus, "cards", usage->cards, "sent", (json_int_t)usage->sent, "received",
                             (json_int_t)usage->received, "disks", usage->disks, "full_queue",
                             (json_int_t)usage->full_queue, "reads", (json_int_t)usage->reads, "writes",
                             (json_int_t)usage->writes, "sectors_read", (json_int_t)usage->sectors_read,
                             "sectors_written", (json_int_t)usage->sectors_written));
    }
    free(order);
    return json_pack("{s:b, s:I, s:I, s:i, s:o}", "ok", 1, "total_memory_kib", (json_int_t)sample->total_kib,
                     "free_memory_kib", (json_int_t)sample->free_kib, "cpus", sample->cpus, "domains", array);
}

static void print_sample(const struct sample *sample)
{
    const struct usage **order = sorted(sample);
    char line[LINE_SIZE];

    format_host(sample, line);
    puts(line);
    format_heading(line);
    puts(line);
    for (size_t i = 0; order && i < sample->count; i++) {
        format_line(sample, order[i], line);
        puts(line);
    }
    fflush(stdout);
    free(order);
}

/* --- on the terminal --------------------------------------------------------------------------------------------- */

static void draw(const struct sample *sample, size_t first)
{
    const struct usage **order = sorted(sample);
    char line[LINE_SIZE];

    erase();
    format_host(sample, line);
    mvaddnstr(0, 0, line, COLS);
    format_heading(line);
    attron(A_REVERSE);
    mvaddnstr(1, 0, line, COLS);
    attroff(A_REVERSE);
    for (size_t i = first; order && i < sample->count && (int)(i - first) + 3 < LINES; i++) {
        format_line(sample, order[i], line);
        mvaddnstr(i - first + 2, 0, line, COLS);
    }
    snprintf(line, sizeof(line), "sorted by %s%s  -  c CPU  m memory  n network  r reads  w writes  N name  < > column  "
             "/ reverse  q quit", columns[sort_column].name, sort_backwards ? ", reversed" : "");
    mvaddnstr(LINES - 1, 0, line, COLS);
    refresh();
    free(order);
}

/* Act on a key. False to end. */
static bool act(int key, size_t *first, size_t count)
{
    if (key == 'q' || key == 'Q' || key == 27)
        return false;
    if ((key == KEY_DOWN || key == KEY_NPAGE) && *first + 1 < count)
        *first += 1;
    if ((key == KEY_UP || key == KEY_PPAGE) && *first > 0)
        *first -= 1;
    if (key == '/')
        sort_backwards = !sort_backwards;
    if (key == '>' || key == KEY_RIGHT)
        sort_column = (sort_column + 1) % COLUMNS_END;
    if (key == '<' || key == KEY_LEFT)
        sort_column = (sort_column + COLUMNS_END - 1) % COLUMNS_END;
    for (enum column column = 0; column < COLUMNS_END; column++)
        if (columns[column].key && columns[column].key == key)
            sort_column = column;
    return true;
}

/* --- the command ------------------------------------------------------------------------------------------------- */

struct plan {
    bool printed;
    long delay;      /* seconds */
    long iterations; /* 0: without end */
};

/* Show `sample` for as long as it is to stand. False to end. */
static bool show(const struct invocation *invocation, const struct plan *plan, const struct sample *sample, bool last)
{
    static size_t first;
    struct pollfd input = { .fd = STDIN_FILENO, .events = POLLIN };
    int key = ERR;

    if (plan->printed) {
        if (invocation->json)
            report_json(to_json(sample));
        else
            print_sample(sample);
        if (!last)
            sleep(plan->delay);
        return true;
    }
    draw(sample, first);
    while (!last && poll(&input, 1, plan->delay * 1000) > 0 && (input.revents & POLLIN) && (key = getch()) != ERR) {
        if (!act(key, &first, sample->count))
            return false;
        draw(sample, first);
    }
    return !(input.revents & (POLLHUP | POLLERR));
}

static int run(const struct invocation *invocation, const struct plan *plan, int fd, struct failure *failure)
{
    struct sample before = { .count = 0 }, now;
    bool going = true;

    for (long turn = 1; going; turn++) {
        bool last = plan->iterations && turn >= plan->iterations;

        if (sample_take(&now, &before, fd, failure)) {
            sample_free(&now);
            sample_free(&before);
            return -1;
        }
        going = show(invocation, plan, &now, last) && !last;
        sample_free(&before);
        before = now;
    }
    sample_free(&before);
    return 0;
}

static int run_on_terminal(const struct invocation *invocation, const struct plan *plan, int fd,
                           struct failure *failure)
{
    SCREEN *screen = newterm(NULL, stdout, stdin);
    int rc;

    if (!screen) {
        failure_what(failure, "cannot use the terminal");
        failure_why(failure, "nothing is known of a terminal `%s'", getenv("TERM") ? getenv("TERM") : "");
        failure_remedy(failure, "set TERM to vt100, or use -b");
        return -1;
    }
    cbreak();
    noecho();
    curs_set(0);
    keypad(stdscr, TRUE);
    rc = run(invocation, plan, fd, failure);
    endwin();
    delscreen(screen);
    return rc;
}

int command_top(const struct invocation *invocation)
{
    const char *delay = option_value(invocation, 'd'), *count = option_value(invocation, 'i');
    const char *column = option_value(invocation, 's');
    struct plan plan = {
        .printed = option_value(invocation, 'b') || invocation->json || !isatty(STDOUT_FILENO), .delay = DELAY_DEFAULT,
    };
    struct failure failure;
    int fd, rc;

    if (delay && !parse_count(delay, 1, 3600, &plan.delay))
        return usage_error(invocation->command, "-d wants a number of seconds, 1 to 3600, not `%s'", delay);
    if (count && !parse_count(count, 1, INT32_MAX, &plan.iterations))
        return usage_error(invocation->command, "-i wants a number, not `%s'", count);
    if (column && !find_column(column, &sort_column))
        return usage_error(invocation->command, "there is no column `%s'", column);
    sort_backwards = option_value(invocation, 'r') != NULL;
    fd = daemon_open("cannot tell what domains use", &failure);
    if (fd < 0)
        return report_failure(invocation, &failure);
    rc = plan.printed ? run(invocation, &plan, fd, &failure) : run_on_terminal(invocation, &plan, fd, &failure);
    close(fd);
    return rc ? report_failure(invocation, &failure) : STATUS_OK;
}
