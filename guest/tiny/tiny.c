/* SPDX-License-Identifier: MIT */
/*
 * The smallest guest that does anything: it connects its console, says that it is there, and sleeps until somebody types.
 * What is typed comes back; q powers it off, R asks for a reboot, C crashes it, S suspends it. The words poweroff, reboot
 * and crash on its command line do that at once; watchdog starts one that nobody feeds. It serves where there are to be
 * hundreds of guests, guests that end, or small images of guests.
 */
#include <stddef.h>
#include <stdint.h>

#include <xen/xen.h>
#include <xen/event_channel.h>
#include <xen/io/console.h>
#include <xen/sched.h>
#include <xen/vcpu.h>

#define VIRT_BASE 0xffffffff80000000UL
#define PTE_DATA 0x67UL /* present, writable, user, accessed, dirty */
#define M2P ((const unsigned long *)MACH2PHYS_VIRT_START)

long hypercall(unsigned int number, unsigned long a, unsigned long b, unsigned long c);
void tiny_main(struct start_info *start_info);

static char shared_info_window[4096] __attribute__((aligned(4096)));
static struct shared_info *const shared_info = (struct shared_info *)shared_info_window;
static struct start_info *start_info;
static struct xencons_interface *console;
static evtchn_port_t port;

static void notify(void)
{
    struct evtchn_send send = { .port = port };

    hypercall(__HYPERVISOR_event_channel_op, EVTCHNOP_send, (unsigned long)&send, 0);
}

/* What does not fit is lost: nobody may read. */
static void put(const char *text)
{
    XENCONS_RING_IDX produced = console->out_prod;

    for (; *text && produced - console->out_cons < sizeof(console->out); text++)
        console->out[MASK_XENCONS_IDX(produced++, console->out)] = *text;
    __atomic_store_n(&console->out_prod, produced, __ATOMIC_RELEASE);
    notify();
}

static void end(unsigned int reason)
{
    struct sched_shutdown shutdown = { .reason = reason };

    hypercall(__HYPERVISOR_sched_op, SCHEDOP_shutdown, (unsigned long)&shutdown, 0);
}

static const struct {
    char key;
    const char *word;
    unsigned int reason;
} ends[] = {
    { 'q', "poweroff", SHUTDOWN_poweroff }, { 'R', "reboot", SHUTDOWN_reboot }, { 'C', "crash", SHUTDOWN_crash },
};
#define ENDS (sizeof(ends) / sizeof(ends[0]))

static void start_watchdog(void)
{
    struct sched_watchdog watchdog = { .timeout = 1 };

    hypercall(__HYPERVISOR_sched_op, SCHEDOP_watchdog, (unsigned long)&watchdog, 0);
}

static int same(const char *a, const char *b)
{
    while (*a && *a == *b) {
        a++;
        b++;
    }
    return *a == *b;
}

static const unsigned long *own_frames(void)
{
    return (const unsigned long *)start_info->mfn_list;
}

/* Tell where the list of our frames is, as it lies in the address space that we were given: for cores and images. */
static void publish_frames(void)
{
    struct arch_shared_info *arch = &shared_info->arch;

    arch->max_pfn = start_info->nr_pages;
    arch->p2m_vaddr = start_info->mfn_list;
    arch->p2m_cr3 = xen_pfn_to_cr3(own_frames()[(start_info->pt_base - VIRT_BASE) >> 12]);
}

/* Once at the start, and once more after each resumption, when all this is elsewhere. */
static void connect(void)
{
    port = start_info->console.domU.evtchn;
    console = (struct xencons_interface *)(VIRT_BASE + (M2P[start_info->console.domU.mfn] << 12));
    hypercall(__HYPERVISOR_update_va_mapping, (unsigned long)shared_info, start_info->shared_info | PTE_DATA,
              UVMF_INVLPG);
    publish_frames();
}

/*
 * An image has only frames of our own: the shared information, which is none, must not be mapped, and machine frames are
 * given by our numbers. Who restores us puts machine frames there again; who cancels the suspension (1) leaves that to us.
 */
static void suspend(void)
{
    struct sched_shutdown shutdown = { .reason = SHUTDOWN_suspend };
    unsigned long frame = own_frames()[((unsigned long)start_info - VIRT_BASE) >> 12];
    unsigned long store_mfn = start_info->store_mfn, console_mfn = start_info->console.domU.mfn;

    start_info->store_mfn = M2P[store_mfn];
    start_info->console.domU.mfn = M2P[console_mfn];
    hypercall(__HYPERVISOR_update_va_mapping, (unsigned long)shared_info, 0, UVMF_INVLPG);
    if (hypercall(__HYPERVISOR_sched_op, SCHEDOP_shutdown, (unsigned long)&shutdown, frame) == 1) {
        start_info->store_mfn = store_mfn;
        start_info->console.domU.mfn = console_mfn;
    }
    connect();
    put("TINY-RESUMED\r\n");
}

/* Send back what was typed. */
static void echo(void)
{
    XENCONS_RING_IDX consumed = console->in_cons, produced = __atomic_load_n(&console->in_prod, __ATOMIC_ACQUIRE);
    char text[2] = "";

    while (consumed != produced) {
        text[0] = console->in[MASK_XENCONS_IDX(consumed++, console->in)];
        __atomic_store_n(&console->in_cons, consumed, __ATOMIC_RELEASE);
        put(text);
        for (unsigned int i = 0; i < ENDS; i++)
            if (text[0] == ends[i].key)
                end(ends[i].reason);
        if (text[0] == 'S') {
            suspend();
            return; /* what else was typed is in the old ring */
        }
    }
}

static void obey(const char *command_line)
{
    for (unsigned int i = 0; i < ENDS; i++)
        if (same(command_line, ends[i].word))
            end(ends[i].reason);
    if (same(command_line, "watchdog"))
        start_watchdog();
}

void tiny_main(struct start_info *given)
{
    struct sched_poll poll = { .nr_ports = 1 };

    start_info = given;
    hypercall(__HYPERVISOR_vcpu_op, VCPUOP_stop_periodic_timer, 0, 0);
    connect();
    put("TINY-READY\r\n");
    obey((const char *)start_info->cmd_line);
    set_xen_guest_handle(poll.ports, &port);
    /* Events stay masked, so that nothing but the poll ends. */
    for (;;) {
        hypercall(__HYPERVISOR_sched_op, SCHEDOP_poll, (unsigned long)&poll, 0);
        __atomic_fetch_and(&shared_info->evtchn_pending[port / 64], ~(1UL << port % 64), __ATOMIC_SEQ_CST);
        echo();
    }
}
