# SPDX-License-Identifier: MIT
"""What a user does first: make run without a terminal."""
import os
import subprocess

import pexpect
import pytest

from machine import OUT, ROOT


def test_the_demo_checks_itself():
    done = subprocess.run([ROOT / "guest/run-demo", OUT], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          errors="replace", check=False)
    assert done.returncode == 0, done.stdout
    for line in "GUEST-DISK ok", "GUEST-PING ok", "GUEST-HTTP ok", "CHECK all is well", "demo: all worked":
        assert line in done.stdout, done.stdout


PROMPT = "~ # "
CTRL_A = "\x01"
CTRL_CLOSING_BRACKET = "\x1d"


def test_the_demo_leaves_its_user_at_a_shell():
    demo = pexpect.spawn(str(ROOT / "guest/run-demo"), [str(OUT)], timeout=600, encoding="utf-8",
                         codec_errors="replace", echo=False)
    demo.expect("Try:")
    demo.expect(PROMPT)
    demo.sendline("domus list")
    demo.expect(r"demo +1 +256 +1")
    demo.expect(PROMPT)
    demo.sendline("domus console demo")
    demo.expect("GUEST-READY")
    demo.send(CTRL_CLOSING_BRACKET)
    demo.expect(PROMPT)
    # QEMU passes every second one on; three switch over, three switch back.
    demo.send(CTRL_A * 6)
    demo.expect("input to Domus")
    demo.send("q")
    demo.expect("d1: references")
    demo.send(CTRL_A * 6)
    demo.expect("input to dom0")
    demo.sendline("")
    demo.expect(PROMPT)
    demo.sendline("poweroff -f")
    demo.expect(pexpect.EOF)
    assert demo.wait() == 0


# A QEMU that does on KVM what the test wants, and tells on what it ran the demo.
FAKE_QEMU = """#!/bin/sh
case "$*" in *"-accel kvm"*) %s ;; esac
echo "ran with $*"
echo "DOM0-EXIT 0"
"""


@pytest.mark.parametrize("on_kvm, accel", [
    ("kill -ABRT $$", "tcg"),                           # as QEMU does where KVM takes not all that the CPU has
    ("echo no /dev/kvm >&2; exit 1", "tcg"),
    ("exec sleep 1000", "tcg"),                         # virtual CPUs do not get anywhere
    ("echo '(domus) Domus version'", "kvm"),
])
def test_the_demo_uses_kvm_only_where_domus_runs_on_it(tmp_path, on_kvm, accel):
    fake = tmp_path / "qemu"
    fake.write_text(FAKE_QEMU % on_kvm)
    fake.chmod(0o755)
    done = subprocess.run([ROOT / "guest/run-demo", OUT], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          env={**os.environ, "QEMU": str(fake)}, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"-accel {accel} " in done.stdout
