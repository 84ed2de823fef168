/* SPDX-License-Identifier: MIT */
/*
 * Event channels, 2-level ABI: pending and mask bits in the shared info page, and in each vCPU's
 * info a selector bit for each word of them.
 */
#include "evtchn.h"

static void raise(struct vcpu *v, unsigned int port)
{
    if (!test_and_set_bit(port / BITS_PER_LONG, &v->vcpu_info->evtchn_pending_sel))
        vcpu_mark_events_pending(v);
}

static void set_pending(struct vcpu *v, struct evtchn *chn)
{
    struct shared_info *si = v->domain->shared_info;

    if (!test_and_set_bit(chn->port, si->evtchn_pending) && !test_bit(chn->port, si->evtchn_mask))
        raise(v, chn->port);
}

static void clear_pending(struct domain *d, struct evtchn *chn)
{
    clear_bit(chn->port, d->shared_info->evtchn_pending);
}

static void unmask(struct vcpu *v, struct evtchn *chn)
{
    struct shared_info *si = v->domain->shared_info;

    if (test_and_clear_bit(chn->port, si->evtchn_mask) && test_bit(chn->port, si->evtchn_pending))
        raise(v, chn->port);
}

static bool is_pending(const struct domain *d, const struct evtchn *chn)
{
    return chn->port < EVTCHN_2L_NR_CHANNELS &&
           test_bit(chn->port, d->shared_info->evtchn_pending);
}

static bool is_busy(const struct domain *d __unused, const struct evtchn *chn __unused)
{
    return false;
}

static int set_priority(struct evtchn *chn __unused, unsigned int priority __unused)
{
    return -ENOSYS;
}

const struct evtchn_ops evtchn_2l_ops = {
    .max_ports = EVTCHN_2L_NR_CHANNELS,
    .set_pending = set_pending,
    .clear_pending = clear_pending,
    .unmask = unmask,
    .is_pending = is_pending,
    .is_busy = is_busy,
    .set_priority = set_priority,
};
