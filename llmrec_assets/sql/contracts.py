"""What must hold of every row of a table, as code: one scan says how many rows break what.

A contract adds to a table's declaration what its types do not say. Rows that come in are judged one
by one and refused with a reason (s1_raw_events, s1_raw_items); a contract that is broken means that
something else wrote the table: another program, an older version, a mistake of ours.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import duckdb
import pandas as pd

from llmrec_assets.sql.tables import Table

_SAMPLES = 5


@dataclass(frozen=True)
class Rule:
    """A sentence, and the condition that says the same; null is no breach."""

    says: str
    holds: str


@dataclass(frozen=True)
class Contract:
    """Of one table. `shown` are columns that find a row again and tell nothing of a person."""

    table: Table
    required: tuple[str, ...]
    unique: tuple[str, ...]
    rules: tuple[Rule, ...]
    shown: tuple[str, ...]


@dataclass(frozen=True)
class Breaches:
    """How many rows break which rule, and where some of them are."""

    rows: int
    counts: pd.DataFrame  # rule, broken_by; broken ones first
    samples: pd.DataFrame  # rule, and the columns that are shown

    @property
    def broken(self) -> list[str]:
        """The broken rules, each with its number of rows."""
        broken = self.counts[self.counts["broken_by"] > 0]
        return [f"{row.rule} ({row.broken_by} rows break it)" for row in broken.itertuples()]


def breaches(connection: duckdb.DuckDBPyConnection, contract: Contract) -> Breaches:
    """Check a contract. Columns that are missing or of another type are all that is said then."""
    table = contract.table.full_name
    if wrong := _wrong_columns(connection, contract.table):
        return Breaches(
            contract.table.count(connection), _counted(wrong, [1] * len(wrong)), _none()
        )
    rules = [*_not_null(contract), *contract.rules]
    counts = ", ".join(
        [f"count(*) filter (not coalesce({rule.holds}, true))" for rule in rules]
        + [f"count(*) - count(distinct {name})" for name in contract.unique]
    )
    rows, *found = connection.execute(f"select count(*), {counts} from {table}").fetchall()[0]
    says = [rule.says for rule in rules] + [f"{name} is unique" for name in contract.unique]
    samples = [
        _sample(connection, contract, rule)
        for rule, n in zip(rules, found[: len(rules)], strict=True)
        if n
    ]
    return Breaches(rows, _counted(says, found), pd.concat(samples) if samples else _none())


def _wrong_columns(connection: duckdb.DuckDBPyConnection, table: Table) -> list[str]:
    """Columns of the declaration that the table lacks or has of another type, as rules."""
    described = connection.execute(f"describe {table.full_name}").fetchall()
    types = {name: type_name.lower() for name, type_name, *_ in described}
    return [
        f"{column.name} is of type {column.type}, not {types.get(column.name, 'missing')}"
        for column in table.columns
        if types.get(column.name) != column.type
    ]


def _not_null(contract: Contract) -> list[Rule]:
    return [Rule(f"{name} is there", f"{name} is not null") for name in contract.required]


def _counted(says: Sequence[str], broken_by: Sequence[int]) -> pd.DataFrame:
    frame = pd.DataFrame({"rule": says, "broken_by": broken_by})
    return frame.sort_values("broken_by", ascending=False, kind="stable", ignore_index=True)


def _sample(connection: duckdb.DuckDBPyConnection, contract: Contract, rule: Rule) -> pd.DataFrame:
    return connection.execute(
        f"""select ? as rule, {", ".join(contract.shown)} from {contract.table.full_name}
        where not coalesce({rule.holds}, true) limit ?""",
        [rule.says, _SAMPLES],
    ).df()


def _none() -> pd.DataFrame:
    return pd.DataFrame({"rule": []})
