/* SPDX-License-Identifier: MIT */
/*
 * Serial lines: 16550 UARTs, com1= and com2= as
 *     com1=<baud>|auto[,<data bits><parity><stop bits>[,<I/O port>[,<irq>]]]
 * Output waits for the UART; input comes by interrupt, and by polling if the irq is 0 or taken.
 * Specification: National Semiconductor PC16550D data sheet.
 */
#include <asm/io_apic.h>
#include <asm/machine.h>
#include <asm/processor.h>
#include <domus/console.h>
#include <domus/irq.h>
#include <domus/lib.h>
#include <domus/param.h>
#include <domus/string.h>
#include <domus/time.h>
#include <domus/timer.h>

/* Registers, as offsets from the base port. */
#define UART_DATA       0
#define UART_DLL        0       /* with LCR.DLAB: divisor */
#define UART_IER        1
#define UART_DLM        1
#define UART_IIR        2
#define UART_FCR        2
#define UART_LCR        3
#define UART_MCR        4
#define UART_LSR        5
#define UART_SCR        7

#define IER_RECEIVED    0x01
#define FCR_ENABLE      0x01
#define FCR_CLEAR       0x06    /* both FIFOs */
#define FCR_TRIGGER_8   0x80    /* interrupt when 8 bytes have come, or after a while */
#define LCR_DLAB        0x80
#define LCR_PARITY      0x08
#define LCR_EVEN        0x10
#define LCR_STOP_2      0x04
#define MCR_DTR_RTS     0x03
#define MCR_OUT2        0x08    /* connects the interrupt line */
#define LSR_RECEIVED    0x01
#define LSR_THR_EMPTY   0x20
#define LSR_ALL_SENT    0x40

#define UART_CLOCK      115200  /* baud rate of divisor 1 */
#define FIFO_SIZE       16
#define POLL_INTERVAL   MILLISECS(20)

/* Reads of the status register, about a microsecond each, until a UART counts as stuck. */
#define MAX_WAIT        100000

struct uart {
    struct console_device dev;
    char config[32];
    u16 port;
    unsigned int irq;           /* ISA; 0: poll */
    bool present;
    bool stuck;                 /* it did not empty its FIFO in time: no more waiting */
    char last;                  /* last byte sent */
    unsigned int room;          /* bytes that the FIFO is known to take */
    struct timer poll_timer;
};

static void uart_write(struct console_device *dev, const char *s, size_t len);
static void uart_flush(struct console_device *dev);

static struct uart uarts[] = {
    { .dev = { .name = "com1", .write = uart_write, .flush = uart_flush }, .config = "auto",
      .port = 0x3f8, .irq = 4 },
    { .dev = { .name = "com2", .write = uart_write, .flush = uart_flush }, .config = "auto",
      .port = 0x2f8, .irq = 3 },
};

static int __init set_config(struct uart *uart, const char *value)
{
    return strlcpy(uart->config, value, sizeof(uart->config)) < sizeof(uart->config) ? 0 : -EINVAL;
}

static int __init parse_com1(const char *value)
{
    return set_config(&uarts[0], value);
}
PARAM_CUSTOM("com1", parse_com1);

static int __init parse_com2(const char *value)
{
    return set_config(&uarts[1], value);
}
PARAM_CUSTOM("com2", parse_com2);

/* ---- Output ---- */

static void wait_for(struct uart *uart, u8 status)
{
    for (unsigned int i = 0; i < (uart->stuck ? 1 : MAX_WAIT); i++) {
        if (inb(uart->port + UART_LSR) & status) {
            uart->stuck = false;
            return;
        }
        cpu_relax();
    }
    uart->stuck = true;
}

static void send_byte(struct uart *uart, char c)
{
    if (!uart->room) {
        wait_for(uart, LSR_THR_EMPTY);
        uart->room = FIFO_SIZE;
    }
    outb((u8)c, uart->port + UART_DATA);
    uart->room--;
    uart->last = c;
}

static void uart_write(struct console_device *dev, const char *s, size_t len)
{
    struct uart *uart = container_of(dev, struct uart, dev);

    for (size_t i = 0; i < len; i++) {
        if (s[i] == '\n' && uart->last != '\r')
            send_byte(uart, '\r');
        send_byte(uart, s[i]);
    }
}

static void uart_flush(struct console_device *dev)
{
    wait_for(container_of(dev, struct uart, dev), LSR_ALL_SENT);
}

/* ---- Input ---- */

static void receive(struct uart *uart)
{
    /* A line that always has something is none: it is broken, or unplugged hardware. */
    for (unsigned int i = 0; i < 256 && (inb(uart->port + UART_LSR) & LSR_RECEIVED); i++)
        console_input((char)inb(uart->port + UART_DATA));
}

static void uart_interrupt(unsigned int irq __unused, void *data)
{
    struct uart *uart = data;

    inb(uart->port + UART_IIR);
    receive(uart);
}

