/* SPDX-License-Identifier: MIT */
/*
 * All of a store that a restart has to keep, as bytes to compare.
 */
#ifndef STORE_TEST_DESCRIBE_H
#define STORE_TEST_DESCRIBE_H

#include "lib/bytes.h"
#include "store/store.h"

/* Append it to `out`; the order of watches does not matter and is left out. */
void describe_store(struct store *store, struct bytes *out);

#endif
