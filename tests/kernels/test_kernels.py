# SPDX-License-Identifier: MIT
"""Kernels that are not Debian's usual one: as dom0 with a guest of their own, or as guests. make -C tests/kernels check"""
import pytest

from machine import OUT, boot, check

KERNELS = OUT / "kernels"

# No complaint of dom0's kernel, nor of the guest's, whose whole log is on its console.
DOM0_AND_GUEST = """
trouble='Call Trace:|WARNING: |BUG: |Kernel panic|cut here'
uname -r
[ "$(grep -c ^processor /proc/cpuinfo)" = %(cpus)d ] || fail "dom0 has not all CPUs"
sed -i 's/^vcpus.*/vcpus = %(cpus)d/; s/loglevel=4/loglevel=7/' /etc/domus/demo.cfg
sh /root/start-demo || fail "the guest could not be created"
wait_for 'GUEST-UP cpus=%(cpus)d '
wait_for 'GUEST-DISK ok'
wait_for 'GUEST-PING ok'
wait_for 'GUEST-HTTP ok'
wait_for GUEST-READY
domus shutdown -w demo || fail "the guest does not shut down"
dmesg | grep -E "$trouble" && { dmesg; fail "dom0's kernel complained"; }
grep -E "$trouble" "$log" && { cat "$log"; fail "the guest's kernel complained"; }
true
"""


@pytest.mark.parametrize("cpus", [1, 4])
def test_linux_of_backports_as_dom0_and_guest(cpus):
    check(boot(DOM0_AND_GUEST % {"cpus": cpus}, smp=cpus, images=KERNELS / "backports/images", packed=True))


REFUSED = """
domusd -d || fail "domusd does not start"
for kernel in grub-i386-xen gnumach; do
    printf 'name = "other"\\nkernel = "/boot/%s"\\nmemory = 256\\n' $kernel > /tmp/other.cfg
    domus create /tmp/other.cfg > /tmp/said 2>&1 && fail "$kernel was started"
    grep 'it is a 32-bit kernel' /tmp/said || fail "$kernel is refused, but for another reason: $(cat /tmp/said)"
done
"""


def test_32_bit_kernels_are_refused_with_the_reason():
    check(boot(REFUSED, files=[(f"/boot/{name}", KERNELS / name) for name in ("grub-i386-xen", "gnumach")]))


GRUB = """
domusd -d || fail "domusd does not start"
cat > /tmp/grub.cfg <<END
name   = "grub"
kernel = "/boot/grub-x86_64-xen"
memory = 256
disk   = [ "/root/disk.img,raw,xvda,rw" ]
END
domus create /tmp/grub.cfg || fail "GRUB could not be started"
log=/var/log/domus/console-grub.log
wait_for GUEST-READY
grep 'GUEST-UP cpus=1 type=PV' "$log" || fail "the guest is not the kernel of its disk"    # behind GRUB's last line
domus shutdown -w grub || fail "the guest does not shut down"
"""


def test_grub_loads_a_kernel_from_the_guests_disk():
    check(boot(GRUB, files=[("/boot/grub-x86_64-xen", KERNELS / "grub-x86_64-xen"),
                            ("/root/disk.img", KERNELS / "disk.img")]))
