"""Stage 2 in SQL: which texts an increment tells anew, of items, of steps and of users.

An item is told anew where its newest delivery is another one, or where it came or went with events.
What is told with an item follows: its steps where its text changed, the users who have it where its
title did.
"""

import duckdb

from llmrec_assets.sql.s2_tables import CLEAN, ITEM_TEXTS, ITEMS, STEP_TEXTS

TOLD = f"""
select item_id from {ITEMS} as given full join {ITEM_TEXTS.full_name} as known using (item_id)
where coalesce(given.seq, 0) <> coalesce(known.item_seq, -1)
union
select item_id from moved left join {ITEM_TEXTS.full_name} as known using (item_id)
where case when gone then known.item_seq = 0 else known.item_seq is null end
"""

# Items without a row before have no users yet but those that the new events touch.
RETOLD = f"""
select item_id, old.title is not null and old.title is distinct from new.title as other_title,
    old.text is distinct from new.text as other_text
from items_before as old full join (
    select * from {ITEM_TEXTS.full_name} where item_id in (from told_items)) as new using (item_id)
"""

# A step is there if it was and no event of it went, or one came; else the events have to be asked.
STEPS = f"""
with asked as (
    select behavior, item_id, bool_or(gone) as gone from moved group by all
    union all
    select behavior, item_id, false from {STEP_TEXTS.full_name}
    where item_id in (select item_id from retold where other_text)
), steps as (
    select behavior, item_id, bool_or(gone) as gone from asked group by all
), alive as (
    select distinct behavior, item_id from {CLEAN}
    where (behavior, item_id) in (select (behavior, item_id) from steps where gone)
)
select steps.behavior, steps.item_id, not gone or alive.item_id is not null as there
from steps left join alive using (behavior, item_id)
"""

# Moments of a history are counted by the events before the cut in time.
MOVED_BY_CUT = f"""
select distinct user_id from {CLEAN}
where time between least($old, $new) and greatest($old, $new) and $old <> $new
"""


def find_items(connection: duckdb.DuckDBPyConnection) -> None:
    """Take the items to be told anew out of item_texts, into `told_items`.

    Needs `moved`. What was known of them is in `items_before`.
    """
    connection.execute(f"create or replace temp table told_items as {TOLD}")
    told = "item_id in (from told_items)"
    connection.execute(
        f"""create or replace temp table items_before as
        select * from {ITEM_TEXTS.full_name} where {told}"""
    )
    connection.execute(f"delete from {ITEM_TEXTS.full_name} where {told}")


def find_steps(connection: duckdb.DuckDBPyConnection) -> None:
    """Take the steps to be told anew out of step_texts, into `told_steps`.

    Needs `moved`, and item_texts as it is to be. `retold` has the items whose words changed.
    """
    connection.execute(f"create or replace temp table retold as {RETOLD}")
    connection.execute(f"create or replace temp table told_steps as {STEPS}")
    connection.execute(
        f"""delete from {STEP_TEXTS.full_name}
        where (behavior, item_id) in (select (behavior, item_id) from told_steps)"""
    )


def touch_readers(connection: duckdb.DuckDBPyConnection) -> None:
    """Add who has an item with a new title to `touched_users`."""
    _touch(
        connection,
        f"""select distinct user_id from {CLEAN}
        where item_id in (select item_id from retold where other_title)""",
    )


def touch_tellers(connection: duckdb.DuckDBPyConnection, old_cut: object, new_cut: object) -> None:
    """Add whose history texts change beside: by the text of an item, or by the cut in time."""
    _touch(
        connection,
        f"""select distinct user_id from {CLEAN}
        where item_id in (select item_id from retold where other_text)""",
    )
    _touch(connection, MOVED_BY_CUT, {"old": old_cut, "new": new_cut})


def _touch(connection: duckdb.DuckDBPyConnection, query: str, parameters: object = None) -> None:
    connection.execute(
        f"""insert into touched_users select user_id from ({query})
        where user_id not in (select user_id from touched_users)""",
        parameters,
    )
