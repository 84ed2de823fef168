# SPDX-License-Identifier: MIT
"""virsh migrates a guest from a machine with Domus to another one, or does not, and the guest runs on.
make -C tests/compat between"""
import pathlib
import tempfile

import pytest

from compat import CPU_WITHOUT_XSAVE, boots, initramfs
from machine import OUT, ROOT, check, run_qemu
from two_machines import WATCH, hardware, run_both, traveller

# What both do first with libvirt, in the dom0 of the comparison: its bash and busybox are those that the scripts want.
LIBVIRT = WATCH + r"""
exec > /dev/console 2>&1
trap 'echo "DOM0-EXIT $?"' EXIT
for applet in killall nc ping usleep; do ln -sf busybox /usr/bin/$applet; done
. /compat/lib.sh
. /compat/lib
libvirt() { start_libvirt 'listen_tls = 0' 'listen_tcp = 1' 'auth_tcp = "none"'; }
mkdir -p /var/log/xen/console
kill "$(pidof xenconsoled)"
xenconsoled --log=guest --timestamp=none
modprobe virtio_net
ip address add 10.0.0.$HERE/24 dev xenbr0
ip link set eth0 master xenbr0
ip link set eth0 up
libvirt
wait_until 120 there || fail "the other machine does not answer"
"""

LIBVIRT_FIRST = r"""
cat > /tmp/traveller.xml <<END
<domain type="xen">
  <name>traveller</name>
  <memory unit="MiB">96</memory>
  <vcpu>2</vcpu>
  <os>
    <type arch="x86_64" machine="xenpv">linux</type>
    <kernel>/boot/vmlinux</kernel>
    <initrd>/compat/traveller.cpio</initrd>
    <cmdline>console=hvc0 loglevel=4 rdinit=/traveller</cmdline>
  </os>
  <devices>
    <disk type="block" device="disk"><driver name="phy"/><source dev="/dev/vdb"/><target dev="xvda" bus="xen"/></disk>
    <interface type="bridge"><mac address="00:16:3e:00:00:09"/><source bridge="xenbr0"/></interface>
    <console type="pty"><target type="xen" port="0"/></console>
  </devices>
</domain>
END
sed '/<disk/d; /<interface/d; s,/compat/traveller.cpio,/boot/guest.cpio,; / rdinit/d' /tmp/traveller.xml > /tmp/other.xml
no_libvirtd() { ! pidof libvirtd; }
far() { virsh -c xen+tcp://10.0.0.2/system "$@"; }
migrate() { virsh migrate --live traveller "xen+tcp://$1/system" "$1"; }
stays() {
    [ "$(virsh domstate traveller)" = running ] || fail "$1: $(virsh list --all)"
    runs "$1"
    connection_holds "$1"
}
listen
virsh create /tmp/traveller.xml || fail "virsh create"
runs "runs on the first machine"
wait_until 120 far version || fail "the other machine's libvirtd does not answer"

migrate 10.0.0.7 && fail "migrated to nowhere"
stays "no such host"
far create --paused /tmp/other.xml || fail "no other guest of that name"
migrate 10.0.0.2 && fail "migrated although there is one of that name"
stays "the name is taken"
far destroy traveller
# After what the other side has refused, this libvirt (9.0) takes the guest to be migrating for ever.
kill "$(pidof libvirtd)"
wait_until 60 no_libvirtd
libvirt
migrate 10.0.0.2 || fail "virsh migrate: $(cat /var/log/libvirt/libxl/*.log)"
[ "$(far domstate traveller)" = running ] || fail "the guest does not run there: $(far list --all)"
wait_until 60 gone traveller || fail "something of the guest is left: $(virsh list --all; xl list)"
connection_holds "on the other machine"
far list --all
until echo | nc 10.0.0.2 9002; do usleep 100000; done
"""

LIBVIRT_SECOND = r"""
nc -l -p 9002 &
first=$!
comes
runs "runs on the second machine"
wait $first
virsh destroy traveller || fail "virsh destroy"
"""


@pytest.mark.parametrize("target", [OUT / "domus", OUT / "compat/xen"], ids=["domus", "xen"])
def test_libvirt_migrates(target):
    with tempfile.TemporaryDirectory() as tmp:
        brought = [traveller(tmp), ROOT / "guest/dom0/root/lib.sh"]

        def machine(number, hypervisor, script):
            folder = pathlib.Path(tmp, str(number))
            folder.mkdir()
            commands = folder / "commands"
            commands.write_text(f"HERE={number} THERE={3 - number}\n{LIBVIRT}{script}")
            initrd = initramfs(OUT, folder, commands, brought)
            return run_qemu([*boots(hypervisor, OUT, initrd, folder / "transcript"), *hardware(tmp, number == 1)],
                            1, "2G", CPU_WITHOUT_XSAVE)

        for result in run_both(lambda: machine(1, OUT / "domus", LIBVIRT_FIRST),
                               lambda: machine(2, target, LIBVIRT_SECOND), tmp):
            check(result)
