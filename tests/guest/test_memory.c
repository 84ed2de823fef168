/* SPDX-License-Identifier: MIT */
/* memory_op: reservations, exchange, maps and their arguments. */
#include "kernel.h"

#define NOBODY 0x1234

/* The last pages of the allotment: mapped nowhere by the test kernel's own data. */
static unsigned long *spare(void)
{
    return p2m + start_info->nr_pages - 64;
}

static struct xen_memory_reservation reservation(unsigned long *frames, unsigned long nr, unsigned int order)
{
    struct xen_memory_reservation r = { .nr_extents = nr, .extent_order = order, .domid = DOMID_SELF };

    set_xen_guest_handle(r.extent_start, frames);
    return r;
}

static long memory_op(unsigned int cmd, void *arg)
{
    return HCALL(memory_op, cmd, arg, 0, 0, 0);
}

static long current_reservation(void)
{
    domid_t self = DOMID_SELF;

    return memory_op(XENMEM_current_reservation, &self);
}

static void sizes(void)
{
    domid_t self = DOMID_SELF, nobody = NOBODY;

    check_eq(current_reservation(), start_info->nr_pages);
    check(memory_op(XENMEM_maximum_reservation, &self) >= (long)start_info->nr_pages);
    check_eq(memory_op(XENMEM_current_reservation, &nobody), -XEN_ESRCH);
    check_eq(memory_op(XENMEM_current_reservation, (void *)UNMAPPED), -XEN_EFAULT);
    check_eq(memory_op(XENMEM_current_reservation, (void *)HV_SECRET), -XEN_EFAULT);
    check(HCALL(memory_op, XENMEM_maximum_ram_page, 0, 0, 0, 0) > 0x1000);
    check_eq(HCALL(memory_op, 60, 0, 0, 0, 0), -XEN_ENOSYS);
}

static void decrease_and_increase(void)
{
    unsigned long frames[4];
    struct xen_memory_reservation r = reservation(frames, 4, 0);
    long before = current_reservation();

    for (unsigned int i = 0; i < 4; i++)
        frames[i] = spare()[i];
    check_eq(memory_op(XENMEM_decrease_reservation, &r), 4);
    check_eq(current_reservation(), before - 4);
    /* Twice the same: they are not ours now. */
    check_eq(memory_op(XENMEM_decrease_reservation, &r), 0);
    check_eq(current_reservation(), before - 4);
    check_eq(memory_op(XENMEM_increase_reservation, &r), 4);
    check_eq(current_reservation(), before);
    for (unsigned int i = 0; i < 4; i++)
        spare()[i] = frames[i];
}

static void populate(void)
{
    unsigned long frames[2] = { spare()[0], spare()[1] };
    struct xen_memory_reservation r = reservation(frames, 2, 0);

    check_eq(memory_op(XENMEM_decrease_reservation, &r), 2);
    frames[0] = start_info->nr_pages - 64;
    frames[1] = start_info->nr_pages - 63;
    check_eq(memory_op(XENMEM_populate_physmap, &r), 2);
    check_eq(machine_to_phys_mapping[frames[0]], start_info->nr_pages - 64);
    check_eq(machine_to_phys_mapping[frames[1]], start_info->nr_pages - 63);
    spare()[0] = frames[0];
    spare()[1] = frames[1];
}

