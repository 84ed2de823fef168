/* SPDX-License-Identifier: MIT */
/*
 * HYPERVISOR_physdev_op: what a guest with real devices asks of interrupts, PCI and ports.
 * Specification: xen/physdev.h; users: Linux's arch/x86/pci/xen.c, drivers/xen/{events,pci.c}.
 */
#include <asm/current.h>
#include <asm/io_apic.h>
#include <asm/irq.h>
#include <asm/msi.h>
#include <asm/pci.h>
#include <domus/domain.h>
#include <domus/guest_access.h>
#include <domus/hypercall.h>
#include <domus/lib.h>
#include <xen/physdev.h>

#define NR_PORTS 65536
#define IO_BITMAP_BYTES (NR_PORTS / BITS_PER_BYTE)

/* What an operation reads and, if it succeeds, may answer. */
union physdev_arg {
    struct physdev_eoi eoi;
    struct physdev_pirq_eoi_gmfn eoi_map;
    struct physdev_irq_status_query status;
    struct physdev_set_iopl iopl;
    struct physdev_set_iobitmap iobitmap;
    struct physdev_map_pirq map;
    struct physdev_unmap_pirq unmap;
    struct physdev_get_free_pirq free_pirq;
    struct physdev_apic apic;
    struct physdev_irq vector;
    struct physdev_setup_gsi gsi;
    struct physdev_manage_pci manage;
    struct physdev_manage_pci_ext manage_ext;
    struct physdev_pci_device_add add;
    struct physdev_pci_device device;
    struct physdev_pci_mmcfg_reserved mmcfg;
    struct physdev_dbgp_op debug_port;
};

/* ---- For every domain ---- */

static long eoi(int cmd __unused, union physdev_arg *arg)
{
    if (pirq_to_irq(current->domain, arg->eoi.irq) < 0)
        return -EINVAL;
    pirq_guest_eoi(current->domain, arg->eoi.irq);
    return 0;
}

static long eoi_map(int cmd __unused, union physdev_arg *arg)
{
    return pirq_set_eoi_map(current->domain, arg->eoi_map.gmfn);
}

static long irq_status_query(int cmd __unused, union physdev_arg *arg)
{
    int status = pirq_status(current->domain, arg->status.irq);

    if (status < 0)
        return status;
    arg->status.flags = (uint32_t)status;
    return 0;
}

static long set_iopl(int cmd __unused, union physdev_arg *arg)
{
    if (arg->iopl.iopl > 3)
        return -EINVAL;
    current->arch.iopl = arg->iopl.iopl;
    return 0;
}

/* The bitmap is only read when the guest's user space touches a port, with all due suspicion. */
static long set_iobitmap(int cmd __unused, union physdev_arg *arg)
{
    if (arg->iobitmap.nr_ports > NR_PORTS || !guest_range_ok(arg->iobitmap.bitmap.p, IO_BITMAP_BYTES))
        return -EINVAL;
    current->arch.iobmp = arg->iobitmap.bitmap.p;
    current->arch.iobmp_limit = arg->iobitmap.nr_ports;
    return 0;
}

/* ---- Mapping of interrupts: for dom0, and for a stub domain on behalf of its target ---- */

static long map_gsi(struct domain *d, const struct physdev_map_pirq *op)
{
    if (op->index < 0)
        return -EINVAL;
    if (!current->domain->is_privileged &&
        !rangeset_contains_range(d->irq_caps, (unsigned int)op->index, (unsigned int)op->index))
        return -EPERM;
    return pirq_map_gsi(d, op->pirq, (unsigned int)op->index);
}

static long map_msi(struct domain *d, const struct physdev_map_pirq *op)
{
    struct msi_request req = {
        .sbdf = PCI_SBDF((uint16_t)(op->type == MAP_PIRQ_TYPE_MSI ? 0 : op->bus >> 16),
                         (uint8_t)op->bus, (uint8_t)op->devfn),
        .entry = op->type == MAP_PIRQ_TYPE_MULTI_MSI ? 0 : (unsigned int)op->entry_nr,
        .table_base = op->table_base,
    };

    /* Several messages would need contiguous vectors on one CPU: the driver falls back to one. */
    if (op->type == MAP_PIRQ_TYPE_MULTI_MSI && (op->entry_nr != 1 || op->table_base))
        return op->entry_nr <= 0 || op->entry_nr > 32 ? -EDOM : -EOPNOTSUPP;
    return pirq_map_msi(d, op->pirq, &req);
}

