"""Large arrays as .npy files below the data root, which tables refer to by name."""

import os
from collections.abc import Callable
from pathlib import Path

import dagster as dg
import numpy as np
from pydantic import Field

ROWS = 8192  # of a block


class Arrays(dg.ConfigurableResource):
    """A folder of arrays. A file is written whole or not at all, and never changes."""

    root: str = Field(description="The folder.")

    def write(self, name: str, array: np.ndarray) -> str:
        """Write `array` to the file `name`; the name."""
        path = Path(self.root) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(f".{path.name}")
        with partial.open("wb") as file:
            np.save(file, array, allow_pickle=False)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
        return name

    def open(self, name: str) -> np.ndarray:
        """The array, memory-mapped and read-only.

        Raises:
            FileNotFoundError: the file is gone; it says which asset writes it anew.
        """
        path = Path(self.root) / name
        try:
            array = np.load(path, mmap_mode="r", allow_pickle=False)
        except FileNotFoundError as error:
            raise FileNotFoundError(f"{path} is missing: materialise text_features") from error
        return array

    def derive(
        self, name: str, source: np.ndarray, function: Callable[[np.ndarray], np.ndarray]
    ) -> np.ndarray:
        """The array `name`; where it is missing, `function` of `source` by blocks of rows.

        The function keeps the shape. Only a block is held in memory.
        """
        path = Path(self.root) / name
        if not path.is_file():
            partial = path.with_name(f".{path.name}")
            derived = np.lib.format.open_memmap(partial, "w+", source.dtype, source.shape)
            for start in range(0, len(source), ROWS):
                derived[start : start + ROWS] = function(source[start : start + ROWS])
            derived.flush()
            partial.replace(path)
        return self.open(name)

    def exists(self, name: str) -> bool:
        """Whether the file is there."""
        return (Path(self.root) / name).is_file()

    def keep_only(self, folder: str, names: set[str]) -> None:
        """Remove every other array of a folder."""
        for path in (Path(self.root) / folder).glob("*.npy"):
            if f"{folder}/{path.name}" not in names:
                path.unlink()
