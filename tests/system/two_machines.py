# SPDX-License-Identifier: MIT
"""Two machines with a cable between them and one disk for both, and a guest that travels: it works on its memory and its
disk and counts on a TCP connection, and says so when any of them is not what it was."""
import pathlib
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

from machine import boot, guest_initramfs

from test_migration import XEN_TOOLS

# The guest counts on a connection to the first machine, copies and compares its memory, and writes its disk and reads it
# again, round by round.
GUEST = """#!/bin/sh
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
modprobe -a xen-blkfront xen-netfront
until [ -b /dev/xvda ] && ip link set eth0 up 2>/dev/null; do usleep 50000; done
ip address add 10.0.0.9/24 dev eth0
until ping -c 1 -W 1 10.0.0.1 >/dev/null 2>&1; do :; done
(
    (number=0; while echo $number; do number=$((number + 1)); usleep 200000; done) | nc 10.0.0.1 7000
    echo "GUEST-FAILED: the connection has ended"
) &
dd if=/dev/urandom of=/data bs=64k count=16 2>/dev/null
sum=$(md5sum < /data)
while :; do
    cp /data /copy
    [ "$(md5sum < /copy)" = "$sum" ] || echo "GUEST-FAILED: memory has changed"
    usleep 300000
done &
round=0
while :; do
    place=$((round % 8 * 16))
    dd if=/data of=/dev/xvda bs=64k seek=$place conv=fsync 2>/dev/null || echo "GUEST-FAILED: cannot write"
    echo 3 > /proc/sys/vm/drop_caches
    [ "$(dd if=/dev/xvda bs=64k skip=$place count=16 2>/dev/null | md5sum)" = "$sum" ] || echo "GUEST-FAILED: corrupt"
    round=$((round + 1))
    echo "GUEST-ROUND $round"
    usleep 200000
done
"""

# How scripts watch it. Its log, and with it its rounds, begin anew when it comes back.
WATCH = r"""
there() { ping -c 1 -W 1 10.0.0.$THERE >/dev/null 2>&1; }
said() { cat /var/log/xen/console/guest-traveller*.log 2>/dev/null | tr -d '\r'; }
rounds() { said | grep -c '^GUEST-ROUND'; }
more_rounds() { [ "$(rounds)" -ge "$1" ]; }
forget_rounds() {
    rm -f /var/log/xen/console/guest-traveller*.log
    killall -HUP xenconsoled
}
# runs WHAT: the guest goes on here, and its memory and its disk are right.
runs() {
    wait_until 90 more_rounds $(($(rounds) + 3)) || fail "$1: the guest does not run; it said: $(said | tail -n 5)"
    said | grep GUEST-FAILED && fail "$1"
    step "$1"
}
is_here() { xl list traveller 2>/dev/null | tail -n 1 | awk '{ exit $5 ~ /p/ }' && [ "$(rounds)" -gt 0 ]; }
comes() { wait_until 300 is_here || fail "the guest does not come: $(xl list; cat /run/receiver.log; dmesg | tail -n 20)"; }

# The first machine has the other end of the guest's connection.
listen() { tail -f /dev/null | nc -l -p 7000 > /run/received & }
counted() { wc -l < /run/received; }
more_counted() { [ "$(counted)" -gt "$1" ]; }
# connection_holds WHAT: wherever the guest is, it goes on counting, and no number is missing.
connection_holds() {
    wait_until 90 more_counted $(($(counted) + 20)) || fail "$1: nothing comes through the connection"
    head -n "$(counted)" /run/received | awk '$1 != NR - 1 { print "line " NR ": " $1; bad = 1 } END { exit bad }' ||
        fail "$1: numbers got lost"
    step "$1: the connection holds"
}
"""

# What both machines do first. The scripts stand for those of Xen's, which want more than this dom0 has.
COMMON = XEN_TOOLS + WATCH + r"""
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

leaves_nothing() { wait_until 20 empty || fail "something is left: $(xl list; free_memory), $free MiB were free"; }
migrate() { xl migrate -s '' traveller "exec 3<&0 4>&1; exec nc 10.0.0.$THERE 9000 -e /root/send"; }
goes() {
    moves migrate
    leaves_nothing
}
receive() { while :; do nc -l -p 9000 -e /root/receive; done & }
wait_until 120 there || fail "the other machine does not answer"
"""

# The first machine starts the guest.
CREATE = r"""
listen
cat > /root/traveller.cfg <<END
name = "traveller"
kernel = "/boot/vmlinuz"
ramdisk = "/boot/traveller.cpio"
extra = "console=hvc0 loglevel=4 rdinit=/traveller"
memory = 96
vcpus = 2
disk = [ "phy:/dev/vda,xvda,w" ]
vif = [ "bridge=xenbr0,mac=00:16:3e:00:00:09" ]
END
xl create -q /root/traveller.cfg || fail "xl create: $(cat /var/log/xen/xl*.log)"
runs "runs on the first machine"
"""


def traveller(folder):
    """Builds the guest's initramfs in the folder; its path."""
    return guest_initramfs("traveller", GUEST, folder)


def hardware(folder, first):
    """QEMU's arguments for what joins them: the disk, and an end of the cable. Their places are behind those of others."""
    return ["-drive", f"file={folder}/disk,if=none,id=shared,format=raw,file.locking=off",
            "-device", "virtio-blk-pci,drive=shared,share-rw=on,addr=0x10",
            "-netdev", f"stream,id=cable,server={'on' if first else 'off'},addr.type=unix,addr.path={folder}/cable",
            "-device", f"virtio-net-pci,netdev=cable,mac=52:54:00:00:00:{'01' if first else '02'},addr=0x11"]


def run_both(first, second, folder):
    """Calls both at the same time, the second when the first machine has its end of the cable; what they return."""
    pathlib.Path(folder, "disk").write_bytes(bytes(16 << 20))
    with ThreadPoolExecutor() as pool:
        running = pool.submit(first)
        while not pathlib.Path(folder, "cable").exists() and not running.done():
            time.sleep(0.1)
        result = second()
        return running.result(), result


def travel(first, second, hypervisors=(None, None), cpu="max"):
    """Runs the scripts, each after what both do, on two machines, with these hypervisors or Domus; their results."""
    with tempfile.TemporaryDirectory() as tmp:
        files = [("/boot/traveller.cpio", traveller(tmp))]

        def machine(number, hypervisor, script):
            return boot(f"HERE={number} THERE={3 - number}\n{COMMON}{script}", smp=1, memory="1536M", cpu=cpu,
                        hypervisor=hypervisor, hv_args="dom0_mem=1G", archives=["xen-tools.cpio"], files=files,
                        extra=hardware(tmp, number == 1))

        return run_both(lambda: machine(1, hypervisors[0], CREATE + first),
                        lambda: machine(2, hypervisors[1], second), tmp)