static long map_pirq(int cmd __unused, union physdev_arg *arg)
{
    struct physdev_map_pirq *op = &arg->map;
    struct domain *d;
    long ret;
    int err;

    d = get_remote_domain(op->domid, &err);
    if (!d)
        return err;
    switch (op->type) {
    case MAP_PIRQ_TYPE_GSI:
        ret = map_gsi(d, op);
        break;
    case MAP_PIRQ_TYPE_MSI:
    case MAP_PIRQ_TYPE_MSI_SEG:
    case MAP_PIRQ_TYPE_MULTI_MSI:
        ret = current->domain->is_privileged ? map_msi(d, op) : -EPERM;
        break;
    default:
        ret = -EINVAL;
        break;
    }
    put_domain(d);
    if (ret < 0)
        return ret;
    op->pirq = (int)ret;
    return 0;
}

static long unmap_pirq(int cmd __unused, union physdev_arg *arg)
{
    struct domain *d;
    long ret;
    int err;

    d = get_remote_domain(arg->unmap.domid, &err);
    if (!d)
        return err;
    ret = arg->unmap.pirq < 0 ? -EINVAL : pirq_unmap(d, (unsigned int)arg->unmap.pirq);
    put_domain(d);
    return ret;
}

static long get_free_pirq(int cmd __unused, union physdev_arg *arg)
{
    struct physdev_get_free_pirq *op = &arg->free_pirq;
    int pirq;

    if (op->type != MAP_PIRQ_TYPE_GSI && op->type != MAP_PIRQ_TYPE_MSI)
        return -EINVAL;
    pirq = pirq_get_free(current->domain, op->type == MAP_PIRQ_TYPE_MSI);
    if (pirq < 0)
        return pirq;
    op->pirq = (uint32_t)pirq;
    return 0;
}

/* ---- Interrupt controllers: dom0 ---- */

static long apic_read(int cmd __unused, union physdev_arg *arg)
{
    return ioapic_guest_read(arg->apic.apic_physbase, arg->apic.reg, &arg->apic.value);
}

static long apic_write(int cmd __unused, union physdev_arg *arg)
{
    return ioapic_guest_write(arg->apic.apic_physbase, arg->apic.reg, arg->apic.value);
}

/* Vectors are the hypervisor's: an older dom0 asks for one and only writes it into the IO-APIC. */
static long alloc_irq_vector(int cmd __unused, union physdev_arg *arg)
{
    if (!ioapic_has_gsi(arg->vector.irq))
        return -EINVAL;
    arg->vector.vector = arg->vector.irq;
    return 0;
}

static long setup_gsi(int cmd __unused, union physdev_arg *arg)
{
    const struct physdev_setup_gsi *op = &arg->gsi;

    if (op->gsi < 0 || op->triggering > 1 || op->polarity > 1)
        return -EINVAL;
    return ioapic_set_trigger((unsigned int)op->gsi, op->triggering, op->polarity);
}

/* ---- PCI: dom0 ---- */

static int add_device(pci_sbdf_t sbdf)
{
    struct pci_dev *dev;
    int ret;

    pcidevs_lock();
    ret = pci_add_dev(sbdf, &dev);
    pcidevs_unlock();
    return ret;
}

static int remove_device(pci_sbdf_t sbdf)
{
    int ret;

    pcidevs_lock();
    ret = pci_remove_dev(sbdf);
    pcidevs_unlock();
    return ret;
}

static int restore_device(pci_sbdf_t sbdf)
{
    struct pci_dev *dev;
    int ret;

    pcidevs_lock();
    dev = pci_get_dev(sbdf);
    ret = dev ? msi_restore(dev) : -ENODEV;
    pcidevs_unlock();
    return ret;
}

static int prepare_device(pci_sbdf_t sbdf, bool off)
{
    struct pci_dev *dev;
    int ret;

    pcidevs_lock();
    ret = pci_add_dev(sbdf, &dev);
    if (!ret)
        ret = msix_prepare(dev, off);
    pcidevs_unlock();
    return ret;
}

/* Operations on a function of segment 0, in the older structure. */
static long manage_pci(int cmd, union physdev_arg *arg)
{
    pci_sbdf_t sbdf = PCI_SBDF(0, arg->manage.bus, arg->manage.devfn);

    if (cmd == PHYSDEVOP_manage_pci_add)
        return add_device(sbdf);
    return cmd == PHYSDEVOP_manage_pci_remove ? remove_device(sbdf) : restore_device(sbdf);
}

static long manage_pci_add_ext(int cmd __unused, union physdev_arg *arg)
{
    if (arg->manage_ext.is_extfn && arg->manage_ext.is_virtfn)
        return -EINVAL;
    return add_device(PCI_SBDF(0, arg->manage_ext.bus, arg->manage_ext.devfn));
}

static long pci_device_add(int cmd __unused, union physdev_arg *arg)
{
    return add_device(PCI_SBDF(arg->add.seg, arg->add.bus, arg->add.devfn));
}

