#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Boots each test kernel as dom0 in QEMU and reads its results from the serial line. With QEMU_CPU, QEMU_SMP in the
environment other machines are tried. The last line counts the tests of all kernels."""
import os
import pathlib
import re
import subprocess
import sys

TIMEOUT = 120


def boot(hypervisor, kernel):
    cmd = ["timeout", str(TIMEOUT), "qemu-system-x86_64", "-M", "q35", "-accel", "tcg",
           "-cpu", os.environ.get("QEMU_CPU", "max"), "-smp", os.environ.get("QEMU_SMP", "1"), "-m", "512M",
           "-display", "none", "-no-reboot", "-monitor", "none", "-serial", "stdio", "-kernel", hypervisor,
           "-append", os.environ.get("HV_ARGS", "console=com1 dom0_mem=64M"), "-initrd", kernel]
    done = subprocess.run(cmd, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace")
    return done.stdout


def main():
    hypervisor, kernels = sys.argv[1], sys.argv[2:]
    passed = failed = 0
    for kernel in kernels:
        name = pathlib.Path(kernel).stem
        output = boot(hypervisor, kernel)
        summary = re.search(r"TEST-SUMMARY (\d+) passed, (\d+) failed", output)
        if summary and summary[2] == "0":
            passed += int(summary[1])
            print(f"{name}: {summary[1]} passed")
            continue
        print(f"{name}: FAILED; the machine's console:\n{output}")
        passed += int(summary[1]) if summary else 0
        failed += int(summary[2]) if summary else 1
    print(f"guest kernels: {passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
