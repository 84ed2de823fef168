# SPDX-License-Identifier: MIT
# What checks that run in dom0 share. Sourced.
log=/var/log/domus/console-demo.log

step() { echo "CHECK $*"; }

fail() {
    echo "CHECK failed: $*"
    for file in /var/log/domus/*.log; do
        [ -e "$file" ] && { echo "--- $file:"; tail -n 40 "$file"; }
    done
    echo "--- domus dmesg:"
    domus dmesg | tail -n 40
    exit 1
}

# wait_until SECONDS COMMAND...: until the command, which may itself wait, succeeds; on a busy machine twice as long. To
# look costs CPU time that what is waited for may need, hence ever less often, up to a second apart.
wait_until() {
    local now= pause=1 end
    read -r now _ < /proc/uptime
    end=$((${now%.*} + 2 * $1))
    shift
    until "$@"; do
        read -r now _ < /proc/uptime
        [ "${now%.*}" -lt $end ] || return 1
        usleep ${pause}00000
        [ $pause -ge 9 ] || pause=$((pause + 1))
    done
}

# wait_for LINE [FILE]: until a guest has printed a line that begins so; shows it.
wait_for() {
    wait_until 180 grep -q "^$1" "${2:-$log}" 2>/dev/null || fail "the guest did not print '$1'"
    grep -m 1 "^$1" "${2:-$log}"
}

# Pages of the machine that belong to nobody.
free_pages() { domus info | sed -n 's/^free_pages *: *//p'; }

# no_devices_stay: waits for the end of all back ends and loop devices. dom0's kernel ends a back end when it sees in the
# store that it is not wanted any more, which may be after the domain's end.
devices() { ls /sys/bus/xen-backend/devices; losetup -a; }
no_devices() { [ -z "$(devices)" ]; }
no_devices_stay() { wait_until 30 no_devices || fail "devices are left: $(devices)"; }

# guest NAME COMMAND: has the guest's shell run it; what it prints is in /tmp/guest-said.
mark=0
guest() {
    mark=$((mark + 1))
    # Typed text is echoed: the words that end the output must look different there.
    printf '%s; echo END"-"%s\n' "$2" $mark > /tmp/typed
    # The file of the command before, which may have had the same mark, is there until the viewer has been started.
    rm -f /tmp/guest-said.new
    domus console -r 0 "$1" < /tmp/typed > /tmp/guest-said.new 2>&1 &
    viewer=$!
    wait_until 60 grep -qs "^END-$mark" /tmp/guest-said.new ||
        fail "the guest does not run '$2': $(cat /tmp/guest-said.new)"
    kill $viewer
    tr -d '\r' < /tmp/guest-said.new > /tmp/guest-said
}
