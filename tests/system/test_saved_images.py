# SPDX-License-Identifier: MIT
"""Damaged images of a guest, in each of their parts, a migration that is cut in each, and Xen's tools killed at any time:
nothing stays, nobody is harmed."""
import os
import subprocess

import pytest

from machine import OUT, ROOT, boot, check

from test_migration import XEN_TOOLS

# There are seven ways of damage a part, and some twenty parts to cut a migration in; STEP=1 by hand tries all of them.
STEP = os.environ.get("DAMAGE_STEP", "4")

TINY = XEN_TOOLS + r"""
cat > /root/tiny.cfg <<END
name = "tiny"
kernel = "/boot/tiny"
memory = 4
END
said() { cat /var/log/xen/console/guest-tiny*.log 2>/dev/null; }
has_said() { said | grep -q "$1"; }
# The tiny guest knows no store: it is answered for there, and told by its console.
suspend_when_asked() {
    xenstore-watch /local/domain | while read -r path; do
        [ "${path##*/}" = shutdown ] && [ "$(xenstore-read $path 2>/dev/null)" = suspend ] || continue
        xenstore-write $path ""
        echo S > $(xenstore-read ${path%control/shutdown}console/tty)
    done
}
suspend_when_asked &
xl create -q /root/tiny.cfg || fail "xl create"
wait_until 30 has_said TINY-READY || fail "the guest does not run"
"""

IMAGES = (TINY + r"""
# Restores /tmp/bad; what comes of it, if anything, runs and goes.
try_bad() {
    timeout 60 xl restore -p /tmp/bad > /tmp/said 2>&1
    rc=$?
    [ $rc != 143 ] || fail "xl restore hangs: $way"     # as busybox has it
    grep -q . /tmp/said || [ $rc = 0 ] || fail "xl restore says nothing: $way"
    [ "$(guests)" = 0 ] || { xl unpause tiny; xl destroy tiny; } || fail "not destroyed: $way"
}
xl save tiny /tmp/image || fail "xl save"
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
    local command=$!
    usleep $time
    killall -q -9 xl libxl-save-helper
    wait $command
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

CUTS = (TINY + r"""
# migrate COMMAND: to what it starts.
migrate() {
    printf '#!/bin/sh\n%s\n' "$1" > /root/receive
    timeout 120 xl migrate -s '' tiny /root/receive > /run/said 2>&1
    rc=$?
    [ $rc != 143 ] || fail "xl migrate hangs: $1: $(cat /run/cut /run/said)"
    return $rc
}
# Where xl itself dies of a signal, as it does when libxl's header is cut or nobody takes its answer, what it was making
# stays; but it can be destroyed.
destroy_incoming() {
    xl list tiny--incoming > /dev/null 2>&1 || return
    xl destroy tiny--incoming || fail "not destroyed: $(xl list)"
    left=$((left + 1))
}
left=0
# The log of writes, which a helper that was killed could not end, stays with the guest: some MiB.
one_guest() { [ "$(guests)" = 1 ] && [ "$(free_memory)" -ge $((free_beside - 2)) ]; }
turn=0
# runs WHAT: the guest answers, and there is nothing but it.
runs() {
    destroy_incoming
    wait_until 20 one_guest || fail "$1: $(xl list; free_memory), $free_beside MiB were free: $(cat /run/cut /run/said)"
    turn=$((turn + 1))
    echo "hello $turn." > $(xenstore-read /local/domain/$(xl domid tiny)/console/tty)
    wait_until 30 has_said "hello $turn\." || fail "$1: the guest does not answer: $(xl list; said; cat /run/said)"
}
touch /run/cut /run/said
: > /root/receive
chmod +x /root/receive
free_beside=$(free_memory)
runs "created"
migrate 'damage_image - 1000000 2> /run/cut | xl migrate-receive' || fail "xl migrate: $(cat /run/said)"
runs "migrated"
step "migrated: $(cat /run/cut)"

# Where its stream ends in each of the parts, and after the last, the source knows that the guest has not gone.
here=$(xl domid tiny)
parts=$(cut -d " " -f 1 /run/cut)
for part in $(seq 0 STEP $((parts - 1))) $parts; do
    migrate "damage_image - $part 2> /run/cut | xl migrate-receive" && fail "migrated, but cut: $(cat /run/cut)"
    runs "cut within $(cat /run/cut)"
    [ "$(xl domid tiny)" = $here ] || fail "the guest has gone: $(cat /run/cut)"
done
step "cut in one in STEP of $parts parts; something was left $left times"
[ $left -le 1 ] || fail "more than one part of the stream kills a receiver"
# So it does in both of the answers that it waits for, which are of 54 and 34 bytes.
mkfifo /run/answers
for length in 20 70; do
    migrate "xl migrate-receive <&0 > /run/answers &
        exec dd bs=1 count=$length if=/run/answers </dev/null" && fail "migrated, but answered with $length bytes"
    runs "answered with $length bytes"
    [ "$(xl domid tiny)" = $here ] || fail "the guest has gone after $length bytes"
done
step "cut in answers; something was left $left times"
xl destroy tiny
expect_empty "at the end"
""").replace("STEP", STEP)


@pytest.fixture
def damage_image(tmp_path):
    """The program, and where it is wanted in the machine."""
    program = tmp_path / "damage_image"
    subprocess.run(["gcc", "-static", "-O1", "-Wall", "-Wextra", "-Werror", "-o", program,
                    ROOT / "tests/system/damage_image.c"], check=True)
    return "/bin/damage_image", program


def run(script, damage_image):
    check(boot(script, hypervisor=OUT / "debug/domus", archives=["xen-tools.cpio"], files=[damage_image]))


def test_damaged_images_and_killed_tools(damage_image):
    run(IMAGES, damage_image)


def test_migration_cut_in_each_part(damage_image):
    run(CUTS, damage_image)
