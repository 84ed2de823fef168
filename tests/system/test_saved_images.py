# SPDX-License-Identifier: MIT
"""Damaged images of a guest, in each of their parts, and Xen's tools killed at any time: nothing stays, nobody is harmed."""
import os
import subprocess

from machine import OUT, ROOT, boot, check

from test_migration import XEN_TOOLS

# There are seven ways of damage a part; STEP=1 by hand tries all of them in each.
STEP = os.environ.get("DAMAGE_STEP", "4")

SCRIPT = (XEN_TOOLS + r"""
cat > /root/tiny.cfg <<END
name = "tiny"
kernel = "/boot/tiny"
memory = 4
END
said() { cat /var/log/xen/console/guest-tiny*.log 2>/dev/null; }
has_said() { said | grep -q "$1"; }
is_asked() { [ "$(xenstore-read $node/control/shutdown 2>/dev/null)" = suspend ]; }
# The tiny guest knows no store: it is answered for there, and told by its console.
suspend_tiny() {
    node=/local/domain/$(xl domid tiny)
    wait_until 30 is_asked || fail "the guest is not asked to suspend itself"
    xenstore-write $node/control/shutdown ""
    echo S > $(xenstore-read $node/console/tty)
}
# Restores /tmp/bad; what comes of it, if anything, runs and goes.
try_bad() {
    timeout 60 xl restore -p /tmp/bad > /tmp/said 2>&1
    rc=$?
    [ $rc != 124 ] || fail "xl restore hangs: $way"
    grep -q . /tmp/said || [ $rc = 0 ] || fail "xl restore says nothing: $way"
    [ "$(guests)" = 0 ] || { xl unpause tiny; xl destroy tiny; } || fail "not destroyed: $way"
}
xl create -q /root/tiny.cfg || fail "xl create"
wait_until 30 has_said TINY-READY || fail "the guest does not run"
suspend_tiny &
xl save tiny /tmp/image || fail "xl save"
wait
expect_empty "after xl save"
xl restore /tmp/image || fail "xl restore"
wait_until 30 has_said TINY-RESUMED || fail "the guest does not run again"
xl destroy tiny
expect_empty "after xl restore"
step "saved and restored"

ways=$(damage_image /tmp/image) || fail "damage_image: $ways"
accepted=0
for number in $(seq 0 STEP $((ways - 1))); do
    way=$(damage_image /tmp/image $number /tmp/bad) || fail damage_image
    try_bad
    [ $rc != 0 ] || accepted=$((accepted + 1))
done
expect_empty "after damaged images"
step "one in STEP of $ways damaged images, $accepted of them taken"

# killed_after MICROSECONDS COMMAND...: all its processes are killed then; what is left of its guest can be destroyed.
killed_after() {
    local time=$1
    shift
    "$@" > /dev/null 2>&1 &
    usleep $time
    killall -q -9 xl libxl-save-helper
    wait
    for domid in $(xl list | awk 'NR > 2 { print $2 }'); do
        xl destroy $domid || fail "what was left of $* after $time us is not destroyed: $(xl list)"
    done
}
for turn in $(seq 8); do
    killed_after $((turn * 60000)) xl create -q /root/tiny.cfg
    killed_after $((turn * 60000)) xl restore -p /tmp/image
done
expect_empty "after tools that were killed"
xl restore /tmp/image || fail "xl restore at the end"
xl destroy tiny
expect_empty "at the end"
step "tools killed"
""").replace("STEP", STEP)


def test_damaged_images_and_killed_tools(tmp_path):
    program = tmp_path / "damage_image"
    subprocess.run(["gcc", "-static", "-O1", "-Wall", "-Wextra", "-Werror", "-o", program,
                    ROOT / "tests/system/damage_image.c"], check=True)
    check(boot(SCRIPT, hypervisor=OUT / "debug/domus", archives=["xen-tools.cpio"],
               files=[("/bin/damage_image", program)]))
