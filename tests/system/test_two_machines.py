# SPDX-License-Identifier: MIT
"""A guest migrates to another machine and back, running all the while: its TCP connection holds and its disk is right."""
import pathlib
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

from machine import IMAGES, boot, check, cpio

from test_migration import XEN_TOOLS

# The guest counts on a connection to the first machine, and writes its disk and reads it again, round by round.
GUEST = """#!/bin/sh
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
modprobe -a xen-blkfront xen-netfront
until [ -b /dev/xvda ] && ip link set eth0 up 2>/dev/null; do usleep 50000; done
ip address add 10.0.0.9/24 dev eth0
until ping -c 1 -W 1 10.0.0.1 >/dev/null 2>&1; do :; done
(
    (number=0; while echo $number; do number=$((number + 1)); usleep 50000; done) | nc 10.0.0.1 7000
    echo "GUEST-FAILED: the connection has ended"
) &
dd if=/dev/urandom of=/data bs=64k count=16 2>/dev/null
sum=$(md5sum < /data)
round=0
while :; do
    place=$((round % 8 * 16))
    dd if=/data of=/dev/xvda bs=64k seek=$place conv=fsync 2>/dev/null || echo "GUEST-FAILED: cannot write"
    echo 3 > /proc/sys/vm/drop_caches
    [ "$(dd if=/dev/xvda bs=64k skip=$place count=16 2>/dev/null | md5sum)" = "$sum" ] || echo "GUEST-FAILED: corrupt"
    round=$((round + 1))
    echo "GUEST-ROUND $round"
done
"""

# What both machines do first. The scripts stand for those of Xen's, which want more than this dom0 has.
COMMON = XEN_TOOLS + r"""
ip address flush dev xenbr0
ip address add 10.0.0.$HERE/24 dev xenbr0
ip link set eth0 master xenbr0
ip link set eth0 up
mkdir -p /etc/xen/scripts
cat > /etc/xen/scripts/block <<'END'
#!/bin/sh
[ "$1" = add ] || exit 0
xenstore-write "$XENBUS_PATH/physical-device" "$(stat -c %t:%T "$(xenstore-read "$XENBUS_PATH/params")")"
xenstore-write "$XENBUS_PATH/hotplug-status" connected
END
cat > /etc/xen/scripts/vif-bridge <<'END'
#!/bin/sh
[ "$1" = online ] || exit 0
ip link set "$vif" master xenbr0
ip link set "$vif" up
xenstore-write "$XENBUS_PATH/hotplug-status" connected
END
printf '#!/bin/sh\nexec xl migrate-receive 2> /run/receiver.log\n' > /root/receive
# Instead of ssh, and with large pieces: xl's pipes are 3 and 4, the connection 0 and 1.
cat > /root/send <<'END'
#!/bin/sh
exec 5<&0
dd bs=64k <&5 >&4 2>/dev/null &
exec dd bs=64k <&3 2>/dev/null
END
chmod +x /etc/xen/scripts/* /root/receive /root/send

there() { ping -c 1 -W 1 10.0.0.$THERE >/dev/null 2>&1; }
said() { cat /var/log/xen/console/guest-traveller*.log 2>/dev/null | tr -d '\r'; }
rounds() { said | grep -c '^GUEST-ROUND'; }
more_rounds() { [ "$(rounds)" -ge "$1" ]; }
# runs WHAT: the guest goes on here, and its disk is right.
runs() {
    wait_until 90 more_rounds $(($(rounds) + 3)) || fail "$1: the guest does not run; it said: $(said | tail -n 5)"
    said | grep GUEST-FAILED && fail "$1"
    step "$1"
}
is_here() { xl list traveller 2>/dev/null | tail -n 1 | awk '{ exit $5 ~ /p/ }' && [ "$(rounds)" -gt 0 ]; }
comes() { wait_until 300 is_here || fail "the guest does not come: $(xl list; cat /run/receiver.log; dmesg | tail -n 20)"; }
goes() {
    xl migrate -s '' traveller "exec 3<&0 4>&1; exec nc 10.0.0.$THERE 9000 -e /root/send" || fail "xl migrate"
    wait_until 20 empty || fail "something is left: $(xl list; free_memory), $free MiB were free"
}
wait_until 120 there || fail "the other machine does not answer"
nc -l -p 9000 -e /root/receive &
"""

FIRST = "HERE=1 THERE=2\n" + COMMON + r"""
tail -f /dev/null | nc -l -p 7000 > /run/received &
cat > /root/traveller.cfg <<END
name = "traveller"
kernel = "/boot/vmlinuz"
ramdisk = "/boot/traveller.cpio"
extra = "console=hvc0 loglevel=4 rdinit=/travel"
memory = 96
vcpus = 2
disk = [ "phy:/dev/vda,xvda,w" ]
vif = [ "bridge=xenbr0,mac=00:16:3e:00:00:09" ]
END
xl create -q /root/traveller.cfg || fail "xl create: $(cat /var/log/xen/xl*.log)"
runs "runs on the first machine"
counted() { wc -l < /run/received; }
goes
# Its log, and with it its rounds, begin anew when it comes back.
rm -f /var/log/xen/console/guest-traveller*.log
killall -HUP xenconsoled
before=$(counted)
more_counted() { [ "$(counted)" -gt $((before + 50)) ]; }
wait_until 90 more_counted || fail "nothing comes through the connection from the other machine"
step "the connection holds"
comes
before=$(counted)
runs "came back"
wait_until 90 more_counted || fail "nothing comes through the connection after the way back"
awk '$1 != NR - 1 { print "line " NR ": " $1; bad = 1 } END { exit bad }' /run/received || fail "numbers got lost"
xl destroy traveller
expect_empty "after both ways"
"""

SECOND = "HERE=2 THERE=1\n" + COMMON + r"""
comes
runs "runs on the second machine"
goes
step "sent back"
"""


def machine(script, cable, folder, files=()):
    """Both have the same disk."""
    return boot(script, smp=1, memory="1G", hv_args="dom0_mem=512M", archives=["xen-tools.cpio"], files=files, extra=[
        "-drive", f"file={folder}/disk,if=none,id=disk,format=raw,file.locking=off",
        "-device", "virtio-blk-pci,drive=disk,share-rw=on",
        "-netdev", f"stream,id=cable,{cable},addr.type=unix,addr.path={folder}/cable",
        "-device", f"virtio-net-pci,netdev=cable,mac=52:54:00:00:00:{'01' if cable == 'server=on' else '02'}"])


def test_there_and_back():
    with tempfile.TemporaryDirectory() as tmp, ThreadPoolExecutor() as pool:
        program = pathlib.Path(tmp, "guest", "travel")
        program.parent.mkdir()
        program.write_text(GUEST)
        program.chmod(0o755)
        cpio(program.parent, f"{tmp}/travel")
        ramdisk = pathlib.Path(tmp, "traveller.cpio")
        ramdisk.write_bytes((IMAGES / "guest.cpio").read_bytes() + pathlib.Path(tmp, "travel").read_bytes())
        pathlib.Path(tmp, "disk").write_bytes(bytes(16 << 20))
        first = pool.submit(machine, FIRST, "server=on", tmp, [("/boot/traveller.cpio", ramdisk)])
        while not pathlib.Path(tmp, "cable").exists() and not first.done():
            time.sleep(0.1)
        second = machine(SECOND, "server=off", tmp)
        for result in first.result(), second:
            check(result)
