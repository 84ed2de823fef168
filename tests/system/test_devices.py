# SPDX-License-Identifier: MIT
"""Disks and network cards of running guests, seen from inside them."""
from machine import boot, check
from test_resources import HELPERS

START = HELPERS + """
sh /root/start-demo || fail "demo could not be created"
wait_for GUEST-READY
# inside COMMAND: the guest's shell finds it true.
inside() { guest demo "if $1; then echo YES; fi" && grep -q '^YES' /tmp/guest-said; }
nothing_left() { [ "$(ls /sys/bus/xen-backend/devices | wc -l)" = "$1" ]; }
"""

DISKS = """
truncate -s 8M /var/lib/domus/b.img
domus block-attach demo 'format=raw, vdev=xvdb, access=rw, target=/var/lib/domus/b.img' || fail block-attach
wait_until 30 inside '[ "$(cat /sys/block/xvdb/size)" = 16384 ]' || fail "no new disk: $(cat /tmp/guest-said)"
inside 'echo from-the-guest | dd of=/dev/xvdb conv=fsync' || fail "the guest cannot write to it"
grep -q from-the-guest /var/lib/domus/b.img || fail "what the guest wrote is not in the file"
loop=$(losetup -a | sed -n 's|^/dev/\\(loop[0-9]*\\):.*b.img.*|\\1|p')
[ -n "$loop" ] || fail "not by a loop device: $(losetup -a)"
domus block-list demo | grep -q '^51728 *xvdb *0 *4 .*b.img (w)' || fail "$(domus block-list demo)"
domus block-resize demo xvdb 12 || fail block-resize
wait_until 30 inside '[ "$(cat /sys/block/xvdb/size)" = 24576 ]' || fail "the guest does not see the new size"
refused 1 domus block-resize demo xvdb 4; says 'cannot shrink'
refused 1 domus block-attach demo /var/lib/domus/b.img,raw,xvdb,rw; says 'two disks are called xvdb'
refused 1 domus block-attach demo /var/lib/domus/gone.img,raw,xvdc,rw; says 'gone.img'
refused 1 domus block-attach demo /var/lib/domus/b.img,raw,sdz,rw; says sdz
refused 2 domus block-attach demo
domus block-attach demo file:/var/lib/domus/b2.img xvdc r 2>/dev/null && fail "a file that is not there"
cp /var/lib/domus/b.img /var/lib/domus/b2.img
domus block-attach demo file:/var/lib/domus/b2.img xvdc r || fail "block-attach in the old form"
wait_until 30 inside '[ "$(cat /sys/block/xvdc/ro)" = 1 ]' || fail "xvdc is not read-only"
inside 'dd if=/dev/zero of=/dev/xvdc bs=512 count=1 conv=fsync' && fail "xvdc can be written"
domus block-detach demo xvdc || fail "block-detach xvdc"
wait_until 30 inside '[ ! -e /sys/block/xvdc ]' || fail "xvdc is still there"
loop=$(losetup -f)
losetup $loop /var/lib/domus/b2.img
domus block-attach demo phy:$loop xvdc w || fail "a block device"
wait_until 30 inside 'dd if=/dev/xvdc bs=512 count=1 | grep -q from-the-guest' || fail "the block device cannot be read"
domus block-detach demo 51744 || fail "block-detach by number"
losetup -d $loop
domus block-attach demo /srv/www/index.html,raw,xvdd,cdrom 2>/tmp/said && fail "smaller than a sector"
domus block-attach demo /var/lib/domus/b2.img,,xvdd,cdrom || fail cdrom
wait_until 30 inside '[ "$(cat /sys/block/xvdd/ro)" = 1 ]' || fail "no CD-ROM"
refused 1 domus cd-eject demo xvdd; says block-detach
"""

EVENTS = """
domus events -o -r 100 > /tmp/events
grep -q '"attached".*"number": *51728' /tmp/events || fail "no event of xvdb: $(cat /tmp/events)"
grep -q '"resized".*"number": *51728' /tmp/events || fail "no event of another size: $(cat /tmp/events)"
grep -q '"detached"' /tmp/events || fail "no event of a detachment: $(cat /tmp/events)"
"""

