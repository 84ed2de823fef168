# SPDX-License-Identifier: MIT
"""Guests that want to do harm, on the hypervisor that checks itself."""
import os
import subprocess

from machine import OUT, ROOT, boot, check

ATTACK = """
domusd -d || fail domusd
cat > /tmp/attacker.cfg <<END
kernel = "/boot/attacker"
memory = 16
vcpus = 2
on_crash = "destroy"
on_reboot = "destroy"
END
gone() { ! domus list | grep -q attacker; }
wave() {
    for guest in 1 2 3 4; do
        seed=$(($1 * 4 + guest))
        domus create /tmp/attacker.cfg name="\\"attacker$seed\\"" extra="\\"seed=$seed steps=STEPS\\"" >/dev/null 2>&1 ||
            fail "attacker $seed cannot be created"
    done
    wait_until 300 gone || fail "they do not end: $(domus list)"
}
wave 0
before=$(free_pages)
for wave in $(seq WAVES); do
    wave $wave
    echo "wave $wave: free pages: $(free_pages)"
done
same_as_before() { [ "$(free_pages)" = "$before" ]; }
wait_until 30 same_as_before || fail "free pages: $before before, $(free_pages) after"
"""
# More of it by hand.
WAVES = os.environ.get("ATTACK_WAVES", "2")
STEPS = os.environ.get("ATTACK_STEPS", "50000")


def test_guests_that_call_at_random():
    kernel = OUT / "tests/guest/attack_hypercalls.elf"
    subprocess.run(["make", "-C", ROOT / "tests/guest", f"O={OUT}", kernel], check=True)
    check(boot(ATTACK.replace("WAVES", WAVES).replace("STEPS", STEPS), hypervisor=OUT / "debug/domus",
               files=[("/boot/attacker", kernel)]))
