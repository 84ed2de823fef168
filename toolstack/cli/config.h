/* SPDX-License-Identifier: MIT */
/*
 * Domain configurations: a file in the format of xl.cfg(5), read with libxlutil, becomes the JSON object that the
 * daemon takes (docs/control-protocol.md).
 */
#ifndef DOMUS_CLI_CONFIG_H
#define DOMUS_CLI_CONFIG_H

#include <stddef.h>

#include <jansson.h>

#include "lib/failure.h"

/*
 * Read the file `path` (NULL: none) and `count` settings KEY=VALUE that override it. Things that have no effect are
 * told on standard error. A new reference, or NULL with *failure filled in.
 */
json_t *config_read(const char *path, char *const *settings, size_t count, struct failure *failure);

/* Settings alone, which need not make a whole configuration: changes to one. */
json_t *config_read_settings(char *const *settings, size_t count, struct failure *failure);

/*
 * The text of that file with the settings as lines behind it: a configuration that reads the same. 0 and memory to free,
 * or -1 with *failure filled in.
 */
int config_text(const char *path, char *const *settings, size_t count, char **text, size_t *size,
                struct failure *failure);

/* One item of disk= or vif= as the daemon's object. A new reference, or NULL with failure's reason and remedy set. */
json_t *disk_parse(const char *spec, struct failure *failure);
json_t *vif_parse(const char *spec, struct failure *failure);

/* What becomes of a key of xl.cfg. */
enum key_use {
    KEY_UNKNOWN,
    KEY_USED,
    KEY_IGNORED, /* a guest runs as well without it: say so and go on */
    KEY_REFUSED, /* the guest would not be what the file asks for */
};

/*
 * The use of `key`, and why it has none in *reason; for an unknown one, *near is a key it may be a misspelling of, or
 * NULL.
 */
enum key_use config_key_use(const char *key, const char **near, const char **reason);

/*
 * Call `found` for each assignment in a configuration text, in order, with the key's name and the number of its line,
 * until it returns other than 0, and return that. Text that is no configuration gives some keys or none.
 */
int config_scan_keys(const char *text, size_t size, int (*found)(void *context, const char *key, unsigned int line),
                     void *context);

/* `path` as seen from the root folder. A new reference. */
json_t *absolute_path(const char *path);

#endif
