"""The fingerprint of raw_events, of which only the blocks are read that differ from the last time.

Events come, go, get other numbers or learn their cause in many places, and none of them has to
tell: what is quick to hash is compared block by block, and what differs is written out as text.
"""

import duckdb

from llmrec_assets.sql.fingerprints import MODULUS, Fingerprint, row_text
from llmrec_assets.sql.s1_tables import RAW_EVENTS, SCHEMA
from llmrec_assets.sql.tables import Column, Table

EVENT_BLOCKS = Table(
    SCHEMA,
    "event_blocks",
    (
        Column("block", "bigint", "4096 consecutive ingestion sequence numbers."),
        Column("rows", "bigint", "Raw events of them."),
        Column("content", "ubigint", "DuckDB's hash of these rows, whatever their order."),
        Column("total", "ubigint", "Sum of their hashes, as in a fingerprint."),
    ),
)

_TEXT = row_text(RAW_EVENTS)
_HASHED = ", ".join(column.name for column in RAW_EVENTS.columns if not column.clock)

# Hashed twice: what two rows exchange in the last column would cancel out in the first hash. With
# another text of rows, all blocks differ.
BLOCKS = f"""
select seq >> 12 as block, count(*) as rows,
    xor(bit_xor(hash(hash({_HASHED}))), hash($text)) as content
from {RAW_EVENTS.full_name} group by block
"""

CHANGED = (
    f"select block from blocks anti join {EVENT_BLOCKS.full_name} using (block, rows, content)"
)

# The sum itself may exceed 64 bits.
TOTALS = f"""
select block, (sum(md5_number_lower({_TEXT})) % {MODULUS}::hugeint)::ubigint as total
from (select *, seq >> 12 as block from {RAW_EVENTS.full_name}
    where seq between $first and $last and seq >> 12 in (from changed_blocks))
group by block
"""


def fingerprint_of_events(connection: duckdb.DuckDBPyConnection) -> Fingerprint:
    """Of raw_events as it is; what was read is kept for the next time."""
    EVENT_BLOCKS.create(connection)
    connection.execute(f"create or replace temp table blocks as {BLOCKS}", {"text": _TEXT})
    connection.execute(f"create or replace temp table changed_blocks as {CHANGED}")
    (first, last), *_ = connection.execute(
        "select min(block) << 12, (max(block) + 1) << 12 from changed_blocks"
    ).fetchall()
    connection.execute(
        f"""create or replace temp table known_blocks as
        select block, rows, content, total from blocks join {EVENT_BLOCKS.full_name}
            using (block, rows, content)
        union all
        select block, rows, content, total from blocks join ({TOTALS}) using (block)""",
        {"first": first, "last": last},
    )
    EVENT_BLOCKS.replace(connection, "from known_blocks")
    connection.execute("drop table blocks; drop table changed_blocks; drop table known_blocks")
    (rows, total), *_ = connection.execute(
        f"select coalesce(sum(rows), 0), coalesce(sum(total), 0) from {EVENT_BLOCKS.full_name}"
    ).fetchall()
    return Fingerprint(int(rows), int(total) % MODULUS)
