# SPDX-License-Identifier: MIT
"""Xen's own tools save, restore and migrate a guest that writes its memory all the time."""
import tempfile

from machine import boot, check, guest_initramfs

# The guest: two processes that write memory and compare, one that counts on the console.
GUEST = """#!/bin/sh
mount -t proc proc /proc
mount -t devtmpfs dev /dev
mkdir -p /data
mount -t tmpfs data /data
dd if=/dev/urandom of=/data/master bs=64k count=64 2>/dev/null
sum=$(md5sum < /data/master)
work() {
    while :; do
        cp /data/master /data/copy$1
        [ "$(md5sum < /data/copy$1)" = "$sum" ] || echo "GUEST-CORRUPT $1"
        : > /data/round$1
    done
}
work 1 &
work 2 &
turn=0
while :; do
    # A turn: each of them has compared once more.
    while ! [ -e /data/round1 -a -e /data/round2 ]; do usleep 50000; done
    rm /data/round1 /data/round2
    turn=$((turn + 1))
    echo "GUEST-TURN $turn $(date +%s)"
done
"""

# Xen's own daemons and tools, as Debian starts them.
XEN_TOOLS = r"""
export PATH=/usr/lib/xen-4.17/bin:$PATH
mkdir -p /var/lib/xenstored /var/lib/xen /run/xen /run/xenstored /run/lock /var/log/xen/console /etc/xen
touch /etc/xen/xl.conf
ln -sf ../run/lock /var/lock
xenstored || fail xenstored
wait_until 20 [ -S /run/xenstored/socket ] || fail "xenstored does not come up"
xen-init-dom0 || fail xen-init-dom0
xenconsoled --log=guest --timestamp=none || fail xenconsoled

# Nobody is there but dom0, and it all is free again.
guests() { xl list | sed 1,2d | wc -l; }
free_memory() { xl info | sed -n 's/^free_memory *: *//p'; }
empty() { [ "$(guests)" = 0 ] && [ "$(free_memory)" -ge "$free" ]; }
expect_empty() { wait_until 20 empty || fail "$1: $(xl list; free_memory), $free MiB were free"; }
free=$(free_memory)

# moves COMMAND...: a migration. libxc gives up where a frame that was a page table has become something else before it is
# read, as those of a guest that starts programs all the time do; the guest stays, and goes when asked again.
moves() { wait_until 120 "$@" || fail "$*"; }
"""

SCRIPT = XEN_TOOLS + r"""
cat > /root/load.cfg <<END
name = "load"
kernel = "/boot/vmlinuz"
ramdisk = "/boot/load.cpio"
extra = "console=hvc0 loglevel=4 rdinit=/load"
memory = 128
vcpus = 2
END

said() { cat /var/log/xen/console/guest-load*.log 2>/dev/null | tr -d '\r'; }
turns() { said | grep -c '^GUEST-TURN'; }
more_turns() { [ "$(turns)" -ge "$1" ]; }
# runs WHAT: the guest goes on, and its memory is what it was.
runs() {
    wait_until 60 more_turns $(($(turns) + 3)) || fail "$1: the guest does not run; it said: $(said | tail -n 5)"
    said | grep GUEST-CORRUPT && fail "$1: the guest's memory has changed"
    wait_until 10 alone || fail "$1: more than one guest, or none: $(xl list)"
    step "$1"
}
alone() { [ "$(guests)" = 1 ] && xl list load >/dev/null 2>&1; }

xl create /root/load.cfg || fail "xl create"
runs created
[ "$(said | sed -n 's/^GUEST-TURN [0-9]* //p' | tail -n 1)" -gt 1600000000 ] || fail "the guest does not know the time"

xl save load /tmp/image || fail "xl save"
expect_empty "after xl save"
xl restore /tmp/image || fail "xl restore"
runs restored

before=$(xl domid load)
moves xl migrate -s '' load 'xl migrate-receive'
[ "$(xl domid load)" != "$before" ] || fail "the guest is where it was"
runs migrated

# The receiver goes in the middle of the stream: the guest stays.
before=$(xl domid load)
xl migrate -s '' load 'head -c 9000000 | xl migrate-receive' && fail "a migration that was cut"
[ "$(xl domid load)" = "$before" ] || fail "the guest has gone"
runs "migration cut"

# All of its programs are killed in the middle of the stream: what the receiver had made stays, without a name; the guest
# goes on, and is migrated when asked again.
cat > /root/killed-receiver <<END
#!/bin/sh
(head -c 9000000; killall -9 xl libxl-save-helper) | xl migrate-receive
END
chmod +x /root/killed-receiver
xl migrate -s '' load /root/killed-receiver && fail "a migration whose programs were killed"
for domid in $(xl list | awk 'NR > 2 && $1 != "load" { print $2 }'); do
    xl destroy $domid || fail "xl destroy of what a killed receiver left"
done
[ "$(xl domid load)" = "$before" ] || fail "the guest has gone"
runs "tools killed"
moves xl migrate -s '' load 'xl migrate-receive'
runs "migrated again"
xl destroy load
expect_empty "after all that"
xl dmesg | tail -n 3
"""


def test_migration():
    with tempfile.TemporaryDirectory() as tmp:
        ramdisk = guest_initramfs("load", GUEST, tmp)
        check(boot(SCRIPT, archives=["xen-tools.cpio"], files=[("/boot/load.cpio", ramdisk)]))
