# SPDX-License-Identifier: MIT
"""Guests go from a machine with Domus to one with Debian's Xen and back. make -C tests/compat between"""
from compat import CPU_WITHOUT_XSAVE
from machine import OUT, check
from two_machines import travel

XEN = OUT / "compat/xen"

ON_DOMUS = r"""
goes
forget_rounds
printf '#!/bin/sh\nexec cat > /tmp/saved\n' > /root/take
chmod +x /root/take
nc -l -p 9001 -e /root/take &
saved=$!
connection_holds "on Debian's Xen"
wait $saved
xl restore /tmp/saved || fail "xl restore: $(cat /var/log/xen/xl*.log)"
runs "came back"
connection_holds "came back"
xl destroy traveller
expect_empty "after both ways"
"""

# Debian builds Xen without what logs the writes of paravirtualized guests: they do not leave it while they run.
ON_XEN = r"""
while :; do nc -l -p 9000 -e /root/receive; done &
comes
runs "runs on Debian's Xen"
xl migrate -s '' traveller 'xl migrate-receive' > /tmp/refused 2>&1 && fail "Debian's Xen migrates a guest"
cat /tmp/refused
runs "Debian's Xen does not migrate it"
xl save traveller /tmp/saved || fail "xl save"
leaves_nothing
nc 10.0.0.$THERE 9001 < /tmp/saved
step "sent back"
"""


def test_from_domus_to_xen_and_back():
    for result in travel(ON_DOMUS, ON_XEN, hypervisors=(None, XEN), cpu=CPU_WITHOUT_XSAVE):
        check(result)
