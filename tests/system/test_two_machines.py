# SPDX-License-Identifier: MIT
"""A guest migrates to another machine and back, running all the while: its TCP connection holds, its memory and its disk
are right. Before, the cable is pulled in the middle of a migration: the guest stays, and nothing of it is left there."""
from machine import check
from two_machines import travel

FIRST = r"""
# ssh would give up after a while; this does when the other machine is out of reach.
(while there; do :; done; killall dd) &
migrate && fail "a migration whose cable was pulled"
wait_until 60 there || fail "the cable is not back"
runs "the cable was pulled"
connection_holds "the cable was pulled"

goes
forget_rounds
connection_holds "on the second machine"
receive
comes
runs "came back"
connection_holds "came back"
xl destroy traveller
expect_empty "after both ways"
"""

SECOND = r"""
cat > /root/pull <<'END'
#!/bin/sh
(head -c 9000000; ip link set eth0 down) | xl migrate-receive 2> /run/receiver.log
END
chmod +x /root/pull
nc -l -p 9000 -e /root/pull
ip link show eth0 | grep -q UP && fail "the migration ended before the cable was pulled: $(cat /run/receiver.log)"
leaves_nothing
receive
ip link set eth0 up

comes
runs "runs on the second machine"
goes
step "sent back"
"""


def test_there_and_back():
    for result in travel(FIRST, SECOND):
        check(result)