CARDS = """
brctl addbr lan
ip link set lan up
domus network-attach demo bridge=lan mac=00:16:3e:11:22:33 rate=10Mb/s antispoof=1 ip=10.9.0.2 || fail network-attach
wait_until 30 inside 'grep -q 00:16:3e:11:22:33 /sys/class/net/eth1/address' || fail "no second card"
[ -e /sys/class/net/lan/brif/vif1.1 ] || fail "not on bridge lan: $(ls /sys/class/net/*/brif)"
xenstore_rate=$(domus network-list --json demo | grep -o '"rate":"[0-9,]*"')
[ "$xenstore_rate" = '"rate":"62500,50000"' ] || fail "rate: $xenstore_rate"
domus network-list demo | grep -q '^1 *0 00:16:3e:11:22:33 *1 *4 ' || fail "$(domus network-list demo)"
ip address add 10.9.0.1/24 dev lan
inside 'ip address add 10.9.0.2/24 dev eth1 && ip link set eth1 up' || fail "eth1 cannot be set up"
wait_until 60 ping -c 1 -W 1 10.9.0.2 || fail "nothing goes over the new card"
# A guest that takes another IP address is not heard.
inside 'ip address add 10.9.0.4/24 dev eth1' || fail "another address"
inside 'ping -c 2 -W 2 -I 10.9.0.4 10.9.0.1 > /dev/null' && fail "a forged IP address got through"
grep -q '^10.9.0.4 ' /proc/net/arp && fail "a forged ARP claim got through: $(cat /proc/net/arp)"
inside 'ping -c 1 -W 10 -I 10.9.0.2 10.9.0.1 > /dev/null' || fail "its own address does not pass"
refused 1 domus network-attach demo bridge=lan antispoof=1 ip=fe80::1; says 'cannot guard'
# A guest that takes another sender's MAC address is not heard.
inside 'ip link set eth1 down && ip link set eth1 address 00:16:3e:66:66:66 && ip link set eth1 up && ip address add 10.9.0.3/24 dev eth1'
before=$(cat /sys/class/net/vif1.1/statistics/rx_packets)
guest demo 'ping -c 5 -W 1 -I 10.9.0.3 10.9.0.1 > /dev/null; true'
[ "$(cat /sys/class/net/vif1.1/statistics/rx_packets)" -gt "$before" ] || fail "the guest sent nothing"
grep -q '^10.9.0.3 .*00:16:3e:66:66:66' /proc/net/arp && fail "a forged sender got through: $(cat /proc/net/arp)"
refused 1 domus network-attach demo bridge=lan mac=00:16:3e:11:22:34 vlan=7; says 'vlan_filtering'
refused 1 domus network-attach demo bridge=nowhere; says nowhere
refused 1 domus network-attach demo rate=fast; says 'not a rate'
refused 1 domus network-attach demo mac=5; says 'network card'
echo 1 > /sys/class/net/lan/bridge/vlan_filtering
domus network-attach demo bridge=lan vlan=7 devid=5 mtu=1400 isolated=1 || fail "a card in a VLAN"
wait_until 30 inside '[ -e /sys/class/net/eth2 ]' || fail "no third card"
[ "$(cat /sys/class/net/vif1.5/mtu)" = 1400 ] || fail "mtu"
[ "$(cat /sys/class/net/vif1.5/brport/isolated)" = 1 ] || fail "not isolated"
domus network-detach demo 00:16:3e:11:22:33 || fail "network-detach by address"
domus network-detach demo 5 || fail "network-detach by number"
wait_until 30 inside '[ ! -e /sys/class/net/eth1 ] && [ ! -e /sys/class/net/eth2 ]' || fail "cards are still there"
refused 1 domus network-detach demo 5; says 'no such network card'
inside 'ping -c 1 -W 10 10.0.0.1' || fail "the first card suffers"
"""

AFTER = """
kill -9 $(pidof domusd)
domusd -d || fail "domusd does not start again"
domus block-detach demo xvdd || fail "block-detach after a restart of the daemon"
domus reboot -w demo || fail reboot
twice() { [ "$(grep -c '^GUEST-READY' $log)" -ge 2 ]; }
wait_until 180 twice || fail "the guest did not come up again"
inside '[ "$(cat /sys/block/xvdb/size)" = 24576 ] && [ ! -e /sys/block/xvdd ]' || fail "not the disks of before"
domus destroy demo
no_devices_stay
"""


def test_disks_and_cards_come_and_go():
    check(boot(START + DISKS + EVENTS + CARDS + AFTER))


IMAGES_SCRIPT = START + """
qemu-img create -q -f qcow2 /var/lib/domus/q.qcow2 16M || fail qemu-img
qemu-img create -q -f vmdk /var/lib/domus/v.vmdk 8M || fail qemu-img
domus block-attach demo /var/lib/domus/q.qcow2,qcow2,xvdb,rw || fail "qcow2: $(tail -n 3 /var/log/domus/domusd.log)"
domus block-attach demo vmdk:/var/lib/domus/v.vmdk,xvdc,r || fail vmdk
wait_until 30 inside '[ "$(cat /sys/block/xvdb/size)$(cat /sys/block/xvdc/ro)" = 327681 ]' ||
    fail "$(cat /tmp/guest-said; domus block-list demo; cat /sys/block/nbd?/size)"
inside 'echo into-qcow2 | dd of=/dev/xvdb bs=512 seek=100 conv=fsync' || fail "cannot write"
# The servers outlive the daemon, and the new one knows them.
kill -9 $(pidof domusd)
domusd -d || fail "domusd does not start again"
inside 'dd if=/dev/xvdb iflag=direct bs=512 skip=100 count=1 | grep -q into-qcow2' || fail "cannot read"
[ "$(pidof qemu-nbd | wc -w)" = 2 ] || fail "servers: $(ps | grep qemu-nbd)"
refused 1 domus block-resize demo xvdc 16; says 'read-only'
domus block-detach demo xvdc || fail block-detach
one_server() { [ "$(pidof qemu-nbd | wc -w)" = "$1" ]; }
wait_until 30 one_server 1 || fail "the server of xvdc is left"
refused 1 domus block-attach demo /boot/vmlinuz,qcow2,xvdc,rw; says 'cannot be served as qcow2'
wait_until 30 one_server 1 || fail "a server is left of what failed"
"""

