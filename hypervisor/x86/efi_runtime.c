/* SPDX-License-Identifier: MIT */
/*
 * UEFI's runtime services, which dom0 calls through the hypervisor: variables, clock, alarm. UEFI specification 2.8,
 * chapter 8; the request: <xen/platform.h>.
 *
 * The firmware is never told other addresses than those it started with. So it runs in an address space of its own,
 * where its memory, and nothing else below the hypervisor's slots, is mapped one to one; its code is writable there
 * where it does not say that it need not be. It runs with interrupts off, so that nothing else sees this address space,
 * and gets copies of what dom0 passes.
 */
#include <domus/domain.h>
#include <domus/guest_access.h>
#include <domus/heap.h>
#include <domus/lib.h>
#include <domus/param.h>
#include <domus/spinlock.h>
#include <domus/string.h>
#include <domus/xmalloc.h>
#include <asm/current.h>
#include <asm/efi.h>
#include <asm/flushtlb.h>
#include <asm/fpu.h>
#include <asm/mm_init.h>
#include <asm/processor.h>
#include <asm/pv_mm.h>
#include <xen/platform.h>

#define EFI_RUNTIME_CODE    5
#define EFI_ATTR_WB         (1ULL << 3)
#define EFI_ATTR_XP         (1ULL << 14)
#define EFI_ATTR_RO         (1ULL << 17)
#define EFI_ATTR_RUNTIME    (1ULL << 63)

/* Longer names and values are no variables of any firmware. */
#define MAX_NAME            1024        /* bytes, with the zero at the end */
#define MAX_DATA            KB(64)

#define EFI_CALL __attribute__((ms_abi))

struct efi_time {
    u16 year;
    u8 month, day, hour, minute, second, pad1;
    u32 ns;
    s16 zone;
    u8 daylight, pad2;
};

struct efi_time_capabilities {
    u32 resolution, accuracy;
    u8 set_clears_ns;
};

typedef u64 efi_status;

struct efi_runtime_services {
    u8 header[24];
    efi_status EFI_CALL (*get_time)(struct efi_time *time, struct efi_time_capabilities *caps);
    efi_status EFI_CALL (*set_time)(struct efi_time *time);
    efi_status EFI_CALL (*get_wakeup_time)(u8 *enabled, u8 *pending, struct efi_time *time);
    efi_status EFI_CALL (*set_wakeup_time)(u8 enable, struct efi_time *time);
    u64 set_virtual_address_map, convert_pointer;
    efi_status EFI_CALL (*get_variable)(u16 *name, struct xenpf_efi_guid *guid, u32 *attributes, u64 *size, void *data);
    efi_status EFI_CALL (*get_next_variable_name)(u64 *size, u16 *name, struct xenpf_efi_guid *guid);
    efi_status EFI_CALL (*set_variable)(u16 *name, struct xenpf_efi_guid *guid, u32 attributes, u64 size, void *data);
    efi_status EFI_CALL (*get_next_high_monotonic_count)(u32 *count);
    u64 reset_system, update_capsule, query_capsule_capabilities;
    efi_status EFI_CALL (*query_variable_info)(u32 attributes, u64 *max_store, u64 *remaining, u64 *max_size);
};

/* efi=no-rs: firmware that cannot be trusted to be called. */
static char opt_efi[16];
PARAM_STRING("efi", opt_efi);

static const struct efi_runtime_services *services;     /* its machine address, for use in efi_l4 only; NULL: none */
static pte_t *efi_l4;
static DEFINE_SPINLOCK(efi_lock, RANK_PLATFORM);        /* the firmware serves one CPU at a time */

/* ---- The address space ---- */

static pte_t *__init next_table(pte_t *entry)
{
    pte_t *table;

    if (pte_present(*entry))
        return maddr_to_virt(pte_maddr(*entry));
    table = alloc_heap_pages(0, MEMF_zero);
    if (table)
        *entry = pte_from_maddr(virt_to_maddr(table), PAGE_HV_TABLE);
    return table;
}

static bool __init map_page_one_to_one(u64 addr, u64 flags)
{
    pte_t *l3 = next_table(&efi_l4[l4_index(addr)]);
    pte_t *l2 = l3 ? next_table(&l3[l3_index(addr)]) : NULL;
    pte_t *l1 = l2 ? next_table(&l2[l2_index(addr)]) : NULL;

    if (!l1)
        return false;
    l1[l1_index(addr)] = pte_from_maddr(addr, flags);
    return true;
}

static bool __init map_region(const struct efi_region *r)
{
    u64 flags = _PAGE_PRESENT | _PAGE_ACCESSED | _PAGE_DIRTY;

    if (!(r->attributes & EFI_ATTR_RO))
        flags |= _PAGE_RW;
    if (r->type != EFI_RUNTIME_CODE || (r->attributes & EFI_ATTR_XP))
        flags |= _PAGE_NX;
    if (!(r->attributes & EFI_ATTR_WB))
        flags |= PAGE_CACHE_UC;
    if (r->start + (r->pages << PAGE_SHIFT) > 1UL << 47)           /* only the lower half is free */
        return false;
    for (u64 i = 0; i < r->pages; i++)
        if (!map_page_one_to_one(r->start + (i << PAGE_SHIFT), flags))
            return false;
    return true;
}

