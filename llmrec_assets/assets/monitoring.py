"""Monitoring: whether the data is still what the champion was trained on."""

import dagster as dg
import numpy as np
from pydantic import Field

from llmrec_assets.assets import plots, s1_raw_events, s3_embeddings, s5_champion, s7_feedback
from llmrec_assets.assets.table_metadata import markdown, run_metadata, static_metadata
from llmrec_assets.core import drift as measures
from llmrec_assets.core.behaviors import in_role
from llmrec_assets.core.next_work import TEXTS
from llmrec_assets.resources.arrays import Arrays
from llmrec_assets.resources.behavior_dictionary import BehaviorDictionary
from llmrec_assets.resources.warehouse import Warehouse
from llmrec_assets.settings import setting
from llmrec_assets.sql import monitoring as monitoring_sql
from llmrec_assets.sql import s3_embeddings as embeddings_sql
from llmrec_assets.sql.monitoring import DRIFT, Champion


class DriftConfig(dg.Config):
    """What matters beyond chance."""

    popularity_margin: float = Field(default=measures.POPULARITY_MARGIN, ge=0, le=1)
    behavior_margin: float = Field(default=measures.BEHAVIOR_MARGIN, ge=0, le=1)
    centroid_margin: float = Field(default=measures.CENTROID_MARGIN, ge=0, le=2)
    seed: int = Field(default=setting("SEED", 0, minimum=0), description="The one seed of a run.")


@dg.asset(
    deps=[
        s1_raw_events.raw_events,
        s3_embeddings.text_features,
        s5_champion.champion_model,
        s7_feedback.feedback,
    ],
    kinds={"duckdb"},
    owners=["team:ml"],
    metadata=static_metadata(DRIFT),
)
def drift(
    context: dg.AssetExecutionContext,
    config: DriftConfig,
    warehouse: Warehouse,
    arrays: Arrays,
    behavior_dictionary: BehaviorDictionary,
) -> dg.MaterializeResult:
    """One row per measure: events since the champion was trained beside those it was trained on.

    Every distance is read against what chance explains; older measurements stay.
    """
    with warehouse.connect() as connection:
        DRIFT.create(connection)
        metadata = run_metadata(connection, DRIFT)
        champion = monitoring_sql.champion(connection)
    if champion is None:
        return dg.MaterializeResult(metadata={**metadata, "not_measured_because": "nothing serves"})
    clicks = in_role("click", behavior_dictionary.load())
    found, through, answers = measure(champion, config, clicks, warehouse, arrays)
    with warehouse.connect() as connection:
        history = monitoring_sql.record_drift(connection, champion.name, through, found)
        metadata = run_metadata(connection, DRIFT)
    drifted = [one.measure for one in found if one.drifted]
    context.log.info(f"drift since {champion.name} was trained: {', '.join(drifted) or 'none'}")
    shown = {}
    if len(history):
        from llmrec_assets.core.drift_plot import drift_plot

        now = history[history["events_through"] == through[0]]
        columns = ["measure", "value", "floor", "threshold", "drifted", "reference", "new"]
        shown = {
            "measures": dg.MetadataValue.md(markdown(now[columns].round(4))),
            "plot": plots.as_metadata(drift_plot(history)),
        }
    return dg.MaterializeResult(
        metadata={
            **metadata,
            **shown,
            **{one.measure: one.value for one in found},
            "drifted": " ".join(drifted),
            "champion": champion.name,
            "judged_through": champion.judged_through,
            "events_through": through[0],
            "answers": answers,
        }
    )


def measure(
    champion: Champion,
    config: DriftConfig,
    clicks: list[str],
    warehouse: Warehouse,
    arrays: Arrays,
) -> tuple[list[measures.Drift], tuple[int, int], int]:
    """(what could be measured, newest event and feedback, events that answer lists).

    `clicks` are the behaviours that count as such.
    """
    with warehouse.connect() as connection:
        items = monitoring_sql.event_counts(connection, "item_id", champion.trained_through)
        mix = monitoring_sql.event_counts(connection, "behavior", champion.trained_through)
        texts = monitoring_sql.item_rows(connection)
        rates = monitoring_sql.click_rates(connection, champion.name, clicks)
        through = monitoring_sql.newest(connection)
        answers = monitoring_sql.answers_since(connection, champion.judged_through)
        matrix = None
        if len(texts["item_id"]):  # opened here, as another run may soon replace the file
            matrix = arrays.open(embeddings_sql.current_matrix(connection)[1])
    found = [
        measures.moved_mix(
            "item_popularity", items["reference"], items["new"],
            config.popularity_margin, config.seed,
        ),
        measures.moved_mix(
            "behavior_mix", mix["reference"], mix["new"], config.behavior_margin, config.seed
        ),
        measures.fallen_rate("click_through", rates["clicked"], rates["shown"]),
    ]  # fmt: skip
    if matrix is not None:
        known, rows = _with_text(items["name"], texts)
        counts = items["reference"][known], items["new"][known]
        found.append(
            measures.moved_centroid(
                TEXTS, *counts, matrix, rows, config.centroid_margin, config.seed
            )
        )
    return [one for one in found if one is not None], through, answers


def _with_text(names: np.ndarray, texts: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Places in `names` (sorted) of items with a text, and the rows of their vectors."""
    place = np.searchsorted(names, texts["item_id"])
    there = place < len(names)
    there[there] = names[place[there]] == texts["item_id"][there]
    return place[there], texts["embedding_row"][there]