static long pci_device(int cmd, union physdev_arg *arg)
{
    pci_sbdf_t sbdf = PCI_SBDF(arg->device.seg, arg->device.bus, arg->device.devfn);

    switch (cmd) {
    case PHYSDEVOP_pci_device_remove:
        return remove_device(sbdf);
    case PHYSDEVOP_restore_msi_ext:
        return restore_device(sbdf);
    default:
        return prepare_device(sbdf, cmd == PHYSDEVOP_release_msix);
    }
}

static long mmcfg_reserved(int cmd __unused, union physdev_arg *arg)
{
    const struct physdev_pci_mmcfg_reserved *op = &arg->mmcfg;

    return pci_mmcfg_reserved(op->address, op->segment, op->start_bus, op->end_bus);
}

/* The hypervisor uses no USB debug port: dom0 may reset its controllers whenever it likes. */
static long debug_port(int cmd __unused, union physdev_arg *arg)
{
    uint8_t op = arg->debug_port.op;

    return op == PHYSDEVOP_DBGP_RESET_PREPARE || op == PHYSDEVOP_DBGP_RESET_DONE ? 0 : -EINVAL;
}

/* ---- Dispatch ---- */

/* Legacy: a guest tells that it has unmasked; EOI does all that is needed. */
static long unmask_notify(int cmd __unused, union physdev_arg *arg __unused)
{
    return 0;
}

#define DOM0    1       /* for dom0 alone */
#define ANSWERS 2       /* the argument goes back */

/*
 * The first version of the EOI map, which also unmasked event channels on EOI, is not offered: guests then use the second
 * or call PHYSDEVOP_eoi.
 */
static const struct {
    long (*fn)(int cmd, union physdev_arg *arg);
    uint16_t size;      /* of the argument, in bytes */
    uint8_t flags;
} operations[] = {
#define ROW(cmd, fn, member, flags) [PHYSDEVOP_##cmd] = { fn, MEMBER_SIZE(union physdev_arg, member), flags }
    ROW(eoi, eoi, eoi, 0),
    ROW(pirq_eoi_gmfn_v2, eoi_map, eoi_map, 0),
    ROW(irq_status_query, irq_status_query, status, ANSWERS),
    [PHYSDEVOP_IRQ_UNMASK_NOTIFY] = { unmask_notify, 0, 0 },
    ROW(set_iopl, set_iopl, iopl, 0),
    ROW(set_iobitmap, set_iobitmap, iobitmap, 0),
    ROW(map_pirq, map_pirq, map, ANSWERS),
    ROW(unmap_pirq, unmap_pirq, unmap, 0),
    ROW(get_free_pirq, get_free_pirq, free_pirq, ANSWERS),
    ROW(apic_read, apic_read, apic, DOM0 | ANSWERS),
    ROW(apic_write, apic_write, apic, DOM0),
    ROW(alloc_irq_vector, alloc_irq_vector, vector, DOM0 | ANSWERS),
    ROW(setup_gsi, setup_gsi, gsi, DOM0),
    ROW(manage_pci_add, manage_pci, manage, DOM0),
    ROW(manage_pci_remove, manage_pci, manage, DOM0),
    ROW(restore_msi, manage_pci, manage, DOM0),
    ROW(manage_pci_add_ext, manage_pci_add_ext, manage_ext, DOM0),
    [PHYSDEVOP_pci_device_add] = { pci_device_add, offsetof(struct physdev_pci_device_add, optarr), DOM0 },
    ROW(pci_device_remove, pci_device, device, DOM0),
    ROW(restore_msi_ext, pci_device, device, DOM0),
    ROW(prepare_msix, pci_device, device, DOM0),
    ROW(release_msix, pci_device, device, DOM0),
    ROW(pci_mmcfg_reserved, mmcfg_reserved, mmcfg, DOM0),
    ROW(dbgp_op, debug_port, debug_port, DOM0),
#undef ROW
};

long do_physdev_op(int cmd, guest_ptr_t arg)
{
    bool privileged = current->domain->is_privileged, known = (unsigned int)cmd < ARRAY_SIZE(operations);
    unsigned long i = known ? array_index_nospec((unsigned int)cmd, ARRAY_SIZE(operations)) : 0;
    union physdev_arg op;
    long rc;

    if (!known || !operations[i].fn)
        return privileged ? -ENOSYS : -EPERM;
    if ((operations[i].flags & DOM0) && !privileged)
        return -EPERM;
    if (operations[i].size && copy_from_guest(&op, (const void *)arg, operations[i].size))
        return -EFAULT;
    rc = operations[i].fn(cmd, &op);
    if (!rc && (operations[i].flags & ANSWERS))
        rc = copy_to_guest((void *)arg, &op, operations[i].size);
    return rc;
}
