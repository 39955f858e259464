"""Typed values out of the text of a landing file: numbers, JSON and times.

Each function returns the text of an expression or query made of constants only.
"""

from dataclasses import dataclass
from typing import Literal

import duckdb

from llmrec_assets.sql.landing_lines import SPACES

MISSING = "('NAN', 'NULL', 'NA', 'N/A', 'NONE', '<NA>')"
NUMBER = r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?"
WHOLE = r"[+-]?[0-9]+(\.[0-9]*)?"  # epochs and steps; a float column spells them 5.0
BASIC_DATE = r"(19|20)[0-9]{6}"
BASIC_TIME = r"([0-9]{4})([0-9]{2})([0-9]{2})T([0-9]{2}):?([0-9]{2}):?([0-9]{2})"
ISO = r"[0-9]{4}[-/][0-9]{1,2}[-/][0-9]{1,2}([T ][0-9]{1,2}:[0-9]{2}.*)?"
ZONE = r".*:[0-9.: ]+(Z|UTC|GMT|[+-][0-9]{2}(:?[0-9]{2})?)"

# An epoch is told from a step, and its unit found, by its size: 1e8 seconds are March 1973.
EPOCHS = {  # unit: (below, microseconds)
    "seconds": (1e11, "1000000"),
    "milliseconds": (1e14, "1000"),
    "microseconds": (1e17, "1"),
    "nanoseconds": (1e21, "0.001"),
}
FIRST_EPOCH = 1e8
YEAR_1, YEAR_10000 = -62_135_596_800_000_000, 253_402_300_800_000_000  # microseconds


@dataclass(frozen=True)
class FileTime:
    """What most of a file's times are. `unit` is step, iso, basic date or a unit of epochs."""

    kind: Literal["absolute", "relative"] | None
    unit: str | None


def number(column: str) -> str:
    """The number in `column`; null where it is missing or none."""
    text = f"trim({column}, {SPACES})"
    return f"try_cast(case when regexp_full_match({text}, '{NUMBER}') then {text} end as double)"


def number_problem(column: str) -> str:
    """Why `column` is no number; null where it is one, or missing."""
    return f"""case when {column} is not null and upper(trim({column}, {SPACES})) not in {MISSING}
        and not coalesce(isfinite({number(column)}), false) then '{column} is not a number' end"""


def json_problem(column: str) -> str:
    """Why `column` is no JSON; null where it is, or missing."""
    return f"""case when {column} is not null and not json_valid({column})
        then '{column} is not valid JSON' end"""


def detect_time(
    connection: duckdb.DuckDBPyConnection, view: str, column: str = "timestamp"
) -> FileTime:
    """The kind of most times in `column` of `view`; a tie is absolute."""
    found = connection.execute(
        f"""select unit, count(*) as n from (select {_unit(column)} as unit from {view})
        where unit is not null group by unit order by n desc, unit"""
    ).fetchall()
    steps = sum(n for unit, n in found if unit == "step")
    absolute = [(unit, n) for unit, n in found if unit != "step"]
    if not found:
        return FileTime(None, None)
    if steps > sum(n for _, n in absolute):
        return FileTime("relative", "step")
    return FileTime("absolute", absolute[0][0])


def typed_time(view: str, time: FileTime, column: str = "timestamp") -> str:
    """A query: the columns of `view` and `time_utc`, `time_step` and `time_problem`.

    Exactly one of `time_utc` (TIMESTAMP), `time_step` (BIGINT) and `time_problem` is not null,
    except where `column` is null: then all three are.
    """
    x = _canonical(column)
    if time.kind == "relative":
        step = f"""case when {_unit(column)} in ('step', 'basic date')
            and regexp_full_match({x}, '[+]?[0-9]+([.]0*)?')
            then try_cast(split_part({x}, '.', 1) as bigint) end"""
        problem = f"""case {_unit(column)} when 'step' then case when {x} like '-%'
            then '{column} is a step below 0' else '{column} is not a whole step' end
            when null then null else '{column} is absolute in a file of relative steps' end"""
        utc = "null::timestamp"
    else:
        step = "null::bigint"
        known = f"micros >= {YEAR_1} and micros < {YEAR_10000}"
        utc = f"case when {known} then make_timestamp(micros) end"
        problem = f"""case when micros is not null or {_unit(column)} = 'nanoseconds'
            or regexp_full_match({x}, '{WHOLE}') and {_unit(column)} is null
            then '{column} is outside the years 1 to 9999'
            when {_unit(column)} = 'step'
            then '{column} is a relative step in a file of absolute times' end"""
    return f"""select * exclude (micros),
            case when {column} is not null and time_utc is null and time_step is null
                then coalesce({problem}, '{column} cannot be read as a time') end as time_problem
        from (select *, {utc} as time_utc, {step} as time_step
        from (select *, {_micros(column, time)} as micros from {view}))"""


def _canonical(column: str) -> str:
    return f"upper(trim({column}, {SPACES}))"


def _unit(column: str) -> str:
    """What one value looks like on its own; null where it is no time."""
    x = _canonical(column)
    size = f"abs(try_cast({x} as double))"
    epochs = " ".join(f"when {size} < {below} then '{unit}'" for unit, (below, _) in EPOCHS.items())
    return f"""case when regexp_full_match({x}, '{BASIC_DATE}')
            and try_strptime({x}, '%Y%m%d') is not null then 'basic date'
        when regexp_full_match({x}, '{WHOLE}')
            then case when {size} < {FIRST_EPOCH} then 'step' {epochs} end
        when {_parsed(column)} is not null then 'iso' end"""


def _parsed(column: str) -> str:
    """An ISO-8601 text as a UTC timestamp, whatever the time zone of the session."""
    x = _canonical(column)
    extended = rf"regexp_replace(replace({x}, ',', '.'), '^{BASIC_TIME}', '\1-\2-\3T\4:\5:\6')"
    return f"""case when not regexp_full_match({extended}, '{ISO}') then null
        when regexp_full_match({extended}, '{ZONE}')
            then try_cast({extended} as timestamptz) at time zone 'UTC'
        else try_cast({extended} as timestamp) end"""


def _micros(column: str, time: FileTime) -> str:
    """Microseconds since 1970 of a value in a file of absolute times."""
    if time.kind != "absolute":
        return "null::bigint"
    x = _canonical(column)
    # Larger ones would overflow the multiplication, which cannot be tried.
    exact = (
        f"case when abs(try_cast({x} as double)) < 1e21 then try_cast({x} as decimal(38, 9)) end"
    )
    text = f"epoch_us({_parsed(column)})"
    if time.unit in EPOCHS:
        scaled = f"try_cast(trunc(({exact}) * {EPOCHS[time.unit][1]}) as bigint)"
        return f"case when regexp_full_match({x}, '{WHOLE}') then {scaled} else {text} end"
    epochs = " ".join(
        f"when '{unit}' then try_cast(trunc(({exact}) * {factor}) as bigint)"
        for unit, (_, factor) in EPOCHS.items()
    )
    return f"""case {_unit(column)} {epochs}
        when 'basic date' then epoch_us(try_strptime({x}, '%Y%m%d'))
        when 'iso' then {text} end"""