void __init efi_runtime_init(u64 table, const struct efi_region *region, unsigned int nr_regions)
{
    bool mapped = false;

    if (!strcmp(opt_efi, "no-rs") || !table)
        return;
    efi_l4 = alloc_heap_pages(0, MEMF_zero);
    if (!efi_l4)
        return;
    init_hypervisor_l4_slots(efi_l4);
    for (unsigned int i = 0; i < nr_regions; i++) {
        const struct efi_region *r = &region[i];

        if (!(r->attributes & EFI_ATTR_RUNTIME))
            continue;
        if (!map_region(r)) {
            printk(LOG_WARN "UEFI: region of %lu pages at %#lx cannot be mapped: no runtime services\n", r->pages,
                   r->start);
            return;
        }
        mapped |= table >= r->start && table + sizeof(*services) <= r->start + (r->pages << PAGE_SHIFT);
    }
    if (mapped)
        services = (const struct efi_runtime_services *)table;
    else
        printk(LOG_WARN "UEFI: the firmware does not keep its runtime services' table\n");
}

/* ---- Calls ---- */

/*
 * Between the two the firmware can be called; interrupts are off, and the guest's FPU state is put aside: with its control
 * words an exception of the firmware's own arithmetic would be the hypervisor's. UEFI specification, section 2.3.4.
 */
static unsigned long enter_firmware(void)
{
    unsigned long flags;
    u64 stamp;

    spin_lock_irqsave(&efi_lock, flags);
    vcpu_fpu_save(current);
    fpu_reset_registers();
    stamp = tlbflush_pre_cr3();
    write_cr3(virt_to_maddr(efi_l4));
    tlbflush_post_cr3(stamp);
    return flags;
}

static void leave_firmware(unsigned long flags)
{
    write_ptbase(current);
    vcpu_fpu_restore(current);
    spin_unlock_irqrestore(&efi_lock, flags);
}

#define CALL(status, service, ...)                          \
    do {                                                    \
        unsigned long flags_ = enter_firmware();            \
                                                            \
        (status) = services->service(__VA_ARGS__);          \
        leave_firmware(flags_);                             \
    } while (0)

static struct efi_time time_from_guest(const struct xenpf_efi_time *time)
{
    return (struct efi_time){
        .year = time->year, .month = time->month, .day = time->day, .hour = time->hour, .minute = time->min,
        .second = time->sec, .ns = time->ns, .zone = time->tz, .daylight = time->daylight,
    };
}

static struct xenpf_efi_time time_to_guest(const struct efi_time *time)
{
    return (struct xenpf_efi_time){
        .year = time->year, .month = time->month, .day = time->day, .hour = time->hour, .min = time->minute,
        .sec = time->second, .ns = time->ns, .tz = time->zone, .daylight = time->daylight,
    };
}

static long get_time(struct xenpf_efi_runtime_call *call)
{
    struct efi_time_capabilities caps = { 0 };
    struct efi_time time = { 0 };

    if (call->misc)
        return -EINVAL;
    CALL(call->status, get_time, &time, &caps);
    call->u.get_time.time = time_to_guest(&time);
    call->u.get_time.resolution = caps.resolution;
    call->u.get_time.accuracy = caps.accuracy;
    call->misc = caps.set_clears_ns ? XEN_EFI_GET_TIME_SET_CLEARS_NS : 0;
    return 0;
}

static long set_time(struct xenpf_efi_runtime_call *call)
{
    struct efi_time time = time_from_guest(&call->u.set_time);

    if (call->misc)
        return -EINVAL;
    CALL(call->status, set_time, &time);
    return 0;
}

static long get_wakeup_time(struct xenpf_efi_runtime_call *call)
{
    struct efi_time time = { 0 };
    u8 enabled = 0, pending = 0;

    if (call->misc)
        return -EINVAL;
    CALL(call->status, get_wakeup_time, &enabled, &pending, &time);
    call->u.get_wakeup_time = time_to_guest(&time);
    call->misc = (enabled ? XEN_EFI_GET_WAKEUP_TIME_ENABLED : 0) | (pending ? XEN_EFI_GET_WAKEUP_TIME_PENDING : 0);
    return 0;
}

static long set_wakeup_time(struct xenpf_efi_runtime_call *call)
{
    struct efi_time time = time_from_guest(&call->u.set_wakeup_time);
    bool enable = call->misc & XEN_EFI_SET_WAKEUP_TIME_ENABLE;
    bool as_it_is = call->misc & XEN_EFI_SET_WAKEUP_TIME_ENABLE_ONLY;

    if (call->misc & ~(XEN_EFI_SET_WAKEUP_TIME_ENABLE | XEN_EFI_SET_WAKEUP_TIME_ENABLE_ONLY))
        return -EINVAL;
    CALL(call->status, set_wakeup_time, enable, enable && !as_it_is ? &time : NULL);
    return 0;
}

