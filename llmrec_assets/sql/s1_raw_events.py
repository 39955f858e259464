"""Events out of landing files: each once, typed, in the order in which they arrived."""

import duckdb

from llmrec_assets.sql.landing_files import stage_file
from llmrec_assets.sql.landing_lines import SPACES
from llmrec_assets.sql.landing_values import (
    detect_time,
    json_problem,
    number,
    number_problem,
    typed_time,
)
from llmrec_assets.sql.s1_files import Arrival, Taken, last_seq
from llmrec_assets.sql.s1_tables import FILES, RAW_EVENTS

REQUIRED = ("user_id", "item_id", "timestamp", "behavior")
OPTIONAL = ("event_id", "rating", "value", "session_id", "text", "context")
IDS = ("user_id", "item_id", "event_id", "session_id")
# JSON separates values without doubt and tells null from ''. Times are typed, not spelled.
CONTENT = """md5(to_json([user_id, item_id, epoch_us(timestamp)::varchar, step::varchar, behavior,
    rating::varchar, value::varchar, session_id, text, context])::varchar)"""


def take_events(connection: duckdb.DuckDBPyConnection, arrival: Arrival) -> Taken:
    """Add the events of a file that are not there yet; what is refused stands in `refused`.

    Raises:
        BadFile: nothing of the file can be used.
    """
    staged = stage_file(connection, arrival.path, required=REQUIRED, optional=OPTIONAL, ids=IDS)
    time = detect_time(connection, staged.view)
    _type(connection, typed_time(staged.view, time))
    _judge(connection, arrival)
    connection.execute(
        f"""insert into {RAW_EVENTS.full_name} by name
        select ? + row_number() over (order by line) as seq, t.* exclude (problem, content),
            ?::varchar as file_hash, ?::timestamp as ingested_at
        from typed t join judged j using (line) where j.verdict = 'new' order by line""",
        [last_seq(connection, "events"), arrival.content_hash, arrival.at],
    )
    verdicts = "select verdict, count(*) from judged group by verdict"
    counts = dict(connection.execute(verdicts).fetchall())
    connection.execute(
        """create or replace temp table refused as
        select line, problem as reason from typed where problem is not null
        union all select line, verdict from judged where verdict not in ('new', 'duplicate')"""
    )
    connection.execute("drop table typed; drop table judged")
    accepted, duplicates = counts.get("new", 0), counts.get("duplicate", 0)
    return Taken(staged, time, accepted, duplicates, staged.ignored_columns)


def _type(connection: duckdb.DuckDBPyConnection, rows: str) -> None:
    """`typed`: every row with typed columns, its problem, and the hash of its content."""
    connection.execute(
        f"""create or replace temp table typed as
        with cells as (select line,
            coalesce(problem, time_problem, {number_problem("rating")}, {number_problem("value")},
                {json_problem("context")}) as problem,
            event_id, user_id, item_id, time_utc as timestamp, time_step as step,
            lower(trim(behavior, {SPACES})) as behavior, {number("rating")} as rating,
            {number("value")} as value, session_id, text,
            case when json_valid(context) then json(context)::varchar end as context
            from ({rows}))
        select * replace (coalesce(event_id, content) as event_id),
            event_id is not null as own_event_id
        from (select *, {CONTENT} as content from cells)"""
    )


def _judge(connection: duckdb.DuckDBPyConnection, arrival: Arrival) -> None:
    """`judged`: of each good row, whether it is new, a duplicate, or why it is refused."""
    connection.execute(
        f"""create or replace temp table judged as
        with good as (select line, event_id, content from typed where problem is null),
        stored as (
            select event_id, {CONTENT} as content, file_hash, line from {RAW_EVENTS.full_name}
            where event_id in (select event_id from good)),
        first as (
            select event_id, min(line) as line, arg_min(content, line) as content
            from good group by event_id)
        select g.line, case
            when g.content = coalesce(s.content, f.content)
                then case when s.event_id is null and g.line = f.line
                    then 'new' else 'duplicate' end
            else concat('event_id came before with other content (',
                coalesce(files.name, ?), ', line ', coalesce(s.line, f.line), ')')
            end as verdict
        from good g join first f using (event_id) left join stored s using (event_id)
        left join {FILES.full_name} files
            on files.kind = 'events' and files.content_hash = s.file_hash""",
        [arrival.name],
    )
