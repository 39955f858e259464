"""How what the lists were made of becomes a package for online services.

Imports torch: assets import this module in their bodies only.
"""

from pathlib import Path
from typing import Any

import duckdb

from llmrec_assets import published
from llmrec_assets.assets.list_steps import Material, Serving, item_vectors
from llmrec_assets.core.behaviors import Behavior
from llmrec_assets.core.new_events import ItemFacts, Scales
from llmrec_assets.core.online import Snapshot, StepTexts
from llmrec_assets.published import Challenger, Champion, PublishedInfo
from llmrec_assets.resources.publisher import Publisher
from llmrec_assets.resources.registry import Registry
from llmrec_assets.resources.warehouse import Warehouse
from llmrec_assets.sql import s1_retention, training_data
from llmrec_assets.sql import s5_model as model_sql
from llmrec_assets.sql import s6_recommendations as lists_sql

DAGSTER_PAGE = "/assets/recommendations"


def publish_package(
    material: Material,
    decision: dict[str, Any],
    warehouse: Warehouse,
    registry: Registry,
    publisher: Publisher,
    dictionary: dict[str, Behavior],
    lists: Path,
) -> dict[str, Any]:
    """Publish all that the lists, which are published already, were made of; metadata about it.

    `lists` has them as the store knows users.
    """
    serving, data = material.serving, material.serving.data
    with warehouse.connect() as connection:
        items = lists_sql.item_facts(connection, data.items)
        segments = lists_sql.ingested_segments(connection, data.through)
        shift, scale = training_data.value_scales(
            connection,
            data.behaviors,
            "final",
            serving.inputs.statistics_version,
            serving.inputs.scaling,
        )
        contest = _contest(connection, serving, decision)
        forgotten = s1_retention.times_forgotten(connection)
    run = registry.page(serving.version)
    info = PublishedInfo(
        model_version=serving.version,
        source=serving.source,
        data_fingerprint=data.fingerprint,
        encoder=serving.inputs.encoder,
        generated_at=material.generated_at,
        settings=vars(material.settings),
        behaviors=data.behaviors,
        dictionary=dictionary,
        segments=segments,
        relative=data.sequences.relative,
        forgotten=forgotten,
        pseudonyms=people.names.check if (people := warehouse.people) else "",
        **contest,
        links={"dagster": DAGSTER_PAGE, **({"mlflow": run} if run else {})},
    )
    package = published.publish(
        publisher.layout,
        snapshot_of(material, Scales(shift, scale)),
        info,
        items,
        material.users,
        material.list_ids,
        lists,
    )
    return {"package": package, "package_bytes": _size(publisher.layout.packages / package)}


def _contest(
    connection: duckdb.DuckDBPyConnection, serving: Serving, decision: dict[str, Any]
) -> dict[str, Any]:
    """Who serves, and who was judged last, with their scores.

    `decision` is the newest; its `served` is the model, or the name of the baseline, that serves.
    """
    judged = str(decision["challenger"])
    own = model_sql.headline(connection, str(decision["served"]), judged)
    other = model_sql.headline(connection, judged, judged)
    return {
        "champion": Champion(version=serving.version, **own),
        "challenger": Challenger(
            version=judged,
            **other,
            outcome=str(decision["outcome"]),
            reason=str(decision["reason"]),
        ),
    }


def snapshot_of(material: Material, scales: Scales) -> Snapshot:
    """The lists' material as an online service needs it."""
    data, sequences = material.serving.data, material.sequences
    n_items = data.catalogue.n_items
    return Snapshot(
        scorer=material.serving.scorer,
        sequences=sequences,
        n_items=n_items,
        hidden=material.hidden,
        settings=material.settings,
        facts=ItemFacts.of(sequences.items, sequences.times, n_items),
        step_texts=StepTexts.of(sequences, data.catalogue.text_rows),
        scales=scales,
        item_vectors=item_vectors(material.serving),
    )


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir())