static void bad_reservations(void)
{
    static const unsigned int cmds[] = { XENMEM_increase_reservation, XENMEM_decrease_reservation,
                                         XENMEM_populate_physmap };
    unsigned long frame = ~0UL;
    long before = current_reservation();

    for (unsigned int i = 0; i < ARRAY_SIZE(cmds); i++) {
        struct xen_memory_reservation r = reservation((void *)UNMAPPED, 1, 0);

        /* The answer is the number of extents done: there is none for errors. */
        check_eq(memory_op(cmds[i], (void *)UNMAPPED), 0);
        check_eq(memory_op(cmds[i], (void *)HV_SECRET), 0);
        check_eq(memory_op(cmds[i], (void *)NON_CANONICAL), 0);
        check_eq(memory_op(cmds[i], (void *)-8L), 0);
        if (cmds[i] != XENMEM_increase_reservation)
            check(memory_op(cmds[i], &r) <= 0);
        set_xen_guest_handle(r.extent_start, (void *)HV_SECRET);
        check(memory_op(cmds[i], &r) <= 0);
        r = reservation(&frame, 1, 0);
        r.domid = NOBODY;
        check_eq(memory_op(cmds[i], &r), 0);
        r = reservation(&frame, ~0UL, 0);
        check(memory_op(cmds[i], &r) <= 0);
        r = reservation(&frame, 1, 63);
        check(memory_op(cmds[i], &r) <= 0);
        r = reservation(&frame, 1, 200);
        check(memory_op(cmds[i], &r) <= 0);
        r = reservation(&frame, 0, 0);
        check_eq(memory_op(cmds[i], &r), 0);
    }
    check_eq(current_reservation(), before);
}

static void frames_in_use_stay(void)
{
    static unsigned long frame;
    struct xen_memory_reservation r = reservation(&frame, 1, 0);

    /* Given up while it is the root: it stays the guest's until nothing uses it. */
    frame = mfn_of((void *)start_info->pt_base);
    (void)memory_op(XENMEM_decrease_reservation, &r);
    check(((uint64_t *)start_info->pt_base)[511] & PTE_PRESENT);
    frame = 0xfffffffffUL;
    check_eq(memory_op(XENMEM_decrease_reservation, &r), 0);
    frame = 0x200;
    check_eq(memory_op(XENMEM_decrease_reservation, &r), 0);
}

static void exchange(void)
{
    unsigned long in[4], out = start_info->nr_pages - 64;
    struct xen_memory_exchange x = { .nr_exchanged = 0 };
    long before = current_reservation();

    for (unsigned int i = 0; i < 4; i++)
        in[i] = spare()[i];
    x.in = reservation(in, 4, 0);
    x.out = reservation(&out, 1, 2);
    check_eq(memory_op(XENMEM_exchange, &x), 0);
    check_eq(x.nr_exchanged, 4);
    check_eq(out & 3, 0);
    check_eq(machine_to_phys_mapping[out + 3], start_info->nr_pages - 61);
    check_eq(current_reservation(), before);
    for (unsigned int i = 0; i < 4; i++)
        spare()[i] = out + i;
}

static void bad_exchanges(void)
{
    unsigned long in[4] = { spare()[0], spare()[1], spare()[2], spare()[3] };
    unsigned long out[4] = { start_info->nr_pages - 64 };
    struct xen_memory_exchange x = { .nr_exchanged = 0 }, good;
    long before = current_reservation();

    x.in = reservation(in, 4, 0);
    x.out = reservation(out, 1, 2);
    good = x;
    check_eq(memory_op(XENMEM_exchange, (void *)UNMAPPED), -XEN_EFAULT);
    check_eq(memory_op(XENMEM_exchange, (void *)HV_SECRET), -XEN_EFAULT);
    x.out.nr_extents = 2;
    check(memory_op(XENMEM_exchange, &x) < 0);
    x = good;
    x.nr_exchanged = 5;
    check(memory_op(XENMEM_exchange, &x) < 0);
    x = good;
    x.in.nr_extents = ~0UL >> 1;
    check(memory_op(XENMEM_exchange, &x) < 0);
    x = good;
    x.in.extent_order = 60;
    check(memory_op(XENMEM_exchange, &x) < 0);
    x = good;
    set_xen_guest_handle(x.in.extent_start, (void *)HV_SECRET);
    check(memory_op(XENMEM_exchange, &x) < 0);
    x = good;
    x.out.domid = NOBODY;
    check(memory_op(XENMEM_exchange, &x) < 0);
    x = good;
    in[2] = ~0UL;
    check(memory_op(XENMEM_exchange, &x) < 0);
    in[2] = in[1];
    x = good;
    check(memory_op(XENMEM_exchange, &x) < 0);
    check_eq(current_reservation(), before);
}

