# SPDX-License-Identifier: MIT
"""The life of guests, and what must survive it."""
from machine import IMAGES, boot, check

START = """
sh /root/start-demo || fail "demo could not be created"
wait_for GUEST-READY
"""


def test_twenty_creations_leave_nothing_behind():
    check(boot("""
sed -i 's/^memory.*/memory = 128/' /etc/domus/demo.cfg
sh /root/start-demo || fail "demo could not be created"
domus destroy demo || fail "destroy"
before=$(free_pages)
[ -n "$before" ] || fail "domus info does not tell the free pages"
channels() { grep -c xen-dyn /proc/interrupts; }
channels_before=$(channels)
for round in $(seq 20); do
    domus create /etc/domus/demo.cfg >/dev/null || fail "creation $round"
    domus destroy demo || fail "destruction $round"
done
same_as_before() { [ "$(free_pages)" = "$before" ]; }
wait_until 30 same_as_before || fail "free pages: $before before, $(free_pages) after"
no_more_channels() { [ "$(channels)" -le "$channels_before" ]; }
wait_until 30 no_more_channels || fail "event channels are left: $channels_before before; $(cat /proc/interrupts)"
no_devices_stay
"""))


def test_a_guest_killed_under_load():
    check(boot("""
sed -i 's/guestip=/load guestip=/' /etc/domus/demo.cfg
""" + START + """
before=$(free_pages)
domus destroy demo || fail "destroy under load"
same() { [ "$(free_pages)" -ge $((before + 65536)) ]; }
wait_until 60 same || fail "memory did not come back: $before before, $(free_pages) after"
""" + "rm -f $log\n" + START + "domus destroy demo || fail destroy\n"))


def test_the_daemon_is_killed_and_started_again():
    check(boot(START + """
kill -9 $(pidof domusd)
domusd -d || fail "domusd does not start again"
domus list | grep -q '^demo ' || fail "demo is not known any more"
domus pause demo && domus unpause demo || fail "demo cannot be controlled"
domus shutdown -w demo || fail "demo does not shut down"
domus list | grep -q '^demo ' && fail "demo is still listed"
true
"""))


def test_several_people_at_one_console():
    check(boot("""
domusd -d || fail domusd
cat > /tmp/tiny.cfg <<END
name = "tiny"
kernel = "/boot/tiny"
memory = 16
END
domus create /tmp/tiny.cfg || fail "tiny could not be created"
mkfifo /tmp/in1 /tmp/in2
domus console tiny < /tmp/in1 > /tmp/out1 2>&1 &
domus console tiny < /tmp/in2 > /tmp/out2 2>&1 &
exec 3> /tmp/in1 4> /tmp/in2
both_see() { grep -q "$1" /tmp/out1 && grep -q "$1" /tmp/out2; }
wait_until 60 both_see TINY-READY || fail "not all have the output: $(cat /tmp/out1 /tmp/out2)"
printf first >&3
wait_until 60 both_see first || fail "not all see what one has typed: $(cat /tmp/out1 /tmp/out2)"
exec 3>&-
printf second >&4
wait_until 60 grep -q second /tmp/out2 || fail "when one has left, the other is cut off: $(cat /tmp/out2)"
printf q >&4
wait
domus list | grep -q '^tiny ' && fail "tiny does not take what is typed"
true
""", files=[("/boot/tiny", IMAGES / "tiny")]))


def test_a_guest_with_four_cpus():
    check(boot("""
sed -i 's/^vcpus.*/vcpus = 4/' /etc/domus/demo.cfg
""" + START + """
grep '^GUEST-UP cpus=4' $log || fail "not all CPUs: $(grep ^GUEST-UP $log)"
domus reboot -w demo || fail "reboot"
twice() { [ "$(grep -c '^GUEST-READY' $log)" -ge 2 ]; }
wait_until 180 twice || fail "the guest did not come up again"
domus destroy demo || fail destroy
"""))


BAD = """
domusd -d || fail domusd
mkdir -p /var/lib/domus
truncate -s 16M /var/lib/domus/demo.img
cd /tmp
# refused NAME WORDS...: creation fails with status 1, and says these words.
refused() {
    domus create /tmp/bad.cfg >/tmp/said 2>&1
    status=$?
    name=$1
    shift
    [ $status = 1 ] || fail "$name: exit status $status: $(cat /tmp/said)"
    for word in "$@"; do
        grep -q -e "$word" /tmp/said || fail "$name: '$word' is not in: $(cat /tmp/said)"
    done
    [ "$(domus list | wc -l)" = 2 ] || fail "$name: something is left behind: $(domus list)"
    [ -z "$(losetup -a)" ] || fail "$name: a loop device is left"
}
change() { sed "$1" /etc/domus/demo.cfg > /tmp/bad.cfg; }
before=$(free_pages)
head -c 100000 /boot/vmlinuz > /tmp/cut
change 's|/boot/vmlinuz|/tmp/cut|'; refused "a truncated kernel" /tmp/cut
change 's|/boot/vmlinuz|/etc/passwd|'; refused "a kernel that is none" /etc/passwd
change 's|/boot/vmlinuz|/nowhere|'; refused "no kernel" /nowhere
head -c 300000 /boot/guest.cpio > /tmp/cutrd
change 's|/boot/guest.cpio|/tmp/cutrd|'; refused "a truncated ramdisk" /tmp/cutrd
change 's|^memory|memorry|'; refused "a misspelt key" memorry memory
change 's|^memory.*|memory = 8|'; refused "too little memory" memory
change 's|^memory.*|memory = 100000|'; refused "more memory than there is" MiB
change 's|demo.img|gone.img|'; refused "no disk file" gone.img
change 's|xenbr0|xenbr9|'; refused "no bridge" xenbr9
[ "$(free_pages)" = "$before" ] || fail "pages: $before before, $(free_pages) after"
domus create /etc/domus/demo.cfg || fail "a good one"
domus create /etc/domus/demo.cfg 2>&1 | grep demo || fail "name in use"
domus nonsense; [ $? = 2 ] || fail "usage errors end with status 2"
domus destroy demo
"""


def test_bad_input_is_refused_and_leaves_nothing():
    check(boot(BAD))
