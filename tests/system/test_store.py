# SPDX-License-Identifier: MIT
"""The store as others use it: Debian's own clients, and a guest that attacks it."""
import subprocess

from machine import OUT, ROOT, boot, check

CLIENTS = """
# try NAME WANTED COMMAND...: the command succeeds and prints this.
try() {
    name=$1
    wanted=$2
    shift 2
    got=$(timeout 60 "$@" 2>&1) || fail "$name: $* ended with $?: $got"
    [ "$got" = "$wanted" ] || fail "$name: $* printed '$got', not '$wanted'"
}
# clients NAME: all that the clients of xenstore-utils do, at /NAME.
clients() {
    try "$1" "" xenstore-write /$1/a/b hello /$1/a/c "two words"
    try "$1" "hello" xenstore-read /$1/a/b
    try "$1" "$(printf 'hello\\ntwo words')" xenstore-read /$1/a/b /$1/a/c
    try "$1" "$(printf 'b\\nc')" xenstore-list /$1/a
    try "$1" "$(printf 'a = ""\\n b = "hello"\\n c = "two words"')" xenstore-ls /$1
    try "$1" "" xenstore-exists /$1/a/b
    timeout 60 xenstore-exists /$1/none && fail "$1: a node that is none exists"
    try "$1" "" xenstore-chmod /$1/a/b n0 r7
    try "$1" "$(printf '/%s/a/b = "hello"   (n0,r7)' $1)" sh -c "xenstore-ls -fp /$1/a | grep /b"
    rm -f /tmp/watched          # that of the other way, until this one begins
    timeout 60 xenstore-watch -n 3 /$1/a > /tmp/watched &
    watcher=$!
    wait_until 60 grep -qs . /tmp/watched || fail "$1: a watch does not fire at first"
    try "$1" "" xenstore-write /$1/a/d seen
    try "$1" "" xenstore-rm /$1/a/d
    wait $watcher || fail "$1: xenstore-watch ended with $?"
    try "$1" "$(printf '/%s/a\\n/%s/a/d\\n/%s/a/d' $1 $1 $1)" cat /tmp/watched
    try "$1" "" xenstore-rm /$1/a/b
    timeout 60 xenstore-read /$1/a/b >/dev/null 2>&1 && fail "$1: a node that was removed can be read"
    true
}
"""


def test_stock_clients_over_the_socket_and_the_kernel():
    check(boot(CLIENTS + """
domusd -d || fail domusd
clients socket
kill -9 $(pidof domusd)
domusd -d || fail "domusd does not start again"
try restart "two words" xenstore-read /socket/a/c
export XENSTORED_PATH=/dev/xen/xenbus
try kernel "two words" xenstore-read /socket/a/c
clients kernel
kill -9 $(pidof domusd)
domusd -d -q nodes=50 || fail "domusd does not start again"
try restart "two words" xenstore-read /kernel/a/c
clients again
"""))


ATTACK = """
domusd -d || fail domusd
xenstore-write /secret "for dom0 alone"
cat > /tmp/attacker.cfg <<END
name = "attacker"
kernel = "/boot/attacker"
memory = 32
END
log=/var/log/domus/console-attacker.log
domus create /tmp/attacker.cfg || fail "the attacker cannot be created"
wait_for ATTACK-BEGINS
served=0
until grep -q ATTACK-DONE $log; do
    timeout 30 xenstore-write /probe $served || fail "nobody is served after $served: write"
    [ "$(timeout 30 xenstore-read /probe)" = $served ] || fail "nobody is served after $served: read"
    served=$((served + 1))
    [ $served -lt 5000 ] || fail "the attack does not come to its end: $(cat $log)"
done
cat $log
grep ATTACK-FAILED $log && fail "the attacker was not answered as it should have been"
[ "$(xenstore-read /secret)" = "for dom0 alone" ] || fail "the secret is changed"
[ $served -gt 3 ] || fail "only $served were served"
lines=$(grep -c 'store: ' /var/log/domus/domusd.log)
[ $lines -gt 2 ] && [ $lines -lt 200 ] || fail "$lines lines in the log: $(cat /var/log/domus/domusd.log)"
grep -q 'is refused /local/domain/[0-9]*/data/n[0-9]*: it has reached nodes=1000' /var/log/domus/domusd.log ||
    fail "no refusal is logged: $(cat /var/log/domus/domusd.log)"
gone() { ! domus list | grep -q attacker; }
wait_until 60 gone || fail "the attacker is still there"
"""


def test_a_guest_attacks_the_store():
    kernel = OUT / "tests/guest/attack_store.elf"
    subprocess.run(["make", "-C", ROOT / "tests/guest", f"O={OUT}", kernel], check=True)
    check(boot(ATTACK, files=[("/boot/attacker", kernel)]))
