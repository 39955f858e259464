"""Items out of landing files: the newest delivery of each."""

import duckdb

from llmrec_assets.sql.landing_files import stage_file
from llmrec_assets.sql.landing_values import FileTime, number, number_problem
from llmrec_assets.sql.s1_files import Arrival, Taken, last_seq
from llmrec_assets.sql.s1_tables import RAW_ITEMS

TEXTS = ("title", "category", "brand", "description", "image_path", "audio_path")
CONTENT = f"to_json([{', '.join(TEXTS)}, price::varchar, attributes])::varchar"


def take_items(connection: duckdb.DuckDBPyConnection, arrival: Arrival) -> Taken:
    """Let each item of a file stand as its last row there says; see `refused` for bad rows.

    A row that changes nothing is a duplicate; one that a later row changes again is accepted.

    Raises:
        BadFile: nothing of the file can be used.
    """
    staged = stage_file(
        connection,
        arrival.path,
        required=("item_id",),
        optional=(*TEXTS, "price"),
        ids=("item_id",),
    )
    _type(connection, staged.view)
    connection.execute(
        f"""insert into {RAW_ITEMS.full_name} by name
        select item_id, {", ".join(TEXTS)}, price, attributes, ? + number as seq, ? as file_hash
        from (select *, row_number() over (order by line) as number from typed where changes)
        qualify row_number() over (partition by item_id order by line desc) = 1
        order by seq
        on conflict do update set {
            ", ".join(
                f"{c} = excluded.{c}" for c in (*TEXTS, "price", "attributes", "seq", "file_hash")
            )
        }""",
        [last_seq(connection, "items"), arrival.content_hash],
    )
    connection.execute(
        """create or replace temp table refused as
        select line, problem as reason from typed where problem is not null"""
    )
    accepted, duplicates = connection.execute(
        """select count(*) filter (problem is null and changes),
            count(*) filter (problem is null and not changes) from typed"""
    ).fetchall()[0]
    connection.execute("drop table typed")
    return Taken(staged, FileTime(None, None), accepted, duplicates)


def _type(connection: duckdb.DuckDBPyConnection, view: str) -> None:
    """`typed`: every row, its problem, and whether it changes what was known of the item."""
    connection.execute(
        f"""create or replace temp table typed as
        with cells as (
            select line, coalesce(problem, {number_problem("price")}) as problem, item_id,
                {", ".join(TEXTS)}, {number("price")} as price, others as attributes
            from {view}),
        stored as (
            select item_id, {CONTENT} as content from {RAW_ITEMS.full_name}
            where item_id in (select item_id from cells)),
        before as (
            select line, coalesce(lag({CONTENT}) over (partition by item_id order by line),
                stored.content) as content
            from cells left join stored using (item_id) where problem is null)
        select cells.*, problem is null and {CONTENT} is distinct from before.content as changes
        from cells left join before using (line)"""
    )
