# SPDX-License-Identifier: MIT
"""Ways to boot, machines to boot on."""
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from machine import IMAGES, OUT, boot, check, initramfs, run_qemu

COUNT_CPUS = """
[ "$(grep -c ^processor /proc/cpuinfo)" = %d ] || fail "not all CPUs run"
"""


@pytest.mark.parametrize("smp", [1, 4])
def test_dom0_has_as_many_cpus_as_the_machine(smp):
    check(boot(COUNT_CPUS % smp, smp=smp))


def test_a_cpu_without_smap():
    check(boot(COUNT_CPUS % 2, cpu="max,-smap,-smep,-rdtscp,-xsave,-fsgsbase"))


def test_little_memory_for_dom0():
    check(boot("true\n", memory="1G", hv_args="dom0_mem=256M", packed=True))


DEVICES = """
modprobe -a sd_mod ahci virtio_blk e1000
wait_until 60 [ -b /dev/vda ] || fail "no virtio disk"
wait_until 60 [ -b /dev/sda ] || fail "no AHCI disk"
for disk in vda sda; do
    dd if=/dev/urandom of=/tmp/data bs=64k count=16 2>/dev/null
    dd if=/tmp/data of=/dev/$disk bs=64k conv=fsync 2>/dev/null
    echo 3 > /proc/sys/vm/drop_caches
    dd if=/dev/$disk bs=64k count=16 2>/dev/null | cmp - /tmp/data || fail "$disk does not keep what is written"
done
for card in /sys/class/net/eth*; do
    name=$(basename $card)
    ip link set $name up
    udhcpc -i $name -n -q -t 10 -s /bin/true || fail "no DHCP answer over $name ($(readlink $card))"
    ip link set $name down
done
[ "$(ls -d /sys/class/net/eth* | wc -l)" = 2 ] || fail "not both network cards are there"
hwclock -r -f /dev/rtc0 || fail "no real-time clock"
modprobe -a xhci_pci usbhid hid_generic
wait_until 30 grep -q 'QEMU USB Keyboard' /proc/bus/input/devices || fail "no USB keyboard"
"""


def test_dom0_drives_the_devices():
    with tempfile.TemporaryDirectory() as tmp:
        extra = ["-M", "sata=on", "-netdev", "user,id=n0", "-device", "virtio-net-pci,netdev=n0",
                 "-netdev", "user,id=n1", "-device", "e1000,netdev=n1",
                 "-device", "qemu-xhci", "-device", "usb-kbd"]
        for name, device in (("v", "virtio-blk-pci"), ("a", "ide-hd")):
            disk = Path(tmp, name)
            disk.write_bytes(bytes(4 << 20))
            extra += ["-drive", f"file={disk},if=none,id={name},format=raw", "-device", f"{device},drive={name}"]
        check(boot(DEVICES, extra=extra))


GRUB_CFG = """
set timeout=0
serial --unit=0 --speed=115200
terminal_output serial
menuentry Domus {
    multiboot2 /boot/domus console=com1 dom0_mem=%s
    %s
}
"""
FIRMWARE = {"bios": [], "uefi": ["-bios", "/usr/share/ovmf/OVMF.fd"]}


def boot_iso(firmware, dom0_mem, modules):
    """Boots an ISO that both kinds of firmware can boot. modules: a file and its command line each."""
    with tempfile.TemporaryDirectory() as tmp:
        iso = Path(tmp, "iso")
        (iso / "boot/grub").mkdir(parents=True)
        lines = []
        for file, words in modules:
            shutil.copy(file, iso / "boot")
            lines.append(f"module2 /boot/{Path(file).name} {words}")
        (iso / "boot/grub/grub.cfg").write_text(GRUB_CFG % (dom0_mem, "\n    ".join(lines)))
        shutil.copy(OUT / "domus", iso / "boot/domus")
        subprocess.run(["grub-mkrescue", "-o", f"{tmp}/domus.iso", iso], check=True, capture_output=True)
        return run_qemu([*FIRMWARE[firmware], "-M", "sata=on", "-cdrom", f"{tmp}/domus.iso", "-boot", "d"], 2, "2G", "max")


# Without ACPI dom0 would come up, but halt instead of powering off, and have no interrupts for many devices.
FINDS_FIRMWARE_TABLES = """
[ -e /sys/firmware/acpi/tables/FACP ] || fail "dom0 has not found ACPI"
[ -e /sys/class/dmi/id/product_name ] || fail "dom0 has not found SMBIOS"
"""


# What a boot loader's installation in dom0 needs.
WRITES_VARIABLES = """
modprobe efivarfs
mount -t efivarfs none /sys/firmware/efi/efivars || fail "no variables of the firmware"
ls /sys/firmware/efi/efivars | grep -q '^BootOrder-' || fail "no order of booting: $(ls /sys/firmware/efi/efivars)"
name=/sys/firmware/efi/efivars/Domus-1f2e3d4c-0102-0304-0102-030405060708
printf '\\007\\000\\000\\000text' > $name || fail "no variable can be made"
grep -q text $name || fail "the variable is not what was written"
"""


@pytest.mark.parametrize("firmware", FIRMWARE)
def test_grub_boots_an_iso(firmware):
    with tempfile.TemporaryDirectory() as tmp:
        dom0 = initramfs(FINDS_FIRMWARE_TABLES + (WRITES_VARIABLES if firmware == "uefi" else ""), tmp)
        result = boot_iso(firmware, "768M", [(IMAGES / "vmlinuz", "console=hvc0 loglevel=4 script"), (dom0, "")])
    assert result.has("UEFI: version") == (firmware == "uefi")
    check(result)


def test_what_dom0_learns_of_uefi():
    result = boot_iso("uefi", "64M", [(OUT / "tests/guest/test_efi.elf", "")])
    assert result.has("# UEFI 2") and result.has(r"TEST-SUMMARY \d+ passed, 0 failed")
