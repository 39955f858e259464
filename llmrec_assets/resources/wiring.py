"""The resources of one data root, by the names that assets ask for."""

from importlib.util import find_spec
from typing import Any

from llmrec_assets.core.encoding import EncoderUnavailable
from llmrec_assets.layout import Layout
from llmrec_assets.resources import duckdb_limits
from llmrec_assets.resources.arrays import Arrays
from llmrec_assets.resources.behavior_dictionary import BehaviorDictionary
from llmrec_assets.resources.encoder import TextEncoder
from llmrec_assets.resources.engine import Engine, Kind
from llmrec_assets.resources.landing import Landing
from llmrec_assets.resources.people import People
from llmrec_assets.resources.publisher import Publisher
from llmrec_assets.resources.registry import Registry
from llmrec_assets.resources.simulator import Simulator
from llmrec_assets.resources.warehouse import Warehouse
from llmrec_assets.settings import SettingError, choice, setting


def resources_of(layout: Layout) -> dict[str, Any]:
    """Name → resource.

    Raises:
        SettingError: the variables ask for an encoder that cannot be tuned as they ask, or for an
            engine that is not installed, the key of pseudonyms cannot be had, or DuckDB's memory is
            no size.
    """
    People.of(layout)
    duckdb_limits.memory_limit()
    encoder = TextEncoder(
        model=setting("ENCODER", "multilingual"),
        made=str(layout.encoders),
        url=setting("ENCODER_URL", ""),
        token_budget=setting("ENCODER_TOKEN_BUDGET", 0, minimum=0),
        price_per_million=setting("ENCODER_PRICE", 0.0, minimum=0),
    )
    if (tuning := setting("TUNE_ENCODER", "head")) in ("lora", "full"):
        try:
            encoder.trainable(tuning)
        except EncoderUnavailable as error:
            raise SettingError(str(error)) from error
    return {
        "warehouse": Warehouse(path=str(layout.warehouse)),
        "landing": Landing(root=str(layout.root)),
        "arrays": Arrays(root=str(layout.arrays)),
        "encoder": encoder,
        "engine": _engine(layout),
        "behavior_dictionary": BehaviorDictionary(path=str(layout.behaviors)),
        "registry": Registry(
            database=str(layout.mlflow_database), artifacts=str(layout.mlflow_artifacts)
        ),
        "encoder_registry": Registry(
            database=str(layout.mlflow_database),
            artifacts=str(layout.mlflow_artifacts),
            model="llmrec_item_encoder",
        ),
        "publisher": Publisher(root=str(layout.root)),
        "simulator": Simulator(root=str(layout.root)),
    }


def _engine(layout: Layout) -> Engine:
    kind: Kind = choice("ENGINE", "local", ("local", "ray"))
    if kind == "ray" and find_spec("ray") is None:
        raise SettingError("LLMREC_ENGINE='ray' needs ray: pip install 'llmrec-assets[ray]'")
    return Engine(
        kind=kind,
        shards=setting("SHARDS", 1 if kind == "local" else 8, minimum=1),
        address=setting("RAY_ADDRESS", ""),
        folder=str(layout.tasks),
    )
