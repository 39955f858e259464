"""What of this machine is taken away: room on a disk of its own, and the rights of root."""

import ctypes
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def small_disk(root: Path) -> Iterator[Callable[[int], None]]:
    """Put a store on a file system of its own; yields what leaves it so many bytes of room."""
    aside = root.with_name(f"{root.name}.aside")
    root.rename(aside)
    root.mkdir()
    try:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1g", "tmpfs", root], check=True)
        subprocess.run(["cp", "-a", f"{aside}/.", root], check=True)

        def size_it(room: int) -> None:
            used = shutil.disk_usage(root).used
            option = f"remount,size={used + room}"
            subprocess.run(["mount", "-o", option, root], check=True)

        yield size_it
        shutil.rmtree(aside)
        subprocess.run(["cp", "-a", root, aside], check=True)
    finally:
        leave(root)


def leave(root: Path) -> None:
    """Take the file system of `small_disk` away, also where it was left by a killed harness."""
    aside = root.with_name(f"{root.name}.aside")
    if root.is_mount():
        subprocess.run(["umount", "-l", root], check=True)
    if aside.exists():
        shutil.rmtree(root, ignore_errors=True)
        aside.rename(root)


def obey_permissions() -> None:
    """Let root of this process be refused as its owner would: CAP_DAC_… and CAP_FOWNER go."""
    if os.geteuid() != 0:
        return
    libc = ctypes.CDLL(None, use_errno=True)
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)
    sets = (ctypes.c_uint32 * 6)()
    if libc.capget(header, sets):
        raise OSError(ctypes.get_errno(), "capget")
    for place in range(3):  # effective, permitted, inheritable of the lower 32
        sets[place] &= ~0b1110  # DAC_OVERRIDE, DAC_READ_SEARCH, FOWNER
    if libc.capset(header, sets):
        raise OSError(ctypes.get_errno(), "capset")
