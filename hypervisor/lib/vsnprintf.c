/* SPDX-License-Identifier: MIT */
/* Formatted text, as the C standard has it, without floating point and %n. */
#include <domus/lib.h>
#include <domus/string.h>

struct out {
    char *buf;
    size_t size;                /* of buf, terminator included */
    size_t len;                 /* of the whole text, stored or not */
};

struct spec {
    bool left, zero, plus, space, alt, upper;
    int width, precision;       /* precision < 0: none given */
    unsigned int base;
    char length;                /* 'H' for hh, 'L' for ll; else the letter, or 0 */
};

static void put(struct out *o, char c)
{
    if (o->len + 1 < o->size)
        o->buf[o->len] = c;
    o->len++;
}

static void put_n(struct out *o, char c, int n)
{
    while (n-- > 0)
        put(o, c);
}

static void put_string(struct out *o, const struct spec *sp, const char *s)
{
    size_t len;

    if (!s)
        s = "(null)";
    len = strnlen(s, sp->precision >= 0 ? (size_t)sp->precision : SIZE_MAX);

    if (!sp->left)
        put_n(o, ' ', sp->width - (int)len);
    for (size_t i = 0; i < len; i++)
        put(o, s[i]);
    if (sp->left)
        put_n(o, ' ', sp->width - (int)len);
}

static void put_number(struct out *o, const struct spec *sp, unsigned long value, bool negative)
{
    char digits[24];
    const char *prefix = "";
    int n = 0, zeroes, pad;

    if (negative)
        prefix = "-";
    else if (sp->plus)
        prefix = "+";
    else if (sp->space)
        prefix = " ";
    else if (sp->alt && sp->base == 16 && value)
        prefix = sp->upper ? "0X" : "0x";

    for (unsigned long v = value; v; v /= sp->base)
        digits[n++] = (sp->upper ? "0123456789ABCDEF" : "0123456789abcdef")[v % sp->base];
    if (!n && sp->precision != 0)
        digits[n++] = '0';

    zeroes = sp->precision > n ? sp->precision - n : 0;
    if (sp->alt && sp->base == 8 && !zeroes && (!n || digits[n - 1] != '0'))
        zeroes = 1;
    pad = sp->width - n - zeroes - (int)strlen(prefix);
    if (sp->zero && !sp->left && sp->precision < 0 && pad > 0) {
        zeroes += pad;
        pad = 0;
    }

    if (!sp->left)
        put_n(o, ' ', pad);
    while (*prefix)
        put(o, *prefix++);
    put_n(o, '0', zeroes);
    while (n)
        put(o, digits[--n]);
    if (sp->left)
        put_n(o, ' ', pad);
}

/* Flags, width, precision and length behind a %; returns the first byte after them. */
static const char *parse_spec(const char *p, struct spec *sp, va_list *args)
{
    *sp = (struct spec){ .precision = -1, .base = 10 };

    for (;; p++) {
        if (*p == '-')
            sp->left = true;
        else if (*p == '0')
            sp->zero = true;
        else if (*p == '+')
            sp->plus = true;
        else if (*p == ' ')
            sp->space = true;
        else if (*p == '#')
            sp->alt = true;
        else
            break;
    }

    if (*p == '*') {
        sp->width = va_arg(*args, int);
        if (sp->width < 0) {
            sp->left = true;
            sp->width = -sp->width;
        }
        p++;
    } else {
        while (isdigit_c(*p))
            sp->width = sp->width * 10 + (*p++ - '0');
    }

    if (*p == '.') {
        p++;
        if (*p == '*') {
            sp->precision = va_arg(*args, int);
            p++;
        } else {
            sp->precision = 0;
            while (isdigit_c(*p))
                sp->precision = sp->precision * 10 + (*p++ - '0');
        }
    }

    if (*p == 'h' || *p == 'l') {
        sp->length = *p++;
        if (*p == sp->length)
            sp->length = *p++ == 'h' ? 'H' : 'L';
    } else if (*p == 'z' || *p == 'j' || *p == 't') {
        sp->length = *p++;
    }
    return p;
}

static long signed_arg(const struct spec *sp, va_list *args)
{
    switch (sp->length) {
    case 'H':
        return (signed char)va_arg(*args, int);
    case 'h':
        return (short)va_arg(*args, int);
    case 0:
        return va_arg(*args, int);
    default:
        return va_arg(*args, long);
    }
}

static unsigned long unsigned_arg(const struct spec *sp, va_list *args)
{
    switch (sp->length) {
    case 'H':
        return (unsigned char)va_arg(*args, unsigned int);
    case 'h':
        return (unsigned short)va_arg(*args, unsigned int);
    case 0:
        return va_arg(*args, unsigned int);
    default:
        return va_arg(*args, unsigned long);
    }
}

static void put_conversion(struct out *o, char conversion, struct spec *sp, va_list *args)
{
    switch (conversion) {
    case 'd':
    case 'i': {
        long v = signed_arg(sp, args);

        put_number(o, sp, v < 0 ? 0 - (unsigned long)v : (unsigned long)v, v < 0);
        return;
    }
    case 'o':
        sp->base = 8;
        break;
    case 'X':
        sp->upper = true;
        sp->base = 16;
        break;
    case 'x':
        sp->base = 16;
        break;
    case 'u':
        break;
    case 'p':
        sp->base = 16;
        sp->precision = 16;
        sp->length = 'l';
        break;
    case 'c': {
        char c = (char)va_arg(*args, int);

        put_n(o, ' ', sp->left ? 0 : sp->width - 1);
        put(o, c);
        put_n(o, ' ', sp->left ? sp->width - 1 : 0);
        return;
    }
    case 's':
        put_string(o, sp, va_arg(*args, const char *));
        return;
    default:                    /* %% and what is unknown stand for themselves */
        put(o, conversion);
        return;
    }
    sp->plus = sp->space = false;
    put_number(o, sp, unsigned_arg(sp, args), false);
}

int vsnprintf(char *buf, size_t size, const char *fmt, va_list list)
{
    struct out o = { .buf = buf, .size = size };
    struct spec sp;
    va_list args;

    va_copy(args, list);
    for (; *fmt; fmt++) {
        if (*fmt != '%') {
            put(&o, *fmt);
            continue;
        }
        fmt = parse_spec(fmt + 1, &sp, &args);
        if (!*fmt)
            break;
        put_conversion(&o, *fmt, &sp, &args);
    }
    va_end(args);

    if (size)
        buf[min(o.len, size - 1)] = '\0';
    return (int)o.len;
}

int snprintf(char *buf, size_t size, const char *fmt, ...)
{
    va_list args;
    int n;

    va_start(args, fmt);
    n = vsnprintf(buf, size, fmt, args);
    va_end(args);
    return n;
}

int vscnprintf(char *buf, size_t size, const char *fmt, va_list args)
{
    int n = vsnprintf(buf, size, fmt, args);

    if ((size_t)n < size)
        return n;
    return size ? (int)(size - 1) : 0;
}

int scnprintf(char *buf, size_t size, const char *fmt, ...)
{
    va_list args;
    int n;

    va_start(args, fmt);
    n = vscnprintf(buf, size, fmt, args);
    va_end(args);
    return n;
}
