# SPDX-License-Identifier: MIT
"""docs/administration.md, followed as a newcomer would: its shell commands, in its order, as they stand."""
import re

from machine import ROOT, boot, check


def commands(page):
    """The blocks of the page that are to be typed; each must succeed as a whole."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert len(blocks) > 8
    return "\n".join(f"echo 'CHECK block {n}'\n(set -e\n{block})\n[ $? = 0 ] || fail 'block {n}'\n"
                     for n, block in enumerate(blocks, 1))


def test_the_page_for_administrators():
    page = (ROOT / "docs/administration.md").read_text()
    check(boot(commands(page), memory="3G"))
