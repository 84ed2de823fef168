#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Runs commands beside this file in a Debian dom0 with Xen's own tools, on Debian's Xen or on Domus.

    compat.py OUT xen|domus|FILE COMMANDS TRANSCRIPT

OUT is where the build and the images of build-images are; COMMANDS is the name of a file of commands. The machine's
console goes to TRANSCRIPT.console in the end. Exit status: 0 if all commands were run. tests/system is in PYTHONPATH.
"""
import pathlib
import shutil
import subprocess
import sys
import tempfile

from machine import run_qemu

HERE = pathlib.Path(__file__).parent
# In seconds; a run takes a quarter of an hour where nothing else runs.
TIMEOUT = 3600
# Xen can not have dom0 on TCG's SMAP, nor guests on its RDTSCP; with its XSAVE, programs crash now and then where domains
# share a CPU. What the hypercalls say of XSAVE is to be compared all the same.
CPU = "max,-smap,-rdtscp"
CPU_WITHOUT_XSAVE = CPU + ",-xsave,-avx,-avx2"
WITHOUT_XSAVE = ("commands-disks", "commands-libvirt")

MEMORY = "4G"
HYPERVISOR_WORDS = "dom0_mem=1G,max:1G"


def initramfs(out, folder, commands, more=()):
    """The images' initramfs and what this run brings along in /compat, the file of commands and more; Linux unpacks one
    after the other."""
    files = pathlib.Path(folder, "compat")
    files.mkdir()
    shutil.copy(commands, files / "commands")
    for source in (HERE / "lib", *more):
        shutil.copy(source, files)
    archive = pathlib.Path(folder, "initrd.cpio")
    archive.write_bytes((out / "compat/initrd.cpio").read_bytes())
    with open(archive, "ab") as target:
        subprocess.run("find compat | cpio -o -H newc -R 0:0 --quiet", shell=True, check=True, cwd=folder, stdout=target)
    return archive


def boots(hypervisor, out, initrd, transcript):
    """QEMU's arguments for what is booted, and for the port that the transcript comes from."""
    kernel = f"{out}/images/vmlinuz console=hvc0 loglevel=4 panic=-1"
    return ["-kernel", str(hypervisor), "-append", f"console=com1 {HYPERVISOR_WORDS}",
            "-initrd", f"{kernel},{initrd}",
            "-drive", f"file={out}/compat/disk.img,if=virtio,format=raw,snapshot=on",
            "-device", "virtio-serial", "-chardev", f"file,id=transcript,path={transcript}",
            "-device", "virtserialport,chardev=transcript"]


def main():
    if len(sys.argv) != 5:
        sys.exit(__doc__)
    out, name, commands, transcript = pathlib.Path(sys.argv[1]).absolute(), *sys.argv[2:]
    hypervisor = {"xen": out / "compat/xen", "domus": out / "domus"}.get(name, name)
    cpu = CPU_WITHOUT_XSAVE if commands in WITHOUT_XSAVE else CPU
    with tempfile.TemporaryDirectory() as folder:
        initrd = initramfs(out, folder, HERE / commands, [out / "compat/hypercalls"])
        console = run_qemu(boots(hypervisor, out, initrd, transcript), 2, MEMORY, cpu, TIMEOUT).console
    pathlib.Path(f"{transcript}.console").write_text(console, encoding="utf-8")
    if "COMPAT-EXIT 0" not in console:
        sys.exit(f"compat: the machine with {name} did not run all commands; see {transcript}.console")


if __name__ == "__main__":
    main()
