# SPDX-License-Identifier: MIT
"""Guests that want to do harm, on the hypervisor that checks itself."""
import os
import subprocess

from machine import OUT, ROOT, boot, check

# wave DOMAINS PROGRAM...: so many attackers at the same time, until they have ended; the program runs for each.
WAVES = """
domusd -d || fail domusd
cat > /tmp/attacker.cfg <<END
kernel = "/boot/attacker"
memory = 16
vcpus = 2
on_crash = "destroy"
on_reboot = "destroy"
END
seed=0
gone() { ! domus list | grep -q attacker; }
wave() {
    nr=$1
    shift
    for guest in $(seq $nr); do
        seed=$((seed + 1))
        domus create /tmp/attacker.cfg name="\\"attacker$seed\\"" extra="\\"seed=$seed steps=STEPS\\"" >/dev/null 2>&1 ||
            fail "attacker $seed cannot be created"
        [ $# = 0 ] || { "$@" $(domus domid attacker$seed) || touch /tmp/failed; } &
    done
    wait_until 300 gone || fail "they do not end: $(domus list)"
    wait
}
wave BESIDE
before=$(free_pages)
for wave in $(seq ROUNDS); do
    wave BESIDE PROGRAM
    [ ! -e /tmp/failed ] || fail "PROGRAM failed"
    echo "wave $wave: free pages: $(free_pages)"
done
# Not a page for two of them is lost; where more are there at the same time than before, dom0's own tables grow a little.
all_back() { [ "$(free_pages)" -ge $((before - ROUNDS * BESIDE / 2)) ]; }
wait_until 30 all_back || fail "free pages: $before before, $(free_pages) after"
"""
# More of it by hand.
ROUNDS = os.environ.get("ATTACK_WAVES", "2")


def attack(kernel, beside, steps, program="", files=()):
    kernel = OUT / f"tests/guest/{kernel}.elf"
    subprocess.run(["make", "-C", ROOT / "tests/guest", f"O={OUT}", kernel], check=True)
    script = WAVES
    for word, value in ("BESIDE", beside), ("STEPS", os.environ.get("ATTACK_STEPS", steps)), ("ROUNDS", ROUNDS), \
                       ("PROGRAM", program):
        script = script.replace(word, str(value))
    result = boot(script, hypervisor=OUT / "debug/domus", files=[("/boot/attacker", kernel), *files])
    check(result)
    return result


def test_guests_that_call_at_random():
    attack("attack_hypercalls", beside=4, steps=50000)


def test_random_page_tables_while_writes_are_logged(tmp_path):
    program = tmp_path / "log_dirty"
    subprocess.run(["gcc", "-static", "-O1", "-Wall", "-Wextra", "-Werror", "-D__XEN_TOOLS__", "-o", program,
                    ROOT / "tests/system/log_dirty.c"], check=True)
    result = attack("fuzz_page_types", beside=2, steps=20000, program="/bin/log_dirty",
                    files=[("/bin/log_dirty", program)])
    assert result.has(r"read \d\d+ times") and result.has(r"\(d\d+\) ok books")
    assert not result.has(r"\(d\d+\) FAILED")
