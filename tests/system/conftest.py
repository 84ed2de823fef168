# SPDX-License-Identifier: MIT
"""What is shown of tests that fail: first why, of all of them, then the consoles of their machines, which are long."""
import pytest

import machine

CONSOLE = "console"


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item):
    outcome = yield
    report = outcome.get_result()
    if report.when == "call":
        if report.failed:
            report.user_properties += [(CONSOLE, text) for text in machine.consoles]
        machine.consoles.clear()


def pytest_terminal_summary(terminalreporter):
    for report in terminalreporter.getreports("failed"):
        for text in [value for name, value in report.user_properties if name == CONSOLE]:
            terminalreporter.section(f"console of a machine of {report.nodeid}")
            terminalreporter.write_line(text)