static void uart_poll(void *data)
{
    struct uart *uart = data;

    receive(uart);
    set_timer(&uart->poll_timer, NOW() + POLL_INTERVAL);
}

/* ---- Set-up ---- */

/* Data bits, parity and stop bits, like "8n1", as the line control register has them; -1. */
static int __init parse_frame(const char *s)
{
    int lcr;

    if (strlen(s) < 3 || s[0] < '5' || s[0] > '8' || (s[2] != '1' && s[2] != '2'))
        return -1;
    lcr = s[0] - '5';
    switch (tolower_c(s[1])) {
    case 'n':
        break;
    case 'o':
        lcr |= LCR_PARITY;
        break;
    case 'e':
        lcr |= LCR_PARITY | LCR_EVEN;
        break;
    default:
        return -1;
    }
    return s[2] == '2' ? lcr | LCR_STOP_2 : lcr;
}

/* Read the settings in uart->config; what is left out stays as it is. False if they are wrong. */
static bool __init configure(struct uart *uart, int *lcr, unsigned long *divisor)
{
    const char *s = uart->config;
    char *end;

    *lcr = 3;
    *divisor = 0;
    if (strncmp(s, "auto", 4)) {
        unsigned long baud = strtoul(s, &end, 10);

        if (end == s || !baud || baud > UART_CLOCK)
            return false;
        *divisor = UART_CLOCK / baud;
        s = end;
    } else {
        s += 4;
    }
    if (*s == ',') {
        *lcr = parse_frame(++s);
        if (*lcr < 0)
            return false;
        s += 3;
    }
    if (*s == ',') {
        uart->port = (u16)strtoul(s + 1, &end, 0);
        s = end;
    }
    if (*s == ',') {
        uart->irq = (unsigned int)strtoul(s + 1, &end, 0);
        s = end;
    }
    return *s == '\0' && uart->irq < 16;
}

/* The scratch register keeps what is written to it, if there is a UART at all. */
static bool __init probe(const struct uart *uart)
{
    u8 saved = inb(uart->port + UART_SCR);
    bool found;

    outb(0x5a, uart->port + UART_SCR);
    found = inb(uart->port + UART_SCR) == 0x5a && inb(uart->port + UART_LSR) != 0xff;
    outb(saved, uart->port + UART_SCR);
    return found;
}

static void __init init_uart(struct uart *uart)
{
    unsigned long divisor;
    int lcr;

    if (!configure(uart, &lcr, &divisor)) {
        printk(LOG_WARN "%s=%s: not <baud>|auto[,8n1[,<port>[,<irq>]]]\n", uart->dev.name,
               uart->config);
        return;
    }
    uart->present = probe(uart);
    if (!uart->present)
        return;
    outb(0, uart->port + UART_IER);
    if (divisor) {
        outb(LCR_DLAB, uart->port + UART_LCR);
        outb((u8)divisor, uart->port + UART_DLL);
        outb((u8)(divisor >> 8), uart->port + UART_DLM);
    }
    outb((u8)lcr, uart->port + UART_LCR);
    outb(FCR_ENABLE | FCR_CLEAR, uart->port + UART_FCR);
    outb(MCR_DTR_RTS, uart->port + UART_MCR);
    console_register(&uart->dev);
}

void __init serial_init(void)
{
    for (unsigned int i = 0; i < ARRAY_SIZE(uarts); i++)
        init_uart(&uarts[i]);
}

static void __init start_input(struct uart *uart)
{
    int ret = -ENOSYS;

    if (uart->irq)
        ret = request_irq(ioapic_isa_to_gsi(uart->irq), uart_interrupt, uart->dev.name, uart);
    if (ret) {
        if (uart->irq)
            printk(LOG_INFO "%s: irq %u cannot be used (%d), polling\n", uart->dev.name, uart->irq,
                   ret);
        init_timer(&uart->poll_timer, uart_poll, uart, 0);
        set_timer(&uart->poll_timer, NOW() + POLL_INTERVAL);
        return;
    }
    outb(FCR_ENABLE | FCR_TRIGGER_8, uart->port + UART_FCR);
    outb(MCR_DTR_RTS | MCR_OUT2, uart->port + UART_MCR);
    outb(IER_RECEIVED, uart->port + UART_IER);
    receive(uart);
}

void __init serial_init_irq(void)
{
    for (unsigned int i = 0; i < ARRAY_SIZE(uarts); i++)
        if (uarts[i].present && uarts[i].dev.enabled)
            start_input(&uarts[i]);
}

bool serial_in_use(unsigned int index, u16 *port, unsigned int *irq)
{
    if (index >= ARRAY_SIZE(uarts) || !uarts[index].present || !uarts[index].dev.enabled)
        return false;
    *port = uarts[index].port;
    *irq = uarts[index].irq;
    return true;
}
