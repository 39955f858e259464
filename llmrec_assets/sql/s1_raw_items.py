"""Items out of landing files: the newest delivery of each.

A mended row of an earlier file is as old as that file: what a file said of the item after that
one came, it does not change.
"""

from pathlib import Path

import duckdb

from llmrec_assets.sql.landing_files import StagedFile, stage_file
from llmrec_assets.sql.landing_values import FileTime, number, number_problem
from llmrec_assets.sql.s1_files import Arrival, Taken, last_seq
from llmrec_assets.sql.s1_repairs import REFERENCE, record_references, refer
from llmrec_assets.sql.s1_tables import FILES, ITEM_ARRIVALS, RAW_ITEMS

TEXTS = ("title", "category", "brand", "description", "image_path", "audio_path")
CONTENT = f"to_json([{', '.join(TEXTS)}, price::varchar, attributes])::varchar"


def take_items(connection: duckdb.DuckDBPyConnection, arrival: Arrival) -> Taken:
    """Let each item of a file stand as its last row there says; see `refused` for bad rows.

    A row that changes nothing is a duplicate; one that a later row changes again is accepted.

    Raises:
        BadFile: nothing of the file can be used.
    """
    staged = stage_items(connection, arrival.path)
    type_items(connection, staged, arrival, RAW_ITEMS.full_name)
    _measure(connection, arrival)
    add_items(connection, arrival, RAW_ITEMS.full_name, last_seq(connection, "items"))
    connection.execute(
        """create or replace temp table refused as
        select line, problem as reason from typed where problem is not null"""
    )
    accepted, duplicates = connection.execute(
        """select count(*) filter (problem is null and changes),
            count(*) filter (problem is null and not changes) from typed"""
    ).fetchall()[0]
    record_references(connection, arrival)
    connection.execute("drop table typed")
    return Taken(staged, FileTime(None, None), accepted, duplicates)


def stage_items(connection: duckdb.DuckDBPyConnection, path: Path) -> StagedFile:
    """A file of items as it lies there.

    Raises:
        BadFile: nothing of the file can be used.
    """
    return stage_file(
        connection,
        path,
        required=("item_id",),
        optional=(*TEXTS, "price", REFERENCE),
        ids=("item_id",),
    )


def type_items(
    connection: duckdb.DuckDBPyConnection, staged: StagedFile, arrival: Arrival, table: str
) -> None:
    """`typed`: every row, its problem, and whether it changes what `table` knows of the item.

    Makes `referred` too, which the caller drops.

    Raises:
        BadFile: the file has mended rows but was not written by a replay.
    """
    refer(connection, staged, arrival)
    connection.execute(
        f"""create or replace temp table typed as
        with cells as (
            select line, item_id, {", ".join(TEXTS)}, {number("price")} as price,
                coalesce(rows_read.problem, referred.problem, {number_problem("price")},
                    case when {number("price")} < 0 then 'price is below 0' end) as problem,
                others as attributes, mended.ingested_at as known_since
            from {staged.view} as rows_read left join referred using (line)
            left join {FILES.full_name} mended
                on mended.kind = 'items' and mended.content_hash = of_hash),
        stored as (
            select item_id, {CONTENT} as content, came.ingested_at as came
            from {table} items left join {FILES.full_name} came
                on came.kind = 'items' and came.content_hash = items.file_hash
            where item_id in (select item_id from cells)),
        timely as (
            select cells.*, stored.content as before_content
            from cells left join stored using (item_id)
            where problem is null and coalesce(came <= known_since, true)),
        before as (
            select line, coalesce(lag({CONTENT}) over (partition by item_id order by line),
                before_content) as content
            from timely)
        select cells.* exclude (known_since),
            before.line is not null and {CONTENT} is distinct from before.content as changes
        from cells left join before using (line)"""
    )


def add_items(
    connection: duckdb.DuckDBPyConnection, arrival: Arrival, table: str, after: int
) -> None:
    """Let the rows of `typed` that change something stand in `table`, numbered from `after` on."""
    columns = (*TEXTS, "price", "attributes", "seq", "file_hash")
    connection.execute(
        f"""insert into {table} by name
        select item_id, {", ".join(TEXTS)}, price, attributes, ? + number as seq, ? as file_hash
        from (select *, row_number() over (order by line) as number from typed where changes)
        qualify row_number() over (partition by item_id order by line desc) = 1
        order by seq
        on conflict do update set {", ".join(f"{c} = excluded.{c}" for c in columns)}""",
        [after, arrival.content_hash],
    )


def _measure(connection: duckdb.DuckDBPyConnection, arrival: Arrival) -> None:
    """Keep what the file is like: raw_items shows of it only what is still the newest."""
    shares = ", ".join(f"{name} := count({name}) / count(*)" for name in (*TEXTS, "price"))
    connection.execute(
        f"""insert or replace into {ITEM_ARRIVALS.full_name}
        with good as (from typed where problem is null), keys as (
            select line, unnest(json_keys(attributes)) as name from good),
        own as (
            select map_from_entries(list((name, n / greatest((select count(*) from good), 1))))
                as shares
            from (select name, count(*) as n from keys group by all order by name))
        select ?, count(distinct item_id),
            count(distinct item_id) filter (item_id in (select item_id from {RAW_ITEMS.full_name}))
                / count(distinct item_id),
            json_merge_patch(to_json((select shares from own)), to_json(struct_pack({shares})))
        from good having count(*) > 0""",
        [arrival.content_hash],
    )
