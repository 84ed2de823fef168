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


def without_zeros(elf):
    """The same program without the zeros at the file's end, a third of it: memory that is not in the file is zero. The
    sections, which nobody asks for, go with them. ELF-64, in elf(5)."""
    elf = bytearray(elf)
    headers, = struct.unpack_from("<Q", elf, 0x20)
    size, count = struct.unpack_from("<HH", elf, 0x36)
    last = max((headers + i * size for i in range(count)), key=lambda header: struct.unpack_from("<Q", elf, header + 8))
    offset, = struct.unpack_from("<Q", elf, last + 8)
    length, = struct.unpack_from("<Q", elf, last + 32)
    content = bytes(elf[:offset + length]).rstrip(b"\0")
    struct.pack_into("<Q", elf, last + 32, len(content) - offset)
    struct.pack_into("<Q", elf, 0x28, 0)            # where sections are, and how many
    struct.pack_into("<HH", elf, 0x3c, 0, 0)
    return elf[:len(content)]


def unpacked(bzimage):
    """Path of the ELF file, made as small as can be, which is kept beside the bzImage."""
    elf = bzimage.with_name("vmlinux")
    if not elf.exists() or elf.stat().st_mtime < bzimage.stat().st_mtime:
        new = elf.with_name(f"vmlinux.{os.getpid()}")
        new.write_bytes(without_zeros(unpack(bzimage.read_bytes())))
        new.rename(elf)
    return elf


if __name__ == "__main__":
    pathlib.Path(sys.argv[2]).write_bytes(unpack(pathlib.Path(sys.argv[1]).read_bytes()))
