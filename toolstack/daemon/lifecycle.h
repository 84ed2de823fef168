/* SPDX-License-Identifier: MIT */
/*
 * The life of a domain: made, running, ended, made again. Every step either goes on to the next or leads to the domain
 * being taken down with all that was made for it.
 */
#ifndef DOMUSD_LIFECYCLE_H
#define DOMUSD_LIFECYCLE_H

#include "domain.h"
#include "domain_set.h"

/* How a domain is to be made, and who is told what about it. */
struct creation {
    bool paused;
    void *context;
    /* It is going to be made: the moment to add a waiter to `domain->made`. */
    void (*accepted)(void *context, struct domain *domain);
    void (*progress)(void *context, const char *step); /* or NULL */
};

/*
 * Make a domain of a configuration, checked here against everything that can be known before. False with *failure set
 * if it is refused; otherwise the outcome is told to the waiters of `domain->made`, maybe before this returns.
 */
bool lifecycle_create(json_t *object, const struct creation *creation, struct failure *failure);

/* Take a domain down, whatever it is doing; `domain->ended` is told when nothing is left. */
void lifecycle_destroy(struct domain *domain);

/*
 * Take a domain down that is neither being taken down yet nor being made. `state` says what for: DOMAIN_ENDING, or
 * DOMAIN_RESTARTING to make it again afterwards.
 */
void lifecycle_take_down(struct domain *domain, enum domain_state state);

/* Look after domains whose state changed, as `set` shows. */
void lifecycle_check(const struct domain_set *set);

/* After a start of the daemon: go on with every domain where it stands. */
void lifecycle_recover(void);

/* The body of the process that destroys domain `domid`, which may take long. Returns its exit status. */
int lifecycle_reap(uint32_t domid);

#endif
