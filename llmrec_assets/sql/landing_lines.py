"""The physical lines of a text file: their number, their encoding, and none too long."""

import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

MAX_ID = 256
MAX_LINE = 2_000_000  # bytes; DuckDB's own limit
# What surrounds a value without being part of it: DuckDB's own trim() stops at tabs.
SPACES = "' \t\r\n\v\f\u00a0\u2007\u202f\u3000\ufeff'"
BYTE_ORDER_MARK = b"\xef\xbb\xbf"
UTF_16_MARKS = (b"\xff\xfe", b"\xfe\xff")
NOT_UTF_8 = "not UTF-8; re-encode the file as UTF-8"
TOO_LONG = f"the line is longer than {MAX_LINE} bytes"


def stripped(column: str) -> str:
    """The expression of `column` without whitespace around it.

    trim() with characters costs 0.5 s for a million rows, so only where there are some.
    """
    space = r"[\s\p{Z}\x{feff}]"
    return (
        f"case when regexp_matches({column}, '^{space}|{space}$')"
        f" then trim({column}, {SPACES}) else {column} end"
    )


class BadFile(Exception):
    """Nothing of a file can be used; the message is the reason."""


class NoRows(BadFile):
    """A file has a header at most: there is nothing in it."""


def open_bytes(path: Path) -> IO[bytes]:
    """The bytes of `path`, decompressed where its name ends in .gz."""
    if path.name.lower().endswith(".gz"):
        return gzip.open(path)  # pyright: ignore[reportReturnType]
    return path.open("rb")


def first_line(path: Path) -> str:
    """The first line that is not blank.

    Raises:
        BadFile: the file is empty, not UTF-8, or has no lines that end in LF.
    """
    try:
        with open_bytes(path) as file:
            head = file.read(MAX_LINE)
    except (OSError, EOFError, zlib.error) as error:
        raise BadFile(f"the file cannot be read ({error}); write it again") from error
    if head.startswith(UTF_16_MARKS) or b"\0" in head[:4096]:
        raise BadFile("the text looks like UTF-16; re-encode the file as UTF-8")
    line = head.removeprefix(BYTE_ORDER_MARK).lstrip(b"\r\n").split(b"\n", 1)[0].rstrip(b"\r")
    if not line:
        raise NoRows("the file is empty")
    if b"\r" in line:
        raise BadFile("lines end in CR only; save the file with LF or CRLF")
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        raise BadFile(f"the first line is {NOT_UTF_8}") from error


def starts_blank(path: Path) -> bool:
    """Whether the first physical line is blank."""
    with open_bytes(path) as file:
        return not file.readline(MAX_LINE).removeprefix(BYTE_ORDER_MARK).strip(b"\r\n")


def count_lines(path: Path) -> int:
    """How many physical lines the file has."""
    lines, last = 0, b"\n"
    with open_bytes(path) as file:
        while chunk := file.read(1 << 22):
            lines += chunk.count(b"\n")
            last = chunk[-1:]
    return lines + (last != b"\n")


def numbered_lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Every physical line with its number; one that is too long is cut just above the limit."""
    with open_bytes(path) as file:
        number = 0
        while line := file.readline(MAX_LINE + 1):
            number += 1
            rest = line
            while not rest.endswith(b"\n") and len(rest) > MAX_LINE:
                rest = file.readline(MAX_LINE + 1)
            yield number, line.removeprefix(BYTE_ORDER_MARK) if number == 1 else line
