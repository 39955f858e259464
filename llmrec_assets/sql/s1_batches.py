"""Files that came in and were not taken back, found by name or hash, and what trained on some."""

import duckdb

from llmrec_assets.sql.s1_files import Kind, create_tables, last_seq
from llmrec_assets.sql.s1_tables import FILES, RETRACTIONS
from llmrec_assets.sql.s5_model import TEMPORAL_MODEL

# Files that are still in force; an alias of the ledger stays usable around it.
STANDING = f"""(from {FILES.full_name} where (kind, content_hash) not in (
    select (kind, content_hash) from {RETRACTIONS.full_name}))"""


class UnknownFile(Exception):
    """No such batch is in the store; the message says which are."""


def find_file(
    connection: duckdb.DuckDBPyConnection, named: str, kind: Kind | None = None
) -> tuple[Kind, str, str]:
    """(kind, content hash, name) of the file of this name or this beginning of its hash.

    Raises:
        UnknownFile: there is none, or there are several.
    """
    create_tables(connection)
    found = connection.execute(
        f"""select kind, content_hash, name from {STANDING}
        where (name = $named or length($named) >= 8 and starts_with(content_hash, $named))
            and kind = coalesce($kind, kind)
        order by kind, ingested_at, name""",
        {"named": named, "kind": kind},
    ).fetchall()
    if len(found) == 1:
        return found[0]
    if found:
        several = "\n".join(f"  {content_hash} ({kind})" for kind, content_hash, _ in found)
        raise UnknownFile(f"{named!r} came in more than once; name one of these:\n{several}")
    newest = connection.execute(
        f"""select name from {STANDING} where kind = coalesce(?, kind)
        order by ingested_at desc, name limit 5""",
        [kind],
    ).fetchall()
    names = ", ".join(name for (name,) in newest) or "none"
    raise UnknownFile(
        f"no file of {kind or 'events or items'} came in by that name; newest: {names}"
    )


def begin_retraction(
    connection: duckdb.DuckDBPyConnection, kind: Kind, content_hash: str, because: str
) -> None:
    """Note that a file is taken back, so that nothing refers to it from here on."""
    connection.execute(
        f"""insert into {RETRACTIONS.full_name} by name
        select content_hash, name, now()::timestamp as retracted_at, ? as because, kind,
            ? as last_seq
        from {FILES.full_name} where kind = ? and content_hash = ?""",
        [because, last_seq(connection, kind), kind, content_hash],
    )


def end_retraction(
    connection: duckdb.DuckDBPyConnection,
    kind: Kind,
    content_hash: str,
    first_seq: int | None,
    rows: int,
    restored: int,
) -> None:
    """Note what became of the rows of a file that was taken back."""
    connection.execute(
        f"""update {RETRACTIONS.full_name} set first_seq = ?, rows = ?, restored = ?
        where kind = ? and content_hash = ?""",
        [first_seq, rows, restored, kind, content_hash],
    )


def versions_that_saw(connection: duckdb.DuckDBPyConnection) -> set[str]:
    """Model versions that were trained on events or items which were retracted since.

    Of items it is not known which a model was trained on: all that were there are counted.
    """
    create_tables(connection)
    if not TEMPORAL_MODEL.is_there(connection):
        return set()
    rows = connection.execute(
        f"""select distinct model_version from {TEMPORAL_MODEL.full_name}
        join {RETRACTIONS.full_name} r on trained_at < retracted_at and first_seq is not null
        join {FILES.full_name} files on (files.kind, files.content_hash) = (r.kind, r.content_hash)
        where trained and case r.kind when 'events' then trained_through >= first_seq
            else trained_at >= ingested_at end"""
    ).fetchall()
    return {version for (version,) in rows}
