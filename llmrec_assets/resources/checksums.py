"""Files that say what they were when they were written: damage is found before they are used."""

import hashlib
import json
from functools import lru_cache
from io import BufferedRandom
from pathlib import Path

HASHES = "sha256.json"  # file → sha256, in a sealed folder
_SEAL = b"sha256:"  # before the digest at the end of a sealed file
_SEAL_BYTES = len(_SEAL) + hashlib.sha256().digest_size


class DamagedFile(ValueError):
    """A file is not as it was written; the message says which one and how to mend it."""

    def __init__(self, path: Path, what: str, remedy: str) -> None:
        super().__init__(f"{path} {what} → {remedy}")
        self.path, self.remedy = path, remedy


def sha256_of(path: Path) -> str:
    """Of a file; read once as long as it does not change."""
    found = path.stat()
    return _digest(str(path), found.st_size, found.st_mtime_ns, found.st_ino)


@lru_cache(maxsize=4096)
def _digest(path: str, _size: int, _modified: int, _inode: int) -> str:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def hashes_of(folder: Path) -> dict[str, str]:
    """File → sha256 of all files below a folder but the list of them."""
    return {
        path.relative_to(folder).as_posix(): sha256_of(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path != folder / HASHES
    }


def seal_folder(folder: Path) -> str:
    """Write the list of a folder's files and their hashes; the hash of the list."""
    (folder / HASHES).write_text(json.dumps(hashes_of(folder), indent=2), encoding="utf-8")
    return sha256_of(folder / HASHES)


def verify_folder(folder: Path, seal: str, remedy: str) -> None:
    """See that the files of a folder are those of its list, and the list the one of `seal`.

    Raises:
        DamagedFile: one has changed or is gone.
    """
    noted = folder / HASHES
    if not noted.is_file():
        raise DamagedFile(noted, "is gone", remedy)
    if sha256_of(noted) != seal:
        raise DamagedFile(noted, "has changed since it was written", remedy)
    for name, digest in json.loads(noted.read_text(encoding="utf-8")).items():
        if not (folder / name).is_file():
            raise DamagedFile(folder / name, "is gone", remedy)
        if sha256_of(folder / name) != digest:
            raise DamagedFile(folder / name, "has changed since it was written", remedy)


def seal_file(file: BufferedRandom) -> None:
    """Append the digest of all that a file, open for reading and writing, holds."""
    file.seek(0)
    digest = hashlib.file_digest(file, "sha256").digest()
    file.seek(0, 2)
    file.write(_SEAL + digest)


def is_sealed(path: Path) -> bool:
    """Whether the file ends with a digest, right or wrong."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - _SEAL_BYTES))
        return size >= _SEAL_BYTES and file.read(len(_SEAL)) == _SEAL


def seal_is_right(path: Path) -> bool:
    """Whether the file ends with the digest of what is before it."""
    found = path.stat()
    return _seal_is_right(str(path), found.st_size, found.st_mtime_ns, found.st_ino)


@lru_cache(maxsize=4096)
def _seal_is_right(path: str, size: int, _modified: int, _inode: int) -> bool:
    digest, left = hashlib.sha256(), size - _SEAL_BYTES
    with Path(path).open("rb") as file:
        while left > 0 and (block := file.read(min(left, 1 << 20))):
            digest.update(block)
            left -= len(block)
        return file.read() == _SEAL + digest.digest()
