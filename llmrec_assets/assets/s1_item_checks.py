"""Whether files of items are like those before, and of the items that events are of."""

import dagster as dg

from llmrec_assets.assets import s1_raw_events
from llmrec_assets.assets.table_metadata import markdown
from llmrec_assets.resources.warehouse import Warehouse
from llmrec_assets.sql import s1_arrivals
from llmrec_assets.sql.s1_tables import RAW_ITEMS

LEAST_DESCRIBED = 0.5


@dg.asset_check(asset=s1_raw_events.raw_items)
def newest_items_are_as_usual(warehouse: Warehouse) -> dg.AssetCheckResult:
    """The newest file of items is like those before: its size, columns and ids."""
    from llmrec_assets.core.arrivals import unusual

    with warehouse.connect() as connection:
        measures = s1_arrivals.item_measures(connection)
    odd = unusual(measures, "items") if len(measures) else []
    return dg.AssetCheckResult(
        passed=not odd,
        severity=dg.AssetCheckSeverity.WARN,
        description=f"{measures['name'][0]}: {'; '.join(odd)}." if odd else None,
        metadata={
            "files": dg.MetadataValue.md(
                markdown(measures.round(3).head(s1_raw_events.FILES_SHOWN))
            )
        },
    )


@dg.asset_check(asset=s1_raw_events.raw_items, additional_deps=[s1_raw_events.raw_events])
def items_of_events_are_described(warehouse: Warehouse) -> dg.AssetCheckResult:
    """Where there are files of items, they describe at least half of the items of events."""
    with warehouse.connect() as connection:
        described = RAW_ITEMS.count(connection)
        items, known = s1_arrivals.overlap(connection)
    share = known / items if items else 1.0
    return dg.AssetCheckResult(
        passed=not described or share >= LEAST_DESCRIBED,
        severity=dg.AssetCheckSeverity.WARN,
        description="Do files of events and of items spell item_id alike?",
        metadata={"items": items, "described_share": share},
    )
