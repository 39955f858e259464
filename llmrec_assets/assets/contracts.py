"""The contracts of events and items as checks; events that break one must not spread."""

import dagster as dg

from llmrec_assets.assets import s1_raw_events, s2_sequences
from llmrec_assets.assets.table_metadata import markdown
from llmrec_assets.resources.warehouse import Warehouse
from llmrec_assets.sql import contracts, s1_files
from llmrec_assets.sql.table_contracts import (
    CLEAN_EVENTS_CONTRACT,
    RAW_EVENTS_CONTRACT,
    RAW_ITEMS_CONTRACT,
)


@dg.asset_check(asset=s1_raw_events.raw_events, blocking=True)
def raw_events_keep_their_contract(warehouse: Warehouse) -> dg.AssetCheckResult:
    """Every raw event has its ids, one kind of time, a behaviour and a file, and sane numbers."""
    return _checked(warehouse, RAW_EVENTS_CONTRACT)


@dg.asset_check(asset=s1_raw_events.raw_items)
def raw_items_keep_their_contract(warehouse: Warehouse) -> dg.AssetCheckResult:
    """Every item has an id and a file, and no price below 0."""
    return _checked(warehouse, RAW_ITEMS_CONTRACT)


@dg.asset_check(asset=s2_sequences.clean_events, blocking=True)
def clean_events_keep_their_contract(warehouse: Warehouse) -> dg.AssetCheckResult:
    """Every clean event has its place in time, a split and a weight; none of a bot is a target."""
    return _checked(warehouse, CLEAN_EVENTS_CONTRACT)


def _checked(warehouse: Warehouse, contract: contracts.Contract) -> dg.AssetCheckResult:
    with warehouse.connect() as connection:
        s1_files.create_tables(connection)
        found = contracts.breaches(connection, contract)
    return dg.AssetCheckResult(
        passed=not found.broken,
        description=f"{'; '.join(found.broken)}. Take the batches back (llmrec retract), or restore"
        " a backup." if found.broken else None,
        metadata={
            "rows": found.rows,
            "rules": dg.MetadataValue.md(markdown(found.counts)),
            "samples": dg.MetadataValue.md(markdown(found.samples)),
        },
    )  # fmt: skip
