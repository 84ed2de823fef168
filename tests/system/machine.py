# SPDX-License-Identifier: MIT
"""Whole machines in QEMU: boots Domus with dom0, runs a script there, gives back what the serial line said."""
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

from unpack_kernel import unpacked

ROOT = pathlib.Path(__file__).resolve().parents[2]
OUT = pathlib.Path(os.environ.get("O", ROOT / "build"))
IMAGES = OUT / "images"
QEMU = os.environ.get("QEMU", "qemu-system-x86_64")
# In seconds, for all that a machine does.
TIMEOUT = int(os.environ.get("TIMEOUT", "600"))
# Of the machines of the test that runs; conftest.py shows them if it fails.
consoles = []


class Result:
    """Console of a machine; whether it has stopped by itself."""

    def __init__(self, console, stopped):
        self.console = console
        self.stopped = stopped
        status = re.search(r"^DOM0-EXIT (\d+)", console, re.MULTILINE)
        self.status = int(status[1]) if status else None

    def has(self, pattern):
        return re.search(pattern, self.console, re.MULTILINE) is not None


def cpio(folder, target):
    with open(target, "wb") as out:
        subprocess.run("find . | cpio -o -H newc -R 0:0 --quiet", shell=True, check=True, cwd=folder, stdout=out)


def initramfs(script, tmp, archives=(), files=(), images=IMAGES):
    """dom0's image with the script and files (path in dom0, path here) in it, and more archives of images: they may simply
    follow each other."""
    extra = pathlib.Path(tmp, "extra")
    extra.mkdir()
    (extra / "script").write_text(". /root/lib.sh\n" + script)
    for path, source in files:
        target = extra / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)
    cpio(extra, f"{tmp}/extra.cpio")
    image = pathlib.Path(tmp, "dom0.cpio")
    parts = [images / "dom0.cpio", *(images / name for name in archives), pathlib.Path(tmp, "extra.cpio")]
    image.write_bytes(b"".join(part.read_bytes() for part in parts))
    return image


def guest_initramfs(program, script, tmp):
    """The guests' image with the script in it, as the program /PROGRAM of theirs; its path."""
    folder = pathlib.Path(tmp, f"guest-{program}")
    folder.mkdir()
    (folder / program).write_text(script)
    (folder / program).chmod(0o755)
    cpio(folder, f"{tmp}/{program}")
    image = pathlib.Path(tmp, f"{program}.cpio")
    image.write_bytes((IMAGES / "guest.cpio").read_bytes() + pathlib.Path(tmp, program).read_bytes())
    return image


def ask_monitor(path, command):
    """What QEMU's monitor answers."""
    with socket.socket(socket.AF_UNIX) as monitor:
        monitor.settimeout(10)
        monitor.connect(path)
        said = b""
        for line in ("", f"{command}\n"):
            monitor.sendall(line.encode())
            said = b""
            while not said.endswith(b"(qemu) "):
                more = monitor.recv(65536)
                if not more:
                    raise ConnectionError("QEMU has ended")
                said += more
        lines = said.decode(errors="replace").replace("\r", "").splitlines()
        return [line for line in lines if line and not line.startswith("QEMU ")]


def look_at(qemu, monitor):
    """What a machine that does not come to its end is doing: where its CPUs are, a second apart, and what they wait for.
    Domus's debug keys, typed after the keys that have its console listen, have it say on the console what it knows."""
    apic = r"LVTT\s|Timer|[IA]\wR\s"
    commands = {"info registers -a": "CPU#|RIP=|CR0=", "info lapic 0": apic, "info lapic 1": apic}
    said = []
    for command in [*commands, "info registers -a"]:
        said.append(f"--- {command}")
        said.extend(line for line in ask_monitor(monitor, command) if re.match(commands[command], line))
        time.sleep(1)
    qemu.stdin.write(b"\x01" * 3 + b"dqrai")
    qemu.stdin.flush()
    time.sleep(10)
    return "\n".join(said)


# Nothing but what a test asks for: each card that dom0 finds changes where devices' memory and ports are as it is looked
# at, and a write to a device that another CPU does meanwhile may get lost in QEMU, an interrupt's end for one
# (docs/hacking.md). `-M sata=on` among the arguments gives the controller for disks back.
BARE = ["-M", "q35,sata=off,smbus=off", "-nodefaults"]


