"""Events out of landing files: each once, typed, in the order in which they arrived.

A response may name its event before that event comes. Then it returns as a thin event of the same
id, which stands in until a row of another file describes the event: that row takes its place, with
a new ingestion sequence number. Whichever comes first, the event is there once and in full.

Which list caused an event is often known only after the event came, when feedback names it. Such a
row comes back as a duplicate that has `caused_by`; it fills a `caused_by` that is missing and
changes nothing else. What the event's own row says wins, so the order of files does not matter.
"""

from pathlib import Path

import duckdb

from llmrec_assets.sql import landing_names
from llmrec_assets.sql.free_text import scrubbed
from llmrec_assets.sql.landing_files import StagedFile, stage_file, unstage
from llmrec_assets.sql.landing_lines import BadFile, stripped
from llmrec_assets.sql.landing_values import (
    detect_time,
    json_problem,
    number,
    number_problem,
    typed_time,
)
from llmrec_assets.sql.s1_files import Arrival, Taken, last_seq
from llmrec_assets.sql.s1_repairs import (
    REFERENCE,
    record_references,
    refer,
    refuse_references,
)
from llmrec_assets.sql.s1_retention import NO_AGE, forgets, too_old
from llmrec_assets.sql.s1_tables import FILES, RAW_EVENTS, REPAIRS, RETURNED_FILE

REQUIRED = ("user_id", "item_id", "timestamp", "behavior")
OPTIONAL = ("event_id", "rating", "value", "session_id", "text", "context", "caused_by")
IDS = ("user_id", "item_id", "event_id", "session_id", "caused_by")
# JSON separates values without doubt and tells null from ''. Times are typed, not spelled.
CONTENT = """md5(to_json([user_id, item_id, epoch_us(timestamp)::varchar, step::varchar, behavior,
    rating::varchar, value::varchar, session_id, text, context])::varchar)"""

# A row is weighed against the row of its file that is taken for its event, else against the stored
# one. A returned event that is there already is a duplicate, whatever else is known of it.
JUDGED = f"""
with good as (
    select line, event_id, user_id, item_id, content from typed where problem is null
), stored as (
    select event_id, user_id, item_id, {CONTENT} as content, r.line,
        coalesce(files.name, '') as file,
        coalesce(files.name = format('{RETURNED_FILE}', r.file_hash), false) as returned
    from {RAW_EVENTS.full_name} r left join {FILES.full_name} files
        on files.kind = 'events' and files.content_hash = r.file_hash
    where event_id in (select event_id from good)
), repeated as (
    select event_id from good group by event_id having count(*) > 1
), candidates as (
    select good.* from good left join stored using (event_id)
    where stored.event_id is null and event_id in (from repeated)
        or stored.returned and not $returned
            and (good.user_id, good.item_id) = (stored.user_id, stored.item_id)
), taken as (
    select unnest(arg_min(candidates, line)), $name as file from candidates group by event_id
), earlier as (
    select event_id, user_id, item_id, content, file, line, true as here from taken
    union all select event_id, user_id, item_id, content, file, line, false
    from stored where event_id not in (select event_id from taken)
)
select good.line, case
        when (good.user_id, good.item_id) <> (earlier.user_id, earlier.item_id)
        then concat('event_id came before with another user or item (', place)
        when good.content = earlier.content or $returned then 'duplicate'
        else concat('event_id came before with other content (', place) end as verdict
from good join (select *, concat(file, ', line ', line, ')') as place from earlier) as earlier
    using (event_id)
where not (here and good.line = earlier.line)
"""


LEARN_CAUSES = f"""
update {RAW_EVENTS.full_name} as r set caused_by = told.caused_by
from (select event_id, arg_min(caused_by, line) as caused_by from typed join judged using (line)
    where verdict = 'duplicate' and caused_by is not null group by event_id) as told
where r.event_id = told.event_id and r.caused_by is null
"""


def take_events(connection: duckdb.DuckDBPyConnection, arrival: Arrival) -> Taken:
    """Add the events of a file that are not there yet, or only as returned by feedback.

    What is refused stands in `refused`.

    Raises:
        BadFile: nothing of the file can be used.
    """
    staged = stage_events(connection, arrival.path)
    time = detect_time(connection, staged.view)
    if time.kind == "relative" and forgets(connection):
        unstage(connection, staged)
        raise BadFile(NO_AGE)
    _type(connection, typed_time(staged.view, time))
    refer(connection, staged, arrival)
    refuse_references(connection, arrival)
    _judge(connection, arrival)
    _add(connection, arrival)
    connection.execute(
        """create or replace temp table refused as
        select line, problem as reason from typed where problem is not null
        union all select line, verdict from judged where verdict <> 'duplicate'"""
    )
    record_references(connection, arrival)
    duplicates, refused = connection.execute(
        f"""select (select count(*) from judged where verdict = 'duplicate'),
            (select count(*) from refused) + (select count(*) from {staged.rejects})"""
    ).fetchall()[0]
    good = "select user_id from typed where problem is null"
    landing_names.remember(connection, staged.people, good)
    connection.execute("drop table typed; drop table judged")
    accepted = staged.rows - duplicates - refused
    return Taken(staged, time, accepted, duplicates, staged.ignored_columns)


