"""The slow, exact way through a text file that DuckDB cannot read as it stands.

DuckDB refuses or loses rows after an unclosed quote, mixed line ends or invalid UTF-8, and does
not count blank lines. Here every row is found, numbered and, where malformed, rejected alone.
"""

import csv
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from llmrec_assets.sql.landing_lines import MAX_LINE, NOT_UTF_8, TOO_LONG, numbered_lines

MAX_RECORD_LINES = 1_000
UNCLOSED = "a quote is not closed"


@dataclass(frozen=True)
class Record:
    """One row: its fields, or the reason why it has none and its text."""

    line: int
    fields: list[str] | None
    reason: str = ""
    text: str = ""


def text_records(path: Path) -> Iterator[Record]:
    """One record of one field for each line that is not blank."""
    for number, raw in numbered_lines(path):
        if raw.strip(b"\r\n"):
            yield _decoded(number, raw)


def csv_records(path: Path, delimiter: str, width: int) -> Iterator[Record]:
    """The records below the header, which is the first line that is not blank.

    A row with an unclosed quote is rejected alone and reading goes on with the next line.
    """
    csv.field_size_limit(max(csv.field_size_limit(), 2 * MAX_LINE))
    lines = numbered_lines(path)
    ahead: deque[tuple[int, bytes]] = deque()
    header = True
    while True:
        if not ahead and (entry := next(lines, None)) is not None:
            ahead.append(entry)
        if not ahead:
            return
        if not ahead[0][1].strip(b"\r\n"):
            ahead.popleft()
        elif header:
            ahead.popleft()
            header = False
        else:
            record, used = _next_record(ahead, lines, delimiter, width)
            for _ in range(used):
                ahead.popleft()
            yield record


def _next_record(
    ahead: deque[tuple[int, bytes]],
    lines: Iterator[tuple[int, bytes]],
    delimiter: str,
    width: int,
) -> tuple[Record, int]:
    """The record at the start of `ahead`, which is filled from `lines`, and its lines."""
    number, raw = ahead[0]
    first = _decoded(number, raw)
    if first.fields is None:
        return first, 1
    fields, complete = _split(first.text, delimiter)
    used, buffer = 1, raw
    while not complete and used < MAX_RECORD_LINES and len(buffer) <= MAX_LINE:
        if used == len(ahead):
            if (entry := next(lines, None)) is None:
                break
            ahead.append(entry)
        buffer += ahead[used][1]
        used += 1
        if b'"' in ahead[used - 1][1]:
            joined = _decoded(number, buffer)
            if joined.fields is None:
                break
            fields, complete = _split(joined.text, delimiter)
    if not complete or fields is None or (used > 1 and len(fields) != width):
        return Record(number, None, UNCLOSED, first.text), 1
    if len(fields) != width:
        reason = f"wrong number of columns ({len(fields)}, the header has {width})"
        return Record(number, None, reason, first.text), 1
    return Record(number, fields), used


def _decoded(number: int, raw: bytes) -> Record:
    if len(raw) > MAX_LINE:
        return Record(number, None, TOO_LONG, raw[:1000].decode(errors="replace"))
    try:
        text = raw.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        return Record(number, None, NOT_UTF_8, raw[:1000].decode(errors="replace"))
    return Record(number, [text], text=text)


def _split(text: str, delimiter: str) -> tuple[list[str] | None, bool]:
    """The fields of a row, and whether it ends here; no fields where quotes are misplaced."""
    if '"' not in text:
        return text.split(delimiter), True
    try:
        return next(csv.reader([text], delimiter=delimiter, strict=True)), True
    except csv.Error as error:
        return None, "unexpected end of data" not in str(error)