static long monotonic_count(struct xenpf_efi_runtime_call *call)
{
    if (call->misc)
        return -EINVAL;
    CALL(call->status, get_next_high_monotonic_count, &call->misc);
    return 0;
}

/* A variable's name, zero at its end included, into name[]. -EINVAL: too long. */
static long copy_name(u16 *name, const void *from)
{
    for (unsigned int i = 0; i < MAX_NAME / sizeof(*name); i++) {
        if (copy_from_guest(&name[i], (const u16 *)from + i, sizeof(*name)))
            return -EFAULT;
        if (!name[i])
            return 0;
    }
    return -EINVAL;
}

/* The buffers of a call that has a name, a value, or both. */
struct buffers {
    u16 name[MAX_NAME / sizeof(u16)];
    u8 data[];
};

static long get_variable(struct xenpf_efi_runtime_call *call, struct buffers *b)
{
    u64 size = min_t(u64, call->u.get_variable.size, MAX_DATA);
    u32 attributes = 0;

    CALL(call->status, get_variable, b->name, &call->u.get_variable.vendor_guid, &attributes, &size, b->data);
    if (call->status == 0 && copy_to_guest(call->u.get_variable.data.p, b->data, min_t(u64, size, MAX_DATA)))
        return -EFAULT;
    call->u.get_variable.size = size;
    call->misc = attributes;
    return 0;
}

static long set_variable(struct xenpf_efi_runtime_call *call, struct buffers *b)
{
    u64 size = call->u.set_variable.size;

    if (copy_from_guest(b->data, call->u.set_variable.data.p, size))
        return -EFAULT;
    CALL(call->status, set_variable, b->name, &call->u.set_variable.vendor_guid, call->misc, size, b->data);
    return 0;
}

static long variable(struct xenpf_efi_runtime_call *call)
{
    bool set = call->function == XEN_EFI_set_variable;
    u64 size = set ? call->u.set_variable.size : min_t(u64, call->u.get_variable.size, MAX_DATA);
    struct buffers *b;
    long rc;

    if ((!set && call->misc) || size > MAX_DATA)
        return -EINVAL;
    b = xzalloc_bytes(sizeof(*b) + size);
    if (!b)
        return -ENOMEM;
    rc = copy_name(b->name, set ? call->u.set_variable.name.p : call->u.get_variable.name.p);
    if (rc == 0)
        rc = set ? set_variable(call, b) : get_variable(call, b);
    xfree(b);
    return rc;
}

/* The name of the one before is in the buffer in which the next one is returned. */
static long next_variable_name(struct xenpf_efi_runtime_call *call)
{
    u64 size = min_t(u64, call->u.get_next_variable_name.size, MAX_NAME);
    struct buffers *b;
    long rc;

    if (call->misc)
        return -EINVAL;
    b = xzalloc_bytes(sizeof(*b));
    if (!b)
        return -ENOMEM;
    rc = copy_name(b->name, call->u.get_next_variable_name.name.p);
    if (rc == 0) {
        CALL(call->status, get_next_variable_name, &size, b->name, &call->u.get_next_variable_name.vendor_guid);
        if (call->status == 0 &&
            copy_to_guest(call->u.get_next_variable_name.name.p, b->name, min_t(u64, size, MAX_NAME)))
            rc = -EFAULT;
        call->u.get_next_variable_name.size = size;
    }
    xfree(b);
    return rc;
}

static long query_variable_info(struct xenpf_efi_runtime_call *call)
{
    u64 max_store = 0, remaining = 0, max_size = 0;

    /* What was at boot is not kept. */
    if (call->misc & XEN_EFI_VARINFO_BOOT_SNAPSHOT)
        return -EOPNOTSUPP;
    if (call->misc)
        return -EINVAL;
    CALL(call->status, query_variable_info, call->u.query_variable_info.attr, &max_store, &remaining, &max_size);
    call->u.query_variable_info.max_store_size = max_store;
    call->u.query_variable_info.remain_store_size = remaining;
    call->u.query_variable_info.max_size = max_size;
    return 0;
}

long efi_runtime_call(struct xenpf_efi_runtime_call *call)
{
    if (!services)
        return -ENOSYS;
    switch (call->function) {
    case XEN_EFI_get_time:
        return get_time(call);
    case XEN_EFI_set_time:
        return set_time(call);
    case XEN_EFI_get_wakeup_time:
        return get_wakeup_time(call);
    case XEN_EFI_set_wakeup_time:
        return set_wakeup_time(call);
    case XEN_EFI_get_next_high_monotonic_count:
        return monotonic_count(call);
    case XEN_EFI_get_variable:
    case XEN_EFI_set_variable:
        return variable(call);
    case XEN_EFI_get_next_variable_name:
        return next_variable_name(call);
    case XEN_EFI_query_variable_info:
        return query_variable_info(call);
    default:
        return -ENOSYS;                 /* capsules: Xen has none either */
    }
}
