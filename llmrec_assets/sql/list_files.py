"""Files of lists that an online service made into the table of served lists, each row once."""

from pathlib import Path

import duckdb

from llmrec_assets.sql import landing_names
from llmrec_assets.sql.landing_files import stage_file
from llmrec_assets.sql.landing_lines import BadFile
from llmrec_assets.sql.landing_values import detect_time, number, number_problem, typed_time
from llmrec_assets.sql.s1_retention import EXPIRIES, too_old
from llmrec_assets.sql.s7_ledger import Ledger
from llmrec_assets.sql.s7_tables import LIST_FILES, LISTS, REJECTED_LISTS, SERVED_LISTS, SOURCES

LEDGER = Ledger(LIST_FILES, REJECTED_LISTS)
REQUIRED = tuple(column.name for column in SERVED_LISTS.columns)
IDS = ("list_id", "user_id", "item_id", "model_version")

RANK = "try_cast(rank as integer)"
TIME = "generated_at"
KNOWN = """known.list_id = {0}.list_id and known.user_id = {0}.user_id
        and known.rank = {0}.place"""


def _share(name: str, least: str) -> str:
    """Why `name` is no probability: it is `least` 0, and at most 1."""
    return f"""{number_problem(name)}, case
        when not coalesce({number(name)} {least} 0 and {number(name)} <= 1, false)
        then '{name} is no probability' end"""


PROBLEMS = f"""coalesce(problem, time_problem, {too_old("time_utc")},
        case when time_utc is null then '{TIME} has to be a time, not a step' end,
        {number_problem("score")},
        case when {number("score")} is null then 'score is not a number' end,
        {_share("probability", ">=")}, {_share("propensity", ">")},
        case when coalesce({RANK}, 0) < 1 then 'rank is not a whole number from 1' end,
        case when source not in {SOURCES} then 'source is none of {", ".join(SOURCES)}' end,
        case when list_id in (select list_id from {LISTS})
            then 'list_id is that of a published list' end)"""

JUDGED = f"""
create temp table judged as
with typed as (
    select *, {RANK} as place, {{problems}} as problem_found from ({{typed}})
), first as (
    select list_id, user_id, rank as place, item_id from {SERVED_LISTS.full_name}
    union all
    select list_id, user_id, place, item_id from typed anti join {SERVED_LISTS.full_name} as known
        on {KNOWN.format("typed")}
    where problem_found is null
    qualify row_number() over (partition by list_id, user_id, place order by line) = 1
)
select typed.*, row_number() over (
        partition by typed.list_id, typed.user_id, typed.place, problem_found is null order by line
    ) as repeat_number,
    coalesce(problem_found, case when first.item_id is distinct from typed.item_id
        then 'this rank of the list came before with another item' end) as reason
from typed left join first using (list_id, user_id, place)
"""

ADD = f"""
insert into {SERVED_LISTS.full_name} by name
select list_id, user_id, place as rank, item_id, {number("score")} as score,
    {number("probability")} as probability, {number("propensity")} as propensity, source,
    model_version, time_utc as generated_at
from judged anti join {SERVED_LISTS.full_name} as known on {KNOWN.format("judged")}
where reason is null and repeat_number = 1
"""


def create_tables(connection: duckdb.DuckDBPyConnection) -> None:
    """Make the tables of served lists where they are missing."""
    for table in (LIST_FILES, SERVED_LISTS, REJECTED_LISTS, EXPIRIES):
        table.create(connection)


def ingest_file(
    connection: duckdb.DuckDBPyConnection, path: Path, content_hash: str
) -> dict[str, int]:
    """Take in one file inside the open transaction; the counts of its rows, or that it is bad.

    Needs the table of the published lists, whose ids no other list may take.
    """
    try:
        staged = stage_file(connection, path, required=REQUIRED, ids=IDS)
    except BadFile as error:
        return LEDGER.refuse(connection, path.name, content_hash, str(error))
    typed = typed_time(staged.view, detect_time(connection, staged.view, TIME), TIME)
    connection.execute(JUDGED.format(problems=PROBLEMS, typed=typed))
    landing_names.remember(connection, staged.people, landing_names.GOOD)
    return LEDGER.take(connection, path.name, content_hash, staged, SERVED_LISTS, ADD)
