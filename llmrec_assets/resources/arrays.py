"""Large arrays as .npy files below the data root, which tables refer to by name.

A file ends with the SHA-256 of all before it, which readers of .npy skip; one that was written
before there were such ends is judged by its length alone.
"""

import math
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import IO

import dagster as dg
import numpy as np
from pydantic import Field

from llmrec_assets.resources.checksums import DamagedFile, is_sealed, seal_file, seal_is_right

ROWS = 8192  # of a block
_IN_MEMORY = 64 << 20  # bytes of a scratch array that needs no file


class Arrays(dg.ConfigurableResource):
    """A folder of arrays. A file is written whole or not at all, and never changes in place."""

    root: str = Field(description="The folder.")

    def write(self, name: str, array: np.ndarray) -> str:
        """Write `array` to the file `name`; the name."""
        path = Path(self.root) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}")
        with partial.open("w+b") as file:
            np.save(file, array, allow_pickle=False)
            seal_file(file)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
        return name

    def open(self, name: str) -> np.ndarray:
        """The array, memory-mapped and read-only.

        Raises:
            FileNotFoundError: the file is gone; it says which asset writes it anew.
            DamagedFile: it is not as it was written.
        """
        path = Path(self.root) / name
        if not path.is_file():
            raise FileNotFoundError(f"{path} is missing → {_remedy(name)}")
        if not _is_whole(path):
            raise DamagedFile(path, "has changed since it was written", _remedy(name))
        return np.load(path, mmap_mode="r", allow_pickle=False)

    def derive(
        self, name: str, source: np.ndarray, function: Callable[[np.ndarray], np.ndarray]
    ) -> np.ndarray:
        """The array `name`; where it is missing or damaged, `function` of `source` by blocks.

        The function keeps the shape. Only a block of rows is held in memory.

        Raises:
            OSError: the disk has no room for it.
        """
        path = Path(self.root) / name
        if not self.exists(name):
            partial = path.with_name(f".{path.name}")
            derived = np.lib.format.open_memmap(partial, "w+", source.dtype, source.shape)
            with partial.open("r+b") as file:
                _reserve(file, partial.stat().st_size)
            for start in range(0, len(source), ROWS):
                derived[start : start + ROWS] = function(source[start : start + ROWS])
            derived.flush()
            with partial.open("r+b") as file:
                seal_file(file)
            partial.replace(path)
        return self.open(name)

    def scratch(self, shape: tuple[int, ...], dtype: np.dtype | type) -> np.ndarray:
        """An array to write to, whose content is anything, for as long as it is used.

        A large one lies in a file without a name, which goes with it: the system moves what it
        needs in and out, so that it may be larger than memory.

        Raises:
            OSError: the disk has no room for it.
        """
        if (size := math.prod(shape) * np.dtype(dtype).itemsize) <= _IN_MEMORY:
            return np.empty(shape, dtype)
        Path(self.root).mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=self.root) as file:
            _reserve(file, size)
            return np.memmap(file, dtype, "r+", shape=shape)

    def exists(self, name: str) -> bool:
        """Whether the file is there, as it was written."""
        path = Path(self.root) / name
        return path.is_file() and _is_whole(path)

    def damaged(self) -> list[Path]:
        """Files that are not as they were written."""
        return [path for path in sorted(Path(self.root).rglob("*.npy")) if not _is_whole(path)]

    def keep_only(self, folder: str, names: set[str]) -> None:
        """Remove every other array of a folder."""
        for path in (Path(self.root) / folder).glob("*.npy"):
            if f"{folder}/{path.name}" not in names:
                path.unlink()


def _reserve(file: IO[bytes], size: int) -> None:
    """Take the room on the disk now: a process that writes to a map without it is killed."""
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), 0, size)
    else:
        file.truncate(size)


def _is_whole(path: Path) -> bool:
    if is_sealed(path):
        return seal_is_right(path)
    try:
        with path.open("rb") as file:
            version = np.lib.format.read_magic(file)
            read = np.lib.format.read_array_header_1_0
            if version != (1, 0):
                read = np.lib.format.read_array_header_2_0
            shape, _, dtype = read(file)
            return path.stat().st_size == file.tell() + math.prod(shape) * dtype.itemsize
    except ValueError:
        return False


def _remedy(name: str) -> str:
    maker = name.partition("/")[0]
    if maker == "heads":
        return "launch the job retrain_with_encoder, which tunes it anew"
    return "launch the job refresh_lists (or llmrec run), which makes it anew"
