/* SPDX-License-Identifier: MIT */
/*
 * The file that the store's journal is kept in.
 */
#ifndef DOMUSD_STORE_FILE_H
#define DOMUSD_STORE_FILE_H

/* Bring the_store to what the file says, if there is one, and begin a new file with that. 0 or -errno. */
int store_file_open(void);

/* Write what the store has journaled since the last time. */
void store_file_write(void);

#endif