# A guest writes the same 4 MiB again and again while the server of its disk comes and goes.
WRITER = r"""
guest demo 'dd if=/dev/urandom of=/tmp/data bs=64k count=64; dd if=/tmp/data of=/dev/xvdb bs=64k seek=16 conv=fsync
    (while [ ! -e /tmp/enough ]; do
        dd if=/tmp/data of=/dev/xvdb bs=64k seek=16 oflag=direct 2>/tmp/dd-said || cat /tmp/dd-said >> /tmp/failed
    done; echo > /tmp/over) & true'
# writes_on: the guest writes whole rounds from now on, as the device's statistics say.
written() { awk '{ print $5 }' /sys/block/nbd0/stat; }
later() { [ "$(written)" -ge $1 ]; }
writes_on() { wait_until 60 later $(($(written) + 300)) || fail "the guest does not write any more"; }
size_is() { inside "[ \"\$(cat /sys/block/$1/size)\" = $2 ]"; }
server() { sed -n 's/.*"pid":\([1-9][0-9]*\).*/\1/p' /run/domus/images/0; }
replaced() { [ -n "$(server)" ] && [ "$(server)" != "$1" ]; }
writes_on
step "another size"
domus block-resize demo xvdb 24 || fail "block-resize: $(tail -n 3 /var/log/domus/domusd.log)"
wait_until 30 size_is xvdb 49152 || fail "the guest does not see the new size"
writes_on
refused 1 domus block-resize demo xvdb 8; says 'cannot shrink'
refused 1 domus block-resize demo xvdb; says 'needs it'
step "a size that the image cannot have"
qemu-img create -q -f vmdk /var/lib/domus/w.vmdk 8M
domus block-attach demo /var/lib/domus/w.vmdk,vmdk,xvdd,rw || fail vmdk
refused 1 domus block-resize demo xvdd 16; says 'qemu-img does not resize'; says 'support resize'
wait_until 30 size_is xvdd 16384 || fail "the guest does not see it"
inside 'echo into-vmdk | dd of=/dev/xvdd bs=512 seek=9 conv=fsync' || fail "not served any more"
domus block-detach demo xvdd || fail "block-detach xvdd"
step "a server that is killed"
old=$(server)
kill -9 $old
wait_until 60 replaced $old || fail "no server was started again"
writes_on
step "a server that hangs holds up nobody else; the daemon is killed while the size changes"
old=$(server)
kill -STOP $old
domus block-resize demo xvdb 32 &
resize=$!
wait_until 60 grep -q '^ShdPnd:.*4000$' /proc/$old/status || fail "the server is not told to end"
domus list > /dev/null || fail "list while a server hangs"
inside true || fail "the guest hangs"
kill -9 $(pidof domusd)
kill -CONT $old
wait $resize
domusd -d || fail "domusd does not start again"
wait_until 60 replaced $old || fail "the new daemon starts no server"
writes_on
step "all that the guest wrote is there"
guest demo 'echo > /tmp/enough'
wait_until 60 inside '[ -e /tmp/over ]' || fail "the writer does not end"
inside '[ ! -e /tmp/failed ]' || fail "writing failed"
inside 'dd if=/dev/xvdb iflag=direct bs=64k skip=16 count=64 | cmp - /tmp/data' || fail "other data"
domus block-resize demo xvdb 48 || fail "block-resize after all that"
wait_until 30 size_is xvdb 98304 || fail "the guest does not see the new size"
"""

IMAGES_AFTER = """
domus reboot -w demo || fail reboot
twice() { [ "$(grep -c '^GUEST-READY' $log)" -ge 2 ]; }
wait_until 180 twice || fail "the guest did not come up again"
inside 'dd if=/dev/xvdb bs=512 skip=100 count=1 | grep -q into-qcow2' || fail "gone after the reboot"
domus destroy demo
wait_until 30 one_server 0 || fail "servers are left"
qemu-img check -q /var/lib/domus/q.qcow2
# Killed servers may leave clusters that nobody uses (status 3), but no damage.
case $? in 0|3) ;; *) fail "the image is damaged" ;; esac
qemu-img convert -O raw /var/lib/domus/q.qcow2 /tmp/q.raw
[ "$(stat -c %s /tmp/q.raw)" = 50331648 ] || fail "the image has $(stat -c %s /tmp/q.raw) bytes"
grep -q into-qcow2 /tmp/q.raw || fail "what was written is not in the image"
"""


def test_images_in_qemus_formats():
    check(boot(IMAGES_SCRIPT + WRITER + IMAGES_AFTER, archives=["qemu.cpio"]))
