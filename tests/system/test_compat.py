# SPDX-License-Identifier: MIT
"""Domus's half of what tests/compat compares, but libvirt: what it says now, and what Debian's Xen said."""
import re
import subprocess
import sys

from machine import OUT, ROOT, boot, consoles, run_qemu

COMPAT = ROOT / "tests/compat"
sys.path.append(str(COMPAT))
from compare import compare_hypercalls, compare_status, expectations, numbered, parse  # noqa: E402
from compat import CPU, HYPERVISOR_WORDS, MEMORY, boots, initramfs  # noqa: E402


def test_hypercalls_answer_as_those_of_xen():
    """Every operation: its answers."""
    subprocess.run(["make", "-s", "-C", COMPAT, f"O={OUT}"], check=True)
    # Shown in the end: what the hypervisor prints meanwhile would come in the middle of lines.
    result = boot("/bin/hypercalls > /tmp/said || fail 'not all was called'\ncat /tmp/said\n", memory=MEMORY, cpu=CPU,
                  hv_args=HYPERVISOR_WORDS, files=[("/bin/hypercalls", OUT / "compat/hypercalls")])
    # One of the calls has the list of debug keys printed, in which check() would find a panic.
    assert result.status == 0
    answers = (COMPAT / "xen-hypercalls").read_text(encoding="utf-8").splitlines()
    ours = re.findall(r"^.* \| .* \| .* \| .*$", result.console, re.MULTILINE)
    verdicts = compare_hypercalls(expectations(), answers, ours)
    assert len(verdicts) > 150
    different = [f"{name}: {verdict.differs}" for name, verdict in verdicts.items() if verdict.differs]
    assert not different, "\n".join(different)


def test_stock_tools_end_as_on_xen(tmp_path):
    """Xen's own tools in a Debian dom0: the exit status of each command. What they print is compared by `make test-compat`."""
    subprocess.run(["make", "-s", "-C", COMPAT, f"O={OUT}", "images"], check=True)
    transcript = tmp_path / "said"
    result = run_qemu(boots(OUT / "domus", OUT, initramfs(OUT, tmp_path, COMPAT / "commands"), transcript), 2, MEMORY, CPU,
                      timeout=1800)
    said = transcript.read_text(encoding="utf-8", errors="replace")
    consoles.append(said)       # to be shown, too
    assert "COMPAT-EXIT 0" in result.console and result.stopped
    kept = [line.split(" ", 1) for line in (COMPAT / "xen-commands").read_text(encoding="utf-8").splitlines()]
    xen, domus = numbered((command, [], int(status)) for status, command in kept), numbered(parse(transcript))
    assert len(xen) > 200
    assert not xen.keys() ^ domus.keys()
    different = []
    for (command, number), (_, status) in xen.items():
        differences, _ = compare_status(expectations(), command, status, domus[command, number][1])
        different += [f"{command}: {text}" for text in differences]
    assert not different, "\n".join(different)