def retake_events(
    connection: duckdb.DuckDBPyConnection, arrival: Arrival, lost: str, told: str
) -> list[tuple[int, str | None, str]]:
    """Read a file that came in before once more, for events that another one had a say in.

    Args:
        connection: of the warehouse.
        arrival: the file, as it came in.
        lost: table of the event_id of events that are to come in again.
        told: the same of stored events whose `caused_by` was emptied and is to be learnt again.

    Returns:
        Of each line with a lost event: its number, why it is no event now (`duplicate`, or the
        reason of refusal; None where it is one), and the row.

    Raises:
        BadFile: nothing of the file can be used.
    """
    staged = stage_events(connection, arrival.path)
    _type(connection, typed_time(staged.view, detect_time(connection, staged.view)))
    refer(connection, staged, arrival)
    refuse_references(connection, arrival)
    connection.execute(
        f"""delete from typed where problem is not null or event_id not in (
            select event_id from {lost} union all select event_id from {told})
            or line in (select of_line from {REPAIRS.full_name}
                where kind = 'events' and of_hash = ? and reason is null)""",
        [arrival.content_hash],  # a mended row stands for it
    )
    connection.execute(
        f"""update {RAW_EVENTS.full_name} as r set caused_by = coalesce(t.caused_by, r.caused_by)
        from typed as t where r.file_hash = ? and r.line = t.line""",
        [arrival.content_hash],
    )
    _judge(connection, arrival)
    connection.execute(  # of what is stored, only the cause is learnt
        f"""insert into judged select line, 'known' from typed
        where event_id not in (select event_id from {lost})
            and line not in (select line from judged)"""
    )
    _add(connection, arrival)
    landing_names.remember(
        connection,
        staged.people,
        "select user_id from typed where line not in (select line from judged)",
    )
    verdicts = connection.execute(
        f"""select line, verdict, {scrubbed(connection, "raw")}
        from typed left join judged using (line) join {staged.view} using (line)
        where typed.event_id in (select event_id from {lost}) order by line"""
    ).fetchall()
    connection.execute("drop table typed; drop table judged; drop table referred")
    unstage(connection, staged)
    return verdicts


def add_event_ids(
    connection: duckdb.DuckDBPyConnection, path: Path, into: str, lines: list[int] | None = None
) -> None:
    """Add the event ids that a file delivers to the table `into`.

    Args:
        connection: of the warehouse.
        path: the file.
        into: a table of `event_id`.
        lines: only of these; None: all.

    Raises:
        BadFile: nothing of the file can be used.
    """
    staged = stage_events(connection, path)
    _type(connection, typed_time(staged.view, detect_time(connection, staged.view)))
    connection.execute(
        f"""insert into {into} select distinct event_id from typed
        where problem is null and ($lines is null or list_contains($lines::bigint[], line))
            and event_id not in (select event_id from {into})""",
        {"lines": lines},
    )
    connection.execute("drop table typed")
    unstage(connection, staged)


def stage_events(
    connection: duckdb.DuckDBPyConnection, path: Path, as_given: bool = False
) -> StagedFile:
    """A file of events as it lies there; with its ids, not pseudonyms, `as_given`.

    Raises:
        BadFile: nothing of the file can be used.
    """
    optional = (*OPTIONAL, REFERENCE)
    return stage_file(
        connection, path, required=REQUIRED, optional=optional, ids=IDS, as_given=as_given
    )


def _add(connection: duckdb.DuckDBPyConnection, arrival: Arrival) -> None:
    """The rows of `typed` that nothing in `judged` speaks against become events."""
    connection.execute(
        f"""insert or replace into {RAW_EVENTS.full_name} by name
        select ? + row_number() over (order by t.line) as seq, t.* exclude (problem, content)
                replace (coalesce(t.caused_by, stand_in.caused_by) as caused_by),
            ?::varchar as file_hash, ?::timestamp as ingested_at
        from typed t left join {RAW_EVENTS.full_name} stand_in using (event_id)
        where problem is null and t.line not in (select line from judged)
        order by t.line""",
        [last_seq(connection, "events"), arrival.content_hash, arrival.at],
    )
    connection.execute(LEARN_CAUSES)


def _type(connection: duckdb.DuckDBPyConnection, rows: str) -> None:
    """`typed`: every row with typed columns, its problem, and the hash of its content.

    An event without an id is known by the text as given, however it is scrubbed.
    """
    given = CONTENT.replace(" text,", " given,")
    connection.execute(
        f"""create or replace temp table typed as
        with cells as (select line,
            coalesce(problem, time_problem, {too_old("time_utc")}, {number_problem("rating")},
                {number_problem("value")}, {json_problem("context")}) as problem,
            event_id, user_id, item_id, time_utc as timestamp, time_step as step,
            lower({stripped("behavior")}) as behavior, {number("rating")} as rating,
            {number("value")} as value, session_id, text as given,
            {scrubbed(connection, "text")} as text, caused_by,
            case when json_valid(context) then json(context)::varchar end as context
            from ({rows}))
        select * exclude (given) replace (coalesce(event_id,
                case when given is distinct from text then {given} else content end) as event_id),
            event_id is not null as own_event_id
        from (select *, {CONTENT} as content from cells)"""
    )


def _judge(connection: duckdb.DuckDBPyConnection, arrival: Arrival) -> None:
    """`judged`: the good rows that are not taken, as duplicate or with the reason of refusal."""
    connection.execute(
        f"create or replace temp table judged as {JUDGED}",
        {"name": arrival.name, "returned": arrival.is_returned},
    )
