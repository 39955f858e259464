"""Typed values out of the text of a landing file: numbers, JSON and times.

Each function returns the text of an expression or query made of constants only.
"""

from dataclasses import dataclass
from typing import Literal

import duckdb

from llmrec_assets.sql.landing_lines import stripped

MISSING = "('NAN', 'NULL', 'NA', 'N/A', 'NONE', '<NA>')"
NUMBER = r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?"
WHOLE = r"[+-]?[0-9]+(\.[0-9]*)?"  # epochs and steps; a float column spells them 5.0
LARGEST = "1e15"  # beyond it a number is no rating, price or duration, and breaks statistics
BASIC_DATE = r"(19|20)[0-9]{6}"
BASIC_TIME = r"([0-9]{4})([0-9]{2})([0-9]{2})T([0-9]{2}):?([0-9]{2}):?([0-9]{2})"
ISO = r"[0-9]{4}[-/][0-9]{1,2}[-/][0-9]{1,2}([T ][0-9]{1,2}:[0-9]{2}.*)?"
ZONE = r".*:[0-9.: ]+(Z|UTC|GMT|[+-][0-9]{2}(:?[0-9]{2})?)"

# An epoch is told from a step, and its unit found, by its size: 1e8 seconds are March 1973.
EPOCHS = {  # unit: (below, microseconds)
    "seconds": (1e11, "* 1000000"),
    "milliseconds": (1e14, "* 1000"),
    "microseconds": (1e17, "* 1"),
    "nanoseconds": (1e21, "// 1000"),
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
    text = stripped(column)
    return f"try_cast(case when regexp_full_match({text}, '{NUMBER}') then {text} end as double)"


def number_problem(column: str) -> str:
    """Why `column` is no number; null where it is one, or missing."""
    return f"""case when {column} is not null and upper({stripped(column)}) not in {MISSING}
        and not coalesce(abs({number(column)}) < {LARGEST}, false)
        then '{column} is not a number' end"""


def json_problem(column: str) -> str:
    """Why `column` is no JSON; null where it is, or missing."""
    return f"""case when {column} is not null and not json_valid({column})
        then '{column} is not valid JSON' end"""


def detect_time(
    connection: duckdb.DuckDBPyConnection, view: str, column: str = "timestamp"
) -> FileTime:
    """The kind of most times in `column` of `view`; a tie is absolute."""
    rows = _classified(f"select {column} from {view}", column)
    found = connection.execute(
        f"""select time_unit, count(*) as n from ({rows})
        where time_unit is not null group by time_unit order by n desc, time_unit"""
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
    typed = _steps(column) if time.kind == "relative" else _absolute(time, column)
    return f"""select * exclude (time_text, time_unit, time_number, micros, reason),
            case when time_text is not null and time_utc is null and time_step is null
                then coalesce(reason, '{column} cannot be read as a time') end as time_problem
        from (select *, {typed} from (select *, {_micros(time)} as micros
        from ({_classified(f"from {view}", column)})))"""


def _steps(column: str) -> str:
    return f"""null::timestamp as time_utc,
        case when time_unit in ('step', 'basic date')
            and regexp_full_match(time_text, '[+]?[0-9]+([.]0*)?')
            then try_cast(split_part(time_text, '.', 1) as bigint) end as time_step,
        case when time_unit is null then null
            when time_unit <> 'step' then '{column} is absolute in a file of relative steps'
            when time_text like '-%' then '{column} is a step below 0'
            else '{column} is not a whole step' end as reason"""


def _absolute(time: FileTime, column: str) -> str:
    return f"""case when micros >= {YEAR_1} and micros < {YEAR_10000}
            then make_timestamp(micros) end as time_utc,
        null::bigint as time_step,
        case when micros is not null or (time_number is not null and time_unit is null)
                or {time.unit in EPOCHS} and time_number is not null
            then '{column} is outside the years 1 to 9999'
            when time_unit = 'step'
            then '{column} is a relative step in a file of absolute times' end as reason"""


def _classified(rows: str, column: str) -> str:
    """`rows` and `time_text`, `time_number`, and `time_unit`: what a value is on its own.

    One subquery after another, since DuckDB computes a common part inside CASE again and again.
    """
    size = "abs(time_number)"
    epochs = " ".join(f"when {size} < {below} then '{unit}'" for unit, (below, _) in EPOCHS.items())
    return f"""select *, case when length(time_text) = 8
                and regexp_full_match(time_text, '{BASIC_DATE}')
                and try_strptime(time_text, '%Y%m%d') is not null then 'basic date'
            when time_number is not null
                then case when {size} < {FIRST_EPOCH} then 'step' {epochs} end
            when {_parsed("time_text")} is not null then 'iso' end as time_unit
        from (select *, case when regexp_full_match(time_text, '{WHOLE}')
            then try_cast(time_text as double) end as time_number
        from (select *, upper({stripped(column)}) as time_text from ({rows})))"""


def _parsed(text: str) -> str:
    """An ISO-8601 text as a UTC timestamp, whatever the time zone of the session."""
    extended = rf"regexp_replace(replace({text}, ',', '.'), '^{BASIC_TIME}', '\1-\2-\3T\4:\5:\6')"
    return f"""case when not regexp_full_match({extended}, '{ISO}') then null
        when regexp_full_match({extended}, '{ZONE}')
            then try_cast({extended} as timestamptz) at time zone 'UTC'
        else try_cast({extended} as timestamp) end"""


def _micros(time: FileTime) -> str:
    """Microseconds since 1970 of a value in a file of absolute times."""
    if time.kind != "absolute":
        return "null::bigint"
    text = f"epoch_us({_parsed('time_text')})"
    if time.unit in EPOCHS:
        return f"case when time_number is not null then {_scaled(time.unit)} else {text} end"
    epochs = " ".join(f"when '{unit}' then {_scaled(unit)}" for unit in EPOCHS)
    return f"""case time_unit {epochs}
        when 'basic date' then epoch_us(try_strptime(time_text, '%Y%m%d'))
        when 'iso' then {text} end"""


def _scaled(unit: str) -> str:
    """`time_text` of one unit of epochs in microseconds."""
    factor = EPOCHS[unit][1]
    decimal = f"trunc(try_cast(time_text as decimal(38, 9)) {factor.replace('//', '/')})"
    # Numbers from 1e21 would overflow the multiplication, which cannot be tried.
    return f"""case when abs(time_number) >= 1e21 then null
        when contains(time_text, '.') then try_cast({decimal} as bigint)
        else try_cast(try_cast(time_text as hugeint) {factor} as bigint) end"""
