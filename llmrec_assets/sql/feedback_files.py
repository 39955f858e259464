"""Files of impressions and responses into the table of feedback, each file and response once."""

from pathlib import Path

import duckdb
import pyarrow as pa

from llmrec_assets.sql import landing_names
from llmrec_assets.sql.landing_files import stage_file, unstage
from llmrec_assets.sql.landing_lines import BadFile
from llmrec_assets.sql.landing_values import detect_time, number, number_problem, typed_time
from llmrec_assets.sql.s1_retention import EXPIRIES, NO_AGE, forgets, too_old
from llmrec_assets.sql.s7_ledger import Ledger
from llmrec_assets.sql.s7_tables import FEEDBACK, FILES, REJECTED_FEEDBACK

LEDGER = Ledger(FILES, REJECTED_FEEDBACK)

REQUIRED = ("feedback_id", "user_id", "item_id", "timestamp", "response")
OPTIONAL = ("list_id", "rank", "event_id", "value")
IDS = ("feedback_id", "user_id", "item_id", "list_id", "event_id")

RANK = "try_cast(rank as integer)"

JUDGED = """
create temp table judged as
with typed as (
    select typed.*, coalesce(names.behavior, lower(trim(response))) as answer,
        coalesce(problem, time_problem, {too_old}, {value_problem},
            case when rank is not null and coalesce({rank}, 0) < 1
                then 'rank is not a whole number from 1' end) as problem_found
    from ({typed}) as typed left join names on names.said = lower(trim(response))
), first as (
    select feedback_id, user_id, item_id, response as answer from {feedback}
    union all
    select feedback_id, user_id, item_id, answer from typed where problem_found is null
        and feedback_id not in (select feedback_id from {feedback})
    qualify row_number() over (partition by feedback_id order by line) = 1
)
select typed.*, row_number() over (
        partition by typed.feedback_id, problem_found is null order by line
    ) as repeat_number,
    coalesce(problem_found, case
        when (first.user_id, first.item_id, first.answer)
            is distinct from (typed.user_id, typed.item_id, typed.answer)
        then 'feedback_id came before with another user, item or response' end) as reason
from typed left join first using (feedback_id)
"""

ADD = f"""
insert into {FEEDBACK.full_name} by name
select (select greatest(coalesce(max(seq), 0),  -- rows may have gone since
            (select coalesce(sum(accepted), 0) from {FILES.full_name}))::bigint
            from {FEEDBACK.full_name})
        + row_number() over (order by line) as seq,
    feedback_id, list_id, user_id, item_id, {RANK} as rank, time_utc as timestamp,
    time_step as step, answer as response, {number("value")} as value, event_id,
    $hash as file_hash
from judged where reason is null and repeat_number = 1
    and feedback_id not in (select feedback_id from {FEEDBACK.full_name})
"""


def create_tables(connection: duckdb.DuckDBPyConnection) -> None:
    """Make the stage's tables where they are missing."""
    for table in (FILES, FEEDBACK, REJECTED_FEEDBACK, EXPIRIES):
        table.create(connection)


def register_names(connection: duckdb.DuckDBPyConnection, names: dict[str, str]) -> None:
    """Make the temporary table `names` (said, behavior): how services may call a behaviour."""
    rows = pa.table({"said": list(names), "behavior": list(names.values())})
    connection.register("dictionary", rows)
    connection.execute("create or replace temp table names as from dictionary")
    connection.unregister("dictionary")


def ingest_file(
    connection: duckdb.DuckDBPyConnection, path: Path, content_hash: str
) -> dict[str, int]:
    """Take in one file inside the open transaction; the counts of its rows, or that it is bad.

    Needs the table `names`.
    """
    try:
        staged = stage_file(connection, path, required=REQUIRED, optional=OPTIONAL, ids=IDS)
    except BadFile as error:
        return LEDGER.refuse(connection, path.name, content_hash, str(error))
    time = detect_time(connection, staged.view)
    if time.kind == "relative" and forgets(connection):
        unstage(connection, staged)
        return LEDGER.refuse(connection, path.name, content_hash, NO_AGE)
    typed = typed_time(staged.view, time)
    found = {"rank": RANK, "value_problem": number_problem("value"), "typed": typed,
             "too_old": too_old("time_utc")}  # fmt: skip
    connection.execute(JUDGED.format(**found, feedback=FEEDBACK.full_name))
    landing_names.remember(connection, staged.people, landing_names.GOOD)
    own = {"hash": content_hash}
    return LEDGER.take(connection, path.name, content_hash, staged, FEEDBACK, ADD, own)
