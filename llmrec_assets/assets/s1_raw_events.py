"""Stage 1: what lies in the landing folders becomes rows, each once."""

from collections.abc import Callable
from typing import Any

import dagster as dg
import duckdb
from pydantic import Field

from llmrec_assets.assets.table_metadata import markdown, run_metadata, static_metadata
from llmrec_assets.resources.landing import INCOMPLETE, Landing, LandingScan
from llmrec_assets.resources.warehouse import Warehouse
from llmrec_assets.settings import setting
from llmrec_assets.sql import s1_arrivals, s1_files, s1_rejections
from llmrec_assets.sql.s1_raw_events import take_events
from llmrec_assets.sql.s1_raw_items import take_items
from llmrec_assets.sql.s1_retention import EXPIRIES
from llmrec_assets.sql.s1_tables import (
    FILES,
    RAW_EVENTS,
    RAW_ITEMS,
    REJECTED_EVENTS,
    REPAIRED_PREFIX,
)

MOST_REJECTED = 0.05
FILES_SHOWN = 50
SAMPLES = 20

event_log = dg.AssetSpec(
    "event_log",
    description="Files of events in `landing/events/`: CSV, Parquet or JSON Lines with user_id,"
    " item_id, timestamp, behavior. Batches of feedback events land here too.",
    kinds={"file"},
)
item_log = dg.AssetSpec(
    "item_log",
    description="Files of items in `landing/items/`: item_id and any of title, category, brand,"
    " description, price, image_path, audio_path and columns of your own.",
    kinds={"file"},
)


@dg.asset(
    deps=[event_log],
    kinds={"duckdb"},
    owners=["team:data"],
    metadata=static_metadata(RAW_EVENTS),
)
def raw_events(
    context: dg.AssetExecutionContext, warehouse: Warehouse, landing: Landing
) -> dg.MaterializeResult:
    """One row per event of the landing files, typed and as given; nothing is judged here.

    An event that is known from feedback alone gives way to its own row when that comes.
    """
    scan = landing.scan("events")
    metadata = _ingest(context, warehouse, scan, "events", take_events)
    with warehouse.connect() as connection:
        max_seq = s1_files.last_seq(connection, "events")
        preview = run_metadata(connection, RAW_EVENTS)
    return dg.MaterializeResult(metadata={**preview, **metadata, "max_seq": max_seq})


@dg.asset(
    deps=[item_log],
    kinds={"duckdb"},
    owners=["team:data"],
    metadata=static_metadata(RAW_ITEMS),
)
def raw_items(
    context: dg.AssetExecutionContext, warehouse: Warehouse, landing: Landing
) -> dg.MaterializeResult:
    """One row per item of the landing files: its newest delivery."""
    scan = landing.scan("items")
    metadata = _ingest(context, warehouse, scan, "items", take_items)
    with warehouse.connect() as connection:
        max_seq = s1_files.last_seq(connection, "items")
        preview = run_metadata(connection, RAW_ITEMS)
    return dg.MaterializeResult(metadata={**preview, **metadata, "max_seq": max_seq})


@dg.asset(
    deps=[raw_events, raw_items],
    kinds={"duckdb"},
    owners=["team:data"],
    metadata=static_metadata(REJECTED_EVENTS),
)
def rejected_events(warehouse: Warehouse) -> dg.MaterializeResult:
    """One row per line, or whole file, that could not be used, with the reason.

    `llmrec rejected` lets a person mend them; what is mended leaves the reasons and samples.
    """
    with warehouse.connect() as connection:
        s1_files.create_tables(connection)
        metadata = run_metadata(connection, REJECTED_EVENTS)
    reasons = warehouse.read(
        f"""select kind, split_part(reason, ' (', 1) as reason, count(*) as rows,
            count(*) filter (line is null) as whole_files
        from ({s1_rejections.OPEN}) group by all order by rows desc limit {SAMPLES}"""
    )
    samples = warehouse.read(
        f"""select kind, file, line, reason from ({s1_rejections.OPEN})
        qualify row_number() over (partition by kind, split_part(reason, ' (', 1)
            order by rejected_at desc, line) <= 3
        order by rejected_at desc, file, line limit {SAMPLES}"""
    )
    samples["line"] = samples["line"].astype("Int64").astype("string").fillna("whole file")
    return dg.MaterializeResult(
        metadata={
            **metadata,
            "reasons": dg.MetadataValue.md(markdown(reasons)),
            "samples": dg.MetadataValue.md(markdown(samples)),
        }
    )


class RetentionConfig(dg.Config):
    """How long what users did is kept."""

    days: int = Field(
        default=setting("RETENTION_DAYS", 0, minimum=0),
        description="Events, feedback and lists older than this are forgotten; 0 keeps all.",
        ge=0,
    )


@dg.asset(
    deps=[raw_events, rejected_events],
    kinds={"duckdb"},
    owners=["team:data"],
    metadata=static_metadata(EXPIRIES),
)
def expiries(
    context: dg.AssetExecutionContext,
    config: RetentionConfig,
    warehouse: Warehouse,
    landing: Landing,
) -> dg.MaterializeResult:
    """One row per time that what was too old went; without a limit nothing does.

    What later stages keep of it goes when they are made anew; the vectors of its texts then go with
    the next expiry, or by the command `llmrec expire`.
    """
    from llmrec_assets.operations import erasure, retention
    from llmrec_assets.sql import s1_retention

    gone = None
    if config.days:
        erasure.sweep(landing.layout, rewrite=False)
        try:
            gone = retention.forget(warehouse, landing, config.days)
        except s1_retention.RelativeTimes as error:
            raise dg.Failure(str(error), allow_retries=False) from error
        for name in gone.unread:
            context.log.warning(f"{name} cannot be read, so that its rows have no age: remove it")
    with warehouse.connect() as connection:
        s1_files.create_tables(connection)
        preview = run_metadata(connection, EXPIRIES)
    counts = {"rows": gone.rows, "files": len(gone.files)} if gone else {"rows": 0, "files": 0}
    return dg.MaterializeResult(metadata={**preview, **counts})


