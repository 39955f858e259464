"""The file in which rejected rows are mended: CSV that is safe in a spreadsheet, or JSON Lines."""

import csv
import io
import json
from collections.abc import Iterable
from pathlib import Path

from llmrec_assets.core.spreadsheet import guarded, unguarded
from llmrec_assets.sql.landing_lines import BYTE_ORDER_MARK, MAX_LINE

Row = dict[str, str]


class NotMendable(Exception):
    """A file is no export of rejected rows; the message says why and what to do."""


def is_csv(path: Path) -> bool:
    """Whether the file is CSV, and not JSON Lines.

    Raises:
        NotMendable: it is neither.
    """
    if path.suffix.lower() not in (".csv", ".jsonl"):
        raise NotMendable(f"{path.name}: the name must end in .csv or .jsonl")
    return path.suffix.lower() == ".csv"


def write_rows(target: Path, rows: Iterable[Row], columns: Iterable[str]) -> None:
    """Write the rows for the file's owner alone. In CSV, `columns` come first."""
    rows, as_csv = list(rows), is_csv(target)
    target.touch(mode=0o600)
    target.chmod(0o600)
    if not as_csv:
        lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in rows]
        target.write_text("".join(lines), encoding="utf-8")
        return
    names = list(dict.fromkeys([*columns, *(name for row in rows for name in row)]))
    with target.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(map(guarded, names))
        writer.writerows([guarded(row.get(name, "")) for name in names] for row in rows)


def read_rows(source: Path) -> list[Row]:
    """The rows without empty cells; rows without any are left out.

    Raises:
        NotMendable: the file cannot be read, with the place.
    """
    try:
        text = source.read_bytes().removeprefix(BYTE_ORDER_MARK).decode()
    except UnicodeDecodeError as error:
        raise NotMendable(f"{source.name} is not UTF-8; save it as CSV UTF-8") from error
    found = (_csv_rows if is_csv(source) else _json_rows)(source.name, text)
    full = ({name: cell for name, cell in row.items() if cell} for row in found)
    return [row for row in full if row]


def _csv_rows(name: str, text: str) -> list[Row]:
    """Spreadsheets of some countries separate by semicolons."""
    csv.field_size_limit(max(csv.field_size_limit(), 2 * MAX_LINE))
    header = text.partition("\n")[0]
    delimiter = max(",;\t", key=header.count)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    rows: list[Row] = []
    try:
        names = [unguarded(cell.strip()) for cell in next(reader, [])]
        for cells in reader:
            if len(cells) > len(names) and any(cells[len(names) :]):
                raise NotMendable(f"{name}, line {reader.line_num}: more cells than the header")
            rows.append(dict(zip(names, map(unguarded, cells), strict=False)))
    except csv.Error as error:
        raise NotMendable(f"{name}, line {reader.line_num}: {error}") from error
    return rows


def _json_rows(name: str, text: str) -> list[Row]:
    rows = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            found = json.loads(line)
        except ValueError as error:
            raise NotMendable(f"{name}, line {number} is no JSON object") from error
        if not isinstance(found, dict):
            raise NotMendable(f"{name}, line {number} is no JSON object")
        rows.append({key: _cell(value) for key, value in found.items() if value is not None})
    return rows


def _cell(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
