/* SPDX-License-Identifier: MIT */
/*
 * VGA text screen, 80 by 25: messages until dom0's kernel takes the screen over (vga=keep: for
 * ever). The last line scrolls.
 */
#include <asm/acpi.h>
#include <asm/efi.h>
#include <asm/machine.h>
#include <asm/mm_init.h>
#include <asm/processor.h>
#include <domus/console.h>
#include <domus/lib.h>
#include <domus/param.h>
#include <domus/string.h>
#include <xen/xen.h>

#define VGA_MEMORY      0xb8000
#define COLUMNS         80
#define ROWS            25
#define FONT_HEIGHT     16
#define ATTRIBUTE       0x0700      /* light grey on black */

/* Graphics controller: the index register, and the one that says if the mode is one of text. */
#define GRAPHICS_INDEX  0x3ce
#define GRAPHICS_DATA   0x3cf
#define GRAPHICS_MISC   0x06
#define MISC_GRAPHICS   0x01
#define CRTC_INDEX      0x3d4
#define CRTC_DATA       0x3d5
#define CRTC_CURSOR_HI  0x0e
#define CRTC_CURSOR_LO  0x0f

static char opt_vga[8];
PARAM_STRING("vga", opt_vga);

static volatile u16 *screen;
static unsigned int row = ROWS - 1, column;

static void move_cursor(void)
{
    unsigned int position = row * COLUMNS + column;

    outb(CRTC_CURSOR_HI, CRTC_INDEX);
    outb((u8)(position >> 8), CRTC_DATA);
    outb(CRTC_CURSOR_LO, CRTC_INDEX);
    outb((u8)position, CRTC_DATA);
}

static void new_line(void)
{
    column = 0;
    if (++row < ROWS)
        return;
    row = ROWS - 1;
    for (unsigned int i = 0; i < (ROWS - 1) * COLUMNS; i++)
        screen[i] = screen[i + COLUMNS];
    for (unsigned int i = 0; i < COLUMNS; i++)
        screen[(ROWS - 1) * COLUMNS + i] = ATTRIBUTE | ' ';
}

static void vga_write(struct console_device *dev __unused, const char *s, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (s[i] == '\n') {
            new_line();
        } else if (s[i] == '\r') {
            column = 0;
        } else if (s[i] == '\b') {
            column -= column > 0;
        } else if (isprint_c(s[i])) {
            if (column == COLUMNS)
                new_line();
            screen[row * COLUMNS + column++] = ATTRIBUTE | (u8)s[i];
        }
    }
    move_cursor();
}

static struct console_device vga_device = { .name = "vga", .write = vga_write };

static bool __init text_mode(void)
{
    u8 index = inb(GRAPHICS_INDEX), misc;

    outb(GRAPHICS_MISC, GRAPHICS_INDEX);
    misc = inb(GRAPHICS_DATA);
    outb(index, GRAPHICS_INDEX);
    return misc != 0xff && !(misc & MISC_GRAPHICS);
}

void __init vga_init(void)
{
    /* UEFI has no text mode, whatever the registers of a card say that it drives in its own way. */
    if (efi_booted() || !text_mode())
        return;
    screen = ioremap(VGA_MEMORY, ROWS * COLUMNS * sizeof(*screen));
    if (screen)
        console_register(&vga_device);
}

void vga_end_boot(void)
{
    if (screen && strcmp(opt_vga, "keep"))
        console_unregister(&vga_device);
}

bool vga_console_info(struct dom0_vga_console_info *info)
{
    if (!screen)
        return false;
    *info = (struct dom0_vga_console_info){ .video_type = XEN_VGATYPE_TEXT_MODE_3 };
    info->u.text_mode_3.font_height = FONT_HEIGHT;
    info->u.text_mode_3.cursor_x = (uint16_t)min(column, COLUMNS - 1u);
    info->u.text_mode_3.cursor_y = (uint16_t)row;
    info->u.text_mode_3.rows = ROWS;
    info->u.text_mode_3.columns = COLUMNS;
    return true;
}
