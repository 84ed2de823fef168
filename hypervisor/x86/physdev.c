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

/* Read the operation's argument, which is at guest address `arg`, into a structure. */
#define GET_ARG(op) copy_from_guest(&(op), (const void *)arg, sizeof(op))
#define PUT_ARG(op) copy_to_guest((void *)arg, &(op), sizeof(op))

/* ---- For every domain ---- */

static long eoi(guest_ptr_t arg)
{
    struct physdev_eoi op;
    int ret = GET_ARG(op);

    if (ret)
        return ret;
    if (pirq_to_irq(current->domain, op.irq) < 0)
        return -EINVAL;
    pirq_guest_eoi(current->domain, op.irq);
    return 0;
}

static long eoi_map(guest_ptr_t arg)
{
    struct physdev_pirq_eoi_gmfn op;
    int ret = GET_ARG(op);

    return ret ? ret : pirq_set_eoi_map(current->domain, op.gmfn);
}

static long irq_status_query(guest_ptr_t arg)
{
    struct physdev_irq_status_query op;
    int ret = GET_ARG(op);

    if (ret)
        return ret;
    ret = pirq_status(current->domain, op.irq);
    if (ret < 0)
        return ret;
    op.flags = (uint32_t)ret;
    return PUT_ARG(op);
}

static long set_iopl(guest_ptr_t arg)
{
    struct physdev_set_iopl op;
    int ret = GET_ARG(op);

    if (ret)
        return ret;
    if (op.iopl > 3)
        return -EINVAL;
    current->arch.iopl = op.iopl;
    return 0;
}

