# SPDX-License-Identifier: MIT
"""What becomes of guests that end: the actions of their configuration, cores, loops that are slowed down."""
from machine import boot, check

from test_commands_guest import HELPERS

# The tiny kernel ends as its command line says, at once.
ENDING = HELPERS + r"""
domusd -d || fail domusd
cat > /tmp/end.cfg <<END
name = "end"
kernel = "/boot/tiny"
memory = 4
END
# events NAME EVENT N: waits until there have been N events of that kind of the domain.
events() { [ "$(domus events --once | grep -c "\"event\":\"$2\".*\"name\":\"$1\"")" -ge $3 ]; }
wait_events() { wait_until 240 events end "$1" "$2" || fail "no $2 events $1: $(domus events --once)"; }
is_dead() { domus list -v end 2>/dev/null | grep -q "$1"; }
gone() { ! domus list end >/dev/null 2>&1; }
"""

CRASHES = r"""
step "coredump-restart, again and again"
ok domus create -q /tmp/end.cfg extra=crash on_crash=coredump-restart
wait_events rebooted 2
domus log end | grep -q 'made again in 1 s' || fail "the loop is not slowed down: $(domus log end)"
wait_events core-written 2
for core in /var/lib/domus/dump/end-*.core; do
    head -c 4 $core | tail -c 3 | grep -q ELF || fail "$core is no core"
done
ok domus destroy end
wait_events destroyed 1
rm /var/lib/domus/dump/*
step "rename-restart"
ok domus create -q /tmp/end.cfg extra=crash on_crash=rename-restart 'vif=["bridge=xenbr0"]'
kept() { domus list | sed -n 's/^\(end-[0-9TZ]*\) .*crashed.*/\1/p'; }
is_kept() { [ -n "$(kept)" ]; }
wait_until 60 is_kept || fail "nothing is kept: $(domus list)"
ok domus list end
ok domus destroy end
kept=$(kept | head -n 1)
ok domus list $kept
kill -9 $(pidof domusd)
domusd -d || fail "domusd does not start again"
ok domus list $kept; says crashed
ok domus dump-core $kept /tmp/core
rm /tmp/core
for name in $(kept); do ok domus destroy $name; done
[ "$(domus list | wc -l)" = 2 ] || fail "something is left: $(domus list)"
step "preserve"
ok domus create -q /tmp/end.cfg extra=crash on_crash=preserve
wait_until 60 is_dead crash || fail "it is not preserved: $(domus list)"
refused 'not running' domus shutdown end
ok domus destroy end
step "coredump-destroy, of a kernel that panics because it has no root file system"
ok domus create -q /tmp/end.cfg kernel=/boot/vmlinuz memory=96 'extra=console=hvc0 loglevel=4' on_crash=coredump-destroy
wait_until 240 gone || fail "it is not destroyed: $(domus list)"
[ "$(ls /var/lib/domus/dump/end-*.core | wc -l)" = 1 ] || fail "no core: $(domus log)"
refused 'cannot be reset' domus check -n /tmp/end.cfg on_crash=soft-reset
refused 'no such action' domus check -n /tmp/end.cfg on_crash=explode
"""

REBOOTS = r"""
step "create -c shows the console from its beginning until the guest ends"
echo q | domus create -c -q /tmp/end.cfg > /tmp/said || fail "create -c: $(cat /tmp/said)"
grep TINY-READY /tmp/said || fail "create -c shows: $(cat /tmp/said)"
wait_until 60 gone || fail "what was typed has not ended it: $(domus list)"
step "a guest that reboots at once is made again ever later"
ok domus create -q /tmp/end.cfg extra=reboot
slowed() { domus log end | grep -q 'made again in 2 s'; }
wait_until 60 slowed || fail "it is not slowed down: $(domus log end)"
ok domus destroy end
step "on_poweroff"
ok domus create -q /tmp/end.cfg extra=poweroff on_poweroff=preserve
wait_until 60 is_dead poweroff || fail "it is not kept: $(domus list)"
ok domus destroy end
before=$(domus events --once end | grep -c '"rebooted"')
ok domus create -q /tmp/end.cfg extra=poweroff on_poweroff=restart
again() { [ "$(domus events --once end | grep -c '"rebooted"')" -gt $before ]; }
wait_until 60 again || fail "it is not restarted"
ok domus destroy end
step "a watchdog that nobody feeds"
ok domus create -q /tmp/end.cfg extra=watchdog on_watchdog=preserve
wait_until 60 is_dead watchdog || fail "the watchdog does not bite: $(domus list -v)"
ok domus destroy end
"""


def test_what_becomes_of_guests_that_end():
    # Cores need room.
    check(boot(ENDING + CRASHES + REBOOTS, hv_args="dom0_mem=1G"))


def test_a_guest_with_64_cpus():
    check(boot(HELPERS + r"""
sed -i 's/^vcpus.*/vcpus = 64/; s/^memory.*/memory = 512/; s/guestip=[0-9.]*//' /etc/domus/demo.cfg
sh /root/start-demo || fail "demo could not be created"
up() { wait_until 200 grep -q '^GUEST-READY' $log; }
up || { cat $log; domus debug-keys qrd; fail "it does not come up"; }
grep '^GUEST-UP cpus=64' $log || fail "not all CPUs: $(grep ^GUEST-UP $log)"
ok domus list demo; says ' 64 '
ok domus shutdown -w demo
"""))