@dg.asset_check(asset=raw_events, blocking=True)
def raw_events_exist(warehouse: Warehouse, landing: Landing) -> dg.AssetCheckResult:
    """At least one event was read."""
    rows = int(warehouse.read(f"select count(*) as n from {RAW_EVENTS.full_name}")["n"][0])
    return dg.AssetCheckResult(
        passed=rows > 0,
        description=None
        if rows
        else f"No events yet. Put CSV, Parquet or JSON Lines files with the columns user_id,"
        f" item_id, timestamp and behavior into {landing.folder('events')}; rejected_events says"
        f" why rows or files were refused.",
        metadata={"events": rows},
    )


@dg.asset_check(asset=rejected_events)
def rejections_are_few(warehouse: Warehouse) -> dg.AssetCheckResult:
    """At most 5 % of all rows of the landing files were rejected and are still to be mended."""
    with warehouse.connect() as connection:
        rows, rejected, files = s1_rejections.share_open(connection)
    share = rejected / rows if rows else 0.0
    return dg.AssetCheckResult(
        passed=share <= MOST_REJECTED,
        severity=dg.AssetCheckSeverity.WARN,
        description="See the reasons and samples of rejected_events; llmrec rejected export writes"
        " the rows to a file to be mended.",
        metadata={"rejected_share": share, "rejected_files": files},
    )


@dg.asset_check(asset=raw_events)
def time_is_of_one_kind(warehouse: Warehouse) -> dg.AssetCheckResult:
    """All events have absolute times, or all have relative steps."""
    counts = warehouse.read(
        f"select count(timestamp) as absolute, count(step) as relative from {RAW_EVENTS.full_name}"
    ).iloc[0]
    return dg.AssetCheckResult(
        passed=bool(counts["absolute"] == 0 or counts["relative"] == 0),
        severity=dg.AssetCheckSeverity.WARN,
        description="Absolute times and relative steps cannot be ordered among each other.",
        metadata={"absolute": int(counts["absolute"]), "relative": int(counts["relative"])},
    )


@dg.asset_check(asset=raw_events)
def newest_file_is_as_usual(warehouse: Warehouse) -> dg.AssetCheckResult:
    """The newest file of events is like those before: its size, columns, freshness and ids."""
    from llmrec_assets.core.arrivals import unusual

    with warehouse.connect() as connection:
        measures = s1_arrivals.measures(connection)
    odd = unusual(measures) if len(measures) else []
    return dg.AssetCheckResult(
        passed=not odd,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{measures['name'][0]}: {'; '.join(odd)}." if odd else None,
        metadata={"files": dg.MetadataValue.md(markdown(measures.round(3).head(FILES_SHOWN)))},
    )


def _ingest(
    context: dg.AssetExecutionContext,
    warehouse: Warehouse,
    scan: LandingScan,
    kind: s1_files.Kind,
    take: Callable[[duckdb.DuckDBPyConnection, s1_files.Arrival], s1_files.Taken],
) -> dict[str, Any]:
    """Ingest the new files of a scan, each in a transaction of its own; the metadata of it."""
    with warehouse.connect() as connection:
        s1_files.create_tables(connection)
        known = {f for f in scan.ready if s1_files.is_known(connection, kind, f.content_hash)}
    unfinished, new = list(scan.unfinished), []
    # What repairs rows of other files comes after them.
    for file in sorted(scan.ready, key=lambda file: file.name.startswith(REPAIRED_PREFIX)):
        if file in known:
            continue
        with warehouse.connect() as connection:
            # Asked again: another run, or the same content by another name, was faster.
            if s1_files.is_known(connection, kind, file.content_hash):
                continue
            arrival = s1_files.Arrival.now(kind, file.path, file.content_hash)
            s1_files.ingest(connection, arrival, take)
            if file.is_unchanged():
                new.append(file.content_hash)
            else:  # rewritten while it was read
                connection.rollback()
                connection.begin()
                unfinished.append(file.name)
    for name in unfinished:
        context.log.warning(f"{name} is still being written; the next run takes it")
    fingerprint = INCOMPLETE if unfinished else scan.fingerprint
    return {
        **_summary(warehouse, kind, new),
        "new_files": len(new),
        "unfinished_files": unfinished,
        "landing_fingerprint": fingerprint,
    }


def _summary(warehouse: Warehouse, kind: s1_files.Kind, new: list[str]) -> dict[str, Any]:
    """What came of the new files."""
    files = warehouse.read(
        f"""select name, time_kind, time_unit, rows, accepted, duplicates, rejected,
            array_to_string(ignored_columns, ', ') as ignored_columns
        from {FILES.full_name} where kind = ? and list_contains(?::varchar[], content_hash)
        order by ingested_at""",
        [kind, new],
    )
    return {
        f"new_{kind}": int(files["accepted"].sum()),
        "duplicate_rows": int(files["duplicates"].sum()),
        "rejected_rows": int(files["rejected"].sum()),
        "time_kinds" if kind == "events" else "files": dg.MetadataValue.md(
            markdown(files.head(FILES_SHOWN).fillna(""))
        ),
    }
