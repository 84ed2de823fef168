/* SPDX-License-Identifier: MIT */
/* Keys of the hypervisor's console: a table of handlers, and the key that lists them. */
#include <domus/keyhandler.h>
#include <domus/lib.h>

#define NR_KEYS 128

static struct key {
    keyhandler_fn *fn;
    const char *desc;
} keys[NR_KEYS];

void register_keyhandler(char key, keyhandler_fn *fn, const char *desc)
{
    unsigned int index = (unsigned char)key;

    BUG_ON(index >= NR_KEYS);
    keys[index] = (struct key){ .fn = fn, .desc = desc };
}

void handle_keypress(char key)
{
    unsigned int index = (unsigned char)key;

    if (index >= NR_KEYS || !keys[index].fn)
        return;
    printk(LOG_ERR "'%c' pressed: %s\n", key, keys[index].desc);
    keys[index].fn(key);
}

static void show_help(char key __unused)
{
    for (unsigned int i = 0; i < NR_KEYS; i++)
        if (keys[i].fn)
            printk(LOG_ERR " %c  %s\n", (char)i, keys[i].desc);
}

void __init keyhandler_init(void)
{
    register_keyhandler('h', show_help, "this list of keys");
}
