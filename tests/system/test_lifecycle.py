# SPDX-License-Identifier: MIT
"""What becomes of guests that end: the actions of their configuration, cores, loops that are slowed down."""
from machine import boot, check

from test_commands_guest import HELPERS

# A guest without a root file system: its kernel panics as soon as it is up, which takes no long boot.
CRASHER = HELPERS + r"""
domusd -d || fail domusd
cat > /tmp/crash.cfg <<END
name = "crash"
kernel = "/boot/vmlinuz"
extra = "console=hvc0 loglevel=4"
memory = 128
END
# events N EVENT...: waits until there have been N events of that kind of the domain crash.
events() { [ "$(domus events --once | grep -c "\"event\":\"$2\".*\"name\":\"$1\"")" -ge $3 ]; }
wait_events() { wait_until 240 events crash "$1" "$2" || fail "no $2 events $1: $(domus events --once)"; }
"""

CRASHES = CRASHER + r"""
step "coredump-restart, again and again"
ok domus create /tmp/crash.cfg 'on_crash=coredump-restart' memory=96
wait_events rebooted 2
domus log crash | grep -q 'made again in 1 s' || fail "the loop is not slowed down: $(domus log crash)"
wait_events core-written 2
for core in /var/lib/domus/dump/crash-*.core; do
    head -c 4 $core | tail -c 3 | grep -q ELF || fail "$core is no core"
done
ok domus destroy crash
wait_events destroyed 1
rm /var/lib/domus/dump/*
step "rename-restart"
ok domus create /tmp/crash.cfg 'on_crash=rename-restart' 'vif=["bridge=xenbr0"]' memory=96
kept() { domus list | sed -n 's/^\(crash-[0-9TZ]*\) .*crashed.*/\1/p'; }
is_kept() { [ -n "$(kept)" ]; }
wait_until 240 is_kept || fail "nothing is kept: $(domus list)"
ok domus list crash
ok domus destroy crash
kept=$(kept | head -n 1)
ok domus list $kept
kill -9 $(pidof domusd)
domusd -d || fail "domusd does not start again"
ok domus list $kept; says crashed
ok domus dump-core $kept /tmp/core
rm /tmp/core
for name in $(kept); do ok domus destroy $name; done
[ "$(domus list | wc -l)" = 2 ] || fail "something is left: $(domus list)"
step "preserve, coredump-destroy"
ok domus create -q /tmp/crash.cfg 'on_crash=preserve' memory=96
crashed() { domus list crash 2>/dev/null | grep -q crashed; }
wait_until 240 crashed || fail "it is not preserved: $(domus list)"
refused 'not running' domus shutdown crash
ok domus destroy crash
ok domus create -q /tmp/crash.cfg 'on_crash=coredump-destroy' memory=96
gone() { ! domus list crash >/dev/null 2>&1; }
wait_until 240 gone || fail "it is not destroyed: $(domus list)"
[ "$(ls /var/lib/domus/dump/crash-*.core | wc -l)" = 1 ] || fail "no core: $(domus log)"
refused 'cannot be reset' domus check -n /tmp/crash.cfg on_crash=soft-reset
refused 'no such action' domus check -n /tmp/crash.cfg on_crash=explode
true
"""


def test_what_becomes_of_guests_that_crash():
    check(boot(CRASHES, memory="4G", hv_args="dom0_mem=1536M"))


REBOOTS = HELPERS + r"""
sed -i 's/^memory.*/memory = 128/; s/extra .*/extra = "console=hvc0 rdinit=\/sbin\/reboot"/' /etc/domus/demo.cfg
sh /root/start-demo || fail "demo could not be created"
step "a guest that reboots at once is made again ever later"
slowed() { domus log demo | grep -q 'made again in 2 s'; }
wait_until 300 slowed || fail "it is not slowed down: $(domus log demo)"
ok domus destroy demo
step "on_poweroff, on_reboot"
sed -i 's/reboot/poweroff/' /etc/domus/demo.cfg
ok domus create -q /etc/domus/demo.cfg on_poweroff=preserve
ended() { domus list demo 2>/dev/null | grep -q shutdown; }
wait_until 240 ended || fail "it is not kept: $(domus list)"
ok domus list -v demo; says poweroff
ok domus destroy demo
ok domus create -q /etc/domus/demo.cfg on_poweroff=restart
again() { domus events --once demo | grep -q '"rebooted"'; }
wait_until 240 again || fail "it is not restarted"
ok domus destroy demo
step "a watchdog that nobody feeds"
sed -i 's/rdinit[^"]*/watchdog/' /etc/domus/demo.cfg
ok domus create -q /etc/domus/demo.cfg on_watchdog=preserve
bitten() { domus list -v demo 2>/dev/null | grep -q watchdog; }
wait_until 300 bitten || fail "the watchdog does not bite: $(domus list -v) $(tail -n 20 $log)"
ok domus destroy demo
"""


def test_loops_are_slowed_down_and_other_ends_honoured():
    check(boot(REBOOTS))


def test_a_guest_with_64_cpus():
    check(boot(HELPERS + r"""
sed -i 's/^vcpus.*/vcpus = 64/; s/^memory.*/memory = 512/; s/guestip=[0-9.]*//' /etc/domus/demo.cfg
sh /root/start-demo || fail "demo could not be created"
wait_until 400 grep -q '^GUEST-READY' $log || fail "it does not come up"
grep '^GUEST-UP cpus=64' $log || fail "not all CPUs: $(grep ^GUEST-UP $log)"
ok domus list demo; says ' 64 '
ok domus shutdown -w demo
"""))
