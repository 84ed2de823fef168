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
# A page or two stay: dom0's table of event channels has grown.
all_back() {{ [ "$(free_pages)" -ge $((before - 2)) ]; }}
wait_until 30 all_back || fail "free pages: $before before, $(free_pages) after"
"""


def test_fifty_guests():
    check(boot(SCRIPT))
