# SPDX-License-Identifier: MIT
"""Many guests at once."""
from machine import boot, check

GUESTS = 50

SCRIPT = f"""
domusd -d || fail domusd
cat > /etc/domus/tiny.cfg <<END
kernel = "/boot/tiny"
memory = 4
END
before=$(free_pages)
for n in $(seq {GUESTS}); do
    domus create /etc/domus/tiny.cfg name=tiny$n > /dev/null || fail "creation $n"
done
[ "$(domus list | grep -c '^tiny')" = {GUESTS} ] || fail "$(domus list)"
for n in 1 {GUESTS}; do
    wait_for TINY-READY /var/log/domus/console-tiny$n.log
done
[ "$(domus top -b -i 1 | grep -c '^tiny')" = {GUESTS} ] || fail "$(domus top -b -i 1)"
[ "$(domus vcpu-list | grep -c 'tiny.* blocked')" = {GUESTS} ] || fail "not all sleep: $(domus vcpu-list)"
# They hear what is typed, and one that is told to ends.
printf q | domus console tiny7 > /dev/null
gone() {{ ! domus list | grep -q '^tiny7 '; }}
wait_until 30 gone || fail "tiny7 did not end"
kill -9 $(pidof domusd)
domusd -d || fail "domusd does not start again"
[ "$(domus list | grep -c '^tiny')" = {GUESTS - 1} ] || fail "$(domus list)"
for n in $(seq {GUESTS}); do
    [ $n = 7 ] || domus destroy tiny$n || fail "destruction $n"
done
domus create -q -F /etc/domus/tiny.cfg name=front &
front=$!
runs() {{ domus events --once front | grep -q '"started"'; }}
wait_until 30 runs || fail "create -F made nothing"
domus destroy front
wait $front || fail "create -F did not end well: $?"
# Stopped in the reverse order of start, first of all what was started by hand.
for n in 1 2 3; do
    domus define /etc/domus/tiny.cfg name=boot$n > /dev/null && domus enable -o $((n * 10)) boot$n || fail "boot$n"
done
domus start-all > /dev/null || fail start-all
domus create -q /etc/domus/tiny.cfg name=later || fail "create later"
domus stop-all -t 4 || fail stop-all
order=$(domus events --once | sed -n 's/.*"destroyed","name":"\\([a-z0-9]*\\)".*/\\1/p' | tail -n 4 | xargs)
[ "$order" = "later boot3 boot2 boot1" ] || fail "stopped in the order $order"
# A page or two stay: dom0's table of event channels has grown.
all_back() {{ [ "$(free_pages)" -ge $((before - 2)) ]; }}
wait_until 30 all_back || fail "free pages: $before before, $(free_pages) after"
"""


def test_fifty_guests():
    check(boot(SCRIPT))
