"""CSV: DuckDB's parallel reader where it accounts for every line, else the exact one."""

import csv
from pathlib import Path

import duckdb

from llmrec_assets.sql.landing_exact import csv_records
from llmrec_assets.sql.landing_lines import (
    BadFile,
    count_lines,
    first_line,
    starts_blank,
)
from llmrec_assets.sql.landing_plan import Plan
from llmrec_assets.sql.landing_records import insert_records, name_others

DELIMITERS = ",;\t|"


class CsvSource:
    """A file with a header, separated by comma, semicolon, tab or pipe."""

    def __init__(self, cursor: duckdb.DuckDBPyConnection, database: str, path: Path) -> None:
        self._cursor, self._base, self._path = cursor, f"{database}.base", path
        self._database = database
        header = first_line(path)
        self._delimiter = max(DELIMITERS, key=header.count)
        try:
            self.names = next(csv.reader([header], delimiter=self._delimiter, strict=True))
        except csv.Error as error:
            raise BadFile(f"the header cannot be read ({error})") from error

    def load(self, plan: Plan) -> None:
        """Fill `base` and `rejects`."""
        name_others(self._cursor, self._database, plan)
        if starts_blank(self._path) or not self._load_fast(plan):
            self._cursor.execute(f"drop table if exists {self._base}")
            self._load_exact(plan)

    def _load_fast(self, plan: Plan) -> bool:
        """Whether the file is clean and each of its lines is accounted for."""
        lines = count_lines(self._path)
        columns = ", ".join(f"c{at} as {target}" for target, at in plan.targets.items())
        try:
            self._create(f"row_number() over () + 1 as line, null::varchar as problem, {columns}")
            rows = self._count("count(*)")
            if rows + 1 == lines:
                return True
            # Fields with line breaks: the lines before a row are those of all rows before it.
            breaks = " + ".join(
                f"coalesce(length(c{i}) - length(replace(c{i}, chr(10), '')), 0)"
                for i in range(len(self.names))
            )
            self._create(
                f"""row_number() over () + 1 + coalesce(sum({breaks}) over (rows between
                unbounded preceding and 1 preceding), 0)::bigint as line,
                null::varchar as problem, {columns}, {breaks} as breaks"""
            )
            extent = self._count("count(*) + coalesce(sum(breaks), 0)::bigint")
        except duckdb.Error:
            return False
        return extent + 1 == lines

    def _create(self, columns: str) -> None:
        types = ", ".join(f"c{i}: 'VARCHAR'" for i in range(len(self.names)))
        self._cursor.execute(
            f"""create or replace table {self._base} as select {columns}
            from read_csv(?, delim = ?, quote = '"', escape = '"', header = true,
                all_varchar = true, auto_detect = false, strict_mode = true, columns = {{{types}}})
            """,
            [str(self._path), self._delimiter],
        )

    def _count(self, expression: str) -> int:
        return self._cursor.execute(f"select {expression} from {self._base}").fetchall()[0][0]

    def _load_exact(self, plan: Plan) -> None:
        records = csv_records(self._path, self._delimiter, len(self.names))
        insert_records(self._cursor, self._database, "base", plan.targets, records)
