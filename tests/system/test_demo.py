# SPDX-License-Identifier: MIT
"""What a user does first: make run without a terminal."""
import subprocess

from machine import OUT, ROOT


def test_the_demo_checks_itself():
    done = subprocess.run([ROOT / "guest/run-demo", OUT], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          errors="replace", check=False)
    assert done.returncode == 0, done.stdout
    for line in "GUEST-DISK ok", "GUEST-PING ok", "GUEST-HTTP ok", "CHECK all is well", "demo: all worked":
        assert line in done.stdout, done.stdout
