"""JSON Lines, and JSON files that hold one array of objects."""

from pathlib import Path

import duckdb

from llmrec_assets.sql.landing_exact import text_records
from llmrec_assets.sql.landing_lines import count_lines, first_line
from llmrec_assets.sql.landing_plan import Plan
from llmrec_assets.sql.landing_records import insert_records, name_others

NOT_AN_OBJECT = "not a JSON object"


class JsonSource:
    """One object a line. Values keep their spelling: large integers stay exact."""

    def __init__(self, cursor: duckdb.DuckDBPyConnection, database: str, path: Path) -> None:
        self._cursor, self._database, self._path = cursor, database, path
        self._lines = f"{database}.lines"
        if first_line(path).lstrip().startswith("["):
            self._read_array()
        elif not self._read_fast():
            cursor.execute(f"drop table if exists {self._lines}")
            insert_records(cursor, database, "lines", {"json": 0}, text_records(path))
        self._reject_broken()
        keys = cursor.execute(
            f"select distinct unnest(json_keys(json)) as name from {self._lines} order by name"
        ).fetchall()
        self.names: list[str] = [key for (key,) in keys]

    def load(self, plan: Plan) -> None:
        """Fill `base`."""
        name_others(self._cursor, self._database, plan)
        paths = [_pointer(self.names[at]) for at in plan.targets.values()]
        columns = ", ".join(f"v[{i}] as {name}" for i, name in enumerate(plan.targets, start=1))
        ids = [name for name in plan.ids if name in plan.found]
        problems = [f"case when {name} like '%._%' and {_is_float(name)} and not {_whole(name)}"
                    f" then '{name} is a number with a fraction' end" for name in ids]  # fmt: skip
        fixed = [f"case when {name} like '%._%' and {_is_float(name)} and {_whole(name)}"
                 f" then split_part({name}, '.', 1) else {name} end as {name}"
                 for name in ids]  # fmt: skip
        replace = f"replace ({', '.join(fixed)})" if fixed else ""
        pointers = {f"{name}_pointer": _pointer(self.names[plan.found[name]]) for name in ids}
        self._cursor.execute(
            f"""create table {self._database}.base as
            select * exclude (json) {replace}, coalesce(null, {", ".join(problems) or "null"})
                ::varchar as problem
            from (select line, json, {columns} from (
                select line, json, json_extract_string(json, $paths::varchar[]) as v
                from {self._lines}))""",
            {"paths": paths, **pointers},
        )

    def _read_fast(self) -> bool:
        lines = count_lines(self._path)
        try:
            self._cursor.execute(
                f"""create table {self._lines} as
                select row_number() over () as line, null::varchar as problem, json
                from read_csv(?, header = false, delim = '\x01', quote = '', escape = '',
                    auto_detect = false, columns = {{json: 'VARCHAR'}})""",
                [str(self._path)],
            )
        except duckdb.Error:
            return False
        rows = self._cursor.execute(f"select count(*) from {self._lines}").fetchall()
        self._cursor.execute(f"delete from {self._lines} where json is null")  # blank lines
        return rows[0][0] == lines

    def _read_array(self) -> None:
        """The elements of an array have no lines of their own: they are counted."""
        self._cursor.execute(
            f"""create table {self._lines} as
            select row_number() over () as line, null::varchar as problem, json::varchar as json
            from read_json_objects(?, format = 'array')""",
            [str(self._path)],
        )

    def _reject_broken(self) -> None:
        self._cursor.execute(
            f"""insert into {self._database}.rejects select line, ?, json from {self._lines}
            where not (json_valid(json) and ltrim(json, ' \t') like '{{%')""",
            [NOT_AN_OBJECT],
        )
        self._cursor.execute(
            f"""delete from {self._lines}
            where line in (select line from {self._database}.rejects)"""
        )


def _pointer(key: str) -> str:
    return "/" + key.replace("~", "~0").replace("/", "~1")


def _is_float(name: str) -> str:
    return f"json_type(json, ${name}_pointer) = 'DOUBLE'"


def _whole(name: str) -> str:
    return f"regexp_full_match({name}, '-?[0-9]+\\.0+')"
