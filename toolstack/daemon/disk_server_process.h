/* SPDX-License-Identifier: MIT */
/*
 * The process that serves a disk's image: QEMU's qemu-nbd.
 */
#ifndef DOMUSD_DISK_SERVER_PROCESS_H
#define DOMUSD_DISK_SERVER_PROCESS_H

#include <event2/event.h>
#include <stdbool.h>

#include "disk_server_record.h"

/* Whether the program is installed. */
bool server_program_there(void);

/* A socket that listens at this path, for the server to take over; or -1 with errno. */
int server_listen(const char *path);

/*
 * Start it, with its record written before it begins. `ended` is called, with the server, when it has ended, and must
 * call server_process_end. False with errno if there can be no process.
 */
bool server_process_start(struct server *server, int listener, event_callback_fn ended);

/* Take up the process with the pid of the record; if that is another one or none by now the pid is 0, and false. */
bool server_process_adopt(struct server *server, event_callback_fn ended);

/* It has ended: be done with it. Returns its wait(2) status, 0 if another daemon started it. */
int server_process_end(struct server_process *process);

#endif
