"""Rejected rows that come back mended: which row of a file repairs which rejected one.

A mended row names the rejected one in the column `llmrec_repairs`, as `kind:SHA-256:line:name` of
the file that had it. It is ingested like any other row; a row of `repairs` says what became of it.
A rejected row is repaired once a mended one is in the store, and nothing is marked elsewhere: who
takes a file back takes its claims back, and the rejected rows are open again.
"""

import duckdb

from llmrec_assets.sql.landing_files import StagedFile, unstage
from llmrec_assets.sql.landing_lines import BadFile
from llmrec_assets.sql.s1_files import Arrival
from llmrec_assets.sql.s1_tables import (
    FILES,
    RAW_EVENTS,
    REJECTED_EVENTS,
    REPAIRED_PREFIX,
    REPAIRS,
    RETRACTIONS,
)

REFERENCE = "llmrec_repairs"
UNKNOWN = f"{REFERENCE} names no rejected row"
REPAIRED_ALREADY = "the row it repairs is repaired already; llmrec retract that file first"
TAKEN_BACK = "the file whose row it repairs was taken back"
NOT_BY_HAND = (
    "these are rejected rows as llmrec rejected export wrote them; take the file out of the landing"
    " zone and call llmrec rejected replay"
)


def reference(kind: str, content_hash: str, line: int, name: str) -> str:
    """What `llmrec_repairs` says of a rejected row."""
    return f"{kind}:{content_hash}:{line}:{name}"


def refer(connection: duckdb.DuckDBPyConnection, staged: StagedFile, arrival: Arrival) -> None:
    """Make the temporary table `referred`: line → the rejected row it repairs, and what is wrong.

    The file is known by its hash. An erasure gives it another one, but not another name. A file
    that never came here is believed: its rows are in no table, so that none is doubled.

    Raises:
        BadFile: the file was not written by a replay; it may have cells changed for spreadsheets.
    """
    connection.execute(
        f"""create or replace temp table referred as
        with told as (
            select line, regexp_extract({REFERENCE}, '^([a-z]+):([0-9a-f]{{64}}):([0-9]+):(.*)$',
                ['of_kind', 'of_hash', 'of_line', 'of_file']) as part
            from {staged.view} where {REFERENCE} is not null
        ), named as (
            select line, part.of_hash as of_hash, part.of_file as of_file,
                case when part.of_kind = $kind then try_cast(part.of_line as bigint) end as of_line
            from told
        ), known as (
            select named.*, content_hash is not null as is_known from named left join
                (select content_hash from {FILES.full_name} where kind = $kind)
                on content_hash = of_hash
        ), renamed as (
            select known.line, arg_max(r.file_hash, r.rejected_at) as hash_now
            from known join {REJECTED_EVENTS.full_name} r
                on r.kind = $kind and r.file = known.of_file and r.line = known.of_line
            where not is_known group by all
        )
        select line, of_file, of_line, coalesce(hash_now, of_hash) as of_hash,
            case when of_line is null then '{UNKNOWN}'
                when (coalesce(hash_now, of_hash)) in (
                    select content_hash from {RETRACTIONS.full_name} where kind = $kind)
                then '{TAKEN_BACK}'
                when is_known and (of_hash, of_line) not in (
                    select (file_hash, line) from {REJECTED_EVENTS.full_name}
                    where kind = $kind and line is not null)
                then '{UNKNOWN}' end as problem
        from known left join renamed using (line)""",
        {"kind": arrival.kind},
    )
    if not arrival.name.startswith(REPAIRED_PREFIX) and _any(connection):
        unstage(connection, staged)
        raise BadFile(NOT_BY_HAND)


def refuse_references(connection: duckdb.DuckDBPyConnection, arrival: Arrival) -> None:
    """Let rows of `typed` that repair nothing have a problem.

    A row that is repaired already must not become a second event; as the event that it became, it
    may come as often as it likes.
    """
    if not _any(connection):
        return
    repeated = "false"
    if arrival.kind == "events":
        repeated = f"""event_id not in (select event_id from {RAW_EVENTS.full_name})
            and ($kind, of_hash, of_line) in (
                select (kind, of_hash, of_line) from {REPAIRS.full_name}
                where reason is null and file_hash <> $hash)"""
    connection.execute(
        f"""update typed set problem = coalesce(wrong.problem, '{REPAIRED_ALREADY}')
        from (select typed.line, referred.problem from typed join referred using (line)
            where typed.problem is null and (referred.problem is not null or {repeated})) as wrong
        where typed.line = wrong.line""",
        {"kind": arrival.kind, "hash": arrival.content_hash} if arrival.kind == "events" else None,
    )


def record_references(connection: duckdb.DuckDBPyConnection, arrival: Arrival) -> None:
    """Note what became of the mended rows; `refused` says which cannot be used."""
    connection.execute(
        f"""insert or replace into {REPAIRS.full_name} by name
        select ? as kind, ? as file_hash, line, of_file, of_hash, of_line, refused.reason
        from referred left join refused using (line)""",
        [arrival.kind, arrival.content_hash],
    )
    connection.execute("drop table referred")


def _any(connection: duckdb.DuckDBPyConnection) -> bool:
    return bool(connection.execute("select 1 from referred limit 1").fetchall())
