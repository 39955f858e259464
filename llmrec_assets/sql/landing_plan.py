"""Which columns of a landing file are the ones asked for."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from llmrec_assets.sql.landing_lines import BadFile

NAMES_SHOWN = 20


@dataclass(frozen=True)
class Plan:
    """Columns found by the name asked for, and the others by a safe name of their own.

    The values are positions among the names of the file.
    """

    required: tuple[str, ...]
    optional: tuple[str, ...]
    ids: tuple[str, ...]
    found: dict[str, int] = field(default_factory=dict)
    others: dict[str, int] = field(default_factory=dict)
    unmatched: tuple[str, ...] = ()

    @property
    def asked(self) -> tuple[str, ...]:
        """Required and optional columns."""
        return self.required + self.optional

    @property
    def targets(self) -> dict[str, int]:
        """Every column to load."""
        return {**self.found, **self.others}


def match_columns(
    names: Sequence[str],
    required: tuple[str, ...],
    optional: tuple[str, ...],
    ids: tuple[str, ...],
) -> Plan:
    """Match the names of a file with those asked for.

    Raises:
        BadFile: a required column is missing, or a column asked for is there twice.
    """
    found: dict[str, int] = {}
    other: dict[str, int] = {}
    for position, name in enumerate(names):
        key = clean_name(name).lower()
        if key not in required + optional:
            other.setdefault(clean_name(name) or f"column {position + 1}", position)
        elif key in found:
            raise BadFile(f"the column {key} is there twice")
        else:
            found[key] = position
    missing = [name for name in required if name not in found]
    if missing:
        # A file without a header has cells of users where names should be: those are not shown.
        seen = ", ".join(clean_name(name)[:40] for name in names[:NAMES_SHOWN] if found)
        raise BadFile(f"columns missing: {', '.join(missing)} (found: {seen or 'none of them'})")
    others = {f"other_{i}": position for i, position in enumerate(other.values())}
    return Plan(required, optional, ids, found, others, tuple(other))


def clean_name(name: str) -> str:
    """A column name without whitespace and byte order mark around it."""
    return name.strip().strip("\ufeff").strip()
