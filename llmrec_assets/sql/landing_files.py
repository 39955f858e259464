"""A landing file of any format as one view of text columns with line numbers.

    staged = stage_file(connection, path, required=("user_id", "timestamp"), ids=("user_id",))
    time = detect_time(connection, staged.view)             # landing_values
    connection.execute(f"select * from ({typed_time(staged.view, time)})")
    unstage(connection, staged)

`staged.view` has `line` (of the file; the row's number in Parquet), `problem` (why the row cannot
be used; null when it can), every required and optional column as VARCHAR with blanks as null,
`others` (a JSON object of the columns nobody asked for) and `raw` (the row as JSON). Rows that
could not be read at all are in `staged.rejects` (`line`, `reason`, `row`). Every row of the file
is in exactly one of the two.
"""

import uuid
from dataclasses import dataclass
from pathlib import Path

import duckdb

from llmrec_assets.core.plain_errors import without_values
from llmrec_assets.sql.landing_csv import CsvSource
from llmrec_assets.sql.landing_json import JsonSource
from llmrec_assets.sql.landing_lines import MAX_ID, BadFile, NoRows, stripped
from llmrec_assets.sql.landing_names import has_pseudonyms, rename
from llmrec_assets.sql.landing_parquet import ParquetSource
from llmrec_assets.sql.landing_plan import Plan, match_columns

SOURCES = {
    ".csv": CsvSource,
    ".tsv": CsvSource,
    ".jsonl": JsonSource,
    ".ndjson": JsonSource,
    ".json": JsonSource,
    ".parquet": ParquetSource,
}
ENDINGS = ".csv, .tsv, .jsonl, .ndjson, .json (each also .gz) or .parquet"


@dataclass(frozen=True)
class StagedFile:
    """One staged file; it lives until `unstage`, or until the connection is closed."""

    database: str
    rows: int
    ignored_columns: tuple[str, ...]
    rows_view: str = "rows_read"

    @property
    def view(self) -> str:
        """The rows that could be read."""
        return f"{self.database}.{self.rows_view}"

    @property
    def people(self) -> str | None:
        """The table of `user_id` and `pseudonym`; None where ids stay as given."""
        return f"{self.database}.people" if self.rows_view == "rows_named" else None

    @property
    def rejects(self) -> str:
        """The rows that could not: `line`, `reason`, `row`."""
        return f"{self.database}.rejects"


def stage_file(
    connection: duckdb.DuckDBPyConnection,
    path: Path,
    *,
    required: tuple[str, ...],
    optional: tuple[str, ...] = (),
    ids: tuple[str, ...] = (),
    as_given: bool = False,
) -> StagedFile:
    """Stage `path` beside the database, so that a bad file does not abort an open transaction.

    Columns are found whatever their case and surrounding whitespace. `ids` are stripped, never
    become floats and may not be longer than 256 characters. `user_id` is a pseudonym where the
    connection has those (`landing_names`), unless ids are wanted `as_given`.

    Raises:
        BadFile: nothing of the file can be used; the message says why and what to do.
    """
    source_type = _source_type(path)
    database = f"landing_{uuid.uuid4().hex}"
    cursor = connection.cursor()
    cursor.execute(f"attach ':memory:' as {database}")
    try:
        cursor.execute(
            f"create table {database}.rejects (line bigint, reason varchar, row varchar)"
        )
        source = source_type(cursor, database, path)
        plan = match_columns(source.names, required, optional, ids)
        source.load(plan)
        cursor.execute(_view(database, plan))
        rows, named = _rows(cursor, database), "rows_read"
        if "user_id" in required and not as_given and has_pseudonyms(cursor):
            named = rename(cursor, database)
        return StagedFile(database, rows, plan.unmatched, named)
    except (duckdb.Error, OSError, EOFError, UnicodeError) as error:
        cursor.execute(f"detach {database}")
        first = str(error).splitlines()[0].replace(str(path), path.name)
        summary = without_values(first) if isinstance(error, duckdb.Error) else first
        raise BadFile(f"the file cannot be read ({summary}); write it again") from error
    except BadFile:
        cursor.execute(f"detach {database}")
        raise
    finally:
        cursor.close()


def unstage(connection: duckdb.DuckDBPyConnection, staged: StagedFile) -> None:
    """Free what `stage_file` staged."""
    connection.execute(f"detach {staged.database}")


def _source_type(path: Path) -> type[CsvSource] | type[JsonSource] | type[ParquetSource]:
    name = path.name.lower()
    ending = Path(name.removesuffix(".gz")).suffix
    if ending not in SOURCES or (ending == ".parquet" and name.endswith(".gz")):
        raise BadFile(f"unknown kind of file; the name must end in {ENDINGS}")
    return SOURCES[ending]


def _view(database: str, plan: Plan) -> str:
    """The view over `base`, which has `line`, `problem` and the columns found in the file."""
    columns, problems = [], ["problem"]
    for name in plan.asked:
        if name not in plan.found:
            columns.append(f"null::varchar as {name}")
            continue
        bare = f"nullif({stripped(name)}, '')"
        kept = bare if name in plan.ids else f"case when {bare} is not null then {name} end"
        columns.append(f"{kept} as {name}")
        if name in plan.required:
            problems.append(f"case when {name} is null then '{name} is empty' end")
        if name in plan.ids:
            problems.append(
                f"case when strlen({name}) > {MAX_ID} and length({name}) > {MAX_ID}"
                f" then '{name} is longer than {MAX_ID} characters' end"
            )
    others = [f"nullif({stripped(target)}, '')" for target in plan.others]
    attributes = _attributes(database, ", ".join(others)) if others else "null"
    shown = ", ".join(f"{name} := {name}" for name in plan.found)
    asked = ", ".join(plan.asked)
    return f"""create view {database}.rows_read as
        select line, coalesce({", ".join(problems)}) as problem, {asked}, others, raw
        from (select line, problem, {", ".join(columns)}, {attributes}::varchar as others,
            to_json(struct_pack({shown}))::varchar as raw
            from {database}.base)"""


def _attributes(database: str, values: str) -> str:
    """A JSON object of the columns nobody asked for; null where all are blank."""
    return f"""nullif(to_json(map_from_entries(list_filter(
            list_zip((select list(name order by position) from {database}.other_names), [{values}]),
            lambda pair: pair[2] is not null)))::varchar, '{{}}')"""


def _rows(cursor: duckdb.DuckDBPyConnection, database: str) -> int:
    query = f"""select (select count(*) from {database}.base)
        + (select count(*) from {database}.rejects)"""
    rows = cursor.execute(query).fetchall()[0][0]
    if not rows:
        raise NoRows("the file has no rows, only a header")
    return rows
