"""How a public data set is read: queries of events and of items, one a kind of file.

Each query reads one file, `$path`. Columns are those of the landing zone.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Part:
    """One kind of file of a data set."""

    kind: str  # events or items
    pattern: str  # of its name, in the folder or below
    query: str  # of the file $path; ENCODING in it is that of the file, UTF-8 or Latin-1
    impressions: str = ""  # a query of what was shown and not taken, where the file tells it


@dataclass(frozen=True)
class PublicFormat:
    """A data set; where several parts match, all are read."""

    about: str
    parts: tuple[Part, ...]


def csv_of(columns: str, options: str) -> str:
    """read_csv of text columns named one after the other."""
    types = ", ".join(f"'{name}': 'VARCHAR'" for name in columns.split())
    return f"read_csv($path, columns = {{{types}}}, auto_detect = false, {options})"
