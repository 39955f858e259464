"""Rows taken out of a landing file while all others keep their numbers."""

import gzip
import json
import os
from bisect import bisect_right
from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from llmrec_assets.sql.landing_lines import BYTE_ORDER_MARK, first_line, open_bytes


def blank_rows(path: Path, target: Path, lines: set[int], starts: Sequence[int]) -> None:
    """Write `path` to `target` with some rows blank: of a text its lines, else a row of nulls.

    Args:
        path: a landing file that can be read.
        target: where to write; it is synced.
        lines: of the rows to blank, as `stage_file` numbers them.
        starts: of all rows, ascending.
    """
    name = path.name.lower()
    if name.endswith(".parquet"):
        _blank_parquet(path, target, lines)
    else:
        ending = Path(name.removesuffix(".gz")).suffix
        array = ending in (".json", ".jsonl", ".ndjson") and _is_array(path)
        text = _array_without(path, lines) if array else _lines_without(path, lines, starts)
        target.write_bytes(gzip.compress(text, mtime=0) if name.endswith(".gz") else text)
    with target.open("rb") as file:
        os.fsync(file.fileno())


def _is_array(path: Path) -> bool:
    return first_line(path).lstrip().startswith("[")


def _lines_without(path: Path, lines: set[int], starts: Sequence[int]) -> bytes:
    """All lines; those of a row that goes are empty, also where it has several."""
    kept = []
    with open_bytes(path) as file:
        for number, raw in enumerate(file, start=1):
            place = bisect_right(starts, number) - 1
            row = starts[place] if place >= 0 else 0
            kept.append(b"\n" if row in lines else raw)
    return b"".join(kept)


def _array_without(path: Path, lines: set[int]) -> bytes:
    with open_bytes(path) as file:
        raw = file.read().removeprefix(BYTE_ORDER_MARK)
    rows = [None if n in lines else row for n, row in enumerate(json.loads(raw), start=1)]
    return json.dumps(rows, ensure_ascii=False).encode()


def _blank_parquet(path: Path, target: Path, lines: set[int]) -> None:
    source, first = pq.ParquetFile(path), 1
    schema = pa.schema([field.with_nullable(True) for field in source.schema_arrow])
    with pq.ParquetWriter(target, schema, compression="zstd") as writer:
        for batch in source.iter_batches():
            kept = pa.array([first + n not in lines for n in range(batch.num_rows)])
            columns = [
                pc.if_else(kept, column, pa.scalar(None, column.type))  # pyright: ignore
                for column in batch.columns
            ]
            writer.write_table(pa.Table.from_arrays(columns, schema=schema))
            first += batch.num_rows
