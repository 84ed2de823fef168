#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Unpacks the ELF file of a bzImage that xz has packed: unpack_kernel.py BZIMAGE ELF.

A CPU that QEMU translates takes seconds for what takes the machine under it half of one."""
import lzma
import os
import pathlib
import struct
import sys


def unpack(bzimage):
    """The ELF file in these bytes."""
    # Linux's Documentation/arch/x86/boot.rst: sectors of the setup code, where the payload is after it, and its length.
    setup, = struct.unpack_from("<B", bzimage, 0x1f1)
    offset, length = struct.unpack_from("<II", bzimage, 0x248)
    start = (setup + 1) * 512 + offset
    return lzma.LZMADecompressor().decompress(bzimage[start:start + length])


def unpacked(bzimage):
    """Path of the ELF file, which is kept beside the bzImage."""
    elf = bzimage.with_name("vmlinux")
    if not elf.exists() or elf.stat().st_mtime < bzimage.stat().st_mtime:
        new = elf.with_name(f"vmlinux.{os.getpid()}")
        new.write_bytes(unpack(bzimage.read_bytes()))
        new.rename(elf)
    return elf


if __name__ == "__main__":
    pathlib.Path(sys.argv[2]).write_bytes(unpack(pathlib.Path(sys.argv[1]).read_bytes()))