static void memory_maps(void)
{
    static struct e820 { uint64_t addr, size; uint32_t type; } __attribute__((packed)) map[64];
    struct xen_memory_map m = { .nr_entries = ARRAY_SIZE(map) };

    set_xen_guest_handle(m.buffer, map);
    check_eq(memory_op(XENMEM_machine_memory_map, &m), 0);
    check(m.nr_entries > 2 && m.nr_entries <= ARRAY_SIZE(map));
    check(map[0].addr == 0 && map[0].type == 1);
    set_xen_guest_handle(m.buffer, (void *)HV_SECRET);
    check_eq(memory_op(XENMEM_machine_memory_map, &m), -XEN_EFAULT);
    check_eq(memory_op(XENMEM_machine_memory_map, (void *)UNMAPPED), -XEN_EFAULT);
    check_eq(memory_op(XENMEM_memory_map, (void *)UNMAPPED), -XEN_EFAULT);
}

static void physmap_of_pv(void)
{
    struct xen_add_to_physmap add = { .domid = DOMID_SELF, .space = XENMAPSPACE_shared_info, .gpfn = 0x100 };
    struct xen_remove_from_physmap remove = { .domid = DOMID_SELF, .gpfn = 0x100 };

    /* A PV guest has no physical map to change: grant frames are all that may be asked for. */
    check_eq(memory_op(XENMEM_add_to_physmap, &add), -XEN_EACCES);
    add.domid = NOBODY;
    check_eq(memory_op(XENMEM_add_to_physmap, &add), -XEN_ESRCH);
    check_eq(memory_op(XENMEM_add_to_physmap, (void *)UNMAPPED), -XEN_EFAULT);
    check(memory_op(XENMEM_remove_from_physmap, &remove) < 0);
    remove.domid = NOBODY;
    check_eq(memory_op(XENMEM_remove_from_physmap, &remove), -XEN_ESRCH);
}

static void machphys(void)
{
    unsigned long frames[4];
    struct xen_machphys_mfn_list list = { .max_extents = ARRAY_SIZE(frames) };
    struct xen_machphys_mapping mapping;

    set_xen_guest_handle(list.extent_start, frames);
    check_eq(memory_op(XENMEM_machphys_mfn_list, &list), 0);
    check(list.nr_extents >= 1 && list.nr_extents <= 4);
    set_xen_guest_handle(list.extent_start, (void *)HV_SECRET);
    check_eq(memory_op(XENMEM_machphys_mfn_list, &list), -XEN_EFAULT);
    check_eq(memory_op(XENMEM_machphys_mapping, &mapping), 0);
    check_eq(mapping.v_start, HV_START);
    check_eq(memory_op(XENMEM_machphys_mapping, (void *)HV_SECRET), -XEN_EFAULT);
}

static void acquire_resource(void)
{
    unsigned long frame = 0;
    struct xen_mem_acquire_resource r = { .domid = NOBODY, .type = XENMEM_resource_grant_table, .nr_frames = 1 };

    set_xen_guest_handle(r.frame_list, &frame);
    check_eq(memory_op(XENMEM_acquire_resource, &r), -XEN_ESRCH);
    r.domid = DOMID_SELF;
    r.pad = 1;
    check(memory_op(XENMEM_acquire_resource, &r) < 0);
    check_eq(memory_op(XENMEM_acquire_resource, (void *)UNMAPPED), -XEN_EFAULT);
}

TESTS({ "sizes", sizes }, { "decrease and increase", decrease_and_increase }, { "populate", populate },
      { "bad reservations", bad_reservations }, { "frames in use stay", frames_in_use_stay },
      { "exchange", exchange }, { "bad exchanges", bad_exchanges }, { "memory maps", memory_maps },
      { "physical map of a PV guest", physmap_of_pv }, { "machine-to-physical table", machphys },
      { "acquire_resource", acquire_resource });
