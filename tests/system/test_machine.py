# SPDX-License-Identifier: MIT
"""What befalls the machine itself: its console's keys, hardware errors, panic, restart, its screen; the ways to be loaded; big machines."""
import re
import signal
import socket
import subprocess

import pexpect
import pytest

from machine import OUT, QEMU, ROOT

KERNEL = OUT / "tests/guest/stand_by.elf"
KEYS = "\x01\x01\x01"           # gives the hypervisor the console's input


@pytest.fixture(scope="module", autouse=True)
def kernel():
    subprocess.run(["make", "-C", ROOT / "tests/guest", f"O={OUT}", KERNEL], check=True)


class Machine:
    """One that stays up, with a kernel that stands by: its console, and QEMU's monitor."""

    def __init__(self, folder, hv_args="", extra=("-m", "512M"), hypervisor=OUT / "domus", cpu="max"):
        self.monitor_path = str(folder / "monitor")
        self.console = pexpect.spawn(QEMU, [
            "-M", "q35", "-accel", "tcg", "-cpu", cpu, *extra, "-display", "none", "-serial", "stdio",
            "-monitor", f"unix:{self.monitor_path},server=on,wait=off", "-kernel", str(hypervisor),
            "-append", f"console=com1,vga dom0_mem=64M {hv_args}", "-initrd", str(KERNEL)],
            timeout=300, encoding="utf-8", codec_errors="replace", echo=False)
        self.boot_messages = self.expect("STANDS-BY")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.console.kill(signal.SIGKILL)
        self.console.wait()             # close() alone gives QEMU only moments to be gone
        self.console.close()

    def expect(self, pattern):
        """Waits for it on the console; what came before it."""
        self.console.expect(pattern)
        return self.console.before

    def type(self, text):
        self.console.send(text)

    def monitor(self, command):
        """What QEMU's monitor answers."""
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(self.monitor_path)
            answer = b""
            for request in "", command + "\n":
                s.sendall(request.encode())
                answer = b""
                while not answer.endswith(b"(qemu) "):
                    chunk = s.recv(65536)
                    if not chunk:
                        break
                    answer += chunk
        return answer.decode(errors="replace")


REGISTERS = r"RIP: +[0-9a-f]{4}:\[<ffff[0-9a-f]{12}>\](?s:.*)rax: [0-9a-f]{16}(?s:.*)cr3: [0-9a-f]{16}"
BANNER = r"\(domus\) Domus \d+\.\d+ \("


def test_a_panic_shows_where_and_a_restart_follows(tmp_path):
    with Machine(tmp_path) as machine:
        machine.type(KEYS + "C")
        trace = machine.expect("Panic on CPU 0")
        assert re.search(r"\[<ffff[0-9a-f]{12}>\] crash\+0x[0-9a-f]+/0x[0-9a-f]+", trace), trace
        assert re.search(r"\] idle_loop\+0x", trace), trace
        machine.expect("Crash asked for by a console key")
        machine.expect("Restart by ACPI")
        machine.expect(BANNER)
        machine.expect("STANDS-BY")


# Of the status register: valid, not corrected, with an address; the processor's state is lost.
VALID, UNCORRECTED, ADDRESS, CONTEXT_CORRUPT = 1 << 63, 1 << 61, 1 << 58, 1 << 57
RESTART_POSSIBLE, IN_PROGRESS = 1, 4


def test_a_fatal_machine_check_ends_in_a_panic_with_registers(tmp_path):
    with Machine(tmp_path, "noreboot") as machine:
        status = VALID | UNCORRECTED | ADDRESS | CONTEXT_CORRUPT
        machine.monitor(f"mce 0 2 {status:#x} {IN_PROGRESS:#x} 0x12345000 0")
        machine.expect(r"Hardware error: CPU 0 bank 2: status %x, not corrected, processor context corrupt, address "
                       "0*12345000" % status)
        assert re.search(REGISTERS, machine.expect("Panic on CPU 0"))
        machine.expect("machine check")
        machine.expect("The machine has stopped")


def test_dom0_learns_of_a_corrected_error(tmp_path):
    # Looked for every half a minute, which passes at once where an idle machine's clock jumps to the next event.
    # (QEMU 10 cannot read the timer of an x2APIC then.)
    with Machine(tmp_path, extra=("-m", "512M", "-icount", "shift=0,sleep=off"), cpu="max,-x2apic") as machine:
        status = VALID | ADDRESS
        machine.monitor(f"mce 0 3 {status:#x} 0 0x777000 0")
        machine.expect(r"Hardware error: CPU 0 bank 3: status %x, corrected, address 0*777000" % status)
        machine.expect(r"HARDWARE-ERROR bank 3 status %#x address 0x777000" % status)


def test_dom0_restarts_the_machine_by_acpi(tmp_path):
    with Machine(tmp_path) as machine:
        machine.type("r")
        assert "keyboard" not in machine.expect(BANNER)
        machine.expect("STANDS-BY")


def test_the_screen_shows_the_messages(tmp_path):
    with Machine(tmp_path, "vga=keep") as machine:      # the last line before may be on its way to the screen
        dump = machine.monitor("xp /2000hx 0xb8000")
    cells = [cell for row in re.findall(r"^[0-9a-f]{16}: (.*)", dump, re.MULTILINE) for cell in row.split()]
    text = "".join(chr(int(cell, 16) & 0x7f) for cell in cells)
    lines = [text[i:i + 80].rstrip() for i in range(0, len(text), 80)]
    assert len(lines) == 25 and any("Console input to dom0" in line for line in lines), lines


MULTIBOOT_MAGIC = (0x1badb002).to_bytes(4, "little")


@pytest.mark.parametrize("protocol", ["multiboot", "PVH"])
def test_ways_to_be_loaded(tmp_path, protocol):
    image = (OUT / "domus").read_bytes()
    if protocol == "PVH":           # QEMU takes the first of the two that the image offers
        assert MULTIBOOT_MAGIC in image[:8192]
        image = image.replace(MULTIBOOT_MAGIC, bytes(4), 1)
    hypervisor = tmp_path / "domus"
    hypervisor.write_bytes(image)
    with Machine(tmp_path, hypervisor=hypervisor) as machine:
        assert f"Boot loader: {protocol}; command line: console=com1" in machine.boot_messages


def test_64_cpus(tmp_path):
    with Machine(tmp_path, extra=("-m", "1G", "-smp", "64")) as machine:
        machine.type(KEYS + "d")
        for cpu in range(64):
            machine.expect(rf"CPU {cpu}: (idle|runs d0v)")


def test_64_gib(tmp_path):
    # Ends before the idle hypervisor has cleared, and so got from the host, much of it.
    big = ["-object", "memory-backend-ram,id=ram,size=64G,reserve=off", "-machine", "memory-backend=ram", "-m", "64G"]
    with Machine(tmp_path, extra=big) as machine:
        found = re.search(r"Memory: (\d+) MiB free", machine.boot_messages)
        assert int(found[1]) > 63 << 10
