"""Parquet: typed columns turned into the text the other formats have."""

from pathlib import Path

import duckdb

from llmrec_assets.sql.landing_lines import BadFile
from llmrec_assets.sql.landing_plan import Plan
from llmrec_assets.sql.landing_records import name_others


class ParquetSource:
    """A Parquet file; `line` is the number of the row."""

    def __init__(self, cursor: duckdb.DuckDBPyConnection, database: str, path: Path) -> None:
        self._cursor, self._database, self._path = cursor, database, path
        if not path.stat().st_size:
            raise BadFile("the file is empty")
        schema = cursor.execute("describe from read_parquet(?)", [str(path)]).fetchall()
        self.names: list[str] = [row[0] for row in schema]
        self._types: list[str] = [row[1] for row in schema]

    def load(self, plan: Plan) -> None:
        """Fill `base`."""
        name_others(self._cursor, self._database, plan)
        columns = ", ".join(
            f"{_text(_quoted(self.names[at]), self._types[at])} as {target}"
            for target, at in plan.targets.items()
        )
        problems = ", ".join(
            f"case when {_fraction(_quoted(self.names[plan.found[name]]))}"
            f" then '{name} is a number with a fraction' end"
            for name in plan.ids
            if name in plan.found and self._types[plan.found[name]] in ("FLOAT", "DOUBLE")
        )
        self._cursor.execute(
            f"""create table {self._database}.base as
            select file_row_number + 1 as line, coalesce(null, {problems or "null"})::varchar
                as problem, {columns}
            from read_parquet(?, file_row_number = true)""",
            [str(self._path)],
        )


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _fraction(column: str) -> str:
    """True for a float that is no id; NaN is a missing one."""
    return f"not isnan({column}) and ({column} <> round({column}) or abs({column}) >= 1e18)"


def _text(column: str, type_name: str) -> str:
    """The value as a CSV file would spell it."""
    if type_name in ("FLOAT", "DOUBLE"):
        return f"""case when isnan({column}) then null
            when {_fraction(column)} then {column}::varchar
            else try_cast({column} as hugeint)::varchar end"""
    if type_name == "TIMESTAMP WITH TIME ZONE":
        return f"({column} at time zone 'UTC')::varchar"
    if type_name == "BLOB":
        return f"try(decode({column}))"
    if type_name.startswith(("STRUCT", "MAP", "UNION")) or type_name.endswith("]"):
        return f"to_json({column})::varchar"
    return f"{column}::varchar"
