"""How a file comes into a landing folder: whole, or not at all."""

import os
from pathlib import Path


def replace_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8 to `path`, making its folder; a reader never sees half of it.

    The file is made under a name that starts with a dot, which readers of the folder skip.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    unfinished.write_bytes(text.encode())
    unfinished.replace(path)
