#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Boots each test kernel as dom0 in QEMU and reads its results from the serial line. A kernel whose source holds a
comment `EXPECT: regex` is to be crashed instead: the console must show that text, and neither a panic nor a test's
result. One that holds `SMP: ...` wants these CPUs, in the words of QEMU's option -smp, one that holds `VCPUS: n` so many
vCPUs. With QEMU, QEMU_CPU, QEMU_SMP, HV_ARGS and KERNEL_ARGS in the environment other machines are tried, and TIMEOUT says
how long, in seconds. As many machines run at once as there are CPUs here. The last line counts the tests of all kernels."""
import os
import pathlib
import re
import selectors
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

TIMEOUT = int(os.environ.get("TIMEOUT", "300"))
# What follows is of no interest: the kernel is done, or its domain or the hypervisor is dead.
END = re.compile(r"TEST-EXIT \d+\r?\n|[Dd]om(ain )?0 (has )?crashed[^\n]*\n|Reboot in|Manual reset required|PANIC|Panic on CPU")
PANIC = re.compile(r"PANIC|Panic on CPU|Assertion .* failed|Xen BUG at|FATAL TRAP|UBSAN")


def wish(kernel, word):
    """What follows `word: ` in a comment of the kernel's source; None if it says nothing of that."""
    source = pathlib.Path(__file__).with_name(pathlib.Path(kernel).stem + ".c")
    found = re.search(word + r": (.*?) \*/", source.read_text())
    return found[1] if found else None


def boot(hypervisor, kernel):
    """Returns the console of one machine, up to the end of the kernel."""
    smp = wish(kernel, "SMP") or os.environ.get("QEMU_SMP", "1")
    hv_args = os.environ.get("HV_ARGS", f"console=com1 dom0_mem=64M dom0_max_vcpus={wish(kernel, 'VCPUS') or 2}")
    cmd = [os.environ.get("QEMU", "qemu-system-x86_64"), "-M", "q35", "-accel", "tcg",
           "-cpu", os.environ.get("QEMU_CPU", "max"), "-smp", smp, "-m", "512M",
           "-display", "none", "-no-reboot", "-monitor", "none", "-serial", "stdio", "-kernel", hypervisor,
           "-append", hv_args, "-initrd", f"{kernel} {os.environ.get('KERNEL_ARGS', '')}"]
    qemu = subprocess.Popen(cmd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
    output, end = "", time.monotonic() + TIMEOUT
    with selectors.DefaultSelector() as selector:
        selector.register(qemu.stdout, selectors.EVENT_READ)
        while time.monotonic() < end and not END.search(output):
            if not selector.select(timeout=1):
                continue
            chunk = os.read(qemu.stdout.fileno(), 65536)
            if not chunk:
                break
            output += chunk.decode(errors="replace")
    qemu.kill()
    output += qemu.stdout.read().decode(errors="replace")
    qemu.wait()
    return output


def result(output, expected):
    """(passed, failed) of one kernel."""
    summary = re.search(r"TEST-SUMMARY (\d+) passed, (\d+) failed", output)
    if PANIC.search(output):
        return 0, 1
    if expected:
        return (1, 0) if re.search(expected, output) and not summary else (0, 1)
    return (int(summary[1]), int(summary[2])) if summary else (0, 1)


def main():
    hypervisor, kernels = sys.argv[1], sys.argv[2:]
    passed = failed = 0
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for kernel, output in zip(kernels, pool.map(lambda kernel: boot(hypervisor, kernel), kernels)):
            name = pathlib.Path(kernel).stem
            good, bad = result(output, wish(kernel, "EXPECT"))
            passed += good
            failed += bad
            if bad:
                print(f"{name}: FAILED; the machine's console:\n{output}")
            else:
                print(f"{name}: {good} passed", flush=True)
    print(f"guest kernels: {passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
