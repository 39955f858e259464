"""Stage 4: what was known at each step, in numbers and codes; the model fuses them."""

import dagster as dg

from llmrec_assets.assets import s2_sequences, s3_embeddings
from llmrec_assets.assets.rebuilding import Rebuild
from llmrec_assets.assets.table_metadata import build_metadata, static_metadata
from llmrec_assets.resources.warehouse import Warehouse
from llmrec_assets.sql import s4_features as features_sql
from llmrec_assets.sql.s4_tables import CLEAN, FUSED_FEATURES, NUMERIC_FEATURES, TEMPORAL_FEATURES


@dg.asset(
    deps=[s2_sequences.clean_events],
    kinds={"duckdb"},
    owners=["team:ml"],
    metadata=static_metadata(TEMPORAL_FEATURES),
)
def temporal_features(config: Rebuild, warehouse: Warehouse) -> dg.MaterializeResult:
    """One row per event: gaps, clock, recency, session, item age and popularity at that moment."""
    with warehouse.connect() as connection:
        features_sql.build_temporal(connection, config.rebuild)
        metadata = build_metadata(connection, TEMPORAL_FEATURES)
    return dg.MaterializeResult(metadata=metadata)


@dg.asset_check(asset=temporal_features, blocking=True)
def nothing_is_known_before_it_happens(warehouse: Warehouse) -> dg.AssetCheckResult:
    """No gap, recency or age is negative, and an item's first event finds it unpopular."""
    wrong = warehouse.read(
        f"""select count(*) as n from {TEMPORAL_FEATURES.full_name}
        where gap < 0 or recency < 0 or item_age < 0 or (item_age = 0 and item_popularity > 0)"""
    )
    return dg.AssetCheckResult(
        passed=int(wrong["n"][0]) == 0, metadata={"leaking_rows": int(wrong["n"][0])}
    )


@dg.asset(
    deps=[s2_sequences.clean_events, temporal_features, s3_embeddings.text_features],
    kinds={"duckdb"},
    owners=["team:ml"],
    metadata=static_metadata(FUSED_FEATURES),
)
def fused_features(config: Rebuild, warehouse: Warehouse) -> dg.MaterializeResult:
    """One row per step: item, behaviour and numeric features; codes and text rows lie beside it.

    No vector is copied per event. How the branches are fused is a module of the model.
    """
    with warehouse.connect() as connection:
        features_sql.build_fused(connection, config.rebuild)
        metadata = build_metadata(connection, FUSED_FEATURES)
    return dg.MaterializeResult(metadata={**metadata, "numeric_features": len(NUMERIC_FEATURES)})


@dg.asset_check(asset=fused_features, blocking=True)
def fused_features_are_finite(warehouse: Warehouse) -> dg.AssetCheckResult:
    """No numeric feature is infinite or not a number."""
    wrong = " or ".join(f"not isfinite({name})" for name in NUMERIC_FEATURES)
    rows = warehouse.read(f"select count(*) as n from {FUSED_FEATURES.full_name} where {wrong}")
    return dg.AssetCheckResult(passed=int(rows["n"][0]) == 0, metadata={"rows": int(rows["n"][0])})


@dg.asset_check(asset=fused_features, blocking=True)
def every_event_has_its_step(warehouse: Warehouse) -> dg.AssetCheckResult:
    """Fused features has exactly one row per clean event, and each event is there once."""
    counts = warehouse.read(
        f"""select (select count(*) from {CLEAN}) as events,
        count(distinct seq) as steps, count(*) as rows from {FUSED_FEATURES.full_name}"""
    ).iloc[0]
    return dg.AssetCheckResult(
        passed=bool(counts["events"] == counts["steps"] == counts["rows"]),
        metadata={name: int(counts[name]) for name in ("events", "steps", "rows")},
    )