# Begins what follows the console of a machine that did not stop.
STATE = "--- Time is up: "


def run_once(arguments, smp, memory, cpu, timeout):
    """One run of a machine: (its console, whether it stopped by itself, QEMU's exit status)."""
    with tempfile.TemporaryDirectory() as tmp:
        console = pathlib.Path(tmp, "console")
        monitor = f"{tmp}/monitor"
        cmd = ["timeout", str(timeout + 60), QEMU, *BARE, "-accel", "tcg", "-cpu", cpu, "-m", memory,
               "-smp", str(smp), "-display", "none", "-no-reboot", "-monitor", f"unix:{monitor},server=on,wait=off",
               "-serial", "stdio", *arguments]
        state, before = "", os.times()
        with open(console, "wb") as out, subprocess.Popen(cmd, stdin=subprocess.PIPE, stdout=out) as qemu:
            try:
                qemu.wait(timeout)
            except subprocess.TimeoutExpired:
                try:
                    state = look_at(qemu, monitor)
                except OSError as error:
                    state = f"--- nothing is known of what it was doing: {error}"
            finally:
                qemu.terminate()
        text = console.read_text(encoding="utf-8", errors="replace").replace("\r", "")
        if state:
            after, load = os.times(), os.getloadavg()
            used = after.children_user + after.children_system - before.children_user - before.children_system
            text += f"\n{STATE}{used:.0f} s of CPU in {timeout} s, load here {load}\n{state}"
        return text, not state, qemu.returncode


# Debian 12's QEMU (7.2) ends by a segmentation fault now and then, once in hundreds of machines, where one CPU changes where
# a device's memory is and another writes to a device (docs/hacking.md): that says nothing of Domus. timeout ends as its
# child did, or says so by its exit status.
QEMU_CRASHED = (-signal.SIGSEGV, 128 + signal.SIGSEGV)


def run_qemu(arguments, smp, memory, cpu, timeout=TIMEOUT):
    """Runs a machine to its end, or for these seconds: then its console ends with what it was doing at last. It is
    started once more if QEMU itself crashes."""
    console, stopped, status = run_once(arguments, smp, memory, cpu, timeout)
    if status in QEMU_CRASHED:
        print(f"QEMU has crashed (status {status}), and is started again; the console was:\n{console}")
        console, stopped, _ = run_once(arguments, smp, memory, cpu, timeout)
    consoles.append(console)
    return Result(console, stopped)


def boot(script, smp=2, memory="2G", cpu="max", hv_args="dom0_mem=768M", extra=(), hypervisor=None, archives=(),
         files=(), words="script", images=IMAGES, packed=False):
    """Runs the shell script in dom0; its exit status is .status of the result, None if the machine never got there.
    Other words on dom0's command line may have another first program than that which runs the script. Unless packed, the
    kernel of dom0, and that of its guests, is unpacked before."""
    with tempfile.TemporaryDirectory() as tmp:
        kernel = images / "vmlinuz"
        if not packed:
            kernel = unpacked(kernel)
            files = [("/boot/vmlinuz", kernel), *files]
        image = initramfs(script, tmp, archives, files, images)
        return run_qemu(["-kernel", str(hypervisor or OUT / "domus"), "-append", f"console=com1 {hv_args}",
                         "-initrd", f"{kernel} console=hvc0 loglevel=4 {words},{image}", *extra],
                        smp, memory, cpu)


# What a kernel prints when something is wrong with it, and the hypervisor when it ends.
TROUBLE = r"Call Trace:|WARNING: CPU|BUG: |Kernel panic|\(domus\) .*(panic|Panic|FATAL|BUG)"


def check(result):
    """The script succeeded, the machine stopped and nobody complained. What is said if not begins with the first sign of it."""
    __tracebackhide__ = True    # pytest's: what matters is the line of the test
    wrong = [] if result.status == 0 else [f"dom0's script ended with {result.status}"]
    wrong += [] if result.stopped else ["the machine did not stop"]
    wrong += [] if not result.has(TROUBLE) else ["a kernel or the hypervisor complained"]
    if wrong:
        said = result.console.splitlines()
        first = next((n for n, line in enumerate(said) if re.search(f"^CHECK failed|{TROUBLE}|{STATE}", line)), -40)
        raise AssertionError(", ".join(wrong) + ":\n" + "\n".join(said[first:][:80]))