/* The bitmap is only read when the guest's user space touches a port, with all due suspicion. */
static long set_iobitmap(guest_ptr_t arg)
{
    struct physdev_set_iobitmap op;
    int ret = GET_ARG(op);

    if (ret)
        return ret;
    if (op.nr_ports > NR_PORTS || !guest_range_ok(op.bitmap.p, IO_BITMAP_BYTES))
        return -EINVAL;
    current->arch.iobmp = op.bitmap.p;
    current->arch.iobmp_limit = op.nr_ports;
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

static long map_pirq(guest_ptr_t arg)
{
    struct physdev_map_pirq op;
    struct domain *d;
    int err;
    long ret = GET_ARG(op);

    if (ret)
        return ret;
    d = get_remote_domain(op.domid, &err);
    if (!d)
        return err;
    switch (op.type) {
    case MAP_PIRQ_TYPE_GSI:
        ret = map_gsi(d, &op);
        break;
    case MAP_PIRQ_TYPE_MSI:
    case MAP_PIRQ_TYPE_MSI_SEG:
    case MAP_PIRQ_TYPE_MULTI_MSI:
        ret = current->domain->is_privileged ? map_msi(d, &op) : -EPERM;
        break;
    default:
        ret = -EINVAL;
        break;
    }
    put_domain(d);
    if (ret < 0)
        return ret;
    op.pirq = (int)ret;
    return PUT_ARG(op);
}

static long unmap_pirq(guest_ptr_t arg)
{
    struct physdev_unmap_pirq op;
    struct domain *d;
    int err;
    long ret = GET_ARG(op);

    if (ret)
        return ret;
    d = get_remote_domain(op.domid, &err);
    if (!d)
        return err;
    ret = op.pirq < 0 ? -EINVAL : pirq_unmap(d, (unsigned int)op.pirq);
    put_domain(d);
    return ret;
}

static long get_free_pirq(guest_ptr_t arg)
{
    struct physdev_get_free_pirq op;
    int ret = GET_ARG(op);

    if (ret)
        return ret;
    if (op.type != MAP_PIRQ_TYPE_GSI && op.type != MAP_PIRQ_TYPE_MSI)
        return -EINVAL;
    ret = pirq_get_free(current->domain, op.type == MAP_PIRQ_TYPE_MSI);
    if (ret < 0)
        return ret;
    op.pirq = (uint32_t)ret;
    return PUT_ARG(op);
}

/* ---- Interrupt controllers: dom0 ---- */

static long apic_access(int cmd, guest_ptr_t arg)
{
    struct physdev_apic op;
    int ret = GET_ARG(op);

    if (ret)
        return ret;
    if (cmd == PHYSDEVOP_apic_write)
        return ioapic_guest_write(op.apic_physbase, op.reg, op.value);
    ret = ioapic_guest_read(op.apic_physbase, op.reg, &op.value);
    return ret ? ret : PUT_ARG(op);
}

/* Vectors are the hypervisor's: an older dom0 asks for one and only writes it into the IO-APIC. */
static long alloc_irq_vector(guest_ptr_t arg)
{
    struct physdev_irq op;
    int ret = GET_ARG(op);

    if (ret)
        return ret;
    if (!ioapic_has_gsi(op.irq))
        return -EINVAL;
    op.vector = op.irq;
    return PUT_ARG(op);
}

static long setup_gsi(guest_ptr_t arg)
{
    struct physdev_setup_gsi op;
    int ret = GET_ARG(op);

    if (ret)
        return ret;
    if (op.gsi < 0 || op.triggering > 1 || op.polarity > 1)
        return -EINVAL;
    return ioapic_set_trigger((unsigned int)op.gsi, op.triggering, op.polarity);
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
static long manage_pci(int cmd, guest_ptr_t arg)
{
    struct physdev_manage_pci op;
    int ret = GET_ARG(op);
    pci_sbdf_t sbdf;

    if (ret)
        return ret;
    sbdf = PCI_SBDF(0, op.bus, op.devfn);
    if (cmd == PHYSDEVOP_manage_pci_add)
        return add_device(sbdf);
    return cmd == PHYSDEVOP_manage_pci_remove ? remove_device(sbdf) : restore_device(sbdf);
}

static long manage_pci_add_ext(guest_ptr_t arg)
{
    struct physdev_manage_pci_ext op;
    int ret = GET_ARG(op);

    if (ret)
        return ret;
    if (op.is_extfn && op.is_virtfn)
        return -EINVAL;
    return add_device(PCI_SBDF(0, op.bus, op.devfn));
}

static long pci_device_add(guest_ptr_t arg)
{
    struct physdev_pci_device_add op;
    int ret = copy_from_guest(&op, (const void *)arg,
                              offsetof(struct physdev_pci_device_add, optarr));

    return ret ? ret : add_device(PCI_SBDF(op.seg, op.bus, op.devfn));
}

static long pci_device(int cmd, guest_ptr_t arg)
{
    struct physdev_pci_device op;
    int ret = GET_ARG(op);
    pci_sbdf_t sbdf;

    if (ret)
        return ret;
    sbdf = PCI_SBDF(op.seg, op.bus, op.devfn);
    switch (cmd) {
    case PHYSDEVOP_pci_device_remove:
        return remove_device(sbdf);
    case PHYSDEVOP_restore_msi_ext:
        return restore_device(sbdf);
    default:
        return prepare_device(sbdf, cmd == PHYSDEVOP_release_msix);
    }
}

static long mmcfg_reserved(guest_ptr_t arg)
{
    struct physdev_pci_mmcfg_reserved op;
    int ret = GET_ARG(op);

    if (ret)
        return ret;
    return pci_mmcfg_reserved(op.address, op.segment, op.start_bus, op.end_bus);
}

/* The hypervisor uses no USB debug port: dom0 may reset its controllers whenever it likes. */
static long debug_port(guest_ptr_t arg)
{
    struct physdev_dbgp_op op;
    int ret = GET_ARG(op);

    if (ret)
        return ret;
    if (op.op != PHYSDEVOP_DBGP_RESET_PREPARE && op.op != PHYSDEVOP_DBGP_RESET_DONE)
        return -EINVAL;
    return 0;
}

static long dom0_op(int cmd, guest_ptr_t arg)
{
    switch (cmd) {
    case PHYSDEVOP_apic_read:
    case PHYSDEVOP_apic_write:
        return apic_access(cmd, arg);
    case PHYSDEVOP_alloc_irq_vector:
        return alloc_irq_vector(arg);
    case PHYSDEVOP_setup_gsi:
        return setup_gsi(arg);
    case PHYSDEVOP_manage_pci_add:
    case PHYSDEVOP_manage_pci_remove:
    case PHYSDEVOP_restore_msi:
        return manage_pci(cmd, arg);
    case PHYSDEVOP_manage_pci_add_ext:
        return manage_pci_add_ext(arg);
    case PHYSDEVOP_pci_device_add:
        return pci_device_add(arg);
    case PHYSDEVOP_pci_device_remove:
    case PHYSDEVOP_restore_msi_ext:
    case PHYSDEVOP_prepare_msix:
    case PHYSDEVOP_release_msix:
        return pci_device(cmd, arg);
    case PHYSDEVOP_pci_mmcfg_reserved:
        return mmcfg_reserved(arg);
    case PHYSDEVOP_dbgp_op:
        return debug_port(arg);
    default:
        return -ENOSYS;
    }
}

/*
 * The first version of the EOI map, which also unmasked event channels on EOI, is not offered:
 * guests then use the second or call PHYSDEVOP_eoi.
 */
long do_physdev_op(int cmd, guest_ptr_t arg)
{
    switch (cmd) {
    case PHYSDEVOP_eoi:
        return eoi(arg);
    case PHYSDEVOP_pirq_eoi_gmfn_v2:
        return eoi_map(arg);
    case PHYSDEVOP_irq_status_query:
        return irq_status_query(arg);
    case PHYSDEVOP_IRQ_UNMASK_NOTIFY:
        /* Legacy: a guest tells that it has unmasked; EOI does all that is needed. */
        return 0;
    case PHYSDEVOP_set_iopl:
        return set_iopl(arg);
    case PHYSDEVOP_set_iobitmap:
        return set_iobitmap(arg);
    case PHYSDEVOP_map_pirq:
        return map_pirq(arg);
    case PHYSDEVOP_unmap_pirq:
        return unmap_pirq(arg);
    case PHYSDEVOP_get_free_pirq:
        return get_free_pirq(arg);
    default:
        return current->domain->is_privileged ? dom0_op(cmd, arg) : -EPERM;
    }
}
