# SPDX-License-Identifier: MIT
"""The half of tests/compat that takes no time: every operation of the hypercalls, compared with what Debian's Xen answered."""
import re
import subprocess
import sys

from machine import OUT, ROOT, boot

sys.path.append(str(ROOT / "tests/compat"))
from compare import compare_hypercalls, expectations  # noqa: E402
from compat import CPU, HYPERVISOR_WORDS, MEMORY  # noqa: E402


def test_hypercalls_answer_as_those_of_xen():
    subprocess.run(["make", "-s", "-C", ROOT / "tests/compat", f"O={OUT}"], check=True)
    # Shown in the end: what the hypervisor prints meanwhile would come in the middle of lines.
    result = boot("/bin/hypercalls > /tmp/said || fail 'not all was called'\ncat /tmp/said\n", memory=MEMORY, cpu=CPU,
                  hv_args=HYPERVISOR_WORDS, files=[("/bin/hypercalls", OUT / "compat/hypercalls")])
    # One of the calls has the list of debug keys printed, in which check() would find a panic.
    assert result.status == 0, result.console
    answers = (ROOT / "tests/compat/xen-hypercalls").read_text(encoding="utf-8").splitlines()
    ours = re.findall(r"^.* \| .* \| .* \| .*$", result.console, re.MULTILINE)
    verdicts = compare_hypercalls(expectations(), answers, ours)
    assert len(verdicts) > 150
    different = {name: verdict.differs for name, verdict in verdicts.items() if verdict.differs}
    assert not different, result.console
